/**
 * Changes users on behalf of administrators, and passwords on behalf of their users. Every write is conditional on what
 * was read, and none leaves the system without an active administrator. Knows no HTTP; its input is validated
 * (user-schema.ts).
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import type { LoginStore } from '../login/login-store.ts';
import { hashPassword } from '../user/password.ts';
import type { UserStore, UserWrite } from '../user/user-store.ts';
import type { PublicUser, User } from '../user/user.ts';
import { isActiveAdministrator, isWayIn, PROFILE_FIELDS, nameKeyOf } from '../user/user.ts';
import type { NewUser, UserPatch } from './user-schema.ts';

/**
 * The changes to users. With an `expectedVersion`, a change is refused if the user has another version, so that an
 * administrator changes only what they have seen; null = any version.
 */
export interface Administration {
  /** The user with this name, in any letter case. @throws ServiceError `notFound` */
  get(userName: string): Promise<User>;
  /** Creates a user without a password and without a link to the directory. @throws ServiceError `userNameTaken` */
  create(user: NewUser): Promise<User>;
  /**
   * Changes fields, including the user name (a rename) and the authentication. A change to `integrated` removes the
   * link to the directory; a change to `directory` deletes the password, and the next run links the user by its name.
   *
   * @returns the user after the change; if the patch changes nothing, nothing is written
   * @throws ServiceError `notFound`, `versionMismatch`, `userNameTaken`, `lastAdministrator`, `conflict`
   */
  patch(userName: string, patch: UserPatch, expectedVersion: number | null): Promise<User>;
  /** Deletes a user. @throws ServiceError `notFound`, `versionMismatch`, `lastAdministrator`, `conflict` */
  remove(userName: string, expectedVersion: number | null): Promise<void>;
  /**
   * Sets the password of an integrated user and ends all sessions of the user.
   *
   * @throws ServiceError `notFound`; `conflict` for a directory user
   */
  setPassword(userName: string, password: string): Promise<User>;
  /**
   * Like `setPassword`, for a user who may change it and has just logged in with the old password.
   *
   * @param verified the user as the login found it; if the record has changed since, nothing is written
   * @throws ServiceError `conflict` for a directory user, or if the user has been changed in the meantime; `notFound`
   */
  changeOwnPassword(verified: PublicUser, password: string): Promise<User>;
}

const MAX_RACES = 5;

/** Makes the administration of the users in a store. */
export function createAdministration(
  users: UserStore,
  logins: Pick<LoginStore, 'forgetAttempts'>,
  clock: Clock,
): Administration {
  async function get(userName: string): Promise<User> {
    const user = await users.get(userName);
    if (user === null) throw new ServiceError('notFound', 'there is no user of this name');
    return user;
  }

  /** Reads, decides and writes, again if somebody else wrote in between. If `decide` gives null, nothing is written. */
  async function change(
    userName: string,
    expectedVersion: number | null,
    decide: (stored: User) => User | 'delete' | null,
  ): Promise<User> {
    for (let race = 0; race < MAX_RACES; race += 1) {
      const stored = await get(userName);
      if (expectedVersion !== null && stored.version !== expectedVersion) throw versionMismatch();
      const decided = decide(stored);
      if (decided === null) return stored;
      const next = decided === 'delete' ? null : decided;
      const writes = [writeOf(stored, next), ...(await keepAdministrator(stored, next))];
      if ((await users.writeTogether(writes)) === 'written') {
        if (next === null || next.passwordHash !== stored.passwordHash) await forgetAttempts(next ?? stored);
        return next ?? stored;
      }
      if (next && nameKeyOf(next) !== nameKeyOf(stored)) await refuseTakenName(next);
    }
    throw new ServiceError('conflict', 'others keep changing this user; nothing was written', { retryable: true });
  }

  /**
   * Whoever forgot the password has probably failed often enough to be throttled; and whoever knew the former one may
   * have logged in from sources that the name should not know any longer.
   */
  async function forgetAttempts(user: User): Promise<void> {
    try {
      await logins.forgetAttempts(user);
    } catch (error) {
      // The change is done. What is left lapses by itself, and whoever gets the name anew inherits no known source.
      if (!(error instanceof ServiceError)) throw error;
    }
  }

  async function refuseTakenName({ userName }: User): Promise<void> {
    if ((await users.get(userName)) !== null) throw userNameTaken();
  }

  /**
   * If a write takes away an active administrator: a check, part of the same transaction, that another one still
   * exists. So two administrators can't remove each other at the same moment.
   */
  async function keepAdministrator(stored: User, next: User | null): Promise<UserWrite[]> {
    const loses = next === null || !isActiveAdministrator(next) || (isWayIn(stored) && !isWayIn(next));
    if (!isActiveAdministrator(stored) || !loses) return [];
    const other = await users.findAdministrator((user) => user.id !== stored.id && isWayIn(user));
    if (other !== null) return [{ kind: 'check', previous: other }];
    throw new ServiceError('lastAdministrator', 'this is the last active administrator', {
      advice: 'Give another active user the privilege "admin" first.',
    });
  }

  return {
    get,
    async create({ status, ...fields }) {
      const now = clock.now().toISOString();
      const user: User = {
        id: randomUUID(),
        ...fields,
        disabledBy: status === 'disabled' ? 'admin' : null,
        directory: null,
        passwordHash: null,
        fingerprint: null,
        createdAt: now,
        updatedAt: now,
        version: 1,
      };
      if ((await users.writeTogether([{ kind: 'create', user }])) === 'lostRace') throw userNameTaken();
      return user;
    },
    async patch(userName, patch, expectedVersion) {
      const passwordHash = patch.password === undefined ? undefined : await hashPassword(patch.password);
      return await change(userName, expectedVersion, (stored) => patchUser(stored, patch, clock.now(), passwordHash));
    },
    async remove(userName, expectedVersion) {
      await change(userName, expectedVersion, () => 'delete');
    },
    async setPassword(userName, password) {
      refuseDirectoryUser(await get(userName));
      const passwordHash = await hashPassword(password);
      return await change(userName, null, (stored) => {
        refuseDirectoryUser(stored);
        return patchUser(stored, {}, clock.now(), passwordHash);
      });
    },
    async changeOwnPassword(verified, password) {
      refuseDirectoryUser(verified);
      const passwordHash = await hashPassword(password);
      return await change(verified.userName, null, (stored) => {
        if (stored.id === verified.id && stored.version === verified.version) {
          return patchUser(stored, {}, clock.now(), passwordHash);
        }
        throw new ServiceError(
          'conflict',
          'others have changed this user in the meantime; the password was not changed',
          {
            retryable: true,
          },
        );
      });
    },
  };
}

/**
 * The next version of a user, with the patch applied; null if the patch changes nothing. If name, status, privileges,
 * authentication or password change, the sessions of the user end.
 *
 * @param passwordHash the hash of the new password, if there is one; the password in the patch is ignored
 */
export function patchUser(stored: User, patch: UserPatch, now: Date, passwordHash?: string): User | null {
  const next = applyPatch(stored, patch, passwordHash);
  if (next === null) return null;
  const endsSessions = (['userName', 'disabledBy', 'privileges', 'authentication', 'passwordHash'] as const).some(
    (field) => JSON.stringify(next[field]) !== JSON.stringify(stored[field]),
  );
  return succeed(stored, endsSessions ? { ...next, sessionsValidFrom: now.toISOString() } : next, now);
}

/** The record with the patch applied; null if the patch changes nothing. */
function applyPatch(stored: User, patch: UserPatch, passwordHash: string | undefined): User | null {
  const { status, authentication, password: _typed, ...fields } = patch;
  const { storedKey, ...known } = stored;
  const isRenamed = fields.userName !== undefined && fields.userName !== stored.userName;
  const kept = storedKey === undefined || isRenamed ? known : stored;
  let next: User = { ...kept, ...(fields as Partial<User>) };
  if (authentication !== undefined && authentication !== stored.authentication) {
    next = { ...next, authentication, directory: null, passwordHash: null, fingerprint: null };
  }
  if (passwordHash !== undefined) next = { ...next, passwordHash };
  if (status === 'disabled') next = { ...next, disabledBy: 'admin' };
  if (status === 'active') next = { ...next, disabledBy: null };
  const syncOwned = [...PROFILE_FIELDS, 'disabledBy'] as const;
  const same = (field: keyof User): boolean => JSON.stringify(next[field]) === JSON.stringify(stored[field]);
  if (!syncOwned.every(same)) next = { ...next, fingerprint: null };
  return (Object.keys(next) as (keyof User)[]).every(same) ? null : next;
}

function succeed(stored: User, next: User, now: Date): User {
  return { ...next, updatedAt: now.toISOString(), version: stored.version + 1 };
}

function writeOf(previous: User, user: User | null): UserWrite {
  if (user === null) return { kind: 'delete', previous };
  return { kind: nameKeyOf(user) === nameKeyOf(previous) ? 'update' : 'rename', user, previous };
}

function refuseDirectoryUser({ authentication }: Pick<User, 'authentication'>): void {
  if (authentication === 'integrated') return;
  throw new ServiceError('conflict', 'the password of this user is kept in the directory', {
    advice: 'Change the password in the directory, or set "authentication" to "integrated" first.',
  });
}

function userNameTaken(): ServiceError {
  return new ServiceError('userNameTaken', 'there is already a user of this name', {
    advice: 'Letter case does not distinguish user names. Choose another name.',
  });
}

function versionMismatch(): ServiceError {
  return new ServiceError('versionMismatch', 'the user has been changed since it was read', {
    advice: 'Read the user again and, if the change still makes sense, repeat it.',
  });
}
