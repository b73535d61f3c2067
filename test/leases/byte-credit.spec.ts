import { describe, expect, it } from 'vitest';
import { ByteCredit, firstCredit } from '../../lib/leases/byte-credit.js';
import { MIB } from './support/downloads.js';

/** Takes all in small writes, with a budget that answers at once. Answers the steps and what was taken. */
function run(total: number, budget: number) {
  const credit = new ByteCredit(total, Math.min(firstCredit(total), budget));
  const asked = [];
  while (credit.take(MIB / 64) > 0) {
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
  });

  it('goes on where nobody answers, and holds again when somebody does', () => {
    const credit = new ByteCredit(100 * MIB, MIB);
    credit.answered(undefined, credit.target);
    expect(credit.take(50 * MIB)).toBe(50 * MIB);
    expect(credit.low).toBe(false);
    credit.answered(51 * MIB, credit.target);
    expect([credit.take(2 * MIB), credit.take(1)]).toEqual([MIB, 0]);
  });
});
