/** The port to runs: their records, the lease of the active one, and the lines they leave per user. */
import type { Page } from '../cursor.ts';
import type { Fence } from '../user/user-store.ts';
import type { Change, ChangeKind, Run, RunState } from './run.ts';

export type StartResult =
  | { readonly kind: 'started'; readonly run: Run; readonly fence: Fence }
  | { readonly kind: 'active'; readonly activeRunId: string };

export interface RunStore {
  /**
   * Takes the lease and stores the run, with the entries that are to be expected. The lease of a run that has not been heard of for its whole length is taken over,
   * and that run marked failed, `interrupted`.
   */
  start(run: Run): Promise<StartResult>;
  /** Takes a queued run up; null when it has been taken up already or its lease is gone. */
  takeUp(runId: string): Promise<{ readonly run: Run; readonly fence: Fence } | null>;
  /**
   * Renews the lease and shows how far the run is.
   * @throws ServiceError `leaseLost`
   */
  heartbeat(fence: Fence, state: RunState): Promise<{ readonly cancelRequested: boolean }>;
  /** Appends lines to a run. */
  saveChanges(fence: Fence, changes: readonly Change[]): Promise<void>;
  /** Stores the run as it ended and gives the lease back. @throws ServiceError `leaseLost` */
  finish(fence: Fence, run: Run): Promise<void>;
  /** Stores a run that ended before it began. Neither asks for the lease nor touches it. */
  record(run: Run): Promise<void>;
  /** One run, with the progress of this moment while it is running. */
  get(runId: string): Promise<Run | null>;
  /** Newest first. */
  list(limit: number, next?: string): Promise<Page<Run>>;
  /** In the order they were saved. */
  listChanges(runId: string, query: { kind?: ChangeKind; limit: number; next?: string }): Promise<Page<Change>>;
  /** false when that run is not the active one. */
  requestCancel(runId: string): Promise<boolean>;
  /** Gives the run's withheld removals to one approval; false when they were given away before. */
  claimWithheld(runId: string): Promise<boolean>;
}
