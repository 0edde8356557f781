/**
 * The port through which an active run writes: users together with their lines, and what the next runs must know. Every
 * write is refused once the run's lease has passed to another run.
 */
import type { ServerIdentity } from '../directory/directory.ts';
import type { Fence, UserWrite, WriteResult } from '../user/user-store.ts';
import type { Approval } from './approval-store.ts';
import type { Change, Totals } from './run.ts';

/**
 * The counters of the guard. `absence`: users removed for being missing. `mark`: users disabled by a mark. `fullName`,
 * `emailAddresses`: users whose field was emptied. `enable`: users enabled because a mark was absent. `approved`: users
 * removed by approval, which no limit counts.
 */
export const GUARD_COUNTERS = ['absence', 'mark', 'fullName', 'emailAddresses', 'enable', 'approved'] as const;

/** One counter of the guard. */
export type GuardCounter = (typeof GUARD_COUNTERS)[number];

/** One hour of the guard's memory. */
export interface GuardHour {
  /** Its beginning, RFC 3339 UTC. */
  readonly hour: string;
  readonly counts: Readonly<Record<GuardCounter, number>>;
  /** The most directory users known in this hour; 0 if no run has counted them. */
  readonly known: number;
}

/** A write of one user, and everything that is stored with it or not at all. */
export interface JournalWrite {
  readonly write: UserWrite;
  /** The line; null for a write that is none of the run's changes, such as a check. `unchanged` is only counted. */
  readonly change: Change | null;
  /** The counters that it raises by one. */
  readonly counts: readonly GuardCounter[];
  /** The approvals that it carries out, which are done then. */
  readonly approvals: readonly Approval[];
}

/** What one run leaves for the next. */
export interface RunMemory {
  /** The last complete read of a real run; null if there was none. `server` is null if it is not known. */
  readonly lastRead: { readonly entries: number; readonly server: ServerIdentity | null } | null;
  /**
   * Since when runs have marked users as missing and none has come to its end; absent if the last such run has.
   * RFC 3339 UTC.
   */
  readonly unfinishedSince?: string;
  /** Names in `servers` that could not be asked about missing users, with the number of runs in a row. */
  readonly unreachable: Readonly<Record<string, number>>;
}

/** Writes of active runs. Every method may throw ServiceError `storeUnavailable`. */
export interface RunJournal {
  /**
   * Writes groups of users with their lines, counters and approvals: each group all or nothing, every write conditional
   * on the record that was read. Several groups are in flight at the same time, unless they are `ordered`; groups that
   * share a user name or a directory id are written in their order all the same.
   *
   * A group that has lost a race (`lostRace`) leaves no trace, and neither delays nor undoes the others. After a fault,
   * every group that was written stands in the store with its lines, whether or not the caller has heard of it.
   *
   * @param groups any number; in one group at most 50 writes, or 32 renames to names that no write of the group frees
   * @param ordered writes the groups in their order
   * @param onWritten called with the places of groups that have just been written, many times while others are in
   *   flight. What it throws ends the writing: no more groups are sent, and `write` throws it once those in flight are
   *   done
   * @returns the result of each group, in order
   * @throws ServiceError `leaseLost`
   */
  write(
    fence: Fence,
    groups: readonly (readonly JournalWrite[])[],
    ordered?: 'ordered',
    onWritten?: (places: readonly number[]) => void,
  ): Promise<readonly WriteResult[]>;
  /**
   * Stores lines without writes, and what is only counted. `known`: directory users known now, for the guard. After a
   * fault, call it again with the same object: what is stored already is not stored twice.
   *
   * @param told at most 5,000 lines
   * @throws ServiceError `leaseLost`
   */
  tell(
    fence: Fence,
    told: { readonly lines?: readonly Change[]; readonly totals?: Partial<Totals>; readonly known?: number },
  ): Promise<void>;
  /**
   * Ends the writing: nothing is written under this fence any more, not even by a request that is still on its way. The
   * lease stays until `finish`.
   *
   * @returns the totals of everything that was written and told: the truth after a fault
   * @throws ServiceError `leaseLost`
   */
  close(fence: Fence): Promise<Totals>;
  /** The totals of everything that is stored of a run so far. */
  readTotals(runId: string): Promise<Totals>;
  /** The memory of former runs. */
  recall(): Promise<RunMemory>;
  /** Replaces the memory. @throws ServiceError `leaseLost` */
  remember(fence: Fence, memory: RunMemory): Promise<void>;
  /** The hours of the guard's memory from the hour of `since` on, in order; hours without a count are left out. */
  readGuard(since: Date): Promise<readonly GuardHour[]>;
}
