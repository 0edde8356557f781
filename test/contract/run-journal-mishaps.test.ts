/**
 * The journal of a run on a DynamoDB that collides, fails, loses answers and comes late: whatever happens, the lines
 * tell what was written, and a run that has lost its lease writes nothing.
 */
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createRunJournal } from '../../lib/aws/run-journal.ts';
import { createRunStore } from '../../lib/aws/run-store.ts';
import { toUserItem } from '../../lib/aws/user-item.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import type { JournalWrite } from '../../lib/sync/run-journal.ts';
import type { Change } from '../../lib/sync/run.ts';
import { LEASE_MS, newRun, NO_TOTALS } from '../../lib/sync/run.ts';
import type { Fence, UserWrite } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import type { LocalDynamoDb } from '../../local/dynamodb.ts';
import { startFaultyProxy } from '../support/faulty-proxy.ts';
import type { FaultyProxy, Mishap } from '../support/faulty-proxy.ts';
import { aUser, NOW } from '../support/people.ts';
import { connect, createTables } from '../support/tables.ts';
import { modelConflicts } from '../support/transaction-conflicts.ts';

let server: LocalDynamoDb;
let proxy: FaultyProxy;
let client: DynamoDBDocumentClient;
let house: Awaited<ReturnType<typeof openHouse>>;

beforeAll(async () => {
  server = await startDynamoDb();
  proxy = await startFaultyProxy(server.endpoint);
});
beforeEach(async () => {
  client = connect(proxy.url);
  house = await openHouse();
});
afterEach(() => {
  proxy.decide = () => 'none';
  proxy.seen.clear();
  client.destroy();
});
afterAll(async () => {
  await proxy?.stop();
  await server?.stop();
});

async function openHouse() {
  let time = NOW.getTime();
  const clock = { now: () => new Date(time) };
  const options = { client, clock, ...(await createTables(client)) };
  const [runs, users, journal] = [createRunStore(options), createUserStore(options), createRunJournal(options)];
  return {
    options,
    runs,
    users,
    journal,
    passMs: (ms: number) => void (time += ms),
    async start(id = 'run-1'): Promise<Fence> {
      const request = { dryRun: false, trigger: 'api', requestedBy: null, approves: null } as const;
      const result = await runs.start({ ...newRun(id, request, clock.now()), stage: 'reading' });
      if (result.kind === 'active') throw new Error('the lease is taken');
      return result.fence;
    },
    async names(): Promise<string[]> {
      const names: string[] = [];
      for await (const links of users.readLinks()) names.push(...links.map(({ nameKey }) => nameKey));
      return names.sort();
    },
    async lines(runId = 'run-1'): Promise<readonly Change[]> {
      return (await runs.listChanges(runId, { limit: 100_000 })).items;
    },
  };
}

const people = (count: number): User[] =>
  Array.from({ length: count }, (_, index) => aUser({ id: `id-${index}`, userName: `user-${index}` }));

function told(write: UserWrite): JournalWrite {
  const user = write.kind === 'create' ? write.user : write.previous;
  const change = {
    kind: write.kind === 'create' ? 'created' : 'deleted',
    userId: user.id,
    userName: user.userName,
    directoryId: null,
    dn: null,
  } as const;
  return { write, change, counts: write.kind === 'delete' ? ['absence'] : [], approvals: [] };
}

const creations = (users: readonly User[]): JournalWrite[][] => users.map((user) => [told({ kind: 'create', user })]);
const skipped = (userName: string): Change => ({
  kind: 'skipped',
  userId: null,
  userName,
  directoryId: null,
  dn: null,
});

/** Everything that is written is told, and nothing else. */
async function expectTruth(totals = house.journal.readTotals('run-1')): Promise<number> {
  const names = await house.names();
  const lines = await house.lines();
  expect(lines.map(({ userName }) => userName!).toSorted()).toEqual(names);
  expect((await totals).created).toBe(names.length);
  return names.length;
}

/** Holds back one coming transaction. */
function holdTransaction(nth: number): { readonly held: Promise<void>; readonly letGo: () => void } {
  const [arrival, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const number = (proxy.seen.get('TransactWriteItems') ?? 0) + nth;
  proxy.decide = (operation, at) => {
    if (operation !== 'TransactWriteItems' || at !== number) return 'none';
    arrival.resolve();
    return release.promise;
  };
  return { held: arrival.promise, letGo: release.resolve };
}

describe('transactions in flight', () => {
  test('are eight at a time, and never meet each other, a heartbeat or what is told meanwhile', async () => {
    const traffic = modelConflicts(client);
    const fence = await house.start();
    const everybody = people(4_000);
    const state = { stage: 'applying', progress: { read: 0, planned: 0, applied: 0 }, totals: NO_TOTALS } as const;
    let beats = 0;
    const pulse = setInterval(() => {
      void house.runs.heartbeat(fence, state).then(() => (beats += 1));
    }, 20);

    const [results] = await Promise.all([
      house.journal.write(fence, creations(everybody)),
      ...Array.from({ length: 20 }, (_, index) =>
        house.journal.tell(fence, { totals: { unchanged: 1 }, known: index }),
      ),
    ]);
    const removals = await house.journal.write(
      fence,
      everybody.map((previous) => [told({ kind: 'delete', previous })]),
    );
    clearInterval(pulse);

    expect(new Set([...results, ...removals])).toEqual(new Set(['written']));
    expect(traffic.conflicts).toEqual([]);
    expect(traffic.mostInFlight).toBe(8);
    expect(beats).toBeGreaterThan(10);
    expect(await house.journal.readTotals('run-1')).toEqual({
      ...NO_TOTALS,
      created: 4_000,
      deleted: 4_000,
      unchanged: 20,
    });
    expect(await house.journal.readGuard(NOW)).toMatchObject([{ counts: { absence: 4_000 }, known: 19 }]);
  }, 120_000);

  test('wait for another writer of the same users, and tell who was first', async () => {
    const traffic = modelConflicts(client, 20);
    const fence = await house.start();
    const everybody = people(300);
    await house.journal.write(fence, creations(everybody));
    const changed = (user: User): User => ({ ...user, fullName: 'changed', version: user.version + 1 });

    const [removals, edits] = await Promise.all([
      house.journal.write(
        fence,
        everybody.map((previous) => [told({ kind: 'delete', previous })]),
      ),
      house.users.writeEach(everybody.map((previous) => ({ kind: 'update', user: changed(previous), previous }))),
    ]);

    expect(traffic.conflicts.length).toBeGreaterThan(0);
    for (const [index, result] of removals.entries()) {
      expect(edits[index]).toBe(result === 'written' ? 'lostRace' : 'written');
    }
    const removed = removals.filter((result) => result === 'written').length;
    expect((await house.journal.readTotals('run-1')).deleted).toBe(removed);
    expect(await house.names()).toHaveLength(300 - removed);
  });

  test('are sent again after conflicts, throttling and lost answers, and happen once', async () => {
    const fence = await house.start();
    const mishaps = ['conflict', 'drop', 'throttle', 'inProgress', 'fail'] as const;
    proxy.decide = (operation, number) =>
      operation === 'TransactWriteItems' && number % 3 === 0 ? mishaps[(number / 3) % mishaps.length]! : 'none';

    const results = await house.journal.write(fence, creations(people(1_000)));

    expect(new Set(results)).toEqual(new Set(['written']));
    proxy.decide = () => 'none';
    expect(await expectTruth()).toBe(1_000);
  }, 60_000);
});

describe('a fault in the middle', () => {
  const faults: Record<string, (sinceFirst: number) => Mishap> = {
    'a role that may no longer write': () => 'deny',
    'an answer lost after the write, then an outage': (sinceFirst) => (sinceFirst < 3 ? 'drop' : 'deny'),
    'an outage that swallows every answer': () => 'drop',
  };

  test.each(Object.keys(faults))(
    'leaves as many lines as users: %s',
    async (fault) => {
      const everybody = people(400);
      let ended = 0;
      for (let first = 1; first <= 9; first += 2) {
        proxy.seen.clear();
        proxy.decide = () => 'none';
        house = await openHouse();
        const fence = await house.start();
        proxy.seen.clear();
        const began = Date.now();
        proxy.decide = (operation, number) => {
          if (operation !== 'TransactWriteItems' || number < first) return 'none';
          // The outage that swallows answers ends in a refusal, because the test can't wait for every retry.
          return Date.now() - began > 1_000 ? 'deny' : faults[fault]!(number - first);
        };

        await expect(house.journal.write(fence, creations(everybody))).rejects.toMatchObject({
          code: 'storeUnavailable',
        });

        proxy.decide = () => 'none';
        const written = await expectTruth(house.journal.close(fence));
        expect(written).toBeLessThanOrEqual(400);
        ended += written;
        // The next run completes what is missing.
        house.passMs(LEASE_MS);
        const results = await house.journal.write(await house.start('run-2'), creations(everybody));
        expect(results.filter((result) => result === 'written')).toHaveLength(400 - written);
        expect(await house.names()).toHaveLength(400);
      }
      expect(ended).toBeGreaterThan(0);
    },
    120_000,
  );

  test('costs nothing that was told: it is stored once when it is told again', async () => {
    const fence = await house.start();
    const news = { lines: [skipped('anna')], totals: { unchanged: 3 }, known: 4 };
    const first = (proxy.seen.get('TransactWriteItems') ?? 0) + 1;
    // The first try is carried out, but its answer is lost; then the store refuses.
    proxy.decide = (operation, number) => {
      if (operation !== 'TransactWriteItems') return 'none';
      return number === first ? 'drop' : 'deny';
    };
    await expect(house.journal.tell(fence, news)).rejects.toMatchObject({ code: 'storeUnavailable' });
    proxy.decide = () => 'none';

    await house.journal.tell(fence, news);

    expect(await house.lines()).toEqual([skipped('anna')]);
    expect(await house.journal.readTotals('run-1')).toEqual({ ...NO_TOTALS, skipped: 1, unchanged: 3 });
  });
});

describe('a run that comes late', () => {
  test('writes nothing with a transaction that was on its way when the lease passed on', async () => {
    const dead = await house.start();
    await house.journal.write(dead, creations(people(1)));
    const transaction = holdTransaction(1);
    const late = house.journal.write(dead, creations(people(3).slice(1)));
    const refused = expect(late).rejects.toMatchObject({ code: 'leaseLost' });
    await transaction.held;
    house.passMs(LEASE_MS);
    const fence = await house.start('run-2');
    const frozen = await house.runs.get('run-1');

    transaction.letGo();

    await refused;
    expect(frozen).toMatchObject({ status: 'failed', totals: { created: 1 } });
    expect(await house.runs.get('run-1')).toEqual(frozen);
    expect(await expectTruth()).toBe(1);
    expect(await house.journal.write(fence, creations(people(2).slice(1)))).toEqual(['written']);
  });

  test('writes nothing with a transaction that was on its way when it closed its journal', async () => {
    const fence = await house.start();
    const everybody = people(90);
    await house.journal.write(fence, creations(everybody.slice(0, 20)));
    const transaction = holdTransaction(2);
    const late = house.journal.write(fence, creations(everybody.slice(20)));
    const refused = expect(late).rejects.toMatchObject({ code: 'leaseLost' });
    await transaction.held;

    const totals = house.journal.close(fence);
    await totals;
    transaction.letGo();

    await refused;
    const written = await expectTruth(totals);
    expect(written).toBeGreaterThanOrEqual(20);
    expect(written).toBeLessThan(90);
  });

  test('writes nothing beside its successor, in however many attempts', async () => {
    const dead = await house.start();
    house.passMs(LEASE_MS);
    const fence = await house.start('run-2');
    const other = createRunJournal(house.options);
    const everybody = people(300);

    const attempts = await Promise.allSettled([
      other.write(fence, creations(everybody)),
      ...everybody
        .slice(0, 40)
        .map((user) => house.journal.write(dead, creations([{ ...user, id: `late ${user.id}` }]))),
    ]);

    expect(attempts[0]).toMatchObject({ status: 'fulfilled' });
    for (const attempt of attempts.slice(1)) {
      expect(attempt).toMatchObject({ status: 'rejected', reason: { code: 'leaseLost' } });
    }
    expect(await house.lines('run-1')).toEqual([]);
    expect(await house.lines('run-2')).toHaveLength(300);
    for (const user of (await house.users.list({ limit: 200 })).items) expect(user.id).not.toContain('late');
  });

  test('still takes the lease of a run that was sealed by a start that then died', async () => {
    const dead = await house.start();
    await house.journal.write(dead, creations(people(2)));
    house.passMs(LEASE_MS);
    // The first transaction of the start seals the lease; the second one never comes.
    const first = (proxy.seen.get('TransactWriteItems') ?? 0) + 1;
    proxy.decide = (operation, number) => (operation === 'TransactWriteItems' && number > first ? 'deny' : 'none');
    await expect(house.start('run-2')).rejects.toMatchObject({ code: 'storeUnavailable' });
    proxy.decide = () => 'none';

    expect(await house.runs.get('run-1')).toMatchObject({ error: { code: 'interrupted' }, totals: { created: 2 } });
    const state = { stage: 'applying', progress: { read: 0, planned: 0, applied: 0 }, totals: NO_TOTALS } as const;
    await expect(house.runs.heartbeat(dead, state)).rejects.toMatchObject({ code: 'leaseLost' });
    await expect(house.journal.write(dead, creations(people(3)))).rejects.toMatchObject({ code: 'leaseLost' });
    expect(await house.runs.takeUp('run-1')).toBeNull();
    const fence = await house.start('run-3');
    expect(await house.runs.get('run-1')).toMatchObject({ status: 'failed', totals: { created: 2 } });
    expect(await house.journal.write(fence, creations(people(3).slice(2)))).toEqual(['written']);
  });
});

describe('lines that are large', () => {
  test('share fewer transactions', async () => {
    const fence = await house.start();
    const groups = creations(people(100)).map(([write]) => [
      { ...write!, change: { ...write!.change!, reason: randomBytes(6_000).toString('base64') } },
    ]);

    const results = await house.journal.write(fence, groups);

    expect(new Set(results)).toEqual(new Set(['written']));
    const changes = groups.flat().map(({ change }) => change);
    expect(await house.lines()).toHaveLength(100);
    expect(await house.lines()).toEqual(expect.arrayContaining(changes));
  });

  test('are cut where one alone exceeds an item', async () => {
    const fence = await house.start();
    const [write] = creations(people(1)).flat();
    const from = randomBytes(300_000).toString('base64');
    const change = { ...write!.change!, fields: { fullName: { from, to: null } } };

    expect(await house.journal.write(fence, [[{ ...write!, change }]])).toEqual(['written']);

    expect(await house.lines()).toEqual([{ ...write!.change, reason: '(the values are too long to be kept)' }]);
  });
});

describe('data of an earlier version', () => {
  const put = (table: string, Item: Record<string, unknown>) => client.send(new PutCommand({ TableName: table, Item }));

  test('is a lease that knows the entries of the last read', async () => {
    await put(house.options.operationsTable, {
      pk: 'lease',
      sk: 'sync',
      token: 12,
      heldUntil: 5,
      chunks: 3,
      lastRead: 77,
    });

    expect(await house.journal.recall()).toEqual({ lastRead: { entries: 77, server: null }, unreachable: {} });
    const fence = await house.start();

    expect(fence.token).toBe(13);
    expect(await house.runs.get('run-1')).toMatchObject({ expectedEntries: 77 });
    expect(await house.journal.recall()).toMatchObject({ lastRead: { entries: 77 } });
  });

  test('is a run that died, with lines that nobody counted', async () => {
    const { operationsTable } = house.options;
    const dead = await house.start();
    const lines = await promisify(gzip)(JSON.stringify([skipped('a'), skipped('b')]));
    const expiresAt = NOW.getTime() / 1_000 + 1e6;
    await put(operationsTable, { pk: 'changes#run-1', sk: '00000000', lines, expiresAt });
    await house.journal.write(dead, creations(people(1)));
    house.passMs(LEASE_MS);

    await house.start('run-2');

    const totals = { ...NO_TOTALS, skipped: 2, created: 1 };
    expect(await house.runs.get('run-1')).toMatchObject({ status: 'failed', totals });
    expect(await house.journal.readTotals('run-1')).toEqual(totals);
    const ofKind = await house.runs.listChanges('run-1', { kind: 'skipped', limit: 5 });
    expect(ofKind.items).toEqual([skipped('a'), skipped('b')]);
  });

  test('is a user under a name key that is computed in another way today', async () => {
    const { usersTable } = house.options;
    const [person] = people(1) as [User];
    const anna = { ...person, userName: 'Ａnna' };
    await put(usersTable, { ...toUserItem(anna), nameKey: 'ａnna' });
    const stored = (await house.users.getMany(['ａnna'])).get('ａnna')!;
    expect(stored).toEqual({ ...anna, storedKey: 'ａnna' });

    const changed = { ...stored, fullName: 'changed', version: 2 };
    expect(await house.users.writeTogether([{ kind: 'update', user: changed, previous: stored }])).toBe('written');
    const { storedKey: _storedKey, ...renewed } = { ...changed, version: 3 };
    expect(await house.users.writeTogether([{ kind: 'rename', user: renewed, previous: changed }])).toBe('written');

    expect(await house.users.getMany(['ａnna'])).toEqual(new Map());
    expect(await house.users.get('ANNA')).toEqual(renewed);
  });

  test('is users without an owner of their directory id, even two with one id', async () => {
    const { usersTable, operationsTable } = house.options;
    const [anna, ben] = people(2) as [User, User];
    const twin = { ...ben, directory: anna.directory };
    for (const user of [anna, twin]) await put(usersTable, toUserItem(user));
    const changed = { ...anna, fullName: 'changed', version: 2 };
    const moved = { ...changed, directory: { ...anna.directory!, id: 'moved' }, version: 3 };
    const back = { ...moved, directory: anna.directory, version: 4 };

    for (const [previous, user] of [
      [anna, changed],
      [changed, moved],
      [moved, back],
    ] as const) {
      expect(await house.users.writeTogether([{ kind: 'update', user, previous }])).toBe('written');
    }

    const owner = await client.send(
      new GetCommand({ TableName: operationsTable, Key: { pk: 'link#entryuuid:id-of-id-0', sk: 'user' } }),
    );
    expect(owner.Item).toMatchObject({ userId: anna.id });
    // The twin can go, and leaves the id to its owner.
    expect(await house.users.writeTogether([{ kind: 'delete', previous: twin }])).toBe('written');
    expect(await house.users.writeTogether([{ kind: 'create', user: twin }])).toBe('lostRace');
    expect(await house.names()).toEqual(['user-0']);
  });
});
