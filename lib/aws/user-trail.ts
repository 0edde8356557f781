/**
 * The trail that a rename leaves for readers of the users table's stream. The stream shows one record that leaves its
 * key and one that appears under another, in any order and perhaps a day apart; nothing shows that both are the same
 * user. So the new record carries what has changed, and a mark says that the user of the old record lives on. Both are
 * written in the transaction of the rename.
 */
import type { UserChanges } from '../event/event.ts';
import type { User } from '../user/user.ts';
import { epochSeconds, type Item } from './client.ts';
import { OPERATIONS_PREFIX } from './environment.ts';

/**
 * An attribute of a record that a transaction has put under its key. The next update makes it stale, which does no
 * harm: it is only read when a user newly appears under a key.
 */
export interface Arrival {
  /** null for a new user. */
  readonly changes: UserChanges | null;
  /** Whether the previous user of this name was deleted in the same transaction; false if that user was renamed. */
  readonly replacesDeleted: boolean;
}

/**
 * The arrival of a stored record. A record without one is a new user, and replaces a deleted user if it replaces any.
 */
export function readArrival({ arrival }: Item): Arrival {
  return (arrival as Arrival | undefined) ?? { changes: null, replacesDeleted: true };
}

/** A week. A stream keeps its records for one day. */
const MARK_KEPT_MS = 7 * 24 * 60 * 60 * 1_000;

/** The mark's key in the operations table. The mark says that a rename removed exactly this version of the record. */
export function renameMarkKey({ id, version }: User) {
  return { pk: `${OPERATIONS_PREFIX.renamed}${id}`, sk: String(version) };
}

/** The mark for a record that a rename removes from its key; `renamedAt` as RFC 3339 UTC. */
export function toRenameMark(previous: User, renamedAt: string): Item {
  return { ...renameMarkKey(previous), expiresAt: epochSeconds(new Date(Date.parse(renamedAt) + MARK_KEPT_MS)) };
}
