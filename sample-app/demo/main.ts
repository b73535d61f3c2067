import { DownloadAuthConfigurationError } from 'nestjs-download-auth';
import { stat } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FilesService } from '../files.service.js';
import { createSampleApp } from './create-sample-app.js';
import { makeSampleFiles, makeSampleMedia } from './samples/sample-files.js';
import { readSettings, SettingsError } from './settings.js';
import { shellCommands, startMessage } from './start-message.js';

/** The folder of a kind of samples, seen from the compiled file: a cache that `npm ci` clears. */
const cached = (kind: string) =>
  fileURLToPath(new URL(`../../../node_modules/.cache/sample-${kind}`, import.meta.url));

async function start(): Promise<void> {
  const environment = readSettings(process.env);
  const filesDir = await filesFolder(environment.filesDir);
  const mediaDir = cached('media');
  await makeSampleMedia(mediaDir);
  // Until it listens, explain() reports errors in one sentence; Nest would print a stack trace.
  const app = await createSampleApp({ ...environment, filesDir, mediaDir }, ['fatal']);
  await app.listen(environment.port, environment.host);
  app.useLogger(['warn']);

  const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
  const host = /^(0\.0\.0\.0|::)$/.test(environment.host) ? '127.0.0.1' : environment.host;
  const address = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const [largest] = (await app.get(FilesService).list()).sort((a, b) => b.size - a.size);
  const commands = largest ? shellCommands(address, largest.id) : [];
  console.log(startMessage(address, filesDir, environment.storage, commands));
  for (const warning of environment.warnings) {
    console.warn(`Note: ${warning}`);
  }
}

async function filesFolder(chosen: string | undefined): Promise<string> {
  if (chosen === undefined) {
    const samples = cached('files');
    await makeSampleFiles(samples);
    return samples;
  }
  const folder = resolve(chosen);
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) {
    throw new SettingsError(
      `FILES_DIR: ${folder} is not a folder. Name one that exists, or leave it unset for samples.`,
    );
  }
  return folder;
}

/** One sentence for a mistake that the reader can correct, the whole error for any other. */
function explain(error: unknown): unknown {
  if (error instanceof SettingsError) {
    return error.message;
  }
  if (error instanceof DownloadAuthConfigurationError) {
    return error.message.replace(/^secret:/, 'JWT_SECRET:');
  }
  const { code, port } = error as NodeJS.ErrnoException & { port?: number };
  if (code === 'EADDRINUSE') {
    return `Port ${port} is in use. Start with another one: PORT=${Number(port) + 1} npm start`;
  }
  if (code === 'EACCES' && port) {
    return `Port ${port} needs more rights. Start with another one: PORT=3000 npm start`;
  }
  return error;
}

start().catch((error: unknown) => {
  console.error(explain(error));
  // What Nest has already opened would keep the process alive.
  process.exit(1);
});
