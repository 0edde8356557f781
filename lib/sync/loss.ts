/**
 * Guards losses of data and of marks. A bind user that loses the right to read an attribute makes every entry look
 * emptied, or enabled: so what a run would empty or enable is counted like what it would remove.
 */
import type { Person } from '../directory/mapping.ts';
import type { UserStore } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import type { Approval } from './approval-store.ts';
import { batchesOf } from './batch.ts';
import type { Guard } from './guard.ts';
import type { Changed, ReadAttributes } from './matching.ts';
import type { OpenApprovals } from './open-approvals.ts';
import type { Report } from './report.ts';
import type { Proposal } from './run.ts';
import type { Loss, LossDecision, PlanContext, Step } from './step.ts';
import { LOSSES, tell, withheldLine } from './step.ts';

/**
 * Fewest users whose common loss is withheld because no entry shows the attribute any more. A mark may well be the last
 * one in the directory, and go as it should. The last full name or address rarely is.
 */
const FEWEST: Readonly<Record<Loss, number>> = { fullName: 1, emailAddresses: 1, enable: 3 };

type LossContext = Pick<PlanContext, 'mapping'>;

/** What the user would lose if it were updated to this person. A field that is mapped no more is no loss. */
export function lossesOf(user: User, person: Person, { mapping }: LossContext): readonly Loss[] {
  const losses: Loss[] = [];
  if (user.fullName !== null && person.fullName === null && mapping.fullName !== '') losses.push('fullName');
  if (user.emailAddresses.length > 0 && person.emailAddresses.length === 0 && mapping.emailAddresses !== '') {
    losses.push('emailAddresses');
  }
  if (user.disabledBy === 'sync' && !person.disabled && !person.statusUnknown && isEnabledByAbsence(user, person)) {
    losses.push('enable');
  }
  return losses;
}

/** Whether only the absence of a mark speaks for enabling: an entry that shows the attribute, or returns, proves it. */
function isEnabledByAbsence({ directory }: User, { statusSeen }: Person): boolean {
  if (directory === null) return false;
  const { mark, missingSince } = directory;
  if (mark !== undefined) return !statusSeen.includes(mark);
  // Disabled for being absent; or by a version that did not note the mark.
  return missingSince === null && statusSeen.length === 0;
}

/** Whether the person could mean a loss, so that the stored record has to be looked at. */
export function mayLose({ person, disabledBySync }: Changed, { mapping }: LossContext): boolean {
  return (
    (disabledBySync && !person.disabled) ||
    (person.fullName === null && mapping.fullName !== '') ||
    (person.emailAddresses.length === 0 && mapping.emailAddresses !== '')
  );
}

/**
 * Decides which losses may be carried out, and adds a notice for each kind that is withheld.
 *
 * @param pairs users whose record is known, and their entries
 * @param updates people with further changes; the records of those who could lose something are read here, in batches
 */
export async function decideLosses(
  {
    pairs,
    updates,
    shown,
  }: {
    readonly pairs: readonly { readonly user: User; readonly person: Person }[];
    readonly updates: readonly Changed[];
    readonly shown: ReadAttributes;
  },
  {
    users,
    guard,
    approvals,
    report,
  }: {
    readonly users: Pick<UserStore, 'getMany'>;
    readonly guard: Guard;
    readonly approvals: Pick<OpenApprovals, 'find'>;
    readonly report: Pick<Report, 'check' | 'notice'>;
  },
  context: LossContext,
): Promise<LossDecision> {
  const losers: Readonly<Record<Loss, string[]>> = { fullName: [], emailAddresses: [], enable: [] };
  const approved: Record<Loss, number> = { fullName: 0, emailAddresses: 0, enable: 0 };
  const marks = new Set<string>();
  const given = new Map<string, Approval[]>();
  const allowed = new Map<string, Set<Loss>>();
  const allow = (id: string, loss: Loss): void => {
    allowed.set(id, (allowed.get(id) ?? new Set()).add(loss));
  };
  const examine = (user: User, person: Person): void => {
    for (const loss of lossesOf(user, person, context)) {
      const approval = approvals.find(user, ...proposalOf(loss));
      if (loss === 'enable' && user.directory?.mark !== undefined) marks.add(user.directory.mark);
      if (approval === null) losers[loss].push(user.id);
      else {
        approved[loss] += 1;
        allow(user.id, loss);
        given.set(user.id, [...new Set([...(given.get(user.id) ?? []), approval])]);
      }
    }
  };

  for (const { user, person } of pairs) examine(user, person);
  for (const batch of batchesOf(updates.filter((each) => mayLose(each, context)))) {
    const stored = await users.getMany(batch.map(({ nameKey }) => nameKey));
    for (const { nameKey, person } of batch) {
      const user = stored.get(nameKey);
      if (user !== undefined) examine(user, person);
    }
    report.check();
  }

  const reasons: Partial<Record<Loss, string>> = {};
  for (const loss of LOSSES) {
    const count = losers[loss].length;
    const hidden = loss === 'enable' ? ![...marks].some((mark) => shown.status.has(mark)) : !shown[loss];
    // Count approved losses too: approving some of them must not free the rest.
    const isDoubted = count > 0 && count + approved[loss] >= FEWEST[loss] && hidden;
    const refusal = isDoubted ? NOBODY_SHOWS[loss] : guard.refusal(loss, count);
    if (refusal === null) for (const id of losers[loss]) allow(id, loss);
    else {
      reasons[loss] = refusal;
      report.notice(
        `${count} users keep their ${KEPT[loss]}: ${refusal}. The bind DN may have lost the right to read the ` +
          'attribute. Give it the right, or approve the lines.',
      );
    }
  }
  return { allowed, approvals: given, reasons };
}

const KEPT: Readonly<Record<Loss, string>> = {
  fullName: 'full name',
  emailAddresses: 'e-mail addresses',
  enable: 'status "disabled"',
};

const NOBODY_SHOWS: Readonly<Record<Loss, string>> = {
  fullName: 'no entry shows a full name any more',
  emailAddresses: 'no entry shows an e-mail address any more',
  enable: 'no entry shows the attribute that disabled them any more',
};

/** What a withheld loss proposes, and the field that it would clear. */
function proposalOf(loss: Loss): [Proposal, Loss | null] {
  return loss === 'enable' ? ['enable', null] : ['clear', loss];
}

/** Whether this approval is one of the loss. */
export function isApprovalOf({ proposes, fields = [] }: Approval, loss: Loss): boolean {
  return loss === 'enable' ? proposes === 'enable' : proposes === 'clear' && fields.includes(loss);
}

/** The lines of the losses that a user is spared. */
export function withheldLosses(user: User, kept: readonly Loss[], context: PlanContext): Step[] {
  const steps: Step[] = [];
  const told = (loss: Loss): string | undefined => context.losses.reasons[loss];
  const cleared = kept.filter((loss) => loss !== 'enable' && told(loss) !== undefined);
  if (cleared.length > 0) {
    const fields = Object.fromEntries(
      cleared.map((loss) => [
        loss,
        loss === 'fullName' ? { from: user.fullName, to: null } : { from: user.emailAddresses, to: [] },
      ]),
    );
    steps.push(tell(withheldLine(user, `would be emptied; ${told(cleared[0]!)}`, 'clear', fields)));
  }
  if (kept.includes('enable') && told('enable') !== undefined) {
    const fields = { disabledBy: { from: 'sync', to: null } };
    steps.push(tell(withheldLine(user, `would be enabled; ${told('enable')}`, 'enable', fields)));
  }
  return steps;
}
