import { Controller, Get, Module, Param } from '@nestjs/common';
import passport from 'passport';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadAuthModule, DownloadLinks, StreamDownload } from '../../lib/index.js';
import { SignatureVerifier } from '../../lib/tokens/signatures.js';
import { forge, inAnHour, keys } from '../support/forge.js';
import { HelloController } from '../support/hello.controller.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const OTHER = 'another secret for tests that is long enough to be one';
const token = (secret: string): string => forge({ alg: 'HS256' }, { sub: 'ada', exp: inAnHour() }, secret);
const strategies = (): string[] => Object.keys((passport as unknown as { _strategies: object })._strategies);

describe.each(ADAPTERS)('two applications in one process on %s', (adapter) => {
  let first: TestApp;
  let second: TestApp;
  beforeAll(async () => {
    first = await startApp({ adapter, controllers: [HelloController], options: { secret: SECRET } });
    second = await startApp({ adapter, controllers: [HelloController], options: { secret: OTHER } });
  });
  afterAll(() => Promise.all([first.close(), second.close()]));

  it('accept their own tokens and not those of each other', async () => {
    for (const [app, own, others] of [[first, SECRET, OTHER], [second, OTHER, SECRET]] as const) {
      expect((await app.request('/files/a', { headers: bearer(token(own)) })).status).toBe(200);
      expectRefusal(await app.request('/files/a', { headers: bearer(token(others)) }), 401, 'TOKEN_INVALID');
    }
  }); // prettier-ignore

  it('open their own links and not those of each other', async () => {
    const mint = (app: TestApp) => app.get(DownloadLinks).create(HelloController, 'get', { params: { id: 'a' } }).url;
    const [a, b] = [mint(first), mint(second)];
    expect((await first.request(a)).status).toBe(200);
    expect((await second.request(b)).status).toBe(200);
    expectRefusal(await second.request(a), 403, 'LINK_INVALID');
    expectRefusal(await first.request(b), 403, 'LINK_INVALID');
  }); // prettier-ignore

  it('go on when the other is closed, and leave nothing behind', async () => {
    const before = strategies();
    const third = await startApp({ adapter, controllers: [HelloController], options: { secret: OTHER } });
    expect(strategies()).toHaveLength(before.length + 1);
    await third.close();
    expect(strategies()).toEqual(before);
    expect((await first.request('/files/a', { headers: bearer(token(SECRET)) })).status).toBe(200);
  });
});

@Controller('a')
class AController {
  constructor(private readonly links: DownloadLinks) {}

  /** A link that this instance of the module makes, or why it does not. */
  @Get('makes/:what')
  make(@Param('what') what: string): unknown {
    const target = { params: { id: '1' } };
    const makes: Record<string, () => unknown> = {
      link: () => this.links.create(BController, 'get', target),
      named: () => this.links.create('b' as never, target),
      resource: () => this.links.resource(BController, 'get', target),
      own: () => this.links.create(AController, 'get', target),
      sameSecret: () => this.links.create(CController, 'get', target),
    };
    try {
      return makes[what]!();
    } catch (error) {
      return { name: (error as Error).name, message: (error as Error).message };
    }
  }

  @Get(':id')
  @StreamDownload()
  get(): string {
    return 'a';
  }
}

@Controller('b')
class BController {
  constructor(private readonly links: DownloadLinks) {}

  @Get('link')
  link(): unknown {
    return this.links.create(BController, 'get', { params: { id: '1' } });
  }

  @Get(':id')
  @StreamDownload({ name: 'b' })
  get(): string {
    return 'b';
  }
}

@Module({
  imports: [DownloadAuthModule.forRoot({ secret: SECRET, isGlobal: false })],
  controllers: [AController],
})
class AModule {}

@Module({
  imports: [DownloadAuthModule.forRoot({ secret: OTHER, isGlobal: false, tokenName: 'tok' })],
  controllers: [BController],
})
class BModule {}

@Controller('c')
class CController {
  @Get(':id')
  @StreamDownload()
  get(): string {
    return 'c';
  }
}

/** Has the secret of A, and a store of its own. */
@Module({
  imports: [DownloadAuthModule.forRoot({ secret: SECRET, isGlobal: false })],
  controllers: [CController],
})
class CModule {}

describe.each(ADAPTERS)('two instances of the module in one application on %s', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [], imports: [AModule, BModule, CModule] });
  });
  afterAll(() => app.close());

  it('each guards its own routes with its own key', async () => {
    expect((await app.request('/a/1', { headers: bearer(token(SECRET)) })).text).toBe('a');
    expect((await app.request('/b/1', { headers: bearer(token(OTHER)) })).text).toBe('b');
    expectRefusal(await app.request('/a/1', { headers: bearer(token(OTHER)) }), 401, 'TOKEN_INVALID');
    expectRefusal(await app.request('/b/1', { headers: bearer(token(SECRET)) }), 401, 'TOKEN_INVALID');
  });

  it('each knows its own token name only', async () => {
    expect((await app.request(`/b/1?tok=${token(OTHER)}`)).text).toBe('b');
    expectRefusal(await app.request(`/b/1?ss-tok=${token(OTHER)}`), 401, 'TOKEN_MISSING');
    expectRefusal(await app.request(`/a/1?tok=${token(SECRET)}`), 401, 'TOKEN_MISSING');
  });

  it.each(['link', 'named', 'resource'])(
    'one makes no %s for a route of the other, and says which is which',
    async (what) => {
      const { name, message } = (await app.request(`/a/makes/${what}`)).json;
      expect(name).toBe('DownloadAuthConfigurationError');
      expect(message).toMatch(/^BController\.get .*that of BModule.*that of AModule\. Inject DownloadLinks/);
    },
  );

  it('and its own as before', async () => {
    expect((await app.request((await app.request('/a/makes/own')).json.url)).text).toBe('a');
  });

  it('one makes links for a route of another one with the same secret', async () => {
    expect((await app.request((await app.request('/a/makes/sameSecret')).json.url)).text).toBe('c');
  });

  it('a link of one opens nothing of the other', async () => {
    const { url, token: link } = (await app.request('/b/link')).json;
    expect(url).toMatch(/^\/b\/1\?tok=/);
    expect((await app.request(url)).text).toBe('b');
    expectRefusal(await app.request(`/a/1?ss-tok=${link}`), 403, 'LINK_INVALID', link);
  });
});

describe('SignatureVerifier', () => {
  it('registers under a name of its own, and withdraws just that', async () => {
    const [one, two] = [new SignatureVerifier(), new SignatureVerifier()];
    expect(one.strategyName).not.toBe(two.strategyName);
    // another copy of the package cannot come to the same name by counting
    expect(one.strategyName).toMatch(/:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    one.dispose();
    expect(strategies()).not.toContain(one.strategyName);
    const signed = forge({ alg: 'ES256' }, { sub: 'ada' }, keys.p256.privateKey);
    expect(await two.isSigned(signed, keys.p256.publicKey)).toBe(true);
    await expect(one.isSigned(signed, keys.p256.publicKey)).rejects.toThrow(/strategy/);
    two.dispose();
  });
});
