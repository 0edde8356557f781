/**
 * Carries out the steps of a plan, or only reports them in a dry run. Each write is conditional. After a lost race the
 * step is planned again from the stored user, for that user alone; a user that others keep changing is left to the next
 * run.
 */
import type { Fence, UserStore } from '../user/user-store.ts';
import { isWayIn, nameKeyOf } from '../user/user.ts';
import type { User } from '../user/user.ts';
import { decideMissing, removeUser } from './absence.ts';
import { batchesOf } from './batch.ts';
import type { Changed } from './matching.ts';
import { meetOccupant, occupantReason, refusePerson } from './plan.ts';
import type { Plan } from './plan.ts';
import type { Report } from './report.ts';
import type { JournalWrite, RunJournal } from './run-journal.ts';
import { CHANGED_MEANWHILE, tell } from './step.ts';
import type { PlanContext, Step } from './step.ts';
import { createUser, isTiedTo, planPerson, planUser } from './user-step.ts';

/** Carries out steps: `applyTo` writes them, `tellOnly` only reports them. */
export interface Apply {
  /** Renames, in their order; each group all or nothing. */
  renames(groups: readonly (readonly Step[])[]): Promise<void>;
  /** Steps that are independent of each other. */
  each(steps: readonly Step[]): Promise<void>;
}

const MAX_RACES = 3;
/** Steps that are written together: enough for many transactions at a time, few enough to be kept in memory. */
const STEPS_TOGETHER = 2_000;

/** The apply of a dry run: reports every step and carries out none. */
export function tellOnly(report: Report): Apply {
  const each = (steps: readonly Step[]): Promise<void> => report.tell(steps);
  return { renames: (groups) => each(groups.flat()), each };
}

/**
 * Carries out a plan in its order. Creations and updates are planned in detail here, because there can be very many.
 */
export async function carryOut(plan: Plan, apply: Apply, users: UserStore, context: PlanContext): Promise<void> {
  for (const steps of batchesOf(plan.removals, STEPS_TOGETHER)) await apply.each(steps);
  await apply.renames(plan.renames);
  for (const steps of batchesOf(plan.others, STEPS_TOGETHER)) await apply.each(steps);
  for (const people of batchesOf(plan.creations, STEPS_TOGETHER)) {
    await apply.each(people.map((person) => createUser(person, context)));
  }
  for (const changed of batchesOf(plan.updates, STEPS_TOGETHER)) {
    await apply.each(await planUpdates(users, changed, context));
  }
}

async function planUpdates(
  users: Pick<UserStore, 'getMany'>,
  changed: readonly Changed[],
  context: PlanContext,
): Promise<Step[]> {
  const stored = await users.getMany(changed.map(({ nameKey }) => nameKey));
  return changed.flatMap(({ nameKey, person }) => {
    const user = stored.get(nameKey);
    return user && isTiedTo(user, person, context)
      ? planPerson(user, person, context)
      : [refusePerson(person, user ?? null, CHANGED_MEANWHILE)];
  });
}

/** The apply of a run that writes. `fence`: the run's right to write. */
export function applyTo(
  { users, journal }: { readonly users: Pick<UserStore, 'getMany'>; readonly journal: Pick<RunJournal, 'write'> },
  fence: Fence,
  report: Report,
  context: PlanContext,
): Apply {
  /** Writes one step by itself until it is written, planned again from the stored users before each try. */
  async function settleRace(step: Step): Promise<void> {
    let planned = step;
    for (let race = 0; race < MAX_RACES; race += 1) {
      planned = planAgain(planned, await currentUsers(users, planned), context);
      if (planned.write === null) return await report.tell([planned]);
      const [result] = await journal.write(fence, [[toJournalWrite(planned)]]);
      if (result === 'written') return report.wrote([planned]);
    }
    await report.tell([tell({ ...planned.change, kind: 'conflict', reason: CHANGED_MEANWHILE })]);
  }

  async function write(groups: readonly (readonly Step[])[], ordered?: 'ordered'): Promise<void> {
    const results = await journal.write(
      fence,
      groups.map((group) => group.map(toJournalWrite)),
      ordered,
      (places) => {
        for (const place of places) report.wrote(groups[place]!);
        report.check();
      },
    );
    for (const step of groups.filter((_, place) => results[place] === 'lostRace').flat()) {
      await settleRace(step);
      report.check();
    }
  }

  async function each(steps: readonly Step[]): Promise<void> {
    const writing = steps.filter(({ write: wanted }) => wanted !== null);
    await report.tell(steps.filter(({ write: wanted }) => wanted === null));
    if (writing.length > 0) await write(writing.map((step) => [step]));
  }

  return {
    each,
    async renames(groups) {
      for (const together of batchesOf(groups, STEPS_TOGETHER)) await write(together, 'ordered');
    },
  };
}

function toJournalWrite({ write, change, counts, approvals }: Step): JournalWrite {
  return { write: write!, change, counts, approvals };
}

/** The current users under the name that the step's user had, and under the name that it is to get. */
async function currentUsers(users: Pick<UserStore, 'getMany'>, { write, person }: Step): Promise<readonly User[]> {
  const names = new Set<string>();
  if (write !== null && write.kind !== 'create') names.add(nameKeyOf(write.previous));
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
    const occupant = current.find((user) => nameKeyOf(user) === person.nameKey);
    if (own && occupant && own.id !== occupant.id) return refusePerson(person, own, occupantReason(occupant));
    if (own) {
      const again = planUser(own, person, context);
      // A user who was not to be disabled has passed neither the guard nor the check of the last administrator. Nor has
      // one who has become an administrator meanwhile.
      const isNew = again.change.kind === 'disabled' && (change.kind !== 'disabled' || becameWayIn(step, own));
      // After a read that was cut short, another entry may own the name.
      const isTaking = again.write?.kind === 'rename' && !context.ownsNames;
      if (isNew || isTaking) return refusePerson(person, own, CHANGED_MEANWHILE);
      return { ...again, counts: step.counts, approvals: step.approvals };
    }
    if (occupant && !context.ownsNames) return refusePerson(person, occupant, CHANGED_MEANWHILE);
    if (occupant) return meetOccupant(person, occupant, context);
    return write.kind === 'create'
      ? createUser(person, context)
      : tell({ ...change, kind: 'conflict', reason: CHANGED_MEANWHILE });
  }
  const user = current.find(({ id, directory }) => id === change.userId && directory?.id === change.directoryId);
  const again = user && !becameWayIn(step, user) ? removeAgain(step, user, context) : null;
  return again ?? tell({ ...change, kind: 'conflict', reason: CHANGED_MEANWHILE });
}

/** The step about a missing user, planned again; null if the next run has to decide anew. */
function removeAgain(step: Step, user: User, context: PlanContext): Step | null {
  const decision = decideMissing(user, context);
  if (decision.kind === 'mark' && step.change.kind === 'updated' && marksMissing(step)) return decision.step;
  const [approval = null] = step.approvals;
  const { reason } = step.change;
  // Only a user who was to be removed has had the second look, and only for a reason that still holds.
  if (decision.kind !== 'overdue' || (reason !== 'goneFromDirectory' && reason !== 'outOfScope')) return null;
  return removeUser({ user, how: decision.how, cause: reason, person: null, approval }, context);
}

/** Whether the step marks the user as missing, and does not show it again. */
function marksMissing({ write }: Step): boolean {
  return write?.kind === 'update' && write.user.directory!.missingSince !== null;
}

/** Whether the user could not sign in as an administrator when the step was planned, and can now. */
function becameWayIn({ write }: Step, user: User): boolean {
  return isWayIn(user) && write !== null && write.kind !== 'create' && !isWayIn(write.previous);
}
