/**
 * For pages: starts a download by navigation, so that the browser streams the file to disk, and tells the
 * page how far it is. No framework, and nothing of Node.
 */

/** The largest file that is shared in an installed iOS application: it has to fit into memory; bytes. */
const MOST_SHARED = 256 * 1024 * 1024;

/** How long to wait before the events are asked for again, ms. */
const RECONNECT_AFTER = 2000;

/** How long to wait for the first event before the download is started without, ms. */
const SILENT_AFTER = 5000;

/** How far a download is. */
export interface DownloadProgress {
  /** Bytes of the file that the server has sent. */
  readonly bytes: number;
  /** Of the file, in bytes, where the server knows it. */
  readonly length?: number;
  /** Whole percent, rounded down. */
  readonly percent?: number;
  /** False while it has stopped: the connection broke, or the person paused or cancelled it. */
  readonly running: boolean;
  /** In an installed iOS application, the file is here and is offered at the next tap. */
  readonly needsTap?: boolean;
}

export interface DownloadOptions {
  /**
   * Where the server sends `events.of(link.id)`: a URL, or a function that fetches it, such as with an
   * `Authorization` header. It is called again when the connection is lost.
   */
  readonly events: string | ((signal: AbortSignal) => Promise<Response>);
  /** Aborting it ends the connection and rejects with its reason; the browser's own download goes on. */
  readonly signal?: AbortSignal;
}

/** A download that a page has started. */
export interface StartedDownload {
  /**
   * How far it is, as it changes; to be iterated once. Ends when every byte was sent, and throws what
   * {@link completed} rejects with.
   */
  readonly progress: AsyncIterable<DownloadProgress>;
  /** Resolves when every byte was sent. Rejects with {@link DownloadFailed}. */
  readonly completed: Promise<void>;
}

/** Why a download failed. */
export class DownloadFailed extends Error {
  override readonly name = 'DownloadFailed';

  /**
   * @param code of the refusal, such as `LINK_EXPIRED`; the status of an answer without one, such as `404`;
   *   `UNREACHABLE`; `EVENTS_` and the status of an answer that is no event stream; `EVENTS_SILENT` where the
   *   download was started and nothing is heard of it; or, in an installed iOS application, `TOO_LARGE` and
   *   `NOT_SHARED`
   */
  constructor(
    readonly code: string,
    message = code,
  ) {
    super(message);
  }
}

/**
 * Starts a download of a link, and follows it.
 *
 * @param link its URL, or what the server answered when it made it
 * @example
 * ```ts
 * for await (const { percent } of download(link, { events: `/links/${link.id}/events` }).progress) {
 *   show(`${percent} %`);
 * }
 * ```
 */
export function download(
  link: string | { readonly url: string },
  { events, signal }: DownloadOptions,
): StartedDownload {
  const stop = new AbortController();
  let latest: DownloadProgress | undefined;
  let isOver = false;
  let wake = () => {};
  const tell = (progress: DownloadProgress) => {
    latest = progress;
    wake();
  };
  let url = typeof link === 'string' ? link : link.url;
  // Angular's service worker would answer some browsers with the page, and keep others from resuming
  if (navigator.serviceWorker?.controller) {
    url += `${url.includes('?') ? '&' : '?'}ngsw-bypass`;
  }
  const until = AbortSignal.any([stop.signal, ...(signal ? [signal] : [])]);
  const completed = run(url, events, until, tell).finally(() => {
    stop.abort();
    isOver = true;
    wake();
  });
  // A page that only reads `progress` gets the error there
  completed.catch(() => {});
  return { completed, progress: changes() };

  async function* changes(): AsyncGenerator<DownloadProgress> {
    while (latest || !isOver) {
      if (latest) {
        const progress = latest;
        latest = undefined;
        yield progress;
      } else {
        await new Promise<void>((resolve) => (wake = resolve));
      }
    }
    await completed;
  }
}

type Tell = (progress: DownloadProgress) => void;

async function run(
  url: string,
  events: DownloadOptions['events'],
  signal: AbortSignal,
  tell: Tell,
): Promise<void> {
  // There, the page would be replaced by the file, with no way back
  if ((navigator as { standalone?: boolean }).standalone) {
    return share(url, signal, tell);
  }
  const messages = follow(events, signal);
  const before = await Promise.race([stateIn(messages), later(SILENT_AFTER)]);
  const answer = await probe(url, signal);
  const isUnheardOf = await sendsNothing(answer, url, signal);
  navigate(url);
  if (isUnheardOf) {
    return;
  }
  if (!before) {
    throw new DownloadFailed('EVENTS_SILENT', 'The download has started. How far it is, is not known.');
  }
  let running = false;
  for await (const { type, id, data } of messages) {
    if (type === 'revoked' || (type === 'refused' && !running)) {
      throw new DownloadFailed(data.code!);
    }
    if (type === 'refused' || id === before.id) {
      continue; // Somebody else's, or what happened before
    }
    running = type === 'progress';
    tell({ ...data, running });
    if (type === 'completed') {
      return;
    }
    if (data.code) {
      throw new DownloadFailed(data.code);
    }
  }
}

/** The first message that tells the state of the link. */
async function stateIn(messages: AsyncGenerator<Message, never>): Promise<Message> {
  let { value } = await messages.next();
  while (value.type === 'refused') {
    ({ value } = await messages.next());
  }
  return value;
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whether events may not tell of it: another server sends it, it is empty, or the browser has it. */
async function sendsNothing(
  { type, headers, url: from }: Response,
  url: string,
  signal: AbortSignal,
): Promise<boolean> {
  if (type === 'opaqueredirect' || headers.get('Content-Length') === '0') {
    return true;
  }
  if (headers.get('Cache-Control')?.includes('no-store')) {
    return false;
  }
  if (new URL(from).origin !== location.origin) {
    return true; // Pages cannot ask what is in the cache for another origin
  }
  const look = { signal, method: 'HEAD', mode: 'same-origin', cache: 'only-if-cached' } as const;
  return fetch(url, look).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** @throws DownloadFailed where the link is refused */
async function probe(url: string, signal: AbortSignal): Promise<Response> {
  const init = { signal, redirect: 'manual' } as const;
  const head = await get(url, { ...init, method: 'HEAD' });
  if (head.ok || head.type === 'opaqueredirect') {
    return head;
  }
  // The answer to HEAD has no body that says why
  const answer = await get(url, init);
  await refuse(answer);
  void answer.body?.cancel();
  return answer;
}

/** Clicks on the link. With `download`, a refusal does not replace the page. */
function navigate(url: string): void {
  const anchor = document.createElement('a');
  Object.assign(anchor, { href: url, download: '', referrerPolicy: 'no-referrer', hidden: true });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
}

/** Fetches the file into memory and offers it to the other applications, to save it or to open it. */
async function share(url: string, signal: AbortSignal, tell: Tell): Promise<void> {
  const answer = await get(url, { signal });
  await refuse(answer);
  const length = Number(answer.headers.get('Content-Length')) || undefined;
  const parts: BlobPart[] = [];
  let bytes = 0;
  const known = () => ({ bytes, length, percent: length && Math.floor((100 * bytes) / length) });
  for (const reader = answer.body!.getReader(); ;) {
    const { done, value } = await reader.read();
    if ((length ?? bytes) > MOST_SHARED) {
      throw new DownloadFailed('TOO_LARGE');
    }
    if (done) {
      break;
    }
    parts.push(value);
    bytes += value.length;
    tell({ ...known(), running: true });
  }
  const type = answer.headers.get('Content-Type') ?? '';
  const files = [new File(parts, nameOf(answer), { type })];
  try {
    await navigator.share({ files }).catch(async (error: Error) => {
      if (error.name !== 'NotAllowedError') {
        throw error;
      }
      // The tap that started the download was too long ago
      tell({ ...known(), running: false, needsTap: true });
      await nextTap(signal);
      await navigator.share({ files });
    });
  } catch (error) {
    signal.throwIfAborted();
    throw new DownloadFailed('NOT_SHARED', (error as Error).message);
  }
}

function nextTap(signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', reject);
    const tapped = (event: Event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      resolve();
    };
    addEventListener('click', tapped, { capture: true, once: true, signal });
  });
}

/** The file's name, by RFC 6266. */
function nameOf({ headers, url }: Response): string {
  const disposition = headers.get('Content-Disposition') ?? '';
  const [, encoded] = /filename\*=UTF-8''([^;]+)/i.exec(disposition) ?? [];
  const [, plain] = /filename="?([^";]+)/i.exec(disposition) ?? [];
  return encoded ? decodeURIComponent(encoded) : (plain ?? new URL(url).pathname.split('/').pop()!);
}

async function get(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    init.signal!.throwIfAborted();
    throw new DownloadFailed('UNREACHABLE', (error as Error).message);
  }
}

/** @throws DownloadFailed for an answer that is none, with the code that it gives */
async function refuse(answer: Response): Promise<void> {
  if (!answer.ok && answer.type !== 'opaqueredirect') {
    const { code, message } = (await answer.json().catch(() => ({}))) as { code?: string; message?: string };
    throw new DownloadFailed(code ?? String(answer.status), message);
  }
}

/** A message of `events.of()`. */
interface Message {
  readonly type: string;
  readonly id: string;
  readonly data: Omit<DownloadProgress, 'running'> & { readonly code?: string };
}

/** The messages of an event stream, read by `fetch` since `EventSource` sends no header. Reconnects. */
async function* follow(
  events: DownloadOptions['events'],
  signal: AbortSignal,
): AsyncGenerator<Message, never> {
  const open = typeof events === 'string' ? () => fetch(events, { signal }) : () => events(signal);
  let isFirst = true;
  for (;;) {
    try {
      const answer = await open();
      const isStream = answer.ok && answer.headers.get('Content-Type')?.startsWith('text/event-stream');
      // What a proxy or a node that restarts answers is asked for again
      if (!isStream && (isFirst || answer.status < 500)) {
        throw new DownloadFailed(`EVENTS_${answer.status}`);
      }
      isFirst = false;
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
        const messages = (text + value).split('\n\n');
        text = messages.pop()!;
        yield* messages.flatMap(messageOf);
      }
    } catch (error) {
      signal.throwIfAborted();
      if (isFirst || error instanceof DownloadFailed) {
        throw error instanceof DownloadFailed ? error : new DownloadFailed('UNREACHABLE');
      }
    }
    await later(RECONNECT_AFTER);
  }
}

/** None for what the application sends beside them. */
function messageOf(text: string): Message[] {
  const field = (name: string) => new RegExp(`^${name}: (.*)`, 'm').exec(text)?.[1] ?? '';
  try {
    const data = JSON.parse(field('data')) as Message['data'] | null;
    return typeof data?.bytes === 'number' ? [{ type: field('event'), id: field('id'), data }] : [];
  } catch {
    return [];
  }
}
