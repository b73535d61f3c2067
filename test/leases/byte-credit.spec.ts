import { describe, expect, it } from 'vitest';
import { ByteCredit, firstCredit } from '../../lib/leases/byte-credit.js';
import { MIB } from './support/downloads.js';

/** Takes all in small writes, with a budget that answers at once. Answers the steps and what was taken. */
function run(total: number, budget: number) {
  const credit = new ByteCredit(total, Math.min(firstCredit(total), budget));
  const asked = [];
  while (credit.taken < total && !credit.isSpent) {
    credit.take(MIB / 64);
    if (credit.low) {
      const target = credit.target;
      asked.push(target);
      credit.answered(Math.min(target, budget), target);
    }
    expect(credit.taken).toBeLessThanOrEqual(budget);
  }
  return { asked, taken: credit.taken };
}

describe('byte credit', () => {
  it('asks for nothing in a small download', () => {
    expect(run(MIB, 2 * MIB)).toEqual({ asked: [], taken: MIB });
  });

  it('asks ahead, in steps that grow with what was sent, and never for more than will be', () => {
    const { asked, taken } = run(1000 * MIB, 2000 * MIB);
    expect(taken).toBe(1000 * MIB);
    expect(asked.length).toBeLessThan(100);
    expect(asked.at(-1)).toBe(1000 * MIB);
  });

  it('goes to the last byte of a budget, and no further', () => {
    expect(run(1000 * MIB, 300 * MIB + 1).taken).toBe(300 * MIB + 1);
    expect(run(1000 * MIB, 7).taken).toBe(7);
  });

  it('goes on when others gave back what they had of the budget', () => {
    const credit = new ByteCredit(10 * MIB, MIB / 2);
    expect(credit.low).toBe(false);
    credit.answered(credit.target, credit.target);
    expect(credit.take(MIB - 1)).toBe(MIB - 1);
    expect(credit.isSpent).toBe(false);
  });

  it('draws on what was left where nobody answers, and no further', () => {
    const credit = new ByteCredit(100 * MIB, MIB);
    let left = 5 * MIB;
    let taken = 0;
    for (let i = 0; i < 1000; i++) {
      taken += credit.take(MIB / 4);
      left -= credit.draw(left);
    }
    expect([taken, left, credit.isSpent]).toEqual([6 * MIB, 0, true]);
  });
});
