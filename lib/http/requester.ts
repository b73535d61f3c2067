import Negotiator from 'negotiator';
import type { IncomingHttpHeaders } from 'node:http';
import type { FrameworkRequest } from './http-exchange.js';

/** Whether a browser is about to show the answer to a person (Fetch metadata, RFC 9110 §12.5.1). */
export function isNavigation(headers: IncomingHttpHeaders): boolean {
  const mode = headers['sec-fetch-mode'];
  // A navigation that a service worker passes on is `same-origin` in Firefox
  if (mode !== undefined && mode !== 'navigate' && mode !== 'same-origin') {
    return false;
  }
  return new Negotiator({ headers }).mediaType(['application/json', 'text/html']) === 'text/html';
}

/** Whether a client is a browser, or calls itself one: programs that download say neither. */
export function isBrowser({ headers }: FrameworkRequest): boolean {
  return (
    headers['sec-fetch-mode'] !== undefined ||
    /\bmozilla\//i.test(headers['user-agent'] ?? '') ||
    isNavigation(headers)
  );
}

/**
 * Whether a browser says that it sent the form by itself. Chromium and Firefox send `Sec-Fetch-User` with
 * what a person did; WebKit, which is all browsers of iOS, sends the other fields, but not this one
 * (https://webkit.org/b/247697). A service worker that passes the form on drops it.
 */
export function isWithoutUser({ headers }: FrameworkRequest): boolean {
  const isPassedOn = isNavigation(headers) && headers['sec-fetch-dest'] === 'empty';
  const sendsUser = !isPassedOn && /\b(?:Chrome|HeadlessChrome|Firefox)\//.test(headers['user-agent'] ?? '');
  return sendsUser && headers['sec-fetch-mode'] !== undefined && headers['sec-fetch-user'] !== '?1';
}

/**
 * Whether a browser fetches ahead of its user: `Sec-Purpose: prefetch` (Fetch standard; with parameters, such
 * as `prefetch;prerender`), and its forerunners `Purpose`, `X-Moz` and `X-Purpose`.
 */
export function isPrefetch(headers: FrameworkRequest['headers']): boolean {
  const says = (name: string, ...values: string[]) => {
    const items = String(headers[name] ?? '')
      .toLowerCase()
      .split(/[;,]/);
    return items.some((item) => values.includes(item.trim()));
  };
  return (
    says('sec-purpose', 'prefetch') ||
    says('purpose', 'prefetch', 'preview') ||
    says('x-moz', 'prefetch') ||
    says('x-purpose', 'preview')
  );
}

/**
 * What link previewers and crawlers call themselves. Short on purpose: general lists of bots also name curl,
 * wget, aria2 and the HTTP libraries with which people download. Cubot is a phone.
 */
const BOT_NAMES = [
  /(?<!\bcu)bots?(?![a-z])/, // Slackbot, Discordbot, TelegramBot, LinkedInBot, Googlebot, …
  /crawl|spider|slurp|preview|unfurl|^whatsapp\b|^viber\b|iframely|embedly|imgproxy|flipboardproxy/,
  /facebookexternalhit|facebookcatalog|meta-external|vkshare|kakaotalk-scrap|mastodon\/|friendica|lemmy\//,
  /feedfetcher-google|apis-google|googleother|google-(?:inspectiontool|read-aloud|notebooklm)|mediapartners/,
  /(?:chatgpt|claude|perplexity|mistralai|amzn)-?user|gemini-deep-research|ia_archiver|archive\.org_bot|scrapy/,
];
const BOT = new RegExp(BOT_NAMES.map(({ source }) => source).join('|'), 'i');

/** Whether the User-Agent names a link previewer or a crawler, which fetches without a user. */
export function isSelfNamedBot({ headers }: FrameworkRequest): boolean {
  return BOT.test(String(headers['user-agent'] ?? ''));
}
