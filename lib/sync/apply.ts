/**
 * Carries steps out, or only tells them in a dry run. Each write is conditional; one that has lost a race is planned again
 * from what is stored now, for that user alone, and a user that others keep changing is left to the next run.
 */
import { CHANGED_MEANWHILE, planAgain, tell } from './plan.ts';
import type { PlanContext, Step } from './plan.ts';
import type { Fence, UserStore, UserWrite, WriteResult } from '../user/user-store.ts';
import type { Report } from './report.ts';
import type { User } from '../user/user.ts';
import { userNameKey } from '../user/user-name.ts';

export interface Apply {
  /** Steps that take access away: only under the lease, in transactions. */
  removals(steps: readonly Step[]): Promise<void>;
  /** Renames, in their order: only under the lease; the members of a group all or none. */
  renames(groups: readonly (readonly Step[])[]): Promise<void>;
  /** Steps that stand for themselves. */
  each(steps: readonly Step[]): Promise<void>;
}

/** Steps that go in one transaction; a rename takes three of the hundred items it may have. */
const STEPS_TOGETHER = 32;
const MAX_RACES = 3;

/** The apply of a dry run: every step is told and none is carried out. */
export function tellOnly(report: Report): Apply {
  const each = (steps: readonly Step[]): Promise<void> => report.tell(steps);
  return { removals: each, renames: (groups) => each(groups.flat()), each };
}

export function applyTo(users: UserStore, fence: Fence, report: Report, context: PlanContext): Apply {
  /** Carries one step out by itself, again and again planned from what is stored. */
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

  /** All groups in one transaction; where somebody else was in between, each group by itself. */
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

  /** As many groups in a transaction as it carries. */
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

/** The users that stand, now, where the step's user was and where it is to be. */
async function currentUsers(users: UserStore, { write, person }: Step): Promise<readonly User[]> {
  const names = new Set<string>();
  if (write !== null && write.type !== 'create') names.add(userNameKey(write.previous.userName));
  if (person !== null) names.add(person.nameKey);
  return [...(await users.getMany([...names])).values()];
}
