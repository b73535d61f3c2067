import { type Revocation, revocationNames } from '../revocation.js';
import { SweptMap } from './swept-map.js';

interface Cutoff {
  issuedBefore: number;
  keepUntil: number;
}

/** Revocations by kind and name, the latest moment of each. */
export class MemoryRevocations {
  private readonly cutoffs: SweptMap<Cutoff>;

  constructor(capacity: number) {
    this.cutoffs = new SweptMap(capacity, (cutoff, now) => cutoff.keepUntil <= now);
  }

  get size(): number {
    return this.cutoffs.size;
  }

  /** @throws Error if there is no room, since to forget another revocation would be worse */
  add(revocation: Revocation, now: number): void {
    const key = keyOf(revocation.kind, revocation.name);
    const known = this.cutoffs.get(key);
    this.cutoffs.set(
      key,
      {
        issuedBefore: Math.max(revocation.issuedBefore, known?.issuedBefore ?? 0),
        keepUntil: Math.max(revocation.keepUntil, known?.keepUntil ?? 0),
      },
      now,
    );
  }

  /** The moment before which a link of these names is revoked; 0 if it is not. */
  before(link: { linkId: string; resource: string; subject?: string }): number {
    let latest = 0;
    for (const [kind, name] of revocationNames(link)) {
      latest = Math.max(latest, this.cutoffs.get(keyOf(kind, name))?.issuedBefore ?? 0);
    }
    return latest;
  }
}

function keyOf(kind: Revocation['kind'], name: string): string {
  return `${kind}:${name}`;
}
