/**
 * Whole runs against views of the directory that can't be trusted: rows S1 to S11 of what went wrong before, each with
 * its siblings. Whoever should stay stays, keeps the data, and is not let in again.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Change, Proposal, Run, Totals } from '../../lib/sync/run.ts';
import type { User } from '../../lib/user/user.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import { unreachable } from '../support/memory-directory.ts';
import type { MemoryPerson, MemoryServer } from '../support/memory-directory.ts';
import { anEntry, aUser } from '../support/people.ts';

const BASE = 'dc=example,dc=com';
/** A limit that lets everybody go, for rows that are about something else. */
const NO_LIMIT = { percent: 100, atLeast: 100 };

let house: House;
beforeEach(async () => {
  house = await startHouse();
  await house.configure({ options: { missingUsers: 'delete', removalLimit: NO_LIMIT } });
});

/** Person number n below an ou; `over` replaces parts of the entry. */
function person(number: number, ou = 'people', over: Parameters<typeof anEntry>[2] = {}): MemoryPerson {
  const uid = `user${number}`;
  const attributes = { uid: [uid], cn: [`Person ${number}`], mail: [`${uid}@example.test`] };
  return { entry: anEntry(`id-${number}`, attributes, { dn: `uid=${uid},ou=${ou},${BASE}`, ...over }) };
}
const people = (from: number, to: number, ou?: string): MemoryPerson[] =>
  Array.from({ length: to - from }, (_, index) => person(from + index, ou));

const NOTHING = { created: 0, renamed: 0, linked: 0, disabled: 0, enabled: 0, deleted: 0, withheld: 0, conflict: 0 };
const totals = (over: Partial<Totals> = {}): Partial<Totals> => ({ ...NOTHING, ...over });

async function withheldLines(run: Run, proposes: Proposal): Promise<readonly Change[]> {
  const lines = (await house.changes(run)).filter(({ kind }) => kind === 'withheld');
  expect(new Set(lines.map((line) => line.proposes))).toEqual(new Set([proposes]));
  return lines;
}

const accounts = async (): Promise<Record<string, string>> =>
  Object.fromEntries((await house.users()).map(({ userName, id }) => [userName, id]));

describe('S1: an access rule hides a whole branch', () => {
  beforeEach(async () => {
    house.directory.people = [...people(0, 25), ...people(25, 40, 'hidden')];
    await house.run();
    house.directory.hiddenBranches.add(`ou=hidden,${BASE}`);
  });

  test('withheld, naming the branch, run after run, until an administrator approves', async () => {
    for (const _run of [1, 2]) {
      const run = await house.run();
      expect(run).toMatchObject({ status: 'succeeded', totals: totals({ withheld: 15 }) });
      expect(run.notices).toEqual([expect.stringContaining(`ou=hidden,${BASE}`)]);
      expect(await withheldLines(run, 'remove')).toHaveLength(15);
    }
    const last = await house.run();
    await house.approve(last);
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 15 }));
  });

  test.each([0, 7])('most of whom are disabled already, grace period %i days', async (gracePeriodDays) => {
    await house.configure({ options: { missingUsers: 'disable', gracePeriodDays, removalLimit: NO_LIMIT } });
    house.directory.hiddenBranches.clear();
    house.directory.people = house.directory.people.map(({ entry }, number) => ({
      entry: { ...entry, mark: number >= 27 ? 'shadowexpire' : null },
    }));
    expect((await house.run()).totals).toMatchObject(totals({ disabled: 13 }));
    house.directory.hiddenBranches.add(`ou=hidden,${BASE}`);
    await house.run();
    house.passDays(gracePeriodDays);

    expect((await house.run()).totals).toMatchObject(totals({ withheld: 2 }));
  });

  test('is approved in part without freeing the others', async () => {
    await house.approve(await house.run(), ({ userName }) => userName !== 'user25' && userName !== 'user26');
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 13, withheld: 2 }));
  });

  test('after the grace period as well', async () => {
    await house.configure({ options: { missingUsers: 'disable', gracePeriodDays: 7, removalLimit: NO_LIMIT } });
    await house.run();
    house.passDays(7);
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 15 }));
  });

  test('a branch whose entry says that it is empty is one that people have left', async () => {
    house.directory.hiddenBranches.clear();
    house.directory.people = people(0, 25);
    house.directory.emptyBranches.add(`ou=hidden,${BASE}`);
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 15 }));
  });

  test('people who leave a branch in which others stay are gone', async () => {
    house.directory.hiddenBranches.clear();
    house.directory.people = people(3, 25);
    house.directory.people.push(...people(25, 40, 'hidden'));
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 3 }));
  });

  test('everybody back: the same accounts, as if nothing had been', async () => {
    const before = await accounts();
    await house.run();
    house.directory.hiddenBranches.clear();
    expect((await house.run()).totals).toMatchObject(totals());
    expect(await accounts()).toEqual(before);
    expect((await house.users()).every(({ directory }) => directory!.missingSince === null)).toBe(true);
  });
});

describe('S2: another server knows fewer people', () => {
  let second: MemoryServer;

  beforeEach(async () => {
    await house.configure({
      connection: { servers: ['127.0.0.1', 'second'] },
      options: { missingUsers: 'delete', removalLimit: NO_LIMIT },
    });
    house.directory.people = people(0, 100);
    second = house.directory.addServer('second');
    second.people = people(0, 85);
    await house.run();
  });

  test('the first can’t be asked: withheld, naming it, and after three such runs a notice says what to do', async () => {
    const before = await accounts();
    house.directory.fault = unreachable();

    const marked = await house.run();
    expect(marked.totals).toMatchObject(totals({ updated: 15 }));
    expect(marked.server).toMatchObject({ name: 'second' });
    for (const runs of [1, 2, 3]) {
      const run = await house.run();
      expect(run.totals).toMatchObject(totals({ withheld: 15 }));
      expect(run.notices.join()).toMatch(/127\.0\.0\.1 could not be asked/);
      expect(/in a row/.test(run.notices.join())).toBe(runs === 3);
      for (const { reason } of await withheldLines(run, 'remove')) expect(reason).toContain('127.0.0.1');
    }

    house.directory.fault = null;
    expect((await house.run()).totals).toMatchObject(totals({ updated: 15 }));
    expect(await accounts()).toEqual(before);
  });

  test('an approval overrides that the first can’t be asked', async () => {
    house.directory.fault = unreachable();
    await house.run();
    await house.approve(await house.run(), ({ userName }) => userName === 'user99');
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 1, withheld: 14 }));
  });

  test.each([
    ['in scope', true],
    ['out of scope', false],
  ])('the first has them %s: withheld, naming it', async (_where, inScope) => {
    house.directory.people = [...people(0, 85), ...people(85, 100).map((each) => ({ ...each, inScope }))];
    // It fails the reads only, and answers when it is asked again.
    const readSecond = async (): Promise<Run> => {
      house.directory.fault = unreachable();
      second.afterRead = async () => {
        house.directory.fault = null;
      };
      return await house.run();
    };
    await readSecond();
    const run = await readSecond();

    expect(run.totals).toMatchObject(totals({ withheld: 15 }));
    for (const { reason } of await withheldLines(run, 'remove')) expect(reason).toMatch(/^.*127\.0\.0\.1 still has/);
  });

  test('the first breaks when it is asked: withheld, naming it', async () => {
    house.directory.fault = unreachable();
    await house.run();
    second.afterRead = async () => {
      house.directory.fault = null;
      house.directory.locateFault = unreachable();
    };
    const run = await house.run();

    expect(run.totals).toMatchObject(totals({ withheld: 15 }));
    expect(run.notices.join()).toMatch(/127\.0\.0\.1 could not be asked/);
  });

  test('the first does not hold the base: it is not asked, and the second complete read removes', async () => {
    house.directory.fault = unreachable();
    await house.run();
    house.directory.holdsBase = false;
    second.afterRead = async () => {
      house.directory.fault = null;
    };
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 15 }));
  });

  test('the first is no longer in the settings: only the second complete read removes, and not on its first day', async () => {
    await house.configure({
      connection: { servers: ['second'] },
      options: { missingUsers: 'delete', removalLimit: NO_LIMIT },
    });
    expect((await house.run({ dryRun: true })).totals).toMatchObject(totals({ updated: 15 }));
    expect((await house.run()).totals).toMatchObject(totals({ updated: 15 }));
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 15 }));
  });

  test('an address with another identity behind the name that was read has them: withheld', async () => {
    house.directory.people = people(0, 85);
    house.directory.addServer('127.0.0.1', 'another').people = people(0, 100);
    second.people = people(0, 85);

    const run = await house.run();

    expect(run.totals).toMatchObject(totals({ withheld: 15 }));
  });

  test('a server that changes its identity under its name is another server', async () => {
    second.people = people(0, 100);
    house.directory.people = people(0, 85);
    second.people = people(0, 85);
    house.directory.identity = 'replaced';
    expect((await house.run()).totals).toMatchObject(totals({ updated: 15 }));
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 15 }));
  });

  test('a read that is not complete is no first read', async () => {
    await house.configure({
      connection: { servers: ['second'] },
      options: { missingUsers: 'delete', removalLimit: NO_LIMIT },
    });
    second.proof = { complete: false, reasons: ['size limit'] };
    await house.run();
    second.proof = { complete: true, reasons: [] };
    expect((await house.run()).totals).toMatchObject(totals({ updated: 15 }));
  });
});

describe('S1 and S2 together: a hidden branch, and a second server', () => {
  let second: MemoryServer;

  beforeEach(async () => {
    await house.configure({
      connection: { servers: ['127.0.0.1', 'second'] },
      options: { missingUsers: 'delete', removalLimit: NO_LIMIT },
    });
    house.directory.people = [...people(0, 20), ...people(20, 25, 'hidden')];
    second = house.directory.addServer('second');
    await house.run();
    house.directory.hiddenBranches.add(`ou=hidden,${BASE}`);
  });

  test('that still has some of the branch: the others are no three, and stay all the same', async () => {
    second.people = [...people(0, 20), ...people(20, 23, 'hidden')];
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 5 }));
  });

  test('that could not be asked when a part was approved: the rest stays when it agrees', async () => {
    second.fault = unreachable();
    await house.approve(await house.run(), ({ userName }) => userName !== 'user20' && userName !== 'user21');
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 3, withheld: 2 }));
    second.fault = null;
    second.hiddenBranches.add(`ou=hidden,${BASE}`);

    const run = await house.run();

    expect(run.totals).toMatchObject(totals({ withheld: 2 }));
    for (const { reason } of await withheldLines(run, 'remove')) expect(reason).toContain(`ou=hidden,${BASE}`);
  });
});

describe('the story of twelve domain controllers behind one name', () => {
  test('one of them is stale: marks come and go, and nobody is removed', async () => {
    house.directory.people = people(0, 100);
    const all = [
      house.directory,
      ...Array.from({ length: 11 }, (_, n) => house.directory.addServer('127.0.0.1', `dc-${n}`)),
    ];
    const stale = all[4]!;
    /** The address that answers first in the next run. */
    const answer = (server: MemoryServer): void => {
      house.directory.servers.splice(0, Infinity, server, ...all.filter((other) => other !== server));
    };
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 100 } } });
    await house.run();
    stale.people = people(0, 85);

    const told: string[] = [];
    for (const server of [...all, ...all]) {
      answer(server);
      house.passSeconds(3_600);
      const run = await house.run();
      expect(run.totals).toMatchObject({ deleted: 0, created: 0, withheld: 0 });
      if (run.totals.updated > 0) told.push(`${run.totals.updated} on ${run.server!.identity}`);
    }
    expect(told).toEqual(['15 on dc-3', '15 on dc-4', '15 on dc-3', '15 on dc-4']);

    answer(stale);
    await house.run();
    const twice = await house.run();
    expect(twice.totals).toMatchObject({ deleted: 0, withheld: 15 });
    expect(await house.users()).toHaveLength(100);
  });
});

describe('S3: every run loses some more', () => {
  beforeEach(async () => {
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 10, atLeast: 3 } } });
    house.directory.people = people(0, 100);
    await house.run();
  });
  const lose = (count: number): void => {
    house.directory.people = house.directory.people.map((each, number) =>
      number < count ? { ...each, inScope: false } : each,
    );
  };

  test('twenty: nobody goes', async () => {
    for (const lost of [20, 40, 60, 80, 99]) {
      lose(lost);
      expect((await house.run()).totals).toMatchObject(totals({ withheld: lost }));
    }
    expect(await house.users()).toHaveLength(100);
  });

  test('four: ten go within 24 hours, and ten more when they are over', async () => {
    const deleted: number[] = [];
    for (const lost of [4, 8, 12, 16]) {
      lose(lost);
      deleted.push((await house.run()).totals.deleted);
      house.passSeconds(3_600);
    }
    expect(deleted).toEqual([4, 4, 0, 0]);
    house.passDays(1);
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 8 }));
  });

  test('by approval: they don’t count, and the limit shrinks with them', async () => {
    lose(20);
    await house.approve(await house.run());
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 20 }));
    lose(28);
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 8 }));
    lose(29);
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ withheld: 1 }));
    expect(run.notices.join()).toMatch(/1 of 80 users.* after 8 .*limit is 8/);
  });

  test('for being absent does not keep a dismissed person active', async () => {
    lose(10);
    await house.run();
    house.directory.people = house.directory.people.map(({ entry, ...rest }, number) => ({
      ...rest,
      entry: { ...entry, mark: number >= 95 ? 'shadowexpire' : null },
    }));
    expect((await house.run()).totals).toMatchObject(totals({ disabled: 5 }));
  });

  test('after an incomplete read: it does not count those who have long been removed among the known', async () => {
    await house.configure({ options: { missingUsers: 'disable', removalLimit: { percent: 10, atLeast: 3 } } });
    house.directory.people = people(0, 50);
    await house.approve(await house.run());
    expect((await house.run()).totals).toMatchObject(totals({ disabled: 50 }));
    house.passDays(2);
    house.directory.proof = { complete: false, reasons: ['size limit'] };
    await house.run();
    house.directory.proof = { complete: true, reasons: [] };
    house.directory.people = people(0, 42);

    const run = await house.run();

    expect(run.totals).toMatchObject(totals({ withheld: 8 }));
    expect(run.notices.join()).toMatch(/8 of 50 users.*limit is 5 /);
  });

  test('by marks: ten are disabled within 24 hours', async () => {
    const disabled: number[] = [];
    for (const count of [6, 12, 18]) {
      house.directory.people = people(0, 100).map(({ entry }, number) => ({
        entry: { ...entry, mark: number < count ? 'shadowexpire' : null },
      }));
      disabled.push((await house.run()).totals.disabled);
    }
    expect(disabled).toEqual([6, 0, 0]);
  });
});

test('S4: 21 people and a filter with a typing error: twenty are withheld, for the floor is 3', async () => {
  await house.configure({ options: { missingUsers: 'delete' } });
  house.directory.people = people(0, 21);
  await house.run();
  house.directory.people = people(0, 21).map((each, number) => ({ ...each, inScope: number === 0 }));

  const run = await house.run();

  expect(run.totals).toMatchObject(totals({ withheld: 20 }));
  expect(run.notices).toEqual([expect.stringMatching(/20 of 21 users.*limit is 3 /)]);
});

describe('S5: the attribute that marks people as disabled is hidden', () => {
  beforeEach(async () => {
    house.directory.people = [
      ...people(0, 10),
      ...[10, 11, 12].map((number) => person(number, 'people', { mark: 'shadowexpire' })),
    ];
    await house.run();
    house.directory.people = people(0, 13);
  });
  const disabled = async (): Promise<string[]> =>
    (await house.users()).filter(({ disabledBy }) => disabledBy === 'sync').map(({ userName }) => userName);

  test('the status stays, and the run says why', async () => {
    for (const _run of [1, 2]) {
      const run = await house.run();
      expect(run.totals).toMatchObject(totals({ withheld: 3 }));
      expect(run.notices).toEqual([expect.stringMatching(/3 users keep their status.*lost the right to read/)]);
      expect(await withheldLines(run, 'enable')).toHaveLength(3);
    }
    expect(await disabled()).toEqual(['user10', 'user11', 'user12']);
  });

  test('the other fields go on, and an approval enables', async () => {
    house.directory.people = house.directory.people.map(({ entry }) => ({
      entry: { ...entry, dn: `cn=x,${entry.dn}` },
    }));
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ renamed: 13, withheld: 3 }));
    await house.approve(run, ({ userName }) => userName === 'user11');
    expect((await house.run()).totals).toMatchObject(totals({ enabled: 1, withheld: 2 }));
    expect(await disabled()).toEqual(['user10', 'user12']);
  });

  test('an administrator’s own mark stays whatever is approved', async () => {
    await house.edit('user10', { disabledBy: 'admin', fingerprint: null });
    await house.approve(await house.run());
    await house.run();
    expect(await house.user('user10')).toMatchObject({ disabledBy: 'admin' });
  });
});

describe('S6: mapped attributes are hidden', () => {
  beforeEach(async () => {
    house.directory.people = people(0, 50);
    await house.run();
  });
  const emptied = async (): Promise<User[]> =>
    (await house.users()).filter((user) => user.fullName === null || user.emailAddresses.length === 0);

  test.each([
    [['cn', 'mail'], 2],
    [['mail'], 1],
    [['cn'], 1],
  ])(
    '%o: one line a person proposes to clear, the data stay, and other changes are applied',
    async (hidden, notices) => {
      for (const name of hidden) house.directory.hiddenAttributes.add(name);
      house.directory.people = [person(0, 'moved'), ...people(1, 50)];

      for (const renamed of [1, 0]) {
        const run = await house.run();
        expect(run).toMatchObject({ status: 'succeeded', totals: totals({ renamed, withheld: 50, updated: 0 }) });
        expect(run.notices).toEqual(Array.from({ length: notices }, () => expect.stringMatching(/^50 users keep/)));
        expect(await withheldLines(run, 'clear')).toHaveLength(50);
      }
      expect(await emptied()).toEqual([]);

      house.directory.hiddenAttributes.clear();
      const writes = house.writes();
      expect((await house.run()).totals).toMatchObject(totals());
      expect(house.writes()).toBeGreaterThanOrEqual(writes);
    },
  );

  test('an approval clears, the limit counts the others over the window', async () => {
    await house.configure({ options: { removalLimit: { percent: 10, atLeast: 3 } } });
    const without = (count: number): MemoryPerson[] =>
      people(0, 50).map(({ entry }, number) => ({
        entry: number < count ? { ...entry, attributes: { ...entry.attributes, mail: [] } } : entry,
      }));
    house.directory.people = without(3);
    expect((await house.run()).totals).toMatchObject(totals({ updated: 3 }));
    house.directory.people = without(6);
    const above = await house.run();
    expect(above.totals).toMatchObject(totals({ withheld: 3 }));
    await house.approve(above);
    expect((await house.run()).totals).toMatchObject(totals({ updated: 3 }));
    expect(await emptied()).toHaveLength(6);
  });

  test('an approval clears no field that its line did not name', async () => {
    house.directory.hiddenAttributes.add('mail');
    await house.approve(await house.run());
    house.directory.hiddenAttributes.add('cn');

    const run = await house.run();

    expect(run.totals).toMatchObject(totals({ updated: 50, withheld: 50 }));
    expect((await house.users()).filter(({ fullName }) => fullName === null)).toEqual([]);
    expect((await withheldLines(run, 'clear')).every(({ fields }) => Object.keys(fields!).join() === 'fullName')).toBe(
      true,
    );
  });

  test('emptying the mapping clears unguarded', async () => {
    await house.configure({ mapping: { emailAddresses: '' } });
    expect((await house.run()).totals).toMatchObject(totals({ updated: 50 }));
  });
});

describe('S7: the directory disables somebody whose name can’t be used', () => {
  const alice = (uid: string[], over: Parameters<typeof anEntry>[2] = {}): MemoryPerson => ({
    entry: anEntry('id-1', { uid }, { dn: `cn=alice,${BASE}`, mark: 'shadowexpire', ...over }),
  });

  test.each<[name: string, after: MemoryPerson[], kind: 'conflict' | 'skipped']>([
    ['another entry has it', [alice(['alice']), { entry: anEntry('id-2', { uid: ['ALICE'] }) }], 'conflict'],
    ['it has a zero-width space', [alice(['al\u200Bice'])], 'skipped'],
    ['it is gone', [alice([])], 'skipped'],
    ['its new one is an integrated user’s', [alice(['root'])], 'conflict'],
  ])('where %s: disabled all the same', async (_name, after, kind) => {
    await house.create(aUser({ id: 'root', userName: 'root', authentication: 'integrated', directory: null }));
    house.directory.people = [alice(['alice'], { mark: null })];
    await house.run();
    house.directory.people = after;

    const run = await house.run();

    expect(run.totals.disabled).toBe(1);
    expect(run.totals[kind]).toBeGreaterThan(0);
    expect(await house.user('alice')).toMatchObject({ disabledBy: 'sync', sessionsValidFrom: expect.any(String) });
    const writes = house.writes();
    expect((await house.run()).totals.disabled).toBe(0);
    expect(house.writes()).toBe(writes);
  });

  test('where the limit is reached: withheld, and carried out by approval', async () => {
    await house.configure({ options: { removalLimit: { percent: 0, atLeast: 0 } } });
    house.directory.people = [alice(['alice'], { mark: null })];
    await house.run();
    house.directory.people = [alice([])];
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ withheld: 1 }));
    await house.approve(run);
    expect((await house.run()).totals).toMatchObject(totals({ disabled: 1 }));
  });
});

test('S8: a unique id in another letter case is the same', async () => {
  house.directory.idAttribute = 'employeenumber';
  house.directory.people = [person(1, 'people', { id: 'ab1' }), person(2, 'people', { id: 'cd2' })];
  await house.run();
  const before = await accounts();
  house.directory.people = [person(1, 'people', { id: 'AB1' }), person(2, 'people', { id: 'cd2' })];

  expect((await house.run()).totals).toMatchObject(totals());
  expect(await accounts()).toEqual(before);
  const writes = house.writes();
  expect((await house.run()).totals).toMatchObject({ ...totals(), unchanged: 2 });
  expect(house.writes()).toBe(writes);
});

test('S9: employee numbers are corrected and mixed up: contradictions, and nobody is removed', async () => {
  const named = (uid: string, id: string): MemoryPerson => ({
    entry: anEntry(id, { uid: [uid], cn: [uid] }, { dn: `uid=${uid},${BASE}` }),
  });
  house.directory.people = [named('anna', '1'), named('bert', '2'), named('carl', '3'), named('dora', '4')];
  await house.run();
  const before = await house.users();
  house.directory.people = [named('anna', '1'), named('bert', '22'), named('carl', '1'), named('dora', '4')];

  const run = await house.run();

  // Unchanged: dora, and carl, whose own entry is missing but whose name the contradiction claims.
  expect(run.totals).toMatchObject(totals({ withheld: 1, conflict: 2, unchanged: 2 }));
  const lines = await house.changes(run);
  expect(lines.filter(({ kind }) => kind === 'withheld')).toMatchObject([{ userName: 'bert', proposes: 'link' }]);
  const after = await house.users();
  expect(after.map(({ id, disabledBy }) => [id, disabledBy])).toEqual(before.map(({ id }) => [id, null]));
  // Only bert, whose entry may be somebody else's, can't log in.
  expect(after.filter(({ directory }) => directory!.contestedBy !== undefined).map(({ userName }) => userName)).toEqual(
    ['bert'],
  );
  expect(after.filter(({ userName }) => userName !== 'bert')).toEqual(
    before.filter(({ userName }) => userName !== 'bert'),
  );
});

describe('S10: the directory is reloaded, and everybody has a new id', () => {
  const reloaded = (from: number, to: number): MemoryPerson[] =>
    people(from, to).map(({ entry }) => ({ entry: { ...entry, id: `new-${entry.id}` } }));

  beforeEach(async () => {
    house.directory.people = people(0, 60);
    await house.run();
    await house.edit('user1', { privileges: ['admin'] });
    house.directory.people = reloaded(0, 60);
  });

  test('sixty links are proposed, and nothing else; approved, the accounts stay', async () => {
    const before = await accounts();
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ withheld: 60 }));
    expect(await withheldLines(run, 'link')).toHaveLength(60);
    expect((await house.users()).every(({ directory }) => directory!.contestedBy?.startsWith('new-'))).toBe(true);

    const writes = house.writes();
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 60 }));
    expect(house.writes()).toBe(writes);

    await house.approve(run);
    expect((await house.run()).totals).toMatchObject(totals({ linked: 60 }));
    expect(await accounts()).toEqual(before);
    expect(await house.user('user1')).toMatchObject({ privileges: ['admin'], directory: { id: 'new-id-1' } });
    expect((await house.run()).totals).toMatchObject({ ...totals(), unchanged: 60 });
  });

  test('with a second user name that sorts first: the same account all the same', async () => {
    const weber = (id: string, uid: string[]): MemoryPerson =>
      person(0, 'people', { id, dn: `cn=weber,${BASE}`, attributes: { uid, cn: ['Weber'] } });
    house.directory.people = [weber('old', ['zweber']), ...reloaded(1, 60)];
    await house.run();
    house.directory.people = [weber('old', ['aweber', 'zweber']), ...reloaded(1, 60)];
    await house.run();
    const { id } = (await house.user('zweber'))!;
    house.directory.people = [weber('new', ['aweber', 'zweber']), ...reloaded(1, 60)];

    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ withheld: 60 }));
    await house.approve(run, ({ userName }) => userName === 'zweber');
    expect((await house.run()).totals).toMatchObject(totals({ linked: 1, withheld: 59 }));
    expect(await house.user('zweber')).toMatchObject({ id, directory: { id: 'new' } });
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 59 }));
  });

  test('in parts: only those that are approved are linked', async () => {
    await house.approve(await house.run(), ({ userName }) => userName === 'user7');
    expect((await house.run()).totals).toMatchObject(totals({ linked: 1, withheld: 59 }));
  });

  test('one who has the old id elsewhere is somebody else: a conflict, until the one who has moved out is removed', async () => {
    const moved = { ...person(7), inScope: false };
    house.directory.people = [...reloaded(0, 60), moved];
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...totals({ withheld: 59, deleted: 1 }), conflict: 1 });
    await house.approve(run);
    expect((await house.run()).totals).toMatchObject(totals({ linked: 59, created: 1 }));
  });

  test('the old ids again, as from a backup: the same accounts at once, and logins work', async () => {
    const before = await accounts();
    await house.run();
    house.directory.people = people(0, 60);
    expect((await house.run()).totals).toMatchObject(totals());
    expect(await accounts()).toEqual(before);
    expect((await house.users()).every(({ directory }) => directory!.contestedBy === undefined)).toBe(true);
  });

  test('and the new entries are gone again: nobody is called missing for the first time', async () => {
    await house.configure({ options: { missingUsers: 'delete', gracePeriodDays: 7 } });
    await house.run();
    house.directory.people = reloaded(0, 1);
    const run = await house.run();
    expect(run).toMatchObject({ totals: totals({ updated: 59, withheld: 1 }), notices: [] });
  });

  test('and a branch is hidden meanwhile: its new account stays with those that are contested', async () => {
    house.directory.people = [...reloaded(0, 50), ...people(50, 60, 'branch')];
    await house.run();
    house.directory.people = [...reloaded(0, 50), ...people(50, 60, 'branch'), person(60, 'branch')];
    await house.run();
    const again = people(50, 60, 'branch').map(({ entry }) => ({ entry: { ...entry, id: `new-${entry.id}` } }));
    house.directory.people = [...reloaded(0, 50), ...again, person(60, 'branch')];
    await house.run();
    house.directory.hiddenBranches.add(`ou=branch,${BASE}`);

    expect((await house.run()).totals).toMatchObject(totals({ updated: 10, withheld: 51 }));
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 61 }));
    expect(await house.users()).toHaveLength(61);
  });

  test('and the new entries are gone after the grace period: it begins then', async () => {
    await house.configure({ options: { missingUsers: 'delete', gracePeriodDays: 7, removalLimit: NO_LIMIT } });
    await house.run();
    house.passDays(8);
    house.directory.people = reloaded(0, 59);
    expect((await house.run()).totals).toMatchObject(totals({ updated: 1, withheld: 59 }));
    house.passDays(6);
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 59 }));
    house.passDays(1);
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 1, withheld: 59 }));
  });

  test('without addresses: what links would empty does not count as long as nobody approves them', async () => {
    house.directory.people = [
      ...reloaded(0, 50).map(({ entry }) => ({ entry: { ...entry, attributes: { uid: entry.attributes['uid'] } } })),
      ...people(50, 59),
      person(59, 'people', { attributes: { uid: ['user59'], cn: ['Person 59'] } }),
    ];
    await house.configure({ options: { removalLimit: { percent: 10, atLeast: 3 } } });
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ withheld: 50, updated: 1 }));
    expect(run.notices).toEqual([]);

    await house.approve(run);
    const linked = await house.run();
    expect(linked.totals).toMatchObject(totals({ linked: 50, withheld: 50 }));
    expect((await house.user('user7'))!.emailAddresses).toEqual(['user7@example.test']);
  });
});

describe('S11: the connection breaks between two entries of one name', () => {
  const first: MemoryPerson = { entry: anEntry('id-1', { uid: ['anna'] }) };
  const second: MemoryPerson = { entry: anEntry('id-2', { uid: ['ANNA'] }) };
  const broken = { complete: false, reasons: ['The read broke off.'], brokeOff: true } as const;

  test('nobody gets the name; the complete read refuses both', async () => {
    house.directory.people = [first];
    house.directory.proof = broken;
    const run = await house.run();
    expect(run).toMatchObject({ status: 'partial', totals: totals() });
    expect(run.notices.join()).toMatch(/Nobody was created/);
    expect(await house.users()).toEqual([]);

    house.directory.people = [first, second];
    house.directory.proof = { complete: true, reasons: [] };
    expect((await house.run()).totals).toMatchObject(totals({ conflict: 2 }));
    expect(await house.users()).toEqual([]);
  });

  test('nor by a rename, nor by a link', async () => {
    await house.create(aUser({ id: 'by-hand', userName: 'hand', directory: null }));
    house.directory.people = [{ entry: anEntry('id-1', { uid: ['bert'] }) }];
    await house.run();
    house.directory.people = [first, { entry: anEntry('id-3', { uid: ['hand'] }) }];
    house.directory.proof = broken;
    expect((await house.run()).totals).toMatchObject(totals());
    expect((await house.users()).map(({ userName }) => userName)).toEqual(['bert', 'hand']);
  });

  test('a second server that is read to its end decides', async () => {
    await house.configure({ connection: { servers: ['127.0.0.1', 'second'] } });
    house.directory.people = [first];
    house.directory.proof = broken;
    house.directory.addServer('second').people = [first, second];
    expect(await house.run()).toMatchObject({ status: 'succeeded', totals: totals({ conflict: 2 }) });
  });
});

describe('the last administrator', () => {
  test.each<[name: string, after: MemoryPerson[], missingUsers: 'delete' | 'disable']>([
    ['to be deleted', people(0, 4), 'delete'],
    ['to be disabled for being absent', people(0, 4), 'disable'],
    ['to be disabled by a mark', [...people(0, 4), person(4, 'people', { disabled: true })], 'delete'],
    [
      'to be disabled by id alone',
      [...people(0, 4), person(4, 'people', { disabled: true, attributes: {} })],
      'delete',
    ],
  ])('appointed while somebody is %s is left to the next run, which asks', async (_name, after, missingUsers) => {
    house.directory.people = people(0, 5);
    await house.run();
    await house.configure({ options: { missingUsers, removalLimit: NO_LIMIT } });
    house.directory.people = after;
    house.beforeWrite(async () => house.edit('user4', { privileges: ['admin'] }));

    expect((await house.run()).totals).toMatchObject(totals({ conflict: 1 }));
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 1 }));
    expect(await house.user('user4')).toMatchObject({ disabledBy: null });
  });

  test('is kept although the removal was approved, and although nobody was read', async () => {
    house.directory.people = people(0, 5);
    await house.run();
    await house.edit('user1', { privileges: ['admin'] });
    await house.create(
      aUser({
        id: 'root',
        userName: 'root',
        privileges: ['admin'],
        authentication: 'integrated',
        directory: null,
        passwordHash: 'hash',
      }),
    );
    house.directory.people = [];
    await house.approve(await house.run());
    await house.edit('root', { disabledBy: 'admin' });

    expect((await house.run()).totals).toMatchObject(totals({ deleted: 4, withheld: 1 }));
    expect(await house.user('user1')).not.toBeNull();
  });
});

describe('a person who is seen, though the entry can’t be used', () => {
  const DAY_S = 86_400;
  const broken = (number: number): MemoryPerson => person(number, 'people', { attributes: { cn: ['No uid'] } });

  test('is missing no more: the grace period begins anew', async () => {
    await house.configure({ options: { missingUsers: 'delete', gracePeriodDays: 7, removalLimit: NO_LIMIT } });
    house.directory.people = people(0, 5);
    await house.run();
    for (const [days, last] of [
      [1, []],
      [3, [broken(4)]],
      [4, []],
    ] as const) {
      house.passSeconds(days * DAY_S);
      house.directory.people = [...people(0, 4), ...last];
      expect((await house.run()).totals).toMatchObject({ deleted: 0, updated: 1 });
    }
    house.passSeconds(7 * DAY_S);
    expect((await house.run()).totals).toMatchObject({ deleted: 1 });
  });

  test.each([
    ['withheld', { percent: 0, atLeast: 0 }, null],
    ['carried out', NO_LIMIT, 'sync'],
  ])('nor when the directory disables it, and that is %s', async (_name, removalLimit, disabledBy) => {
    await house.configure({ options: { missingUsers: 'delete', gracePeriodDays: 7, removalLimit: NO_LIMIT } });
    house.directory.people = people(0, 5);
    await house.run();
    house.directory.people = people(0, 4);
    await house.run();
    house.passSeconds(6 * DAY_S);
    await house.configure({ options: { missingUsers: 'delete', gracePeriodDays: 7, removalLimit } });
    const { entry } = broken(4);
    house.directory.people = [...people(0, 4), { entry: { ...entry, mark: 'shadowexpire' } }];
    for (const _run of [1, 2]) await house.run();
    expect(await house.user('user4')).toMatchObject({ disabledBy, directory: { missingSince: null } });

    await house.configure({ options: { missingUsers: 'delete', gracePeriodDays: 7, removalLimit: NO_LIMIT } });
    house.directory.people = people(0, 4);
    house.passSeconds(1.5 * DAY_S);
    expect((await house.run()).totals).toMatchObject({ deleted: 0, updated: 1 });
  });

  test('is not enabled when its name is mended and the mark is hidden, though other marks are shown', async () => {
    house.directory.people = people(0, 10);
    await house.run();
    house.directory.people = people(0, 10).map(({ entry }, number) =>
      number < 5 ? { entry } : { entry: { ...entry, attributes: {}, mark: 'shadowexpire' } },
    );
    expect((await house.run()).totals).toMatchObject(totals({ disabled: 5 }));
    house.directory.people = people(0, 10).map(({ entry }) => ({ entry: { ...entry, statusSeen: ['accountstatus'] } }));

    const run = await house.run();

    expect(run.totals).toMatchObject(totals({ withheld: 5 }));
    expect(await withheldLines(run, 'enable')).toHaveLength(5);
  });

  test('is missing no more after a read that broke off either, though the new name has to wait', async () => {
    await house.configure({ options: { missingUsers: 'delete', gracePeriodDays: 7, removalLimit: NO_LIMIT } });
    house.directory.people = people(0, 5);
    await house.run();
    house.directory.people = people(0, 4);
    await house.run();
    house.directory.people = [
      ...people(0, 4),
      person(4, 'people', { attributes: { uid: ['renamed'], cn: ['Person 4'] } }),
    ];
    house.directory.proof = { complete: false, reasons: ['the connection broke'] };

    const run = await house.run();

    expect(run.totals).toMatchObject({ updated: 1, renamed: 0, conflict: 0 });
    expect((await house.user('user4'))!.directory!.missingSince).toBeNull();
  });

  test('and whose new id two entries have is not created', async () => {
    house.directory.people = [person(1), { entry: { ...broken(1).entry, dn: `cn=other,${BASE}` } }];
    expect((await house.run()).totals).toMatchObject({ created: 0, conflict: 1, skipped: 1 });
  });
});

test('a mark that is withheld holds back nothing else', async () => {
  await house.configure({ options: { removalLimit: { percent: 10, atLeast: 1 } } });
  house.directory.people = people(0, 5);
  await house.run();
  house.directory.people = people(0, 5).map(({ entry }, number) => ({
    entry: { ...entry, mark: 'shadowexpire', attributes: { ...entry.attributes, cn: [`New name ${number}`] } },
  }));
  for (const updated of [5, 0]) {
    expect((await house.run()).totals).toMatchObject({ disabled: 0, updated, withheld: 5 });
  }
  expect(await house.user('user3')).toMatchObject({ fullName: 'New name 3', disabledBy: null });
});

describe('an approval to remove', () => {
  const marked = (from: number, to: number): MemoryPerson[] =>
    people(from, to, 'branch').map(({ entry }) => ({ entry: { ...entry, mark: 'shadowexpire' } }));

  beforeEach(async () => {
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 10, atLeast: 1 } } });
    house.directory.people = [...people(0, 10), ...people(10, 15, 'branch')];
    await house.run();
  });

  test('of those whom the directory marks deletes nobody who is hidden when it is carried out', async () => {
    house.directory.people = [...people(0, 10), ...marked(10, 15)];
    const run = await house.run();
    expect(await withheldLines(run, 'remove')).toHaveLength(5);
    await house.approve(run);
    house.directory.hiddenBranches.add(`ou=branch,${BASE}`);

    expect((await house.run()).totals).toMatchObject(totals({ withheld: 5 }));
    expect(await house.users()).toHaveLength(15);
  });

  test('of those who are absent disables nobody who is back with a mark', async () => {
    house.directory.people = people(0, 10);
    const run = await house.run();
    expect(await withheldLines(run, 'remove')).toHaveLength(5);
    await house.approve(run);
    house.directory.people = [...people(0, 10), ...marked(10, 15)];

    expect((await house.run()).totals).toMatchObject(totals({ updated: 5, withheld: 5 }));
  });
});

test('an entry without a readable id has its name all the same: nobody else gets it', async () => {
  house.directory.people = [{ entry: { ...person(1).entry, id: null, dn: `cn=other,${BASE}` } }, person(1), person(2)];
  expect(await house.run()).toMatchObject({ status: 'partial', totals: { created: 1, conflict: 1, skipped: 1 } });
});
