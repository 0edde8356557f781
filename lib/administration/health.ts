/**
 * The health of the synchronisation, judged by its schedule and its newest runs: do lines wait for an administrator, is
 * a complete run overdue, do runs keep failing? States instead of events, so that an alarm lasts as long as the
 * trouble. Knows no metrics and no alarms.
 */
import type { Page } from '../cursor.ts';
import { nextRun, scheduleFault, type WorkingSchedule } from '../settings/schedule.ts';
import type { RunStore } from '../sync/run-store.ts';
import type { Run } from '../sync/run.ts';

/** The state of the synchronisation. */
export interface Health {
  /** Lines that the last complete run has withheld, or a partial one since; null if the newest runs have neither. */
  readonly linesWaiting: number | null;
  /** Whole minutes since a complete run should have ended at the latest; 0 if none is overdue. */
  readonly minutesOverdue: number;
  /** Runs in a row that have failed or were interrupted. */
  readonly consecutiveFailures: number;
}

const MINUTE_MS = 60_000;
/** One missed time is forgiven, but a rare schedule is given no longer than this. */
const LONGEST_GRACE_MS = 60 * MINUTE_MS;
/** The time limit of a run. */
const RUN_LIMIT_MS = 15 * MINUTE_MS;

const PAGE = 25;
const MOST_PAGES = 8;

/**
 * The newest runs, back to the last complete one: at most 200. `next` is null if there are no older ones.
 * @throws ServiceError `storeUnavailable`
 */
export async function readNewestRuns(runs: Pick<RunStore, 'list'>): Promise<Page<Run>> {
  const items: Run[] = [];
  let next: string | undefined;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const read = await runs.list({ limit: PAGE, ...(next !== undefined && { next }) });
    items.push(...read.items);
    if (read.next === null) return { items, next: null };
    next = read.next;
    if (read.items.some(isComplete)) break;
  }
  return { items, next: next ?? null };
}

/**
 * Judges the health. Dry runs, cancelled runs and runs that did not begin say nothing about it. A partial run is no
 * failure, but it decides nobody's absence: it takes back no line of the complete run before, and a complete run is as
 * overdue as before.
 *
 * A complete run is overdue 15 minutes (the time that a run may take) after the earlier of these two: the schedule's
 * second time since the last complete run, and one hour after its first time. The schedule counts from when it was last
 * set, so a schedule that was just switched on owes nothing for the time before. A schedule that is disabled, that has
 * no time to come, or of which nobody knows since when it is to run, owes nothing.
 *
 * @param schedule the schedule in effect; its `setAt` may be null, then only the last complete run counts
 * @param runs as `readNewestRuns` gives them, newest first
 */
export function judgeHealth(schedule: WorkingSchedule, { items, next }: Page<Run>, now: Date): Health {
  const real = items.filter(({ dryRun, status }) => !dryRun && status !== 'running' && status !== 'cancelled');
  const lastGood = real.find(({ status }) => status !== 'failed');
  const lastComplete = real.find(isComplete);
  const withheld = [lastComplete, lastGood].flatMap((run) => run?.totals.withheld ?? []);
  const isUnknown = withheld.length === 0 && next !== null;
  // Older runs were not read: the last complete one came before all of these.
  const complete = lastComplete?.finishedAt ?? (next === null ? undefined : (real.at(-1) ?? items.at(-1))?.startedAt);
  return {
    linesWaiting: isUnknown ? null : Math.max(0, ...withheld),
    minutesOverdue: minutesOverdue(schedule, complete === undefined ? null : new Date(complete), now),
    consecutiveFailures: lastGood === undefined ? real.length : real.indexOf(lastGood),
  };
}

function isComplete({ dryRun, status }: Run): boolean {
  return !dryRun && status === 'succeeded';
}

function minutesOverdue(
  { enabled, expression, timeZone, start, setAt }: WorkingSchedule,
  complete: Date | null,
  now: Date,
) {
  const since = Math.max(setAt?.getTime() ?? -Infinity, complete?.getTime() ?? -Infinity);
  if (!enabled || since === -Infinity || scheduleFault(expression, timeZone) !== null) return 0;
  const due = (after: Date): Date | null => nextRun(expression, timeZone, after, start ?? undefined);
  const first = due(new Date(since));
  if (first === null) return 0;
  const latest = first.getTime() + LONGEST_GRACE_MS;
  const expected = Math.min(due(first)?.getTime() ?? latest, latest) + RUN_LIMIT_MS;
  return Math.max(0, Math.floor((now.getTime() - expected) / MINUTE_MS));
}
