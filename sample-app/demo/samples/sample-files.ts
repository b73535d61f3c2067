import { cp, mkdir, open, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pdfDocument, pngImage, wavSound } from './formats.js';
import { landscape } from './landscape.js';
import { writeZipArchive, zipArchiveLength } from './zip-archive.js';

const LARGE_MEMBER = 'measurements.bin';
const LARGE_MEMBER_LENGTH = 128 * 1024 * 1024;

/** The sample of more than 100 MB. */
export const LARGE_SAMPLE = 'Measurements 2025.zip';

type Samples = Readonly<Record<string, () => Buffer>>;

const SMALL_SAMPLES: Samples = {
  'Handbook.pdf': () => pdfDocument(HANDBOOK),
  'Evening light.png': () => pngImage(960, 540, landscape(18.8)),
  'Three chords.wav': () => wavSound(6, threeChords),
  'readings.csv': () => Buffer.from(readings()),
  'Grüße aus Zürich 🏔.txt': () => Buffer.from('Schöne Grüße aus den Bergen!\n'),
};

/** What pages show themselves. The film beside this file was made by `scripts/make-sample-film.mjs`. */
const MEDIA: Samples = {
  'pictures/05 Dawn.png': () => picture(5.5),
  'pictures/07 Morning.png': () => picture(7),
  'pictures/10 Forenoon.png': () => picture(10),
  'pictures/14 Afternoon.png': () => picture(14),
  'pictures/19 Evening.png': () => picture(18.8),
  'pictures/22 Night.png': () => picture(22),
  'Handbook.pdf': () => pdfDocument(HANDBOOK),
};
const FILM = fileURLToPath(new URL('film', import.meta.url));

/**
 * Fills a folder with files to download, the same bytes every time. Files that exist are kept. The large one
 * has 128 MiB and takes less than a second on an ordinary disk.
 */
export async function makeSampleFiles(folder: string): Promise<void> {
  await makeSamples(folder, SMALL_SAMPLES);
  await makeLargeSample(join(folder, LARGE_SAMPLE));
}

/** Fills a folder with pictures, a film and a document. Files that exist are kept. */
export async function makeSampleMedia(folder: string): Promise<void> {
  await makeSamples(folder, MEDIA);
  await cp(FILM, join(folder, 'film'), { recursive: true });
}

async function makeSamples(folder: string, samples: Samples): Promise<void> {
  for (const [name, make] of Object.entries(samples)) {
    const path = join(folder, name);
    if ((await sizeOf(path)) === undefined) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, make());
    }
  }
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

function picture(hour: number): Buffer {
  const colourAt = landscape(hour);
  return pngImage(480, 270, (x, y) => colourAt(2 * x, 2 * y));
}

const HANDBOOK = [
  'Private downloads',
  'This handbook has one page. You received it because you are allowed to read it.',
  '',
  'A token in the Authorization header is for programs, which can set headers.',
  'A token in a cookie is for browsers whose user is signed in.',
  'An expiring link is for everyone else: it opens this one file, for a limited time.',
];

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
