/**
 * The port to the user database. Every write is conditional on the record that was read; a lost race is a value. An adapter
 * translates: it throws nothing but a ServiceError.
 */
import type { Page } from '../cursor.ts';
import type { Authentication, User, UserStatus } from './user.ts';

/** What matching needs of a user, and no more. */
export interface UserLink {
  readonly nameKey: string;
  /** `linkKey` of the user's directory link; null for a user that has none. */
  readonly linkKey: string | null;
  readonly fingerprint: string | null;
}

/** One conditional write. It happens only if the stored record still is `previous` (same id, same version). */
export type UserWrite =
  | { readonly kind: 'create'; readonly user: User }
  /** `user.userName` has the same key as `previous.userName`. */
  | { readonly kind: 'update'; readonly user: User; readonly previous: User }
  /** `user.userName` has another key, which nobody else has (except in writeTogether, one that leaves it there). */
  | { readonly kind: 'rename'; readonly user: User; readonly previous: User }
  | { readonly kind: 'delete'; readonly previous: User }
  /** Writes nothing; fails the group when that record has changed. Only in writeTogether. */
  | { readonly kind: 'check'; readonly previous: User };

/** `lostRace`: somebody else was there first, and nothing was written. */
export type WriteResult = 'written' | 'lostRace';

/** The right to write of exactly one run: writes under a lease that has passed to another run are refused. */
export interface Fence {
  readonly runId: string;
  readonly token: number;
}

export interface UserQuery {
  /** Prefix of the user name or, when it contains an @, also a whole e-mail address. Compared without case. */
  readonly search?: string;
  readonly authentication?: Authentication;
  readonly status?: UserStatus;
  /** Users a page, 1..200. */
  readonly limit: number;
  readonly next?: string;
}

export interface UserStore {
  /** Every user's link, in no order, in batches; possibly a moment old (a write conditional on it finds that out). */
  readLinks(): AsyncIterable<readonly UserLink[]>;
  /** The current record of that name, in any letter case. */
  get(userName: string): Promise<User | null>;
  /** The current records of these name keys; absent ones are left out. */
  getMany(nameKeys: readonly string[]): Promise<ReadonlyMap<string, User>>;
  /**
   * Ordered by name key. A page may have fewer users than `limit` and yet a `next`.
   * @throws ServiceError `invalidRequest` for a `next` that this store did not give
   */
  list(query: UserQuery): Promise<Page<User>>;
  /** Every user with the privilege `admin` that is active. */
  listActiveAdministrators(): Promise<readonly User[]>;
  /** Each write by itself; the results are in the order of the writes. No `rename` and no `check`. */
  writeEach(writes: readonly UserWrite[]): Promise<readonly WriteResult[]>;
  /**
   * All writes or none, 50 at most; of renames to names that nobody leaves, 32.
   * @throws ServiceError `leaseLost` when `fence` is given and its lease is no longer its own
   */
  writeTogether(writes: readonly UserWrite[], fence?: Fence): Promise<WriteResult>;
}
