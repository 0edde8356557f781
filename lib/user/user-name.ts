/** User names: which text can be one, the form in which they are compared, and their order. Knows no user record. */

/** Longest user name, in bytes of UTF-8. */
export const MAX_USER_NAME_BYTES = 255;

// Controls, lone surrogates, line separators, the mark that decoding leaves where bytes were no text, and what is not seen:
// two names that look alike are one to people. The two joiners are part of how some scripts are written.
const UNUSABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\uFFFD]|(?![\u200C\u200D])\p{Cf}/u;

// Nothing in it to trim, to compose or to fold: what most names are, and a run meets hundreds of thousands.
const PLAIN = /^[!-~]+$/;

/** `reason`: why the text can't be a user name, as half a sentence. */
export type ParsedUserName =
  | { readonly kind: 'userName'; readonly userName: string }
  | { readonly kind: 'fault'; readonly reason: string };

/**
 * Brings a user name into the form it is stored in: trimmed, NFC. Gives the reason where it can't be a user name.
 */
export function parseUserName(text: string): ParsedUserName {
  const refuse = (reason: string): ParsedUserName => ({ kind: 'fault', reason });
  if (PLAIN.test(text) && text.length <= MAX_USER_NAME_BYTES) return { kind: 'userName', userName: text };
  const userName = text.normalize('NFC').trim();
  if (userName === '') return refuse('the user name is empty');
  if (UNUSABLE.test(userName))
    return refuse('the user name contains control characters, invisible characters or bytes that are not UTF-8');
  if (Buffer.byteLength(userName) > MAX_USER_NAME_BYTES) {
    return refuse(`the user name is longer than ${MAX_USER_NAME_BYTES} bytes`);
  }
  return { kind: 'userName', userName };
}

/**
 * The form in which user names are compared and stored as key: NFC, without case. Upper case first, because it joins what
 * lower case alone keeps apart (final sigma, sharp s): two names that a person would take for one never become two users.
 */
export function userNameKey(userName: string): string {
  if (PLAIN.test(userName)) return userName.toLowerCase();
  return userName.normalize('NFC').trim().toUpperCase().toLowerCase().normalize('NFC');
}

/** The order of lists: by code point, as every store sorts UTF-8 bytes. JavaScript's own order of strings is another one. */
export function compareNameKeys(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  for (let position = 0; position < end; position += 1) {
    if (a.charCodeAt(position) !== b.charCodeAt(position)) {
      // At the second half of a pair the first halves were equal, and the halves order as their code points do.
      return a.codePointAt(position)! - b.codePointAt(position)!;
    }
  }
  return a.length - b.length;
}
