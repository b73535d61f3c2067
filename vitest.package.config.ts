import { defineConfig } from 'vitest/config';
import { reporters } from './test/support/reporters.js';

/**
 * The smoke test of what npm publishes. It packs, installs and compiles, so it stays out of the quick loop.
 */
export default defineConfig({
  test: {
    include: ['test/package/**/*.spec.ts'],
    globalSetup: './test/package/consumer-project.ts',
    reporters: reporters('package'),
    pool: 'forks',
    testTimeout: 90_000,
    hookTimeout: 240_000,
  },
});
