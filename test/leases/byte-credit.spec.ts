import { describe, expect, it } from 'vitest';
import { ByteCredit, firstCredit, SharedBudgets } from '../../lib/leases/byte-credit.js';
import { MIB } from './support/downloads.js';

/** Sends all in small writes, with a budget that answers at once. Answers the steps and what was sent. */
function run(total: number, budget: number) {
  let granted = Math.min(firstCredit(total), budget);
  const credit = new ByteCredit(total, granted);
  const asked = [];
  while (credit.sent < total && !credit.exhausted) {
    credit.spend(MIB / 64);
    if (credit.low) {
      const target = credit.target;
      asked.push(target);
      granted = Math.min(target, budget);
      credit.answered(granted, target);
    }
    expect(credit.sent).toBeLessThanOrEqual(granted);
  }
  return { asked, sent: credit.sent };
}

describe('byte credit', () => {
  it('asks for nothing in a small download', () => {
    expect(run(MIB, 2 * MIB)).toEqual({ asked: [], sent: MIB });
  });

  it('asks ahead, in steps that grow with what was sent, and never for more than will be', () => {
    const { asked, sent } = run(1000 * MIB, 2000 * MIB);
    expect(sent).toBe(1000 * MIB);
    expect(asked.length).toBeLessThan(100);
    expect(asked.at(-1)).toBe(1000 * MIB);
  });

  it('sends to the last byte of a budget, and no further', () => {
    expect(run(1000 * MIB, 300 * MIB).sent).toBe(300 * MIB);
    expect(run(1000 * MIB, MIB / 2).sent).toBe(MIB / 2);
  });

  it('goes on when others gave back what they had of the budget', () => {
    const credit = new ByteCredit(10 * MIB, MIB / 2);
    expect(credit.low).toBe(false);
    credit.answered(credit.target, credit.target);
    credit.spend(MIB / 2 + 1);
    expect(credit.exhausted).toBe(false);
    expect(credit.low).toBe(true);
  });

  it('is overdrawn by all requests of a node together no further than the budget goes', () => {
    const budgets = new SharedBudgets();
    const credits = [20, 15, 10].map(
      (left) => new ByteCredit(100 * MIB, MIB, left * MIB, budgets.join('lease-1')),
    );
    let sent = 0;
    // The store answers none of them.
    while (!credits.every((credit) => credit.exhausted)) {
      for (const credit of credits) {
        if (!credit.exhausted) {
          credit.spend(MIB / 4);
          sent += MIB / 4;
        }
      }
    }
    expect(sent).toBe(13 * MIB);
    credits[0]!.close();
    expect(credits[1]!.exhausted).toBe(true);
    expect(new ByteCredit(MIB, MIB, 0, budgets.join('lease-2')).exhausted).toBe(false);
  });
});
