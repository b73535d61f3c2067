import { Download } from '../../../lib/index.js';

/**
 * Content that stops after its first half until it is let go; for as many requests at a time as there are.
 */
export class HeldContent {
  private letGo!: () => void;
  private gate!: Promise<void>;

  constructor(
    readonly bytes: Buffer,
    private readonly etag: string | undefined = '"held"',
  ) {
    this.hold();
  }

  /** Every answer from now on stops half way; those that are held already stay so for good. */
  hold(): void {
    this.gate = new Promise((resolve) => (this.letGo = resolve));
  }

  /** What was held since the last {@link hold} goes on, and nothing is held any more. */
  release(): void {
    this.letGo();
  }

  get half(): number {
    return this.bytes.length / 2;
  }

  download(): Download {
    const { bytes, half, gate } = this;
    async function* read(start: number, end: number) {
      if (start < half) {
        yield bytes.subarray(start, Math.min(end, half));
      }
      if (end > half) {
        await gate;
        yield bytes.subarray(Math.max(start, half), end);
      }
    }
    return Download.source({
      length: bytes.length,
      etag: this.etag,
      open: ({ start, end }) => read(start, end),
    });
  }
}

/** Content that cannot be opened. */
export function unreadable(): Download {
  return Download.source({
    length: 1000,
    open: () => {
      throw new Error('the object store is away');
    },
  });
}
