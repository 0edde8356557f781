/**
 * Starts and cancels runs, and approves withheld removals, on behalf of an administrator. Knows no HTTP and carries out
 * no run: it asks the sync function to do so.
 */
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import type { SettingsStore } from '../settings/settings-store.ts';
import type { RunStore } from '../sync/run-store.ts';
import { newRun, newRunId } from '../sync/run.ts';
import type { Run, RunRequest } from '../sync/run.ts';
import type { StartSync } from '../sync/sync-starter.ts';

/** The ports that runs are controlled with. */
export interface RunControlPorts {
  readonly runs: RunStore;
  readonly settings: SettingsStore;
  readonly startSync: StartSync;
  readonly clock: Clock;
}

/**
 * Stores a new run, which takes the lease, and asks the sync function to carry it out.
 *
 * @throws ServiceError `runActive` with the id of the active run; `notConfigured`; `leaseLost`; `storeUnavailable`,
 *   also if the sync function could not be started, in which case the run has failed
 */
export async function startRun(ports: RunControlPorts, request: RunRequest): Promise<Run> {
  return await begin(ports, request, async () => null);
}

/**
 * Starts a run that applies the withheld removals of another run, after checking them again.
 *
 * @throws ServiceError `notFound`; `nothingWithheld`, also if the removals have been approved or the settings have
 *   changed; and the faults of startRun
 */
export async function approveRun(
  ports: RunControlPorts,
  runId: string,
  request: Pick<RunRequest, 'trigger' | 'requestedBy'>,
): Promise<Run> {
  const withheld = await getRun(ports.runs, runId);
  if (withheld.status === 'running') throw runActive(runId);
  if (withheld.dryRun) throw nothingWithheld('a dry run withholds no removals; start a real run first');
  if (withheld.totals.withheld === 0) throw nothingWithheld('this run has withheld no removals');
  if (withheld.settingsVersion !== (await ports.settings.read())?.version) {
    throw nothingWithheld(
      'the settings have changed since these removals were withheld; start a new run and check what it withholds',
    );
  }
  // Takes the lease first: if no run could follow, the claim would be lost.
  return await begin(ports, { ...request, dryRun: false, approves: runId }, async () =>
    (await ports.runs.claimWithheld(runId)) ? null : nothingWithheld('these removals have already been approved'),
  );
}

/** Makes a run stop at its next step. @throws ServiceError `notFound`, `runNotActive` */
export async function cancelRun(runs: RunStore, runId: string): Promise<void> {
  await getRun(runs, runId);
  if (await runs.requestCancel(runId)) return;
  throw new ServiceError('runNotActive', 'this run has already ended');
}

/** The run with this id. @throws ServiceError `notFound` */
export async function getRun(runs: RunStore, runId: string): Promise<Run> {
  const run = await runs.get(runId);
  if (run === null) throw new ServiceError('notFound', 'there is no run of this id');
  return run;
}

/** Starts a run. `refusal` is asked after the lease is taken, and ends the run if it gives a fault. */
async function begin(
  { runs, settings, startSync, clock }: RunControlPorts,
  request: RunRequest,
  refusal: () => Promise<ServiceError | null>,
): Promise<Run> {
  if ((await settings.read()) === null) {
    throw new ServiceError('notConfigured', 'no directory is configured', { advice: 'Save settings first.' });
  }
  const now = clock.now();
  const result = await runs.start(newRun(newRunId(now), request, now));
  if (result.kind === 'active') throw runActive(result.activeRunId);
  const { run } = result;

  const end = async (outcome: Pick<Run, 'status' | 'error'>): Promise<void> => {
    const finishedAt = clock.now().toISOString();
    await runs.finish(result.fence, { ...run, ...outcome, stage: 'finished', finishedAt });
  };
  const refused = await refusal();
  if (refused !== null) {
    await end({ status: 'cancelled', error: null });
    throw refused;
  }
  const { dryRun, trigger, requestedBy } = request;
  try {
    await startSync({ runId: run.id, dryRun, trigger, requestedBy });
  } catch (cause) {
    const message = 'the sync function could not be started';
    const advice = 'Try again. If it fails again, check that the sync function exists and is not throttled.';
    await end({ status: 'failed', error: { code: 'storeUnavailable', message, advice } });
    throw new ServiceError('storeUnavailable', message, { cause, advice, retryable: true });
  }
  return run;
}

function runActive(runId: string): ServiceError {
  return new ServiceError('runActive', 'a run is active', {
    runId,
    advice: 'Wait until it ends, or cancel it.',
  });
}

function nothingWithheld(message: string): ServiceError {
  return new ServiceError('nothingWithheld', message);
}
