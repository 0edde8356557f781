/** The port to what a login reads and remembers: the user and the failed attempts. */
import type { User } from '../user/user.ts';

/** Failed attempts of one user name, known or not. */
export interface Attempts {
  readonly failures: number;
  /** Until when attempts are refused unseen. RFC 3339 UTC. */
  readonly blockedUntil: string;
}

/** What a login reads and remembers, in as few requests as that takes. */
export interface LoginStore {
  /** User and attempts, both current, in one request. */
  find(userName: string): Promise<{ readonly user: User | null; readonly attempts: Attempts | null }>;
  /** Sets the attempts, if they still are `previous`; false = somebody else was there first. */
  setAttempts(userName: string, previous: Attempts, next: Attempts): Promise<boolean>;
  /** Counts one more failure whoever else counts; gives the count. Forgotten after `forgetAt`. */
  countFailure(userName: string, forgetAt: Date): Promise<number>;
  clearAttempts(userName: string): Promise<void>;
  /** Stores the DN a login has found, unless the user has changed meanwhile. */
  rememberDn(user: User, dn: string): Promise<void>;
}
