import {
  Controller,
  Get,
  Inject,
  Injectable,
  Req,
  Scope,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { APP_GUARD, REQUEST, Reflector } from '@nestjs/core';
import { afterEach, describe, expect, it } from 'vitest';
import { besideLinks, DownloadLinks, Grant, StreamDownload } from '../lib/index.js';
import type { DownloadAuthOptions, DownloadGrant } from '../lib/index.js';
import { accessToken } from './support/access-token.js';
import { ADAPTERS, bearer, SECRET, startApp } from './support/test-app.js';
import type { AdapterName, TestApp } from './support/test-app.js';

/** Of the whole application; its own, and left as it was. */
@Injectable()
class SignInGuard implements CanActivate {
  constructor(@Inject(Reflector) private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<any>();
    if (this.reflector.getAllAndOverride('isPublic', [context.getHandler(), context.getClass()])) {
      return true;
    }
    if (request.headers['x-user'] === undefined) {
      throw new UnauthorizedException('sign in first');
    }
    request.user = { id: request.headers['x-user'] };
    return request.user.id !== 'banned';
  }
}

/** Asks what the one before it has found out. */
class RolesGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToHttp().getRequest<any>().user?.id !== 'guest';
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestGuard implements CanActivate {
  constructor(@Inject(REQUEST) private readonly request: any) {}

  canActivate(): boolean {
    return this.request.headers['x-user'] !== undefined;
  }
}

const seen = (grant: DownloadGrant, { user }: any) => ({ kind: grant.kind, subject: grant.subject, user });

@Controller('files')
class FilesController {
  @Get('one')
  @StreamDownload()
  one(@Grant() grant: DownloadGrant, @Req() request: unknown) {
    return seen(grant, request);
  }

  @Get('none')
  @StreamDownload({ auth: false })
  none(@Grant() grant: DownloadGrant, @Req() request: unknown) {
    return seen(grant, request);
  }

  @Get('of-the-route')
  @UseGuards(besideLinks(RequestGuard))
  @StreamDownload()
  ofTheRoute(@Grant() grant: DownloadGrant, @Req() request: unknown) {
    return seen(grant, request);
  }

  @Get('list')
  list() {
    return ['one'];
  }
}

let app: TestApp;
afterEach(() => app.close());

async function start(
  adapter: AdapterName,
  options: DownloadAuthOptions,
  guards: unknown[] = [besideLinks(SignInGuard)],
) {
  const providers = guards.map((useClass) => ({ provide: APP_GUARD, useClass }));
  app = await startApp({ adapter, controllers: [FilesController], options, providers });
  return (handler: 'one' | 'ofTheRoute' = 'one') => app.get(DownloadLinks).create(FilesController, handler);
}

const as = (user: string) => ({ headers: { 'x-user': user } });
const links = { secret: `${SECRET} of links` };
const OPEN: DownloadAuthOptions = { auth: 'public', subject: ({ user }) => user?.id, links };

describe.each(ADAPTERS)('a global guard beside links on %s', (adapter) => {
  it('lets links pass, and decides over everything else', async () => {
    const mint = await start(adapter, OPEN);
    const { url, token } = mint();
    expect((await app.request(url)).json).toMatchObject({ kind: 'link' });
    expect((await app.request('/files/one', { headers: bearer(token) })).json).toMatchObject({
      kind: 'link',
    });
    const signedIn = await app.request('/files/one', as('ada'));
    expect(signedIn.json).toEqual({ kind: 'other', subject: 'ada', user: { id: 'ada' } });
    expect((await app.request('/files/one')).json).toMatchObject({
      statusCode: 401,
      message: 'sign in first',
    });
    expect((await app.request('/files/one', as('banned'))).status).toBe(403);
    expect((await app.request('/files/list')).status).toBe(401);
    expect((await app.request('/files/list', as('ada'))).status).toBe(200);
  });

  it('lets no bad link pass, nor a link where none is looked at', async () => {
    const mint = await start(adapter, OPEN);
    const { url, token } = mint();
    expect((await app.request(`${url}x`)).json.code).toBe('LINK_INVALID');
    expect((await app.request(`/files/list?ss-tok=${token}`)).status).toBe(401);
    expect((await app.request(`/files/none?ss-tok=${token}`)).status).toBe(401);
    expect((await app.request('/files/one', { headers: { cookie: `ss-tok=${token}` } })).status).toBe(401);
    expect((await app.request(`/files/one?ss-tok=${token}&ss-tok=${token}`)).status).toBe(401);
    expect((await app.request('/files/none', as('ada'))).json).toMatchObject({ kind: 'other' });
  });

  it.each<[string, DownloadAuthOptions]>([
    ['false', { auth: false }],
    ["'public'", { auth: 'public' }],
    ['a guard', { auth: { canActivate: () => true } }],
  ])('is asked whatever auth is: %s', async (_name, options) => {
    await start(adapter, options);
    expect((await app.request('/files/one')).json.message).toBe('sign in first');
    expect((await app.request('/files/one', as('ada'))).status).toBe(200);
  });

  it('is asked besides where access tokens are needed too', async () => {
    const mint = await start(adapter, { secret: SECRET });
    expect((await app.request(mint().url)).json.kind).toBe('link');
    expect((await app.request('/files/one', as('ada'))).json.code).toBe('TOKEN_MISSING');
    expect((await app.request('/files/one', { headers: bearer(accessToken()) })).json.message).toBe(
      'sign in first',
    );
    const both = { headers: { ...bearer(accessToken()), 'x-user': 'ada' } };
    expect((await app.request('/files/one', both)).json.kind).toBe('access');
  });

  it('is asked in its turn, also where it is made for each request', async () => {
    const mint = await start(adapter, OPEN, [SignInGuard, RolesGuard, RequestGuard].map(besideLinks));
    expect((await app.request(mint().url)).json.kind).toBe('link');
    expect((await app.request('/files/one', as('ada'))).json.subject).toBe('ada');
    expect((await app.request('/files/one', as('guest'))).status).toBe(403);
    expect((await app.request('/files/one')).status).toBe(401);
  });

  it('may be one of the route, behind ours', async () => {
    const mint = await start(adapter, OPEN, []);
    expect((await app.request(mint('ofTheRoute').url)).json.kind).toBe('link');
    expect((await app.request('/files/of-the-route')).status).toBe(403);
    expect((await app.request('/files/of-the-route', as('ada'))).status).toBe(200);
  });
});

it('keeps its name', () => {
  expect(besideLinks(SignInGuard).name).toBe('SignInGuard');
});

it('an instance of a guard cannot be wrapped', () => {
  expect(() => besideLinks({ canActivate: () => true } as never)).toThrow(/give the class of a guard/);
});
