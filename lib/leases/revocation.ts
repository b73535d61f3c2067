/**
 * A withdrawal of links, as the stores keep it. A link is withdrawn if it carries the name and was
 * issued before the moment; `link` names one link, `resource` and `subject` are fingerprints, and
 * `all` is every link (its name is empty).
 */
export interface Revocation {
  readonly kind: 'link' | 'resource' | 'subject' | 'all';
  readonly name: string;
  /** Milliseconds since the epoch; links issued at this moment or later stay good. */
  readonly issuedBefore: number;
  /** Milliseconds since the epoch until which some link it concerns might still be used. */
  readonly keepUntil: number;
}

const KINDS: readonly unknown[] = ['link', 'resource', 'subject', 'all'] satisfies Revocation['kind'][];

/** The revocation that another process wrote down as JSON; undefined for what is none. */
export function parseRevocation(text: string): Revocation | undefined {
  try {
    const { kind, name, issuedBefore, keepUntil } = JSON.parse(text) as Record<string, unknown>;
    const isOne = KINDS.includes(kind) && typeof name === 'string' && typeof issuedBefore === 'number';
    return isOne ? ({ kind, name, issuedBefore, keepUntil } as Revocation) : undefined;
  } catch {
    return undefined;
  }
}

/** What a revocation may concern. */
export interface Revocable {
  readonly linkId: string;
  readonly resource: string;
  readonly subject?: string;
  readonly issuedAt: number;
}

/** Later than any link: what withdraws a link whenever it was issued. */
export const WHENEVER_ISSUED = Number.MAX_SAFE_INTEGER;

/** Whether the revocation withdraws this link. */
export function concerns(revocation: Revocation, link: Revocable): boolean {
  if (link.issuedAt >= revocation.issuedBefore) {
    return false;
  }
  switch (revocation.kind) {
    case 'link':
      return revocation.name === link.linkId;
    case 'resource':
      return revocation.name === link.resource;
    case 'subject':
      return revocation.name === link.subject;
    case 'all':
      return true;
  }
}

/** The names under which a link may have been revoked, in a fixed order. */
export function revocationNames(
  link: Pick<Revocable, 'linkId' | 'resource' | 'subject'>,
): [Revocation['kind'], string][] {
  const names: [Revocation['kind'], string][] = [
    ['all', ''],
    ['link', link.linkId],
    ['resource', link.resource],
  ];
  if (link.subject !== undefined) {
    names.push(['subject', link.subject]);
  }
  return names;
}
