/**
 * One run of the synchronisation: read, map, plan, guard, apply, report. Knows the order of things and no detail: who is
 * who is in matching.ts, what is to be done in plan.ts, how much may be removed in guard.ts, how it is written in apply.ts.
 *
 * A dry run is the same run without the writes. A crash at any point loses nothing: every write is complete in itself and
 * conditional on what was read, and the next run plans from what is stored.
 */
import { applyTo, tellOnly } from './apply.ts';
import { ServiceError } from '../errors.ts';
import { guardRemovals } from './guard.ts';
import type { Person } from '../directory/mapping.ts';
import type { Changed, Matches } from './matching.ts';
import {
  CHANGED_MEANWHILE,
  createUser,
  isTiedTo,
  planMissing,
  planUser,
  refusePerson,
  refuseUser,
  removeUser,
  settleNames,
  tell,
  withhold,
} from './plan.ts';
import type { PlanContext, Removal, Step } from './plan.ts';
import type { Clock } from '../clock.ts';
import type { DirectoryReader, OpenDirectory } from '../directory/directory.ts';
import type { Fence, UserStore } from '../user/user-store.ts';
import type { RunStore } from './run-store.ts';
import type { SettingsStore } from '../settings/settings-store.ts';

import { readEverybody } from './reading.ts';
import { startReport } from './report.ts';
import type { Report } from './report.ts';
import type { Run } from './run.ts';
import type { OptionSettings, StoredSettings } from '../settings/settings.ts';
import type { User } from '../user/user.ts';
import { isWayIn } from '../user/user.ts';
import { userNameKey } from '../user/user-name.ts';

export interface SyncPorts {
  readonly users: UserStore;
  readonly runs: RunStore;
  readonly settings: SettingsStore;
  readonly openDirectory: OpenDirectory;
  readonly clock: Clock;
  readonly newId: () => string;
}

/** People or users between two looks at the clock and the lease. */
const BATCH = 500;

const NOBODY_FOUND =
  'The search found nobody. Check the base DN and the filter, and whether the bind user may read the people there.';

const LOCKS_OUT =
  'no administrator would be left who can sign in; give another active user the privilege "admin" first';

const NOBODY: ReadonlySet<string> = new Set();

function unidentifiedReason(count: number, idAttribute: string): string {
  return (
    `Entries whose ${idAttribute} the bind user can't read: ${count}. Each of them may be anybody, so nobody is removed. ` +
    'Let the bind user read it, or leave such entries out by the filter.'
  );
}

/**
 * Carries out a run that has its lease, until it is over or `deadline` has come.
 *
 * @returns the run as stored, whatever became of it
 * @throws ServiceError `leaseLost` when another run has taken over; nothing more is written then
 */
export async function synchronize(
  ports: SyncPorts,
  started: { readonly run: Run; readonly fence: Fence },
  deadline: Date,
): Promise<Run> {
  const report = startReport(ports, started, deadline);
  try {
    const stored = await ports.settings.read();
    if (stored === null) {
      throw new ServiceError('notConfigured', 'no directory is configured', {
        advice: 'Save settings, then try again.',
      });
    }
    report.settingsVersion(stored.version);
    await perform(ports, started, stored, report);
    return await report.finish();
  } catch (error) {
    return await report.fail(error);
  }
}

async function perform(
  ports: SyncPorts,
  { run, fence }: { readonly run: Run; readonly fence: Fence },
  { settings, password, version }: StoredSettings,
  report: Report,
): Promise<void> {
  const { users } = ports;
  const directory = ports.openDirectory(settings, password);
  await report.stage('reading');
  const { reader, matches, proof } = await readEverybody(directory, users, settings, report);
  try {
    report.completeness(proof);
    if (matches.read === 0) report.notice(NOBODY_FOUND);
    else if (matches.skipped.length === matches.read) {
      report.notice(
        `None of the ${matches.read} entries could be used: ${matches.skipped[0]!.reason}. Check the mapping.`,
      );
    }
    if (matches.unidentified > 0) report.incomplete(unidentifiedReason(matches.unidentified, reader.idAttribute));

    await report.stage('planning');
    const context: PlanContext = {
      now: ports.clock.now(),
      newId: ports.newId,
      idAttribute: reader.idAttribute,
      missingUsers: settings.options.missingUsers,
      gracePeriodDays: settings.options.gracePeriodDays,
      defaultPrivileges: settings.defaultPrivileges,
    };
    const approved = run.approves === null ? NOBODY : await approvedBy(run.approves, version, ports.runs, report);
    const plan = await planRun(
      users,
      reader,
      matches,
      proof.complete && matches.unidentified === 0,
      settings.options,
      approved,
      context,
      report,
    );

    await report.stage('applying');
    const apply = run.dryRun ? tellOnly(report) : applyTo(users, fence, report, context);
    await apply.removals(plan.removals);
    await apply.renames(plan.renames);
    for (const steps of batches(plan.others)) await apply.each(steps);
    for (const people of batches(plan.creations)) {
      await apply.each(people.map((person) => createUser(person, context)));
    }
    for (const changed of batches(plan.updates)) await apply.each(await planUpdates(users, changed, context));
  } finally {
    await reader.close();
    await directory.close();
  }
}

/** In the order in which it is applied: what frees names comes before what takes them. */
interface Plan {
  readonly removals: readonly Step[];
  readonly renames: readonly (readonly Step[])[];
  /** Links, marks of missing users, and steps that only tell something. */
  readonly others: readonly Step[];
  /** The two that can be as many as there are people are planned in detail batch by batch, while they are applied. */
  readonly creations: readonly Person[];
  readonly updates: readonly Changed[];
}

async function planRun(
  store: UserStore,
  reader: DirectoryReader,
  matches: Matches,
  complete: boolean,
  options: OptionSettings,
  approved: ReadonlySet<string>,
  context: PlanContext,
  report: Report,
): Promise<Plan> {
  const updates: Changed[] = [];
  const special: Changed[] = [];
  for (const each of matches.changed) {
    (each.person.disabled || each.person.nameKey !== each.nameKey ? special : updates).push(each);
  }
  const missing = complete ? matches.missing : [];
  const contradicted = matches.contradictions.filter(({ person }) => person === null);
  const wanted = [...matches.fresh, ...special.map(({ person }) => person)].map(({ nameKey }) => nameKey);
  const users = await loadUsers(
    store,
    [...special, ...contradicted]
      .map(({ nameKey }) => nameKey)
      .concat(
        missing,
        wanted.filter((nameKey) => matches.isTaken(nameKey)),
      ),
    report,
  );

  const others: Step[] = matches.skipped.map((change) => tell(change));
  for (const { nameKey, person, reason } of matches.contradictions) {
    const user = users.get(nameKey);
    if (person !== null) others.push(refusePerson(person, null, reason));
    else if (user) others.push(refuseUser(user, reason));
  }

  // Who would lose access: people whom the directory marks disabled, and users that are missing.
  const removals: Removal[] = [];
  const present: { user: User; person: Person }[] = [];
  for (const { nameKey, person } of special) {
    const user = users.get(nameKey);
    if (!user || !isTiedTo(user, person, context)) others.push(refusePerson(person, user ?? null, CHANGED_MEANWHILE));
    else if (person.disabled && user.disabledBy === null) removals.push({ user, how: 'disable', person });
    else present.push({ user, person });
  }
  let settled = 0;
  for (const nameKey of missing) {
    const user = users.get(nameKey);
    if (user === undefined) continue;
    const decision = planMissing(user, context);
    if (decision.do === 'remove') removals.push(decision.removal);
    else if (decision.do === 'mark') others.push(decision.step);
    else settled += 1;
  }
  report.unchanged(settled);

  const { read } = matches;
  const known = matches.known - settled;
  const guarded = guardRemovals({ removals, complete, known, read, limit: options.removalLimit, approved });
  if (guarded.reason !== null) {
    report.notice(`${guarded.withheld.length} removals are withheld: ${guarded.reason}.`);
    for (const removal of guarded.withheld) others.push(withhold(removal, guarded.reason));
  }
  const gone: Removal[] = [];
  const lastAdministrators = await findLastAdministrators(store, guarded.allowed);
  if (lastAdministrators.size > 0) report.notice(`Administrators are kept: ${LOCKS_OUT}.`);
  for (const removal of guarded.allowed) {
    if (lastAdministrators.has(removal.user.id)) others.push(withhold(removal, LOCKS_OUT));
    else if (removal.person === null) gone.push(removal);
    else present.push({ user: removal.user, person: removal.person });
  }
  const looked = await lookAgain(reader, gone, context, report);
  const leaving = new Set(
    looked.filter(({ write }) => write?.type === 'delete').map(({ change }) => userNameKey(change.userName!)),
  );
  const renaming: typeof present = [];
  const disabling: Step[] = [];
  for (const { user, person } of present) {
    if (userNameKey(user.userName) !== person.nameKey) renaming.push({ user, person });
    else (user.disabledBy === null ? disabling : others).push(planUser(user, person, context));
  }
  const names = settleNames(matches.fresh, renaming, leaving, users, context);

  report.unchanged(matches.unchanged);
  const plan: Plan = {
    removals: [...looked.filter(({ write }) => write !== null), ...disabling],
    renames: names.renames,
    others: [...others, ...looked.filter(({ write }) => write === null), ...names.others],
    creations: names.creations,
    updates,
  };
  report.planned(
    [plan.removals, plan.renames.flat(), plan.others.filter(({ write }) => write), plan.creations, plan.updates].reduce(
      (sum, steps) => sum + steps.length,
      0,
    ),
  );
  return plan;
}

/** Account ids of the administrators among the removals, where none would be left who can sign in. */
async function findLastAdministrators(store: UserStore, removals: readonly Removal[]): Promise<ReadonlySet<string>> {
  const leaving = new Set(removals.filter(({ user }) => isWayIn(user)).map(({ user }) => user.id));
  if (leaving.size === 0) return NOBODY;
  const administrators = await store.listActiveAdministrators();
  return administrators.some((user) => isWayIn(user) && !leaving.has(user.id)) ? NOBODY : leaving;
}

/**
 * The second look at users that are missing: by unique id, without the filter, in the whole directory. It tells why they
 * are missing, and withholds the removal of everybody it can't be sure of.
 */
async function lookAgain(
  reader: DirectoryReader,
  removals: readonly Removal[],
  context: PlanContext,
  report: Report,
): Promise<readonly Step[]> {
  if (removals.length > 0) await report.stage('verifying');
  const steps: Step[] = [];
  let failed = false;
  for (const batch of batches(removals)) {
    let places: Awaited<ReturnType<DirectoryReader['locate']>> = new Map();
    try {
      const comparable = batch.filter(({ user }) => user.directory!.idAttribute === context.idAttribute);
      if (!failed) places = await reader.locate(comparable.map(({ user }) => user.directory!.id));
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      failed = true;
      report.incomplete(`the second look at missing users failed: ${error.message}`);
    }
    for (const removal of batch) {
      const { user } = removal;
      const { id, idAttribute } = user.directory!;
      const place = places.get(id);
      if (idAttribute !== context.idAttribute) {
        steps.push(withhold(removal, `the user is tied by ${idAttribute}, which is not the unique id in use any more`));
      } else if (place === undefined) {
        steps.push(withhold(removal, 'the second look has failed, so nothing is proven'));
      } else if (!place.found) {
        steps.push(removeUser(removal, 'goneFromDirectory', context));
      } else if (!place.inScope) {
        steps.push(removeUser(removal, 'outOfScope', context));
      } else {
        steps.push(withhold(removal, 'the second look found the entry in scope, so it is not missing'));
      }
    }
    report.check();
  }
  return steps;
}

async function planUpdates(store: UserStore, changed: readonly Changed[], context: PlanContext): Promise<Step[]> {
  const users = await store.getMany(changed.map(({ nameKey }) => nameKey));
  return changed.map(({ nameKey, person }) => {
    const user = users.get(nameKey);
    return user && isTiedTo(user, person, context)
      ? planUser(user, person, context)
      : refusePerson(person, user ?? null, CHANGED_MEANWHILE);
  });
}

async function loadUsers(store: UserStore, nameKeys: readonly string[], report: Report): Promise<Map<string, User>> {
  const users = new Map<string, User>();
  for (const batch of batches([...new Set(nameKeys)])) {
    for (const [nameKey, user] of await store.getMany(batch)) users.set(nameKey, user);
    report.check();
  }
  return users;
}

/** Account ids of the removals that an earlier run has withheld and that are approved now. */
async function approvedBy(
  runId: string,
  version: string,
  runs: RunStore,
  report: Report,
): Promise<ReadonlySet<string>> {
  const withheld = await runs.get(runId);
  if (withheld?.settingsVersion !== version) {
    report.notice('The approval does not count: the settings have changed since those removals were withheld.');
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

function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += BATCH) yield items.slice(start, start + BATCH);
}
