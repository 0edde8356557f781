/**
 * Plans a run without carrying it out: pure functions from stored users and people to changes, across all users: who
 * gets which name, who frees one, in which order. What happens to one user is planned in user-step.ts, and who may lose
 * access in removal.ts.
 */
import type { Person } from '../directory/mapping.ts';
import { userNameKey } from '../user/user-name.ts';
import { nameKeyOf } from '../user/user.ts';
import type { User } from '../user/user.ts';
import type { Changed, Matches } from './matching.ts';
import { disableById, showAgain } from './removal.ts';
import type { Disabling, Marked, Present, RemovalDecision } from './removal.ts';
import type { PlanContext, Step } from './step.ts';
import { CHANGED_MEANWHILE, line, tell } from './step.ts';
import { isTiedTo, keptLosses, planPerson, planUnderOldName, planUser } from './user-step.ts';

// ------------------------------------------------------------------------------------------------- conflicts

/** The line of a person that can't be imported and is left alone. `user`: the user whose name or id is concerned. */
export function refusePerson(person: Person, user: User | null, reason: string): Step {
  const { directoryId, dn, userName } = person;
  return tell({ kind: 'conflict', userId: user?.id ?? null, userName, directoryId, dn, reason });
}

/** The line of a user that is left alone because of a contradiction in the directory. */
function refuseUser(user: User, reason: string): Step {
  return tell({ ...line('conflict', user), reason });
}

/** Why a person can't have the name of the user `occupant`. */
export function occupantReason(occupant: User): string {
  return occupant.authentication === 'integrated'
    ? 'a user with integrated authentication has this name; a run never changes such a user'
    : 'a user linked to another entry has this name; delete that user if the person has left';
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
    freed = new Set([...leaving, ...possible.map(({ user }) => nameKeyOf(user))]);
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
  const byOldName = new Map(steps.map((step) => [nameKeyOf(previousOf(step)), step]));
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
  const markedById = new Set<User>();
  for (const { nameKey, directoryId, mark } of matches.disabledById) {
    const user = stored.get(nameKey);
    if (user?.disabledBy !== null || !isTiedTo(user, { directoryId }, context)) continue;
    markedById.add(user);
    marked.push({ user, person: null, mark });
  }
  for (const nameKey of matches.reappeared) {
    const user = stored.get(nameKey);
    if (user && !markedById.has(user)) told.push(...showAgain(user, context));
  }
  for (const { nameKey, person } of matches.changed.filter(needsDecision)) {
    const user = stored.get(nameKey);
    if (!user || !isTiedTo(user, person, context)) told.push(refusePerson(person, user ?? null, CHANGED_MEANWHILE));
    else if (person.disabled && user.disabledBy === null) marked.push({ user, person, mark: person.mark });
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
 * @param linked the steps of those who do
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
    decided.removals.flatMap(({ write }) => (write?.kind === 'delete' ? nameKeyOf(write.previous) : [])),
  );
  const renaming: Present[] = [];
  const disabling: Step[] = [];
  const others: Step[] = [...told, ...decided.marks, ...decided.withheld, ...linked];
  const disablingOf = new Map<User, Disabling>();
  for (const each of decided.disabling) {
    disablingOf.set(each.user, each);
    if (each.person === null) disabling.push(disableById(each, context));
    else if (nameKeyOf(each.user) !== each.person.nameKey) renaming.push({ ...each, person: each.person });
    else {
      disabling.push(countDisabling(planUser(each.user, each.person, context), each));
      others.push(...keptLosses(each.user, each.person, context));
    }
  }
  const spared: Present[] = [];
  for (const { user, person } of decided.spared) {
    if (person !== null) spared.push({ user, person });
    else others.push(...showAgain(user, context));
  }
  for (const each of [...present, ...spared]) {
    if (nameKeyOf(each.user) !== each.person.nameKey) renaming.push(each);
    else others.push(...planPerson(each.user, each.person, context));
  }
  const names = context.ownsNames
    ? settleNames(newcomers, renaming, leaving, stored, context)
    : { renames: [], blocked: renaming, creations: [], others: [] };
  for (const { user, person } of names.blocked) {
    // The name is in conflict or has to wait, but the directory disables the person all the same.
    const each = disablingOf.get(user);
    if (each !== undefined) disabling.push(disableById(each, context));
    else others.push(...(context.ownsNames ? showAgain(user, context) : planUnderOldName(user, person, context)));
  }
  const renames = names.renames.map((group) =>
    group.map((step) => {
      const each = step.write?.kind === 'rename' ? disablingOf.get(step.write.previous) : undefined;
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

/** How many writes a plan holds. */
export function countWrites({ removals, renames, others, creations, updates }: Omit<Plan, 'postponed'>): number {
  const writing = others.filter(({ write }) => write !== null);
  return [removals, renames.flat(), writing, creations, updates].reduce((sum, steps) => sum + steps.length, 0);
}
