/** User names: their syntax, the form in which they are compared, and their order. Knows no user record. */
import { isPrintable } from '../printable.ts';

/** Longest user name, in bytes of UTF-8. */
export const MAX_USER_NAME_BYTES = 255;

// A key can be longer than its name, because one character may stand for several (RFC 4518 section 2.3). Stores index
// keys of this length.
const MAX_NAME_KEY_BYTES = 3 * MAX_USER_NAME_BYTES;

// Line separators, and characters that are invisible or change the direction of others: to people and to a directory
// (RFC 4518 section 2.2), two names that look alike are the same name. The two joiners are allowed, because some
// scripts need them.
const INVISIBLE = /(?![\u200C\u200D])[\p{Zl}\p{Zp}\p{Cf}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]/u;

// Printable ASCII with single spaces needs no trimming, composing or folding. Most names are of this kind, and a run
// handles hundreds of thousands.
const PLAIN = /^[!-~]+(?: [!-~]+)*$/;

/** `reason`: why the text can't be a user name, as a clause without a full stop. */
export type ParsedUserName =
  | { readonly kind: 'userName'; readonly userName: string }
  | { readonly kind: 'fault'; readonly reason: string };

/** A user name in the form in which it is stored (trimmed, NFC), or the reason why the text can't be one. */
export function parseUserName(text: string): ParsedUserName {
  const refuse = (reason: string): ParsedUserName => ({ kind: 'fault', reason });
  if (PLAIN.test(text) && text.length <= MAX_USER_NAME_BYTES) return { kind: 'userName', userName: text };
  const userName = text.normalize('NFC').trim();
  if (userName === '') return refuse('the user name is empty');
  if (!isPrintable(userName) || INVISIBLE.test(userName)) {
    return refuse('the user name contains control characters, invisible characters or bytes that are not UTF-8');
  }
  if (Buffer.byteLength(userName) > MAX_USER_NAME_BYTES) {
    return refuse(`the user name is longer than ${MAX_USER_NAME_BYTES} bytes`);
  }
  const nameKey = userNameKey(userName);
  if (nameKey === '') return refuse('the user name has nothing but invisible characters');
  if (Buffer.byteLength(nameKey) > MAX_NAME_KEY_BYTES) {
    return refuse(`the user name is longer than ${MAX_NAME_KEY_BYTES} bytes in the form in which names are compared`);
  }
  return { kind: 'userName', userName };
}

// RFC 4518 section 2.2 maps these to nothing: control and format characters, the joiners among them, the Mongolian soft
// hyphen and the object replacement character.
const MAPPED_TO_NOTHING = /[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u1806\uFFFC]/gu;
const MAPPED_TO_SPACE = /[\t-\r\u0085\p{Z}]/gu;
// RFC 4518 section 2.6.1: a space that carries a combining mark is not a space.
const OUTER_SPACES = /^ +(?!\p{M})| +$/gu;
const INNER_SPACES = / {2,}(?!\p{M})/gu;

/**
 * The form in which user names are compared and used as keys, as directories compare them (RFC 4518): invisible
 * characters mapped, NFKC, without letter case and without insignificant spaces. Repeated until nothing changes,
 * because each step can undo another one. Upper case comes first, because it merges letters that lower case alone keeps
 * apart (final sigma, sharp s): two names that a person would take for the same never become two users.
 *
 * A record is stored under the key of its time: a later release or a newer Unicode may give another one.
 */
export function userNameKey(userName: string): string {
  if (PLAIN.test(userName)) return userName.toLowerCase();
  let key = userName;
  for (;;) {
    const before = key;
    key = key
      .replaceAll(MAPPED_TO_SPACE, ' ')
      .replaceAll(MAPPED_TO_NOTHING, '')
      .normalize('NFKC')
      .toUpperCase()
      .toLowerCase()
      .replaceAll('\u03C2', '\u03C3')
      .normalize('NFKC')
      .replaceAll(OUTER_SPACES, '')
      .replaceAll(INNER_SPACES, ' ');
    if (key === before) return key;
  }
}

/**
 * Compares name keys by code point, as every store sorts UTF-8 bytes. JavaScript compares strings by UTF-16 code unit
 * instead.
 */
export function compareNameKeys(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  for (let position = 0; position < end; position += 1) {
    if (a.charCodeAt(position) !== b.charCodeAt(position)) {
      // At the second half of a surrogate pair the first halves are equal, and the halves sort as their code points do.
      return a.codePointAt(position)! - b.codePointAt(position)!;
    }
  }
  return a.length - b.length;
}
