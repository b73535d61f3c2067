/** Milliseconds of one turn of the event loop that all bodies together may take. */
const SHARE = 2;

const waiting: (() => void)[] = [];
/** When the bodies' share of this turn is used up; 0 before the first of them ran. */
let shareEnds = 0;

/**
 * Resolves after the event loop has polled. A body that never waits for I/O (its bytes are in memory, its
 * client takes them at once) would otherwise run in microtasks only and keep every other request waiting.
 * Bodies that wait here take turns, and share {@link SHARE} of each turn.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    setImmediate(admit);
  });
}

/** Whether the bodies have used up their share of this turn, or others wait already. */
export function isTurnFull(): boolean {
  return waiting.length > 0 || isShareUsed();
}

function isShareUsed(): boolean {
  const now = performance.now();
  if (shareEnds === 0) {
    shareEnds = now + SHARE;
    setImmediate(() => (shareEnds = 0));
  }
  return now > shareEnds;
}

/** Runs once for each of {@link waiting}, and what it resolves runs before the next call. */
function admit(): void {
  if (isShareUsed()) {
    setImmediate(admit);
  } else {
    waiting.shift()?.();
  }
}
