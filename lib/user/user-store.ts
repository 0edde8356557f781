/**
 * The port to the user database. Every write is conditional on the record that was read; a lost race is a value. An
 * adapter throws nothing but a ServiceError.
 */
import type { Page } from '../cursor.ts';
import type { Authentication, User, UserStatus } from './user.ts';

/** The part of a user that matching needs. */
export interface UserLink {
  readonly nameKey: string;
  /** `linkKey` of the user's directory link; null for a user without a link. */
  readonly linkKey: string | null;
  readonly fingerprint: string | null;
  /** Present if sync has disabled the user. */
  readonly disabledBySync?: true;
}

/**
 * One conditional write. It takes effect only if the stored record is still `previous` (same id, same version), and no
 * other user has the directory id that it gives to the user.
 */
export type UserWrite =
  | { readonly kind: 'create'; readonly user: User }
  /** `user.userName` has the same name key as `previous.userName`. */
  | { readonly kind: 'update'; readonly user: User; readonly previous: User }
  /**
   * `user.userName` has another name key, which no stored user has (except in a group, where another write may free
   * it).
   */
  | { readonly kind: 'rename'; readonly user: User; readonly previous: User }
  | { readonly kind: 'delete'; readonly previous: User }
  /** Writes nothing; fails the group if the record has changed. */
  | { readonly kind: 'check'; readonly previous: User };

/** `lostRace`: another writer was first, and nothing was written. */
export type WriteResult = 'written' | 'lostRace';

/** The right of one run to write: once its lease has passed to another run, its writes are refused. */
export interface Fence {
  readonly runId: string;
  readonly token: number;
}

/** A page of a list of users; all conditions must match. */
export interface UserQuery {
  /** Prefix of the user name or, if it contains an @, also a whole e-mail address. Compared without letter case. */
  readonly search?: string;
  readonly authentication?: Authentication;
  readonly status?: UserStatus;
  /** Users per page, 1 to 200. */
  readonly limit: number;
  readonly next?: string;
}

/** The user database. Every method may throw ServiceError `storeUnavailable`. */
export interface UserStore {
  /**
   * The links of all users, in no order, in batches. They may be slightly out of date; a conditional write detects
   * that.
   */
  readLinks(): AsyncIterable<readonly UserLink[]>;
  /** The current record with this name, in any letter case. */
  get(userName: string): Promise<User | null>;
  /** The current records with these name keys; keys without a record are left out. */
  getMany(nameKeys: readonly string[]): Promise<ReadonlyMap<string, User>>;
  /**
   * Ordered by name key. A page may hold fewer users than `limit` and still have a `next`.
   * @throws ServiceError `invalidRequest` for a `next` that this store did not return
   */
  list(query: UserQuery): Promise<Page<User>>;
  /**
   * The current record of an active administrator whom `suits` accepts; null if there is none. Reads every user before
   * it says so.
   */
  findAdministrator(suits: (user: User) => boolean): Promise<User | null>;
  /**
   * As `findAdministrator`, at the cost of a few reads. A null proves nothing: administrators of the last moments may
   * be unknown, and so may those whom an earlier release stored, until they are written, read by `get`, or found by
   * reading every user.
   */
  findKnownAdministrator(suits: (user: User) => boolean): Promise<User | null>;
  /** Performs each write independently; the results are in the order of the writes. */
  writeEach(writes: readonly UserWrite[]): Promise<readonly WriteResult[]>;
  /** Performs all writes or none: at most 50, or 32 renames to names that no write of the group frees. */
  writeTogether(writes: readonly UserWrite[]): Promise<WriteResult>;
}
