import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../../lib/directory/entry.ts';
import { mapEntry } from '../../lib/directory/mapping.ts';
import type { Person } from '../../lib/directory/mapping.ts';
import type { MappingSettings } from '../../lib/settings/settings.ts';
import { anEntry, MAPPING } from '../support/people.ts';

function person(entry: Entry, mapping: Partial<MappingSettings> = {}): Person {
  const mapped = mapEntry(entry, { ...MAPPING, ...mapping }, 'disable');
  if (mapped.kind === 'skipped') throw new Error(`skipped: ${mapped.skipped.reason}`);
  return mapped.person;
}

function reason(entry: Entry, mapping: Partial<MappingSettings> = {}): string {
  const mapped = mapEntry(entry, { ...MAPPING, ...mapping });
  if (mapped.kind === 'person') throw new Error('was mapped');
  return mapped.skipped.reason;
}

describe('user names', () => {
  test('are trimmed, in NFC, and keep the spelling of the directory', () => {
    const mapped = person(anEntry('1', { uid: ['  Mu\u0308ller '] }));
    expect(mapped.userName).toBe('M\u00fcller');
    expect(mapped.nameKey).toBe('m\u00fcller');
  });

  test('lose everything from the @ on when only the local part is wanted', () => {
    expect(person(anEntry('1', { uid: ['anna@corp.example'] }), { localPartOnly: true }).userName).toBe('anna');
    expect(person(anEntry('1', { uid: ['anna'] }), { localPartOnly: true }).userName).toBe('anna');
    expect(reason(anEntry('1', { uid: ['@corp.example'] }), { localPartOnly: true })).toMatch(/empty/u);
  });

  test('may be mapped from an attribute spelled in any letter case', () => {
    expect(person(anEntry('1', { samaccountname: ['anna'] }), { userName: 'sAMAccountName' }).userName).toBe('anna');
  });

  test.each([
    ['absent', {}, /has no uid/u],
    ['empty', { uid: [' '] }, /empty/u],
    ['with a control character', { uid: ['an\u0007na'] }, /control characters/u],
    ['of bytes that are no text', { uid: ['\uFFFD\uFFFDx'] }, /not UTF-8/u],
    ['too long', { uid: ['x'.repeat(256)] }, /longer than 255 bytes/u],
    ['too long in bytes though not in characters', { uid: ['ü'.repeat(128)] }, /longer than 255 bytes/u],
  ])('that are %s skip the entry with the reason', (_, attributes, expected) => {
    expect(reason(anEntry('1', attributes as Record<string, string[]>))).toMatch(expected);
  });

  test('of several values are the one in the RDN, in whatever order the server gives them', () => {
    const entry = (values: string[]): Entry =>
      anEntry('1', { uid: values }, { dn: 'cn=Anna+uid=b\\2Cwe\\C3\\9F,ou=people,dc=example,dc=com' });
    expect(person(entry(['a', 'b,weß', 'c'])).userName).toBe('b,weß');
    expect(person(entry(['c', 'b,weß', 'a'])).userName).toBe('b,weß');
  });

  test('of several values without one in the RDN are the smallest, in whatever order the server gives them', () => {
    const entry = (values: string[]): Entry => anEntry('1', { uid: values }, { dn: 'cn=Anna,dc=example,dc=com' });
    expect(person(entry(['zoe', 'anna'])).userName).toBe('anna');
    expect(person(entry(['anna', 'zoe'])).userName).toBe('anna');
  });
});

describe('e-mail addresses', () => {
  const addresses = (attributes: Record<string, string[]>, mapped: string): readonly string[] =>
    person(anEntry('1', { uid: ['anna'], ...attributes }), { emailAddresses: mapped }).emailAddresses;

  test('come in the order of the mapped attributes, the first is the primary one', () => {
    const found = addresses(
      { mail: ['a@x.test'], mailalternateaddress: ['b@x.test', 'c@x.test'] },
      'mail, mailAlternateAddress',
    );
    expect(found).toEqual(['a@x.test', 'b@x.test', 'c@x.test']);
  });

  test('lose duplicates whatever their letter case', () => {
    expect(addresses({ mail: ['A@x.test'], other: ['a@X.test', 'b@x.test'] }, 'mail,other')).toEqual([
      'A@x.test',
      'b@x.test',
    ]);
  });

  test('of proxyAddresses: SMTP: is the primary, smtp: an alias, other types are left out', () => {
    const proxyaddresses = ['x500:/o=corp', 'smtp:alias@x.test', 'sip:anna@x.test', 'SMTP:anna@x.test'];
    expect(addresses({ proxyaddresses }, 'proxyAddresses')).toEqual(['anna@x.test', 'alias@x.test']);
    expect(addresses({ mail: ['alias@x.test'], proxyaddresses }, 'mail,proxyAddresses')).toEqual([
      'anna@x.test',
      'alias@x.test',
    ]);
  });

  test('that are none, or bytes that are no text, are left out and the person is kept', () => {
    expect(addresses({ mail: ['not an address', '\uFFFD@x.test', '@', 'a@x.test'] }, 'mail')).toEqual(['a@x.test']);
  });

  test('beyond any sense skip the entry instead of breaking the write of others', () => {
    const mail = Array.from({ length: 3_000 }, (_, position) => `somebody.${position}@department.example.test`);
    expect(reason(anEntry('1', { uid: ['anna'], mail }))).toMatch(/16 KB of e-mail addresses/u);
  });
});

describe('an entry that the directory marks disabled', () => {
  const entry = anEntry('1', { uid: ['anna'] }, { disabled: true });

  test('is marked, skipped or imported as the option says', () => {
    expect(mapEntry(entry, MAPPING, 'disable')).toMatchObject({ person: { disabled: true } });
    expect(mapEntry(entry, MAPPING, 'skip')).toMatchObject({ skipped: { reason: expect.stringMatching(/disabled/u) } });
    expect(mapEntry(entry, MAPPING, 'import')).toMatchObject({ person: { disabled: false } });
  });
});

test('an entry without a readable unique id is skipped', () => {
  expect(reason(anEntry('1', { uid: ['anna'] }, { id: null }))).toMatch(/unique id/u);
});

test('the fingerprint changes with everything that sync stores, and with nothing else', () => {
  const base = { uid: ['anna'], cn: ['Anna'], mail: ['a@x.test', 'b@x.test'] };
  const fingerprint = (attributes: Record<string, string[]>, over: Partial<Entry> = {}): string =>
    person(anEntry('1', attributes, over)).fingerprint;
  const plain = fingerprint(base);
  expect(fingerprint({ ...base, telephonenumber: ['1'] })).toBe(plain);
  const others = [
    fingerprint({ ...base, uid: ['Anna'] }),
    fingerprint({ ...base, cn: ['Anna W'] }),
    fingerprint({ ...base, mail: ['b@x.test', 'a@x.test'] }),
    fingerprint(base, { dn: 'uid=anna,dc=example,dc=com' }),
    fingerprint(base, { id: '2' }),
    fingerprint(base, { disabled: true }),
  ];
  expect(new Set([plain, ...others]).size).toBe(others.length + 1);
});

test('whatever an entry holds, mapping gives a person or a reason and never throws', () => {
  const values = fc.array(fc.string({ unit: 'binary', maxLength: 40 }), { maxLength: 4 });
  fc.assert(
    fc.property(values, values, values, fc.string({ unit: 'binary' }), (uid, cn, mail, dn) => {
      const mapped = mapEntry(anEntry('1', { uid, cn, mail }, { dn }), MAPPING);
      if (mapped.kind === 'person') {
        expect(mapped.person.userName).toBe(mapped.person.userName.normalize('NFC').trim());
        expect(mapped.person.fingerprint).toHaveLength(16);
      } else expect(mapped.skipped.reason).not.toBe('');
    }),
  );
});
