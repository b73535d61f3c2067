import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { reporters } from './test/support/reporters.js';

/** Everything but test/package, which needs the packed tarball: vitest.package.config.ts. */
export default defineConfig({
  resolve: {
    alias: {
      // the longer names first: an alias also stands for what begins with it
      'nestjs-download-auth/redis': fileURLToPath(new URL('./lib/leases/redis/index.ts', import.meta.url)),
      'nestjs-download-auth/postgres': fileURLToPath(
        new URL('./lib/leases/postgres/index.ts', import.meta.url),
      ),
      'nestjs-download-auth/sqlite': fileURLToPath(new URL('./lib/leases/sqlite/index.ts', import.meta.url)),
      'nestjs-download-auth': fileURLToPath(new URL('./lib/index.ts', import.meta.url)),
    },
  },
  test: {
    include: ['test/**/*.spec.ts'],
    exclude: [...configDefaults.exclude, 'test/package/**'],
    globalSetup: ['./test/support/compile-client.ts'],
    setupFiles: ['./test/support/setup.ts'],
    reporters: reporters('tests'),
    pool: 'forks',
    execArgv: ['--pending-deprecation'],
    // importing Nest anew for every file would take two thirds of the time
    isolate: false,
    restoreMocks: true,
    unstubEnvs: true,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    coverage: {
      provider: 'v8',
      include: ['lib/**/*.ts'],
      reporter: [['text', { skipFull: true }], 'json-summary'],
    },
  },
});
