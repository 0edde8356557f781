import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Parsed } from '../../lib/administration/input.ts';
import { parseNewPassword, parseNewUser, parseUserPatch } from '../../lib/administration/user-schema.ts';

function pathsOf(parsed: Parsed<unknown>): string[] {
  return parsed.kind === 'invalid' ? parsed.faults.map(({ path }) => path).toSorted() : [];
}

test('a user name is enough to create a user', () => {
  expect(parseNewUser({ userName: '  Ada\u0301  ' })).toEqual({
    kind: 'valid',
    value: {
      userName: 'Ad\u00e1',
      fullName: null,
      emailAddresses: [],
      authentication: 'integrated',
      status: 'active',
      privileges: ['login'],
    },
  });
});

test('addresses that are too many bytes together are refused, though each is short enough', () => {
  const emailAddresses = Array.from({ length: 60 }, (_, number) => `${'ä'.repeat(140)}${number}@example.org`);

  expect(parseUserPatch({ emailAddresses })).toEqual({
    kind: 'invalid',
    faults: [{ path: 'emailAddresses', message: 'must be at most 16 KB in total' }],
  });
});

test.each([{}, { authentication: 'directory' }])('a patch %j takes no password', (patch) => {
  expect(pathsOf(parseUserPatch({ ...patch, password: 'correct horse' }))).toEqual(['password']);
});

test('every fault of a new user is told at once', () => {
  const parsed = parseNewUser({
    userName: 'a\u0000',
    fullName: 7,
    emailAddresses: ['ada@example.org', 'nowhere', 'ADA@example.org'],
    authentication: 'ldap',
    status: null,
    privileges: ['admin', 'login'],
    version: 3,
  });

  expect(pathsOf(parsed)).toEqual([
    'authentication',
    'emailAddresses.1',
    'emailAddresses.2',
    'fullName',
    'privileges',
    'status',
    'userName',
    'version',
  ]);
});

test.each(['', '   ', 'a\nb', 'a\u0085', '\ud800', 'x'.repeat(256), 'ü'.repeat(128)])(
  '%j is no user name',
  (userName) => {
    expect(pathsOf(parseNewUser({ userName }))).toEqual(['userName']);
  },
);

test('a patch holds what it names and nothing else', () => {
  expect(parseUserPatch({})).toEqual({ kind: 'valid', value: {} });
  expect(parseUserPatch({ status: 'disabled' })).toEqual({ kind: 'valid', value: { status: 'disabled' } });
});

test('null in a patch takes away what can be taken away', () => {
  expect(parseUserPatch({ fullName: null, emailAddresses: null })).toEqual({
    kind: 'valid',
    value: { fullName: null, emailAddresses: [] },
  });
  expect(pathsOf(parseUserPatch({ userName: null, privileges: null, status: null, authentication: null }))).toEqual([
    'authentication',
    'privileges',
    'status',
    'userName',
  ]);
});

test.each(['id', 'version', 'directory', 'disabledBy', 'passwordHash', 'createdAt'])('%s can’t be patched', (field) => {
  expect(pathsOf(parseUserPatch({ [field]: null }))).toEqual([field]);
});

test('a password to be set has at least eight characters, and nothing stands beside it', () => {
  expect(pathsOf(parseNewPassword({ password: 'secret' }))).toEqual(['password']);
  expect(pathsOf(parseNewPassword({ password: 'long enough', hint: 'x' }))).toEqual(['hint']);
  expect(parseNewPassword({ password: 'long enough' })).toEqual({ kind: 'valid', value: { password: 'long enough' } });
});

test('a fault never quotes a password', () => {
  expect(JSON.stringify(parseNewPassword({ password: 'hunter2' }))).not.toContain('hunter2');
});

test('nothing that JSON can say makes the validation throw', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (body) => {
      for (const parse of [parseNewUser, parseUserPatch, parseNewPassword]) expect(() => parse(body)).not.toThrow();
    }),
  );
});
