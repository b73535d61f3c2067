import { scryptSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { DownloadAuthConfigurationError, hashPassword, verifyPassword } from '../../lib/index.js';

it('a password fits its hash, however its letters are composed, and no other does', async () => {
  const hash = await hashPassword('Café 4711');
  expect(hash).toMatch(/^\$scrypt\$ln=15,r=8,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  expect(await verifyPassword('Cafe\u0301 4711', hash)).toBe(true);
  for (const other of ['Cafe 4711', 'Café 4711 ', '']) {
    expect(await verifyPassword(other, hash)).toBe(false);
  }
});

it('two hashes of one password differ', async () => {
  expect(await hashPassword('4711')).not.toBe(await hashPassword('4711'));
});

it('a hash says with which parameters it was made', async () => {
  // scrypt('4711', 16 zero bytes, 32, { N: 16, r: 1, p: 1 })
  const key = scryptSync('4711', Buffer.alloc(16), 32, { N: 16, r: 1, p: 1 }).toString('base64').slice(0, 43);
  expect(await verifyPassword('4711', `$scrypt$ln=4,r=1,p=1$${'A'.repeat(22)}$${key}`)).toBe(true);
});

it('what is not a text is a mistake of the programmer', async () => {
  const hash = await hashPassword('4711');
  for (const other of [undefined, 4711] as never[]) {
    await expect(hashPassword(other)).rejects.toThrow(DownloadAuthConfigurationError);
    await expect(verifyPassword(other, hash)).rejects.toThrow(DownloadAuthConfigurationError);
  }
});

it.each(['', '4711', '$2b$10$abcdefghijklmnopqrstuv', undefined as never])(
  'a text that is not a hash is a mistake of the programmer: %s',
  async (hash) => {
    await expect(verifyPassword('4711', hash)).rejects.toThrow(/give what hashPassword\(\) answered/);
  },
);
