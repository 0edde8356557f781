/**
 * Decides about newcomers who have the user name of a missing user. The directory contradicts itself there: the entry
 * may be the same person under a new id (a reloaded or migrated directory), or somebody who was given a leaver's name.
 * A run can't tell, so it proposes to link and does nothing until an administrator approves. Until then the user can't
 * log in.
 */
import { keepStoredNames } from '../directory/mapping.ts';
import type { Person } from '../directory/mapping.ts';
import { userNameKey } from '../user/user-name.ts';
import { nameKeyOf } from '../user/user.ts';
import type { User } from '../user/user.ts';
import type { OpenApprovals } from './open-approvals.ts';
import { occupantReason, refusePerson } from './plan.ts';
import type { Change } from './run.ts';
import type { SecondLook, Sighting } from './second-look.ts';
import type { PlanContext, Step } from './step.ts';
import { differences, stepOf, tell, touched, withheldLine } from './step.ts';
import { planPerson } from './user-step.ts';

/** A missing user, and the new entry with the user's name. */
export interface Contested {
  readonly user: User;
  readonly newcomer: Person;
}

/** Everybody who is new or missing, after the contested ones were taken out. */
export interface Separated {
  readonly contested: readonly Contested[];
  readonly newcomers: readonly Person[];
  readonly absent: readonly User[];
}

/**
 * Separates the newcomers who have the user name of a missing user, and those users, from all others. One of several
 * user names counts as well, because an attribute is a set: the newcomer then has that name.
 *
 * @param fresh people whose unique id belongs to no user
 * @param missing users whose entry a complete read did not show
 */
export function separateContested(fresh: readonly Person[], missing: readonly User[]): Separated {
  const byName = new Map<string, User>();
  for (const user of missing) {
    if (user.authentication === 'directory' && user.directory !== null) byName.set(nameKeyOf(user), user);
  }
  const contested: Contested[] = [];
  const newcomers: Person[] = [];
  const users = new Set<User>();
  const contest = (user: User, newcomer: Person): void => {
    users.add(user);
    contested.push({ user, newcomer });
  };
  const others: Person[] = [];
  for (const newcomer of fresh) {
    const user = byName.get(newcomer.nameKey);
    if (user === undefined) others.push(newcomer);
    else contest(user, newcomer);
  }
  for (const newcomer of others) {
    const named = newcomer.otherUserNames.map((name) => byName.get(userNameKey(name)));
    const user = named.find((each) => each !== undefined && !users.has(each));
    if (user === undefined) newcomers.push(newcomer);
    else contest(user, keepStoredNames(newcomer, { nameKey: nameKeyOf(user) }));
  }
  return { contested, newcomers, absent: missing.filter((user) => !users.has(user)) };
}

/** Most unapproved users who are looked for. For the others, the link is proposed without a look. */
const LOOKED_FOR = 1_000;

/**
 * Decides about contested users: links that were approved, and proposals. A user whose own entry still exists somewhere
 * is absent like all others, and the newcomer is somebody else: a conflict, until the name is free.
 *
 * @throws ServiceError `storeUnavailable`; any fault with which the report ends the run
 */
export async function decideLinks(
  contested: readonly Contested[],
  { look, approvals }: { readonly look: Pick<SecondLook, 'find'>; readonly approvals: Pick<OpenApprovals, 'find'> },
  context: PlanContext,
): Promise<{ readonly steps: readonly Step[]; readonly absent: readonly User[] }> {
  const cases = contested.map((each) => ({
    ...each,
    approval: approvals.find(each.user, 'link', each.newcomer.directoryId),
  }));
  // A user who is linked by another attribute can't be looked up by the one in use.
  const comparable = cases.filter(({ user }) => user.directory!.idAttribute === context.idAttribute);
  const unapproved = comparable.filter(({ approval }) => approval === null);
  const lookedFor = [...comparable.filter(({ approval }) => approval !== null), ...unapproved.slice(0, LOOKED_FOR)];
  const sightings = await look.find(lookedFor.map(({ user }) => user));

  const steps: Step[] = [];
  const absent: User[] = [];
  for (const { user, newcomer, approval } of cases) {
    const sighting = sightings.get(user.id) ?? null;
    if (isFound(sighting, approval !== null)) {
      absent.push(user);
      steps.push(refusePerson(newcomer, user, occupantReason(user)));
    } else if (approval === null || sighting?.kind === 'unknown')
      steps.push(propose(user, newcomer, sighting, context));
    else {
      const [step, ...kept] = planPerson(user, newcomer, context);
      steps.push({ ...step!, approvals: [approval, ...step!.approvals] }, ...kept);
    }
  }
  return { steps, absent };
}

/** Whether the user's own entry exists. An approval overrides what other servers say. */
function isFound(sighting: Sighting | null, approved: boolean): boolean {
  if (sighting?.kind === 'doubted') return sighting.found && !approved;
  return sighting?.kind === 'inScope' || sighting?.kind === 'outOfScope';
}

/** The withheld line, with a mark on the user that refuses logins. */
function propose(user: User, newcomer: Person, sighting: Sighting | null, context: PlanContext): Step {
  const link = user.directory!;
  const doubt = sighting?.kind === 'doubted' || sighting?.kind === 'unknown' ? `; ${sighting.reason}` : '';
  const reason =
    `would be linked to a new entry with the same user name, because the user's own entry was not found${doubt}; ` +
    'approve if both are the same person, else rename one of them';
  const from = { id: link.id, dn: link.dn };
  const fields: NonNullable<Change['fields']> = {
    'directory.id': { from: from.id, to: newcomer.directoryId },
    'directory.dn': { from: from.dn, to: newcomer.dn },
    fullName: { from: user.fullName, to: newcomer.fullName },
    emailAddresses: { from: user.emailAddresses, to: newcomer.emailAddresses },
  };
  const change = withheldLine(user, reason, 'link', fields);
  const isMarked = link.contestedBy === newcomer.directoryId && link.missingSince !== null;
  if (isMarked) return tell(change);
  const next: User = {
    ...touched(user, context),
    directory: {
      ...link,
      missingSince: link.missingSince ?? context.now.toISOString(),
      contestedBy: newcomer.directoryId,
    },
    fingerprint: null,
  };
  const { 'directory.missingSince': missingSince } = differences(user, next);
  return stepOf(
    missingSince === undefined ? change : { ...change, fields: { ...fields, 'directory.missingSince': missingSince } },
    { kind: 'update', user: next, previous: user },
    null,
  );
}
