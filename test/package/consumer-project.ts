import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { npm, ROOT } from './support.js';

/** An empty project with the packed package installed, as a user's project would have it. */
export interface ConsumerProject {
  readonly folder: string;
  /** Where the package is in it. */
  readonly installed: string;
  readonly tarball: string;
  /** Paths of the files in the tarball. */
  readonly files: string[];
}

declare module 'vitest' {
  interface ProvidedContext {
    project: ConsumerProject;
    /** Whether all consumers are tested, or those that take little time. */
    everyConsumer: boolean;
  }
}

/** What an application that uses the package has installed beside it. */
const CONSUMER_DEPENDENCIES = [
  '@nestjs/common',
  '@nestjs/core',
  '@nestjs/passport',
  '@nestjs/platform-express',
  '@types/node',
  'passport',
  'reflect-metadata',
  'rxjs',
];

/** Packs the package, which builds it, and installs it with its peers in the versions tested here. */
export default async function setUp({ provide }: TestProject): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), 'consumer-'));
  const options = ['--json', '--loglevel=error', '--foreground-scripts=false', '--pack-destination', folder];
  const [packed] = JSON.parse(await npm(ROOT, 'pack', ...options)) as [
    { filename: string; files: { path: string }[] },
  ];
  const tarball = join(folder, packed.filename);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }));
  const versions = CONSUMER_DEPENDENCIES.map((name) => `${name}@${versionOf(name)}`);
  await npm(folder, 'install', '--prefer-offline', '--no-audit', tarball, ...versions);

  provide('project', {
    folder,
    installed: join(folder, 'node_modules/nestjs-download-auth'),
    tarball,
    files: packed.files.map(({ path }) => path),
  });
  return () => rmSync(folder, { recursive: true, force: true });
}

function versionOf(name: string): string {
  const manifest = readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
