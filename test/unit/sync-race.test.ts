import { beforeEach, describe, expect, test } from 'vitest';
import { ServiceError } from '../../lib/errors.ts';
import { decideMissing } from '../../lib/sync/absence.ts';
import { applyTo, planAgain } from '../../lib/sync/apply.ts';
import { SAME_LINK, startMatching } from '../../lib/sync/matching.ts';
import { planChanges, sortMatches } from '../../lib/sync/plan.ts';
import { readEverybody } from '../../lib/sync/reading.ts';
import { showAgain } from '../../lib/sync/removal.ts';
import { CHANGED_MEANWHILE } from '../../lib/sync/step.ts';
import type { Step } from '../../lib/sync/step.ts';
import { createUser, planUser } from '../../lib/sync/user-step.ts';
import type { User } from '../../lib/user/user.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import type { MemoryPerson } from '../support/memory-directory.ts';
import { aContext, aPerson, anEntry, aUser, NOW } from '../support/people.ts';

let house: House;
beforeEach(async () => {
  house = await startHouse();
});

const somebody = (id: string, uid = `user${id}`): MemoryPerson => ({ entry: anEntry(id, { uid: [uid], cn: [uid] }) });
const everybody = (count: number): MemoryPerson[] =>
  Array.from({ length: count }, (_, index) => somebody(String(index + 1)));

test('a user that is shown again is never marked as missing after a lost race', () => {
  const link = { ...aUser().directory!, missingSince: NOW.toISOString() };
  const [step] = showAgain(aUser({ directory: link }), aContext());
  const seen = aUser({ version: 2 });
  expect(planAgain(step!, [seen], aContext({ gracePeriodDays: 7, missingUsers: 'delete' }))).toMatchObject({
    change: { kind: 'conflict', reason: CHANGED_MEANWHILE },
    write: null,
  });
});

describe('many changes at once', () => {
  test('more removals than a transaction carries go in several, each person once', async () => {
    await house.configure({
      options: { missingUsers: 'delete', gracePeriodDays: 0, removalLimit: { percent: 100, atLeast: 100 } },
    });
    house.directory.people = everybody(80);
    await house.run();
    house.directory.people = house.directory.people.slice(0, 5);

    const run = await house.run();

    expect(run.totals.deleted).toBe(75);
    expect((await house.users()).map(({ userName }) => userName)).toHaveLength(5);
  });

  test('one user that somebody edits does not hold up those in the same transaction', async () => {
    await house.configure({
      options: { missingUsers: 'disable', gracePeriodDays: 0, removalLimit: { percent: 100, atLeast: 100 } },
    });
    house.directory.people = everybody(6);
    await house.run();
    house.directory.people = house.directory.people.slice(0, 2);
    house.beforeWrite(() => house.edit('user4', { privileges: ['login', 'export'] }));

    const run = await house.run();

    expect(run.totals.disabled).toBe(4);
    expect(await house.user('user4')).toMatchObject({ disabledBy: 'sync', privileges: ['login', 'export'] });
  });

  test('a user that others keep changing is left to the next run', async () => {
    const { users } = house.ports;
    let tries = 0;
    const previous = aUser();
    await house.create(previous);
    const told: Step[] = [];
    const report = { tell: async (steps: readonly Step[]) => void told.push(...steps), check: () => {} };
    const alwaysLate = {
      write: async (_fence: unknown, groups: readonly unknown[]) => {
        tries += 1;
        return groups.map(() => 'lostRace' as const);
      },
    };
    const step = planUser(previous, aPerson('id-1', 'anna'), aContext());

    const ports = { users, journal: alwaysLate };
    await applyTo(ports, { runId: 'run', token: 1 }, report as never, aContext()).each([step]);

    expect(told.map(({ change }) => [change.kind, change.reason])).toEqual([['conflict', CHANGED_MEANWHILE]]);
    expect(tries).toBe(4);
  });
});

describe('what others do while the directory is read', () => {
  const remove = async (userName: string): Promise<void> => {
    const previous = (await house.user(userName))!;
    await house.ports.users.writeEach([{ kind: 'delete', previous }]);
  };

  test('a user that is deleted by hand is told as a conflict, or not at all if nobody has to decide about it', async () => {
    await house.configure({ options: { missingUsers: 'delete', gracePeriodDays: 0 } });
    house.directory.people = everybody(5);
    await house.run();
    // The first has another full name, the second is linked to another entry meanwhile, and the fifth is missing.
    house.directory.people = everybody(4).map(({ entry }) => ({
      entry: { ...entry, attributes: { ...entry.attributes, cn: ['Somebody else'] } },
    }));
    house.directory.afterRead = async () => {
      await remove('user1');
      await house.edit('user2', { directory: { ...(await house.user('user2'))!.directory!, id: 'another' } });
      await remove('user5');
    };

    const run = await house.run();

    expect(run.totals).toMatchObject({ updated: 2, conflict: 2, deleted: 0, created: 0 });
    const conflicts = (await house.changes(run)).filter(({ kind }) => kind === 'conflict');
    expect(conflicts.map(({ userId, reason }) => [userId === null, reason])).toEqual([
      [true, CHANGED_MEANWHILE],
      [false, CHANGED_MEANWHILE],
    ]);
  });
});

describe('a step that has lost its race is planned again', () => {
  const person = aPerson('id-1', 'anna');
  const context = aContext({ missingUsers: 'delete' });
  const mark = (user: User): Step => {
    const decision = decideMissing(user, aContext({ missingUsers: 'delete', gracePeriodDays: 7 }));
    if (decision.kind !== 'mark') throw new Error('not a mark');
    return decision.step;
  };

  test('as it was, where it only tells something', () => {
    const told = { ...createUser(person, context), write: null };
    expect(planAgain(told, [], context)).toBe(told);
  });

  test('as a creation, where its user is not there', () => {
    expect(planAgain(createUser(person, context), [], context).change.kind).toBe('created');
  });

  test('as a conflict, where the user that was to be changed is gone', () => {
    expect(planAgain(planUser(aUser(), person, context), [], context).change).toMatchObject({
      kind: 'conflict',
      reason: CHANGED_MEANWHILE,
    });
  });

  test('as a conflict, where its new name is somebody else’s by now', () => {
    const renamed = planUser(aUser(), aPerson('id-1', 'bert'), context);
    const bert = aUser({ id: 'account-2', userName: 'bert', authentication: 'integrated', directory: null });
    expect(planAgain(renamed, [aUser({ version: 2 }), bert], context)).toMatchObject({
      change: { kind: 'conflict', reason: expect.stringMatching(/integrated/u) },
      write: null,
    });
  });

  test('never as a disabling that was not decided: the limit and the last administrator were not asked', () => {
    const disabled = aPerson('id-1', 'anna', { disabled: true });
    const byAdmin = aUser({ disabledBy: 'admin' });
    const enabled = aUser({ version: 2 });

    const again = planAgain(planUser(byAdmin, disabled, context), [enabled], context);
    expect(again).toMatchObject({ change: { kind: 'conflict', reason: CHANGED_MEANWHILE }, write: null });

    const decided = planAgain(planUser(aUser(), disabled, context), [enabled], context);
    expect(decided).toMatchObject({ change: { kind: 'disabled' }, write: { previous: enabled } });
  });

  test('as a link, where the name is now a user made by hand for the directory', () => {
    const byHand = aUser({ id: 'account-9', directory: null });
    expect(planAgain(createUser(person, context), [byHand], context).change).toMatchObject({
      kind: 'linked',
      userId: 'account-9',
    });
  });

  test('never as a link or a rename after a read that broke off: another entry may own the name', () => {
    const cutShort = aContext({ ownsNames: false });
    const byHand = aUser({ id: 'account-9', directory: null });
    const other = aUser({ userName: 'anna.weber', version: 2 });
    const update = planUser(aUser(), person, cutShort);

    for (const current of [byHand, other]) {
      expect(planAgain(update, [current], cutShort)).toMatchObject({
        change: { kind: 'conflict', reason: CHANGED_MEANWHILE },
        write: null,
      });
    }
    expect(planAgain(update, [other], context).write).toMatchObject({ kind: 'rename' });
  });

  test('as a mark again, where a missing user was edited', () => {
    const edited = aUser({ version: 2, privileges: ['login', 'export'] });
    const again = planAgain(mark(aUser()), [edited], aContext({ missingUsers: 'delete', gracePeriodDays: 7 }));
    expect(again.write).toMatchObject({ kind: 'update', previous: edited, user: { version: 3 } });
  });

  test('never as a removal that was only to be a mark: nobody has looked for that person again', () => {
    const since = new Date(NOW.getTime() - 30 * 86_400_000).toISOString();
    const overdue = aUser({ version: 2, directory: { ...aUser().directory!, missingSince: since } });
    expect(planAgain(mark(aUser()), [overdue], context)).toMatchObject({ change: { kind: 'conflict' }, write: null });
  });
});

describe('what the stores and the directory contradict each other in', () => {
  async function* links(users: readonly User[]) {
    yield users.map(({ userName, directory, fingerprint }) => ({
      nameKey: userName,
      linkKey: `entryuuid:${directory!.id}`,
      fingerprint,
    }));
  }

  test('two users tied to one entry are both left alone, and both are told', async () => {
    const anna = aUser();
    const twins = [anna, { ...anna, id: 'account-2', userName: 'anna.weber' }];
    const matching = await startMatching(links(twins), 'entryuuid');
    matching.add({ kind: 'person', person: aPerson('id-1', 'anna') });
    const matches = matching.finish();

    expect(matches.contradictions).toEqual(
      twins.map(({ userName }) => ({ nameKey: userName, person: null, reason: SAME_LINK })),
    );
    const stored = new Map([['anna', twins[0]!]]);
    const sorted = sortMatches(matches, stored, aContext());
    const nothing = { removals: [], disabling: [], marks: [], spared: [], withheld: [], settled: 0 };
    const plan = planChanges(matches.fresh, sorted, nothing, [], stored, aContext());
    // The other one has gone since its link was read.
    expect(plan.others.map(({ change }) => [change.kind, change.userId])).toEqual([['conflict', 'account-1']]);
  });

  test('a user that was tied to another entry since its link was read is in conflict', async () => {
    const person = aPerson('id-1', 'renamed');
    const matches = {
      ...(await startMatching(links([]), 'entryuuid')).finish(),
      changed: [{ nameKey: 'anna', person, disabledBySync: false }],
    };
    const other = aUser({ directory: { ...aUser().directory!, id: 'id-9' } });
    for (const stored of [new Map<string, User>(), new Map([['anna', other]])]) {
      expect(sortMatches(matches, stored, aContext()).told.map(({ change }) => change.reason)).toEqual([
        CHANGED_MEANWHILE,
      ]);
    }
  });
});

describe('a server that fails in mid-read', () => {
  const broken = { complete: false, reasons: ['The read broke off.'], brokeOff: true } as const;

  test('where no other one can be read, what it has shown is updated, and the run says both', async () => {
    await house.configure({ connection: { servers: ['one', 'two'] } });
    house.directory.people = everybody(3);
    house.directory.proof = broken;
    let opened = 0;
    house.ports.openDirectory = (...args) => {
      const directory = house.directory.open();
      return {
        ...directory,
        openReader: async (except) => {
          opened += 1;
          if (opened > 1) throw new ServiceError('connectionRefused', 'two: refused', { retryable: true });
          return await directory.openReader(except ?? []);
        },
        close: async () => void args,
      };
    };

    const run = await house.run();

    expect(run).toMatchObject({
      status: 'partial',
      completeness: { complete: false, reasons: ['The read broke off.'] },
    });
    expect(run.notices.join(' ')).toMatch(/two: refused/u);
  });

  test('an error that is no fault of the server ends the read', async () => {
    const directory = house.directory.open();
    const wrong = { ...directory, openReader: async () => Promise.reject(new TypeError('a mistake in the code')) };
    await expect(readEverybody(wrong, house.ports.users, {} as never, {} as never)).rejects.toThrow(TypeError);
  });
});

test('a server that fails before it shows anybody fails the run when there is no other one', async () => {
  const broken = new ServiceError('connectionLost', 'memory: the connection was lost', { retryable: true });
  house.ports.openDirectory = () => {
    const directory = house.directory.open();
    return {
      ...directory,
      openReader: async () => ({
        ...(await directory.openReader()),
        async *readPeople() {
          yield await Promise.reject(broken);
          return { complete: false, reasons: [] };
        },
      }),
    };
  };

  expect(await house.run()).toMatchObject({ status: 'failed', error: { code: 'connectionLost' } });
});

describe('the record of a run', () => {
  test('keeps the first reasons and notices, shortened, and counts the rest', async () => {
    house.directory.people = everybody(1);
    const long = 'x'.repeat(700);
    house.directory.proof = {
      complete: false,
      reasons: [long, ...Array.from({ length: 30 }, (_, index) => `reason ${index}`)],
    };

    const { completeness } = await house.run();

    expect(completeness!.reasons).toHaveLength(21);
    expect(completeness!.reasons[0]).toBe(`${'x'.repeat(600)}...`);
    expect(completeness!.reasons.at(-1)).toBe('And 11 more.');
  });
});
