/**
 * What administrators do to users by hand, and users to their own password. Every write is conditional on what was read, and
 * none of them leaves the system without an active administrator. Knows no HTTP; bodies arrive validated (user-schema.ts).
 */
import { randomUUID } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import { hashPassword } from '../user/password.ts';
import type { Clock } from '../clock.ts';
import type { UserStore, UserWrite } from '../user/user-store.ts';

import type { PublicUser, User } from '../user/user.ts';
import { isActiveAdministrator, isWayIn, PROFILE_FIELDS } from '../user/user.ts';
import { userNameKey } from '../user/user-name.ts';
import type { NewUser, UserPatch } from './user-schema.ts';

/**
 * A null `expectedVersion` takes the user as it is; any other one is compared, so that nothing is changed that the
 * administrator has not seen.
 */
export interface Administration {
  /** @throws ServiceError `notFound` */
  get(userName: string): Promise<User>;
  /** @throws ServiceError `userNameTaken` */
  create(user: NewUser): Promise<User>;
  /**
   * Changes fields, the user name (rename) and the way of authentication. Leaving the directory drops the link to it; going
   * to the directory drops the password, and the next run links the user by its name.
   *
   * @returns the user as it is now; unchanged, and unwritten, when the patch asks for nothing new
   * @throws ServiceError `notFound`, `versionMismatch`, `userNameTaken`, `lastAdministrator`, `conflict`
   */
  patch(userName: string, patch: UserPatch, expectedVersion: number | null): Promise<User>;
  /** @throws ServiceError `notFound`, `versionMismatch`, `lastAdministrator`, `conflict` */
  remove(userName: string, expectedVersion: number | null): Promise<void>;
  /**
   * For integrated users. Ends every session of the user.
   *
   * @throws ServiceError `notFound`, `conflict` for a user whose password the directory keeps
   */
  setPassword(userName: string, password: string): Promise<User>;
  /**
   * As `setPassword`, for a user who may and who has just logged in with the old password.
   *
   * @param verified the user as the login has found it; nothing is written to a record that has changed since
   * @throws ServiceError `conflict` for a user whose password the directory keeps or that has been changed meanwhile,
   *   `notFound`
   */
  changeOwnPassword(verified: PublicUser, password: string): Promise<User>;
}

const MAX_RACES = 5;

export function createAdministration(users: UserStore, clock: Clock): Administration {
  async function get(userName: string): Promise<User> {
    const user = await users.get(userName);
    if (user === null) throw new ServiceError('notFound', 'there is no user of this name');
    return user;
  }

  /** Reads, decides and writes until nobody else was in between. `decide` gives null to write nothing. */
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
      if ((await users.writeTogether(writes)) === 'written') return next ?? stored;
      if (next && userNameKey(next.userName) !== userNameKey(stored.userName)) await refuseTakenName(next);
    }
    throw new ServiceError('conflict', 'others keep changing this user; nothing was written', { retryable: true });
  }

  async function refuseTakenName({ userName }: User): Promise<void> {
    if ((await users.get(userName)) !== null) throw userNameTaken();
  }

  /**
   * Where a write takes an active administrator away: a check that another one is still there when it happens, so that two
   * administrators can't remove each other at the same moment.
   */
  async function keepAdministrator(stored: User, next: User | null): Promise<UserWrite[]> {
    const loses = next === null || !isActiveAdministrator(next) || (isWayIn(stored) && !isWayIn(next));
    if (!isActiveAdministrator(stored) || !loses) return [];
    const others = (await users.listActiveAdministrators()).filter((other) => other.id !== stored.id && isWayIn(other));
    if (others[0]) return [{ kind: 'check', previous: others[0] }];
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
 * The user's next version with the patch in it; null when that changes nothing. Ends the sessions of a user whose name, status,
 * privileges, authentication or password change.
 *
 * @param passwordHash of the new password, where there is one: the patch's own is never stored
 */
export function patchUser(stored: User, patch: UserPatch, now: Date, passwordHash?: string): User | null {
  const next = applyPatch(stored, patch, passwordHash);
  if (next === null) return null;
  const endsSessions = (['userName', 'disabledBy', 'privileges', 'authentication', 'passwordHash'] as const).some(
    (field) => JSON.stringify(next[field]) !== JSON.stringify(stored[field]),
  );
  return succeed(stored, endsSessions ? { ...next, sessionsValidFrom: now.toISOString() } : next, now);
}

/** The record with the patch in it; null when that changes nothing. */
function applyPatch(stored: User, patch: UserPatch, passwordHash: string | undefined): User | null {
  const { status, authentication, password: _typed, ...fields } = patch;
  let next: User = { ...stored, ...(fields as Partial<User>) };
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
  return { kind: userNameKey(user.userName) === userNameKey(previous.userName) ? 'update' : 'rename', user, previous };
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
