import { STATUS_CODES } from 'node:http';
import type { DownloadRefusal } from './download-refusal.js';

/** The header fields of the page: nothing may run in it, nothing is loaded by it. */
export const REFUSAL_PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
} as const;

/** The page of a refusal, in plain words; the code stands at its foot for whoever is asked for help. */
export function refusalPage(refusal: DownloadRefusal): string {
  const status = refusal.getStatus();
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(refusal.message)}</title>
<style>
  :root { color-scheme: light dark; font: 17px/1.55 system-ui, sans-serif; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; color: CanvasText; }
  main { max-width: 30rem; padding: 2rem; }
  h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem; }
  p { margin: 0 0 1.5rem; }
  small { opacity: .65; font-family: ui-monospace, monospace; }
</style>
<main>
  <h1>${escapeHtml(refusal.message)}</h1>
  <p>${escapeHtml(refusal.advice)}</p>
  <small>${status} ${STATUS_CODES[status] ?? ''} · ${refusal.code}</small>
</main>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
