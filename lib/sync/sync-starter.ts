/** The port that hands a stored run to the sync function. */
import type { RunRequest } from './run.ts';

/** What the sync function is invoked with for a run that is stored and waits. */
export interface SyncRequest extends Pick<RunRequest, 'dryRun' | 'trigger' | 'requestedBy'> {
  readonly runId: string;
}

/** Asks for the run to be carried out and does not wait for it. @throws ServiceError `storeUnavailable` */
export type StartSync = (request: SyncRequest) => Promise<void>;
