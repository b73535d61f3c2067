import { describe, expect, it } from 'vitest';
import { SentLedger } from '../../../lib/delivery/body/sent-ledger.js';
import { multipartLayout } from '../../../lib/delivery/multipart-byteranges.js';

describe('the account of what was sent', () => {
  it('counts bytes of the representation and no framing, however the body is cut', () => {
    const layout = multipartLayout(
      [
        { start: 100, end: 110 },
        { start: 5, end: 8 },
      ],
      200,
      'text/plain',
      'b',
    );
    for (const step of [1, 3, 7, 50, 10_000]) {
      const bytes = new Set<number>();
      const ledger = new SentLedger(layout.segments, (start, end) => {
        for (let i = start; i < end; i++) {
          expect(bytes.has(i)).toBe(false);
          bytes.add(i);
        }
      });
      for (let left = layout.length; left > 0; left -= step) {
        ledger.advance(Math.min(step, left));
      }
      expect([...bytes]).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 5, 6, 7]);
      expect(ledger.bytes).toBe(13);
    }
  });

  it('goes on without end where the length is unknown', () => {
    const ledger = new SentLedger([{ start: 0, end: Infinity }]);
    ledger.advance(5);
    ledger.advance(1e12);
    expect(ledger.bytes).toBe(1e12 + 5);
  });

  it('knows which bytes are being written, and which of them no more', () => {
    const ledger = new SentLedger([
      Buffer.from('framing'),
      { start: 100, end: 110 },
      Buffer.from('--'),
      { start: 5, end: Infinity },
    ]);
    expect(ledger.unconfirmed).toBeUndefined();
    ledger.begin(7);
    expect(ledger.unconfirmed).toBeUndefined();
    ledger.advance(7);
    ledger.begin(4);
    expect(ledger.unconfirmed).toEqual([{ start: 100, end: 104 }]);
    ledger.advance(4);
    expect(ledger.unconfirmed).toBeUndefined();
    ledger.begin(11);
    expect(ledger.unconfirmed).toEqual([
      { start: 104, end: 110 },
      { start: 5, end: 8 },
    ]);
    ledger.advance(7);
    expect(ledger.unconfirmed).toEqual([{ start: 5, end: 8 }]);
    expect(ledger.bytes).toBe(10);
  });
});
