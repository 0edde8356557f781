/**
 * Plans the step of one user: to create it, or to make it match its person. Pure, and used again after a lost race.
 * Knows nothing of other users; plan.ts decides who gets which name.
 *
 * Two rules always apply. Sync owns the profile, the link to the directory and the mark `disabledBy: sync`, and nothing
 * else. A user with integrated authentication is never changed.
 */
import { orderAddresses } from '../directory/mapping.ts';
import type { Person } from '../directory/mapping.ts';
import type { DirectoryLink, User } from '../user/user.ts';
import { foldId, linkKey, profileOf, nameKeyOf } from '../user/user.ts';
import { isApprovalOf, lossesOf, withheldLosses } from './loss.ts';
import type { Change, ChangeKind } from './run.ts';
import type { Loss, PlanContext, Step } from './step.ts';
import { differences, line, MARKED_DISABLED, stepOf, touched, withoutSessions } from './step.ts';

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
  const mayDisable = isTiedTo(user, person, context) && !context.spared.has(user.id);
  const disables = person.disabled && (mayDisable || user.disabledBy === 'sync');
  const keepsStatus = keeps('enable') || (person.statusUnknown && user.disabledBy !== null);
  const isSettled = carriedOut.length === losses.length && !(person.disabled && !disables && user.disabledBy === null);
  const profile = profileOf(person);
  const { storedKey: _storedKey, ...known } = touched(user, context);
  const next: User = {
    ...known,
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
  const write = nameKeyOf(next) === nameKeyOf(user) ? 'update' : 'rename';
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
          counts: carriedOut.filter((loss) => !approvals.some((approval) => isApprovalOf(approval, loss))),
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

/**
 * The steps of a user who has to keep its name for now, because the read does not show who owns the new one. With a
 * fingerprint that no person has, so that the next run looks again.
 */
export function planUnderOldName(user: User, person: Person, context: PlanContext): Step[] {
  const kept: Person = { ...person, userName: user.userName, nameKey: nameKeyOf(user), fingerprint: '' };
  return planPerson(user, kept, context).filter(
    ({ write, change }) => write === null || (write.kind === 'update' && change.kind !== 'unchanged'),
  );
}

/** The lines of the losses that the guard has not let pass. */
export function keptLosses(user: User, person: Person, context: PlanContext): Step[] {
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

/**
 * Whether a user is the person's own: linked by the unique id in use, in any letter case. matching.ts has made sure
 * that no other user and no other entry has this id without case.
 */
export function isTiedTo(
  { directory }: User,
  { directoryId }: Pick<Person, 'directoryId'>,
  { idAttribute }: PlanContext,
): boolean {
  return directory?.idAttribute === idAttribute && foldId(directory.id) === foldId(directoryId);
}
