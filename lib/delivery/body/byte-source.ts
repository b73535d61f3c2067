/** Where the bytes of a body come from. Reads do not overlap: the next one starts after the last has settled. */
export interface ByteSource {
  /**
   * The next bytes at `position`: at least one, never past `end`; none where the content ends early.
   *
   * @param end of the interval being sent, exclusive; Infinity where only the end of the stream tells
   * @param size bytes that suit the receiver; a source that gives chunks of its own may ignore it
   * @param reuse the caller is done with the bytes when it calls {@link written}, so that the source may read
   *   into the same memory again
   */
  read(position: number, end: number, size: number, reuse: boolean): Promise<Uint8Array>;
  /** The receiver of the bytes last read may have written them, and still holds on to them. */
  lend?(): void;
  /** The bytes last lent are no longer needed. Never called if nobody can tell. */
  written?(): void;
  /** The bytes last read went to somebody who may keep them: their memory must not be used again. */
  giveAway?(): void;
  /** Frees whatever is held; resolves when it is free. Safe to call more than once, and while a read is under way. */
  close(): Promise<void>;
}
