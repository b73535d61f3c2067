import { pbkdf2 } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { openFile, type OpenFile } from '../../../lib/delivery/representation/open-file.js';
import { StorageDevice } from '../../../lib/delivery/representation/storage-device.js';
import { until } from '../support/exchange.js';
import { temporaryFolder } from '../support/files.js';

const LOCAL_TYPES = {
  ext4: 0xef53,
  XFS: 0x58465342,
  Btrfs: 0x9123683e,
  overlayfs: 0x794c7630,
  tmpfs: 0x01021994,
};
const REMOTE_TYPES = { NFS: 0x6969, SMB: 0xff534d42, FUSE: 0x65735546, '9p': 0x01021997, Ceph: 0x00c36400 };
const isLinux = process.platform === 'linux';

let now = 0;
const pass = (milliseconds: number) => () => void (now += milliseconds);
const deviceOf = async (...answers: (number | Error)[]) => {
  const typeOf = vi.fn<(path: string) => Promise<number>>();
  for (const answer of answers) {
    typeOf.mockImplementationOnce(async () => {
      if (answer instanceof Error) throw answer;
      return answer;
    });
  }
  const device = new StorageDevice(() => now, typeOf);
  await device.identify('/file');
  return device;
};

beforeEach(() => {
  now = 1000;
});

describe('a storage device', () => {
  it('is asked in this thread as long as its answers are a matter of copying memory', () => {
    const device = new StorageDevice(() => now);
    for (let i = 0; i < 100_000; i++) {
      device.ask(512 * 1024, pass(0.25));
    }
    expect(device.isPrompt).toBe(true);
  });

  it('is left to the thread pool after it kept this thread waiting, for a hundred times as long', () => {
    const device = new StorageDevice(() => now);
    device.ask(64 * 1024, pass(12));
    expect(device.isPrompt).toBe(false);
    now += 900;
    expect(device.isPrompt).toBe(false);
    now += 200;
    expect(device.isPrompt).toBe(true);
  });

  it('never costs more than a hundredth of the time, however often it is slow', () => {
    const device = new StorageDevice(() => now);
    let lost = 0;
    const start = now;
    while (now < start + 100_000) {
      if (device.isPrompt) {
        device.ask(4096, pass(0.4));
        lost += 0.4;
      }
      now += 0.1;
    }
    expect(lost).toBeLessThan(0.012 * 100_000);
  });

  it('forgives a short wait now and then', () => {
    const device = new StorageDevice(() => now);
    for (let i = 0; i < 1000; i++) {
      device.ask(4096, pass(0.5));
      expect(device.isPrompt).toBe(true);
      now += 100;
    }
  });

  it('counts what an operation that fails had to wait', () => {
    const device = new StorageDevice(() => now);
    const fail = () => {
      now += 10;
      throw new Error('EIO');
    };
    expect(() => device.ask(4096, fail)).toThrow('EIO');
    expect(device.isPrompt).toBe(false);
  });
});

describe.runIf(isLinux)('the kind of a file system', () => {
  it.each(Object.entries(LOCAL_TYPES))('%s waits for nothing but a disk', async (_name, type) => {
    expect((await deviceOf(type)).isPromptDisk).toBe(true);
  });

  it.each(Object.entries(REMOTE_TYPES))('%s may wait for somebody else', async (_name, type) => {
    const device = await deviceOf(type);
    expect(device.isPrompt).toBe(true);
    expect(device.isPromptDisk).toBe(false);
  });

  it('that cannot be asked is not trusted', async () => {
    expect((await deviceOf(new Error('ENOSYS'))).isPromptDisk).toBe(false);
  });

  it('is not trusted before the answer is there', () => {
    expect(new StorageDevice(() => now).isPromptDisk).toBe(false);
  });

  it('is asked for once a minute, for another one may have been mounted under the number', async () => {
    const device = await deviceOf(LOCAL_TYPES.tmpfs, REMOTE_TYPES.NFS);
    now += 59_000;
    expect(device.identify('/file')).toBeUndefined();
    now += 2_000;
    await device.identify('/file');
    expect(device.isPromptDisk).toBe(false);
  });
});

describe.runIf(isLinux && Object.values(LOCAL_TYPES).includes(statfsSync(tmpdir()).type))(
  'an open file',
  () => {
    const folder = temporaryFolder();
    const path = folder.file('file.bin', Buffer.alloc(100_000, 'x'));
    afterAll(() => folder.remove());

    /** Whether a byte of it is read without a turn of the event loop. */
    const isReadHere = async (file: OpenFile) => {
      let isOver = false;
      void file.readPromptly(Buffer.alloc(1), 1, 0).then(() => (isOver = true));
      for (let i = 0; i < 10; i++) await Promise.resolve();
      return isOver;
    };

    /** How many of sixteen long computations in the thread pool are still to be done when the read is. */
    const computationsLeft = async (read: (file: OpenFile, buffer: Buffer) => Promise<number>) => {
      const file = await openFile(path);
      const buffer = Buffer.alloc(65_536);
      while (!(await isReadHere(file))) await setTimeout(5);
      let hashing = 16;
      for (let i = 0; i < 16; i++) {
        pbkdf2('password', 'salt', 50_000, 32, 'sha256', () => void hashing--);
      }
      const count = await read(file, buffer);
      const left = hashing;
      await until(() => hashing === 0, 'the hashing');
      await file.close();
      expect(count).toBe(65_536);
      return left;
    };

    it('is read in this thread where that is a matter of copying memory, past a busy thread pool', async () => {
      expect(await computationsLeft((file, buffer) => file.readPromptly(buffer, 65_536, 0))).toBe(16);
    });

    it('is read in the thread pool where its bytes go elsewhere', async () => {
      expect(await computationsLeft((file, buffer) => file.read(buffer, 65_536, 0))).toBeLessThan(16);
    });
  },
);
