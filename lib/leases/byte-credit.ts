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
 * The right of one request to send bytes, charged to the budget of its lease in steps ahead of the sending:
 * the budget holds across nodes and through a crash. A step is at most a quarter of what was sent (and at
 * least 1 MiB), so that requests that break off hold little of the budget back.
 */
export class ByteCredit {
  /** Bytes taken: written, or being written. */
  taken = 0;
  private granted = 0;
  private refused = false;
  private isFree = false;

  /**
   * @param total bytes the request will send; Infinity if unknown
   * @param granted bytes it may send without asking
   */
  constructor(
    private readonly total: number,
    granted: number,
  ) {
    this.answered(granted, firstCredit(total));
  }

  /** Takes up to `bytes` of what is granted. */
  take(bytes: number): number {
    const taken = this.isFree ? bytes : Math.max(0, Math.min(bytes, this.granted - this.taken));
    this.taken += taken;
    return taken;
  }

  /** Bytes to ask for, those granted included, whenever something is reported anyway. */
  get target(): number {
    const step = Math.min(LARGEST_STEP, Math.max(SMALLEST_STEP, Math.ceil(this.taken / 4)));
    return Math.min(this.total, Math.max(this.granted, this.taken + step));
  }

  /** Half the step is used up: ask before the rest is. */
  get low(): boolean {
    return !this.isFree && !this.refused && this.target - this.granted > (this.target - this.taken) / 2;
  }

  /** Takes in the answer to having asked for `asked` bytes. Without one, nothing limits the request. */
  answered(granted: number | undefined, asked: number): void {
    this.isFree = granted === undefined;
    this.granted = Math.max(this.granted, granted ?? 0);
    this.refused = granted !== undefined && granted < asked;
  }
}
