/** The port to the data of a login: the user, and the attempts that the throttle counts. Decides nothing. */
import type { DirectoryLink, User } from '../user/user.ts';

/** An attempt that counts against a budget of its name (throttle.ts). */
export interface Attempt {
  readonly id: string;
  /** When it was admitted, in epoch milliseconds. */
  readonly at: number;
  /** The hash of its source, if the name knew that source; absent for every other source. */
  readonly source?: string;
  /**
   * How it ended, if that is known: the password was refused, or the directory took it and did not answer. Absent while
   * the login is on its way.
   */
  readonly verdict?: 'refused' | 'unanswered';
}

/** What is kept of the logins with one name, whether a user has it or not. */
export interface NameAttempts {
  /** Names this state of the record: every write has a new one. */
  readonly revision: string;
  readonly attempts: readonly Attempt[];
  /** The user whose sources are known; null if none is. */
  readonly userId: string | null;
  /** From the hash of a source to the time of a login from it, exact to a day, in epoch milliseconds. */
  readonly known: Readonly<Record<string, number>>;
  /** The record may be deleted after this time, in epoch milliseconds. */
  readonly expiresAt: number;
}

/** What the throttle needs to know of one login. */
export interface LoginAttempts {
  /** null if nothing is kept of this name. */
  readonly name: NameAttempts | null;
  /** Refusals of the source at names that do not know it, by slot (throttle.ts). */
  readonly source: Readonly<Record<string, number>>;
}

/** Reads and writes the data of a login, in as few requests as possible. Errors: `storeUnavailable`. */
export interface LoginStore {
  /** User and attempts, all of them current, in one request. null: no such user, no source. */
  find(
    userName: string,
    source: string | null,
  ): Promise<{ readonly user: User | null; readonly attempts: LoginAttempts }>;
  /**
   * Stores the attempts at a name if they are still `previous`; null = none. Sent again after a lost answer, it is done
   * once. A false does not prove that nothing was written: another login may have written after the lost answer.
   */
  writeAttempts(userName: string, previous: NameAttempts | null, next: NameAttempts): Promise<boolean>;
  /**
   * Counts one more refusal of a source, however many logins count at once.
   * @param slot the number of the slot to count in
   * @param stale slots to forget
   * @param forgetAt after this time the record may be deleted
   */
  countRefusal(source: string, slot: number, stale: readonly string[], forgetAt: Date): Promise<void>;
  /** Forgets everything that is kept of the user's name. */
  forgetAttempts(user: Pick<User, 'userName' | 'storedKey'>): Promise<void>;
  /** Stores the DN that a login found, unless the user has changed meanwhile. */
  rememberDn(user: User, dn: string): Promise<void>;
  /**
   * Ties a user without a link to a directory entry, and makes the user the owner of its id. `lostRace`: the user has
   * changed meanwhile, or somebody else owns the id; then nothing was written.
   */
  linkUser(user: User, link: DirectoryLink): Promise<'written' | 'lostRace'>;
}
