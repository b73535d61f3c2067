import { formatBytes, formatShare } from './format.js';

/** A happening in words. */
export function wordsFor({ type, status, code, length, from = 0, bytes = 0 }) {
  const size = length === undefined ? '' : ` of ${formatBytes(length)}`;
  switch (type) {
    case 'opened':
      return 'Download started.';
    case 'resumed':
      return from > 0 && length ? `Resumed at ${formatShare(from, length)}.` : 'Requested again.';
    case 'completed':
      return length === undefined ? 'Complete.' : `Complete: all ${formatBytes(length)} sent.`;
    case 'aborted':
      return code
        ? `Stopped by the server after ${formatBytes(bytes)}${size}.`
        : `Interrupted after ${formatBytes(bytes)}${size}. It can be resumed.`;
    case 'refused':
      return `Request refused: ${status} ${REFUSALS[code] ?? code}.`;
    case 'revoked':
      return 'Revoked by you.';
    default:
      return type;
  }
}

/** Why a download that the page started has failed. */
export function wordsForRefusal({ code, message }) {
  return `Your browser does not have all of it: ${REFUSALS[code] ?? message}.`;
}

const REFUSALS = {
  LINK_EXPIRED: 'expired',
  LINK_REVOKED: 'revoked',
  LINK_USED_UP: 'used up',
  LINK_SCOPE: 'made for another file',
  LINK_UNCONFIRMED: 'not confirmed yet',
  CHALLENGE_UNANSWERED: 'asked for the password',
  CHALLENGE_FAILED: 'wrong password',
  CHALLENGE_BLOCKED: 'too many wrong passwords',
  PREFETCH_REFUSED: 'prefetch',
  UNREACHABLE: 'the server cannot be reached',
};

/** The progress of a download in words. */
export function wordsForProgress({ bytes, length, running, complete, downloads }, isRevoked) {
  if (complete) {
    return `All ${formatBytes(length)} sent`;
  }
  const sent = `${formatShare(bytes, length)}, ${formatBytes(bytes)} of ${formatBytes(length)}`;
  if (running) {
    return downloads > 1 ? `${sent}. ${downloads} downloads are running` : sent;
  }
  return isRevoked ? `Stopped at ${sent}` : `Paused at ${sent}`;
}
