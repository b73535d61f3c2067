import { ApiError, openLiveLinks } from './api.js';

/** Milliseconds until a connection that was lost is tried again. */
const AGAIN = 2000;

/**
 * Follows what happens to the links, and connects again when the connection is lost.
 * @param onLink gets a link as the API describes it, each time something is new about it
 * @param onState gets `live` or `lost`
 * @param onRefusal gets the error of a server that does not want to tell, and says whether that is final
 * @returns stops it
 */
export function followLinks({ onLink, onState, onRefusal }) {
  const stop = new AbortController();
  void (async () => {
    while (!stop.signal.aborted) {
      try {
        const body = await openLiveLinks(stop.signal);
        onState('live');
        for await (const { type, data } of messages(body)) if (type === 'link') onLink(JSON.parse(data));
      } catch (error) {
        if (stop.signal.aborted || (error instanceof ApiError && onRefusal(error))) return;
      }
      if (stop.signal.aborted) return;
      onState('lost');
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  })();
  return () => stop.abort();
}

/** The messages of an event stream, as `EventSource` would tell them. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const complete = text.split('\n\n');
    text = complete.pop();
    for (const message of complete) yield fieldsOf(message);
  }
}

function fieldsOf(message) {
  const values = { event: [], data: [] };
  for (const line of message.split('\n')) {
    const [, name, value] = /^(event|data): ?(.*)$/.exec(line) ?? [];
    if (name) values[name].push(value);
  }
  return { type: values.event[0], data: values.data.join('\n') };
}
