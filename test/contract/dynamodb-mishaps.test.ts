import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createUserStore } from '../../lib/aws/user-store.ts';
import { newRun } from '../../lib/sync/run.ts';
import type { User } from '../../lib/user/user.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import type { LocalDynamoDb } from '../../local/dynamodb.ts';
import { startFaultyProxy } from '../support/faulty-proxy.ts';
import type { FaultyProxy } from '../support/faulty-proxy.ts';
import { aUser } from '../support/people.ts';
import { openDynamoDbStores } from '../support/stores.ts';
import type { Stores } from '../support/stores.ts';
import { connect, createTables } from '../support/tables.ts';

let server: LocalDynamoDb;
let proxy: FaultyProxy;
let client: DynamoDBDocumentClient;
let stores: Stores;

beforeAll(async () => {
  server = await startDynamoDb();
  proxy = await startFaultyProxy(server.endpoint);
  client = connect(proxy.url);
});
beforeEach(async () => {
  stores = await openDynamoDbStores(client);
});
afterEach(() => {
  proxy.decide = () => 'none';
  proxy.seen.clear();
});
afterAll(async () => {
  client?.destroy();
  await proxy?.stop();
  await server?.stop();
});

const people = (count: number, ...more: string[]): User[] =>
  Array.from({ length: count }, (_, index) =>
    aUser({
      id: `id-${index}`,
      userName: `user-${index}`,
      emailAddresses: ['user', ...more].map((name) => `${name}-${index}@example.com`),
    }),
  );
const creations = (users: readonly User[]) => users.map((user) => ({ kind: 'create', user }) as const);
const aLine = { kind: 'created', userId: '1', userName: 'one', directoryId: null, dn: null } as const;
const next = (user: User): User => ({ ...user, fullName: 'changed', version: user.version + 1 });

test('a filter that few pass asks for no larger pages than DynamoDB allows, however many come back small', async () => {
  const asked: number[] = [];
  const small = connect(server.endpoint);
  // As if a page of a few users had a megabyte.
  small.middlewareStack.add(
    (send) => (args) => {
      const { Limit, ...rest } = args.input as { readonly Limit?: number };
      if (Limit === undefined) return send(args);
      asked.push(Limit);
      return send({ ...args, input: { ...rest, Limit: Math.min(Limit, 2) } });
    },
    { step: 'initialize' },
  );
  const { users } = await openDynamoDbStores(small);
  await users.writeEach(creations(people(400)));

  const { items } = await users.list({ status: 'disabled', limit: 1 });

  expect(items).toEqual([]);
  expect(asked.length).toBeGreaterThan(100);
  expect(Math.max(...asked)).toBe(10_000);
  small.destroy();
});

describe('a DynamoDB that throttles', () => {
  test('is asked again for a whole batch', async () => {
    proxy.decide = (operation, number) => (operation === 'BatchExecuteStatement' && number <= 3 ? 'throttle' : 'none');

    expect(await stores.users.writeEach(creations(people(3, 'alias')))).toEqual(['written', 'written', 'written']);
  });

  test('is asked again for the statements it refused, and for no others', async () => {
    proxy.decide = (operation, number) => (operation === 'BatchExecuteStatement' && number <= 2 ? [0, 3] : 'none');
    const users = people(5, 'alias');

    const results = await stores.users.writeEach(creations(users));

    expect(results).toEqual(['written', 'written', 'written', 'written', 'written']);
    expect((await stores.users.list({ limit: 10 })).items).toEqual(users);
    for (const { userName, emailAddresses } of users) {
      const { items } = await stores.users.list({ search: emailAddresses[1]!, limit: 10 });
      expect(items.map((user) => user.userName)).toEqual([userName]);
    }
  });

  test.each([
    ['a batch', 'BatchExecuteStatement', [0]],
    ['a transaction', 'TransactWriteItems', 'conflict'],
  ] as const)('and never stops is a fault that ends within bounds: %s', async (_, refused, mishap) => {
    proxy.decide = (operation) => (operation === refused ? mishap : 'none');

    await expect(stores.users.writeEach(creations(people(2, 'alias')))).rejects.toMatchObject({
      code: 'storeUnavailable',
      retryable: true,
    });
    expect(proxy.seen.get(refused)).toBe(10);
  });

  test('or fails is asked again by every call', async () => {
    const [anna] = people(1) as [User];
    proxy.decide = (_operation, number) => (number === 1 ? 'throttle' : number === 2 ? 'fail' : 'none');

    await stores.users.writeTogether(creations([anna]));

    expect(await stores.users.get('user-0')).toEqual(anna);
    expect((await stores.logins.find('user-0', null)).user).toEqual(anna);
    expect((await stores.users.list({ limit: 1 })).items).toEqual([anna]);
  });
});

test('a transaction that collides with another one, or still is in progress, is tried again and happens once', async () => {
  const [anna, ben] = people(2) as [User, User];
  await stores.users.writeEach(creations([anna]));
  const mishaps = ['conflict', 'inProgress'] as const;
  proxy.decide = (operation, number) => (operation === 'TransactWriteItems' ? (mishaps[number - 1] ?? 'none') : 'none');

  const result = await stores.users.writeTogether([
    { kind: 'update', user: next(anna), previous: anna },
    { kind: 'create', user: ben },
  ]);

  expect(result).toBe('written');
  expect(proxy.seen.get('TransactWriteItems')).toBe(3);
  expect(await stores.users.get(ben.userName)).toEqual(ben);
});

test('a single write that collides with a transaction is tried again', async () => {
  proxy.decide = (operation, number) => (operation === 'UpdateItem' && number <= 2 ? 'collide' : 'none');

  await stores.logins.countRefusal('192.0.2.1', 7, [], new Date(Date.now() + 60_000));
  expect(proxy.seen.get('UpdateItem')).toBe(3);
});

describe('an answer that is lost', () => {
  test('does not turn a creation that was done into a lost race', async () => {
    proxy.decide = (operation, number) => (operation === 'TransactWriteItems' && number === 1 ? 'drop' : 'none');
    const users = people(25);

    const results = await stores.users.writeEach(creations(users));

    expect(new Set(results)).toEqual(new Set(['written']));
    expect(proxy.seen.get('TransactWriteItems')).toBe(2);
  });

  test('does not hide a race that was really lost', async () => {
    const [anna, ben] = people(2) as [User, User];
    await stores.users.writeEach(creations([anna]));
    proxy.decide = (operation, number) => (operation === 'TransactWriteItems' && number === 2 ? 'drop' : 'none');

    const results = await stores.users.writeEach(creations([{ ...anna, id: 'a rival' }, ben]));

    expect(results).toEqual(['lostRace', 'written']);
    expect(await stores.users.get(anna.userName)).toEqual(anna);
  });

  test('does not turn an update or a deletion that was done into a lost race', async () => {
    const [anna, ben] = people(2) as [User, User];
    await stores.users.writeEach(creations([anna, ben]));
    proxy.decide = (operation, number) => (operation === 'TransactWriteItems' && number === 2 ? 'drop' : 'none');

    const results = await stores.users.writeEach([
      { kind: 'update', user: next(anna), previous: anna },
      { kind: 'delete', previous: ben },
    ]);

    expect(results).toEqual(['written', 'written']);
    expect(await stores.users.get(anna.userName)).toEqual(next(anna));
  });

  test('does not make a transaction happen twice or fail', async () => {
    const [anna, ben] = people(2) as [User, User];
    await stores.users.writeEach(creations([anna]));
    proxy.decide = (operation, number) => (operation === 'TransactWriteItems' && number === 1 ? 'drop' : 'none');

    const result = await stores.users.writeTogether([
      { kind: 'update', user: next(anna), previous: anna },
      { kind: 'create', user: ben },
    ]);

    expect(result).toBe('written');
    expect(await stores.users.get(anna.userName)).toEqual(next(anna));
  });

  test('costs no run its lease, whichever call it was', async () => {
    const { journal, runs, now } = stores;
    const run = newRun('run-1', { dryRun: false, trigger: 'api', requestedBy: null, approves: null }, now());
    const dropped = new Set<string>();
    // Drops the first answer of every operation that writes; `dropped.clear()` drops the next one, too.
    proxy.decide = (operation) => {
      if (dropped.has(operation) || !/Write|Update|Put/u.test(operation)) return 'none';
      dropped.add(operation);
      return 'drop';
    };

    const started = await runs.start(run);
    dropped.clear();
    const taken = await runs.takeUp('run-1');
    dropped.clear();
    await runs.heartbeat(taken!.fence, { ...run, stage: 'applying' });
    dropped.clear();
    await journal.tell(taken!.fence, { lines: [aLine] });
    dropped.clear();
    await journal.remember(taken!.fence, { lastRead: null, unreachable: { b: 1 } });
    dropped.clear();
    await journal.close(taken!.fence);
    dropped.clear();
    await runs.finish(taken!.fence, { ...run, status: 'succeeded', stage: 'finished' });

    expect(started.kind === 'started').toBe(true);
    expect((await runs.get('run-1'))?.status).toBe('succeeded');
    expect((await runs.listChanges('run-1', { limit: 10 })).items).toHaveLength(1);
    expect(await journal.recall()).toEqual({ lastRead: null, unreachable: { b: 1 } });
  });
});

describe('a record that has expired and is still there', () => {
  test('is shown no more', async () => {
    const { journal, runs, now } = stores;
    const run = newRun('run-1', { dryRun: false, trigger: 'api', requestedBy: null, approves: null }, now());
    const started = await runs.start(run);
    if (started.kind === 'active') throw new Error('the lease is taken');
    await journal.tell(started.fence, { lines: [aLine] });
    await runs.finish(started.fence, { ...run, status: 'succeeded', stage: 'finished' });
    stores.passMs(89 * 86_400_000);
    const before = [await runs.get('run-1'), ...(await runs.list({ limit: 5 })).items];
    const linesBefore = await runs.listChanges('run-1', { limit: 5 });

    stores.passMs(2 * 86_400_000);

    expect(before).toHaveLength(2);
    expect(linesBefore.items).toHaveLength(1);
    expect(await runs.get('run-1')).toBeNull();
    expect((await runs.list({ limit: 5 })).items).toEqual([]);
    expect((await runs.listChanges('run-1', { limit: 5 })).items).toEqual([]);
  });
});

describe('a DynamoDB that is not there', () => {
  test('is a fault that may pass', async () => {
    const nowhere = connect('http://127.0.0.1:1');
    const users = createUserStore({ client: nowhere, usersTable: 'users', operationsTable: 'operations' });

    await expect(users.get('anna')).rejects.toMatchObject({ code: 'storeUnavailable', retryable: true });
    await expect(users.readLinks()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'storeUnavailable' });
    nowhere.destroy();
  });

  test('or has no such table is a fault of the deployment', async () => {
    const users = createUserStore({ client, usersTable: 'missing-users', operationsTable: 'missing' });

    await expect(users.get('anna')).rejects.toMatchObject({ code: 'storeUnavailable', retryable: false });
    await expect(users.writeEach(creations(people(1)))).rejects.toMatchObject({ code: 'storeUnavailable' });
  });
});

describe('the local DynamoDB', () => {
  test.each(['dynoxide', 'dynamodb-local'] as const)('%s keeps its tables in a folder', async (kind) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'rollcall-dynamodb-'));
    const first = await startDynamoDb({ kind, folder });
    const before = connect(first.endpoint);
    const tables = await createTables(before);
    const [anna] = people(1) as [User];
    await createUserStore({ client: before, ...tables }).writeEach(creations([anna]));
    before.destroy();
    await first.stop();

    const second = await startDynamoDb({ kind, folder });
    const after = connect(second.endpoint);
    const found = await createUserStore({ client: after, ...tables }).get('user-0');
    after.destroy();
    await second.stop();
    await rm(folder, { recursive: true });

    expect(found).toEqual(anna);
  });

  test('ends with the process that started it, even when that is killed', async () => {
    const program = `const { startDynamoDb } = await import(${JSON.stringify(path.resolve('local/dynamodb.ts'))});
      console.log((await startDynamoDb()).endpoint);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const endpoint = line.toString().trim();
    expect((await fetch(endpoint)).status).toBeGreaterThan(0);

    parent.kill('SIGKILL');
    await once(parent, 'exit');

    await expect
      .poll(
        () =>
          fetch(endpoint).then(
            () => 'answers',
            () => 'gone',
          ),
        { timeout: 5_000 },
      )
      .toBe('gone');
  });
});
