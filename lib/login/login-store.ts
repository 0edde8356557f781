/** The port to the data of a login: the user and the failed attempts. */
import type { User } from '../user/user.ts';

/** Failed attempts under one user name, whether a user has it or not. */
export interface Attempts {
  readonly failures: number;
  /** Attempts before this time are refused without a look at the password. RFC 3339 UTC. */
  readonly blockedUntil: string;
}

/** Reads and writes the data of a login, in as few requests as possible. */
export interface LoginStore {
  /** User and attempts, both current, in one request. null: no such user, no attempts. */
  find(userName: string): Promise<{ readonly user: User | null; readonly attempts: Attempts | null }>;
  /** Sets the attempts if they are still `previous`; false if another login was first. */
  setAttempts(userName: string, previous: Attempts, next: Attempts): Promise<boolean>;
  /**
   * Counts one more failure, however many logins count at once; returns the new count. The count is dropped after
   * `forgetAt`.
   */
  countFailure(userName: string, forgetAt: Date): Promise<number>;
  clearAttempts(userName: string): Promise<void>;
  /** Stores the DN that a login found, unless the user has changed meanwhile. */
  rememberDn(user: User, dn: string): Promise<void>;
}
