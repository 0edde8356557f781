/**
 * What a change of names leaves for those who follow the stream of the users table. The stream shows a record that goes from one
 * key and one that comes to another, in any order and perhaps a day apart; neither tells that both are one user's. So the one
 * that comes carries what has changed, and for the one that goes a mark tells that its user lives on. Both are written in
 * the transaction of the change itself.
 */
import type { UserChanges } from '../event/event.ts';
import type { User } from '../user/user.ts';
import { epochSeconds, type Item } from './client.ts';
import { OPERATIONS_PREFIX } from './environment.ts';

/** On a record that has come to its key in a transaction; stale from its next update on, which nobody needs to look at. */
export interface Arrival {
  /** null for a new user. */
  readonly changes: UserChanges | null;
  /** Whether the user who had this name was deleted in the same transaction; else that one has another name now. */
  readonly replacesDeleted: boolean;
}

export function readArrival({ arrival }: Item): Arrival {
  return (arrival as Arrival | undefined) ?? { changes: null, replacesDeleted: true };
}

/** A week: a stream keeps its records for one day. */
const MARK_KEPT_MS = 7 * 24 * 60 * 60 * 1_000;

/** The mark's key in the operations table: exactly this record has gone from its key by a rename. */
export function renameMarkKey({ id, version }: User) {
  return { pk: `${OPERATIONS_PREFIX.renamed}${id}`, sk: String(version) };
}

export function toRenameMark(previous: User, renamedAt: string): Item {
  return { ...renameMarkKey(previous), expiresAt: epochSeconds(new Date(Date.parse(renamedAt) + MARK_KEPT_MS)) };
}
