/**
 * What was written stands in a run's lines and totals, whatever fails or is killed in between: rows H1 to H6 of what
 * went wrong before, as far as stores in memory can show it.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { ServiceError } from '../../lib/errors.ts';
import type { RunJournal } from '../../lib/sync/run-journal.ts';
import type { Change, ChangeKind, Run, Totals } from '../../lib/sync/run.ts';
import { CHANGE_KINDS } from '../../lib/sync/run.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import type { MemoryPerson } from '../support/memory-directory.ts';
import { anEntry, aUser } from '../support/people.ts';

const NO_LIMIT = { percent: 100, atLeast: 100 };
const WRITTEN: readonly ChangeKind[] = ['created', 'updated', 'renamed', 'linked', 'disabled', 'enabled', 'deleted'];

let house: House;
beforeEach(async () => {
  house = await startHouse();
  await house.configure({ options: { missingUsers: 'delete', removalLimit: NO_LIMIT } });
});

const person = (number: number, cn = `Person ${number}`): MemoryPerson => ({
  entry: anEntry(`id-${number}`, { uid: [`user${number}`], cn: [cn] }),
});
const people = (count: number, cn?: string): MemoryPerson[] =>
  Array.from({ length: count }, (_, number) => person(number, cn));

const away = (): ServiceError => new ServiceError('storeUnavailable', 'no answer', { retryable: true });
const denied = (): ServiceError => new ServiceError('storeUnavailable', 'access denied');

/** Calls `act` before each call of the journal, with the number of the call. `act` may throw. */
function disturb(act: (call: number, method: 'write' | 'tell' | 'close' | 'remember') => void | Promise<void>): void {
  const { journal } = house.ports;
  const original = { ...journal };
  let call = 0;
  const wrapped: Partial<Record<keyof RunJournal, unknown>> = {};
  for (const method of ['write', 'tell', 'close', 'remember'] as const) {
    wrapped[method] = async (...args: never[]): Promise<unknown> => {
      await act((call += 1), method);
      return await (original[method] as (...all: never[]) => Promise<unknown>)(...args);
    };
  }
  Object.assign(journal, wrapped);
}

const countOf = (lines: readonly Change[]): Partial<Totals> =>
  Object.fromEntries(CHANGE_KINDS.map((kind) => [kind, lines.filter((line) => line.kind === kind).length]));

/** Every run's totals are its lines, and the lines of all runs together are the writes since `before`. */
async function expectTruth(before: number): Promise<void> {
  let told = 0;
  for (const run of await house.runs()) {
    const lines = await house.changes(run);
    const { unchanged, ...totals } = run.totals;
    expect(unchanged).toBeGreaterThanOrEqual(0);
    expect(countOf(lines)).toMatchObject(totals);
    told += lines.filter(({ kind }) => WRITTEN.includes(kind)).length;
  }
  expect(told).toBe(house.writes() - before);
}

/** A run that may fail, or lose its lease without a result. */
async function tryRun(): Promise<Run | null> {
  try {
    return await house.run();
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^(?:storeUnavailable|leaseLost)$/) });
    return null;
  }
}

describe('H1: a fault during creation', () => {
  test('what was created before it is told, and the next run does the rest', async () => {
    house.directory.people = people(4_300);
    let writes = 0;
    disturb((_call, method) => {
      if (method === 'write' && (writes += 1) === 3) throw denied();
    });

    const failed = await house.run();

    expect(failed).toMatchObject({
      status: 'failed',
      error: { code: 'storeUnavailable' },
      progress: { applied: 4_000 },
    });
    expect(failed.totals.created).toBe(4_000);
    expect(await house.changes(failed)).toHaveLength(4_000);
    await expectTruth(0);
    expect((await house.run()).totals).toMatchObject({ created: 300, unchanged: 4_000 });
    await expectTruth(0);
  });

  test('what was created although the answer got lost is told as well', async () => {
    house.directory.people = people(2_100);
    const { journal } = house.ports;
    const write = journal.write.bind(journal);
    let calls = 0;
    Object.assign(journal, {
      write: async (...args: Parameters<RunJournal['write']>) => {
        const written = await write(...args);
        if ((calls += 1) === 1) throw away();
        return written;
      },
    });

    const failed = await house.run();

    expect(failed).toMatchObject({ status: 'failed', totals: { created: 2_000 } });
    await expectTruth(0);
  });
});

describe('H2: lines are refused', () => {
  const conflicts = async (): Promise<void> => {
    house.directory.people = people(40);
    for (let number = 0; number < 30; number += 1) {
      const integrated = { authentication: 'integrated', directory: null } as const;
      await house.create(aUser({ id: `own-${number}`, userName: `user${number}`, ...integrated }));
    }
  };

  test('once: they are kept and stored before the run ends', async () => {
    await conflicts();
    const before = house.writes();
    let refused = 0;
    disturb((_call, method) => {
      // The first is the count of users without a change; the second has the lines.
      if (method === 'tell' && (refused += 1) === 2) throw away();
    });

    const run = await house.run();

    expect(run).toMatchObject({ status: 'failed', totals: { created: 10, conflict: 30 } });
    expect(countOf(await house.changes(run))).toMatchObject({ created: 10, conflict: 30 });
    await expectTruth(before);
  });

  test('for good: what was written is told all the same, and the next run tells the rest', async () => {
    await conflicts();
    const before = house.writes();
    let calls = 0;
    let isAway = true;
    disturb((_call, method) => {
      if (method === 'tell' && (calls += 1) > 1 && isAway) throw away();
    });

    const failed = await house.run();
    isAway = false;

    expect(failed).toMatchObject({ status: 'failed', totals: { created: 10, conflict: 0 } });
    await expectTruth(before);
    expect((await house.run()).totals).toMatchObject({ conflict: 30, unchanged: 10 });
    await expectTruth(before);
  });
});

describe('H3: a run is killed while it applies', () => {
  test.each([1, 2, 3])(
    'before its write number %i: told by the next start, and the next run goes on',
    async (fatal) => {
      house.directory.people = people(4_300);
      await house.run();
      const before = house.writes();
      const created = (await house.runs()).length;
      house.directory.people = people(10);
      let writes = 0;
      disturb(async (_call, method) => {
        // The lease of a killed run passes to another one, which is what a run notices of its death.
        if (method === 'write' && (writes += 1) === fatal) await house.takeLeaseAway();
      });

      await expect(house.run()).rejects.toMatchObject({ code: 'leaseLost' });

      const dead = (await house.runs()).find(({ error }) => error?.code === 'interrupted')!;
      expect(dead.totals.deleted).toBe((fatal - 1) * 2_000);
      expect(await house.changes(dead)).toHaveLength(dead.totals.deleted);
      house.passSeconds(120);
      const next = await house.run();
      expect(next.totals.deleted).toBe(4_290 - dead.totals.deleted);
      expect(created).toBe(1);
      const told = (await Promise.all((await house.runs()).map(house.changes))).flat();
      expect(told.filter(({ kind }) => kind === 'deleted')).toHaveLength(house.writes() - before);
    },
  );
});

describe('H4: a run wakes up after its lease has passed to another', () => {
  test('and creates nobody: one account for each person', async () => {
    house.directory.people = people(20);
    let other: Run | null = null;
    house.beforeWrite(async () => {
      house.passSeconds(5 * 60);
      other = await house.run();
    });

    await expect(house.run()).rejects.toMatchObject({ code: 'leaseLost' });

    expect(other).toMatchObject({ status: 'succeeded', totals: { created: 20 } });
    expect(await house.users()).toHaveLength(20);
    expect(house.writes()).toBe(20);
  });

  test('and tells nothing, remembers nothing, and ends nothing', async () => {
    house.directory.people = people(20);
    await house.run();
    house.directory.people = people(20, 'Somebody else');
    house.directory.afterRead = async () => {
      house.directory.afterRead = async () => {};
      house.passSeconds(5 * 60);
      await house.run();
    };

    await expect(house.run()).rejects.toMatchObject({ code: 'leaseLost' });

    const [last, first] = await house.runs();
    expect(last).toMatchObject({ status: 'succeeded', totals: { updated: 20 } });
    expect(first).toMatchObject({ status: 'failed', error: { code: 'interrupted' } });
    expect(await house.changes(first!)).toEqual([]);
  });

  test('two users for one directory id are impossible in the store itself, whoever writes', async () => {
    house.directory.people = [person(1)];
    const link = { id: 'id-1', idAttribute: 'entryuuid', dn: 'uid=x,dc=example,dc=com', missingSince: null };
    house.beforeWrite(async () => house.create(aUser({ id: 'other', userName: 'other', directory: link })));

    const run = await house.run();

    expect(run.totals).toMatchObject({ created: 0, conflict: 1 });
    expect((await house.users()).map(({ userName }) => userName)).toEqual(['other']);
  });
});

describe('H5: the store fails from some operation on', () => {
  /** 2,100 users are updated; some entries are told twice, as conflicts. */
  const prepare = async (): Promise<number> => {
    house = await startHouse();
    await house.configure({ options: { missingUsers: 'delete', removalLimit: NO_LIMIT } });
    house.directory.people = people(2_100);
    await house.run();
    const changed = people(2_100, 'Somebody else');
    const twins = changed.slice(0, 20).map(({ entry }) => ({ entry: { ...entry, id: `twin-of-${entry.id}` } }));
    house.directory.people = [...changed, ...twins];
    return house.writes();
  };

  test('for one operation, or for good: lines are writes, for every operation', async () => {
    await prepare();
    let operations = 0;
    disturb(() => void (operations += 1));
    const undisturbed = await house.run();
    expect(undisturbed.totals).toMatchObject({ updated: 2_080, conflict: 40 });
    expect(operations).toBeGreaterThan(4);

    for (let first = 1; first <= operations; first += 1) {
      for (const last of [first, Infinity]) {
        await prepare();
        let isAway = true;
        disturb((call) => {
          if (isAway && call >= first && call <= last) throw away();
        });
        const failed = await tryRun();
        isAway = false;
        if (last === first) expect(failed).toMatchObject({ status: 'failed' });
        house.passSeconds(120);

        const next = await house.run();

        expect(next).toMatchObject({ status: 'succeeded', totals: { conflict: 40 } });
        await expectTruth(0);
      }
    }
  });
});

describe('H6: approved removals run out of time', () => {
  test('stay approved, and the next run goes on with them', async () => {
    house.directory.people = people(50);
    await house.run();
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 10, atLeast: 3 } } });
    house.directory.people = people(1);
    await house.approve(await house.run());
    house.beforeWrite(async () => house.passSeconds(15 * 60));

    const first = await house.run();

    expect(first).toMatchObject({
      status: 'failed',
      error: { code: 'timeLimit' },
      totals: { deleted: 1, withheld: 0 },
    });
    expect((await house.run()).totals).toMatchObject({ deleted: 48, withheld: 0 });
    expect((await house.ports.approvals.list()).every(({ done }) => done)).toBe(true);
  });

  test('stay approved over an incomplete read, which removes nobody', async () => {
    house.directory.people = people(20);
    await house.run();
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 0, atLeast: 0 } } });
    house.directory.people = people(10);
    await house.approve(await house.run());
    house.directory.proof = { complete: false, reasons: ['size limit'] };
    expect((await house.run()).totals).toMatchObject({ deleted: 0, withheld: 0 });
    house.directory.proof = { complete: true, reasons: [] };
    expect((await house.run()).totals).toMatchObject({ deleted: 10 });
  });

  test('end after 14 days', async () => {
    house.directory.people = people(20);
    await house.run();
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 0, atLeast: 0 } } });
    house.directory.people = people(10);
    await house.approve(await house.run());
    house.passDays(14);
    expect((await house.run()).totals).toMatchObject({ deleted: 0, withheld: 10 });
  });

  test('a dry run carries out and ends no approval', async () => {
    house.directory.people = people(20);
    await house.run();
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 0, atLeast: 0 } } });
    house.directory.people = people(10);
    await house.approve(await house.run());
    house.directory.people = people(11);
    expect((await house.run({ dryRun: true })).totals).toMatchObject({ deleted: 9 });
    expect(await house.ports.approvals.list()).toHaveLength(10);
    house.directory.people = people(10);
    expect((await house.run()).totals).toMatchObject({ deleted: 10 });
  });
});
