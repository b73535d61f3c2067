import { join } from 'node:path';

/**
 * The reporters of a vitest run. Where the variable TEST_REPORTS names a folder, the counts are written there
 * as JSON too, for scripts/summary.mjs to add up: `NAME.json`, or `NAME on TEST_PLATFORM.json`.
 */
export function reporters(name: string): (string | [string, Record<string, unknown>])[] {
  const { TEST_REPORTS: folder, TEST_PLATFORM: platform } = process.env;
  if (!folder) {
    return ['default'];
  }
  const file = platform ? `${name} on ${platform}.json` : `${name}.json`;
  return ['default', ['json', { outputFile: join(folder, file) }]];
}
