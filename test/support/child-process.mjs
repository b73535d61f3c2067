// What the processes of tests and benches begin with. Their arguments: the folder of the compiled library,
// and as JSON the store (`sqlite`, `redis` or `postgres` with its options, or none), and of an application the HTTP
// `adapter` and how long to wait for the store (`storeTimeout`) and for downloads at its end
// (`shutdownTimeout`), `nest`, options of Nest, and `plain`, to do without the guarded route.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, json] = process.argv.slice(2);
const { sqlite, redis, postgres, adapter, shutdownTimeout, nest = {}, plain, ...more } = JSON.parse(json);

export const { storeTimeout } = more;

/** Imports a file of the compiled library. */
export const load = (path) => import(pathToFileURL(join(folder, path)).href);

/** The store that was asked for; undefined for the library's own. */
export const store =
  (sqlite && new (await load('leases/sqlite/index.js')).SqliteLeaseStore(sqlite)) ??
  (redis && new (await load('leases/redis/index.js')).RedisLeaseStore(redis)) ??
  (postgres && new (await load('leases/postgres/index.js')).PostgresLeaseStore(postgres));

/**
 * An application with one route, `files/:name`, on a free port; `answer` gives what it sends under a name. For
 * `guarded/:name` its own guard asks for `X-User`.
 */
export async function serve(answer) {
  await import('reflect-metadata');
  const { Controller, Get, Module, Param } = await import('@nestjs/common');
  const { NestFactory } = await import('@nestjs/core');
  const { DownloadAuthModule, DownloadLinks, StreamDownload } = await load('index.js');
  const { ExpressAdapter, FastifyAdapter } = await import(`@nestjs/platform-${adapter}`);

  class HeaderGuard {
    canActivate(context) {
      return context.switchToHttp().getRequest().headers['x-user'] !== undefined;
    }
  }

  class FilesController {
    file(name) {
      return answer(name);
    }

    guarded(name) {
      return answer(name);
    }
  }
  const routes = [
    ['file', 'files/:name', {}],
    ['guarded', 'guarded/:name', { auth: HeaderGuard }],
  ];
  for (const [method, path, options] of plain ? routes.slice(0, 1) : routes) {
    const descriptor = Object.getOwnPropertyDescriptor(FilesController.prototype, method);
    Get(path)(FilesController.prototype, method, descriptor);
    StreamDownload(options)(FilesController.prototype, method, descriptor);
    Param('name')(FilesController.prototype, method, 0);
  }
  Controller()(FilesController);

  class AppModule {}
  Module({
    imports: [
      DownloadAuthModule.forRoot({
        secret: 'a secret that all processes of the test share',
        leases: { store, ...(storeTimeout && { storeTimeout }) },
        ...(shutdownTimeout && { shutdownTimeout }),
      }),
    ],
    controllers: [FilesController],
  })(AppModule);

  const server = adapter === 'express' ? new ExpressAdapter() : new FastifyAdapter();
  const app = await NestFactory.create(AppModule, server, { logger: false, ...nest });
  app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
  return { FilesController, links: app.get(DownloadLinks), port: app.getHttpServer().address().port };
}
