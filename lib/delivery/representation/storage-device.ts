import { statfs } from 'node:fs/promises';

/** Milliseconds that may be lost at once, and the share of all time that may be lost in the long run. */
const MOST_AT_ONCE = 2;
const SHARE = 0.01;
/** What does not count as lost: milliseconds of a system call, and bytes per millisecond of copying memory. */
const CALL = 0.05;
const COPIED = 2 * 1024 * 1024;

/** Milliseconds for which it is known what a device is: once it is unmounted, its number may go to another one. */
const KNOWN_FOR = 60_000;

/**
 * File systems of Linux's own on local disks or in memory, by the number that statfs(2) tells: others (NFS, SMB, FUSE)
 * may keep a thread waiting for another machine or process, for good if it is gone.
 */
const LOCAL = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0xf2f52010, // F2FS
  0xca451a4e, // bcachefs
  0x2fc12fc1, // ZFS
  0x794c7630, // overlayfs
  0x01021994, // tmpfs
  0x858458f6, // ramfs
  0x73717368, // SquashFS
  0xe0f5e1e2, // EROFS
]);

/**
 * Decides for one device whether a file operation is made in this thread or in the thread pool.
 *
 * A hand-over to the pool and back costs 40 µs of CPU, more than to copy 64 KiB out of the page cache, and waits behind
 * whatever else the pool does, such as password hashing. What is not in the page cache would stop this thread while the
 * disk works. Nothing tells the one from the other before the call, so every call here is timed: a hundredth of the
 * time may be lost in waiting, 2 ms at once, and while that is used up the pool does the work.
 */
export class StorageDevice {
  #isLocal = false;
  #identifiedAt = -Infinity;
  #budget = MOST_AT_ONCE;
  #asOf: number;

  /**
   * @param now milliseconds of a monotonic clock
   * @param typeOf the number that statfs(2) tells of the file system of a path
   */
  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly typeOf: (path: string) => Promise<number> = async (path) => (await statfs(path)).type,
  ) {
    this.#asOf = now();
  }

  /** Whether waiting for this device has cost so little of late that it may be asked in this thread. */
  get isPrompt(): boolean {
    const now = this.now();
    this.#budget = Math.min(MOST_AT_ONCE, this.#budget + (now - this.#asOf) * SHARE);
    this.#asOf = now;
    return this.#budget > 0;
  }

  /** As {@link isPrompt}, of a file system that waits for nothing but a disk; false until {@link identify} knows. */
  get isPromptDisk(): boolean {
    return this.#isLocal && this.isPrompt;
  }

  /**
   * Makes an operation in this thread, and takes what it had to wait from the budget.
   * @param bytes how many it may copy
   */
  ask<T>(bytes: number, operation: () => T): T {
    const start = this.now();
    try {
      return operation();
    } finally {
      const lost = this.now() - start - CALL - bytes / COPIED;
      this.#budget -= Math.max(0, lost);
    }
  }

  /**
   * Asks, in the thread pool, what kind of file system it is.
   * @param path a file on it, which stays open until the promise resolves; it never rejects
   * @returns undefined where that is known, or cannot be told
   */
  identify(path: string): Promise<void> | undefined {
    const now = this.now();
    if (process.platform !== 'linux' || now - this.#identifiedAt < KNOWN_FOR) {
      return undefined;
    }
    this.#identifiedAt = now;
    return this.typeOf(path).then(
      (type) => void (this.#isLocal = LOCAL.has(type)),
      () => void (this.#isLocal = false),
    );
  }
}

const devices = new Map<bigint, StorageDevice>();

/** @param number as `fstat` has it in `dev` */
export function storageDevice(number: bigint): StorageDevice {
  let device = devices.get(number);
  if (!device) {
    devices.set(number, (device = new StorageDevice()));
  }
  return device;
}
