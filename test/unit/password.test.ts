import { expect, test } from 'vitest';
import { ServiceError } from '../../lib/errors.ts';
import { DECOY_HASH, hashPassword, passwordFault, verifyPasswordHash } from '../../lib/user/password.ts';

const cost = (hash: string): string => hash.split('$').slice(0, 4).join('$');

test('a password is verified by its own hash and no other one is', async () => {
  const hash = await hashPassword('correct horse');

  expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(await verifyPasswordHash(hash, 'correct horse')).toBe(true);
  expect(await verifyPasswordHash(hash, 'correct horsf')).toBe(false);
});

test('two hashes of one password differ', async () => {
  expect(await hashPassword('correct horse')).not.toBe(await hashPassword('correct horse'));
});

test('a hash that another program has made is verified', async () => {
  // From the command line tool of the reference implementation:
  // echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 24
  const hash = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';

  expect(await verifyPasswordHash(hash, 'password')).toBe(true);
  expect(await verifyPasswordHash(hash, 'Password')).toBe(false);
});

test('spellings that only look the same are different passwords', async () => {
  const hash = await hashPassword('caf\u00e9 noir');

  expect(await verifyPasswordHash(hash, 'cafe\u0301 noir')).toBe(false);
});

test.each(['', 'x'.repeat(1_025), 'half \ud800 a pair'])(
  'a password that can be none is never the right one',
  async (text) => {
    expect(await verifyPasswordHash(DECOY_HASH, text)).toBe(false);
  },
);

test('the decoy is nobody’s hash, at the cost of a real one', async () => {
  expect(await verifyPasswordHash(DECOY_HASH, 'correct horse')).toBe(false);
  expect(cost(DECOY_HASH)).toBe(cost(await hashPassword('correct horse')));
});

test.each([
  'secret',
  '',
  '$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
  '$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
  '$argon2id$v=19$m=1,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
])('a malformed hash is a fault that does not quote it', async (hash) => {
  const verified = verifyPasswordHash(hash, 'password');

  await expect(verified).rejects.toThrow(ServiceError);
  await expect(verified).rejects.toThrow(/^a stored password hash (?:is malformed|asks for a cost)/);
});

test('a password to be set has from eight characters to a kilobyte', () => {
  expect(passwordFault('1234567')).toMatch(/at least 8/);
  expect(passwordFault('12345678')).toBeNull();
  expect(passwordFault('ü'.repeat(512))).toBeNull();
  expect(passwordFault('ü'.repeat(513))).toMatch(/at most 1024 bytes/);
  expect(passwordFault('12345678\udfff')).toMatch(/unpaired surrogate/);
});
