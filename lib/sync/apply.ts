/**
 * Carries out the steps of a plan, or only reports them in a dry run. Each write is conditional. After a lost race the
 * step is planned again from the stored user, for that user alone; a user that others keep changing is left to the next
 * run.
 */
import { userNameKey } from '../user/user-name.ts';
import type { Fence, UserStore, UserWrite, WriteResult } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { batchesOf } from './batch.ts';
import type { Changed } from './matching.ts';
import { createUser, isTiedTo, meetOccupant, occupantReason, planUser, refusePerson } from './plan.ts';
import type { Plan } from './plan.ts';
import { decideMissing, removeUser } from './removal.ts';
import type { Report } from './report.ts';
import { CHANGED_MEANWHILE, tell } from './step.ts';
import type { PlanContext, Step } from './step.ts';

/** Carries out the steps of a plan, in three ways. */
export interface Apply {
  /** Steps that take access away: written under the lease, in transactions. */
  removals(steps: readonly Step[]): Promise<void>;
  /** Renames, in their order: written under the lease; each group all or nothing. */
  renames(groups: readonly (readonly Step[])[]): Promise<void>;
  /** Steps that are independent of each other. */
  each(steps: readonly Step[]): Promise<void>;
}

/** Steps per transaction; a rename takes three of the hundred items that a transaction may have. */
const STEPS_TOGETHER = 32;
const MAX_RACES = 3;

/** The apply of a dry run: reports every step and carries out none. */
export function tellOnly(report: Report): Apply {
  const each = (steps: readonly Step[]): Promise<void> => report.tell(steps);
  return { removals: each, renames: (groups) => each(groups.flat()), each };
}

/**
 * Carries out a plan in its order. Creations and updates are planned in detail here, because there can be very many.
 */
export async function carryOut(plan: Plan, apply: Apply, users: UserStore, context: PlanContext): Promise<void> {
  await apply.removals(plan.removals);
  await apply.renames(plan.renames);
  for (const steps of batchesOf(plan.others)) await apply.each(steps);
  for (const people of batchesOf(plan.creations)) await apply.each(people.map((person) => createUser(person, context)));
  for (const changed of batchesOf(plan.updates)) await apply.each(await planUpdates(users, changed, context));
}

async function planUpdates(users: UserStore, changed: readonly Changed[], context: PlanContext): Promise<Step[]> {
  const stored = await users.getMany(changed.map(({ nameKey }) => nameKey));
  return changed.map(({ nameKey, person }) => {
    const user = stored.get(nameKey);
    return user && isTiedTo(user, person, context)
      ? planUser(user, person, context)
      : refusePerson(person, user ?? null, CHANGED_MEANWHILE);
  });
}

/** The apply of a run that writes. `fence`: the run's right to write. */
export function applyTo(users: UserStore, fence: Fence, report: Report, context: PlanContext): Apply {
  /** Retries one step by itself, each time planned again from the stored users. */
  async function settleRace(step: Step): Promise<Step> {
    let planned = step;
    for (let race = 0; race < MAX_RACES; race += 1) {
      planned = planAgain(planned, await currentUsers(users, planned), context);
      if (planned.write === null) return planned;
      if ((await users.writeTogether([planned.write], fence)) === 'written') return planned;
    }
    return tell({ ...planned.change, kind: 'conflict', reason: CHANGED_MEANWHILE });
  }

  async function finish(steps: readonly Step[], results: readonly WriteResult[]): Promise<void> {
    const done: Step[] = [];
    for (const [position, step] of steps.entries()) {
      const settled = step.write === null || results[position] === 'written' ? step : await settleRace(step);
      done.push(settled);
    }
    await report.tell(done, done.filter(({ write }) => write !== null).length);
  }

  /** Writes all groups in one transaction; if another writer interfered, each group by itself. */
  async function together(groups: readonly (readonly Step[])[]): Promise<void> {
    const steps = groups.flat();
    const result = await users.writeTogether(writesOf(steps), fence);
    if (result === 'written' || steps.length === 1) {
      await finish(
        steps,
        steps.map(() => result),
      );
    } else {
      for (const part of groups.length > 1 ? groups : steps.map((step) => [step])) await together([part]);
    }
  }

  /** Packs as many groups into a transaction as fit. */
  async function packed(groups: readonly (readonly Step[])[]): Promise<void> {
    let pack: (readonly Step[])[] = [];
    let size = 0;
    for (const group of groups) {
      if (size > 0 && size + group.length > STEPS_TOGETHER) {
        await together(pack);
        [pack, size] = [[], 0];
      }
      pack.push(group);
      size += group.length;
    }
    if (size > 0) await together(pack);
  }

  return {
    removals: (steps) => packed(steps.map((step) => [step])),
    renames: packed,
    async each(steps) {
      const writing = steps.filter(({ write }) => write !== null);
      await report.tell(steps.filter(({ write }) => write === null));
      if (writing.length > 0) await finish(writing, await users.writeEach(writesOf(writing)));
    },
  };
}

function writesOf(steps: readonly Step[]): UserWrite[] {
  return steps.map(({ write }) => write!);
}

/** The current users under the name that the step's user had, and under the name that it is to get. */
async function currentUsers(users: UserStore, { write, person }: Step): Promise<readonly User[]> {
  const names = new Set<string>();
  if (write !== null && write.kind !== 'create') names.add(userNameKey(write.previous.userName));
  if (person !== null) names.add(person.nameKey);
  return [...(await users.getMany([...names])).values()];
}

/**
 * Plans a step again after its write has lost a race.
 *
 * @param current the stored users, as they are now, under the name that the step's user had and the name that it was to
 *   get
 */
export function planAgain(step: Step, current: readonly User[], context: PlanContext): Step {
  const { person, write, change } = step;
  if (write === null) return step;
  if (person !== null) {
    const own = current.find((user) => isTiedTo(user, person, context));
    const occupant = current.find((user) => userNameKey(user.userName) === person.nameKey);
    if (own && occupant && own.id !== occupant.id) return refusePerson(person, own, occupantReason(occupant));
    if (own) {
      const again = planUser(own, person, context);
      // Whoever was not to be disabled has passed neither the limit nor the question about the last administrator.
      const isNew = again.change.kind === 'disabled' && change.kind !== 'disabled';
      return isNew ? refusePerson(person, own, CHANGED_MEANWHILE) : again;
    }
    if (occupant) return meetOccupant(person, occupant, context);
    return write.kind === 'create'
      ? createUser(person, context)
      : tell({ ...change, kind: 'conflict', reason: CHANGED_MEANWHILE });
  }
  const user = current.find(({ id, directory }) => id === change.userId && directory?.id === change.directoryId);
  const decision = user ? decideMissing(user, context) : null;
  if (decision?.kind === 'mark') return decision.step;
  // A user to be removed has had its second look already; a user to be marked has not.
  if (decision?.kind === 'remove' && change.kind !== 'updated') {
    return removeUser(decision.removal, change.reason ?? '', context);
  }
  return tell({ ...change, kind: 'conflict', reason: CHANGED_MEANWHILE });
}
