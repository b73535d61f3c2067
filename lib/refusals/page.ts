import { STATUS_CODES } from 'node:http';
import type { DownloadRefusal } from './download-refusal.js';

/** The header fields of the page: nothing may run in it, nothing is loaded by it. */
export const REFUSAL_PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
  'Referrer-Policy': 'no-referrer',
} as const;

/** The page of a refusal, in plain words; the code stands at its foot for whoever is asked for help. */
export function refusalPage(refusal: DownloadRefusal): string {
  const status = refusal.getStatus();
  return htmlPage({
    lang: 'en',
    title: refusal.message,
    main: `<h1>${escapeHtml(refusal.message)}</h1>
  <p>${escapeHtml(refusal.advice)}</p>
  <small>${status} ${STATUS_CODES[status] ?? ''} · ${refusal.code}</small>`,
  });
}

interface PageParts {
  readonly lang: string;
  readonly title: string;
  /** HTML, where everything that is not ours went through {@link escapeHtml}. */
  readonly main: string;
}

/** A page in the style of the package. It loads nothing, and follows the colours of the system. */
export function htmlPage({ lang, title, main }: PageParts): string {
  return `<!doctype html>
<html lang="${escapeHtml(lang)}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(title)}</title>
<style>
  :root { color-scheme: light dark; font: 17px/1.55 system-ui, sans-serif; --back: #f3f4f6; --card: #fff;
    --text: #1b1e24; --soft: #59606c; --line: #dcdfe5; --field: #838b99; --blue: #1d5fd1; --on-blue: #fff;
    --red: #b3261e; }
  @media (prefers-color-scheme: dark) {
    :root { --back: #15171b; --card: #1f2228; --text: #e8eaee; --soft: #a2a9b5; --line: #363b45; --field: #757d8b;
      --blue: #8ab4ff; --on-blue: #0d1a30; --red: #ff9d94; }
  }
  * { box-sizing: border-box; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--back);
    color: var(--text); }
  main { width: 100%; max-width: 30rem; padding: 2rem; background: var(--card); border: 1px solid var(--line);
    border-radius: 14px; overflow-wrap: anywhere; }
  h1 { font-size: 1.45rem; line-height: 1.25; margin: 0 0 .75rem; }
  p { margin: 0 0 1.5rem; }
  small { color: var(--soft); font-size: .8rem; }
  strong { display: block; margin: 0 0 1.25rem; padding: .65rem .9rem; border: 1px solid var(--line); border-radius: 8px;
    font-weight: 600; }
  label { display: block; margin: 0 0 .35rem; font-weight: 600; }
  input, button { width: 100%; font: inherit; padding: .65rem .9rem; border-radius: 8px; }
  input { margin: 0 0 1rem; border: 1px solid var(--field); background: transparent; color: inherit; }
  button { margin: 0 0 1.25rem; border: 0; background: var(--blue); color: var(--on-blue); font-weight: 600;
    cursor: pointer; }
  button:hover { filter: brightness(1.08); }
  :focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; }
  #problem { margin: 0 0 1rem; padding: .65rem .9rem; border-left: 4px solid var(--red); color: var(--red); }
</style>
<main dir="auto">
  ${main}
</main>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
