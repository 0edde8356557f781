/**
 * The `next` of a list: a position in opaque form, refused unless it came from the same list. Knows no list. Guards
 * against mistakes; keeps no secret.
 */
import { hash } from 'node:crypto';
import { invalidRequest } from './errors.ts';

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Pass it back for the next page; null at the end. */
  readonly next: string | null;
}

const CHECK_LENGTH = 8;
/** Longest position, in bytes of UTF-8: the longest key that a store may have. */
const MAX_POSITION_BYTES = 1_024;

/** The position in opaque form. `list` names the list that the position belongs to; no other list accepts it. */
export function encodeCursor(list: string, position: string): string {
  return Buffer.from(checkOf(list, position) + position).toString('base64url');
}

/**
 * The position in a `next` of this list.
 * @throws ServiceError `invalidRequest` for any text that encodeCursor did not return for this list
 */
export function decodeCursor(list: string, next: string): string {
  const text = Buffer.from(next, 'base64url').toString();
  const position = text.slice(CHECK_LENGTH);
  const isPosition = position !== '' && Buffer.byteLength(position) <= MAX_POSITION_BYTES;
  if (!isPosition || encodeCursor(list, position) !== next) {
    throw invalidRequest([{ path: 'next', message: 'must be the "next" of an earlier page of this list' }]);
  }
  return position;
}

function checkOf(list: string, position: string): string {
  return hash('sha256', `${list}\n${position}`).slice(0, CHECK_LENGTH);
}
