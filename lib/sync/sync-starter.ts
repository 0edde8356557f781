/** The port that passes a stored run to the sync function. */
import type { RunRequest } from './run.ts';

/** The event that invokes the sync function for a stored, queued run. */
export interface SyncRequest extends Pick<RunRequest, 'dryRun' | 'trigger' | 'requestedBy'> {
  readonly runId: string;
}

/** Invokes the sync function for the run, without waiting for the result. @throws ServiceError `storeUnavailable` */
export type StartSync = (request: SyncRequest) => Promise<void>;
