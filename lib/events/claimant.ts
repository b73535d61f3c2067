import { RequestNote } from '../http/notes.js';
import type { Transport } from '../http/http-exchange.js';

/**
 * Whom and what a request was found to speak for, for the events about it: known before it is granted
 * anything.
 */
export interface Claimant {
  readonly linkId?: string;
  readonly subject?: string;
  readonly resource?: string;
  /** The path that was asked for, without the query. */
  readonly path?: string;
}

/** Where the deciding token of a request came from, known before it was verified. */
export const transportNote = new RequestNote<Transport>('transport');

/** The claimant of a request, once a token of it was found genuine. */
export const claimantNote = new RequestNote<Claimant>('claimant');
