import { fetchFile } from './api.js';

/**
 * Has the browser download a URL, as if a link had been clicked. The `download` attribute keeps the page where it is
 * even if the server refuses: its address never becomes the one with the token. The name is the server's choice.
 */
export function download(url, name = '') {
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.referrerPolicy = 'no-referrer';
  link.hidden = true;
  document.body.append(link);
  link.click();
  link.remove();
}

/**
 * Fetches a file with the token in the header, and saves it once all of it is here.
 * @param onProgress called with the bytes held so far and those expected
 */
export async function downloadThroughMemory(file, { signal, onProgress }) {
  const response = await fetchFile(file.id, signal);
  const expected = Number(response.headers.get('Content-Length')) || file.size;
  const parts = [];
  let held = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    held += value.length;
    onProgress(held, expected);
  }
  const url = URL.createObjectURL(new Blob(parts, { type: file.type }));
  download(url, file.name);
  // the browser needs the URL until it has begun to save
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return held;
}
