import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));

/** Compiles the browser module to where package.json says it is, for the page of the sample application. */
export default async function compileClient(): Promise<void> {
  await build({
    entryPoints: [path('lib/client/index.mts')],
    outfile: path('dist/client/index.mjs'),
    format: 'esm',
  });
}
