type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * Whether a browser fetches ahead of what its user does: `Sec-Purpose: prefetch` (Fetch standard;
 * with parameters, such as `prefetch;prerender`), and its forerunners `Purpose: prefetch`,
 * `X-Moz: prefetch` and `X-Purpose: preview`.
 *
 * @param headers as `node:http` has them: names in lower case
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
