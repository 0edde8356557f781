/** User names: their syntax, the form in which they are compared, and their order. Knows no user record. */
import { isPrintable } from '../printable.ts';

/** Longest user name, in bytes of UTF-8. */
export const MAX_USER_NAME_BYTES = 255;

// Line separators and invisible characters: to people, two names that look alike are the same name. The two joiners are
// allowed, because some scripts need them.
const INVISIBLE = /[\p{Zl}\p{Zp}]|(?![\u200C\u200D])\p{Cf}/u;

// Printable ASCII needs no trimming, composing or folding. Most names are of this kind, and a run handles hundreds of
// thousands.
const PLAIN = /^[!-~]+$/;

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
  return { kind: 'userName', userName };
}

/**
 * The form in which user names are compared and used as keys: NFC, without letter case. Upper case comes first, because
 * it merges letters that lower case alone keeps apart (final sigma, sharp s): two names that a person would take for
 * the same never become two users.
 */
export function userNameKey(userName: string): string {
  if (PLAIN.test(userName)) return userName.toLowerCase();
  return userName.normalize('NFC').trim().toUpperCase().toLowerCase().normalize('NFC');
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
