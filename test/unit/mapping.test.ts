import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../../lib/directory/entry.ts';
import type { Person, Skipped } from '../../lib/directory/mapping.ts';
import { keepStoredNames, mapEntry, orderAddresses } from '../../lib/directory/mapping.ts';
import type { MappingSettings } from '../../lib/settings/settings.ts';
import { userNameKey } from '../../lib/user/user-name.ts';
import { anEntry, type EntryOver, MAPPING } from '../support/people.ts';

function person(entry: Entry, mapping: Partial<MappingSettings> = {}): Person {
  const mapped = mapEntry(entry, { ...MAPPING, ...mapping }, 'disable');
  if (mapped.kind === 'skipped') throw new Error(`skipped: ${mapped.skipped.reason}`);
  return mapped.person;
}

function skipped(entry: Entry, disabledUsers: 'disable' | 'skip' | 'import'): Skipped {
  const mapped = mapEntry(entry, MAPPING, disabledUsers);
  if (mapped.kind === 'person') throw new Error('was mapped');
  return mapped.skipped;
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

  test('of several values stay while they are among them', () => {
    const entry = anEntry('1', { uid: ['zweber', 'aweber', 'AWEBER', 'mweber'] });
    const chosen = person(entry);
    expect(chosen).toMatchObject({ userName: 'AWEBER', otherUserNames: ['mweber', 'zweber'] });

    const kept = keepStoredNames(chosen, { nameKey: 'zweber' });

    expect(kept).toMatchObject({ userName: 'zweber', nameKey: 'zweber', otherUserNames: ['AWEBER', 'mweber'] });
    expect(kept.fingerprint).toBe(person(anEntry('1', { uid: ['zweber'] })).fingerprint);
    expect(keepStoredNames(chosen, { nameKey: 'aweber' })).toBe(chosen);
    expect(keepStoredNames(chosen, { nameKey: 'gone' })).toBe(chosen);
    expect(keepStoredNames(kept, { nameKey: 'aweber' })).toEqual({
      ...chosen,
      otherUserNames: ['zweber', 'mweber'],
    });
  });

  test('may be any value that can be one, and say which can not', () => {
    const mapped = person(anEntry('1', { uid: ['', 'a\u200Bnna', 'anna'] }));
    expect(mapped).toMatchObject({ userName: 'anna', otherUserNames: [] });
    expect(mapped.notes).toEqual([expect.stringMatching(/^uid: "a\u200Bnna" is left out: .*invisible/u)]);
    expect(person(anEntry('1', { uid: ['anna', ' '] })).notes).toEqual([]);
  });

  test('come from values without an option, else from those with one', () => {
    const tagged = { 'uid;lang-en': ['ann'], 'uid;lang-de': ['aennchen'] };
    expect(person(anEntry('1', { ...tagged, uid: ['anna'] }))).toMatchObject({ userName: 'anna', otherUserNames: [] });
    expect(person(anEntry('1', tagged))).toMatchObject({ userName: 'aennchen', otherUserNames: ['ann'] });
    expect(person(anEntry('1', { ...tagged, uid: [''] })).userName).toBe('aennchen');
    expect(person(anEntry('1', { ...tagged, uid: ['anna'] }), { userName: 'UID;lang-EN' }).userName).toBe('ann');
    expect(reason(anEntry('1', { uid: ['anna'] }), { userName: 'uid;lang-en' })).toMatch(/has no uid;lang-en/u);
  });
});

describe('full names', () => {
  const fullName = (attributes: Record<string, string[]>, mapped = 'displayName'): string | null =>
    person(anEntry('1', { uid: ['anna'], ...attributes }), { fullName: mapped }).fullName;

  test('come from the value without an option, unless the mapping names one', () => {
    const displayname = ['Anna Weber'];
    const tagged = {
      'displayname;lang-de': ['Anna W.'],
      'displayname;lang-en-us': ['Annie'],
      'displayname;lang-en;x-own': ['Ann Weaver'],
    };
    expect(fullName({ ...tagged, displayname })).toBe('Anna Weber');
    expect(fullName({ 'displayname;lang-de': ['Anna W.'] })).toBe('Anna W.');
    expect(fullName({ ...tagged, displayname }, 'displayName;X-OWN')).toBe('Ann Weaver');
    expect(fullName({ ...tagged, displayname }, 'displayName;lang-en')).toBe('Ann Weaver');
    expect(fullName({ ...tagged, displayname }, 'displayName;lang-en-')).toBe('Ann Weaver');
    expect(fullName({ ...tagged, displayname }, 'displayName;lang-fr')).toBeNull();
  });

  test('skip empty values, and lose tabs and line breaks', () => {
    expect(fullName({ displayname: ['', ' ', 'Anna Weber'] })).toBe('Anna Weber');
    expect(fullName({ displayname: ['Anna\tWeber\r\n'] })).toBe('Anna Weber');
    expect(fullName({ displayname: ['Anna\u2028Weber'] })).toBe('Anna Weber');
    expect(fullName({ displayname: ['\n'] })).toBeNull();
  });

  test('of bytes that are no text are left out with a note', () => {
    const mapped = person(anEntry('1', { uid: ['anna'], cn: ['\uFFFD\uFFFD'] }));
    expect(mapped).toMatchObject({ fullName: null, notes: ['cn: "\uFFFD\uFFFD" is not UTF-8 text'] });
  });

  test.each([
    ['a pair of surrogates', '\u{1F600}'],
    ['a letter with a combining accent', 'e\u0301'],
    ['a family of emoji', '\u{1F468}\u200D\u{1F469}\u200D\u{1F467}'],
  ])('are cut between whole characters: %s at the limit goes as a whole', (_, character) => {
    const room = 'x'.repeat(512 - character.length);
    expect(fullName({ displayname: [`${room}${character}`] })).toBe(`${room}${character}`);
    expect(fullName({ displayname: [`${room}x${character}y`] })).toBe(`${room}x`);
  });

  test('that are cut say so', () => {
    const { notes } = person(anEntry('1', { uid: ['anna'], cn: ['x'.repeat(600)] }));
    expect(notes).toEqual([`cn: "${'x'.repeat(80)}…" is cut at 512 characters`]);
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

  test('that are none, or bytes that are no text, are left out with a note and the person is kept', () => {
    const mail = ['not an address', '\uFFFD@x.test', '@', 'a@x.test', ' '];
    const { emailAddresses, notes } = person(anEntry('1', { uid: ['anna'], mail }));
    expect(emailAddresses).toEqual(['a@x.test']);
    expect(notes).toEqual(
      ['not an address', '\uFFFD@x.test', '@'].map((text) => `mail: "${text}" can't be read as an e-mail address`),
    );
  });

  test('that can not be read make five short notes at most', () => {
    const mail = Array.from({ length: 9 }, (_, position) => `${position}${'\u{1F600}'.repeat(300)}`);
    const { notes } = person(anEntry('1', { uid: ['anna'], mail }));
    expect(notes).toHaveLength(5);
    for (const note of notes) {
      expect(note.length).toBeLessThanOrEqual(200);
      expect(note.isWellFormed()).toBe(true);
    }
  });

  test('with an option follow those without one', () => {
    expect(
      addresses({ 'mail;x-home': ['home@x.test'], mail: ['a@x.test'], other: ['o@x.test'] }, 'mail,other'),
    ).toEqual(['a@x.test', 'home@x.test', 'o@x.test']);
  });

  describe('keep the order in which they are stored', () => {
    const order = (stored: string[], attributes: Record<string, string[]>, mapped = 'mail'): readonly string[] =>
      orderAddresses(stored, person(anEntry('1', { uid: ['anna'], ...attributes }), { emailAddresses: mapped }));

    test('and new ones follow', () => {
      expect(order(['b@x.test', 'a@x.test'], { mail: ['a@x.test', 'b@x.test'] })).toEqual(['b@x.test', 'a@x.test']);
      expect(order(['b@x.test', 'gone@x.test', 'A@x.test'], { mail: ['new@x.test', 'a@x.test', 'B@x.test'] })).toEqual([
        'B@x.test',
        'a@x.test',
        'new@x.test',
      ]);
      expect(order([], { mail: ['a@x.test', 'b@x.test'] })).toEqual(['a@x.test', 'b@x.test']);
    });

    test('but SMTP: decides the primary one', () => {
      const proxyaddresses = ['smtp:a@x.test', 'smtp:c@x.test', 'SMTP:b@x.test'];
      expect(order(['a@x.test', 'b@x.test', 'c@x.test'], { proxyaddresses }, 'proxyAddresses')).toEqual([
        'b@x.test',
        'a@x.test',
        'c@x.test',
      ]);
    });

    test('but the primary one comes from the first attribute that has any', () => {
      const attributes = { mail: ['new@x.test'], other: ['o@x.test', 'old@x.test'] };
      expect(order(['old@x.test', 'o@x.test'], attributes, 'mail,other')).toEqual([
        'new@x.test',
        'old@x.test',
        'o@x.test',
      ]);
      expect(order(['b@x.test', 'a@x.test'], { other: ['a@x.test', 'b@x.test'] }, 'mail,other')).toEqual([
        'b@x.test',
        'a@x.test',
      ]);
    });
  });

  test('beyond any sense skip the entry instead of breaking the write of others', () => {
    const mail = Array.from({ length: 3_000 }, (_, position) => `somebody.${position}@department.example.test`);
    expect(reason(anEntry('1', { uid: ['anna'], mail }))).toMatch(/16 KB of e-mail addresses/u);
  });
});

describe('an entry that the directory marks disabled', () => {
  const entry = anEntry('1', { uid: ['anna'] }, { mark: 'shadowexpire', statusSeen: ['shadowexpire'] });

  test('is marked, skipped or imported as the option says', () => {
    expect(mapEntry(entry, MAPPING, 'disable')).toMatchObject({ person: { disabled: true, mark: 'shadowexpire' } });
    expect(skipped(entry, 'skip').reason).toMatch(/disabled/u);
    expect(mapEntry(entry, MAPPING, 'import')).toMatchObject({ person: { disabled: false, mark: 'shadowexpire' } });
  });

  test('is to be disabled although it is skipped, if it has an id', () => {
    const nameless = { ...entry, attributes: {} };
    expect(skipped(nameless, 'disable')).toMatchObject({ directoryId: '1', disabled: true });
    expect(skipped({ ...nameless, unusable: 'it is an alias' }, 'disable')).toMatchObject({ disabled: true });
    expect(skipped({ ...nameless, id: null }, 'disable').disabled).toBe(false);
    expect(skipped(nameless, 'skip').disabled).toBe(false);
    expect(skipped(nameless, 'import').disabled).toBe(false);
    expect(skipped({ ...nameless, mark: null }, 'disable').disabled).toBe(false);
  });
});

test('what the entry says of the status reaches the person', () => {
  const over: EntryOver = { statusSeen: ['accountexpires'], statusUnknown: true };
  expect(person(anEntry('1', { uid: ['anna'] }, over))).toMatchObject({ mark: null, ...over });
});

test('an entry that can not be a person is skipped with its reason', () => {
  expect(reason(anEntry('1', { uid: ['anna'] }, { unusable: 'it is an alias' }))).toBe('it is an alias');
});

test('an entry without a readable unique id is skipped', () => {
  expect(reason(anEntry('1', { uid: ['anna'] }, { id: null }))).toMatch(/unique id/u);
});

test('the fingerprint changes with everything that sync stores or tells, and with nothing else', () => {
  const base = { uid: ['anna'], cn: ['Anna'], mail: ['a@x.test', 'b@x.test'] };
  const fingerprint = (attributes: Record<string, string[]>, over: EntryOver = {}): string =>
    person(anEntry('1', attributes, over), { emailAddresses: 'mail,other' }).fingerprint;
  const plain = fingerprint(base);
  const same = [
    fingerprint({ ...base, telephonenumber: ['1'] }),
    fingerprint({ ...base, mail: ['b@x.test', 'a@x.test'] }),
    fingerprint({ ...base, uid: ['zoe', 'anna'] }),
    fingerprint(base, { statusSeen: ['shadowexpire'] }),
  ];
  const others = [
    fingerprint({ ...base, uid: ['Anna'] }),
    fingerprint({ ...base, cn: ['Anna W'] }),
    fingerprint({ ...base, mail: ['a@x.test'] }),
    fingerprint({ ...base, mail: ['a@x.test', 'c@x.test'] }),
    fingerprint({ ...base, mail: ['a@x.test'], other: ['b@x.test'] }),
    fingerprint({ ...base, mail: ['SMTP:a@x.test', 'b@x.test'] }),
    fingerprint({ ...base, mail: ['a@x.test', 'SMTP:b@x.test'] }),
    fingerprint({ ...base, mail: [...base.mail, 'none'] }),
    fingerprint(base, { dn: 'uid=anna,dc=example,dc=com' }),
    fingerprint(base, { id: '2' }),
    fingerprint(base, { disabled: true }),
    fingerprint(base, { mark: 'shadowexpire' }),
    fingerprint(base, { statusUnknown: true }),
  ];
  expect(new Set(same)).toEqual(new Set([plain]));
  // `SMTP:a` chooses among a alone, as if b were of a second attribute: the same addresses in the same order.
  expect(new Set([plain, ...others]).size).toBe(others.length);
});

test('the order of values means nothing once a user is stored', () => {
  const distinct = (values: readonly string[]): fc.Arbitrary<[string[], string[]]> =>
    fc.subarray([...values], { minLength: 1 }).chain((some) => {
      const shuffled = fc.shuffledSubarray(some, { minLength: some.length });
      return fc.tuple(shuffled, shuffled);
    });
  const names = distinct(['zweber', 'aweber', 'anna', 'Anna']);
  const mails = distinct(['a@x.test', 'B@x.test', 'b@x.test,c@x.test', 'SMTP:d@x.test', 'nothing']);
  fc.assert(
    fc.property(names, distinct(['Anna W', 'Anna']), mails, fc.nat(), ([uid, uid2], [cn, cn2], [mail, mail2], pick) => {
      const [before, after] = [
        person(anEntry('1', { uid, cn, mail })),
        person(anEntry('1', { uid: uid2, cn: cn2, mail: mail2 })),
      ];
      const stored = [before.userName, ...before.otherUserNames];
      const nameKey = userNameKey(stored[pick % stored.length]!);
      const [kept, keptAfter] = [before, after].map((one) => keepStoredNames(one, { nameKey }));

      expect(keptAfter!.nameKey).toBe(nameKey);
      expect(keptAfter!.fingerprint).toBe(kept!.fingerprint);
      expect(orderAddresses(kept!.emailAddresses, keptAfter!).map((one) => one.toLowerCase())).toEqual(
        kept!.emailAddresses.map((one) => one.toLowerCase()),
      );
    }),
  );
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
