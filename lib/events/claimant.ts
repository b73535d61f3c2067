import { RequestNote } from '../http/request-note.js';

/** Whom and what a request was found to speak for, for the events about it: known before it is granted anything. */
export interface Claimant {
  readonly linkId?: string;
  readonly subject?: string;
  readonly resource?: string;
  /** The path that was asked for, without the query. */
  readonly path?: string;
}

/** The claimant of a request, once a token of it was found genuine. */
export const claimantNote = new RequestNote<Claimant>('claimant');
