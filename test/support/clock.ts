/** A clock that stands still unless told otherwise; milliseconds. */
export interface TestClock {
  (): number;
  advance(milliseconds: number): void;
}

export function testClock(now = Date.now()): TestClock {
  return Object.assign(() => now, {
    advance(milliseconds: number) {
      now += milliseconds;
    },
  });
}
