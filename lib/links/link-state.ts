import { isValidDate, rule } from '../shared/check-options.js';
import type { GrantedLink } from '../tokens/grant.js';

/** The rule for what a link may depend on. */
export const stateRule = rule(
  isLinkedState,
  'give a string, a number, a boolean, a valid Date, null or a list of them, such as share.updatedAt.',
);

function isLinkedState(state: unknown): boolean {
  if (Array.isArray(state)) {
    return state.every(isLinkedState);
  }
  const isPlain = typeof state === 'string' || typeof state === 'boolean' || Number.isFinite(state);
  return state === null || isPlain || isValidDate(state);
}

/** Links whose handler said what they depend on, as requests have them. */
const asked = new WeakSet<GrantedLink>();

export function noteAsked(link: GrantedLink): void {
  asked.add(link);
}

/** Whether the handler of a link with a state has forgotten to compare it. */
export function isUnasked(link: GrantedLink): boolean {
  return link.state !== undefined && !asked.has(link);
}
