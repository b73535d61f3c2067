import { defineConfig } from 'vitest/config';
import { reporters } from './test/support/reporters.js';

/**
 * The smoke test of what npm publishes. It packs, installs and compiles, so it stays out of the quick loop.
 * With `--mode every-consumer` it takes minutes.
 */
export default defineConfig(({ mode }) => ({
  test: {
    include: ['test/package/**/*.spec.ts'],
    globalSetup: './test/package/consumer-project.ts',
    reporters: reporters('package'),
    provide: { everyConsumer: mode === 'every-consumer' },
    pool: 'forks',
    // programs that are waited for
    maxWorkers: 2,
    maxConcurrency: 2,
    testTimeout: 90_000,
    hookTimeout: 240_000,
  },
}));
