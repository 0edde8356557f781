/**
 * Decides who may lose access in a run. `decideRemovals` combines pure functions: disabling by a mark that was read,
 * removal for absence, the removal limit, approvals, the last administrator and the second look. A step that lost a
 * race is planned again in apply.ts, which takes access away from nobody whom this file did not name.
 *
 *     marked disabled -----------------------+
 *     missing --> grace period --> overdue --+--> limit --> last administrator --+--> disabled
 *                     |                         |              |                 +--> second look --> removed
 *                  marked missing            withheld       withheld                        |
 *                                                                                        withheld
 *
 * Only users with directory authentication are ever removed, and only after a read that is proven complete.
 */
import type { Whereabouts } from '../directory/directory.ts';
import type { Person } from '../directory/mapping.ts';
import { ServiceError } from '../errors.ts';
import type { OptionSettings } from '../settings/settings.ts';
import type { UserStore } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { isWayIn } from '../user/user.ts';
import { batchesOf } from './batch.ts';
import type { Report } from './report.ts';
import type { RunStore } from './run-store.ts';
import type { PlanContext, Step } from './step.ts';
import { differences, line, tell, touched, withoutSessions } from './step.ts';

/** A user that would lose access. */
export interface Removal {
  readonly user: User;
  readonly how: 'disable' | 'delete';
  /** The entry that the directory marks as disabled; null if the user is missing. */
  readonly person: Person | null;
}

/** A stored user and its entry. */
export interface Present {
  readonly user: User;
  readonly person: Person;
}

/** The facts that removals depend on. */
export interface RemovalInput {
  /** Active users whose entry the directory marks as disabled. */
  readonly marked: readonly Present[];
  /** Users whose entry a complete read did not show. */
  readonly missing: readonly User[];
  /** Whether it is proven that everybody in scope was read. */
  readonly complete: boolean;
  /** Users linked to an entry of the directory. */
  readonly known: number;
  /** Entries that the directory returned. */
  readonly read: number;
  readonly limit: Omit<OptionSettings['removalLimit'], 'windowHours'>;
  /** Account ids whose removal an administrator has approved. */
  readonly approved: ReadonlySet<string>;
}

/** The outside world that removals need. */
export interface RemovalPorts {
  readonly users: Pick<UserStore, 'listActiveAdministrators'>;
  /** The second look: finds out where these people are now, by unique id and without the filter. */
  readonly locate: (ids: readonly string[]) => Promise<ReadonlyMap<string, Whereabouts>>;
  readonly report: Pick<Report, 'stage' | 'check' | 'notice' | 'incomplete'>;
}

/** The decision about everybody who could lose access. */
export interface RemovalDecision {
  /** Missing users to disable or delete, in the given order. */
  readonly removals: readonly Step[];
  /** People to disable because the directory marks them as disabled. */
  readonly disabling: readonly Present[];
  /** Steps that mark users as missing for the first time. */
  readonly marks: readonly Step[];
  /** One line for each removal that is withheld. */
  readonly withheld: readonly Step[];
  /** Missing users that need no further change. */
  readonly settled: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

const LOCKS_OUT =
  'no administrator who can sign in would be left; give another active user the privilege "admin" first';

const NOBODY: ReadonlySet<string> = new Set();

/**
 * Decides about everybody who could lose access in this run.
 *
 * @throws ServiceError `storeUnavailable`; any fault with which `report.check` ends the run
 */
export async function decideRemovals(
  { marked, missing, complete, known, read, limit, approved }: RemovalInput,
  { users, locate, report }: RemovalPorts,
  context: PlanContext,
): Promise<RemovalDecision> {
  const removals: Removal[] = marked.map(({ user, person }) => ({ user, how: 'disable', person }));
  const marks: Step[] = [];
  let settled = 0;
  for (const user of missing) {
    const decision = decideMissing(user, context);
    if (decision.kind === 'remove') removals.push(decision.removal);
    else if (decision.kind === 'mark') marks.push(decision.step);
    else settled += 1;
  }

  const guarded = guardRemovals({ removals, complete, known: known - settled, read, limit, approved });
  if (guarded.reason !== null) report.notice(`${guarded.withheld.length} removals are withheld: ${guarded.reason}.`);
  const lastAdministrators = await findLastAdministrators(users, guarded.allowed);
  if (lastAdministrators.size > 0) report.notice(`Administrators are kept: ${LOCKS_OUT}.`);

  const withheld = guarded.withheld.map((removal) => withhold(removal, guarded.reason!));
  const disabling: Present[] = [];
  const absent: Removal[] = [];
  for (const removal of guarded.allowed) {
    const { user, person } = removal;
    if (lastAdministrators.has(user.id)) withheld.push(withhold(removal, LOCKS_OUT));
    else if (person !== null) disabling.push({ user, person });
    else absent.push(removal);
  }
  const looked = await lookAgain(absent, locate, context, report);
  return {
    removals: looked.filter(({ write }) => write !== null),
    disabling,
    marks,
    withheld: [...withheld, ...looked.filter(({ write }) => write === null)],
    settled,
  };
}

// ------------------------------------------------------------------------------------------------- absence

/** The decision about one missing user, before limit and second look. */
export type MissingDecision =
  | { readonly kind: 'nothing' }
  /** Record since when the user is missing. */
  | { readonly kind: 'mark'; readonly step: Step }
  /** Disable or delete the user, if the limit and the second look allow it. */
  | { readonly kind: 'remove'; readonly removal: Removal };

/** What to do about a user that a complete read did not show. */
export function decideMissing(user: User, context: PlanContext): MissingDecision {
  if (user.authentication !== 'directory' || user.directory === null) return { kind: 'nothing' };
  const since = user.directory.missingSince;
  const missingMs = since === null ? 0 : context.now.getTime() - Date.parse(since);
  const how = removalFor(user, context.missingUsers);
  if (how !== null && missingMs >= context.gracePeriodDays * DAY_MS) {
    return { kind: 'remove', removal: { user, how, person: null } };
  }
  if (since !== null) return { kind: 'nothing' };
  const next: User = { ...touched(user, context), ...missingNow(user.directory, context) };
  const change = { ...line('updated', next), fields: differences(user, next), reason: 'missing from the directory' };
  return { kind: 'mark', step: { change, write: { kind: 'update', user: next, previous: user }, person: null } };
}

function removalFor(user: User, missingUsers: OptionSettings['missingUsers']): Removal['how'] | null {
  if (missingUsers === 'delete') return 'delete';
  return missingUsers === 'disable' && user.disabledBy === null ? 'disable' : null;
}

/** The step that removes a missing user. `reason`: the finding of the second look. */
export function removeUser({ user, how }: Removal, reason: string, context: PlanContext): Step {
  if (how === 'delete') {
    return { change: { ...line('deleted', user), reason }, write: { kind: 'delete', previous: user }, person: null };
  }
  const next: User = { ...touched(user, context), ...missingNow(user.directory!, context), disabledBy: 'sync' };
  const change = { ...line('disabled', next), fields: differences(user, next), reason };
  return { change, write: { kind: 'update', user: withoutSessions(next), previous: user }, person: null };
}

// No fingerprint, so that the next run compares the whole record if the person returns.
function missingNow(
  link: NonNullable<User['directory']>,
  context: PlanContext,
): Pick<User, 'directory' | 'fingerprint'> {
  return { directory: { ...link, missingSince: link.missingSince ?? context.now.toISOString() }, fingerprint: null };
}

/** The line of a withheld removal: its kind, and the reason. */
function withhold({ user, how }: Removal, reason: string): Step {
  return tell({ ...line('withheld', user), reason: `would be ${how}d; ${reason}` });
}

// --------------------------------------------------------------------------------------------------- limit

/** The removals and the facts that the limit depends on. */
export interface GuardInput extends Pick<RemovalInput, 'complete' | 'known' | 'read' | 'limit' | 'approved'> {
  readonly removals: readonly Removal[];
}

/** The decision of the removal limit. */
export interface GuardDecision {
  readonly allowed: readonly Removal[];
  readonly withheld: readonly Removal[];
  /** Why removals are withheld, worded for an administrator; null if none are. */
  readonly reason: string | null;
}

/**
 * Allows all removals or none, except those approved one by one. Allows none, approved or not, if the read is
 * incomplete or returned no entries.
 */
export function guardRemovals({ removals, complete, known, read, limit, approved }: GuardInput): GuardDecision {
  if (!complete && removals.length > 0) {
    return { allowed: [], withheld: removals, reason: 'not every entry in scope could be read' };
  }
  if (read === 0 && removals.length > 0) {
    return { allowed: [], withheld: removals, reason: 'the directory returned no entries' };
  }
  const unapproved = removals.filter(({ user }) => !approved.has(user.id));
  const reason = limitReason(unapproved.length, known, limit);
  if (reason === null) return { allowed: removals, withheld: [], reason };
  return { allowed: removals.filter(({ user }) => approved.has(user.id)), withheld: unapproved, reason };
}

function limitReason(
  removals: number,
  known: number,
  limit: Omit<OptionSettings['removalLimit'], 'windowHours'>,
): string | null {
  const allowed = Math.max(limit.atLeast, (known * limit.percent) / 100);
  if (removals <= allowed) return null;
  return (
    `${removals} of ${known} users would be disabled or deleted; ` +
    `the limit is ${Math.floor(allowed)} (${limit.percent} %, at least ${limit.atLeast})`
  );
}

/** Account ids of the removals that an earlier run withheld and an administrator has approved. */
export async function readApproval(
  runs: RunStore,
  runId: string | null,
  settingsVersion: string,
  report: Pick<Report, 'notice'>,
): Promise<ReadonlySet<string>> {
  if (runId === null) return NOBODY;
  const withheld = await runs.get(runId);
  if (withheld?.settingsVersion !== settingsVersion) {
    report.notice('The approval is ignored: the settings have changed since the removals were withheld.');
    return NOBODY;
  }
  const approved = new Set<string>();
  let next: string | null = null;
  do {
    const query = { kind: 'withheld', limit: 1_000 } as const;
    const page = await runs.listChanges(runId, next === null ? query : { ...query, next });
    for (const { userId } of page.items) if (userId !== null) approved.add(userId);
    next = page.next;
  } while (next !== null);
  return approved;
}

// ------------------------------------------------------------------------------------------- administrators

async function findLastAdministrators(
  users: RemovalPorts['users'],
  removals: readonly Removal[],
): Promise<ReadonlySet<string>> {
  // Reading the administrators is a scan: do it only if one of them would be removed.
  if (!removals.some(({ user }) => isWayIn(user))) return NOBODY;
  return lastAdministrators(removals, await users.listActiveAdministrators());
}

/**
 * Account ids of the administrators among the removals, if no administrator who can sign in would be left; otherwise
 * empty.
 */
export function lastAdministrators(removals: readonly Removal[], administrators: readonly User[]): ReadonlySet<string> {
  const leaving = new Set(removals.filter(({ user }) => isWayIn(user)).map(({ user }) => user.id));
  return administrators.some((user) => isWayIn(user) && !leaving.has(user.id)) ? NOBODY : leaving;
}

// --------------------------------------------------------------------------------------------- second look

/**
 * The second look at missing users. Withholds a removal unless it is certain that the person is gone or out of scope.
 */
async function lookAgain(
  removals: readonly Removal[],
  locate: RemovalPorts['locate'],
  context: PlanContext,
  report: RemovalPorts['report'],
): Promise<readonly Step[]> {
  if (removals.length > 0) await report.stage('verifying');
  const steps: Step[] = [];
  let failed = false;
  for (const batch of batchesOf(removals)) {
    let places: ReadonlyMap<string, Whereabouts> = new Map();
    try {
      const comparable = batch.filter(({ user }) => user.directory!.idAttribute === context.idAttribute);
      if (!failed) places = await locate(comparable.map(({ user }) => user.directory!.id));
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      failed = true;
      report.incomplete(`the second look at missing users failed: ${error.message}`);
    }
    for (const removal of batch) steps.push(judgePlace(removal, places.get(removal.user.directory!.id), context));
    report.check();
  }
  return steps;
}

/**
 * Decides about one missing user by the result of the second look.
 * @param place undefined if the look gave no answer
 */
export function judgePlace(removal: Removal, place: Whereabouts | undefined, context: PlanContext): Step {
  const { idAttribute } = removal.user.directory!;
  if (idAttribute !== context.idAttribute) {
    return withhold(
      removal,
      `the user is linked by ${idAttribute}, but the unique id in use is ${context.idAttribute}`,
    );
  }
  if (place?.kind === 'unproven') return withhold(removal, place.reason);
  if (place === undefined) return withhold(removal, 'the second look failed, so the entry may still exist');
  if (place.kind === 'gone') return removeUser(removal, 'goneFromDirectory', context);
  if (!place.inScope) return removeUser(removal, 'outOfScope', context);
  return withhold(removal, 'the second look found the entry in scope');
}
