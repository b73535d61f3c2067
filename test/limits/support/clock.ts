/** A clock that starts now and stands still unless told otherwise; milliseconds. */
export interface TestClock {
  (): number;
  advance(milliseconds: number): void;
}

export function testClock(): TestClock {
  let now = Date.now();
  return Object.assign(() => now, {
    advance(milliseconds: number) {
      now += milliseconds;
    },
  });
}
