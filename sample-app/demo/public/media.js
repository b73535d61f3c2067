import { listMedia } from './api.js';

const find = (selector) => document.querySelector(selector);
const video = find('#film');

/** Gives the elements their links; they load the rest themselves. */
export async function showMedia() {
  const { pictures, film, document: paper } = await listMedia();
  find('#pictures').replaceChildren(...pictures.map(({ url }) => imageOf(url)));
  find('#document').src = paper.url;
  video.poster = pictures[0].url;
  showLink('#pictures-link', pictures[0]);
  showLink('#film-link', film);
  showLink('#document-link', paper);
  if (video.canPlayType('application/vnd.apple.mpegurl')) {
    video.src = film.url;
  } else {
    const { default: Hls } = await import('./hls.js');
    const player = new Hls({ enableWorker: false });
    player.loadSource(film.url);
    player.attachMedia(video);
  }
}

export function clearMedia() {
  find('#pictures').replaceChildren();
  video.removeAttribute('src');
  video.removeAttribute('poster');
  video.load();
  find('#document').removeAttribute('src');
}

function imageOf(url) {
  const [, name] = /([^/]+)\.png/.exec(decodeURIComponent(url));
  return Object.assign(new Image(), { src: url, alt: name.replace(/^\d+ /, ''), width: 480, height: 270 });
}

function showLink(selector, { url }) {
  find(selector).value = new URL(url, location.href).href;
}
