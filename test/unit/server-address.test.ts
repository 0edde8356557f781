/** Addresses of servers: which host and port they mean. settings-schema.test.ts checks the messages for wrong ones. */
import { expect, test } from 'vitest';
import { parseServerAddress } from '../../lib/settings/server-address.ts';

test.each([
  ['ldap.example.org', 'ldap.example.org', null],
  ['LDAP.Example.org', 'LDAP.Example.org', null],
  ['ldap.example.org.', 'ldap.example.org.', null],
  ['ldap.example.org:1389', 'ldap.example.org', 1_389],
  ['localhost:1', 'localhost', 1],
  ['localhost:65535', 'localhost', 65_535],
  ['localhost:00636', 'localhost', 636],
  ['xn--bcher-kva.example', 'xn--bcher-kva.example', null],
  ['_ldap._tcp.example.org', '_ldap._tcp.example.org', null],
  ['10.0.0.1', '10.0.0.1', null],
  ['10.0.0.1:3268', '10.0.0.1', 3_268],
  ['[::1]', '::1', null],
  ['[2001:db8::1]:3269', '2001:db8::1', 3_269],
  ['[::ffff:10.0.0.1]:389', '::ffff:10.0.0.1', 389],
  ['  ldap.example.org:389\n', 'ldap.example.org', 389],
])('%j means host %s, port %s; without a port, the one of the encryption', (name, host, port) => {
  for (const [encryption, usual] of [
    ['none', 389],
    ['tls', 389],
    ['ssl', 636],
  ] as const) {
    expect(parseServerAddress(name, encryption)).toEqual({
      kind: 'address',
      address: { name, host, port: port ?? usual },
    });
  }
});

const label = (length: number): string => 'a'.repeat(length);
const LONGEST_NAME = [63, 63, 63, 61].map(label).join('.');

test.each([
  ['a label of 63 characters', 'address', `${label(63)}.org`],
  ['a label of 64 characters', 'fault', `${label(64)}.org`],
  ['a name of 253 characters', 'address', LONGEST_NAME],
  ['a name of 253 characters and a dot at its end', 'address', `${LONGEST_NAME}.`],
  ['a name of 255 characters', 'fault', [63, 63, 63, 63].map(label).join('.')],
])('%s: %s', (_name, kind, host) => {
  expect(parseServerAddress(host, 'none').kind).toBe(kind);
});

test.each([
  '',
  ' ',
  '.',
  'a..b',
  '..',
  '-a',
  'a-',
  'a.-b',
  'a b',
  'a/b',
  'user@host',
  'host?x',
  '1.2.3',
  '1.2.3.4.5',
  '256.0.0.1',
  '01.2.3.4',
  '1234',
  '::1',
  '::1:389',
  '[]',
  '[::1',
  '::1]',
  '[::1]389',
  '[10.0.0.1]',
  '[ldap.example.org]',
  'a:b:c',
  ':389',
  'a:',
  'a:0',
  'a:65536',
  'a:-1',
  'a:+1',
  'a:1e3',
  'a:0x10',
  'a: 389',
  'a:000389',
  '[::1]:',
  '[::1]:0',
  'ldap://a',
  'ldaps://a:636',
  'HTTP://a',
])('%j is refused', (name) => {
  expect(parseServerAddress(name, 'none')).toEqual({ kind: 'fault', fault: expect.stringMatching(/\S/) });
});
