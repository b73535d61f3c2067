import { createCipheriv } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

const BLOCK = 4 * 1024 * 1024;
const LOCAL_HEADER = 30;
const CENTRAL_HEADER = 46;
const END_RECORD = 22;
const VERSION = 20;
/** 1 January 2025 in DOS format. */
const DATE = ((2025 - 1980) << 9) | (1 << 5) | 1;

/** Length in bytes of the archive that {@link writeZipArchive} writes. */
export function zipArchiveLength(memberName: string, memberLength: number): number {
  return LOCAL_HEADER + CENTRAL_HEADER + END_RECORD + 2 * Buffer.byteLength(memberName) + memberLength;
}

/**
 * Writes a ZIP archive with one uncompressed member of noise: the same noise every time, without repetition,
 * so a missing or doubled byte changes the checksum. A cipher makes it faster than most disks can write.
 * @param memberName ASCII
 */
export async function writeZipArchive(
  file: FileHandle,
  memberName: string,
  memberLength: number,
): Promise<void> {
  const name = Buffer.from(memberName, 'latin1');
  const checksum = await writeNoise(file, LOCAL_HEADER + name.length, memberLength);
  const common = memberFields(checksum, memberLength, name.length);

  const local = Buffer.concat([uint32(0x04034b50), common, name]);
  await file.write(local, 0, local.length, 0);

  const central = Buffer.concat([uint32(0x02014b50), uint16(VERSION), common, Buffer.alloc(14), name]);
  const end = Buffer.alloc(END_RECORD);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length + memberLength, 16);
  const tail = Buffer.concat([central, end]);
  await file.write(tail, 0, tail.length, local.length + memberLength);
}

/** Writes the member and returns its CRC-32. */
async function writeNoise(file: FileHandle, position: number, length: number): Promise<number> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'sample'), Buffer.alloc(16));
  const zeros = Buffer.alloc(BLOCK);
  let checksum = 0;
  for (let written = 0; written < length; written += BLOCK) {
    const noise = cipher.update(zeros.subarray(0, Math.min(BLOCK, length - written)));
    checksum = crc32(noise, checksum);
    await file.write(noise, 0, noise.length, position + written);
  }
  return checksum;
}

/** The fields that the local and the central header share. */
function memberFields(checksum: number, length: number, nameLength: number): Buffer {
  return Buffer.concat([
    uint16(VERSION),
    uint16(0), // flags
    uint16(0), // stored
    uint16(0), // midnight
    uint16(DATE),
    uint32(checksum),
    uint32(length),
    uint32(length),
    uint16(nameLength),
    uint16(0), // no extra field
  ]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
