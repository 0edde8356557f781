/** Which text people can read: one rule for names, addresses, ids and settings. Knows nothing of any of them. */

// Controls, halves of surrogate pairs, and the mark that decoding leaves where bytes were no UTF-8.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\uFFFD]/u;

/** Whether a text is free of control characters, half characters and bytes that were no text. */
export function isPrintable(text: string): boolean {
  return !UNPRINTABLE.test(text);
}

/** The text with each run of control characters turned into one space, trimmed. */
export function withoutControls(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ').trim();
}
