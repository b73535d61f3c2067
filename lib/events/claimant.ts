/** Whom and what a request was found to speak for, for the events about it: known before it is granted anything. */
export interface Claimant {
  readonly linkId?: string;
  readonly subject?: string;
  readonly resource?: string;
  /** The path that was asked for, without the query. */
  readonly path?: string;
}

const CLAIMANT = Symbol('nestjs-download-auth:claimant');

export function attachClaimant(request: object, claimant: Claimant): void {
  (request as { [CLAIMANT]?: Claimant })[CLAIMANT] = claimant;
}

export function claimantOf(request: object): Claimant | undefined {
  return (request as { [CLAIMANT]?: Claimant })[CLAIMANT];
}
