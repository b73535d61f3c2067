import { bearer } from '../../support/test-app.js';

/** What the application tells a person about the own links. */
export interface LiveStream {
  /** Everything so far. */
  readonly seen: readonly any[];
  /** Waits for a link that is told of, now or before. */
  until(isIt: (link: any) => unknown): Promise<any>;
  close(): void;
}

export async function followLinks(url: string, token: string): Promise<LiveStream> {
  const abort = new AbortController();
  const response = await fetch(`${url}/links/events`, { headers: bearer(token), signal: abort.signal });
  if (response.headers.get('content-type') !== 'text/event-stream') {
    throw new Error(`${response.status}: no event stream`);
  }
  const seen: any[] = [];
  let heard: () => void = () => undefined;
  const listen = async () => {
    let text = '';
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      text += piece;
      const messages = text.split('\n\n');
      text = messages.pop()!;
      for (const message of messages) {
        const data = /^data: (.*)$/m.exec(message)?.[1];
        if (message.includes('event: link') && data) seen.push(JSON.parse(data));
      }
      heard();
    }
  };
  listen().catch(() => undefined);
  return {
    seen,
    until: async (isIt) => {
      for (;;) {
        const found = seen.find(isIt);
        if (found) return found;
        await new Promise<void>((resolve) => (heard = resolve));
      }
    },
    close: () => abort.abort(),
  };
}
