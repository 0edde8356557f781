/** Readable text: one rule for names, addresses, ids and settings. Knows nothing of any of them. */

// Control characters, unpaired surrogates, and U+FFFD, which decoding puts in place of bytes that are not UTF-8.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\uFFFD]/u;

/** Whether a text has no control characters, no unpaired surrogates and no undecodable bytes (U+FFFD). */
export function isPrintable(text: string): boolean {
  return !UNPRINTABLE.test(text);
}

/** The text, trimmed, with each sequence of control characters replaced by one space. */
export function withoutControls(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ').trim();
}
