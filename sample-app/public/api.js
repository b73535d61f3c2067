/**
 * The access token, in a variable and nowhere else: what is kept in localStorage outlives the session and is there for
 * any script that ever gets into the page; what is in the address is in the history. The price is signing in again after
 * a reload.
 */
let accessToken;

/** How far the server's clock is ahead of this computer's, in milliseconds. */
let clockLead = 0;

/** An answer that is no success. `code` is the package's refusal code, where there is one. */
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

/** Forgets the token, and has the browser forget the cookie. */
export async function logout() {
  accessToken = undefined;
  await call('POST', '/auth/logout').catch(() => undefined);
}

export const setCookie = () => call('POST', '/auth/cookie');
export const listFiles = () => call('GET', '/files');
export const listLinks = () => call('GET', '/links');
export const createLink = (fileId, options) => call('POST', `${filePath(fileId)}/links`, options);
export const revokeLink = (id) => call('DELETE', `/links/${encodeURIComponent(id)}`);

export const filePath = (fileId) => `/files/${encodeURIComponent(fileId)}`;

/** A URL that carries the access token. It is for a download that starts at once, never for the address bar. */
export const filePathWithToken = (fileId) => `${filePath(fileId)}?ss-tok=${encodeURIComponent(accessToken)}`;

/** Milliseconds since 1970 as the server counts them: links expire by its clock. */
export const serverNow = () => Date.now() + clockLead;

/** Opens a file with the token in the header. The caller reads the body. */
export async function fetchFile(fileId, signal) {
  const response = await fetch(filePath(fileId), { headers: authorization(), signal, cache: 'no-store' });
  if (!response.ok) throw await errorOf(response);
  return response;
}

/**
 * What happens to the links of the person who is signed in, as a stream of server-sent events. `EventSource` could not
 * send the header, and a token does not belong into the address.
 */
export async function openLiveLinks(signal) {
  const response = await fetch('/links/events', { headers: authorization(), signal, cache: 'no-store' });
  if (!response.ok) throw await errorOf(response);
  return response.body;
}

/**
 * Opens a link the way a stranger would, without cookies.
 * @returns the error it meets, `undefined` if it works
 */
export async function tryLink(url) {
  const response = await fetch(url, {
    headers: { Accept: 'application/json' },
    credentials: 'omit',
    cache: 'no-store',
  });
  if (!response.ok) return errorOf(response);
  await response.body?.cancel();
  return undefined;
}

async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: { ...authorization(), ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
  }).catch(() => {
    throw new ApiError(0, { message: 'The server cannot be reached.' });
  });
  noteClock(response);
  if (!response.ok) throw await errorOf(response);
  return response.status === 204 ? undefined : response.json();
}

const authorization = () => (accessToken ? { Authorization: `Bearer ${accessToken}` } : {});

async function errorOf(response) {
  return new ApiError(response.status, await response.json().catch(() => undefined));
}

function noteClock(response) {
  const lead = Date.parse(response.headers.get('Date') ?? '') - Date.now();
  // the header counts whole seconds, so a smaller difference says nothing
  clockLead = Math.abs(lead) > 2000 ? lead : 0;
}
