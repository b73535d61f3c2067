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
  private granted = 0;
  private refused = false;
  /** What no answer to a question under way can go beyond, unless others give back. */
  private limit = 0;

  /**
   * @param total bytes the request will send; Infinity if unknown
   * @param granted bytes it may send without asking
   * @param left bytes that it could be granted beyond these
   */
  constructor(
    private readonly total: number,
    granted: number,
    left?: number,
  ) {
    this.answered(granted, firstCredit(total), left);
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

  /** All is sent that was granted or, while the answer is under way, could be; and there was more to send. */
  get exhausted(): boolean {
    return this.sent >= (this.refused ? this.granted : this.limit) && this.sent < this.total;
  }

  /** Takes in the store's answer to having asked for `asked` bytes. */
  answered(granted: number, asked: number, left = Infinity): void {
    this.granted = Math.max(this.granted, granted);
    this.refused = granted < asked;
    this.limit = this.granted + left;
  }
}
