/**
 * Decides who may lose access in a run: `decideRemovals` asks absence.ts who is absent, then the guard, the approvals
 * and the check of the last administrator. A step that lost a race is planned again in apply.ts, which takes access
 * away from nobody whom this file did not name.
 *
 *     marked disabled --------------------------------------------------+
 *     missing --> grace period --> overdue --> second look --> branch --+--> guard --> administrator --> removed
 *                     |                            |             |            |             |
 *                  marked missing               withheld      withheld     withheld      withheld
 *
 * Only users with directory authentication are ever removed. Absence counts only after a read that is proven complete;
 * a mark that was read counts after any read.
 */
import type { Person } from '../directory/mapping.ts';
import type { UserStore } from '../user/user-store.ts';
import type { DirectoryLink, User } from '../user/user.ts';
import { isWayIn } from '../user/user.ts';
import { decideAbsence, firstMissed, markMissing, removeUser } from './absence.ts';
import type { AbsenceDecision, AbsenceInput, AbsencePorts, Removal, Withheld } from './absence.ts';
import type { Approval } from './approval-store.ts';
import type { GuardCounter } from './run-journal.ts';
import type { Change } from './run.ts';
import type { PlanContext, Step } from './step.ts';
import { differences, line, MARKED_DISABLED, stepOf, tell, touched, withheldLine, withoutSessions } from './step.ts';

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
  /** The attribute, in lower case, that marks the account. */
  readonly mark: string | null;
}

/** The facts that removals depend on. */
export interface RemovalInput extends AbsenceInput {
  readonly marked: readonly Marked[];
}

/** The outside world that removals need. */
export interface RemovalPorts extends AbsencePorts {
  readonly users: Pick<UserStore, 'findKnownAdministrator'>;
}

/** A user to disable because the directory marks the entry. */
export interface Disabling extends Marked {
  readonly counts: readonly GuardCounter[];
  readonly approvals: readonly Approval[];
}

/** The decision about everybody who could lose access. */
export interface RemovalDecision extends Pick<AbsenceDecision, 'marks' | 'settled'> {
  /** Missing users to disable or delete, in the given order. */
  readonly removals: readonly Step[];
  readonly disabling: readonly Disabling[];
  /** Users who are marked, but stay active: the removal is withheld. */
  readonly spared: readonly Marked[];
  /** One line for each removal that is withheld; those who are missing for the first time are marked. */
  readonly withheld: readonly Step[];
}

const LOCKS_OUT =
  'no other administrator who can sign in is known; sign in as one, or give another active user the privilege "admin"';

/**
 * Decides about everybody who could lose access in this run.
 *
 * @throws ServiceError `storeUnavailable`; what `look` and `judgeBranch` throw; any fault with which the report ends
 *   the run
 */
export async function decideRemovals(
  input: RemovalInput,
  ports: RemovalPorts,
  context: PlanContext,
): Promise<RemovalDecision> {
  const { guard, report } = ports;
  const absence = await decideAbsence(input, ports, context);
  const marked = input.marked.map(({ user, person }): Removal => {
    // An approval to remove a user for being absent ends when the person is read again, whatever the entry says.
    const wasMissing = user.directory!.missingSince !== null;
    const approval = wasMissing ? null : ports.approvals.find(user, 'remove');
    return { user, how: 'disable', cause: 'mark', person, approval };
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
  const markOf = new Map(input.marked.map(({ user, mark }) => [user, mark]));
  for (const removal of passed) {
    const { user, person, cause, approval } = removal;
    const mark = markOf.get(user) ?? null;
    if (lastAdministrators.has(user.id)) withheld.push({ ...removal, reason: LOCKS_OUT, approvable: false });
    else if (cause !== 'mark') removals.push(removeUser(removal, context));
    else if (approval === null) disabling.push({ user, person, mark, counts: ['mark'], approvals: [] });
    else disabling.push({ user, person, mark, counts: [], approvals: [approval] });
  }
  const disabled = new Set(disabling.map(({ user }) => user));
  return {
    removals,
    disabling,
    spared: input.marked.filter(({ user }) => !disabled.has(user)),
    marks: absence.marks,
    withheld: withheld.map((each) => withhold(each, context)),
    settled: absence.settled,
  };
}

/**
 * The step that shows again that a user is there, although its entry can't be used otherwise; none if nothing says that
 * it was missing.
 */
export function showAgain(user: User, context: PlanContext): Step[] {
  if (user.directory === null || user.directory.missingSince === null) return [];
  const next: User = { ...touched(user, context), directory: seenLink(user.directory) };
  const change = { ...line('updated', next), fields: differences(user, next), reason: 'found in the directory again' };
  return [stepOf(change, { kind: 'update', user: next, previous: user }, null)];
}

/** The link of a user whose entry was seen, though it can't be used otherwise. */
function seenLink({ contestedBy: _contestedBy, vanishedBranch: _branch, ...link }: DirectoryLink): DirectoryLink {
  return { ...link, missingSince: null };
}

/** Disables a user by its unique id alone, because its entry can't be used otherwise. */
export function disableById({ user, mark, counts, approvals }: Disabling, context: PlanContext): Step {
  const directory = { ...seenLink(user.directory!), ...(mark !== null && { mark }) };
  const next: User = { ...touched(user, context), directory, disabledBy: 'sync', fingerprint: null };
  const change: Change = { ...line('disabled', next), fields: differences(user, next), reason: MARKED_DISABLED };
  const write = { kind: 'update', user: withoutSessions(next), previous: user } as const;
  return stepOf(change, write, null, { counts, approvals });
}

/** The line of a withheld removal. A user who is missing for the first time is marked with it. */
function withhold({ user, how, cause, reason, approvable, vanishedBranch }: Withheld, context: PlanContext): Step {
  const told = (fields?: Change['fields']): Change =>
    withheldLine(user, `would be ${how}d; ${reason}`, approvable ? 'remove' : null, fields);
  const { vanishedBranch: known } = user.directory!;
  const isNoted = firstMissed(user, context) !== null && (vanishedBranch === undefined || vanishedBranch === known);
  return cause === 'mark' || isNoted ? tell(told()) : markMissing(user, context, told, vanishedBranch);
}

// ------------------------------------------------------------------------------------------- administrators

/**
 * Account ids of the administrators among the removals, if no other administrator who can sign in is known; otherwise
 * empty. Keeps one too many where the store does not know of another one yet: the next run asks again.
 */
async function findLastAdministrators(
  users: RemovalPorts['users'],
  removals: readonly Removal[],
): Promise<ReadonlySet<string>> {
  const leaving = new Set(removals.filter(({ user }) => isWayIn(user)).map(({ user }) => user.id));
  if (leaving.size === 0) return leaving;
  const other = await users.findKnownAdministrator((user) => isWayIn(user) && !leaving.has(user.id));
  return other === null ? leaving : new Set();
}
