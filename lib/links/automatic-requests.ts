/** Header fields as `node:http` has them: names in lower case. */
type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * Whether a browser fetches ahead of its user: `Sec-Purpose: prefetch` (Fetch standard; with parameters, such
 * as `prefetch;prerender`), and its forerunners `Purpose`, `X-Moz` and `X-Purpose`.
 */
export function isPrefetch(headers: Headers): boolean {
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
export function isSelfNamedBot({ headers }: { readonly headers: Headers }): boolean {
  return BOT.test(String(headers['user-agent'] ?? ''));
}
