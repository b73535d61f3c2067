import type { ServerResponse } from 'node:http';

/** Replaces `write` as a compression middleware does, so that the body goes through an ordinary stream. */
export function wrapWrite(response: ServerResponse): void {
  const write = response.write.bind(response);
  response.write = ((...args: Parameters<typeof write>) => write(...args)) as never;
}
