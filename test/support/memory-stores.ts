/**
 * Every store in memory, with the same promises as the real ones: for tests of the core, and as the plainest statement
 * of what the ports mean. Forgets everything when the process ends.
 */
import type { Clock } from '../../lib/clock.ts';
import type { LoginStore, NameAttempts } from '../../lib/login/login-store.ts';
import type { Session, SessionStore } from '../../lib/login/session.ts';
import type { WorkingSchedule } from '../../lib/settings/schedule.ts';
import { firstRun } from '../../lib/settings/schedule.ts';
import type { ScheduleStore, SettingsStore } from '../../lib/settings/settings-store.ts';
import type { StoredSettings } from '../../lib/settings/settings.ts';
import type { ApprovalStore } from '../../lib/sync/approval-store.ts';
import type { RunJournal } from '../../lib/sync/run-journal.ts';
import type { RunStore } from '../../lib/sync/run-store.ts';
import { userNameKey } from '../../lib/user/user-name.ts';
import type { UserStore } from '../../lib/user/user-store.ts';
import type { DirectoryLink, User } from '../../lib/user/user.ts';
import { nameKeyOf } from '../../lib/user/user.ts';
import { createRuns } from './memory-runs.ts';
import { createPeople, createUsers } from './memory-users.ts';
import type { People } from './memory-users.ts';

export interface MemoryStores {
  /** `writes`: users created, updated, renamed or deleted so far. */
  readonly users: UserStore & { readonly writes: number };
  readonly logins: LoginStore;
  readonly runs: RunStore;
  readonly journal: RunJournal;
  readonly approvals: ApprovalStore;
  readonly settings: SettingsStore;
  readonly sessions: SessionStore;
  /** Disabled at first, as in a new deployment. */
  readonly schedule: ScheduleStore;
}

/** Stores that share their data: logins see the users, and the journal of a run writes them. */
export function createMemoryStores(clock: Clock): MemoryStores {
  const people = createPeople();
  return {
    users: createUsers(people),
    logins: createLogins(people, clock),
    ...createRuns(people, clock),
    settings: createSettings(),
    sessions: createSessions(clock),
    schedule: createSchedule(clock),
  };
}

function createLogins(people: People, clock: Clock): LoginStore {
  const names = new Map<string, NameAttempts>();
  const sources = new Map<string, Record<string, number>>();
  const next = (user: User, directory: DirectoryLink): User => ({
    ...user,
    directory,
    fingerprint: null,
    updatedAt: clock.now().toISOString(),
    version: user.version + 1,
  });
  return {
    async find(userName, source) {
      const key = userNameKey(userName);
      const refusals = (source === null ? undefined : sources.get(source)) ?? {};
      return { user: people.get(key) ?? null, attempts: { name: names.get(key) ?? null, source: { ...refusals } } };
    },
    async writeAttempts(userName, previous, following) {
      const key = userNameKey(userName);
      if (names.get(key)?.revision !== previous?.revision) return false;
      names.set(key, following);
      return true;
    },
    async countRefusal(source, slot, stale) {
      const refusals = sources.get(source) ?? {};
      for (const each of stale) delete refusals[each];
      sources.set(source, { ...refusals, [slot]: (refusals[slot] ?? 0) + 1 });
    },
    async forgetAttempts(user) {
      names.delete(nameKeyOf(user));
    },
    async rememberDn(user, dn) {
      const stored = people.get(nameKeyOf(user));
      if (stored?.id !== user.id || stored.version !== user.version || stored.directory === null) return;
      people.set(nameKeyOf(user), next(stored, { ...stored.directory, dn }));
    },
    async linkUser(user, link) {
      if (user.directory !== null) return 'lostRace';
      return people.write([{ kind: 'update', user: next(user, link), previous: user }]);
    },
  };
}

function createSettings(): SettingsStore {
  let stored: StoredSettings | null = null;
  let writes = 0;
  return {
    async read() {
      return stored;
    },
    async write(settings, password, expectedVersion) {
      if ((stored?.version ?? null) !== expectedVersion) return null;
      writes += 1;
      stored = { settings, password, version: `version-${writes}`, notices: [] };
      return stored.version;
    },
  };
}

function createSessions(clock: Clock): SessionStore {
  const sessions = new Map<string, Session>();
  return {
    async create(tokenHash, session) {
      sessions.set(tokenHash, session);
    },
    async renew(tokenHash, session) {
      if (sessions.has(tokenHash)) sessions.set(tokenHash, session);
    },
    async get(tokenHash) {
      const session = sessions.get(tokenHash);
      return session !== undefined && Date.parse(session.expiresAt) > clock.now().getTime() ? session : null;
    },
    async delete(tokenHash) {
      sessions.delete(tokenHash);
    },
  };
}

function createSchedule(clock: Clock): ScheduleStore {
  let working: WorkingSchedule | null = null;
  return {
    async apply({ enabled, expression, timeZone }) {
      const same = working?.enabled === enabled && working.expression === expression && working.timeZone === timeZone;
      if (working !== null && same) return working;
      const now = clock.now();
      working = { enabled, expression, timeZone, start: firstRun(expression, now), setAt: now };
      return working;
    },
    async read() {
      return working;
    },
  };
}
