import { expect, it } from 'vitest';
import { BodyReader } from '../../lib/delivery/body-reader.js';
import { multipartLayout, plainLayout } from '../../lib/delivery/multipart.js';

const content = Buffer.from(Array.from({ length: 200 }, (_, i) => i));
const read = (reader: BodyReader, size: number) => reader.next(size, false);
const source = (step: number) => ({
  read: async (position: number, end: number) => content.subarray(position, Math.min(end, position + step)),
  close: async () => {},
});

it('reports for every chunk which bytes of the representation it holds, however it is cut; framing is not counted', async () => {
  const intervals = [
    { start: 100, end: 110 },
    { start: 5, end: 8 },
  ];
  const layout = multipartLayout(intervals, 200, 'text/plain', 'b');
  for (const step of [1, 3, 7, 50]) {
    const reader = new BodyReader(layout, source(step));
    const seen: number[] = [];
    let length = 0;
    for (let chunk = await read(reader, step); chunk; chunk = await read(reader, step)) {
      length += chunk.bytes.length;
      if (chunk.interval) {
        expect([...chunk.bytes]).toEqual([...content.subarray(chunk.interval.start, chunk.interval.end)]);
        seen.push(...chunk.bytes);
      }
    }
    expect(seen).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 5, 6, 7]);
    expect(length).toBe(layout.length);
    expect(reader.isComplete).toBe(true);
  }
});

it('reads on to the end of the stream where the length is unknown', async () => {
  const reader = new BodyReader(plainLayout([{ start: 0, end: Infinity }]), source(150));
  expect((await read(reader, 150))?.interval).toEqual({ start: 0, end: 150 });
  expect((await read(reader, 150))?.interval).toEqual({ start: 150, end: 200 });
  expect(reader.isComplete).toBe(false);
  expect(await read(reader, 150)).toBeUndefined();
  expect(reader.isComplete).toBe(true);
});

it('fails with one message for all content that ends early, and says by how much in a field', async () => {
  const reader = new BodyReader(plainLayout([{ start: 0, end: 250 }]), source(200));
  await read(reader, 200);
  await expect(read(reader, 200)).rejects.toMatchObject({
    name: 'TruncatedContentError',
    message: 'The content of a download ended before its announced length.',
    missing: 50,
  });
});

it('lets the loop poll between the chunks of many files that are read at the same time', async () => {
  const file = {
    inPool: true,
    // As from the thread pool: many reads complete in one turn of the loop, each in a callback of its own
    read: () => new Promise<Buffer>((resolve) => setImmediate(() => resolve(content.subarray(0, 100)))),
    close: async () => {},
  };
  let turns = 0;
  let isOver = false;
  const countTurns = () => {
    turns++;
    if (!isOver) {
      setImmediate(countTurns);
    }
  };
  setImmediate(countTurns);
  const turnOf = async () => {
    await new BodyReader(plainLayout([{ start: 0, end: 100 }]), file).next(100, true);
    // What writing a large chunk costs; together these take far more than the bodies' share of a turn
    const end = performance.now() + 2;
    while (performance.now() < end) {
      // the kernel copies the chunk
    }
    return turns;
  };
  const seen = new Set(await Promise.all(Array.from({ length: 40 }, turnOf)));
  isOver = true;
  expect(seen.size).toBeGreaterThan(10);
});
