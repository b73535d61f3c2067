import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { inflateSync } from 'node:zlib';
import { beforeAll, expect, it } from 'vitest';
import { LARGE_SAMPLE, makeSampleFiles } from '../../../../sample-app/demo/samples/sample-files.js';
import { temporaryFolder } from '../../support/sample.js';

const folder = temporaryFolder();
const fileOf = (name: string) => readFileSync(join(folder, name));
beforeAll(() => makeSampleFiles(folder));

it('makes files of several kinds, one over 100 MB and one with a difficult name', () => {
  const names = readdirSync(folder);
  expect(names).toHaveLength(6);
  expect(statSync(join(folder, LARGE_SAMPLE)).size).toBeGreaterThan(100_000_000);
  expect(names).toContainEqual(expect.stringMatching(/ü.*\p{Emoji_Presentation}|ü.*🏔/u));
});

it('makes the same bytes every time', async () => {
  const hash = createHash('sha256');
  await pipeline(createReadStream(join(folder, LARGE_SAMPLE)), hash);
  expect(hash.digest('hex')).toBe('de8cadfe8fd9c19512f36997d89c1eeed0e1cc91ec20435ffdbc6061ba9579f7');
});

it('keeps files that exist, and makes an incomplete one again', async () => {
  writeFileSync(join(folder, 'readings.csv'), 'mine');
  writeFileSync(join(folder, LARGE_SAMPLE), 'half');
  await makeSampleFiles(folder);
  expect(fileOf('readings.csv').toString()).toBe('mine');
  expect(statSync(join(folder, LARGE_SAMPLE)).size).toBeGreaterThan(100_000_000);
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
});

it('makes files of the types that their names say', () => {
  const image = fileOf('Evening light.png');
  const data = image.subarray(41, 41 + image.readUInt32BE(33));
  expect(inflateSync(data)).toHaveLength(540 * (1 + 960 * 3));

  const sound = fileOf('Three chords.wav');
  expect(sound.toString('latin1', 8, 12)).toBe('WAVE');
  expect(sound.readUInt32LE(40)).toBe(sound.length - 44);

  const document = fileOf('Handbook.pdf').toString('latin1');
  const table = Number(/startxref\n(\d+)/.exec(document)?.[1]);
  expect(document.slice(table, table + 4)).toBe('xref');
  const offsets = [...document.slice(table).matchAll(/^(\d{10}) 00000 n/gm)].map(([, at]) => Number(at));
  offsets.forEach((at, index) => expect(document.slice(at)).toMatch(new RegExp(`^${index + 1} 0 obj`)));
});
