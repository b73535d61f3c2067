/** What is said and sent when a download is refused. */
export interface RefusalDefinition {
  readonly status: number;
  /** One sentence for the person who reads the answer. Never names a claim, a key or a token. */
  readonly message: string;
  /** What that person can do now: the second sentence of the page. */
  readonly advice: string;
  /** The `error` of the RFC 6750 §3.1 challenge, where the answer carries one. */
  readonly challenge?: 'invalid_token' | 'invalid_request' | 'none';
  /** Seconds for `Retry-After` (RFC 9110 §10.2.3), where the caller gives none. */
  readonly retryAfter?: number;
}

/** Every refusal, by its code. To change what one of them says, change it here and nowhere else. */
export const REFUSALS = {
  TOKEN_MISSING: {
    status: 401,
    message: 'Sign in to download this file.',
    advice: 'Go back to the application, sign in, and start the download from there.',
    challenge: 'none',
  },
  TOKEN_INVALID: {
    status: 401,
    message: 'The access token is not valid.',
    advice: 'Go back to the application, sign in again, and start the download from there.',
    challenge: 'invalid_token',
  },
  TOKEN_EXPIRED: {
    status: 401,
    message: 'The access token has expired.',
    advice: 'You have been signed out after some time. Sign in again and start the download once more.',
    challenge: 'invalid_token',
  },
  TOKEN_NOT_YET_VALID: {
    status: 401,
    message: 'The access token is not valid yet.',
    advice: 'Wait a minute and try again. If that does not help, tell the people who run the application.',
    challenge: 'invalid_token',
  },
  TOKEN_CUT_OFF: {
    status: 401,
    message: 'The access token was issued before tokens of its age were withdrawn.',
    advice: 'Everyone has to sign in again. Do so, then start the download once more.',
    challenge: 'invalid_token',
  },
  TOKEN_AMBIGUOUS: {
    status: 400,
    message: 'The request carries more than one token.',
    advice:
      'Open the link as you got it, unchanged. If you did, delete the cookies of this site in your browser, and sign in again.',
    challenge: 'invalid_request',
  },
  ACCESS_DENIED: {
    status: 403,
    message: 'You may not download this file.',
    advice: 'Ask the owner of the file for access. If you have two accounts, sign in with the other one.',
  },
  INSECURE_CONNECTION: {
    status: 403,
    message:
      'Downloads need a secure connection (HTTPS). Behind a proxy that ends TLS, let the application trust it ' +
      '("trust proxy" on Express, trustProxy on Fastify).',
    advice:
      'Write https:// instead of http:// at the start of the address. If that is what you have, tell ' +
      'the people who run the application what this page says.',
  },
  LINK_MISSING: {
    status: 403,
    message: 'This file can be downloaded with a link only.',
    advice: 'Open the link as you got it. If you have none, ask for one where the file is offered.',
  },
  LINK_INVALID: {
    status: 403,
    message: 'This download link is not genuine.',
    advice:
      'It may have been cut short when it was copied. Copy all of it, or ask for a new one where you got it.',
  },
  LINK_SCOPE: {
    status: 403,
    message: 'This download link was made for something else.',
    advice:
      'Its address may have been changed on the way. Open it unchanged, or ask for a new one where you got it.',
  },
  LINK_SUBJECT: {
    status: 403,
    message: 'This download link was made for another user.',
    advice: 'Sign in as the person it was made for and open it again, or ask for a link of your own.',
  },
  LINK_ADDRESS: {
    status: 403,
    message: 'This download link cannot be used from this network.',
    advice: 'Connect to the network it was made for, such as that of your office, and open it again.',
  },
  LINK_NOT_YET_VALID: {
    status: 403,
    message: 'This download link is not valid yet.',
    advice: 'It was made for a later time. Try it again then.',
    retryAfter: 60,
  },
  LINK_EXPIRED: {
    status: 410,
    message: 'This download link has expired.',
    advice: 'Links work for a limited time only. Ask for a new one where you got it.',
  },
  LINK_REVOKED: {
    status: 410,
    message: 'This download link has been revoked.',
    advice: 'Whoever made it has withdrawn it. Ask them why, or for a new one.',
  },
  LINK_USED_UP: {
    status: 410,
    message: 'This download link has been used up.',
    advice: 'It was good for a limited number of downloads. Ask for a new one where you got it.',
  },
  LINK_UNCONFIRMED: {
    status: 403,
    message: 'This download link has to be confirmed in a browser.',
    advice: 'Nothing was counted. Open it in a browser and press the button that it shows.',
  },
  CHALLENGE_UNANSWERED: {
    status: 403,
    message: 'This download link asks for a password or a code.',
    advice:
      'Open it in a browser and enter what you were given. A program sends it by POST, in the form field "answer".',
  },
  CHALLENGE_FAILED: {
    status: 403,
    message: 'The password or code is not right.',
    advice: 'Check it and try again. Too many wrong ones block the link for a while.',
  },
  CHALLENGE_BLOCKED: {
    status: 429,
    message: 'Too many wrong passwords or codes were given for this download link.',
    advice:
      'Wait until that time is over: then the right one works again. If you do not have it, ask who sent you the link.',
    retryAfter: 900,
  },
  LINK_BUSY: {
    status: 503,
    message: 'Too many connections use this download link at once.',
    advice: 'Wait until one of the downloads that run has ended, then try again.',
    retryAfter: 5,
  },
  PREFETCH_REFUSED: {
    status: 503,
    message: 'This download link counts its uses and is not opened ahead of time.',
    advice: 'Your browser tried to load it in advance, which did not count. Open it now.',
    retryAfter: 1,
  },
  BOT_REFUSED: {
    status: 403,
    message: 'This download link counts its uses and is not opened for previews or crawlers.',
    advice: 'Nothing was counted. Open it in a browser or with a download program.',
  },
  KEY_UNAVAILABLE: {
    status: 503,
    message: 'The access token cannot be checked at the moment.',
    advice: 'Nothing is wrong with your sign-in. Try again in a few seconds.',
    retryAfter: 5,
  },
  STORE_UNAVAILABLE: {
    status: 503,
    message: 'This download link cannot be checked at the moment.',
    advice: 'Nothing is wrong with the link, and nothing was counted. Try again in a few seconds.',
    retryAfter: 5,
  },
} as const satisfies Record<string, RefusalDefinition>;

/** Replaces the message of `LINK_REVOKED` and `LINK_USED_UP` where the store was created after the link. */
export const LINK_OLDER_THAN_STORE =
  'This download link is older than the record of its use, and cannot be used any more.';
