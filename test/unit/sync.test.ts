import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { ServiceError } from '../../lib/errors.ts';
import type { Change, ChangeKind, Run, Totals } from '../../lib/sync/run.ts';
import type { User } from '../../lib/user/user.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import { unreachable } from '../support/memory-directory.ts';
import type { MemoryPerson } from '../support/memory-directory.ts';
import { anEntry, aUser } from '../support/people.ts';

let house: House;
beforeEach(async () => {
  house = await startHouse();
});

const somebody = (id: string, uid = `user${id}`, over: Parameters<typeof anEntry>[2] = {}): MemoryPerson => ({
  entry: anEntry(id, { uid: [uid], cn: [`Person ${id}`], mail: [`${uid}@example.test`] }, over),
});
const people = (count: number): MemoryPerson[] =>
  Array.from({ length: count }, (_, position) => somebody(`${position}`));

function totals(over: Partial<Totals> = {}): Partial<Totals> {
  return { created: 0, updated: 0, renamed: 0, linked: 0, disabled: 0, enabled: 0, deleted: 0, withheld: 0, ...over };
}
const kinds = (changes: readonly Change[]): ChangeKind[] => changes.map(({ kind }) => kind);

describe('a run', () => {
  test('creates everybody with the default privileges, and the next one writes nothing at all', async () => {
    house.directory.people = people(40);
    const first = await house.run();
    expect(first).toMatchObject({ status: 'succeeded', stage: 'finished', totals: totals({ created: 40 }) });
    expect(first.progress).toEqual({ read: 40, planned: 40, applied: 40 });
    expect((await house.user('user7'))?.privileges).toEqual(['login']);

    const before = house.writes();
    const second = await house.run();
    expect(second).toMatchObject({ status: 'succeeded', totals: { ...totals(), unchanged: 40 } });
    expect(house.writes()).toBe(before);
  });

  test('that is dry writes nothing and tells the same as the real one', async () => {
    await house.create(aUser({ id: 'manual', userName: 'user3', authentication: 'integrated', directory: null }));
    house.directory.people = people(10);
    const before = house.writes();
    const dry = await house.run({ dryRun: true });
    expect(house.writes()).toBe(before);
    const real = await house.run();
    expect(dry.totals).toEqual(real.totals);
    expect(dry.totals).toMatchObject({ created: 9, conflict: 1 });
    const told = async (run: Run): Promise<unknown[]> =>
      (await house.changes(run)).map(({ kind, userName, reason }) => `${kind} ${userName} ${reason}`);
    expect(new Set(await told(dry))).toEqual(new Set(await told(real)));
  });

  test('that is dry tells any number of renames', async () => {
    const count = 6_000;
    house.directory.people = people(count);
    await house.run();
    house.directory.people = Array.from({ length: count }, (_, position) => somebody(`${position}`, `new${position}`));
    const dry = await house.run({ dryRun: true });
    expect(dry).toMatchObject({ status: 'succeeded', totals: totals({ renamed: count }) });
    expect(await house.changes(dry)).toHaveLength(count);
  });

  test('gives an administrator’s privileges and disabling back to nobody: sync never touches them', async () => {
    house.directory.people = people(3);
    await house.run();
    await house.edit('user1', { privileges: ['admin'], disabledBy: 'admin', fingerprint: null });
    await house.run();
    expect(await house.user('user1')).toMatchObject({ privileges: ['admin'], disabledBy: 'admin' });
  });

  test('renames, also in a swap and a chain, and keeps every account', async () => {
    house.directory.people = [somebody('1', 'a'), somebody('2', 'b'), somebody('3', 'c'), somebody('4', 'd')];
    await house.run();
    const ids = new Map((await house.users()).map((user) => [user.directory!.id, user.id]));
    house.directory.people = [somebody('1', 'b'), somebody('2', 'a'), somebody('3', 'e'), somebody('4', 'c')];
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ renamed: 4 }));
    const after = await house.users();
    expect(after.map(({ userName, directory }) => `${userName}=${directory!.id}`)).toEqual([
      'a=2',
      'b=1',
      'c=4',
      'e=3',
    ]);
    for (const user of after) expect(user.id).toBe(ids.get(user.directory!.id));
  });

  test('gives the name of somebody it deletes to somebody who is renamed', async () => {
    await house.configure({ options: { missingUsers: 'delete' } });
    house.directory.people = [somebody('1', 'anna'), somebody('2', 'anna.weber')];
    await house.run();
    house.directory.people = [somebody('2', 'anna')];
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ renamed: 1, deleted: 1 }));
    expect(await house.user('anna')).toMatchObject({ directory: { id: '2' } });
  });

  test('links a user made by hand for the directory, and never an integrated one', async () => {
    await house.create(aUser({ id: 'by-hand', userName: 'Anna', directory: null, privileges: ['admin'] }));
    await house.create(aUser({ id: 'own', userName: 'bert', authentication: 'integrated', directory: null }));
    house.directory.people = [somebody('1', 'anna'), somebody('2', 'BERT')];
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...totals({ linked: 1 }), conflict: 1 });
    expect(await house.user('anna')).toMatchObject({ id: 'by-hand', privileges: ['admin'], directory: { id: '1' } });
    expect(await house.user('bert')).toMatchObject({ id: 'own', authentication: 'integrated', directory: null });
  });

  test('refuses both of two entries with one user name and leaves the existing user of one as it is', async () => {
    house.directory.people = [somebody('1', 'anna')];
    await house.run();
    house.directory.people = [somebody('2', 'ANNA'), somebody('1', 'anna'), somebody('3', 'x'), somebody('4', 'X')];
    await house.configure({ options: { missingUsers: 'delete' } });
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...totals(), conflict: 4, unchanged: 0 });
    expect(await house.user('anna')).toMatchObject({ version: 1, directory: { id: '1' } });
    expect(await house.user('x')).toBeNull();
  });

  test('skips what it can’t use, says why, and does not take it for missing', async () => {
    await house.configure({ options: { missingUsers: 'delete' } });
    house.directory.people = people(2);
    await house.run();
    house.directory.people = [
      somebody('0'),
      { entry: anEntry('1', { cn: ['Person without a uid'] }) },
      { entry: anEntry('x', { uid: ['ghost'] }, { id: null }) },
      { entry: anEntry('9', { uid: ['\uFFFD\u0001'] }) },
    ];
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...totals(), skipped: 3, unchanged: 1 });
    expect((await house.changes(run)).map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/has no uid/u),
      expect.stringMatching(/unique id/u),
      expect.stringMatching(/not UTF-8/u),
    ]);
    expect(await house.user('user1')).not.toBeNull();
  });
});

test('a run that can use no entry at all says so', async () => {
  house.directory.people = [1, 2, 3].map((id) => ({ entry: anEntry(`${id}`, { cn: ['No uid here'] }) }));
  const run = await house.run();
  expect(run.totals.skipped).toBe(3);
  expect(run.notices).toEqual([
    expect.stringMatching(/None of the 3 entries could be used.* most frequent reason: the entry has no uid/u),
  ]);
});

test('progress is shown within a second or so although the directory keeps the run waiting', async () => {
  house.directory.people = people(10);
  let shown: Run | undefined;
  house.directory.afterRead = async () => {
    for (let looks = 0; looks < 40 && shown?.progress.read !== 10; looks += 1) {
      await sleep(100);
      [shown] = await house.runs();
    }
  };

  await house.run();

  expect(shown).toMatchObject({ status: 'running', stage: 'reading', progress: { read: 10 }, expectedEntries: null });
  expect(await house.run()).toMatchObject({ expectedEntries: 10 });
});

test('a beat that gets lost ends no run, for the lease outlasts it; one that nobody can repeat does', async () => {
  house.directory.people = people(10);
  const lose = (retryable: boolean): void => {
    const heartbeat = () => Promise.reject(new ServiceError('storeUnavailable', 'no answer', { retryable }));
    Object.assign(house.ports.runs, { heartbeat });
  };

  lose(true);
  expect(await house.run()).toMatchObject({ status: 'succeeded', totals: totals({ created: 10 }) });
  lose(false);
  await expect(house.run()).rejects.toMatchObject({ code: 'storeUnavailable' });
});

test('a cancelled run whose directory hangs ends as cancelled, however the hanging ends', async () => {
  house.directory.people = people(3);
  house.directory.afterRead = async () => {
    await house.cancelActiveRun();
    throw unreachable();
  };
  expect(await house.run()).toMatchObject({ status: 'cancelled', error: null });
});

describe('missing users', () => {
  const lose = async (): Promise<void> => {
    house.directory.people = people(4);
    await house.run();
    house.directory.people = [somebody('0'), somebody('1'), { ...somebody('2'), inScope: false }];
  };

  test('are kept by default, and marked once', async () => {
    await lose();
    expect((await house.run()).totals).toMatchObject(totals({ updated: 2 }));
    expect((await house.user('user3'))!.directory!.missingSince).not.toBeNull();
    const before = house.writes();
    expect((await house.run()).totals).toMatchObject({ ...totals(), unchanged: 4 });
    expect(house.writes()).toBe(before);
    house.directory.people = people(4);
    expect((await house.run()).totals).toMatchObject(totals({ updated: 2 }));
    expect((await house.user('user3'))!.directory!.missingSince).toBeNull();
  });

  test('are deleted with the reason that the second look has found', async () => {
    await lose();
    await house.configure({ options: { missingUsers: 'delete' } });
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ deleted: 2 }));
    const reasons = Object.fromEntries((await house.changes(run)).map(({ userName, reason }) => [userName, reason]));
    expect(reasons).toEqual({ user2: 'outOfScope', user3: 'goneFromDirectory' });
  });

  test('are disabled, and enabled under the same account when they return', async () => {
    await lose();
    const id = (await house.user('user3'))!.id;
    await house.configure({ options: { missingUsers: 'disable' } });
    expect((await house.run()).totals).toMatchObject(totals({ disabled: 2 }));
    expect(await house.user('user3')).toMatchObject({ disabledBy: 'sync' });
    expect((await house.run()).totals).toMatchObject(totals());
    house.directory.people = people(4);
    expect((await house.run()).totals).toMatchObject(totals({ enabled: 2 }));
    expect(await house.user('user3')).toMatchObject({ id, disabledBy: null, directory: { missingSince: null } });
  });

  test('are removed only after the grace period', async () => {
    await lose();
    await house.configure({ options: { missingUsers: 'delete', gracePeriodDays: 7 } });
    expect((await house.run()).totals).toMatchObject(totals({ updated: 2 }));
    house.passDays(6);
    expect((await house.run()).totals).toMatchObject(totals());
    house.passDays(1);
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 2 }));
  });

  test('stay when the second look finds them in scope after all', async () => {
    await lose();
    await house.configure({ options: { missingUsers: 'delete' } });
    house.directory.afterRead = async () => {
      house.directory.people = people(4);
    };
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ withheld: 2 }));
    expect(await house.users()).toHaveLength(4);
  });

  test('stay when the second look fails, and the run is partial and says why', async () => {
    await lose();
    await house.configure({ options: { missingUsers: 'delete' } });
    house.directory.locateFault = unreachable();
    const run = await house.run();
    expect(run).toMatchObject({ status: 'partial', totals: totals({ withheld: 2 }) });
    expect(run.completeness!.reasons).toEqual([expect.stringMatching(/second look.*did not answer/u)]);
    expect(await house.users()).toHaveLength(4);
  });

  test('linked by another unique id than the one in use are never removed, and linked anew by approval only', async () => {
    await lose();
    const accounts = new Map((await house.users()).map(({ userName, id }) => [userName, id]));
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { atLeast: 4 } } });
    house.directory.idAttribute = 'employeenumber';
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...totals({ withheld: 4 }), conflict: 0 });
    const lines = await house.changes(run);
    expect(
      lines.map(({ userName, proposes }) => [userName, proposes]).toSorted((a, b) => (String(a) < String(b) ? -1 : 1)),
    ).toEqual([
      ['user0', 'link'],
      ['user1', 'link'],
      ['user2', undefined],
      ['user3', undefined],
    ]);
    expect(lines.map(({ reason }) => reason).join()).toMatch(/would be deleted; .*linked by entryuuid/u);
    expect(await house.users()).toHaveLength(4);

    await house.approve(run);
    expect((await house.run()).totals).toMatchObject(totals({ linked: 2, withheld: 2 }));
    for (const { userName, id } of await house.users()) expect(id).toBe(accounts.get(userName));
    expect((await house.user('user0'))!.directory).toMatchObject({ id: '0', idAttribute: 'employeenumber' });
  });
});

describe('administrators', () => {
  const administrator = async (uid: string): Promise<void> => {
    await house.edit(uid, { privileges: ['admin'] });
  };

  test.each(['disable', 'delete'] as const)('the last one who can sign in is kept by missingUsers: %s', async (how) => {
    await house.configure({ options: { missingUsers: how } });
    house.directory.people = people(4);
    await house.run();
    await administrator('user0');
    await administrator('user1');
    house.directory.people = people(4).slice(2);
    const removed = how === 'disable' ? 'disabled' : 'deleted';

    const dry = await house.run({ dryRun: true });
    const both = await house.run();
    const integrated = { authentication: 'integrated', directory: null, passwordHash: 'hash' } as const;
    await house.create(aUser({ id: 'other', userName: 'other', privileges: ['admin'], ...integrated }));
    const later = await house.run();

    expect(dry.totals).toEqual(both.totals);
    expect(both.totals).toMatchObject(totals({ withheld: 2 }));
    expect(both.notices).toEqual([expect.stringMatching(/no other administrator who can sign in is known/)]);
    expect((await house.changes(both)).map(({ reason }) => reason)).toEqual(
      Array.from({ length: 2 }, () => expect.stringMatching(new RegExp(`would be ${removed}; no other administrator`))),
    );
    expect(later.totals).toMatchObject(totals({ [removed]: 2 }));
  });

  test('the last one who can sign in is kept although the directory marks the account disabled', async () => {
    house.directory.people = people(2);
    await house.run();
    await administrator('user0');
    house.directory.people = [somebody('0', 'user0', { disabled: true }), somebody('1')];

    expect((await house.run()).totals).toMatchObject(totals({ withheld: 1 }));
    expect(await house.user('user0')).toMatchObject({ disabledBy: null });
  });

  test('sessions of whoever is disabled or renamed by the directory have ended for good', async () => {
    house.directory.people = people(3);
    await house.run();
    house.directory.people = [somebody('0', 'other'), somebody('1', 'user1', { disabled: true }), somebody('2')];
    house.passSeconds(60);
    const changed = await house.run();
    house.directory.people = people(3);
    await house.run();

    const ends = (await house.users()).map(({ userName, sessionsValidFrom }) => [userName, sessionsValidFrom]);
    expect(changed.totals).toMatchObject(totals({ renamed: 1, disabled: 1 }));
    expect(ends).toEqual([
      ['user0', expect.any(String)],
      ['user1', expect.any(String)],
      ['user2', undefined],
    ]);
  });
});

describe('the unique id', () => {
  test('of another attribute never stands for the same person, so nobody inherits an account by a change of the setting', async () => {
    house.directory.idAttribute = 'employeenumber';
    house.directory.people = [somebody('1001', 'boss')];
    await house.run();
    await house.edit('boss', { privileges: ['admin'] });
    house.directory.idAttribute = 'uidnumber';
    house.directory.people = [somebody('1001', 'trainee')];
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...totals({ created: 1, updated: 1 }) });
    expect(await house.user('trainee')).toMatchObject({ privileges: ['login'] });
    expect(await house.user('boss')).toMatchObject({
      privileges: ['admin'],
      directory: { idAttribute: 'employeenumber' },
    });
  });

  test('that can’t be read of one entry proves nothing about anybody: nobody is removed and the run says why', async () => {
    await house.configure({ options: { missingUsers: 'delete' } });
    house.directory.people = people(3);
    await house.run();
    house.directory.people = [somebody('0'), { entry: anEntry('x', { uid: ['user1'] }, { id: null }) }];
    const run = await house.run();
    expect(run).toMatchObject({ status: 'partial', totals: totals(), completeness: { complete: false } });
    expect(run.completeness!.reasons).toEqual([expect.stringMatching(/^Entries whose entryuuid .*: 1\./u)]);
    expect(await house.users()).toHaveLength(3);
  });
});

describe('an incomplete read', () => {
  const REASON = 'the server stopped at its size limit';

  beforeEach(async () => {
    await house.configure({ options: { missingUsers: 'delete' } });
    house.directory.people = people(30);
    await house.run();
    await house.create(aUser({ id: 'by-hand', userName: 'hand', directory: null }));
    house.directory.people = [
      somebody('0', 'user0', { dn: 'uid=0,ou=moved,dc=example,dc=com' }),
      somebody('1', 'user1', { disabled: true }),
      somebody('2', 'another.name'),
      somebody('3', 'another.name.too', { disabled: true }),
      somebody('h', 'hand'),
      somebody('new'),
    ];
  });

  test('updates and carries out marks, but takes no name and removes nobody for being absent', async () => {
    house.directory.proof = { complete: false, reasons: [REASON] };
    const run = await house.run();

    expect(run).toMatchObject({
      status: 'partial',
      completeness: { complete: false, reasons: [REASON] },
      totals: totals({ renamed: 1, updated: 1, disabled: 2 }),
    });
    expect(run.notices).toEqual([expect.stringMatching(/^Nobody was created, renamed or linked.* 4 people/u)]);
    expect(house.directory.calls.located).toBe(0);
    expect(await house.users()).toHaveLength(31);
    expect((await house.user('user0'))!.directory!.dn).toContain('ou=moved');
    // The name waits; everything else does not.
    expect(await house.user('user2')).toMatchObject({
      userName: 'user2',
      emailAddresses: ['another.name@example.test'],
    });
    // Once: the run after that has the fields of the disabled one left, and the next nothing.
    await house.run();
    const writes = house.writes();
    await house.run();
    expect(house.writes()).toBe(writes);
    expect(await house.user('user3')).toMatchObject({ disabledBy: 'sync', directory: { id: '3' } });
    expect((await house.user('hand'))!.directory).toBeNull();
    expect((await house.users()).every(({ directory }) => directory === null || directory.missingSince === null)).toBe(
      true,
    );
  });

  test('whose only gap is an unread referral creates, renames and links as well', async () => {
    house.directory.proof = { complete: false, reasons: ['a referral was not read'], onlyReferrals: true };
    const run = await house.run();

    expect(run).toMatchObject({
      status: 'partial',
      totals: totals({ created: 1, renamed: 2, linked: 1, disabled: 2 }),
      notices: [],
    });
    expect(await house.users()).toHaveLength(32);
    expect(await house.user('another.name.too')).toMatchObject({ disabledBy: 'sync', directory: { id: '3' } });
  });

  test('keeps to the limit for marks', async () => {
    house.directory.people = people(10).map(({ entry }) => ({ entry: { ...entry, mark: 'shadowexpire' } }));
    house.directory.proof = { complete: false, reasons: [REASON] };
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 10 }));
  });
});

describe('the guard', () => {
  beforeEach(async () => {
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 10, atLeast: 3 } } });
    house.directory.people = people(40);
    await house.run();
  });

  test('lets as many go as the limit says', async () => {
    house.directory.people = people(36);
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 4 }));
  });

  test('withholds all removals above it, goes on with the rest, and says so', async () => {
    house.directory.people = [...people(35), somebody('new')];
    const run = await house.run();
    expect(run).toMatchObject({ status: 'succeeded', totals: totals({ withheld: 5, created: 1 }) });
    expect(run.notices).toEqual([expect.stringMatching(/5 of 40 users.*limit is 4/u)]);
  });

  test('withholds everything when the directory answers with nobody, however few are known', async () => {
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 100, atLeast: 100 } } });
    house.directory.people = [];
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ withheld: 40 }));
    expect(run.notices.join()).toMatch(/found nobody/u);
  });

  test('counts people whom the directory suddenly marks disabled', async () => {
    house.directory.people = people(40).map(({ entry }) => ({ entry: { ...entry, mark: 'nsaccountlock' } }));
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 40 }));
    expect((await house.users()).every(({ disabledBy }) => disabledBy === null)).toBe(true);
  });

  test('lets approved removals through although the directory answers with nobody, and only those', async () => {
    house.directory.people = [];
    const withheld = await house.run();
    await house.approve(withheld, ({ userName }) => userName === 'user7' || userName === 'user8');
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 2, withheld: 38 }));
    expect(await house.users()).toHaveLength(38);
  });

  test.each<[change: string, over: Parameters<House['configure']>[0]]>([
    ['the treatment of missing users', { options: { missingUsers: 'disable', removalLimit: { percent: 1 } } }],
    ['the scope', { scope: { filter: '(uid=*)' }, options: { missingUsers: 'delete' } }],
    ['the unique id', { mapping: { uniqueId: 'entryUUID' }, options: { missingUsers: 'delete' } }],
  ])('ends an approval when %s changes', async (_change, over) => {
    house.directory.people = people(30);
    await house.approve(await house.run());
    expect(await house.ports.approvals.list()).toHaveLength(10);
    await house.configure(over);
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 10 }));
    expect(await house.ports.approvals.list()).toEqual([]);
  });

  test('keeps an approval when other settings change', async () => {
    house.directory.people = people(30);
    await house.approve(await house.run());
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 0, atLeast: 0 } } });
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 10 }));
  });

  test('does not count those who have been disabled for long: they are not among the users it protects', async () => {
    await house.configure({ options: { missingUsers: 'disable', removalLimit: { percent: 100, atLeast: 0 } } });
    house.directory.people = people(10);
    expect((await house.run()).totals).toMatchObject(totals({ disabled: 30 }));
    await house.configure({ options: { missingUsers: 'disable', removalLimit: { percent: 10, atLeast: 0 } } });
    house.passDays(2);
    house.directory.people = people(8);
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ withheld: 2 }));
    expect(run.notices).toEqual([expect.stringMatching(/2 of 10 users.*limit is 1/u)]);
  });

  test('counts people whom linking would disable: they are linked now, and disabled by the next run if the limit allows', async () => {
    for (let number = 100; number < 110; number += 1) {
      await house.create(aUser({ id: `hand-${number}`, userName: `user${number}`, directory: null }));
    }
    const disabled = Array.from({ length: 10 }, (_, number) =>
      somebody(`${100 + number}`, `user${100 + number}`, { disabled: true }),
    );
    house.directory.people = [...people(40), ...disabled];
    expect((await house.run()).totals).toMatchObject(totals({ linked: 10 }));
    expect((await house.users()).filter(({ disabledBy }) => disabledBy !== null)).toEqual([]);
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 10 }));
  });

  test('lets an approval of more people than one page of lines through, all of them', async () => {
    house.directory.people = Array.from({ length: 1_050 }, (_, index) => somebody(String(index)));
    await house.run();
    house.directory.people = house.directory.people.slice(0, 1);
    const withheld = await house.run();
    expect(withheld.totals).toMatchObject({ withheld: 1_049, deleted: 0 });

    await house.approve(withheld);
    const approved = await house.run();

    expect(approved.totals).toMatchObject({ withheld: 0, deleted: 1_049 });
    const done = await house.ports.approvals.list();
    expect([done.length, done.every((each) => each.done)]).toEqual([1_049, true]);
  });

  test('lets approved removals through, after another look, and only those', async () => {
    house.directory.people = people(30);
    const withheld = await house.run();
    expect(withheld.totals.withheld).toBe(10);
    await house.approve(withheld);
    // One of the ten comes back before the run, so its approval ends: another absence is another matter.
    house.directory.people = people(31);
    expect((await house.run()).totals).toMatchObject(totals({ deleted: 9, updated: 1 }));
    expect(await house.users()).toHaveLength(31);
    await house.configure({ options: { missingUsers: 'delete', removalLimit: { percent: 0, atLeast: 0 } } });
    house.directory.people = people(30);
    expect((await house.run()).totals).toMatchObject(totals({ withheld: 1 }));
  });
});

describe('what others do meanwhile', () => {
  test('an administrator’s edit is never overwritten: the user is planned again', async () => {
    house.directory.people = people(3);
    await house.run();
    house.directory.people = [
      somebody('0'),
      somebody('1', 'user1', { dn: 'uid=1,ou=new,dc=example,dc=com' }),
      somebody('2'),
    ];
    house.beforeWrite(async () => house.edit('user1', { privileges: ['login', 'export'] }));
    const run = await house.run();
    expect(run.totals).toMatchObject(totals({ renamed: 1 }));
    expect(await house.user('user1')).toMatchObject({
      privileges: ['login', 'export'],
      directory: { dn: 'uid=1,ou=new,dc=example,dc=com' },
    });
  });

  test('a user switched to integrated authentication is not deleted any more', async () => {
    await house.configure({ options: { missingUsers: 'delete' } });
    house.directory.people = people(3);
    await house.run();
    house.directory.people = people(2);
    house.beforeWrite(async () =>
      house.edit('user2', { authentication: 'integrated', directory: null, fingerprint: null }),
    );
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...totals(), conflict: 1 });
    expect(await house.user('user2')).toMatchObject({ authentication: 'integrated' });
  });

  test('a name taken by hand becomes a conflict', async () => {
    house.directory.people = [somebody('1', 'anna')];
    house.beforeWrite(async () =>
      house.create(aUser({ id: 'own', userName: 'anna', authentication: 'integrated', directory: null })),
    );
    expect((await house.run()).totals).toMatchObject({ ...totals(), conflict: 1 });
    expect((await house.user('anna'))!.id).toBe('own');
  });

  test('a run that has lost its lease stops without another removal', async () => {
    await house.configure({ options: { missingUsers: 'delete' } });
    house.directory.people = people(3);
    await house.run();
    house.directory.people = people(2);
    house.beforeWrite(async () => house.takeLeaseAway());
    await expect(house.run()).rejects.toMatchObject({ code: 'leaseLost' });
    expect(await house.users()).toHaveLength(3);
  });

  test('a second start while a run is at work is told which one that is', async () => {
    house.directory.people = people(3);
    let second: unknown;
    house.directory.afterRead = async () => {
      second = await house.start();
    };
    const run = await house.run();
    expect(second).toEqual({ kind: 'active', activeRunId: run.id });
  });

  test('a wish to cancel ends the run as cancelled and keeps what is done', async () => {
    house.directory.people = people(30);
    house.directory.afterRead = async () => {
      await house.cancelActiveRun();
      house.passSeconds(2);
    };
    expect(await house.run()).toMatchObject({ status: 'cancelled', stage: 'finished', error: null });
    expect(await house.users()).toEqual([]);
    house.directory.afterRead = async () => {};
    expect((await house.run()).totals.created).toBe(30);
  });

  test('a run that runs out of time fails with its code, and the next one goes on', async () => {
    house.directory.people = people(3);
    house.directory.afterRead = async () => house.passSeconds(15 * 60);
    expect(await house.run()).toMatchObject({
      status: 'failed',
      error: { code: 'timeLimit', advice: expect.any(String) },
    });
    house.directory.afterRead = async () => {};
    expect((await house.run()).totals.created).toBe(3);
  });
});

describe('failures', () => {
  test('an unreachable directory fails the run with code and advice, and touches nobody', async () => {
    house.directory.people = people(3);
    await house.run();
    house.directory.fault = new ServiceError('connectionRefused', 'ldap.example.test: connection refused', {
      retryable: true,
      advice: 'Check the address.',
    });
    const before = house.writes();
    expect(await house.run()).toMatchObject({
      status: 'failed',
      error: { code: 'connectionRefused', advice: 'Check the address.' },
      completeness: null,
    });
    expect(house.writes()).toBe(before);
  });

  test('without settings a run fails and says what to do', async () => {
    const bare = await startHouse({ configured: false });
    expect(await bare.run()).toMatchObject({
      status: 'failed',
      error: { code: 'notConfigured', advice: expect.any(String) },
    });
  });

  test('an unexpected error ends the run as failed, tells nothing of itself, and comes out for the log', async () => {
    house.directory.afterRead = async () => {
      throw new TypeError('secret detail');
    };
    await expect(house.run()).rejects.toThrow('secret detail');
    expect(house.directory.calls.closed).toBe(1);
    const [run] = await house.runs();
    expect(run).toMatchObject({ status: 'failed', error: { code: 'internal' } });
    expect(JSON.stringify(run)).not.toContain('secret detail');
  });
});

describe('for any directory and any users', () => {
  interface Scene {
    readonly before: readonly MemoryPerson[];
    readonly after: readonly MemoryPerson[];
    readonly manual: readonly User[];
    readonly missingUsers: 'keep' | 'disable' | 'delete';
    /** Whether the later reads are complete. */
    readonly isComplete: boolean;
    /** Whether there is another server, which still shows what was there before. */
    readonly hasOtherServer: boolean;
  }
  const names = ['a', 'b', 'c', 'd', 'e', 'A', 'b ', ''];
  const person = fc
    .record({
      // Some ids differ only in letter case.
      id: fc.constantFrom('1', '2', '3', '4', '5', 'x', 'X', 'xx', 'Xx'),
      uid: fc.constantFrom(...names),
      dn: fc.constantFrom('ou=x', 'ou=y'),
      disabled: fc.boolean(),
      inScope: fc.boolean(),
      cn: fc.constantFrom([], ['Somebody']),
      mail: fc.constantFrom([], ['a@example.test'], ['b@example.test', 'c@example.test']),
    })
    .map(({ id, uid, dn, disabled, inScope, cn, mail }): MemoryPerson => ({
      entry: anEntry(
        id,
        { ...(uid !== '' && { uid: [uid] }), ...(cn.length > 0 && { cn }), ...(mail.length > 0 && { mail }) },
        { dn: `cn=${id},${dn},dc=example,dc=com`, disabled },
      ),
      inScope,
    }));
  const manual = fc
    .record({
      userName: fc.constantFrom('a', 'c', 'e', 'z'),
      authentication: fc.constantFrom('integrated', 'directory'),
    })
    .map(({ userName, authentication }) =>
      aUser({ id: `manual-${userName}`, userName, authentication: authentication as 'integrated', directory: null }),
    );
  const scene: fc.Arbitrary<Scene> = fc.record({
    before: fc.array(person, { maxLength: 9 }),
    after: fc.array(person, { maxLength: 9 }),
    manual: fc.uniqueArray(manual, { selector: ({ userName }) => userName, maxLength: 3 }),
    missingUsers: fc.constantFrom('keep', 'disable', 'delete'),
    isComplete: fc.constantFrom(true, true, false),
    hasOtherServer: fc.boolean(),
  });
  const comparable = (users: readonly User[]): unknown[] =>
    users.map(({ userName, disabledBy, authentication, directory }) => ({
      userName,
      disabledBy,
      authentication,
      directory,
    }));

  async function play(given: Scene): Promise<House> {
    const { before, after, manual: users, missingUsers } = given;
    const stage = await startHouse();
    const servers = given.hasOtherServer ? ['127.0.0.1', 'other'] : ['127.0.0.1'];
    await stage.configure({ connection: { servers }, options: { missingUsers } });
    if (given.hasOtherServer) stage.directory.addServer('other').people = [...before];
    for (const user of users) await stage.create(user);
    stage.directory.people = [...before];
    await stage.run();
    stage.directory.people = [...after];
    if (!given.isComplete) stage.directory.proof = { complete: false, reasons: ['size limit'] };
    return stage;
  }

  test('a run leaves nothing to do for the next one', async () => {
    await fc.assert(
      fc.asyncProperty(scene, async (given) => {
        const stage = await play(given);
        await stage.run();
        // A name that a blocked rename or a removed user holds may need one more run to become free; after that nothing
        // moves.
        await stage.run();
        const settled = comparable(await stage.users());
        const writes = stage.writes();
        const last = await stage.run();
        expect(stage.writes()).toBe(writes);
        expect(last.totals).toMatchObject(totals({ withheld: last.totals.withheld }));
        expect(comparable(await stage.users())).toEqual(settled);
      }),
      { numRuns: 150 },
    );
  });

  test('the order of the entries does not matter', async () => {
    await fc.assert(
      fc.asyncProperty(scene, async (given) => {
        const forwards = await play(given);
        const backwards = await play({ ...given, after: given.after.toReversed() });
        const [one, other] = [await forwards.run(), await backwards.run()];
        expect(one.totals).toEqual(other.totals);
        expect(comparable(await forwards.users())).toEqual(comparable(await backwards.users()));
      }),
      { numRuns: 150 },
    );
  });

  test('approving everything leaves nothing that could be approved, and removes nobody who was read', async () => {
    await fc.assert(
      fc.asyncProperty(scene, async (given) => {
        const stage = await play({ ...given, isComplete: true });
        const open = async (run: Run): Promise<Change[]> =>
          (await stage.changes(run)).filter(({ proposes }) => proposes !== undefined);
        const shown = new Set(given.after.filter((each) => each.inScope).map(({ entry }) => entry.id));
        const present = (await stage.users()).filter(({ directory }) => directory !== null && shown.has(directory.id));
        let run = await stage.run();
        // What an approved link would empty is proposed by the run that links.
        for (const _round of [1, 2, 3]) {
          await stage.approve(run);
          run = await stage.run();
        }
        expect(await open(run)).toEqual([]);
        const left = new Set((await stage.users()).map(({ id }) => id));
        expect(present.filter(({ id }) => !left.has(id))).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  test('integrated users are never touched, and a dry run foretells the real one', async () => {
    await fc.assert(
      fc.asyncProperty(scene, async (given) => {
        const stage = await play(given);
        const writes = stage.writes();
        const dry = await stage.run({ dryRun: true });
        expect(stage.writes()).toBe(writes);
        const real = await stage.run();
        expect(kinds(await stage.changes(dry)).toSorted()).toEqual(kinds(await stage.changes(real)).toSorted());
        for (const user of given.manual.filter(({ authentication }) => authentication === 'integrated')) {
          expect(await stage.user(user.userName)).toEqual(user);
        }
      }),
      { numRuns: 150 },
    );
  });
});
