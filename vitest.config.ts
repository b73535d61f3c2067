import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { reporters } from './test/support/reporters.js';

/** Everything but test/package, which needs the packed tarball: vitest.package.config.ts. */
export default defineConfig({
  resolve: {
    alias: {
      'nestjs-download-auth': fileURLToPath(new URL('./lib/index.ts', import.meta.url)),
    },
  },
  test: {
    include: ['test/**/*.spec.ts'],
    exclude: [...configDefaults.exclude, 'test/package/**'],
    setupFiles: ['./test/support/setup.ts'],
    reporters: reporters('tests'),
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
