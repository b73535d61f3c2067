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
 * The right of one running request to send bytes, charged to the byte budget of its lease in steps
 * ahead of the sending. So the budget holds across nodes and through a crash without a call to the
 * store for each write; and since a step is at most a quarter of what was sent (and at least
 * 1 MiB), requests that are given up half way hold little of the budget back from others.
 */
export class ByteCredit {
  sent = 0;
  private refused = false;

  /**
   * @param total bytes the request will send; Infinity if unknown
   * @param granted bytes it may send without asking
   */
  constructor(
    private readonly total: number,
    private granted: number,
  ) {
    this.refused = granted < firstCredit(total);
  }

  /** Bytes to ask for, those granted included, whenever something is reported anyway. */
  get target(): number {
    const step = Math.min(LARGEST_STEP, Math.max(SMALLEST_STEP, Math.ceil(this.sent / 4)));
    return Math.min(this.total, Math.max(this.granted, this.sent + step));
  }

  /** Half the step is used up: ask before the rest is. */
  get low(): boolean {
    return !this.refused && this.target - this.granted > (this.target - this.sent) / 2;
  }

  /** All that was granted is sent, and there is no more to have. */
  get exhausted(): boolean {
    return this.refused && this.sent >= this.granted && this.sent < this.total;
  }

  /** Takes in the store's answer to having asked for `asked` bytes. */
  answered(granted: number, asked: number): void {
    this.granted = Math.max(this.granted, granted);
    this.refused = granted < asked;
  }
}
