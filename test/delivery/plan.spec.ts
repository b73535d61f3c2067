import { describe, expect, it } from 'vitest';
import { planDelivery } from '../../lib/delivery/plan.js';
import type { PlannedRequest } from '../../lib/delivery/plan.js';

const representation = { length: 100, seekable: true, etag: '"a"', lastModified: Date.UTC(2024, 0, 1) };
const plan = (fields: Record<string, string>, more: Partial<PlannedRequest> = {}, of: object = {}) =>
  planDelivery(
    { method: 'GET', fields, status: 200, maxRanges: 16, now: Date.UTC(2026, 0, 1), ...more },
    { ...representation, ...of },
  );

describe('the plan of an answer', () => {
  it.each([
    ['a range', { range: 'bytes=0-9' }, {}, {}, 206, [[0, 10]], 'bytes 0-9/100'],
    ['a range of the whole', { range: 'bytes=0-' }, {}, {}, 206, [[0, 100]], 'bytes 0-99/100'],
    ['two ranges that are one', { range: 'bytes=0-4,3-9' }, {}, {}, 206, [[0, 10]], 'bytes 0-9/100'],
    ['a range beyond the end', { range: 'bytes=100-' }, {}, {}, 416, [], 'bytes */100'],
    ['a malformed range', { range: 'bytes=x' }, {}, {}, 200, [[0, 100]], undefined],
    ['HEAD, range or not', { range: 'bytes=0-9' }, { method: 'HEAD' }, {}, 200, [], undefined],
    ['POST, range or not', { range: 'bytes=0-9' }, { method: 'POST' }, {}, 200, [[0, 100]], undefined],
    ['POST with a condition', { 'if-none-match': '"a"' }, { method: 'POST' }, {}, 200, [[0, 100]], undefined],
    [
      'another status',
      { range: 'bytes=0-9', 'if-none-match': '*' },
      { status: 203 },
      {},
      203,
      [[0, 100]],
      undefined,
    ],
    ['content that cannot seek', { range: 'bytes=0-9' }, {}, { seekable: false }, 200, [[0, 100]], undefined],
    ['no length', {}, {}, { seekable: false, length: undefined }, 200, [[0, Infinity]], undefined],
    ['a failed If-Range', { range: 'bytes=0-9', 'if-range': '"b"' }, {}, {}, 200, [[0, 100]], undefined],
    ['a good If-Range', { range: 'bytes=0-9', 'if-range': '"a"' }, {}, {}, 206, [[0, 10]], 'bytes 0-9/100'],
    ['a good If-Range beyond', { range: 'bytes=200-', 'if-range': '"a"' }, {}, {}, 416, [], 'bytes */100'],
    [
      'a failed If-Range beyond',
      { range: 'bytes=200-', 'if-range': '"b"' },
      {},
      {},
      200,
      [[0, 100]],
      undefined,
    ],
    ['an empty If-Range', { range: 'bytes=0-9', 'if-range': '' }, {}, {}, 200, [[0, 100]], undefined],
    ['If-Range alone', { 'if-range': '"a"' }, {}, {}, 200, [[0, 100]], undefined],
    ['a condition before the range', { range: 'bytes=200-', 'if-match': '"b"' }, {}, {}, 412, [], undefined],
    ['304 before the range', { range: 'bytes=0-9', 'if-none-match': '"a"' }, {}, {}, 304, [], undefined],
    ['an empty representation', {}, {}, { length: 0 }, 200, [], undefined],
  ] as const)('for %s', (_name, fields, request, of, status, intervals, contentRange) => {
    const decided = plan(fields, request, of);
    expect(decided.contentRange).toBe(contentRange);
    expect(decided).toMatchObject({
      status,
      intervals: intervals.map(([start, end]) => ({ start, end })),
      ranged: 'range' in fields,
    });
  });

  it('for several ranges has no Content-Range of its own', () => {
    const decided = plan({ range: 'bytes=0-9,20-29' });
    expect(decided).toMatchObject({ status: 206, intervals: [{ start: 0 }, { start: 20 }] });
    expect(decided.contentRange).toBeUndefined();
  });

  it.each([
    ['no Range', {}, {}, {}],
    ['one range', { range: 'bytes=0-9' }, {}, {}],
    ['several ranges', { range: 'bytes=0-9,20-29' }, {}, {}],
    ['more ranges than maxRanges', { range: 'bytes=0-9,20-29' }, { maxRanges: 1 }, {}],
    ['malformed Range', { range: 'bytes=x' }, {}, {}],
    ['empty content', { range: 'bytes=-1' }, {}, { length: 0 }],
    ['Range outside the content', { range: 'bytes=100-' }, {}, {}],
    ['If-Range did not match', { range: 'bytes=0-9', 'if-range': '"b"' }, {}, {}],
    ['not seekable', { range: 'bytes=0-9' }, {}, { seekable: false }],
    ['ranges are off', { range: 'bytes=0-9' }, {}, { seekable: false, rangesOff: true }],
    ['HEAD ignores Range', { range: 'bytes=0-9' }, { method: 'HEAD' }, {}],
    ['not GET or HEAD', { range: 'bytes=0-9' }, { method: 'POST' }, {}],
    ['status set by the handler', { range: 'bytes=0-9' }, { status: 203 }, {}],
    ['If-Match did not match', { 'if-match': '"b"' }, {}, {}],
    [
      'modified since If-Unmodified-Since',
      { 'if-unmodified-since': 'Sun, 31 Dec 2023 00:00:00 GMT' },
      {},
      {},
    ],
    ['If-None-Match matched', { 'if-none-match': '"a"' }, {}, {}],
    [
      'not modified since If-Modified-Since',
      { 'if-modified-since': 'Mon, 01 Jan 2024 00:00:00 GMT' },
      {},
      {},
    ],
  ] as const)('says why: %s', (reason, fields, request, of) => {
    expect(plan(fields, request, of).reason).toBe(reason);
  });

  it('tells whether If-Range matched', () => {
    expect(plan({ range: 'bytes=0-9', 'if-range': '"a"' }).ifRangeMatched).toBe(true);
    expect(plan({ range: 'bytes=0-9', 'if-range': '"b"' }).ifRangeMatched).toBe(false);
    expect(plan({ range: 'bytes=0-9' }).ifRangeMatched).toBe(false);
  });
});
