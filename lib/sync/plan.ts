/**
 * What is to be done, decided without doing it: pure functions from stored users and people to changes. Everything about
 * one user is in planUser, planMissing and createUser, which also plan a lost race again; what needs a view of all users
 * (who frees a name, in which order) is in settleNames and orderRenames.
 *
 * Two rules hold everywhere. Sync owns userName, fullName, emailAddresses, directory and the mark `disabledBy: sync`, and
 * nothing else. A user with integrated authentication is never touched.
 */
import type { Person } from '../directory/mapping.ts';
import type { UserWrite } from '../user/user-store.ts';
import type { Privilege } from '../user/privilege.ts';
import type { Change, ChangeKind, FieldValue } from './run.ts';
import type { OptionSettings } from '../settings/settings.ts';
import type { User } from '../user/user.ts';
import { PROFILE_FIELDS, profileOf } from '../user/user.ts';
import { userNameKey } from '../user/user-name.ts';

/** What every decision of one run shares. */
export interface PlanContext {
  readonly now: Date;
  /** Gives a new account id. */
  readonly newId: () => string;
  /** The attribute that this run's unique ids were read from, lower case. */
  readonly idAttribute: string;
  readonly missingUsers: OptionSettings['missingUsers'];
  readonly gracePeriodDays: number;
  readonly defaultPrivileges: readonly Privilege[];
}

/** One user's change: the line for people and the write for the store (null: there is only something to tell). */
export interface Step {
  readonly change: Change;
  readonly write: UserWrite | null;
  /** Whom the directory shows in this place; null where it is about somebody it does not show. */
  readonly person: Person | null;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const MARKED_DISABLED = 'the directory marks the account disabled';

/** A user for a person whom nobody knows yet. */
export function createUser(person: Person, context: PlanContext): Step {
  const time = context.now.toISOString();
  const user: User = {
    id: context.newId(),
    ...profileOf(person),
    authentication: 'directory',
    disabledBy: person.disabled ? 'sync' : null,
    privileges: context.defaultPrivileges,
    directory: { id: person.directoryId, idAttribute: context.idAttribute, dn: person.dn, missingSince: null },
    passwordHash: null,
    fingerprint: person.fingerprint,
    createdAt: time,
    updatedAt: time,
    version: 1,
  };
  const change: Change = { ...line('created', user), ...(person.disabled && { reason: MARKED_DISABLED }) };
  return { change, write: { type: 'create', user }, person };
}

/**
 * Brings a user into the state of its person. The user is the person's own: same unique id, or not tied to any id and of
 * the same name (then the change is `linked`). A change of kind `unchanged` has a write all the same: it renews the
 * fingerprint of a record that differs in nothing else.
 */
export function planUser(user: User, person: Person, context: PlanContext): Step {
  const disables = person.disabled && (user.directory !== null || user.disabledBy === 'sync');
  const next: User = {
    ...touched(user, context),
    ...profileOf(person),
    // An administrator's mark stays, whatever the directory says. Linking takes no access away: that is a removal, which
    // the next run counts and guards as one, for it finds no fingerprint.
    disabledBy: user.disabledBy === 'admin' ? 'admin' : disables ? 'sync' : null,
    directory: { id: person.directoryId, idAttribute: context.idAttribute, dn: person.dn, missingSince: null },
    fingerprint: person.disabled && !disables && user.disabledBy === null ? null : person.fingerprint,
  };
  const fields = differences(user, next);
  const change: Change = {
    ...line(kindOf(user, next, fields), next),
    ...(next.userName === user.userName ? {} : { previousUserName: user.userName }),
    ...(Object.keys(fields).length === 0 ? {} : { fields }),
    ...(next.disabledBy === 'sync' && user.disabledBy === null ? { reason: MARKED_DISABLED } : {}),
  };
  const type = userNameKey(next.userName) === userNameKey(user.userName) ? 'update' : 'rename';
  const endsSessions = next.userName !== user.userName || next.disabledBy !== user.disabledBy;
  return { change, write: { type, user: endsSessions ? withoutSessions(next) : next, previous: user }, person };
}

// One line a user: where several things happened, the kind is the one that an administrator looks for first.
function kindOf(user: User, next: User, fields: Fields): ChangeKind {
  if (user.directory === null) return 'linked';
  if (user.disabledBy !== next.disabledBy) return next.disabledBy === null ? 'enabled' : 'disabled';
  // A person who moved within the directory counts as renamed: the name that changed is the distinguished one.
  if (user.userName !== next.userName || user.directory.dn !== next.directory?.dn) return 'renamed';
  return Object.keys(fields).length === 0 ? 'unchanged' : 'updated';
}

export type MissingDecision =
  | { readonly do: 'nothing' }
  /** Remember since when the user is missing. */
  | { readonly do: 'mark'; readonly step: Step }
  /** Disable or delete, once the guard and a second look allow it. */
  | { readonly do: 'remove'; readonly removal: Removal };

/** A user that would lose its access. */
export interface Removal {
  readonly user: User;
  readonly how: 'disable' | 'delete';
  /** The entry that the directory marks disabled; null where there is no entry. */
  readonly person: Person | null;
}

/** What happens to a user that a complete read has not shown. */
export function planMissing(user: User, context: PlanContext): MissingDecision {
  if (user.authentication !== 'directory' || user.directory === null) return { do: 'nothing' };
  const since = user.directory.missingSince;
  const missingMs = since === null ? 0 : context.now.getTime() - Date.parse(since);
  const how = removalFor(user, context.missingUsers);
  if (how !== null && missingMs >= context.gracePeriodDays * DAY_MS) {
    return { do: 'remove', removal: { user, how, person: null } };
  }
  if (since !== null) return { do: 'nothing' };
  const next: User = { ...touched(user, context), ...missing(user.directory, context) };
  const change: Change = {
    ...line('updated', next),
    fields: differences(user, next),
    reason: 'missing in the directory',
  };
  return { do: 'mark', step: { change, write: { type: 'update', user: next, previous: user }, person: null } };
}

function removalFor(user: User, missingUsers: OptionSettings['missingUsers']): Removal['how'] | null {
  if (missingUsers === 'delete') return 'delete';
  return missingUsers === 'disable' && user.disabledBy === null ? 'disable' : null;
}

/** The step that removes a missing user. `reason`: what the second look has found. */
export function removeUser({ user, how }: Removal, reason: string, context: PlanContext): Step {
  if (how === 'delete') {
    return { change: { ...line('deleted', user), reason }, write: { type: 'delete', previous: user }, person: null };
  }
  const next: User = { ...touched(user, context), ...missing(user.directory!, context), disabledBy: 'sync' };
  const change: Change = { ...line('disabled', next), fields: differences(user, next), reason };
  return { change, write: { type: 'update', user: withoutSessions(next), previous: user }, person: null };
}

/** Its sessions of today have ended for good, also where it returns. */
function withoutSessions(user: User): User {
  return { ...user, sessionsValidFrom: user.updatedAt };
}

/** A step that writes nothing. */
export function tell(change: Change): Step {
  return { change, write: null, person: null };
}

/** A line for a removal that is not carried out: what it would have been, and why it is not. */
export function withhold({ user, how }: Removal, reason: string): Step {
  return tell({ ...line('withheld', user), reason: `would be ${how}d; ${reason}` });
}

// No fingerprint: whatever the person looks like when it returns, the whole record is looked at.
function missing(link: NonNullable<User['directory']>, context: PlanContext): Pick<User, 'directory' | 'fingerprint'> {
  return { directory: { ...link, missingSince: link.missingSince ?? context.now.toISOString() }, fingerprint: null };
}

function touched(user: User, context: PlanContext): User {
  return { ...user, updatedAt: context.now.toISOString(), version: user.version + 1 };
}

type Fields = NonNullable<Change['fields']>;

function differences(before: User, after: User): Fields {
  const fields: Record<string, { from: FieldValue; to: FieldValue }> = {};
  const compare = (name: string, from: FieldValue, to: FieldValue): void => {
    if (JSON.stringify(from) !== JSON.stringify(to)) fields[name] = { from, to };
  };
  for (const field of PROFILE_FIELDS) compare(field, before[field], after[field]);
  compare('disabledBy', before.disabledBy, after.disabledBy);
  compare('directory.id', before.directory?.id ?? null, after.directory?.id ?? null);
  compare('directory.dn', before.directory?.dn ?? null, after.directory?.dn ?? null);
  compare('directory.missingSince', before.directory?.missingSince ?? null, after.directory?.missingSince ?? null);
  return fields;
}

function line(kind: ChangeKind, user: User): Change {
  return {
    kind,
    userId: user.id,
    userName: user.userName,
    directoryId: user.directory?.id ?? null,
    dn: user.directory?.dn ?? null,
  };
}

// ------------------------------------------------------------------------------------------------- conflicts

/** A line for a person that can't be brought in, and that stays as it is. `user`: the one whose name or id it is about. */
export function refusePerson(person: Person, user: User | null, reason: string): Step {
  const { directoryId, dn, userName } = person;
  return tell({ kind: 'conflict', userId: user?.id ?? null, userName, directoryId, dn, reason });
}

/** A line for a user that a contradiction of the directory leaves as it is. */
export function refuseUser(user: User, reason: string): Step {
  return tell({ ...line('conflict', user), reason });
}

/** Why a person can't have the name that `occupant` has. */
function occupantReason(occupant: User): string {
  return occupant.authentication === 'integrated'
    ? 'a user with integrated authentication has this name; such a user is never taken over'
    : 'another user, tied to another entry of the directory, has this name; delete that user if the person has left';
}

/** Whether a user is the person's own: tied by the unique id that is in use. */
export function isTiedTo(user: User, person: Person, { idAttribute }: PlanContext): boolean {
  return user.directory?.id === person.directoryId && user.directory.idAttribute === idAttribute;
}

/** Whether a person may be tied to the user of its name: made by hand for the directory, and tied to nobody. */
function isLinkable(user: User): boolean {
  return user.authentication === 'directory' && user.directory === null;
}

/** What becomes of a person whose id no user has, when the user `occupant` has its name. */
export function meetOccupant(person: Person, occupant: User, context: PlanContext): Step {
  if (isLinkable(occupant)) return planUser(occupant, person, context);
  return refusePerson(person, occupant, occupantReason(occupant));
}

export interface Settled {
  /** Renames in the order that frees each name before it is taken; the members of a group go together or not at all. */
  readonly renames: readonly (readonly Step[])[];
  /** People whose name is free, or free once removals and renames are done. */
  readonly creations: readonly Person[];
  /** Links to users made by hand, and the lines of those who can't have their name. */
  readonly others: readonly Step[];
}

/**
 * Decides who gets which name.
 *
 * @param renames people with a new user name, and their stored users
 * @param leaving name keys that removals of this run set free
 * @param occupants stored users by name key; at least those of every name that is asked for and taken
 */
export function settleNames(
  fresh: readonly Person[],
  renames: readonly { readonly user: User; readonly person: Person }[],
  leaving: ReadonlySet<string>,
  occupants: ReadonlyMap<string, User>,
  context: PlanContext,
): Settled {
  const others: Step[] = [];
  // A rename that can't happen keeps its old name, which may stop another one: repeat until nothing falls.
  let possible = renames;
  let freed: Set<string>;
  for (;;) {
    freed = new Set([...leaving, ...possible.map(({ user }) => userNameKey(user.userName))]);
    const blocked = possible.filter(({ person }) => occupants.has(person.nameKey) && !freed.has(person.nameKey));
    if (blocked.length === 0) break;
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
  return { renames: orderRenames(steps), creations, others };
}

/** The most renames that one transaction of the store carries. */
const MAX_GROUP = 50;

/**
 * Puts renames in order: a chain (a to b, b to c) from its free end, a ring (a to b, b to a) as one group. A ring of more
 * people than a transaction carries stays as it is, in conflict, until an administrator frees one of its names.
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
  if (step.write?.type !== 'rename') throw new TypeError('not a rename');
  return step.write.previous;
}

// ------------------------------------------------------------------------------------------------ lost races

/** A user that somebody else has changed since it was read. */
export const CHANGED_MEANWHILE =
  'somebody else changed the user while the run was going on; the next run looks at it again';

/**
 * Plans one step again whose write has lost a race.
 *
 * @param current the stored users, as they are now, of the name that the step's user had and of the name it was to get
 */
export function planAgain(step: Step, current: readonly User[], context: PlanContext): Step {
  const { person, write, change } = step;
  if (write === null) return step;
  if (person !== null) {
    const own = current.find((user) => isTiedTo(user, person, context));
    const occupant = current.find((user) => userNameKey(user.userName) === person.nameKey);
    if (own && occupant && own.id !== occupant.id) return refusePerson(person, own, occupantReason(occupant));
    if (own) return planUser(own, person, context);
    if (occupant) return meetOccupant(person, occupant, context);
    return write.type === 'create'
      ? createUser(person, context)
      : tell({ ...change, kind: 'conflict', reason: CHANGED_MEANWHILE });
  }
  const user = current.find(({ id, directory }) => id === change.userId && directory?.id === change.directoryId);
  const decision = user ? planMissing(user, context) : null;
  if (decision?.do === 'mark') return decision.step;
  // What was to be removed has been looked for already; what was only to be marked has not.
  if (decision?.do === 'remove' && change.kind !== 'updated') {
    return removeUser(decision.removal, change.reason ?? '', context);
  }
  return tell({ ...change, kind: 'conflict', reason: CHANGED_MEANWHILE });
}
