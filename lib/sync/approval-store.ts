/** The port to approvals: administrators give them for withheld lines, runs carry them out. */
import type { Proposal } from './run.ts';

/** How long an approval holds if nothing ends it earlier: 14 days. */
export const APPROVAL_KEPT_MS = 14 * 24 * 60 * 60 * 1_000;

/** An administrator's approval of one withheld line. */
export interface Approval {
  readonly userId: string;
  readonly proposes: Proposal;
  /** The directory id that the line proposed to link; null for every other proposal. */
  readonly directoryId: string | null;
  /** The fields that the line proposed to clear; absent for every other proposal. */
  readonly fields?: readonly string[];
  /** The run whose line was approved. */
  readonly runId: string;
  /** User name of the administrator. */
  readonly approvedBy: string | null;
  /** RFC 3339 UTC. */
  readonly approvedAt: string;
  /** `approvalScope` of that run: the approval ends when the settings give another one. */
  readonly approvalScope: string;
}

/** An approval as stored: `done` once a run has carried it out. */
export interface StoredApproval extends Approval {
  readonly done: boolean;
}

/** The store of approvals. Every method may throw ServiceError `storeUnavailable`. */
export interface ApprovalStore {
  /** Stores approvals, each in place of an earlier one for the same user and proposal. Any number. */
  approve(approvals: readonly Approval[]): Promise<void>;
  /** All approvals of the last 14 days, in no order. */
  list(): Promise<readonly StoredApproval[]>;
  /** Removes approvals that have ended, unless they were given anew meanwhile. */
  end(approvals: readonly Approval[]): Promise<void>;
}
