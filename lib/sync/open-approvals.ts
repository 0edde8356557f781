/**
 * The approvals that hold in one run. Decides whether an approval covers a proposal, and which approvals have ended.
 * What an approval overrides is decided where the proposal is made.
 */
import type { User } from '../user/user.ts';
import type { Approval, StoredApproval } from './approval-store.ts';
import { proposalKey } from './approval.ts';
import type { Proposal } from './run.ts';

/** The approvals of one run. A run asks for every proposal it makes, even one that it withholds for other reasons. */
export interface OpenApprovals {
  /**
   * The approval of this proposal; null if there is none. An approval to remove a user for being absent ends when the
   * person is read again: it covers only an absence that began before it was given.
   *
   * @param what the directory id that the user would be linked to, or the field that would be cleared; null for every
   *   other proposal
   */
  find(user: User, proposes: Proposal, what?: string | null): Approval | null;
  /** Approvals for other settings: they have ended whatever the run finds. */
  readonly outdated: readonly Approval[];
  /** Approvals that no proposal has asked for: after a complete read, they have ended. */
  unused(): readonly Approval[];
}

/** Opens the stored approvals for a run with this `approvalScope`. */
export function openApprovals(stored: readonly StoredApproval[], approvalScope: string): OpenApprovals {
  const given = stored.filter(({ done }) => !done);
  const holding = new Map(
    given.filter((each) => each.approvalScope === approvalScope).map((each) => [proposalKey(each), each]),
  );
  const asked = new Set<Approval>();
  return {
    find(user, proposes, what = null) {
      const approval = holding.get(proposalKey({ userId: user.id, proposes }));
      if (approval === undefined || !isAbout(approval, what)) return null;
      const since = user.directory?.missingSince ?? null;
      if (proposes === 'remove' && since !== null && since > approval.approvedAt) return null;
      asked.add(approval);
      return approval;
    },
    outdated: given.filter((each) => each.approvalScope !== approvalScope),
    unused: () => [...holding.values()].filter((each) => !asked.has(each)),
  };
}

function isAbout({ proposes, directoryId, fields = [] }: Approval, what: string | null): boolean {
  return proposes === 'clear' ? what !== null && fields.includes(what) : directoryId === what;
}
