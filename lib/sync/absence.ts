/**
 * Decides which missing users are really absent: the grace period, two reads after a change of server, the second look,
 * and vanished branches. Whether they may be removed is decided in removal.ts.
 */
import type { BranchState } from '../directory/directory.ts';
import type { Person } from '../directory/mapping.ts';
import type { OptionSettings } from '../settings/settings.ts';
import { isContested, nameKeyOf } from '../user/user.ts';
import type { User } from '../user/user.ts';
import type { Approval } from './approval-store.ts';
import type { Guard } from './guard.ts';
import type { OpenApprovals } from './open-approvals.ts';
import type { Report } from './report.ts';
import type { Change } from './run.ts';
import type { SecondLook, Sighting } from './second-look.ts';
import type { PlanContext, Step } from './step.ts';
import { differences, line, stepOf, touched, withoutSessions } from './step.ts';
import { findVanishedBranches } from './vanished-branch.ts';

/** A user that would lose access. */
export interface Removal {
  readonly user: User;
  readonly how: 'disable' | 'delete';
  /** The reason to remove: the finding of the second look, or a mark of the directory. */
  readonly cause: 'goneFromDirectory' | 'outOfScope' | 'mark';
  readonly person: Person | null;
  /** The approval of an administrator; null if there is none. */
  readonly approval: Approval | null;
}

/** A removal that is not carried out, and why. */
export interface Withheld {
  readonly user: User;
  readonly how: Removal['how'];
  /** null for a missing user whose absence is not established. */
  readonly cause: Removal['cause'] | null;
  /** A clause for an administrator. */
  readonly reason: string;
  /** Whether an approval would override the reason. */
  readonly approvable: boolean;
  /** The branch with which the person vanished. */
  readonly vanishedBranch?: string;
}

type Candidate = Pick<Removal, 'user' | 'how' | 'approval'>;

/** The facts that absence depends on. */
export interface AbsenceInput {
  /** Users whose entry a complete read did not show; empty after any other read. */
  readonly missing: readonly User[];
  /** Names that entries of a contradiction have: a missing user of such a name may be one of them. */
  readonly claimed: ReadonlySet<string>;
  /** Entries that the directory returned. */
  readonly read: number;
  readonly baseDn: string;
}

/** The outside world that absence depends on. */
export interface AbsencePorts {
  readonly look: Pick<SecondLook, 'find'>;
  readonly judgeBranch: (dn: string) => Promise<BranchState>;
  readonly guard: Guard;
  readonly approvals: Pick<OpenApprovals, 'find'>;
  readonly report: Pick<Report, 'stage' | 'notice'>;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/**
 * Unapproved users from which on the guard is asked before anybody is looked for. If it refuses, all are withheld
 * without a look, because looking for that many takes longer than a run may.
 */
const ASKED_FIRST = 1_000;

const NOBODY_READ = 'the directory returned no entries';

/** The decision about one missing user, before the second look. */
export type MissingDecision =
  | { readonly kind: 'nothing' }
  /** Record since when the user is missing. */
  | { readonly kind: 'mark'; readonly step: Step }
  /** Disable or delete the user, if nothing speaks against it. */
  | { readonly kind: 'overdue'; readonly how: Removal['how'] };

/**
 * What to do about a user that a complete read did not show. The first absence is believed only if the last complete
 * read came from the same server; otherwise the next complete read has to miss the user as well.
 */
export function decideMissing(user: User, context: PlanContext): MissingDecision {
  if (user.authentication !== 'directory' || user.directory === null) return { kind: 'nothing' };
  const { missingSince: since, contestedBy } = user.directory;
  // The newcomer is gone, or the user's own entry was found: nothing is contested any more. Until now somebody of this
  // name was there, so the absence begins now.
  if (contestedBy !== undefined) return { kind: 'mark', step: markMissing(user, context) };
  const missingMs = since === null ? 0 : context.now.getTime() - Date.parse(since);
  const how = removalFor(user, context.missingUsers);
  const isBelieved = since !== null || context.sameServer;
  if (how !== null && isBelieved && missingMs >= context.gracePeriodDays * DAY_MS) return { kind: 'overdue', how };
  if (firstMissed(user, context) !== null) return { kind: 'nothing' };
  return { kind: 'mark', step: markMissing(user, context) };
}

/**
 * When the user was first missed; null if that is now: in this run or in those that it finishes, or because somebody
 * had the user's name until now.
 */
export function firstMissed(user: User, { unfinishedSince }: PlanContext): string | null {
  const since = user.directory!.missingSince;
  const isNow = since === null || isContested(user) || (unfinishedSince !== null && since >= unfinishedSince);
  return isNow ? null : since;
}

function removalFor(user: User, missingUsers: OptionSettings['missingUsers']): Removal['how'] | null {
  if (missingUsers === 'delete') return 'delete';
  return missingUsers === 'disable' && user.disabledBy === null ? 'disable' : null;
}

/**
 * Records since when a user is missing and, if given, the branch that vanished. `change` makes the line from the fields
 * that differ; without it, the line says `updated`.
 */
export function markMissing(
  user: User,
  context: PlanContext,
  change?: (fields: Change['fields']) => Change,
  vanishedBranch?: string,
): Step {
  const { contestedBy: _contestedBy, ...former } = user.directory!;
  const link = { ...former, ...(vanishedBranch !== undefined && { vanishedBranch }) };
  const missingSince = firstMissed(user, context);
  const next: User = { ...touched(user, context), ...missingNow({ ...link, missingSince }, context) };
  const fields = differences(user, next);
  return stepOf(
    change?.(fields) ?? { ...line('updated', next), fields, reason: 'missing from the directory' },
    { kind: 'update', user: next, previous: user },
    null,
  );
}

// No fingerprint, so that the next run compares the whole record if the person returns.
function missingNow(
  link: NonNullable<User['directory']>,
  context: PlanContext,
): Pick<User, 'directory' | 'fingerprint'> {
  return { directory: { ...link, missingSince: link.missingSince ?? context.now.toISOString() }, fingerprint: null };
}

/** The decision about missing users. */
export interface AbsenceDecision {
  /** Steps that mark users as missing for the first time. */
  readonly marks: readonly Step[];
  /** Users who need no further change. */
  readonly settled: number;
  readonly removals: readonly Removal[];
  readonly withheld: readonly Withheld[];
}

/**
 * Who is really absent: found by no server, or out of scope, and not together with a whole branch. Adds a notice for
 * removals that are withheld.
 *
 * @throws what `look`, `judgeBranch` and `report` throw
 */
export async function decideAbsence(
  { missing, claimed, read, baseDn }: AbsenceInput,
  { look, judgeBranch, guard, approvals, report }: AbsencePorts,
  context: PlanContext,
): Promise<AbsenceDecision> {
  const marks: Step[] = [];
  /** Users whom nobody contests any more. */
  const uncontested: User[] = [];
  /** Users who lose nothing in this run, such as those who are disabled already. */
  const quiet: User[] = [];
  const withheld: Withheld[] = [];
  const overdue: Candidate[] = [];
  let settled = 0;
  for (const user of missing) {
    // Ask for everybody, even within the grace period: an approval that nobody asks for ends with this run. A user who
    // is missing for the first time can only have an approval to be disabled by a mark.
    const isNew = (user.directory?.missingSince ?? null) === null;
    const approval = isNew ? null : approvals.find(user, 'remove');
    const decision = claimed.has(nameKeyOf(user)) ? NOTHING : decideMissing(user, context);
    if (decision.kind === 'overdue') overdue.push({ user, how: decision.how, approval });
    else if (decision.kind === 'mark' && isContested(user)) uncontested.push(user);
    else {
      quiet.push(user);
      if (decision.kind === 'mark') marks.push(decision.step);
      else settled += 1;
    }
  }

  const unapproved = overdue.filter(({ approval }) => approval === null);
  const tooMany = unapproved.length > ASKED_FIRST ? guard.refusal('absence', unapproved.length) : null;
  const beforehand = read === 0 ? NOBODY_READ : tooMany;
  if (beforehand !== null && unapproved.length > 0) {
    report.notice(`${unapproved.length} removals are withheld: ${beforehand}.`);
  }
  const lookedFor: Candidate[] = [];
  for (const candidate of overdue) {
    const { idAttribute } = candidate.user.directory!;
    if (idAttribute !== context.idAttribute) {
      const reason =
        `the user is linked by ${idAttribute}, but the unique id in use is ${context.idAttribute}; ` +
        'delete the user if the person has left';
      withheld.push({ ...candidate, cause: null, reason, approvable: false });
    } else if (candidate.approval === null && beforehand !== null) {
      withheld.push({ ...candidate, cause: null, reason: beforehand, approvable: true });
    } else lookedFor.push(candidate);
  }

  if (lookedFor.length > 0) await report.stage('verifying');
  const sightings = await look.find(lookedFor.map(({ user }) => user));
  const absent: Removal[] = [];
  const doubted: Withheld[] = [];
  for (const candidate of lookedFor) {
    const sighting = sightings.get(candidate.user.id)!;
    const judged = judgeSighting(candidate, sighting);
    if (!('reason' in judged)) absent.push(judged);
    else if (sighting.kind === 'doubted') doubted.push(judged);
    else withheld.push(judged);
  }

  // Count approved users too, because approving a part of a branch must not free the rest of it; and users whom another
  // server keeps, whom nobody contests any more, or who are disabled already: all have vanished from this view.
  const gone = absent.filter(({ cause }) => cause === 'goneFromDirectory');
  const together = [...[...gone, ...doubted].map(({ user }) => user), ...uncontested];
  const times = new Set(together.map((user) => firstMissed(user, context)));
  const vanished = await findVanishedBranches(
    [...together, ...quiet.filter((user) => user.directory !== null && times.has(firstMissed(user, context)))],
    baseDn,
    judgeBranch,
    (user) => firstMissed(user, context),
  );
  for (const user of uncontested) marks.push(markMissing(user, context, undefined, vanished.get(user.id)));
  for (const each of doubted) {
    const branch = vanished.get(each.user.id);
    withheld.push(branch === undefined ? each : { ...each, vanishedBranch: branch });
  }
  const removals: Removal[] = [];
  const kept = new Map<string, number>();
  for (const removal of absent) {
    const branch = removal.approval === null ? vanished.get(removal.user.id) : undefined;
    if (branch === undefined) removals.push(removal);
    else {
      withheld.push({ ...removal, reason: vanishedReason(branch), approvable: true, vanishedBranch: branch });
      kept.set(branch, (kept.get(branch) ?? 0) + 1);
    }
  }
  for (const [branch, count] of kept) {
    report.notice(`${count} removals are withheld: ${vanishedReason(branch)}.`);
  }
  return { marks, withheld, settled, removals };
}

const NOTHING: MissingDecision = { kind: 'nothing' };

function vanishedReason(branch: string): string {
  return (
    `nobody is left below ${branch}, and the entry does not say that it is empty: ` +
    'the bind DN may have lost the right to read it'
  );
}

/**
 * Decides about one missing user by where all servers see the person. An approval overrides doubts, never a sighting.
 */
export function judgeSighting(candidate: Candidate, sighting: Sighting): Removal | Withheld {
  const remove = (cause: Removal['cause']): Removal => ({ ...candidate, cause, person: null });
  const keep = (reason: string, approvable: boolean): Withheld => ({
    ...candidate,
    cause: null,
    reason,
    approvable,
  });
  const { kind } = sighting;
  if (kind === 'gone') return remove('goneFromDirectory');
  if (kind === 'outOfScope') return remove('outOfScope');
  if (kind === 'inScope') return keep('the second look found the entry in scope', false);
  if (kind === 'unknown') return keep(sighting.reason, false);
  return candidate.approval === null ? keep(sighting.reason, true) : remove('goneFromDirectory');
}

/** The step that removes a missing user. */
export function removeUser({ user, how, cause, approval }: Removal, context: PlanContext): Step {
  const more: Pick<Step, 'counts' | 'approvals'> =
    approval === null ? { counts: ['absence'], approvals: [] } : { counts: ['approved'], approvals: [approval] };
  if (how === 'delete') {
    return stepOf({ ...line('deleted', user), reason: cause }, { kind: 'delete', previous: user }, null, more);
  }
  const next: User = { ...touched(user, context), ...missingNow(user.directory!, context), disabledBy: 'sync' };
  const change = { ...line('disabled', next), fields: differences(user, next), reason: cause };
  return stepOf(change, { kind: 'update', user: withoutSessions(next), previous: user }, null, more);
}

/** Adds a notice if more users than the limit allows are missing for the first time, while there is time to act. */
export function noticeNewAbsence(
  steps: readonly Step[],
  { allowed, known }: Pick<Guard, 'allowed' | 'known'>,
  { missingUsers, gracePeriodDays }: Pick<OptionSettings, 'missingUsers' | 'gracePeriodDays'>,
  report: Pick<Report, 'notice'>,
): void {
  // Others are marked again, because nobody contests their name any more.
  const marks = steps.filter(({ change }) => change.fields?.['directory.missingSince']?.from === null);
  if (marks.length <= allowed) return;
  const due = gracePeriodDays === 0 ? 'in the next complete run' : `after ${gracePeriodDays} days`;
  const threat =
    missingUsers === 'keep'
      ? 'They are kept, as the settings say'
      : `If they stay missing, they are due to be ${missingUsers}d ${due}`;
  report.notice(
    `${marks.length} of ${known} users are missing for the first time. ${threat}. If this is unexpected, check the ` +
      'base DN, the filter, and the rights of the bind DN.',
  );
}
