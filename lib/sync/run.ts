/** A run of the synchronisation: its record, and its lines per user. */
import { randomBytes } from 'node:crypto';
import type { ServerIdentity } from '../directory/directory.ts';
import type { ErrorCode } from '../errors.ts';
import { ServiceError } from '../errors.ts';

/** All kinds of lines. `unchanged` is only counted. */
export const CHANGE_KINDS = [
  'created',
  'updated',
  'renamed',
  'linked',
  'disabled',
  'enabled',
  'deleted',
  'unchanged',
  'skipped',
  'conflict',
  'withheld',
] as const;

/** The kind of a line. */
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** The value of a field in a line. */
export type FieldValue = string | boolean | null | readonly string[];

/** What a withheld line proposes, and an administrator can approve. */
export const PROPOSALS = ['remove', 'link', 'clear', 'enable'] as const;

/**
 * `remove`: disable or delete a missing user, or disable one that the directory marks. `link`: tie the user to another
 * directory id. `clear`: empty fields that the directory no longer shows. `enable`: enable a user whose mark is absent.
 */
export type Proposal = (typeof PROPOSALS)[number];

/** One line of a run. `userId` and `userName` are null if the entry led to no user. */
export interface Change {
  readonly kind: ChangeKind;
  readonly userId: string | null;
  readonly userName: string | null;
  readonly previousUserName?: string;
  readonly directoryId: string | null;
  readonly dn: string | null;
  readonly fields?: Readonly<Record<string, { readonly from: FieldValue; readonly to: FieldValue }>>;
  readonly reason?: string;
  /** Only on a withheld line, and only if an approval would let the run carry it out. */
  readonly proposes?: Proposal;
}

/** The count of each kind of change. */
export type Totals = Readonly<Record<ChangeKind, number>>;

/** Totals of zero. */
export const NO_TOTALS: Totals = Object.freeze(
  Object.fromEntries(CHANGE_KINDS.map((kind) => [kind, 0])) as Record<ChangeKind, number>,
);

/** Whether everybody in scope was read and, if not, why. */
export interface Completeness {
  readonly complete: boolean;
  readonly reasons: readonly string[];
}

/** The words for how a run is doing. */
export const RUN_STATUSES = ['running', 'succeeded', 'partial', 'failed', 'cancelled'] as const;

/** How a run ended, or `running`. `partial`: not everybody could be read or looked up. */
export type RunStatus = (typeof RUN_STATUSES)[number];

/** The stages of a run in their order; `queued` until the sync function takes the run up. */
export type RunStage = 'queued' | 'reading' | 'planning' | 'verifying' | 'applying' | 'finished';

/** What started a run. */
export type RunTrigger = 'schedule' | 'api' | 'console';

/** `read`: entries; `planned`: changes; `applied`: changes written. */
export interface Progress {
  readonly read: number;
  readonly planned: number;
  readonly applied: number;
}

/** Why a run failed or was refused. */
export interface RunError {
  readonly code: ErrorCode;
  readonly message: string;
  /** What to do about the error. */
  readonly advice: string | null;
}

/** The record of a run. Times are RFC 3339 UTC. */
export interface Run {
  readonly id: string;
  readonly dryRun: boolean;
  readonly trigger: RunTrigger;
  /** User name of the administrator who requested the run; null for the schedule. */
  readonly requestedBy: string | null;
  readonly status: RunStatus;
  readonly stage: RunStage;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly progress: Progress;
  /** Entries in the last complete read, to compare `progress.read` with; null if there was none. */
  readonly expectedEntries: number | null;
  readonly totals: Totals;
  /** null until the read is over. */
  readonly completeness: Completeness | null;
  readonly settingsVersion: string | null;
  readonly error: RunError | null;
  /** Sentences for an administrator although nothing failed: about withheld removals, or a search that found nobody. */
  readonly notices: readonly string[];
  /** The run whose withheld lines this run carries out; null for an ordinary run. */
  readonly approves: string | null;
  /** The server that was read; null until then. */
  readonly server: ServerIdentity | null;
  /**
   * Identifies the scope, the unique id and the treatment of missing users in the settings of this run: an approval
   * ends when they change. null until the settings are read.
   */
  readonly approvalScope: string | null;
}

/** The part of a run that changes while it works. */
export type RunState = Pick<Run, 'stage' | 'progress' | 'totals'>;

/** The caller's part of a new run. */
export interface RunRequest {
  readonly dryRun: boolean;
  readonly trigger: RunTrigger;
  readonly requestedBy: string | null;
  readonly approves: string | null;
}

/** A new run's id: opaque to callers, sorted by time for the store. */
export function newRunId(now: Date): string {
  return `${runIdPrefix(now)}-${randomBytes(4).toString('hex')}`;
}

/** What the ids of runs that start at this time begin with. Greater than the ids of all runs that started before. */
export function runIdPrefix(time: Date): string {
  return time.toISOString().replaceAll(/[-:.]/gu, '');
}

/** A run that has been requested and has not begun. */
export function newRun(id: string, request: RunRequest, now: Date): Run {
  return {
    id,
    dryRun: request.dryRun,
    trigger: request.trigger,
    requestedBy: request.requestedBy,
    status: 'running',
    stage: 'queued',
    startedAt: now.toISOString(),
    finishedAt: null,
    progress: { read: 0, planned: 0, applied: 0 },
    expectedEntries: null,
    totals: NO_TOTALS,
    completeness: null,
    settingsVersion: null,
    error: null,
    notices: [],
    approves: request.approves,
    server: null,
    approvalScope: null,
  };
}

/** How long a lease lasts without renewal; then another run may take it over. */
export const LEASE_MS = 60_000;

/** The record of a run whose lease ran out at `at`, before it stored its result. */
export function interruptRun(run: Run, at: Date): Run {
  return {
    ...run,
    status: 'failed',
    stage: 'finished',
    finishedAt: at.toISOString(),
    error: {
      code: 'interrupted',
      message: 'the run stopped without reporting a result',
      advice: 'Finished changes are kept; the next run does the rest. See the log of the sync function.',
    },
  };
}

/**
 * The record of a run that did not begin because another was active. Overlapping runs are expected, so it is not
 * failed.
 */
export function refuseRun(run: Run, activeRunId: string): Run {
  return {
    ...run,
    status: 'cancelled',
    stage: 'finished',
    finishedAt: run.startedAt,
    error: {
      code: 'runActive',
      message: `already running: run ${activeRunId} was active`,
      advice: 'Nothing to do: the next run covers everything. If this repeats, schedule runs less often.',
    },
  };
}

/** The fault of a run that continues although it no longer holds its lease. */
export function leaseLost(runId: string): ServiceError {
  return new ServiceError('leaseLost', 'the run has lost its lease', {
    runId,
    advice: 'Nothing to do: the run renewed its lease too late or had already ended, and writes nothing more.',
  });
}
