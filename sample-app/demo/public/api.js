/**
 * The access token is kept in this variable only. In localStorage it would outlive the session, and any
 * injected script could read it; in the address it would be in the history. The price: signing in again after
 * a reload.
 */
let accessToken;

/** How far the server's clock is ahead of this computer's, ms. */
let clockLead = 0;

/** An answer that is not a success. `code` is the refusal code of the package, if there is one. */
export class ApiError extends Error {
  constructor(status, { message, code } = {}) {
    super([message].flat()[0] ?? `The server answered ${status}.`);
    this.status = status;
    this.code = code;
  }
}

export async function login(username, password) {
  const session = await call('POST', '/auth/login', { username, password });
  accessToken = session.accessToken;
  return { expiresAt: new Date(session.expiresAt) };
}

/** Forgets the token, and clears the cookie. */
export async function logout() {
  accessToken = undefined;
  await call('POST', '/auth/logout').catch(() => undefined);
}

export const setCookie = () => call('POST', '/auth/cookie');
export const listFiles = () => call('GET', '/files');
/** Links for what the page shows itself. */
export const listMedia = () => call('GET', '/media');
export const listLinks = () => call('GET', '/links');
export const createLink = (fileId, limits) => call('POST', `${filePath(fileId)}/links`, limits);
/** A link that is served at 4 MB a second. */
export const createSlowLink = (fileId, limits) => call('POST', `${slowPath(fileId)}/links`, limits);
export const revokeLink = (id) => call('DELETE', `/links/${encodeURIComponent(id)}`);

export const filePath = (fileId) => `/files/${encodeURIComponent(fileId)}`;
export const slowPath = (fileId) => `/slow/${encodeURIComponent(fileId)}`;

/** A URL with the access token, for a download that starts at once. It never goes into the address bar. */
export const filePathWithToken = (fileId) => `${filePath(fileId)}?ss-tok=${encodeURIComponent(accessToken)}`;

/** The server's time in milliseconds since 1970: links expire by its clock. */
export const serverNow = () => Date.now() + clockLead;

/** Requests a file with the token in the header. The caller reads the body. */
export async function fetchFile(fileId, signal) {
  const response = await request(filePath(fileId), { headers: authorization(), signal, cache: 'no-store' });
  if (!response.ok) {
    throw await errorOf(response);
  }
  return response;
}

/**
 * The server-sent events about one's links. `EventSource` cannot send the header, and the token should not be
 * in the URL.
 */
export async function openLiveLinks(signal) {
  const response = await fetchEvents('/links/events', signal);
  if (!response.ok) {
    throw await errorOf(response);
  }
  return response.body;
}

/** The events of one link, for the browser module of the package. */
export const linkEvents = (id) => (signal) => fetchEvents(`/links/${encodeURIComponent(id)}/events`, signal);

const fetchEvents = (path, signal) => fetch(path, { headers: authorization(), signal, cache: 'no-store' });

/**
 * Requests the first byte of a link without cookies, as a stranger would.
 * @returns the error, or `undefined` if the link works
 */
export async function tryLink(url) {
  const response = await request(url, {
    headers: { Accept: 'application/json', Range: 'bytes=0-0' },
    credentials: 'omit',
    cache: 'no-store',
  });
  if (!response.ok) {
    return errorOf(response);
  }
  await response.body?.cancel();
  return undefined;
}

async function call(method, path, body) {
  const response = await request(path, {
    method,
    headers: { ...authorization(), ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  noteClock(response);
  if (!response.ok) {
    throw await errorOf(response);
  }
  return response.status === 204 ? undefined : response.json();
}

async function request(url, init) {
  try {
    return await fetch(url, init);
  } catch {
    init.signal?.throwIfAborted();
    throw new ApiError(0, { message: 'The server cannot be reached.' });
  }
}

const authorization = () => (accessToken ? { Authorization: `Bearer ${accessToken}` } : {});

async function errorOf(response) {
  return new ApiError(response.status, await response.json().catch(() => undefined));
}

function noteClock(response) {
  const lead = Date.parse(response.headers.get('Date') ?? '') - Date.now();
  // The header has whole seconds, so smaller differences are ignored.
  clockLead = Math.abs(lead) > 2000 ? lead : 0;
}
