/** The port to runs: their records, the lease of the active run, and their lines. */
import type { Page } from '../cursor.ts';
import type { Fence } from '../user/user-store.ts';
import type { Change, ChangeKind, Run, RunState, RunStatus } from './run.ts';

/** The result of a start: `active` if another run holds the lease. */
export type StartResult =
  | { readonly kind: 'started'; readonly run: Run; readonly fence: Fence }
  | { readonly kind: 'active'; readonly activeRunId: string };

/** Which runs to list. */
export interface RunQuery {
  /** Most runs on a page. */
  readonly limit: number;
  readonly next?: string;
  /** Only runs with this status; one that is stored as running may have been interrupted. */
  readonly status?: RunStatus;
  /** Only runs that started at this time or later. */
  readonly from?: Date;
  /** Only runs that started before this time. */
  readonly to?: Date;
}

/** The store of runs. Every method may throw ServiceError `storeUnavailable`. */
export interface RunStore {
  /**
   * Takes the lease and stores the run, with its number of expected entries. Takes the lease over from a run that has
   * not renewed it in time, and marks that run as failed, `interrupted`.
   */
  start(run: Run): Promise<StartResult>;
  /** Takes up a queued run; null if it has been taken up already or its lease is gone. */
  takeUp(runId: string): Promise<{ readonly run: Run; readonly fence: Fence } | null>;
  /**
   * Renews the lease and stores the progress of the run.
   * @throws ServiceError `leaseLost`
   */
  heartbeat(fence: Fence, state: RunState): Promise<{ readonly cancelRequested: boolean }>;
  /** Stores the finished run and releases the lease. @throws ServiceError `leaseLost` */
  finish(fence: Fence, run: Run): Promise<void>;
  /** Stores a run that ended before it began. Neither needs the lease nor changes it. */
  record(run: Run): Promise<void>;
  /** One run, with its current progress while it is running; null if there is none with this id. */
  get(runId: string): Promise<Run | null>;
  /** Newest first. */
  list(query: RunQuery): Promise<Page<Run>>;
  /** A run's lines, in the order in which they were saved. */
  listChanges(runId: string, query: { kind?: ChangeKind; limit: number; next?: string }): Promise<Page<Change>>;
  /** Requests the end of the active run; false if another run or none is active. */
  requestCancel(runId: string): Promise<boolean>;
}
