/**
 * Gives the current default privileges to existing directory users, because a run gives them only to users that it
 * creates. Never changes integrated users and administrators, and makes nobody an administrator. Knows no HTTP.
 */
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import type { SettingsReader } from '../settings/settings-store.ts';
import type { Privilege } from '../user/privilege.ts';
import { samePrivileges } from '../user/privilege.ts';
import type { UserStore } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { nameKeyOf } from '../user/user.ts';
import { patchUser } from './users.ts';

/** The ports that applying the default privileges needs. */
export interface DefaultPrivilegePorts {
  readonly settings: SettingsReader;
  readonly users: UserStore;
  readonly clock: Clock;
}

/** What a caller asks for. */
export interface DefaultPrivilegeRequest {
  /** Decides and reports everything, but writes nothing. */
  readonly dryRun: boolean;
  /** `next` of the previous call; null or undefined = start from the beginning. */
  readonly next?: string | null | undefined;
}

/** What one call did or, in a dry run, would do. Every directory user processed counts in one of the totals. */
export interface AppliedPrivileges {
  readonly dryRun: boolean;
  readonly settingsVersion: string;
  /** The default privileges in the settings. */
  readonly privileges: readonly Privilege[];
  /** `kept`: administrators, who keep their privileges. */
  readonly totals: Readonly<Record<'changed' | 'unchanged' | 'kept', number>>;
  /** The first 100 changes, in the order of user names. */
  readonly items: readonly {
    readonly userName: string;
    readonly from: readonly Privilege[];
    readonly to: readonly Privilege[];
  }[];
  /** Where the next call continues; null = all users are processed. */
  readonly next: string | null;
}

/** After this time, no further page is started: API Gateway waits 29 s. */
const LIMIT_MS = 20_000;
const USERS_TOGETHER = 200;
const MAX_ITEMS = 100;
const MAX_RACES = 5;

/**
 * Processes the directory users in the order of their names, for about 20 s. Changes are final, even if the call fails
 * later: a repeated call counts these users as unchanged.
 *
 * @param expectedVersion the version of the settings that the administrator has seen; null = any
 * @throws ServiceError `notConfigured`; `versionMismatch`; `invalidRequest` for an unknown `next`; `conflict` if the
 *   default privilege is `admin`, or if others keep changing a user; `storeUnavailable`
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

  /** Decides for each user and writes. A user that others have changed in the meantime is read and decided again. */
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
        if (results?.[position] === 'lostRace') lost.push(nameKeyOf(previous));
        else {
          totals.changed += 1;
          if (items.length < MAX_ITEMS) items.push({ userName, from, to: privileges });
        }
      }
      // Users that were deleted or became integrated are no longer concerned.
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
