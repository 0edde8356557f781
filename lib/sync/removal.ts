/**
 * Decides who may lose access in a run. `decideRemovals` combines pure functions: absence and its grace period, the
 * second look, vanished branches, the guard, approvals, and the last administrator. A step that lost a race is planned
 * again in apply.ts, which takes access away from nobody whom this file did not name.
 *
 *     marked disabled ------------------------------------------------------+
 *     missing --> grace period --> overdue --> second look --> branch ------+--> guard --> last administrator --> removed
 *                     |                            |             |               |               |
 *                  marked missing               withheld      withheld        withheld        withheld
 *
 * Only users with directory authentication are ever removed. Absence counts only after a read that is proven complete;
 * a mark that was read counts after any read.
 */
import type { BranchState } from '../directory/directory.ts';
import type { Person } from '../directory/mapping.ts';
import type { OptionSettings } from '../settings/settings.ts';
import { userNameKey } from '../user/user-name.ts';
import type { UserStore } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { isWayIn } from '../user/user.ts';
import type { Approval } from './approval-store.ts';
import type { Guard } from './guard.ts';
import type { OpenApprovals } from './open-approvals.ts';
import type { Report } from './report.ts';
import type { GuardCounter } from './run-journal.ts';
import type { Change } from './run.ts';
import type { SecondLook, Sighting } from './second-look.ts';
import type { PlanContext, Step } from './step.ts';
import { differences, line, stepOf, tell, touched, withheldLine, withoutSessions } from './step.ts';
import { findVanishedBranches } from './vanished-branch.ts';

/** A stored user and its entry. */
export interface Present {
  readonly user: User;
  readonly person: Person;
}

/** An active user whose entry the directory marks as disabled. */
export interface Marked {
  readonly user: User;
  /** null if the entry can't be used otherwise: its name is in conflict, or it was skipped. */
  readonly person: Person | null;
}

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

/** The facts that removals depend on. */
export interface RemovalInput {
  readonly marked: readonly Marked[];
  /** Users whose entry a complete read did not show; empty after any other read. */
  readonly missing: readonly User[];
  /** Names that entries of a contradiction have: a missing user of such a name may be one of them. */
  readonly claimed: ReadonlySet<string>;
  /** Entries that the directory returned. */
  readonly read: number;
  readonly baseDn: string;
}

/** The outside world that removals need. */
export interface RemovalPorts {
  readonly users: Pick<UserStore, 'listActiveAdministrators'>;
  readonly look: Pick<SecondLook, 'find'>;
  readonly judgeBranch: (dn: string) => Promise<BranchState>;
  readonly guard: Guard;
  readonly approvals: Pick<OpenApprovals, 'find'>;
  readonly report: Pick<Report, 'stage' | 'notice'>;
}

/** A user to disable because the directory marks the entry. */
export interface Disabling extends Marked {
  readonly counts: readonly GuardCounter[];
  readonly approvals: readonly Approval[];
}

/** The decision about everybody who could lose access. */
export interface RemovalDecision {
  /** Missing users to disable or delete, in the given order. */
  readonly removals: readonly Step[];
  readonly disabling: readonly Disabling[];
  /** Steps that mark users as missing for the first time. */
  readonly marks: readonly Step[];
  /** One line for each removal that is withheld; those who are missing for the first time are marked. */
  readonly withheld: readonly Step[];
  /** Missing users that need no further change. */
  readonly settled: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** So many missing users are looked for at most, unless approved: above the limit, all are withheld anyway. */
const LOOKED_FOR = 1_000;

const LOCKS_OUT =
  'no administrator who can sign in would be left; give another active user the privilege "admin" first';
const NOBODY_READ = 'the directory returned no entries';

/** What can't be removed, and why. `approvable`: whether an approval would override the reason. */
interface Withheld {
  readonly user: User;
  readonly how: Removal['how'];
  readonly cause: Removal['cause'] | null;
  readonly reason: string;
  readonly approvable: boolean;
}

/**
 * Decides about everybody who could lose access in this run.
 *
 * @throws ServiceError `storeUnavailable`; a DirectoryFaultCode if a branch can't be judged; any fault with which the
 *   report ends the run
 */
export async function decideRemovals(
  input: RemovalInput,
  ports: RemovalPorts,
  context: PlanContext,
): Promise<RemovalDecision> {
  const { guard, report } = ports;
  const absence = await decideAbsence(input, ports, context);
  const marked = input.marked.map(({ user, person }): Removal => {
    return { user, how: 'disable', cause: 'mark', person, approval: ports.approvals.find(user, 'remove') };
  });

  const passed: Removal[] = [];
  const withheld: Withheld[] = [...absence.withheld];
  for (const [counter, wanted] of [
    ['absence', absence.removals],
    ['mark', marked],
  ] as const) {
    const counted = wanted.filter(({ approval }) => approval === null);
    const refusal = guard.refusal(counter, counted.length);
    if (refusal !== null) report.notice(`${counted.length} removals are withheld: ${refusal}.`);
    for (const removal of wanted) {
      if (refusal === null || removal.approval !== null) passed.push(removal);
      else withheld.push({ ...removal, reason: refusal, approvable: true });
    }
  }

  const lastAdministrators = await findLastAdministrators(ports.users, passed);
  if (lastAdministrators.size > 0) report.notice(`Administrators are kept: ${LOCKS_OUT}.`);
  const removals: Step[] = [];
  const disabling: Disabling[] = [];
  for (const removal of passed) {
    const { user, person, cause, approval } = removal;
    if (lastAdministrators.has(user.id)) withheld.push({ ...removal, reason: LOCKS_OUT, approvable: false });
    else if (cause !== 'mark') removals.push(removeUser(removal, context));
    else if (approval === null) disabling.push({ user, person, counts: ['mark'], approvals: [] });
    else disabling.push({ user, person, counts: [], approvals: [approval] });
  }
  return {
    removals,
    disabling,
    marks: absence.marks,
    withheld: withheld.map((each) => withhold(each, context)),
    settled: absence.settled,
  };
}

// ------------------------------------------------------------------------------------------------- absence

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
  const since = user.directory.missingSince;
  const missingMs = since === null ? 0 : context.now.getTime() - Date.parse(since);
  const how = removalFor(user, context.missingUsers);
  const isBelieved = since !== null || context.sameServer;
  if (how !== null && isBelieved && missingMs >= context.gracePeriodDays * DAY_MS) return { kind: 'overdue', how };
  return since === null ? { kind: 'mark', step: markMissing(user, context) } : { kind: 'nothing' };
}

function removalFor(user: User, missingUsers: OptionSettings['missingUsers']): Removal['how'] | null {
  if (missingUsers === 'delete') return 'delete';
  return missingUsers === 'disable' && user.disabledBy === null ? 'disable' : null;
}

/** Records since when a user is missing. `change`: the line, if it is not the usual one. */
export function markMissing(user: User, context: PlanContext, change?: (fields: Change['fields']) => Change): Step {
  const next: User = { ...touched(user, context), ...missingNow(user.directory!, context) };
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

interface AbsenceDecision extends Pick<RemovalDecision, 'marks' | 'settled'> {
  readonly removals: readonly Removal[];
  readonly withheld: readonly Withheld[];
}

/** Who is really absent: found by no server, or out of scope, and not together with a whole branch. */
async function decideAbsence(
  { missing, claimed, read, baseDn }: RemovalInput,
  { look, judgeBranch, guard, approvals, report }: RemovalPorts,
  context: PlanContext,
): Promise<AbsenceDecision> {
  const marks: Step[] = [];
  const withheld: Withheld[] = [];
  const overdue: Candidate[] = [];
  let settled = 0;
  for (const user of missing) {
    // Asked for everybody: an approval ends when the person is read again, not while there is a reason to wait.
    const approval = approvals.find(user, 'remove');
    const decision = claimed.has(userNameKey(user.userName)) ? NOTHING : decideMissing(user, context);
    if (decision.kind === 'mark') marks.push(decision.step);
    else if (decision.kind === 'nothing') settled += 1;
    else overdue.push({ user, how: decision.how, approval });
  }

  const unapproved = overdue.filter(({ approval }) => approval === null);
  const tooMany = unapproved.length > LOOKED_FOR ? guard.refusal('absence', unapproved.length) : null;
  const beforehand = read === 0 ? NOBODY_READ : tooMany;
  if (beforehand !== null && unapproved.length > 0) {
    report.notice(`${unapproved.length} removals are withheld: ${beforehand}.`);
  }
  const lookedFor: Candidate[] = [];
  for (const candidate of overdue) {
    const { idAttribute } = candidate.user.directory!;
    if (idAttribute !== context.idAttribute) {
      const reason = `the user is linked by ${idAttribute}, but the unique id in use is ${context.idAttribute}`;
      withheld.push({ ...candidate, cause: null, reason, approvable: false });
    } else if (candidate.approval === null && beforehand !== null) {
      withheld.push({ ...candidate, cause: null, reason: beforehand, approvable: true });
    } else lookedFor.push(candidate);
  }

  if (lookedFor.length > 0) await report.stage('verifying');
  const sightings = await look.find(lookedFor.map(({ user }) => user));
  const absent: Removal[] = [];
  for (const candidate of lookedFor) {
    const judged = judgeSighting(candidate, sightings.get(candidate.user.id)!);
    if ('reason' in judged) withheld.push(judged);
    else absent.push(judged);
  }

  // Approved ones as well: whoever approves a part of a branch does not approve the rest.
  const gone = absent.filter(({ cause }) => cause === 'goneFromDirectory');
  const vanished = await findVanishedBranches(
    gone.map(({ user }) => user),
    baseDn,
    judgeBranch,
  );
  const removals: Removal[] = [];
  const kept = new Map<string, number>();
  for (const removal of absent) {
    const branch = removal.approval === null ? vanished.get(removal.user.id) : undefined;
    if (branch === undefined) removals.push(removal);
    else {
      withheld.push({ ...removal, reason: vanishedReason(branch), approvable: true });
      kept.set(branch, (kept.get(branch) ?? 0) + 1);
    }
  }
  for (const [branch, count] of kept) {
    report.notice(`${count} removals are withheld: ${vanishedReason(branch)}.`);
  }
  return { marks, withheld, settled, removals };
}

type Candidate = Pick<Removal, 'user' | 'how' | 'approval'>;

const NOTHING: MissingDecision = { kind: 'nothing' };

function vanishedReason(branch: string): string {
  return (
    `nobody is left below ${branch}, and the entry does not say that it is empty: ` +
    'the bind DN may have lost the right to read it'
  );
}

/** Decides about one missing user by where all servers see the person. An approval overrides doubts, never a sighting. */
export function judgeSighting(candidate: Candidate, sighting: Sighting): Removal | Withheld {
  const remove = (cause: Removal['cause']): Removal => ({ ...candidate, cause, person: null });
  const keep = (reason: string, approvable: boolean): Withheld => ({
    ...candidate,
    cause: null,
    reason,
    approvable,
  });
  switch (sighting.kind) {
    case 'gone':
      return remove('goneFromDirectory');
    case 'outOfScope':
      return remove('outOfScope');
    case 'inScope':
      return keep('the second look found the entry in scope', false);
    case 'unknown':
      return keep(sighting.reason, false);
    case 'doubted':
      return candidate.approval === null ? keep(sighting.reason, true) : remove('goneFromDirectory');
  }
}

// ------------------------------------------------------------------------------------------------- steps

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

/** The line of a withheld removal. A user who is missing for the first time is marked with it. */
function withhold({ user, how, cause, reason, approvable }: Withheld, context: PlanContext): Step {
  const told = (fields?: Change['fields']): Change =>
    withheldLine(user, `would be ${how}d; ${reason}`, approvable ? 'remove' : null, fields);
  if (cause === 'mark' || user.directory!.missingSince !== null) return tell(told());
  return markMissing(user, context, told);
}

/** Says so if more users than the limit allows are missing for the first time: there is time to find the cause. */
export function noticeNewAbsence(
  marks: readonly Step[],
  { allowed, known }: Pick<Guard, 'allowed' | 'known'>,
  { missingUsers, gracePeriodDays }: Pick<OptionSettings, 'missingUsers' | 'gracePeriodDays'>,
  report: Pick<Report, 'notice'>,
): void {
  if (marks.length <= allowed) return;
  const threat =
    missingUsers === 'keep'
      ? 'They are kept, as the settings say'
      : `If they stay missing, they are to be ${missingUsers}d after ${gracePeriodDays} days`;
  report.notice(
    `${marks.length} of ${known} users are missing for the first time. ${threat}. If this is unexpected, check the base ` +
      'DN, the filter, and the rights of the bind DN.',
  );
}

// ------------------------------------------------------------------------------------------- administrators

const NO_ADMINISTRATORS: ReadonlySet<string> = new Set();

async function findLastAdministrators(
  users: RemovalPorts['users'],
  removals: readonly Removal[],
): Promise<ReadonlySet<string>> {
  // Reading the administrators is a scan: do it only if one of them would be removed.
  if (!removals.some(({ user }) => isWayIn(user))) return NO_ADMINISTRATORS;
  return lastAdministrators(removals, await users.listActiveAdministrators());
}

/**
 * Account ids of the administrators among the removals, if no administrator who can sign in would be left; otherwise
 * empty.
 */
export function lastAdministrators(
  removals: readonly Pick<Removal, 'user'>[],
  administrators: readonly User[],
): ReadonlySet<string> {
  const leaving = new Set(removals.filter(({ user }) => isWayIn(user)).map(({ user }) => user.id));
  return administrators.some((user) => isWayIn(user) && !leaving.has(user.id)) ? NO_ADMINISTRATORS : leaving;
}
