/**
 * The health of the synchronisation, judged by its schedule and its newest runs: do lines wait for an administrator, is
 * a success overdue, do runs keep failing? States instead of events, so that an alarm lasts as long as the trouble.
 * Knows no metrics and no alarms.
 */
import type { Page } from '../cursor.ts';
import { nextRun, scheduleFault, type WorkingSchedule } from '../settings/schedule.ts';
import type { RunStore } from '../sync/run-store.ts';
import type { Run } from '../sync/run.ts';

/** The state of the synchronisation. */
export interface Health {
  /** Lines that the last successful run has withheld. */
  readonly linesWaiting: number;
  /** Whole minutes since a run should have succeeded at the latest; 0 if none is overdue. */
  readonly minutesOverdue: number;
  /** Runs that have failed or were interrupted since the last success. */
  readonly consecutiveFailures: number;
}

const MINUTE_MS = 60_000;
/** One missed time is forgiven, but a rare schedule is given no longer than this. */
const LONGEST_GRACE_MS = 60 * MINUTE_MS;
/** The time limit of a run. */
const RUNNING_MS = 15 * MINUTE_MS;

const PAGE = 25;
const MOST_PAGES = 8;

/**
 * The newest runs, back to the last success: at most 200. `next` is null if there are no older ones.
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
    if (read.items.some(isSuccess)) break;
  }
  return { items, next: next ?? null };
}

/**
 * Judges the health. Dry runs, cancelled runs and runs that did not begin say nothing about it. A partial run counts as
 * a success: it has done what it could, and its own notices say what is missing.
 *
 * A success is overdue if the schedule's second time after the last success has passed, or an hour after the first
 * time, and 15 minutes for the run itself. The schedule counts from when it was last set, so a schedule that was just
 * switched on owes nothing for the time before. A schedule that is disabled, that has no time to come, or of which
 * nobody knows since when it is to run, owes nothing.
 *
 * @param schedule the schedule in effect; its `setAt` may be null, then only the last success counts
 * @param runs as `readNewestRuns` gives them, newest first
 */
export function judgeHealth(schedule: WorkingSchedule, { items, next }: Page<Run>, now: Date): Health {
  const real = items.filter(({ dryRun, status }) => !dryRun && status !== 'running' && status !== 'cancelled');
  const lastSuccess = real.find(isSuccess);
  // Older runs were not read: the last success came before all of these.
  const success = lastSuccess?.finishedAt ?? (next === null ? undefined : items.at(-1)?.startedAt);
  return {
    linesWaiting: lastSuccess?.totals.withheld ?? 0,
    minutesOverdue: minutesOverdue(schedule, success === undefined ? null : new Date(success), now),
    consecutiveFailures: lastSuccess === undefined ? real.length : real.indexOf(lastSuccess),
  };
}

function isSuccess({ dryRun, status }: Run): boolean {
  return !dryRun && (status === 'succeeded' || status === 'partial');
}

function minutesOverdue(
  { enabled, expression, timeZone, start, setAt }: WorkingSchedule,
  success: Date | null,
  now: Date,
) {
  const since = Math.max(setAt?.getTime() ?? -Infinity, success?.getTime() ?? -Infinity);
  if (!enabled || since === -Infinity || scheduleFault(expression, timeZone) !== null) return 0;
  const due = (after: Date): Date | null => nextRun(expression, timeZone, after, start ?? undefined);
  const first = due(new Date(since));
  if (first === null) return 0;
  const latest = first.getTime() + LONGEST_GRACE_MS;
  const expected = Math.min(due(first)?.getTime() ?? latest, latest) + RUNNING_MS;
  return Math.max(0, Math.floor((now.getTime() - expected) / MINUTE_MS));
}
