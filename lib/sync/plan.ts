/**
 * Plans a run without carrying it out: pure functions from stored users and people to changes. planUser and createUser
 * decide about one user, and plan it again after a lost race; settleNames and orderRenames decide across all users (who
 * frees a name, in which order). removal.ts decides who may lose access.
 *
 * Two rules always apply. Sync owns the profile, the link to the directory and the mark `disabledBy: sync`, and nothing
 * else. A user with integrated authentication is never changed.
 */
import { orderAddresses } from '../directory/mapping.ts';
import type { Person } from '../directory/mapping.ts';
import { userNameKey } from '../user/user-name.ts';
import type { DirectoryLink, User } from '../user/user.ts';
import { foldId, linkKey, profileOf } from '../user/user.ts';
import { lossesOf, proposalFor, withheldLosses } from './loss.ts';
import type { Changed, Matches } from './matching.ts';
import { disableById, MARKED_DISABLED } from './removal.ts';
import type { Disabling, Marked, Present, RemovalDecision } from './removal.ts';
import type { Change, ChangeKind } from './run.ts';
import type { Loss, PlanContext, Step } from './step.ts';
import { CHANGED_MEANWHILE, differences, line, stepOf, tell, touched, withoutSessions } from './step.ts';

/** Creates the user of a new person. */
export function createUser(person: Person, context: PlanContext): Step {
  const time = context.now.toISOString();
  const user: User = {
    id: context.newId(),
    ...profileOf(person),
    authentication: 'directory',
    disabledBy: person.disabled ? 'sync' : null,
    privileges: context.defaultPrivileges,
    directory: linkTo(person, null, context),
    passwordHash: null,
    fingerprint: person.fingerprint,
    createdAt: time,
    updatedAt: time,
    version: 1,
  };
  const reasons = [...(person.disabled ? [MARKED_DISABLED] : []), ...person.notes];
  return stepOf(withReasons(line('created', user), reasons), { kind: 'create', user }, person);
}

/** The link to a person's entry. `kept`: the mark to keep while the entry does not show whether it still has it. */
function linkTo(person: Person, kept: string | null, { idAttribute }: PlanContext): DirectoryLink {
  const { directoryId: id, dn } = person;
  const mark = person.mark ?? kept;
  return { id, idAttribute, dn, missingSince: null, ...(mark !== null && { mark }) };
}

function withReasons(change: Change, reasons: readonly string[]): Change {
  return reasons.length === 0 ? change : { ...change, reason: reasons.join('; ') };
}

/**
 * Updates a user to match its person. The user is the person's own: it has the same unique id, or no link and the same
 * name (then the change is `linked`). A change of kind `unchanged` is written as well: it renews the fingerprint of a
 * record that differs in nothing else.
 *
 * Losses that the guard has not let pass stay as they are. Such a record keeps no fingerprint, so that every run looks
 * at it again.
 */
export function planUser(user: User, person: Person, context: PlanContext): Step {
  const losses = lossesOf(user, person, context);
  const allowed = context.losses.allowed.get(user.id);
  const carriedOut = losses.filter((loss) => allowed?.has(loss) === true);
  const keeps = (loss: Loss): boolean => losses.includes(loss) && !carriedOut.includes(loss);
  // An administrator's mark stays, whatever the directory says. Linking takes no access away: disabling is a removal.
  // The next run finds no fingerprint, and counts and guards the removal.
  const disables = person.disabled && (isTiedTo(user, person, context) || user.disabledBy === 'sync');
  const keepsStatus = keeps('enable') || (person.statusUnknown && user.disabledBy !== null);
  const isSettled = carriedOut.length === losses.length && !(person.disabled && !disables && user.disabledBy === null);
  const profile = profileOf(person);
  const next: User = {
    ...touched(user, context),
    ...profile,
    emailAddresses: keeps('emailAddresses') ? user.emailAddresses : orderAddresses(user.emailAddresses, person),
    fullName: keeps('fullName') ? user.fullName : profile.fullName,
    disabledBy: user.disabledBy === 'admin' ? 'admin' : disables || keepsStatus ? 'sync' : null,
    directory: linkTo(person, keepsStatus ? (user.directory?.mark ?? null) : null, context),
    fingerprint: isSettled ? person.fingerprint : null,
  };
  const fields = differences(user, next);
  const kind = kindOf(user, next, fields);
  const reasons = next.disabledBy === 'sync' && user.disabledBy === null ? [MARKED_DISABLED] : [];
  const change: Change = withReasons(
    {
      ...line(kind, next),
      ...(next.userName === user.userName ? {} : { previousUserName: user.userName }),
      ...(Object.keys(fields).length === 0 ? {} : { fields }),
    },
    kind === 'unchanged' ? reasons : [...reasons, ...person.notes],
  );
  const write = userNameKey(next.userName) === userNameKey(user.userName) ? 'update' : 'rename';
  const endsSessions = next.userName !== user.userName || next.disabledBy !== user.disabledBy;
  const approvals = context.losses.approvals.get(user.id) ?? [];
  return stepOf(
    change,
    { kind: write, user: endsSessions ? withoutSessions(next) : next, previous: user },
    person,
    carriedOut.length === 0
      ? {}
      : {
          // Approved losses are not counted.
          counts: carriedOut.filter((loss) => !approvals.some(({ proposes }) => proposes === proposalFor(loss))),
          approvals,
        },
  );
}

/** The steps of one user and its person: the update, if there is anything to write, and the lines of kept losses. */
export function planPerson(user: User, person: Person, context: PlanContext): Step[] {
  const step = planUser(user, person, context);
  const kept = keptLosses(user, person, context);
  // A record that differs in nothing and keeps no fingerprint needs no write, however often it is looked at.
  const isNeedless = step.change.kind === 'unchanged' && user.fingerprint === null && isFingerprintKept(step);
  return isNeedless ? kept : [step, ...kept];
}

function isFingerprintKept({ write }: Step): boolean {
  return write?.kind === 'update' && write.user.fingerprint === null;
}

/** The lines of the losses that the guard has not let pass. */
function keptLosses(user: User, person: Person, context: PlanContext): Step[] {
  const allowed = context.losses.allowed.get(user.id);
  const kept = lossesOf(user, person, context).filter((loss) => allowed?.has(loss) !== true);
  return withheldLosses(user, kept, context);
}

// One line per user: if several things changed, the kind that an administrator looks for first.
function kindOf(user: User, next: User, fields: NonNullable<Change['fields']>): ChangeKind {
  if (user.directory === null || foldId(linkKey(user.directory)) !== foldId(linkKey(next.directory!))) return 'linked';
  if (user.disabledBy !== next.disabledBy) return next.disabledBy === null ? 'enabled' : 'disabled';
  // A person who moved within the directory counts as renamed, because the distinguished name changed.
  if (user.userName !== next.userName || user.directory.dn !== next.directory?.dn) return 'renamed';
  return Object.keys(fields).length === 0 ? 'unchanged' : 'updated';
}

// ------------------------------------------------------------------------------------------------- conflicts

/** The line of a person that can't be imported and is left alone. `user`: the user whose name or id is concerned. */
export function refusePerson(person: Person, user: User | null, reason: string): Step {
  const { directoryId, dn, userName } = person;
  return tell({ kind: 'conflict', userId: user?.id ?? null, userName, directoryId, dn, reason });
}

/** The line of a user that is left alone because of a contradiction in the directory. */
export function refuseUser(user: User, reason: string): Step {
  return tell({ ...line('conflict', user), reason });
}

/** Why a person can't have the name of the user `occupant`. */
export function occupantReason(occupant: User): string {
  return occupant.authentication === 'integrated'
    ? 'a user with integrated authentication has this name; a run never changes such a user'
    : 'a user linked to another entry has this name; delete that user if the person has left';
}

/**
 * Whether a user is the person's own: linked by the unique id in use, in any letter case. matching.ts has made sure that
 * no other user and no other entry has this id without case.
 */
export function isTiedTo(
  { directory }: User,
  { directoryId }: Pick<Person, 'directoryId'>,
  { idAttribute }: PlanContext,
): boolean {
  return directory?.idAttribute === idAttribute && foldId(directory.id) === foldId(directoryId);
}

/**
 * Whether a person may be linked to the user with its name: a user created by hand for the directory, and not linked
 * yet.
 */
function isLinkable(user: User): boolean {
  return user.authentication === 'directory' && user.directory === null;
}

/** The user created by hand whom a newcomer would be linked to; null if there is none. */
export function linkableOccupant(person: Person, stored: ReadonlyMap<string, User>): User | null {
  const occupant = stored.get(person.nameKey);
  return occupant !== undefined && isLinkable(occupant) ? occupant : null;
}

/** The step of a new person whose name belongs to the user `occupant`. */
export function meetOccupant(person: Person, occupant: User, context: PlanContext): Step {
  if (isLinkable(occupant)) return planUser(occupant, person, context);
  return refusePerson(person, occupant, occupantReason(occupant));
}

/** The decision about names. */
export interface Settled {
  /** Renames in the order that frees each name before it is taken; each group all or nothing. */
  readonly renames: readonly (readonly Step[])[];
  /** Users whose new name is taken: they keep the old one. */
  readonly blocked: readonly Present[];
  /** People whose name is free, or will be free after removals and renames. */
  readonly creations: readonly Person[];
  /** Links to users created by hand, and the lines of people who can't have their name. */
  readonly others: readonly Step[];
}

/**
 * Decides who gets which name.
 *
 * @param renames people with a new user name, and their stored users
 * @param leaving name keys that removals of this run free
 * @param occupants stored users by name key; at least those of every requested name that is taken
 */
export function settleNames(
  fresh: readonly Person[],
  renames: readonly Present[],
  leaving: ReadonlySet<string>,
  occupants: ReadonlyMap<string, User>,
  context: PlanContext,
): Settled {
  const others: Step[] = [];
  // A rename that can't happen keeps its old name, which may block another rename: repeat until no more are blocked.
  let possible = renames;
  const allBlocked: Present[] = [];
  let freed: Set<string>;
  for (;;) {
    freed = new Set([...leaving, ...possible.map(({ user }) => userNameKey(user.userName))]);
    const blocked = possible.filter(({ person }) => occupants.has(person.nameKey) && !freed.has(person.nameKey));
    if (blocked.length === 0) break;
    allBlocked.push(...blocked);
    for (const { user, person } of blocked) {
      others.push(refusePerson(person, user, occupantReason(occupants.get(person.nameKey)!)));
    }
    const stopped = new Set(blocked);
    possible = possible.filter((rename) => !stopped.has(rename));
  }

  const creations: Person[] = [];
  for (const person of fresh) {
    const occupant = occupants.get(person.nameKey);
    if (occupant === undefined || freed.has(person.nameKey)) creations.push(person);
    else others.push(meetOccupant(person, occupant, context));
  }
  const steps = possible.map(({ user, person }) => planUser(user, person, context));
  return { renames: orderRenames(steps), blocked: allBlocked, creations, others };
}

/** Most renames in one transaction of the store. */
const MAX_GROUP = 30;

/**
 * Orders renames: a chain (a to b, b to c) from its free end, a ring (a to b, b to a) as one group. A ring with more
 * people than a transaction holds can't be renamed until an administrator frees one of its names.
 */
function orderRenames(steps: readonly Step[]): Step[][] {
  const keyOf = (user: User): string => userNameKey(user.userName);
  const byOldName = new Map(steps.map((step) => [keyOf(previousOf(step)), step]));
  const done = new Set<Step>();
  const groups: Step[][] = [];
  for (const start of steps) {
    const path: Step[] = [];
    let step: Step | undefined = start;
    while (step !== undefined && !done.has(step)) {
      done.add(step);
      path.push(step);
      step = byOldName.get(userNameKey(step.change.userName!));
    }
    if (step === start && path.length > 1 && path.length <= MAX_GROUP) groups.push(path);
    else for (const single of path.reverse()) groups.push([single]);
  }
  return groups;
}

function previousOf(step: Step): User {
  if (step.write?.kind !== 'rename') throw new TypeError('not a rename');
  return step.write.previous;
}

// --------------------------------------------------------------------------------------------------- the plan

/** The matches of a read, sorted by the decisions they need. */
export interface SortedMatches {
  /** Active users whose entry the directory marks as disabled. */
  readonly marked: readonly Marked[];
  /** Users with a new name, and disabled users whose entry has changed. */
  readonly present: readonly Present[];
  /** Users with changes in other fields: there can be as many as people, so they are planned in batches. */
  readonly updates: readonly Changed[];
  /** Lines that need no decision. */
  readonly told: readonly Step[];
}

/**
 * Sorts the matches of a read.
 * @param stored users by name key; at least those whose entry has another name or is marked as disabled
 */
export function sortMatches(matches: Matches, stored: ReadonlyMap<string, User>, context: PlanContext): SortedMatches {
  const marked: Marked[] = [];
  const present: Present[] = [];
  const told = matches.skipped.map(tell);
  for (const { nameKey, person, reason } of matches.contradictions) {
    const user = stored.get(nameKey);
    if (person !== null) told.push(refusePerson(person, null, reason));
    else if (user) told.push(refuseUser(user, reason));
  }
  for (const { nameKey, directoryId } of matches.disabledById) {
    const user = stored.get(nameKey);
    if (user?.disabledBy === null && isTiedTo(user, { directoryId }, context)) marked.push({ user, person: null });
  }
  for (const { nameKey, person } of matches.changed.filter(needsDecision)) {
    const user = stored.get(nameKey);
    if (!user || !isTiedTo(user, person, context)) told.push(refusePerson(person, user ?? null, CHANGED_MEANWHILE));
    else if (person.disabled && user.disabledBy === null) marked.push({ user, person });
    else present.push({ user, person });
  }
  return { marked, present, updates: matches.changed.filter((each) => !needsDecision(each)), told };
}

/** Whether the change needs a look at more than the user's own record. */
export function needsDecision({ nameKey, person }: Changed): boolean {
  return person.disabled || person.nameKey !== nameKey;
}

/** In the order in which it is applied: steps that free names come before steps that take them. */
export interface Plan {
  readonly removals: readonly Step[];
  readonly renames: readonly (readonly Step[])[];
  /** Links, marks of missing users, and steps that only report. */
  readonly others: readonly Step[];
  /**
   * Creations and updates can be as many as there are people, so they are planned in detail in batches, while they are
   * applied.
   */
  readonly creations: readonly Person[];
  readonly updates: readonly Changed[];
  /** Renames put off, because the read does not show who owns a name. */
  readonly postponed: number;
}

/**
 * Combines the decisions about removals with the changes of everybody else.
 * @param newcomers people whose unique id belongs to no user, without those who contest a missing user's name
 * @param linked the steps of those
 */
export function planChanges(
  newcomers: readonly Person[],
  { present, updates, told }: SortedMatches,
  decided: RemovalDecision,
  linked: readonly Step[],
  stored: ReadonlyMap<string, User>,
  context: PlanContext,
): Plan {
  const leaving = new Set(
    decided.removals.filter(({ write }) => write?.kind === 'delete').map(({ change }) => userNameKey(change.userName!)),
  );
  const renaming: Present[] = [];
  const disabling: Step[] = [];
  const others: Step[] = [...told, ...decided.marks, ...decided.withheld, ...linked];
  const counted = new Map<User, Disabling>();
  for (const each of decided.disabling) {
    counted.set(each.user, each);
    if (each.person === null) disabling.push(disableById(each, context));
    else if (userNameKey(each.user.userName) !== each.person.nameKey) renaming.push({ ...each, person: each.person });
    else {
      disabling.push(countDisabling(planUser(each.user, each.person, context), each));
      others.push(...keptLosses(each.user, each.person, context));
    }
  }
  for (const each of present) {
    if (userNameKey(each.user.userName) !== each.person.nameKey) renaming.push(each);
    else others.push(...planPerson(each.user, each.person, context));
  }
  const names = context.ownsNames
    ? settleNames(newcomers, renaming, leaving, stored, context)
    : { renames: [], blocked: renaming, creations: [], others: [] };
  for (const { user } of names.blocked) {
    // The name is in conflict, but the directory disables the person all the same.
    const each = counted.get(user);
    if (each !== undefined) disabling.push(disableById(each, context));
  }
  const renames = names.renames.map((group) =>
    group.map((step) => {
      const each = step.write?.kind === 'rename' ? counted.get(step.write.previous) : undefined;
      return each === undefined ? step : countDisabling(step, each);
    }),
  );
  return {
    removals: [...decided.removals, ...disabling],
    renames,
    others: [...others, ...renameLines(renames, context), ...names.others],
    creations: names.creations,
    updates,
    postponed: context.ownsNames ? 0 : renaming.length,
  };
}

/** The lines of losses that users with a new name are spared. */
function renameLines(renames: readonly (readonly Step[])[], context: PlanContext): Step[] {
  return renames.flat().flatMap(({ write, person }) => {
    if (write?.kind !== 'rename' || person === null) return [];
    return keptLosses(write.previous, person, context);
  });
}

function countDisabling(step: Step, { counts, approvals }: Disabling): Step {
  return { ...step, counts: [...step.counts, ...counts], approvals: [...step.approvals, ...approvals] };
}

/** How many users a plan changes. */
export function countWrites({ removals, renames, others, creations, updates }: Omit<Plan, 'postponed'>): number {
  const writing = others.filter(({ write }) => write !== null);
  return [removals, renames.flat(), writing, creations, updates].reduce((sum, steps) => sum + steps.length, 0);
}
