import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromUserItem, toUserItem } from '../../lib/aws/user-item.ts';
import { parseUserName, userNameKey } from '../../lib/user/user-name.ts';
import { aUser } from '../support/people.ts';

describe('the key of a user name', () => {
  test.each([
    ['Anna', 'ANNA'],
    ['Mu\u0308ller', 'M\u00fcller'],
    ['ΟΔΟΣ', 'οδος'],
    ['straße', 'STRASSE'],
    [' anna ', 'anna'],
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

test.each(['', '   ', 'a\u0000b', 'a\nb', '\u202Ea', 'a\u2028b', '\uD800', 'x'.repeat(256)])(
  '%j is refused with a reason',
  (text) => {
    expect(parseUserName(text)).toEqual({ kind: 'fault', reason: expect.stringMatching(/^the user name/u) });
  },
);

test('a plain name takes a shorter way to the same key', () => {
  const plain = fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
  });
  fc.assert(
    fc.property(plain, (name) => {
      expect(userNameKey(name)).toBe(userNameKey(`${name}ä`).slice(0, -1));
      expect(parseUserName(name)).toEqual({ kind: 'userName', userName: name });
    }),
  );
});

test('a record that was stored before a field existed has nothing in it', () => {
  const { fullName: _later, ...item } = toUserItem(aUser());
  expect(fromUserItem(item)).toEqual(aUser({ fullName: null }));
});
