import { DownloadRefusal } from '../refusals/download-refusal.js';

/** Milliseconds for which a store that failed is not asked by those who can do without. */
const REST = 1000;

/** Calls to a store that may be slow or gone. */
export class StoreCalls {
  private restUntil = -Infinity;

  constructor(
    private readonly timeout: number,
    private readonly clock: () => number,
  ) {}

  /**
   * The store's answer.
   *
   * @param late is given an answer that came after the timeout, to undo what it did
   * @throws DownloadRefusal STORE_UNAVAILABLE
   */
  async required<T>(call: () => Promise<T>, late?: (answer: T) => void): Promise<T> {
    try {
      return await this.within(call, late);
    } catch (error) {
      this.restUntil = this.clock() + REST;
      throw new DownloadRefusal('STORE_UNAVAILABLE', { cause: error });
    }
  }

  /** The store's answer, or undefined if there is none, or was none a moment ago. */
  async optional<T>(call: () => Promise<T>, late?: (answer: T) => void): Promise<T | undefined> {
    const now = this.clock();
    if (now < this.restUntil && now >= this.restUntil - REST) {
      return undefined;
    }
    return this.required(call, late).catch(() => undefined);
  }

  private within<T>(call: () => Promise<T>, late?: (answer: T) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let over = false;
      const timer = setTimeout(() => {
        over = true;
        reject(new Error(`The lease store did not answer within ${this.timeout} ms.`));
      }, this.timeout);
      const settle = (then: () => void) => {
        clearTimeout(timer);
        then();
      };
      // What throws where it should reject is a rejection, too
      (async () => call())().then(
        (answer) => settle(() => (over ? late?.(answer) : resolve(answer))),
        (error: unknown) => settle(() => reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  }
}
