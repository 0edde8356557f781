import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toUser, toUserItem } from '../../lib/aws/user-item.ts';
import { parseUserName, userNameKey } from '../../lib/user/user-name.ts';
import { aUser } from '../support/people.ts';

describe('the key of a user name', () => {
  test.each([
    ['Anna', 'ANNA'],
    ['Mu\u0308ller', 'M\u00fcller'],
    ['ΟΔΟΣ', 'οδος'],
    ['straße', 'STRASSE'],
    ['STRAẞE', 'straße'],
    [' anna ', 'anna'],
    ['x y', 'x  y'],
    ['x y', 'x\u00A0y'],
    ['x y', 'ｘ　Ｙ'],
    ['fiona', 'ﬁona'],
    ['می\u200Cخواهم', 'میخواهم'],
    ['anna', 'an\u200Dna'],
    ['İstanbul', 'i\u0307stanbul'],
    ['carl', 'carl\u034F'],
    ['carl', 'ca\u00ADrl\u{E0041}'],
  ])('is the same for %s and %s', (one, other) => {
    expect(userNameKey(one)).toBe(userNameKey(other));
  });

  test('of a key is the key itself, and letter case never changes it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (name) => {
        const key = userNameKey(name);
        expect(userNameKey(key)).toBe(key);
        expect(userNameKey(name.toUpperCase())).toBe(key);
      }),
    );
  });
});

test('the key of a user name keeps apart what a directory keeps apart', () => {
  const names = ['anna', 'ann a', 'änna', 'anna\u0301', 'b \u0301', 'b\u0301', 'b', 'аnna'];
  expect(new Set(names.map(userNameKey)).size).toBe(names.length);
});

test('the key of any character is its own key and has no letter case', () => {
  // These have no letter case and no compatibility form, or are not assigned.
  const irrelevant = /[\p{Cn}\p{Co}\p{Cs}\p{Script=Han}\p{Script=Hangul}\p{Script=Yi}\p{Script=Tangut}]/u;
  const unstable: string[] = [];
  for (let code = 0; code <= 0x10ffff; code += 1) {
    const character = String.fromCodePoint(code);
    if (irrelevant.test(character)) continue;
    const name = `${character} b${character}`;
    const key = userNameKey(name);
    if ([key, name.toUpperCase(), name.toLowerCase()].some((other) => userNameKey(other) !== key)) unstable.push(name);
  }
  expect(unstable).toEqual([]);
});

test('every user name that is accepted has a key that a store can hold', () => {
  const names = ['\uFDFA'.repeat(23), 'ΐ'.repeat(127), '\u{1F600}'.repeat(63), 'x'.repeat(255)];
  expect(names.map((name) => parseUserName(name).kind)).toEqual(['userName', 'userName', 'userName', 'userName']);
  for (const name of names) expect(Buffer.byteLength(userNameKey(name))).toBeLessThanOrEqual(765);
  expect(parseUserName('\uFDFA'.repeat(24))).toMatchObject({ reason: expect.stringMatching(/longer than 765 bytes/u) });
});

test('a user name may have spaces inside and the joiners that some scripts need', () => {
  for (const userName of ['x  y', 'Anna Weber', 'می\u200Cخواهم', 'क्\u200Dष', 'ｘｙ']) {
    expect(parseUserName(userName)).toEqual({ kind: 'userName', userName });
  }
});

test('every user name that is accepted is stored as it is accepted', () => {
  let accepted = 0;
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const parsed = parseUserName(text);
      if (parsed.kind !== 'userName') return;
      accepted += 1;
      expect(parseUserName(parsed.userName)).toEqual(parsed);
    }),
  );
  expect(accepted).toBeGreaterThan(0);
});

const INVISIBLE = [
  '\u034F',
  '\uFE0F',
  '\u3164',
  '\u115F',
  '\u1160',
  '\uFFA0',
  '\u17B4',
  '\u180B',
  '\u2060',
  '\u200B',
  '\uFEFF',
  '\u00AD',
  '\u061C',
  '\u200E',
  '\u200F',
  '\u202A',
  '\u2066',
  '\u2069',
  '\u{1D173}',
  '\u{E0001}',
  '\u{E0100}',
  '\u06DD',
];

test.each(INVISIBLE)('a user name with %j is refused as invisible, wherever it is', (character) => {
  for (const text of [`carl${character}`, `${character}carl`, `ca${character}rl`].filter(
    (one) => one.trim() !== 'carl',
  )) {
    expect(parseUserName(text)).toMatchObject({ kind: 'fault', reason: expect.stringMatching(/invisible/u) });
  }
});

test.each(['', '   ', 'a\u0000b', 'a\nb', '\u202Ea', 'a\u2028b', '\uD800', '\u200D', '\u200C\uFFFC', 'x'.repeat(256)])(
  '%j is refused with a reason',
  (text) => {
    expect(parseUserName(text)).toEqual({ kind: 'fault', reason: expect.stringMatching(/^the user name/u) });
  },
);

test('a plain name takes a shorter way to the same key', () => {
  const plain = fc.string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
  });
  fc.assert(
    fc.property(plain, (text) => {
      const name = text.replaceAll(/ +/gu, ' ').trim() || 'x';
      expect(userNameKey(name)).toBe(userNameKey(`${name}ä`).slice(0, -1));
      expect(parseUserName(name)).toEqual({ kind: 'userName', userName: name });
    }),
  );
});

test('a record that was stored before a field existed has nothing in it', () => {
  const { fullName: _later, ...item } = toUserItem(aUser());
  expect(toUser(item)).toEqual(aUser({ fullName: null }));
});
