import { expect, test } from 'vitest';
import type { Approval } from '../../lib/sync/approval-store.ts';
import { APPROVAL_KEPT_MS } from '../../lib/sync/approval-store.ts';
import type { GuardCounter, JournalWrite } from '../../lib/sync/run-journal.ts';
import type { Change, Run } from '../../lib/sync/run.ts';
import { LEASE_MS, newRun, NO_TOTALS } from '../../lib/sync/run.ts';
import type { Fence, UserWrite } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { aUser } from '../support/people.ts';
import { describeOnEveryStore } from '../support/stores.ts';
import type { Stores } from '../support/stores.ts';

function aRun({ now }: Stores, id: string): Run {
  return newRun(id, { dryRun: false, trigger: 'api', requestedBy: null, approves: null }, now());
}

async function start(stores: Stores, id = 'run-1'): Promise<Fence> {
  const result = await stores.runs.start({ ...aRun(stores, id), stage: 'reading' });
  if (result.kind === 'active') throw new Error(`${result.activeRunId} holds the lease`);
  return result.fence;
}

const named = (userName: string, over: Partial<User> = {}): User =>
  aUser({ id: `id of ${userName}`, userName, ...over });
const next = (user: User, over: Partial<User> = {}): User => ({ ...user, ...over, version: user.version + 1 });
const people = (count: number): User[] => Array.from({ length: count }, (_, index) => named(`user ${index}`));

function line(kind: Change['kind'], user: User): Change {
  return { kind, userId: user.id, userName: user.userName, directoryId: user.directory?.id ?? null, dn: null };
}

const KIND_OF_WRITE = {
  create: 'created',
  update: 'updated',
  rename: 'renamed',
  delete: 'deleted',
  check: 'unchanged',
} as const;

/** A write with its line. */
function told(write: UserWrite, over: Partial<JournalWrite> = {}): JournalWrite {
  const user = write.kind === 'create' ? write.user : write.previous;
  return { write, change: line(KIND_OF_WRITE[write.kind], user), counts: [], approvals: [], ...over };
}

const creation = (user: User): JournalWrite => told({ kind: 'create', user });
const deletion = (previous: User, over: Partial<JournalWrite> = {}): JournalWrite =>
  told({ kind: 'delete', previous }, over);
const update = (previous: User, user: User): JournalWrite => told({ kind: 'update', user, previous });
const rename = (previous: User, userName: string): JournalWrite =>
  told({ kind: 'rename', user: next(previous, { userName }), previous });

async function linesOf({ runs }: Stores, runId = 'run-1'): Promise<readonly string[]> {
  const { items } = await runs.listChanges(runId, { limit: 10_000 });
  return items.map(({ kind, userName }) => `${kind} ${userName}`);
}

async function namesOf({ users }: Stores): Promise<string[]> {
  const names: string[] = [];
  for await (const links of users.readLinks()) names.push(...links.map(({ nameKey }) => nameKey));
  return names.sort();
}

function anApproval({ now }: Stores, userId: string, over: Partial<Approval> = {}): Approval {
  return {
    userId,
    proposes: 'remove',
    directoryId: null,
    runId: 'run-0',
    approvedBy: 'admin',
    approvedAt: now().toISOString(),
    approvalScope: 'scope',
    ...over,
  };
}

describeOnEveryStore('the journal of a run', (open) => {
  test('writes users with their lines, and totals are the sum of what was told', async () => {
    const stores = await open();
    const { journal, users } = stores;
    const [anna, ben, carl] = [named('anna'), named('ben'), named('carl')];
    const fence = await start(stores);

    expect(await journal.write(fence, [[creation(anna)], [creation(ben)], [creation(carl)], []])).toEqual([
      'written',
      'written',
      'written',
      'written',
    ]);
    const results = await journal.write(fence, [
      [update(anna, next(anna, { fullName: 'A' }))],
      [rename(ben, 'benjamin')],
      [deletion(carl)],
      [told({ kind: 'create', user: named('dora') }, { change: line('unchanged', named('dora')) })],
    ]);
    await journal.tell(fence, { lines: [line('conflict', anna), line('unchanged', ben)], totals: { unchanged: 7 } });

    expect(results).toEqual(['written', 'written', 'written', 'written']);
    expect(await namesOf(stores)).toEqual(['anna', 'benjamin', 'dora']);
    expect((await users.get('anna'))?.fullName).toBe('A');
    expect((await linesOf(stores)).toSorted()).toEqual([
      'conflict anna',
      'created anna',
      'created ben',
      'created carl',
      'deleted carl',
      'renamed ben',
      'updated anna',
    ]);
    const totals = { ...NO_TOTALS, created: 3, updated: 1, renamed: 1, deleted: 1, conflict: 1, unchanged: 9 };
    expect(await journal.readTotals('run-1')).toEqual(totals);
    expect(await journal.readTotals('run-2')).toEqual(NO_TOTALS);
  });

  test('says which groups it has just written, while others wait, and stops when it is told to', async () => {
    const stores = await open();
    const { journal, users } = stores;
    const everybody = people(1_000);
    const taken = [3, 480];
    await users.writeEach(taken.map((index) => ({ kind: 'create', user: named(`user ${index}`, { id: 'other' }) })));
    const fence = await start(stores);
    const groups = everybody.map((user) => [creation(user)]);

    const places: number[] = [];
    await expect(
      journal.write(fence, groups, undefined, (written) => {
        places.push(...written);
        if (places.length > 10) throw new RangeError('enough');
      }),
    ).rejects.toThrow(RangeError);
    const calls: (readonly number[])[] = [];
    const results = await journal.write(fence, groups, undefined, (written) => void calls.push(written));

    expect(places.length).toBeLessThan(900);
    expect((await linesOf(stores)).slice(0, places.length).toSorted()).toEqual(
      places.map((place) => `created user ${place}`).toSorted(),
    );
    expect(calls.length).toBeGreaterThan(1);
    const rest = results.flatMap((result, place) => (result === 'written' ? [place] : []));
    expect(calls.flat().toSorted((a, b) => a - b)).toEqual(rest);
    const all = [...everybody.keys()].filter((place) => !taken.includes(place));
    expect([...places, ...rest].toSorted((a, b) => a - b)).toEqual(all);
    expect((await journal.readTotals('run-1')).created).toBe(998);
  });

  test('leaves no trace of a group that has lost a race, and delays no other one', async () => {
    const stores = await open();
    const { journal, users } = stores;
    const everybody = people(250);
    const taken = [7, 48, 49, 130, 249];
    const occupants = taken.map((index) => named(`user ${index}`, { id: `occupant ${index}` }));
    await users.writeEach(occupants.map((user) => ({ kind: 'create', user })));
    const fence = await start(stores);

    const results = await journal.write(
      fence,
      everybody.map((user) => [{ ...creation(user), counts: ['enable'] as const }]),
    );

    const lost = results.flatMap((result, index) => (result === 'lostRace' ? [index] : []));
    expect(lost).toEqual(taken);
    expect(await linesOf(stores)).toHaveLength(245);
    expect(await linesOf(stores)).not.toContain('created user 48');
    expect((await users.get('user 48'))?.id).toBe('occupant 48');
    expect((await journal.readTotals('run-1')).created).toBe(245);
    expect((await journal.readGuard(stores.now()))[0]?.counts.enable).toBe(245);
  });

  test('writes a group as a whole or not at all', async () => {
    const stores = await open();
    const { journal, users } = stores;
    const [anna, ben] = [named('anna'), named('ben')];
    await users.writeEach([anna, ben].map((user) => ({ kind: 'create', user })));
    const fence = await start(stores);
    const swap = [rename(anna, 'ben'), rename(ben, 'anna')];
    const spoilt = [deletion(anna), told({ kind: 'check', previous: next(ben) }, { change: null })];
    const contradiction = [creation(named('x', { id: '1' })), creation(named('X', { id: '2' }))];

    expect(await journal.write(fence, [spoilt, contradiction])).toEqual(['lostRace', 'lostRace']);
    expect(await journal.write(fence, [swap])).toEqual(['written']);

    expect((await users.get('anna'))?.id).toBe(ben.id);
    expect((await linesOf(stores)).toSorted()).toEqual(['renamed anna', 'renamed ben']);
    expect(await users.get('x')).toBeNull();
  });

  test('writes groups as large as it promises, with lines and counters', async () => {
    const stores = await open();
    const { journal, users } = stores;
    const everybody = people(82);
    await users.writeEach(everybody.map((user) => ({ kind: 'create', user })));
    const fence = await start(stores);
    const counted = (write: JournalWrite): JournalWrite => ({ ...write, counts: ['fullName', 'emailAddresses'] });
    const ring = everybody.slice(0, 50).map((user, index) => counted(rename(user, `user ${(index + 1) % 50}`)));
    const free = everybody.slice(50).map((user) => counted(rename(user, `new ${user.userName}`)));

    expect(await journal.write(fence, [ring, free])).toEqual(['written', 'written']);

    expect((await users.get('user 0'))?.id).toBe('id of user 49');
    expect(await users.get('user 81')).toBeNull();
    expect(await users.get('new user 81')).toMatchObject({ id: 'id of user 81', version: 2 });
    expect(await linesOf(stores)).toHaveLength(82);
    expect((await journal.readGuard(stores.now()))[0]?.counts).toMatchObject({ fullName: 82, emailAddresses: 82 });
  });

  test('writes ordered groups one after the other', async () => {
    const stores = await open();
    const { journal, users } = stores;
    const everybody = people(70);
    await users.writeEach(everybody.map((user) => ({ kind: 'create', user })));
    const fence = await start(stores);
    // Each takes the name that the one before it has left, in a group of its own.
    const chain = everybody
      .toReversed()
      .map((user, index) => [rename(user, index === 0 ? 'the last' : `user ${70 - index}`)]);

    const results = await journal.write(fence, chain, 'ordered');

    expect(new Set(results)).toEqual(new Set(['written']));
    expect((await users.get('user 1'))?.id).toBe('id of user 0');
    expect((await users.get('the last'))?.id).toBe('id of user 69');
    expect(await users.get('user 0')).toBeNull();
    expect(await linesOf(stores)).toEqual(chain.flat().map(({ change }) => `renamed ${change!.userName}`));
  });

  test('writes one user twice in one call', async () => {
    const stores = await open();
    const anna = named('anna');
    const fence = await start(stores);

    const results = await stores.journal.write(fence, [
      [creation(anna)],
      [update(anna, next(anna, { fullName: 'A' }))],
      [update(anna, next(anna, { fullName: 'too late' }))],
    ]);

    expect(results).toEqual(['written', 'written', 'lostRace']);
    expect((await stores.users.get('anna'))?.fullName).toBe('A');
  });

  test('keeps lines in the order they were told, and lists them by page and kind', async () => {
    const stores = await open();
    const { journal, runs } = stores;
    const fence = await start(stores);
    const lines = people(3_500).map((user, index) => line(index % 500 === 7 ? 'conflict' : 'skipped', user));
    await journal.tell(fence, { lines: lines.slice(0, 2_500) });
    await journal.tell(fence, { lines: [] });
    await journal.tell(fence, { lines: lines.slice(2_500) });

    const all: Change[] = [];
    let cursor: string | null | undefined;
    do {
      const page = await runs.listChanges('run-1', { limit: 800, ...(cursor != null && { next: cursor }) });
      all.push(...page.items);
      cursor = page.next;
    } while (cursor !== null);
    const conflicts = await runs.listChanges('run-1', { kind: 'conflict', limit: 4 });
    const rest = await runs.listChanges('run-1', { kind: 'conflict', limit: 4, next: conflicts.next! });

    expect(all).toEqual(lines);
    expect([...conflicts.items, ...rest.items]).toEqual(lines.filter(({ kind }) => kind === 'conflict'));
    expect(rest.next).toBeNull();
    expect(await runs.listChanges('run-1', { kind: 'deleted', limit: 4 })).toEqual({ items: [], next: null });
    expect(await runs.listChanges('run-2', { limit: 10 })).toEqual({ items: [], next: null });
    await expect(runs.listChanges('run-2', { limit: 10, next: conflicts.next! })).rejects.toMatchObject({
      code: 'invalidRequest',
    });
  });

  test('keeps lines that compress badly, more than a transaction holds', async () => {
    const stores = await open();
    const fence = await start(stores);
    const lines = people(1_500).map((user) => ({
      ...line('skipped', user),
      reason: Array.from({ length: 400 }, () => Math.random().toString(36)).join(''),
    }));

    await stores.journal.tell(fence, { lines });

    expect((await stores.runs.listChanges('run-1', { limit: 2_000 })).items).toEqual(lines);
  });

  test('stores what was told once, also if it is told again', async () => {
    const stores = await open();
    const fence = await start(stores);
    const news = { lines: people(3).map((user) => line('skipped', user)), totals: { unchanged: 2 }, known: 9 };

    await stores.journal.tell(fence, news);
    await stores.journal.tell(fence, news);
    await stores.journal.tell(fence, { ...news, known: 4 });

    expect(await stores.journal.readTotals('run-1')).toEqual({ ...NO_TOTALS, skipped: 6, unchanged: 4 });
    expect(await linesOf(stores)).toHaveLength(6);
    expect(await stores.journal.readGuard(stores.now())).toMatchObject([{ known: 9 }]);
  });

  // ------------------------------------------------------------------------------------------------------ the fence

  test('refuses everything from a run whose lease has passed to another', async () => {
    const stores = await open();
    const { journal } = stores;
    const dead = await start(stores);
    await journal.write(dead, [[creation(named('anna'))]]);
    stores.passMs(LEASE_MS);
    const fence = await start(stores, 'run-2');
    await journal.remember(fence, { lastRead: null, unreachable: { b: 1 } });

    const late = [
      () => journal.write(dead, [[creation(named('ben'))]]),
      () =>
        journal.write(
          dead,
          people(300).map((user) => [creation(user)]),
        ),
      () => journal.write(dead, [[deletion(named('anna'))]], 'ordered'),
      () => journal.tell(dead, { lines: [line('skipped', named('carl'))] }),
      () => journal.tell(dead, { known: 5 }),
      () => journal.remember(dead, { lastRead: null, unreachable: {} }),
      () => journal.close(dead),
    ];
    for (const act of late) await expect(act()).rejects.toMatchObject({ code: 'leaseLost', runId: 'run-1' });

    expect(await namesOf(stores)).toEqual(['anna']);
    expect(await linesOf(stores)).toEqual(['created anna']);
    expect(await journal.recall()).toEqual({ lastRead: null, unreachable: { b: 1 } });
    expect(await journal.readGuard(stores.now())).toEqual([]);
    expect(await journal.write(fence, [[creation(named('ben'))]])).toEqual(['written']);
  });

  test('refuses a run that has ended, and one that was taken up by another process', async () => {
    const stores = await open();
    const { journal, runs } = stores;
    const asked = await runs.start(aRun(stores, 'run-1'));
    if (asked.kind === 'active') throw new Error('the lease is taken');
    const { fence } = (await runs.takeUp('run-1'))!;

    await expect(journal.write(asked.fence, [[creation(named('anna'))]])).rejects.toMatchObject({ code: 'leaseLost' });
    expect(await journal.write(fence, [[creation(named('anna'))]])).toEqual(['written']);
    await runs.finish(fence, { ...aRun(stores, 'run-1'), status: 'succeeded', stage: 'finished' });

    await expect(journal.write(fence, [[creation(named('ben'))]])).rejects.toMatchObject({ code: 'leaseLost' });
    await expect(journal.tell(fence, { totals: { unchanged: 1 } })).rejects.toMatchObject({ code: 'leaseLost' });
    expect(await namesOf(stores)).toEqual(['anna']);
  });

  test('closed, takes nothing more, and tells the totals with which the run can end', async () => {
    const stores = await open();
    const { journal, runs } = stores;
    const fence = await start(stores);
    await journal.write(fence, [[creation(named('anna'))]]);

    const totals = await journal.close(fence);

    expect(totals).toEqual({ ...NO_TOTALS, created: 1 });
    await expect(journal.write(fence, [[creation(named('ben'))]])).rejects.toMatchObject({ code: 'leaseLost' });
    await expect(journal.tell(fence, { known: 1 })).rejects.toMatchObject({ code: 'leaseLost' });
    expect(await journal.close(fence)).toEqual(totals);
    await runs.heartbeat(fence, { stage: 'applying', progress: { read: 0, planned: 0, applied: 0 }, totals });
    await runs.finish(fence, { ...aRun(stores, 'run-1'), status: 'failed', stage: 'finished', totals });
    expect((await runs.get('run-1'))?.totals).toEqual(totals);
    expect(await journal.write(await start(stores, 'run-2'), [[creation(named('ben'))]])).toEqual(['written']);
  });

  test('shows a killed run with the totals of what it has written, whatever its last heartbeat said', async () => {
    const stores = await open();
    const { journal, runs } = stores;
    const fence = await start(stores);
    const progress = { read: 9, planned: 3, applied: 0 };
    await runs.heartbeat(fence, { stage: 'applying', progress, totals: NO_TOTALS });
    await journal.write(fence, [[creation(named('anna'))], [creation(named('ben'))]]);
    await journal.tell(fence, { lines: [line('skipped', named('carl'))], totals: { unchanged: 5 } });
    stores.passMs(LEASE_MS);

    const silent = await runs.get('run-1');
    await start(stores, 'run-2');

    const totals = { ...NO_TOTALS, created: 2, skipped: 1, unchanged: 5 };
    expect(silent).toMatchObject({ status: 'failed', error: { code: 'interrupted' }, progress, totals });
    expect(await runs.get('run-1')).toEqual(silent);
  });

  // ----------------------------------------------------------------------------------- one account, one directory id

  test('never stores two accounts with one directory id, whoever writes them', async () => {
    const stores = await open();
    const { journal, users } = stores;
    const anna = named('anna');
    const twin = named('anna.weber', { directory: anna.directory });
    const stranger = named('stranger');
    const fence = await start(stores);
    await journal.write(fence, [[creation(anna)], [creation(stranger)]]);

    const refused = [
      ...(await journal.write(fence, [
        [creation(twin)],
        [update(stranger, next(stranger, { directory: anna.directory }))],
        [creation(named('x', { directory: twin.directory })), creation(named('y', { directory: twin.directory }))],
      ])),
      await users.writeTogether([{ kind: 'create', user: twin }]),
      ...(await users.writeEach([{ kind: 'create', user: twin }])),
    ];

    expect(new Set(refused)).toEqual(new Set(['lostRace']));
    expect(await namesOf(stores)).toEqual(['anna', 'stranger']);
    // In each of these ways the id becomes free.
    const moved = next(anna, { directory: { ...anna.directory!, id: 'another id' } });
    expect(await journal.write(fence, [[update(anna, moved)], [creation(twin)]])).toEqual(['written', 'written']);
    expect(await users.writeTogether([{ kind: 'delete', previous: twin }])).toBe('written');
    expect(await users.writeTogether([{ kind: 'create', user: twin }])).toBe('written');
    const unlinked = next(twin, { authentication: 'integrated', directory: null });
    expect(await users.writeTogether([{ kind: 'update', user: unlinked, previous: twin }])).toBe('written');
    const heir = named('heir', { directory: anna.directory });
    expect(await journal.write(fence, [[creation(heir)]])).toEqual(['written']);
    // It passes on within a group, with and without the name.
    const second = named('second', { directory: anna.directory });
    expect(await journal.write(fence, [[deletion(heir), creation(second)]])).toEqual(['written']);
    const third = { ...second, id: 'third' };
    expect(await journal.write(fence, [[deletion(second), creation(third)]])).toEqual(['written']);
    expect(await users.writeTogether([{ kind: 'create', user: heir }])).toBe('lostRace');
    const renamed = next(third, { userName: 'fourth' });
    expect(await users.writeTogether([{ kind: 'rename', user: renamed, previous: third }])).toBe('written');
    expect(await users.writeTogether([{ kind: 'create', user: heir }])).toBe('lostRace');
    expect(await users.writeTogether([{ kind: 'delete', previous: renamed }])).toBe('written');
    expect(await users.writeTogether([{ kind: 'create', user: heir }])).toBe('written');
  });

  test('keeps the owner of an id that is longer than a key may be', async () => {
    const stores = await open();
    const directory = { ...aUser().directory!, id: 'ü'.repeat(3_000) };
    const [anna, ben] = [named('anna', { directory }), named('ben', { directory })];
    const fence = await start(stores);

    expect(await stores.journal.write(fence, [[creation(anna)]])).toEqual(['written']);
    expect(await stores.journal.write(fence, [[creation(ben)]])).toEqual(['lostRace']);
    expect(await stores.journal.write(fence, [[deletion(anna)]])).toEqual(['written']);
    expect(await stores.journal.write(fence, [[creation(ben)]])).toEqual(['written']);
  });

  // ------------------------------------------------------------------------------------------------------ the guard

  test('counts for the guard what was written, by the hour', async () => {
    const stores = await open();
    const { journal, now } = stores;
    const everybody = people(120);
    const began = now();
    const fence = await start(stores);
    await journal.tell(fence, { known: 120 });
    await journal.write(
      fence,
      everybody.map((user) => [creation(user)]),
    );
    const remove = (from: number, to: number, counts: readonly GuardCounter[]) =>
      journal.write(
        fence,
        everybody.slice(from, to).map((user) => [deletion(user, { counts })]),
      );

    await remove(0, 60, ['absence']);
    await journal.tell(fence, { known: 110 });
    await remove(60, 61, ['mark', 'fullName', 'emailAddresses']);
    expect(await remove(0, 1, ['absence'])).toEqual(['lostRace']);
    stores.passMs(3 * 3_600_000);
    await remove(61, 63, ['approved', 'absence']);
    await journal.tell(fence, { known: 57 });

    const zero = { absence: 0, mark: 0, fullName: 0, emailAddresses: 0, enable: 0, approved: 0 };
    const hours = await journal.readGuard(began);
    expect(hours).toEqual([
      {
        hour: '2026-05-04T10:00:00.000Z',
        counts: { ...zero, absence: 60, mark: 1, fullName: 1, emailAddresses: 1 },
        known: 120,
      },
      { hour: '2026-05-04T13:00:00.000Z', counts: { ...zero, absence: 2, approved: 2 }, known: 57 },
    ]);
    expect(await journal.readGuard(new Date('2026-05-04T10:59:00.000Z'))).toEqual(hours);
    expect(await journal.readGuard(new Date('2026-05-04T11:00:00.000Z'))).toEqual(hours.slice(1));
    expect(await journal.readGuard(new Date('2026-05-04T14:00:00.000Z'))).toEqual([]);
  });

  // ----------------------------------------------------------------------------------------------------- the memory

  test('hands the memory to the next runs', async () => {
    const stores = await open();
    const { journal, runs } = stores;
    expect(await journal.recall()).toEqual({ lastRead: null, unreachable: {} });
    const fence = await start(stores);
    const memory = {
      lastRead: { entries: 41, server: { name: 'ldap.example.com', identity: 'cn=a' } },
      unreachable: { 'b.example.com': 2 },
    };

    await journal.remember(fence, memory);
    await runs.finish(fence, { ...aRun(stores, 'run-1'), status: 'partial', stage: 'finished' });
    const result = await runs.start(aRun(stores, 'run-2'));

    expect(await journal.recall()).toEqual(memory);
    expect(result.kind === 'started' && result.run.expectedEntries).toBe(41);
    expect(await runs.get('run-2')).toMatchObject({ expectedEntries: 41 });
  });

  // ------------------------------------------------------------------------------------------------------ approvals

  test('carries out an approval once, with the write that it is for', async () => {
    const stores = await open();
    const { approvals, journal, users } = stores;
    const [anna, ben, carl] = [named('anna'), named('ben'), named('carl')];
    await users.writeEach([anna, ben, carl].map((user) => ({ kind: 'create', user })));
    const [forAnna, forBen, forCarl] = [anna, ben, carl].map(({ id }) => anApproval(stores, id)) as [
      Approval,
      Approval,
      Approval,
    ];
    await approvals.approve([forAnna, forBen, forCarl]);
    const fence = await start(stores);
    stores.passMs(1_000);
    await approvals.approve([anApproval(stores, ben.id)]);
    await approvals.end([forBen, forCarl]);

    const results = await journal.write(fence, [
      [deletion(anna, { approvals: [forAnna] })],
      // Given anew meanwhile, and ended.
      [deletion(ben, { approvals: [forBen] })],
      [deletion(carl, { approvals: [forCarl] })],
    ]);

    expect(results).toEqual(['written', 'lostRace', 'lostRace']);
    expect(await linesOf(stores)).toEqual(['deleted anna']);
    expect((await approvals.list()).toSorted((a, b) => (a.userId < b.userId ? -1 : 1))).toEqual([
      { ...forAnna, done: true },
      { ...anApproval(stores, ben.id), done: false },
    ]);
  });

  test('leaves the approval of a write that has lost a race as it was', async () => {
    const stores = await open();
    const anna = named('anna');
    await stores.users.writeEach([{ kind: 'create', user: next(anna) }]);
    const approval = anApproval(stores, anna.id);
    await stores.approvals.approve([approval]);
    const fence = await start(stores);

    expect(await stores.journal.write(fence, [[deletion(anna, { approvals: [approval] })]])).toEqual(['lostRace']);
    expect(await stores.approvals.list()).toEqual([{ ...approval, done: false }]);
  });

  test('keeps more than a thousand approvals, each by its user and proposal, for 14 days', async () => {
    const stores = await open();
    const { approvals } = stores;
    const many = Array.from({ length: 1_100 }, (_, index) => anApproval(stores, `user-${index}`));
    const link = anApproval(stores, 'user-0', { proposes: 'link', directoryId: 'new id', approvedBy: null });

    await approvals.approve([...many, link]);
    await approvals.approve([]);
    expect(await approvals.list()).toHaveLength(1_101);
    await approvals.end(many.slice(1));
    expect(await approvals.list()).toEqual(
      expect.arrayContaining([
        { ...many[0], done: false },
        { ...link, done: false },
      ]),
    );
    stores.passMs(APPROVAL_KEPT_MS - 1_000);
    const again = anApproval(stores, 'user-0');
    await approvals.approve([many[0]!, again]);
    expect(await approvals.list()).toHaveLength(2);

    stores.passMs(1_000);
    expect(await approvals.list()).toEqual([{ ...again, done: false }]);
  });
});
