/** Samples a second. */
const RATE = 22_050;
const BYTES_PER_SAMPLE = 2;

/**
 * A sound in the WAVE format: one channel, 16 bits.
 * @param seconds its length
 * @param amplitudeAt from -1 to 1, at a moment given in seconds
 */
export function wavSound(seconds: number, amplitudeAt: (moment: number) => number): Buffer {
  const samples = Math.round(seconds * RATE);
  const dataLength = samples * BYTES_PER_SAMPLE;
  const sound = Buffer.alloc(44 + dataLength);
  sound.write('RIFF', 0, 'latin1');
  sound.writeUInt32LE(36 + dataLength, 4);
  sound.write('WAVEfmt ', 8, 'latin1');
  sound.writeUInt32LE(16, 16);
  sound.writeUInt16LE(1, 20);
  sound.writeUInt16LE(1, 22);
  sound.writeUInt32LE(RATE, 24);
  sound.writeUInt32LE(RATE * BYTES_PER_SAMPLE, 28);
  sound.writeUInt16LE(BYTES_PER_SAMPLE, 32);
  sound.writeUInt16LE(8 * BYTES_PER_SAMPLE, 34);
  sound.write('data', 36, 'latin1');
  sound.writeUInt32LE(dataLength, 40);
  for (let i = 0; i < samples; i++) {
    sound.writeInt16LE(Math.round(32_767 * amplitudeAt(i / RATE)), 44 + i * BYTES_PER_SAMPLE);
  }
  return sound;
}
