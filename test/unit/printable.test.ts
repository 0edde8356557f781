/** Which text people can read, and what is left of a text without its control characters. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isPrintable, withoutControls } from '../../lib/printable.ts';

test.each([
  '',
  'Anna Weber',
  'Jürgen O’Neill (Köln)',
  '山田 太郎',
  'no\u00A0break',
  'a\u200Db',
  '\u{1F600}',
  '\u{1F468}\u200D\u{1F469}',
])('%j can be read', (text) => {
  expect(isPrintable(text)).toBe(true);
});

test.each([
  ['NUL', 'a\u0000b'],
  ['a tab', 'a\tb'],
  ['a line break', 'Anna\n'],
  ['the last control character of ASCII', '\u001F'],
  ['DEL', '\u007F'],
  ['the first control character behind DEL', '\u0080'],
  ['the last control character of Latin-1', '\u009F'],
  ['the first half of a pair alone', 'a\uD83D'],
  ['the second half of a pair alone', '\uDE00b'],
  ['the halves in the wrong order', '\uDE00\uD83D'],
  ['the mark of bytes that were no UTF-8', Buffer.from([0x41, 0xff]).toString('utf8')],
])('a text with %s can’t be read', (_name, text) => {
  expect(isPrintable(text)).toBe(false);
});

test.each([
  ['no controls', 'no controls'],
  ['two\r\nlines', 'two lines'],
  ['\u0000bind refused\u0000\u0000', 'bind refused'],
  ['a\tb\u0007\u0008c', 'a b c'],
  ['  spaces  stay  inside  ', 'spaces  stay  inside'],
  ['\u0001\u0002', ''],
  ['', ''],
])('%j is %j without controls', (text, expected) => {
  expect(withoutControls(text)).toBe(expected);
});

test('a text without controls has none, and stays as it is a second time', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const cleaned = withoutControls(text);

      expect(cleaned).not.toMatch(/\p{Cc}/u);
      expect(withoutControls(cleaned)).toBe(cleaned);
    }),
  );
});
