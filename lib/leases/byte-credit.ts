const MIB = 1024 * 1024;

/** Bytes charged before the first is sent. */
const FIRST = MIB;
const SMALLEST_STEP = MIB;
const LARGEST_STEP = 32 * MIB;

/** Bytes to charge when a request that is about to send `total` starts. */
export function firstCredit(total: number): number {
  return Math.min(total, FIRST);
}

/**
 * What the requests of one lease that run on this node know together of its byte budget: while
 * one of them waits for the store's answer it may send on, but all of them not more than is left.
 */
export class SharedBudget {
  /** Bytes charged to nobody yet, by the latest answer; Infinity without a budget. */
  left = Infinity;
  /** Bytes sent beyond what was granted. */
  overdrawn = 0;

  get spent(): boolean {
    return this.overdrawn >= this.left;
  }
}

/** The budgets of the leases that are in use on this node. */
export class SharedBudgets {
  private readonly byLease = new Map<string, { budget: SharedBudget; users: number }>();

  join(lease: string): SharedBudget {
    const known = this.byLease.get(lease) ?? { budget: new SharedBudget(), users: 0 };
    known.users += 1;
    this.byLease.set(lease, known);
    return known.budget;
  }

  leave(lease: string): void {
    const known = this.byLease.get(lease);
    if (known && --known.users === 0) {
      this.byLease.delete(lease);
    }
  }
}

/**
 * The right of one running request to send bytes, charged to the byte budget of its lease in steps
 * ahead of the sending. So the budget holds across nodes and through a crash without a call to the
 * store for each write; and since a step is at most a quarter of what was sent (and at least
 * 1 MiB), requests that are given up half way hold little of the budget back from others.
 */
export class ByteCredit {
  private bytes = 0;
  private granted = 0;
  private overdrawn = 0;
  private refused = false;

  /**
   * @param total bytes the request will send; Infinity if unknown
   * @param granted bytes it may send without asking
   * @param left bytes that it could be granted beyond these
   */
  constructor(
    private readonly total: number,
    granted: number,
    left?: number,
    private readonly budget = new SharedBudget(),
  ) {
    this.answered(granted, firstCredit(total), left);
  }

  get sent(): number {
    return this.bytes;
  }

  /** Bytes to ask for, those granted included, whenever something is reported anyway. */
  get target(): number {
    const step = Math.min(LARGEST_STEP, Math.max(SMALLEST_STEP, Math.ceil(this.bytes / 4)));
    return Math.min(this.total, Math.max(this.granted, this.bytes + step));
  }

  /** Half the step is used up: ask before the rest is. */
  get low(): boolean {
    return !this.refused && this.target - this.granted > (this.target - this.bytes) / 2;
  }

  /** All is sent that was granted or, while the answer is under way, could be; and there was more to send. */
  get exhausted(): boolean {
    return this.bytes >= this.granted && this.bytes < this.total && (this.refused || this.budget.spent);
  }

  spend(bytes: number): void {
    this.bytes += bytes;
    this.overdraw();
  }

  /** Takes in the store's answer to having asked for `asked` bytes. */
  answered(granted: number, asked: number, left = Infinity): void {
    this.granted = Math.max(this.granted, granted);
    this.refused = granted < asked;
    this.budget.left = left;
    this.overdraw();
  }

  /** The request has ended: what it overdrew is no longer there for others. */
  close(): void {
    this.budget.left -= this.overdrawn;
    this.budget.overdrawn -= this.overdrawn;
    this.overdrawn = 0;
  }

  private overdraw(): void {
    const overdrawn = Math.max(0, this.bytes - this.granted);
    this.budget.overdrawn += overdrawn - this.overdrawn;
    this.overdrawn = overdrawn;
  }
}
