import { readFileSync, writeFileSync } from 'node:fs';

/** Puts Markdown into a page of docs/, between its comments `<!-- NAME: begin … -->` and `<!-- NAME: end -->`. */
export function writeIntoPage(page, name, markdown) {
  const file = new URL(`../../docs/${page}`, import.meta.url);
  const block = new RegExp(`(<!-- ${name}: begin[^>]*-->)[^]*(<!-- ${name}: end -->)`);
  const text = readFileSync(file, 'utf8');
  if (!block.test(text)) {
    throw new Error(`docs/${page} has no place for ${name}.`);
  }
  writeFileSync(
    file,
    text.replace(block, (_, begin, end) => `${begin}\n\n${markdown}\n\n${end}`),
  );
}
