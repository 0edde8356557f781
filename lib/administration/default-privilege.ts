/**
 * Gives the default privileges to people of the directory who have others, where an administrator has changed their mind
 * about them: a run gives them at creation only. Integrated users and administrators are never touched, and nobody becomes
 * an administrator. Knows no HTTP.
 */
import { patchUser } from './users.ts';
import { ServiceError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type { SettingsStore } from '../settings/settings-store.ts';
import type { UserStore } from '../user/user-store.ts';
import type { Privilege } from '../user/privilege.ts';
import { samePrivileges } from '../user/privilege.ts';
import type { User } from '../user/user.ts';
import { userNameKey } from '../user/user-name.ts';

export interface DefaultPrivilegePorts {
  readonly settings: SettingsStore;
  readonly users: UserStore;
  readonly clock: Clock;
}

export interface DefaultPrivilegeRequest {
  /** Decides and tells everything, and writes nothing. */
  readonly dryRun: boolean;
  /** Where an earlier call has stopped; null or undefined = at the beginning. */
  readonly next?: string | null | undefined;
}

/** What one call has done or, in a dry run, would do. Whoever is looked at counts in one of the totals. */
export interface AppliedPrivileges {
  readonly dryRun: boolean;
  readonly settingsVersion: string;
  /** The default privileges of the settings. */
  readonly privileges: readonly Privilege[];
  /** `kept`: administrators. */
  readonly totals: Readonly<Record<'changed' | 'unchanged' | 'kept', number>>;
  /** The first 100 changes, in the order of names. */
  readonly items: readonly {
    readonly userName: string;
    readonly from: readonly Privilege[];
    readonly to: readonly Privilege[];
  }[];
  /** Where to go on; null = everybody was looked at. */
  readonly next: string | null;
}

/** After this no further page is begun: API Gateway waits 29 s. */
const LIMIT_MS = 20_000;
const USERS_TOGETHER = 200;
const MAX_ITEMS = 100;
const MAX_RACES = 5;

/**
 * Goes through the directory users in the order of their names, for about 20 s. Whoever has been given the privileges has
 * them, whatever happens next: the same call again finds such a user unchanged.
 *
 * @param expectedVersion of the settings, as the administrator has seen them; null = whatever they are
 * @throws ServiceError `notConfigured`, `versionMismatch`, `invalidRequest` for a `next` that was not given out, `conflict`
 *   where the default privilege is `admin` or others keep changing a user
 */
export async function applyDefaultPrivileges(
  { settings, users, clock }: DefaultPrivilegePorts,
  { dryRun, next }: DefaultPrivilegeRequest,
  expectedVersion: string | null,
): Promise<AppliedPrivileges> {
  const stored = await settings.read();
  if (stored === null) {
    throw new ServiceError('notConfigured', 'there are no default privileges yet', { advice: 'Save settings first.' });
  }
  if (expectedVersion !== null && expectedVersion !== stored.version) {
    throw new ServiceError('versionMismatch', 'the settings have been changed since they were read', {
      advice: 'Do another dry run and, if the result still makes sense, continue.',
    });
  }
  const privileges = stored.settings.defaultPrivileges;
  if (privileges.includes('admin')) {
    throw new ServiceError('conflict', 'the default privilege is "admin", which can be given to single users only', {
      advice: 'Change the default privileges, or give single users the privilege "admin".',
    });
  }
  const totals = { changed: 0, unchanged: 0, kept: 0 };
  const items: AppliedPrivileges['items'][number][] = [];

  /** Decides for each user and writes; one that others have changed meanwhile is read and decided again. */
  async function settle(people: readonly User[]): Promise<void> {
    let undecided = people;
    for (let race = 0; race < MAX_RACES && undecided.length > 0; race += 1) {
      const now = clock.now();
      const writes = undecided.flatMap((previous) => {
        const isKept = previous.privileges.includes('admin');
        const isSame = samePrivileges(previous.privileges, privileges);
        const user = isKept || isSame ? null : patchUser(previous, { privileges }, now);
        if (user !== null) return [{ kind: 'update' as const, user, previous }];
        totals[isKept ? 'kept' : 'unchanged'] += 1;
        return [];
      });
      const results = dryRun ? null : await users.writeEach(writes);
      const lost: string[] = [];
      for (const [position, { previous }] of writes.entries()) {
        const { userName, privileges: from } = previous;
        if (results?.[position] === 'lostRace') lost.push(userNameKey(userName));
        else {
          totals.changed += 1;
          if (items.length < MAX_ITEMS) items.push({ userName, from, to: privileges });
        }
      }
      // Whoever has gone, or left the directory, is none of these users any more.
      const again = lost.length === 0 ? [] : [...(await users.getMany(lost)).values()];
      undecided = again.filter(({ authentication }) => authentication === 'directory');
    }
    if (undecided.length > 0) {
      throw new ServiceError('conflict', `others keep changing ${undecided.length} of the users`, {
        advice: 'Repeat the call. The changes made so far are kept.',
        retryable: true,
      });
    }
  }

  const endsAt = clock.now().getTime() + LIMIT_MS;
  let position = next ?? null;
  do {
    const page = await users.list({
      authentication: 'directory',
      limit: USERS_TOGETHER,
      ...(position !== null && { next: position }),
    });
    await settle(page.items);
    position = page.next;
  } while (position !== null && clock.now().getTime() < endsAt);
  return { dryRun, settingsVersion: stored.version, privileges, totals, items, next: position };
}
