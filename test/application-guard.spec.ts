import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Post,
  Req,
  Scope,
  SetMetadata,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import { REQUEST, Reflector } from '@nestjs/core';
import { AuthGuard, PassportStrategy } from '@nestjs/passport';
import { ExtractJwt, Strategy } from 'passport-jwt';
import { of } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import {
  DownloadAuthConfigurationError,
  DownloadAuthModule,
  DownloadLinks,
  StreamDownload,
} from '../lib/index.js';
import type { DownloadAuth, DownloadAuthOptions } from '../lib/index.js';
import { accessToken } from './support/access-token.js';
import { ADAPTERS, bearer, SECRET, startApp } from './support/test-app.js';
import type { AdapterName, TestApp, TestAppOptions } from './support/test-app.js';

const LINKS_ONLY = { links: { secret: `${SECRET} of links` } };

let app: TestApp | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

/** A controller with one download, whose `auth` is that of the module where none is given. */
function files(auth?: DownloadAuth): Type {
  @Controller('files')
  class FilesController {
    @Get()
    @StreamDownload({ auth })
    download(@Req() { user }: { user?: unknown }) {
      return { user };
    }
  }
  return FilesController;
}

async function start(
  adapter: AdapterName,
  options: DownloadAuthOptions,
  setup: Partial<TestAppOptions> = {},
) {
  const [controller = files()] = setup.controllers ?? [];
  app = await startApp({ adapter, options, ...setup, controllers: [controller] });
  const link = app.get(DownloadLinks).create(controller, 'download' as never);
  return { app, link };
}

@Injectable()
class Keys {
  readonly good = 'key';
}

/** Asks for the key that `Keys` has, and tells which instance was asked. */
@Injectable()
class KeyGuard implements CanActivate {
  private asked = 0;

  constructor(@Inject(Keys) private readonly keys: Keys) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<any>();
    request.user = { asked: ++this.asked };
    return request.headers['x-api-key'] === this.keys.good;
  }
}

/** As {@link KeyGuard}, of the request that it is made for. */
@Injectable({ scope: Scope.REQUEST })
class RequestGuard implements CanActivate {
  private asked = 0;

  constructor(
    @Inject(REQUEST) private readonly request: any,
    @Inject(Keys) private readonly keys: Keys,
  ) {}

  canActivate(): boolean {
    this.request.user = { asked: ++this.asked };
    return this.request.headers['x-api-key'] === this.keys.good;
  }
}

@Injectable({ scope: Scope.REQUEST })
class Caller {
  constructor(@Inject(REQUEST) readonly request: any) {}
}

/** Is of a request because of what it needs. */
@Injectable()
class CallerGuard implements CanActivate {
  private asked = 0;

  constructor(
    @Inject(Caller) private readonly caller: Caller,
    @Inject(Keys) private readonly keys: Keys,
  ) {}

  canActivate(): boolean {
    this.caller.request.user = { asked: ++this.asked };
    return this.caller.request.headers['x-api-key'] === this.keys.good;
  }
}

@Module({ providers: [Keys, KeyGuard, RequestGuard, Caller, CallerGuard] })
class SignInModule {}

const key = { headers: { 'x-api-key': 'key' } };

describe.each(ADAPTERS)('a guard of the application on %s', (adapter) => {
  it.each<[string, DownloadAuth, Partial<TestAppOptions>, asked: number]>([
    ['a provider of a module that exports nothing', KeyGuard, { imports: [SignInModule] }, 2],
    ['a class whose dependencies this module has', KeyGuard, { providers: [Keys] }, 2],
    ['an instance', new KeyGuard(new Keys()), {}, 2],
    ['a request-scoped provider', RequestGuard, { imports: [SignInModule] }, 1],
    ['a request-scoped class', RequestGuard, { providers: [Keys] }, 1],
    ['a provider that needs the request', CallerGuard, { imports: [SignInModule] }, 1],
    ['a class that needs the request', CallerGuard, { providers: [Keys, Caller] }, 1],
  ])('may be %s', async (_name, auth, setup, asked) => {
    const { app, link } = await start(adapter, { ...LINKS_ONLY, auth }, setup);
    await app.request('/files', key);
    expect((await app.request('/files', key)).json).toEqual({ user: { asked } });
    expect((await app.request('/files')).json).toMatchObject({
      statusCode: 403,
      message: 'Forbidden resource',
    });
    expect((await app.request(link.url)).status).toBe(200);
  });

  it('is the one of the same module where several have it', async () => {
    const moduleWith = (path: string, good: string) => {
      @Controller(path)
      class OneController {
        @Get()
        @StreamDownload({ auth: KeyGuard })
        download() {
          return 'a file';
        }

        @Post()
        @UseGuards(KeyGuard)
        other() {
          return 'no file';
        }
      }
      @Module({ controllers: [OneController], providers: [{ provide: Keys, useValue: { good } }] })
      class OneModule {}
      return OneModule;
    };
    app = await startApp({
      adapter,
      controllers: [],
      imports: [
        DownloadAuthModule.forRoot({ ...LINKS_ONLY, auth: 'links' }),
        moduleWith('a', 'of a'),
        moduleWith('b', 'of b'),
      ],
    });
    const status = async (path: string, apiKey: string) =>
      (await app!.request(path, { headers: { 'x-api-key': apiKey } })).status;
    expect(await Promise.all(['of a', 'of b'].map((one) => status('/a', one)))).toEqual([200, 403]);
    expect(await Promise.all(['of a', 'of b'].map((one) => status('/b', one)))).toEqual([403, 200]);
  });

  it.each<[string, () => boolean | Promise<boolean> | Observable<boolean>, number]>([
    ['true', () => true, 200],
    ['a promise of true', async () => true, 200],
    ['an observable of true', () => of(true), 200],
    ['false', () => false, 403],
    ['a promise of false', async () => false, 403],
    ['an observable of false', () => of(false), 403],
  ])('may answer %s', async (_name, canActivate, status) => {
    const { app, link } = await start(adapter, { ...LINKS_ONLY, auth: { canActivate } });
    expect((await app.request('/files')).status).toBe(status);
    expect((await app.request(link.url)).status).toBe(200);
  });

  it('answers a refusal in its own words and headers', async () => {
    const canActivate = (context: ExecutionContext): never => {
      const response = context.switchToHttp().getResponse<any>();
      (response.raw ?? response).setHeader('WWW-Authenticate', 'Session');
      throw new UnauthorizedException({ problem: 'session over' });
    };
    const { app } = await start(adapter, { ...LINKS_ONLY, auth: { canActivate } });
    const { status, json, headers } = await app.request('/files', {
      headers: { accept: 'text/html', 'sec-fetch-mode': 'navigate' },
    });
    expect([status, json, headers['www-authenticate']]).toEqual([
      401,
      { problem: 'session over' },
      'Session',
    ]);
  });

  it('may be that of passport, and may let routes pass that are marked for it', async () => {
    class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
      validate({ sub }: { sub: string }) {
        return { name: sub };
      }
    }
    new JwtStrategy({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      secretOrKey: SECRET,
    });
    @Injectable()
    class JwtAuthGuard extends AuthGuard('jwt') {
      constructor(@Inject(Reflector) private readonly reflector: Reflector) {
        super();
      }

      override canActivate(context: ExecutionContext) {
        const isPublic = this.reflector.getAllAndOverride('isPublic', [
          context.getHandler(),
          context.getClass(),
        ]);
        return isPublic ? true : super.canActivate(context);
      }
    }
    @Controller('files')
    class FilesController {
      @Get()
      @StreamDownload()
      download(@Req() { user }: { user?: unknown }) {
        return { user };
      }

      @Get('free')
      @SetMetadata('isPublic', true)
      @StreamDownload()
      free() {
        return 'for everybody';
      }
    }
    const options = { ...LINKS_ONLY, auth: JwtAuthGuard };
    const { app, link } = await start(adapter, options, { controllers: [FilesController] });
    const signedIn = await app.request('/files', { headers: bearer(accessToken()) });
    expect(signedIn.json).toEqual({ user: { name: 'ada' } });
    expect((await app.request('/files')).json).toEqual({ statusCode: 401, message: 'Unauthorized' });
    expect((await app.request('/files', { headers: bearer(link.token) })).status).toBe(200);
    expect((await app.request('/files/free', { headers: bearer(link.token) })).json.code).toBe('LINK_SCOPE');
    expect((await app.request('/files/free')).text).toBe('for everybody');
  });

  it('is asked beside a link that is for one person', async () => {
    @Controller('files')
    class FilesController {
      @Get()
      @StreamDownload()
      download(@Req() { user }: { user?: unknown }) {
        return { user };
      }
    }
    const canActivate = (context: ExecutionContext): boolean => {
      const request = context.switchToHttp().getRequest<any>();
      request.user = request.headers['x-user'] && { id: request.headers['x-user'] };
      if (request.headers['x-user'] === 'unknown') {
        throw new UnauthorizedException();
      }
      return request.user !== undefined;
    };
    const options = { ...LINKS_ONLY, auth: { canActivate }, subject: ({ user }: any) => user.id };
    const { app } = await start(adapter, options, { controllers: [FilesController] });
    const { url } = app
      .get(DownloadLinks)
      .create(FilesController, 'download', { subject: 'ada', bindTo: { signedIn: true } });
    const as = (user?: string) => app.request(url, { headers: user ? { 'x-user': user } : {} });
    expect((await as('ada')).json).toEqual({ user: { id: 'ada' } });
    for (const other of ['eve', 'unknown', undefined]) {
      expect((await as(other)).json.code).toBe('LINK_SUBJECT');
    }
  });
});

it('a link for who is signed in cannot be made where nothing says who that is', async () => {
  @Controller('files')
  class FilesController {
    @Get()
    @StreamDownload()
    download(): string {
      return '';
    }
  }
  const { app } = await start(
    'express',
    { ...LINKS_ONLY, auth: 'public' },
    { controllers: [FilesController] },
  );
  const mint = () =>
    app
      .get(DownloadLinks)
      .create(FilesController, 'download', { subject: 'ada', bindTo: { signedIn: true } });
  expect(mint).toThrow(DownloadAuthConfigurationError);
  expect(mint).toThrow(
    /^bindTo\.signedIn: nothing says who is signed in at FilesController\.download\. Write subject: \(request\)/,
  );
});

it('keeps the application from starting where it cannot be created, and says what to do', async () => {
  const started = start('express', { ...LINKS_ONLY, auth: KeyGuard });
  await expect(started).rejects.toThrow(DownloadAuthConfigurationError);
  await expect(started).rejects.toThrow(
    /FilesController\.download: auth: KeyGuard cannot be created in TestModule.*providers/,
  );
});
