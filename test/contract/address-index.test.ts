/**
 * What the address index costs, and that it loses no user when requests are late or lost: they are counted, held back
 * and broken off at the wire. The contract of the user store tests that searches find the right users.
 */
import { ScanCommand } from '@aws-sdk/lib-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import type { LoginStore } from '../../lib/login/login-store.ts';
import type { UserStore } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import type { LocalDynamoDb } from '../../local/dynamodb.ts';
import { startFaultyProxy } from '../support/faulty-proxy.ts';
import type { FaultyProxy } from '../support/faulty-proxy.ts';
import { aUser, NOW } from '../support/people.ts';
import { connect, createTables } from '../support/tables.ts';

let server: LocalDynamoDb;
let proxy: FaultyProxy;
let client: DynamoDBDocumentClient;
let usersTable: string;
let users: UserStore;
let logins: LoginStore;

beforeAll(async () => {
  server = await startDynamoDb();
  proxy = await startFaultyProxy(server.endpoint);
  client = connect(proxy.url);
});
beforeEach(async () => {
  const tables = await createTables(client);
  ({ usersTable } = tables);
  users = createUserStore({ client, ...tables });
  logins = createLoginStore({ client, ...tables, clock: { now: () => NOW } });
  proxy.seen.clear();
});
afterEach(() => {
  proxy.decide = () => 'none';
});
afterAll(async () => {
  client?.destroy();
  await proxy?.stop();
  await server?.stop();
});

const addressed = (userName: string, ...local: string[]): User =>
  aUser({ id: `id of ${userName}`, userName, emailAddresses: local.map((name) => `${name}@example.com`) });
const next = (user: User, over: Partial<User>): User => ({ ...user, ...over, version: user.version + 1 });
const readdressed = (user: User, ...local: string[]): User => next(user, addressed(user.userName, ...local));

async function create(...all: User[]): Promise<void> {
  expect(new Set(await users.writeEach(all.map((user) => ({ kind: 'create', user }))))).toEqual(new Set(['written']));
}

async function update(user: User, previous: User): Promise<void> {
  expect(await users.writeEach([{ kind: 'update', user, previous }])).toEqual(['written']);
}

async function find(local: string): Promise<readonly string[]> {
  const { items } = await users.list({ search: `${local}@example.com`, limit: 10 });
  return items.map(({ userName }) => userName);
}

async function itemsInTable(): Promise<Record<string, unknown>[]> {
  return (await client.send(new ScanCommand({ TableName: usersTable, ConsistentRead: true }))).Items ?? [];
}

async function keysInTable(): Promise<string[]> {
  return (await itemsInTable()).map(({ nameKey }) => nameKey as string).sort();
}

/** Counts the requests of `work` to DynamoDB, by operation. */
async function requestsOf(work: () => Promise<unknown>): Promise<Record<string, number>> {
  proxy.seen.clear();
  await work();
  return Object.fromEntries(proxy.seen);
}

/** Holds back one coming request, the `nth` of its operation. */
function hold(operation: string, nth: number): { readonly held: Promise<void>; readonly letGo: () => void } {
  const [arrival, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const number = (proxy.seen.get(operation) ?? 0) + nth;
  const others = proxy.decide;
  proxy.decide = (asked, at) => {
    if (asked !== operation || at !== number) return others(asked, at);
    arrival.resolve();
    return release.promise;
  };
  return { held: arrival.promise, letGo: release.resolve };
}

describe('what addresses cost', () => {
  test('a user of one address or none is one item of the table, and no request more', async () => {
    const [anna, ben] = [addressed('anna', 'a'), addressed('ben')];
    const [annaMoved, benReached] = [readdressed(anna, 'x'), readdressed(ben, 'b')];

    const costs = [
      await requestsOf(() => create(anna, ben)),
      await requestsOf(() => update(annaMoved, anna)),
      await requestsOf(() => users.writeTogether([{ kind: 'update', user: benReached, previous: ben }])),
      await requestsOf(() => update(readdressed(benReached), benReached)),
      await requestsOf(() => users.writeEach([{ kind: 'delete', previous: annaMoved }])),
    ];

    expect(costs).toEqual(Array.from({ length: 5 }, () => ({ TransactWriteItems: 1 })));
    expect(await itemsInTable()).toEqual([expect.not.objectContaining({ addressKey: expect.anything() })]);
  });

  test('each further address is one item more, 25 a request, and none where addresses stay', async () => {
    const people = Array.from({ length: 25 }, (_, index) => addressed(`user-${index}`, `${index}`, `alias-${index}`));
    const [anna] = people as [User];
    const renamed = next(anna, { fullName: 'Anna' });

    const costs = [
      await requestsOf(() => create(...people)),
      await requestsOf(() => update(renamed, anna)),
      await requestsOf(() => users.writeEach([{ kind: 'delete', previous: renamed }])),
    ];

    expect(costs).toEqual([
      { BatchExecuteStatement: 1, TransactWriteItems: 1 },
      { TransactWriteItems: 1 },
      { BatchExecuteStatement: 1, TransactWriteItems: 1 },
    ]);
    expect(await keysInTable()).toHaveLength(48);
  });

  test('a search asks the address index once a page, however many share the address', async () => {
    await create(...Array.from({ length: 60 }, (_, index) => addressed(`user-${index}`, `${index}`, 'shared')));

    const cost = await requestsOf(async () => {
      const first = await users.list({ search: 'shared@example.com', limit: 20 });
      expect(first.items).toHaveLength(20);
    });

    // The 8 queries ask the shards of the list index for names that begin with the text.
    expect(cost).toEqual({ Query: 8 + 1, BatchGetItem: 1 });
  });
});

test('an item of a further address is no user to anybody', async () => {
  const anna = { ...addressed('anna', 'a', 'b', 'c'), privileges: ['admin'] } as const;
  await create(anna);
  const keys = await keysInTable();

  expect(keys).toHaveLength(3);
  const others = keys.filter((key) => key !== 'anna');
  for (const key of others) {
    expect(await users.get(key)).toBeNull();
    expect((await logins.find(key, null)).user).toBeNull();
    expect((await users.list({ search: key, limit: 5 })).items).toEqual([]);
  }
  expect(await users.getMany(others)).toEqual(new Map());
  expect(await users.findAdministrator(() => true)).toEqual(anna);
  expect(await users.findAdministrator(({ id }) => id !== anna.id)).toBeNull();
  expect((await users.list({ limit: 5 })).items).toEqual([anna]);
  for await (const links of users.readLinks()) expect(links).toMatchObject([{ nameKey: 'anna' }]);
});

describe('nobody is lost to a search', () => {
  test('when the removal of an address comes after the account has got it back', async () => {
    const first = addressed('anna', 'a', 'b');
    const second = readdressed(first, 'a');
    await create(first);
    const removal = hold('BatchExecuteStatement', 1);
    const late = update(second, first);
    await removal.held;

    await update(readdressed(second, 'a', 'b'), second);
    removal.letGo();
    await late;

    expect(await find('b')).toEqual(['anna']);
    expect(await keysInTable()).toHaveLength(2);
  });

  test('when a rename cleans up after the account has come back to its name', async () => {
    const anna = addressed('anna', 'a', 'b');
    const zoe = next(anna, { userName: 'zoe' });
    await create(anna);
    const removal = hold('BatchExecuteStatement', 2);
    const away = users.writeTogether([{ kind: 'rename', user: zoe, previous: anna }]);
    await removal.held;

    const back = await users.writeTogether([{ kind: 'rename', user: next(zoe, { userName: 'anna' }), previous: zoe }]);
    removal.letGo();

    expect([back, await away]).toEqual(['written', 'written']);
    expect(await find('b')).toEqual(['anna']);
  });

  test('when somebody who is to lose a race is late with an older hint, and the removal of that one is later still', async () => {
    const one = addressed('anna', 'a');
    const two = readdressed(one, 'a', 'b');
    const three = readdressed(two, 'a');
    await create(one);
    await update(two, one);
    const olderHint = hold('PutItem', 1);
    const loser = users.writeEach([{ kind: 'update', user: two, previous: one }]);
    await olderHint.held;
    const removal = hold('BatchExecuteStatement', 1);
    const late = update(three, two);
    await removal.held;

    await update(readdressed(three, 'a', 'b'), three);
    olderHint.letGo();
    expect(await loser).toEqual(['lostRace']);
    removal.letGo();
    await late;

    expect(await find('b')).toEqual(['anna']);
  });

  test('when a deletion cleans up after a successor has the same name and address', async () => {
    const anna = addressed('anna', 'a', 'b');
    await create(anna);
    const removal = hold('BatchExecuteStatement', 1);
    const deletion = users.writeEach([{ kind: 'delete', previous: anna }]);
    await removal.held;

    await create({ ...anna, id: 'a successor' });
    removal.letGo();

    expect(await deletion).toEqual(['written']);
    expect(await find('b')).toEqual(['anna']);
    expect(await keysInTable()).toHaveLength(2);
  });

  test('when the answer to a creation is lost and somebody else has changed the user since', async () => {
    const anna = addressed('anna', 'a', 'b');
    proxy.decide = (operation, number) => (operation === 'TransactWriteItems' && number === 1 ? 'drop' : 'none');
    const second = hold('TransactWriteItems', 2);
    const creation = users.writeEach([{ kind: 'create', user: anna }]);
    await second.held;

    const change = await users.writeTogether([
      { kind: 'update', user: next(anna, { fullName: 'Anna' }), previous: anna },
    ]);
    second.letGo();

    expect([await creation, change]).toEqual([['written'], 'written']);
    expect(await find('b')).toEqual(['anna']);
  });

  test('when answers are lost, or statements refused for a while', async () => {
    const anna = addressed('anna', 'a', 'b', 'c');
    const mishaps = ['drop', [0], 'drop', 'throttle'] as const;
    proxy.decide = (operation, number) =>
      operation === 'BatchExecuteStatement' ? (mishaps[number - 1] ?? 'none') : 'none';

    await create(anna);

    for (const name of ['a', 'b', 'c']) expect(await find(name)).toEqual(['anna']);
  });
});

describe('a hint that no record needs', () => {
  test('is left by whoever ends between two requests, and shows nobody', async () => {
    const anna = addressed('anna', 'a');
    await create(anna);
    const changed = readdressed(anna, 'a', 'b');
    proxy.decide = (operation) => (operation === 'TransactWriteItems' ? 'fail' : 'none');

    await expect(users.writeTogether([{ kind: 'update', user: changed, previous: anna }])).rejects.toMatchObject({
      code: 'storeUnavailable',
    });
    proxy.decide = () => 'none';

    expect(await keysInTable()).toHaveLength(2);
    expect(await find('b')).toEqual([]);
    await update(changed, anna);
    expect(await find('b')).toEqual(['anna']);
  });

  test('fails no write when it can’t be removed', async () => {
    const anna = addressed('anna', 'a', 'b');
    await create(anna);
    proxy.decide = (operation) => (operation === 'BatchExecuteStatement' ? 'fail' : 'none');

    expect(await users.writeTogether([{ kind: 'delete', previous: anna }])).toBe('written');
    proxy.decide = () => 'none';

    expect(await keysInTable()).toHaveLength(1);
    expect(await find('b')).toEqual([]);
  });

  test('does not stay of a user that was not created', async () => {
    const anna = addressed('anna', 'a');
    await create(anna);
    const rival = { ...addressed('anna', 'x', 'y'), id: 'a rival' };

    expect(await users.writeEach([{ kind: 'create', user: rival }])).toEqual(['lostRace']);
    expect(await users.writeTogether([{ kind: 'create', user: rival }])).toBe('lostRace');

    expect(await keysInTable()).toEqual(['anna']);
  });
});
