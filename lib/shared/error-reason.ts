/** The user and password of a URL. */
const CREDENTIALS = /\/\/[^\s/?#]*@/g;

/** What an error says, for a log or an event: without the credentials of a URL, and never empty. */
export function errorReason(error: unknown): string {
  return textOf(error).replace(CREDENTIALS, '//***@');
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  // A connection that failed to each of a host's addresses is an AggregateError with an empty message.
  const { code, errors } = error as { code?: string; errors?: unknown };
  const nested = Array.isArray(errors) ? errors.map(textOf).join('; ') : '';
  return error.message || nested || code || error.name;
}
