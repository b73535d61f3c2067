import { fetchFile } from './api.js';

/**
 * Makes the browser download a URL, as a click on a link would. With the `download` attribute the page stays
 * even if the server refuses, so the URL with the token never gets into the address bar. The server chooses
 * the name.
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
 * Fetches a file with the token in the header, and saves it when it is complete.
 * @param onProgress called with the bytes received so far and the total
 */
export async function downloadThroughMemory(file, { signal, onProgress }) {
  const response = await fetchFile(file.id, signal);
  const expected = Number(response.headers.get('Content-Length')) || file.size;
  const parts = [];
  let held = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    parts.push(value);
    held += value.length;
    onProgress(held, expected);
  }
  const url = URL.createObjectURL(new Blob(parts, { type: file.type }));
  download(url, file.name);
  // The browser needs the URL until it has started to save.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return held;
}
