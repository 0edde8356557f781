/**
 * The `next` of a list: a position made opaque, which is refused when it comes back as anything but what was given out.
 * Knows no list; guards against slips, keeps no secret.
 */
import { hash } from 'node:crypto';
import { invalidRequest } from './errors.ts';

export interface Page<T> {
  readonly items: readonly T[];
  /** Pass it back for the next page; null at the end. */
  readonly next: string | null;
}

const CHECK_LENGTH = 8;
/** Longest position, in bytes of UTF-8: what a key of a store may have. */
const MAX_POSITION_BYTES = 1_024;

/** `list` names the list that the position belongs to; another one refuses it. */
export function encodeCursor(list: string, position: string): string {
  return Buffer.from(checkOf(list, position) + position).toString('base64url');
}

/** @throws ServiceError `invalidRequest` for what encodeCursor did not give for this list */
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
