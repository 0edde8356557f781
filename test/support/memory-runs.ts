/**
 * Runs in memory: their records and lines, the lease, the journal of the active run, and approvals. Keeps the promises
 * of the real stores: a group of writes is applied with its lines, counters and approvals, or not at all.
 */
import type { Clock } from '../../lib/clock.ts';
import { decodeCursor, encodeCursor } from '../../lib/cursor.ts';
import type { Page } from '../../lib/cursor.ts';
import { APPROVAL_KEPT_MS } from '../../lib/sync/approval-store.ts';
import type { Approval, ApprovalStore, StoredApproval } from '../../lib/sync/approval-store.ts';
import { GUARD_COUNTERS } from '../../lib/sync/run-journal.ts';
import type { GuardCounter, JournalWrite, RunJournal, RunMemory } from '../../lib/sync/run-journal.ts';
import type { RunStore } from '../../lib/sync/run-store.ts';
import type { Change, ChangeKind, Run, RunState } from '../../lib/sync/run.ts';
import { CHANGE_KINDS, interruptRun, LEASE_MS, leaseLost, NO_TOTALS, runIdPrefix } from '../../lib/sync/run.ts';
import type { Fence, WriteResult } from '../../lib/user/user-store.ts';
import type { People } from './memory-users.ts';

interface RunRecord {
  run: Run;
  readonly changes: Change[];
  /** The sum of everything that was told. */
  readonly totals: Record<ChangeKind, number>;
}

/** The run that may write. It stays here after its time has run out, until another run takes over. */
interface Holder {
  readonly runId: string;
  state: RunState;
  heldUntil: number;
  cancelRequested: boolean;
  /** Whether the journal is closed. */
  closed: boolean;
}

/** The stores of runs. */
export interface MemoryRuns {
  readonly runs: RunStore;
  readonly journal: RunJournal;
  readonly approvals: ApprovalStore;
}

const HOUR_MS = 3_600_000;
/** The most lines that the port lets `tell` take. */
const MOST_LINES = 5_000;

/** The stores of runs, with a journal that writes these people. */
export function createRuns(people: People, clock: Clock): MemoryRuns {
  const records = new Map<string, RunRecord>();
  const approvals = createApprovals(clock);
  const guard = new Map<string, { readonly counts: Record<GuardCounter, number>; known: number }>();
  const told = new WeakSet<object>();
  let token = 0;
  let holder: Holder | null = null;
  let memory: RunMemory = { lastRead: null, unreachable: {} };

  const nowMs = (): number => clock.now().getTime();
  const active = (): Holder | null => (holder !== null && holder.heldUntil > nowMs() ? holder : null);
  const store = (run: Run): void => void records.set(run.id, { run, changes: [], totals: { ...NO_TOTALS } });

  function requireLease(fence: Fence): Holder {
    if (holder?.runId === fence.runId && token === fence.token) return holder;
    throw leaseLost(fence.runId);
  }

  /** The record of a run whose journal is open. */
  function openRecord(fence: Fence): RunRecord {
    if (requireLease(fence).closed) throw leaseLost(fence.runId);
    return records.get(fence.runId)!;
  }

  function present({ run, totals }: RunRecord): Run {
    if (run.status !== 'running') return run;
    if (holder?.runId !== run.id) return interruptRun({ ...run, totals }, new Date(run.startedAt));
    const shown = { ...run, ...holder.state };
    return active() === null ? interruptRun({ ...shown, totals }, new Date(holder.heldUntil)) : shown;
  }

  function tellLines(record: RunRecord, lines: readonly Change[]): void {
    for (const line of lines) {
      record.totals[line.kind] += 1;
      if (line.kind !== 'unchanged') record.changes.push(line);
    }
  }

  function guardHour() {
    const hour = new Date(Math.floor(nowMs() / HOUR_MS) * HOUR_MS).toISOString();
    const kept = guard.get(hour) ?? { counts: { ...NO_COUNTS }, known: 0 };
    guard.set(hour, kept);
    return kept;
  }

  function writeGroup(record: RunRecord, group: readonly JournalWrite[]): WriteResult {
    const carriedOut = group.flatMap((each) => each.approvals);
    if (!carriedOut.every(approvals.isCurrent)) return 'lostRace';
    if (people.write(group.map(({ write }) => write)) === 'lostRace') return 'lostRace';
    for (const approval of carriedOut) approvals.finish(approval);
    tellLines(
      record,
      group.flatMap(({ change }) => change ?? []),
    );
    for (const counter of group.flatMap(({ counts }) => counts)) guardHour().counts[counter] += 1;
    return 'written';
  }

  const runs: RunStore = {
    async start(run) {
      const current = active();
      if (current !== null) return { kind: 'active', activeRunId: current.runId };
      const dead = holder && records.get(holder.runId);
      if (dead) dead.run = present(dead);
      const started = { ...run, expectedEntries: memory.lastRead?.entries ?? null };
      store(started);
      token += 1;
      holder = {
        runId: run.id,
        state: { stage: run.stage, progress: run.progress, totals: run.totals },
        heldUntil: nowMs() + LEASE_MS,
        cancelRequested: false,
        closed: false,
      };
      return { kind: 'started', run: started, fence: { runId: run.id, token } };
    },
    async takeUp(runId) {
      const record = records.get(runId);
      if (holder?.runId !== runId || holder.state.stage !== 'queued' || record === undefined) return null;
      token += 1;
      holder.state = { ...holder.state, stage: 'reading' };
      holder.heldUntil = nowMs() + LEASE_MS;
      return { run: present(record), fence: { runId, token } };
    },
    async heartbeat(fence, state) {
      const held = requireLease(fence);
      Object.assign(held, { state, heldUntil: nowMs() + LEASE_MS });
      return { cancelRequested: held.cancelRequested };
    },
    async finish(fence, run) {
      requireLease(fence);
      records.get(fence.runId)!.run = run;
      holder = null;
    },
    async record(run) {
      store(run);
    },
    async get(runId) {
      const record = records.get(runId);
      return record === undefined ? null : present(record);
    },
    async list({ limit, next, status, from, to }) {
      const before = next === undefined ? null : decodeCursor('runs', next);
      const ids = [...records.keys()].sort().toReversed();
      return pageOf(
        ids.filter(
          (id) =>
            (before === null || id < before) &&
            (status === undefined || present(records.get(id)!).status === status) &&
            (from === undefined || id >= runIdPrefix(from)) &&
            (to === undefined || id < runIdPrefix(to)),
        ),
        limit,
        (id) => encodeCursor('runs', id),
        (id) => present(records.get(id)!),
      );
    },
    async listChanges(runId, { kind, limit, next }) {
      const after = next === undefined ? -1 : Number(decodeCursor(`changes of ${runId}`, next));
      const lines = [...(records.get(runId)?.changes.entries() ?? [])];
      return pageOf(
        lines.filter(([position, change]) => position > after && (kind === undefined || change.kind === kind)),
        limit,
        ([position]) => encodeCursor(`changes of ${runId}`, String(position)),
        ([, change]) => change,
      );
    },
    async requestCancel(runId) {
      const current = active();
      if (current?.runId !== runId) return false;
      current.cancelRequested = true;
      return true;
    },
  };

  const journal: RunJournal = {
    async write(fence, groups, _ordered, onWritten) {
      const record = openRecord(fence);
      return groups.map((group, place) => {
        const result = writeGroup(record, group);
        if (result === 'written') onWritten?.([place]);
        return result;
      });
    },
    async tell(fence, news) {
      const record = openRecord(fence);
      if (told.has(news)) return;
      if ((news.lines?.length ?? 0) > MOST_LINES)
        throw new TypeError(`${news.lines?.length} lines are too many at once`);
      told.add(news);
      tellLines(record, news.lines ?? []);
      for (const kind of CHANGE_KINDS) record.totals[kind] += news.totals?.[kind] ?? 0;
      if (news.known !== undefined) guardHour().known = Math.max(guardHour().known, news.known);
    },
    async close(fence) {
      requireLease(fence).closed = true;
      return { ...records.get(fence.runId)!.totals };
    },
    async readTotals(runId) {
      return { ...(records.get(runId)?.totals ?? NO_TOTALS) };
    },
    async recall() {
      return memory;
    },
    async remember(fence, next) {
      openRecord(fence);
      memory = next;
    },
    async readGuard(since) {
      const from = since.getTime() - HOUR_MS;
      return [...guard]
        .map(([hour, { counts, known }]) => ({ hour, counts: { ...counts }, known }))
        .filter(({ hour }) => Date.parse(hour) > from)
        .sort((a, b) => (a.hour < b.hour ? -1 : 1));
    },
  };

  return { runs, journal, approvals: approvals.store };
}

const NO_COUNTS = Object.fromEntries(GUARD_COUNTERS.map((counter) => [counter, 0])) as Record<GuardCounter, number>;

function createApprovals(clock: Clock) {
  const kept = new Map<string, StoredApproval>();
  const keyOf = ({ userId, proposes }: Approval): string => `${userId}#${proposes}`;
  const isCurrent = (approval: Approval): boolean => kept.get(keyOf(approval))?.approvedAt === approval.approvedAt;
  const store: ApprovalStore = {
    async approve(given) {
      for (const approval of given) kept.set(keyOf(approval), { ...approval, done: false });
    },
    async list() {
      const oldest = clock.now().getTime() - APPROVAL_KEPT_MS;
      return [...kept.values()].filter(({ approvedAt }) => Date.parse(approvedAt) > oldest);
    },
    async end(ended) {
      for (const approval of ended) if (isCurrent(approval)) kept.delete(keyOf(approval));
    },
  };
  return {
    store,
    isCurrent,
    finish(approval: Approval): void {
      kept.set(keyOf(approval), { ...kept.get(keyOf(approval))!, done: true });
    },
  };
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
