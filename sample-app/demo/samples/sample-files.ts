import { mkdir, open, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pdfDocument, pngImage, wavSound } from './formats.js';
import type { Colour } from './formats.js';
import { writeZipArchive, zipArchiveLength } from './zip-archive.js';

const LARGE_MEMBER = 'measurements.bin';
const LARGE_MEMBER_LENGTH = 128 * 1024 * 1024;

/** The sample of more than 100 MB. */
export const LARGE_SAMPLE = 'Measurements 2025.zip';

const SMALL_SAMPLES: Readonly<Record<string, () => Buffer>> = {
  'Handbook.pdf': () => pdfDocument(HANDBOOK),
  'Evening light.png': () => pngImage(960, 540, eveningLight),
  'Three chords.wav': () => wavSound(6, threeChords),
  'readings.csv': () => Buffer.from(readings()),
  'Grüße aus Zürich 🏔.txt': () => Buffer.from('Schöne Grüße aus den Bergen!\n'),
};

/**
 * Fills a folder with files to download, the same bytes every time. Files that exist are kept. The large one
 * has 128 MiB and takes less than a second on an ordinary disk.
 */
export async function makeSampleFiles(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, make] of Object.entries(SMALL_SAMPLES)) {
    const path = join(folder, name);
    if ((await sizeOf(path)) === undefined) {
      await writeFile(path, make());
    }
  }
  await makeLargeSample(join(folder, LARGE_SAMPLE));
}

async function makeLargeSample(path: string): Promise<void> {
  if ((await sizeOf(path)) === zipArchiveLength(LARGE_MEMBER, LARGE_MEMBER_LENGTH)) {
    return;
  }
  // Renamed once it is complete: two applications may start at once, and one may be stopped in the middle.
  const unfinished = join(path, '..', `.${process.pid}.part`);
  const file = await open(unfinished, 'w');
  try {
    await writeZipArchive(file, LARGE_MEMBER, LARGE_MEMBER_LENGTH);
  } finally {
    await file.close();
  }
  await rename(unfinished, path);
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}

const HANDBOOK = [
  'Private downloads',
  'This handbook has one page. You received it because you are allowed to read it.',
  '',
  'A token in the Authorization header is for programs, which can set headers.',
  'A token in a cookie is for browsers whose user is signed in.',
  'An expiring link is for everyone else: it opens this one file, for a limited time.',
];

function eveningLight(x: number, y: number): Colour {
  const ridge = (base: number, height: number, pace: number) =>
    base + height * Math.sin(x / pace) + (height / 2) * Math.sin(x / (pace / 2.7) + 1);
  if (y > ridge(440, 26, 130)) {
    return [22, 34, 48];
  }
  if (y > ridge(370, 34, 170)) {
    return [52, 62, 84];
  }
  if (y > ridge(305, 30, 210)) {
    return [104, 96, 122];
  }
  const height = y / 300;
  const sun = Math.max(0, 1 - Math.hypot(x - 650, y - 230) / 210) ** 2;
  return [
    Math.min(255, Math.round(70 + 170 * height + 90 * sun)),
    Math.min(255, Math.round(92 + 78 * height + 90 * sun)),
    Math.min(255, Math.round(148 - 16 * height + 20 * sun)),
  ];
}

const CHORDS = [
  [261.63, 329.63, 392.0],
  [220.0, 349.23, 440.0],
  [246.94, 293.66, 392.0],
] as const;

function threeChords(moment: number): number {
  const chord = CHORDS[Math.min(2, Math.floor(moment / 2))] ?? CHORDS[0];
  const age = moment % 2;
  const loudness = Math.min(1, age * 40) * Math.exp(-2 * age);
  return (
    (loudness * chord.reduce((sum, pitch) => sum + Math.sin(2 * Math.PI * pitch * moment), 0)) / chord.length
  );
}

function readings(): string {
  const rows = Array.from({ length: 2_000 }, (_, hour) => {
    const moment = new Date(Date.UTC(2025, 0, 1, hour)).toISOString();
    const celsius = 8 + 9 * Math.sin(hour / 348) + 4 * Math.sin(hour / 3.82);
    return `${moment},${celsius.toFixed(2)}`;
  });
  return ['time,celsius', ...rows, ''].join('\n');
}
