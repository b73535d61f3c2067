import { crc32, deflateSync } from 'node:zlib';

/**
 * A PDF with one A4 page of text, below a headline in white on green.
 * @param lines Latin-1; the first is the headline
 */
export function pdfDocument([headline = '', ...lines]: readonly string[]): Buffer {
  const content = [
    '0.043 0.384 0.286 rg 0 722 595 120 re f',
    'BT',
    `1 g /F2 26 Tf 72 766 Td (${escaped(headline)}) Tj`,
    '0 g /F1 12 Tf 18 TL 0 -70 Td',
    ...lines.map((line) => `T* (${escaped(line)}) Tj`),
    'ET',
  ].join('\n');
  const font = (name: string) =>
    `<< /Type /Font /Subtype /Type1 /BaseFont /${name} /Encoding /WinAnsiEncoding >>`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R' +
      ' /Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> >>',
    `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    font('Helvetica'),
    font('Helvetica-Bold'),
  ];
  return Buffer.from(assembled(objects), 'latin1');
}

function assembled(objects: readonly string[]): string {
  let file = '%PDF-1.4\n';
  const offsets = objects.map((object, index) => {
    const offset = file.length;
    file += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const table = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  const count = objects.length + 1;
  return (
    `${file}xref\n0 ${count}\n0000000000 65535 f \n${table}` +
    `trailer\n<< /Size ${count} /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`
  );
}

function escaped(text: string): string {
  return text.replace(/[\\()]/g, '\\$&');
}

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const TRUE_COLOUR = 2;

/** Red, green and blue, each from 0 to 255. */
export type Colour = readonly [red: number, green: number, blue: number];

/**
 * A PNG image with 8 bits a channel and no filters.
 * @param colourAt the colour of one pixel
 */
export function pngImage(width: number, height: number, colourAt: (x: number, y: number) => Colour): Buffer {
  const rowLength = 1 + width * 3;
  const pixels = Buffer.alloc(height * rowLength);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      pixels.set(colourAt(x, y), y * rowLength + 1 + x * 3);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, TRUE_COLOUR, 0, 0, 0], 8);
  return Buffer.concat([
    PNG_SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

/** Samples a second. */
const SAMPLE_RATE = 22_050;
const BYTES_PER_SAMPLE = 2;

/**
 * A WAVE sound with one channel of 16 bits.
 * @param amplitudeAt from -1 to 1, at a time in seconds
 */
export function wavSound(seconds: number, amplitudeAt: (moment: number) => number): Buffer {
  const samples = Math.round(seconds * SAMPLE_RATE);
  const dataLength = samples * BYTES_PER_SAMPLE;
  const sound = Buffer.alloc(44 + dataLength);
  sound.write('RIFF', 0, 'latin1');
  sound.writeUInt32LE(36 + dataLength, 4);
  sound.write('WAVEfmt ', 8, 'latin1');
  sound.writeUInt32LE(16, 16);
  sound.writeUInt16LE(1, 20);
  sound.writeUInt16LE(1, 22);
  sound.writeUInt32LE(SAMPLE_RATE, 24);
  sound.writeUInt32LE(SAMPLE_RATE * BYTES_PER_SAMPLE, 28);
  sound.writeUInt16LE(BYTES_PER_SAMPLE, 32);
  sound.writeUInt16LE(8 * BYTES_PER_SAMPLE, 34);
  sound.write('data', 36, 'latin1');
  sound.writeUInt32LE(dataLength, 40);
  for (let i = 0; i < samples; i++) {
    sound.writeInt16LE(Math.round(32_767 * amplitudeAt(i / SAMPLE_RATE)), 44 + i * BYTES_PER_SAMPLE);
  }
  return sound;
}
