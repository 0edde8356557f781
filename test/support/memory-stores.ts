/**
 * Every store in memory, with the same promises as the real ones: for tests of the core, and as the plainest statement
 * of what the ports mean. Forgets everything when the process ends.
 */
import type { Clock } from '../../lib/clock.ts';
import { decodeCursor, encodeCursor } from '../../lib/cursor.ts';
import type { Page } from '../../lib/cursor.ts';
import type { Attempts, LoginStore } from '../../lib/login/login-store.ts';
import type { Session, SessionStore } from '../../lib/login/session.ts';
import type { WorkingSchedule } from '../../lib/settings/schedule.ts';
import { firstRun } from '../../lib/settings/schedule.ts';
import type { ScheduleStore, SettingsStore } from '../../lib/settings/settings-store.ts';
import type { StoredSettings } from '../../lib/settings/settings.ts';
import type { RunStore } from '../../lib/sync/run-store.ts';
import type { Change, Run, RunState } from '../../lib/sync/run.ts';
import { interruptRun, LEASE_MS, leaseLost } from '../../lib/sync/run.ts';
import { compareNameKeys, userNameKey } from '../../lib/user/user-name.ts';
import type { Fence, UserQuery, UserStore, UserWrite, WriteResult } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { isFoundBy, linkKey, userStatus } from '../../lib/user/user.ts';

export interface MemoryStores {
  /** `writes`: users created, updated, renamed or deleted so far. */
  readonly users: UserStore & { readonly writes: number };
  readonly logins: LoginStore;
  readonly runs: RunStore;
  readonly settings: SettingsStore;
  readonly sessions: SessionStore;
  /** Disabled at first, as in a new deployment. */
  readonly schedule: ScheduleStore;
}

/** Stores that share their data: logins see the users, and writes of users see the lease of the runs. */
export function createMemoryStores(clock: Clock): MemoryStores {
  const people = new Map<string, User>();
  const lease: Lease = { token: 0, holder: null };
  return {
    users: createUsers(people, lease),
    logins: createLogins(people, clock),
    runs: createRuns(lease, clock),
    settings: createSettings(),
    sessions: createSessions(clock),
    schedule: createSchedule(clock),
  };
}

/** The run that may write. It stays here after its time has run out, until another run takes over. */
interface Lease {
  token: number;
  holder: {
    readonly runId: string;
    state: RunState;
    heldUntil: number;
    cancelRequested: boolean;
  } | null;
}

const LINKS_TOGETHER = 1_000;

function createUsers(people: Map<string, User>, lease: Lease): MemoryStores['users'] {
  let writes = 0;

  /** Writes all or none, on a copy: first frees the old names, then takes the new ones. */
  function write(together: readonly UserWrite[]): WriteResult {
    const next = new Map(people);
    for (const write of together) {
      if (write.kind === 'create') continue;
      const key = keyOf(write.previous);
      if (!stands(write.previous, people.get(key))) return 'lostRace';
      if (write.kind !== 'check') next.delete(key);
    }
    for (const write of together) {
      if (write.kind === 'delete' || write.kind === 'check') continue;
      if (next.has(keyOf(write.user))) return 'lostRace';
      next.set(keyOf(write.user), write.user);
    }
    people.clear();
    for (const [key, user] of next) people.set(key, user);
    writes += together.filter(({ kind }) => kind !== 'check').length;
    return 'written';
  }

  /** Does a single write, without the copy. */
  function writeOne(one: UserWrite): WriteResult {
    if (one.kind === 'create' ? people.has(keyOf(one.user)) : !stands(one.previous, people.get(keyOf(one.previous)))) {
      return 'lostRace';
    }
    if (one.kind === 'delete') people.delete(keyOf(one.previous));
    else if (one.kind !== 'check') people.set(keyOf(one.user), one.user);
    writes += 1;
    return 'written';
  }

  return {
    get writes() {
      return writes;
    },
    async *readLinks() {
      const links = [...people].map(([nameKey, { directory, fingerprint }]) => ({
        nameKey,
        linkKey: directory && linkKey(directory),
        fingerprint,
      }));
      for (let start = 0; start < links.length; start += LINKS_TOGETHER) {
        yield links.slice(start, start + LINKS_TOGETHER);
      }
    },
    async get(userName) {
      return people.get(userNameKey(userName)) ?? null;
    },
    async getMany(nameKeys) {
      return new Map(nameKeys.flatMap((key) => (people.has(key) ? [[key, people.get(key)!]] : [])));
    },
    async list(query) {
      const after = query.next === undefined ? null : decodeCursor('users', query.next);
      const found = [...people]
        .filter(([, user]) => matches(user, query))
        .filter(([key]) => after === null || compareNameKeys(key, after) > 0)
        .sort(([a], [b]) => compareNameKeys(a, b));
      const last = found[query.limit - 1];
      return {
        items: found.slice(0, query.limit).map(([, user]) => user),
        next: last !== undefined && found.length > query.limit ? encodeCursor('users', last[0]) : null,
      };
    },
    async listActiveAdministrators() {
      return [...people.values()].filter(
        ({ privileges, disabledBy }) => privileges.includes('admin') && disabledBy === null,
      );
    },
    async writeEach(all) {
      return all.map(writeOne);
    },
    async writeTogether(all, fence) {
      if (fence !== undefined) requireLease(lease, fence);
      return write(all);
    },
  };
}

function keyOf(user: User): string {
  return userNameKey(user.userName);
}

function stands({ id, version }: User, stored: User | undefined): boolean {
  return stored?.id === id && stored.version === version;
}

function matches(user: User, { search = '', authentication, status }: UserQuery): boolean {
  if (authentication !== undefined && user.authentication !== authentication) return false;
  if (status !== undefined && userStatus(user) !== status) return false;
  return isFoundBy(search, user);
}

function createLogins(people: Map<string, User>, clock: Clock): LoginStore {
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
function createRuns(lease: Lease, clock: Clock): RunStore {
  const runs = new Map<string, { run: Run; claimed: boolean; readonly changes: Change[] }>();
  let lastRead: number | null = null;

  function active(): Lease['holder'] {
    return lease.holder !== null && lease.holder.heldUntil > clock.now().getTime() ? lease.holder : null;
  }

  function present(run: Run): Run {
    if (run.status !== 'running') return run;
    if (lease.holder?.runId !== run.id) return interruptRun(run, new Date(run.startedAt));
    const { state, heldUntil } = lease.holder;
    const shown = { ...run, ...state };
    return active() === null ? interruptRun(shown, new Date(heldUntil)) : shown;
  }

  return {
    async start(run) {
      const holder = active();
      if (holder !== null) return { kind: 'active', activeRunId: holder.runId };
      const dead = lease.holder && runs.get(lease.holder.runId);
      if (dead) dead.run = present(dead.run);
      const started = { ...run, expectedEntries: lastRead };
      runs.set(run.id, { run: started, claimed: false, changes: [] });
      lease.token += 1;
      lease.holder = {
        runId: run.id,
        state: { stage: run.stage, progress: run.progress, totals: run.totals },
        heldUntil: clock.now().getTime() + LEASE_MS,
        cancelRequested: false,
      };
      return { kind: 'started', run: started, fence: { runId: run.id, token: lease.token } };
    },
    async takeUp(runId) {
      const { holder } = lease;
      const record = runs.get(runId);
      if (holder?.runId !== runId || holder.state.stage !== 'queued' || record === undefined) return null;
      lease.token += 1;
      holder.state = { ...holder.state, stage: 'reading' };
      holder.heldUntil = clock.now().getTime() + LEASE_MS;
      return { run: present(record.run), fence: { runId, token: lease.token } };
    },
    async heartbeat(fence, state) {
      const holder = requireLease(lease, fence);
      Object.assign(holder, { state, heldUntil: clock.now().getTime() + LEASE_MS });
      return { cancelRequested: holder.cancelRequested };
    },
    async saveChanges(fence, changes) {
      requireLease(lease, fence);
      runs.get(fence.runId)!.changes.push(...changes);
    },
    async finish(fence, run) {
      requireLease(lease, fence);
      runs.get(fence.runId)!.run = run;
      if (run.completeness?.complete === true) lastRead = run.progress.read;
      lease.holder = null;
    },
    async record(run) {
      runs.set(run.id, { run, claimed: false, changes: [] });
    },
    async get(runId) {
      const record = runs.get(runId);
      return record === undefined ? null : present(record.run);
    },
    async list(limit, next) {
      const before = next === undefined ? null : decodeCursor('runs', next);
      const ids = [...runs.keys()].sort().toReversed();
      return pageOf(
        ids.filter((id) => before === null || id < before),
        limit,
        (id) => encodeCursor('runs', id),
        (id) => present(runs.get(id)!.run),
      );
    },
    async listChanges(runId, { kind, limit, next }) {
      const after = next === undefined ? -1 : Number(decodeCursor(`changes of ${runId}`, next));
      const lines = [...(runs.get(runId)?.changes.entries() ?? [])];
      return pageOf(
        lines.filter(([position, change]) => position > after && (kind === undefined || change.kind === kind)),
        limit,
        ([position]) => encodeCursor(`changes of ${runId}`, String(position)),
        ([, change]) => change,
      );
    },
    async requestCancel(runId) {
      const holder = active();
      if (holder?.runId !== runId) return false;
      holder.cancelRequested = true;
      return true;
    },
    async claimWithheld(runId) {
      const record = runs.get(runId);
      if (record === undefined || record.claimed) return false;
      record.claimed = true;
      return true;
    },
  };
}

function requireLease(lease: Lease, fence: Fence): NonNullable<Lease['holder']> {
  if (lease.holder?.runId === fence.runId && lease.token === fence.token) return lease.holder;
  throw leaseLost(fence.runId);
}

function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (row: Row) => string,
  show: (row: Row) => Item,
): Page<Item> {
  const last = rows[limit - 1];
  return {
    items: rows.slice(0, limit).map(show),
    next: last !== undefined && rows.length > limit ? cursorOf(last) : null,
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
