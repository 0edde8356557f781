/**
 * Every store in memory, with the same promises as the real ones: for tests of the core, and as the plainest statement
 * of what the ports mean. Forgets everything when the process ends.
 */
import type { Clock } from '../../lib/clock.ts';
import type { Attempts, LoginStore } from '../../lib/login/login-store.ts';
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
  const kept = new Map<string, Attempts & { readonly forgetAt: number }>();
  const current = (key: string) => {
    const attempts = kept.get(key);
    return attempts !== undefined && attempts.forgetAt > clock.now().getTime() ? attempts : null;
  };
  return {
    async find(userName) {
      const key = userNameKey(userName);
      const attempts = current(key);
      return {
        user: people.get(key) ?? null,
        attempts: attempts && { failures: attempts.failures, blockedUntil: attempts.blockedUntil },
      };
    },
    async setAttempts(userName, previous, next) {
      const key = userNameKey(userName);
      const stored = current(key);
      if (stored?.failures !== previous.failures || stored.blockedUntil !== previous.blockedUntil) return false;
      kept.set(key, { ...next, forgetAt: stored.forgetAt });
      return true;
    },
    async countFailure(userName, forgetAt) {
      const key = userNameKey(userName);
      const stored = current(key) ?? { failures: 0, blockedUntil: NEVER_BLOCKED, forgetAt: forgetAt.getTime() };
      kept.set(key, { ...stored, failures: stored.failures + 1 });
      return stored.failures + 1;
    },
    async clearAttempts(userName) {
      kept.delete(userNameKey(userName));
    },
    async rememberDn(user, dn) {
      const key = userNameKey(user.userName);
      const stored = people.get(key);
      if (stored?.id !== user.id || stored.version !== user.version || stored.directory === null) return;
      const directory = { ...stored.directory, dn };
      const updatedAt = clock.now().toISOString();
      people.set(key, { ...stored, directory, fingerprint: null, updatedAt, version: stored.version + 1 });
    },
  };
}

/** `blockedUntil` as long as only failures have been counted. */
const NEVER_BLOCKED = new Date(0).toISOString();

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
  let working: WorkingSchedule = { enabled: false, expression: 'rate(1 hour)', timeZone: 'UTC', start: null };
  return {
    async apply({ enabled, expression, timeZone }) {
      const same = working.enabled === enabled && working.expression === expression && working.timeZone === timeZone;
      if (!same) working = { enabled, expression, timeZone, start: firstRun(expression, clock.now()) };
      return working;
    },
    async read() {
      return working;
    },
  };
}
