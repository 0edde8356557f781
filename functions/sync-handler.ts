/** The sync function: invoked by the schedule, or asynchronously by the API for a queued run. */
import type { Context } from 'aws-lambda';
import { ServiceError } from '../lib/errors.ts';
import { newRun, newRunId, refuseRun } from '../lib/sync/run.ts';
import type { Run, RunTrigger } from '../lib/sync/run.ts';
import { synchronize } from '../lib/sync/sync.ts';
import type { SyncPorts } from '../lib/sync/sync.ts';
import { functionError } from './function-error.ts';
import { recordNotStarted, recordRun } from './telemetry.ts';

/** The event that invokes the sync function. */
export interface SyncEvent {
  /** The queued run to take up, stored by the API. Absent: start a new run. */
  readonly runId?: string;
  readonly trigger: RunTrigger;
  readonly dryRun?: boolean;
  /** User name of the administrator. */
  readonly requestedBy?: string | null;
}

/** The finished run, or the id of the run that is active (null: the run was taken up or dropped meanwhile). */
export type SyncResult = Run | { readonly activeRunId: string | null };

/** Time reserved to store the result of the run. */
const CLOSING_MS = 15_000;

/** Makes the handler of the sync function. */
export function makeHandler(ports: SyncPorts) {
  return async (event: unknown, context: Pick<Context, 'getRemainingTimeInMillis'>): Promise<SyncResult> => {
    if (!isSyncEvent(event)) {
      throw functionError(
        new ServiceError('invalidRequest', 'the event must be {"trigger": "schedule"}, or name a queued run'),
      );
    }
    const began = ports.clock.now();
    const deadline = new Date(began.getTime() + context.getRemainingTimeInMillis() - CLOSING_MS);
    const started = await take(ports, event, began);
    if ('activeRunId' in started) {
      recordNotStarted(started.activeRunId);
      return started;
    }
    const run = await synchronize(ports, started, deadline);
    recordRun(run, ports.clock.now().getTime() - began.getTime());
    return run;
  };
}

function isSyncEvent(event: unknown): event is SyncEvent {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return false;
  const { runId, trigger, dryRun = false, requestedBy = null } = event as Record<keyof SyncEvent, unknown>;
  return (
    (runId === undefined || typeof runId === 'string') &&
    TRIGGERS.some((known) => known === trigger) &&
    typeof dryRun === 'boolean' &&
    (requestedBy === null || typeof requestedBy === 'string')
  );
}

const TRIGGERS: readonly RunTrigger[] = ['schedule', 'api', 'console'];

async function take({ runs }: SyncPorts, event: SyncEvent, now: Date) {
  // An asynchronous event may arrive twice; the second one finds the run taken up.
  if (event.runId !== undefined) return (await runs.takeUp(event.runId)) ?? { activeRunId: event.runId };
  const { trigger, dryRun = false, requestedBy = null } = event;
  const run: Run = {
    ...newRun(newRunId(now), { trigger, dryRun, requestedBy, approves: null }, now),
    stage: 'reading',
  };
  const result = await runs.start(run);
  if (result.kind === 'started') return result;
  await runs.record(refuseRun(run, result.activeRunId));
  return { activeRunId: result.activeRunId };
}
