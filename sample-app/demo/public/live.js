import { ApiError, openLiveLinks } from './api.js';

/** How long to wait before connecting again, ms. */
const AGAIN = 2000;

/**
 * Follows what happens to one's links, and reconnects when the connection is lost.
 * @param onLink called with a link, as `GET /links` describes it, after every change
 * @param onState called with `live` or `lost`
 * @param onRefusal called with the server's error; returns whether to give up
 * @returns a function that stops it
 */
export function followLinks({ onLink, onState, onRefusal }) {
  const stop = new AbortController();
  void (async () => {
    while (!stop.signal.aborted) {
      try {
        const body = await openLiveLinks(stop.signal);
        onState('live');
        for await (const { type, data } of messages(body)) {
          if (type === 'link') {
            onLink(JSON.parse(data));
          }
        }
      } catch (error) {
        if (stop.signal.aborted || (error instanceof ApiError && onRefusal(error))) {
          return;
        }
      }
      if (stop.signal.aborted) {
        return;
      }
      onState('lost');
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  })();
  return () => stop.abort();
}

/** The messages of an event stream, as `EventSource` would deliver them. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return;
    }
    text += value;
    const complete = text.split('\n\n');
    text = complete.pop();
    for (const message of complete) {
      yield fieldsOf(message);
    }
  }
}

function fieldsOf(message) {
  const values = { event: [], data: [] };
  for (const line of message.split('\n')) {
    const [, name, value] = /^(event|data): ?(.*)$/.exec(line) ?? [];
    if (name) {
      values[name].push(value);
    }
  }
  return { type: values.event[0], data: values.data.join('\n') };
}
