/**
 * What looking for an administrator costs, that nobody is taken for one who is none any more however late the index is,
 * and that users of an earlier release get the mark. The contract of the user store tests who is found.
 */
import { GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { createSessionStore } from '../../lib/aws/session-store.ts';
import { createStreamReader } from '../../lib/aws/table-stream.ts';
import { toUserItem } from '../../lib/aws/user-item.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import type { LoginStore } from '../../lib/login/login-store.ts';
import { createSession, readSession } from '../../lib/login/session.ts';
import { openGuard } from '../../lib/sync/guard.ts';
import { openApprovals } from '../../lib/sync/open-approvals.ts';
import type { RemovalDecision } from '../../lib/sync/removal.ts';
import { decideRemovals } from '../../lib/sync/removal.ts';
import type { UserStore } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import type { LocalDynamoDb } from '../../local/dynamodb.ts';
import { startFaultyProxy } from '../support/faulty-proxy.ts';
import type { FaultyProxy } from '../support/faulty-proxy.ts';
import { aContext, aUser, NOW } from '../support/people.ts';
import { connect, createTables } from '../support/tables.ts';

let server: LocalDynamoDb;
let proxy: FaultyProxy;
let client: DynamoDBDocumentClient;
let direct: DynamoDBDocumentClient;
let tables: { readonly usersTable: string; readonly operationsTable: string };
let users: UserStore;
/** The same users, written to past the proxy. */
let others: UserStore;
let logins: LoginStore;

beforeAll(async () => {
  server = await startDynamoDb();
  proxy = await startFaultyProxy(server.endpoint);
  client = connect(proxy.url);
  direct = connect(server.endpoint);
});
beforeEach(async () => {
  tables = await createTables(direct);
  users = createUserStore({ client, ...tables });
  others = createUserStore({ client: direct, ...tables });
  logins = createLoginStore({ client, ...tables, clock: { now: () => NOW } });
});
afterEach(() => {
  proxy.decide = () => 'none';
});
afterAll(async () => {
  client?.destroy();
  direct?.destroy();
  await proxy?.stop();
  await server?.stop();
});

const named = (userName: string, over: Partial<User> = {}): User =>
  aUser({ id: `id of ${userName}`, userName, ...over });
const admin = (userName: string): User => named(userName, { privileges: ['admin'] });
const anybody = (): boolean => true;
const DEMOTED = { privileges: ['login'] } as const;
const DISABLED = { disabledBy: 'admin' } as const;

async function create(...all: User[]): Promise<void> {
  const results = await users.writeEach(all.map((user) => ({ kind: 'create', user })));
  expect(new Set(results)).toEqual(new Set(['written']));
}

async function change(previous: User, over: Partial<User>): Promise<void> {
  const user = { ...previous, ...over, version: previous.version + 1 };
  expect(await others.writeEach([{ kind: 'update', user, previous }])).toEqual(['written']);
}

async function remove(previous: User): Promise<void> {
  expect(await others.writeEach([{ kind: 'delete', previous }])).toEqual(['written']);
}

/** Stores users as an earlier release did, and as the index sees those of the last moments. */
async function createUnmarked(...all: User[]): Promise<void> {
  for (const user of all) {
    const { administrator: _mark, ...Item } = toUserItem(user);
    await direct.send(new PutCommand({ TableName: tables.usersTable, Item }));
  }
}

async function isMarked({ userName }: User): Promise<boolean> {
  const { Item } = await direct.send(new GetCommand({ TableName: tables.usersTable, Key: { nameKey: userName } }));
  return Item?.['administrator'] !== undefined;
}

/** What a run decides about somebody who is found nowhere. */
async function decideToRemove(missing: User): Promise<RemovalDecision> {
  return await decideRemovals(
    { marked: [], missing: [missing], claimed: new Set(), read: 10, baseDn: 'dc=example,dc=com' },
    {
      users,
      look: { find: async (looked) => new Map(looked.map(({ id }) => [id, { kind: 'gone' }])) },
      judgeBranch: async () => 'populated',
      guard: openGuard([], 10, { percent: 100, atLeast: 0, windowHours: 24 }),
      approvals: openApprovals([], ''),
      report: { stage: async () => {}, notice: () => {} },
    },
    aContext({ missingUsers: 'delete' }),
  );
}

/** Counts the requests of `work` to DynamoDB, by operation. */
async function requestsOf(work: () => Promise<unknown>): Promise<Record<string, number>> {
  proxy.seen.clear();
  await work();
  return Object.fromEntries(proxy.seen);
}

/** Holds back the next request of this operation until `meanwhile` is done. */
function before(operation: string, meanwhile: () => Promise<void>): void {
  let isFirst = true;
  proxy.decide = (asked) => {
    if (asked !== operation || !isFirst) return 'none';
    isFirst = false;
    return meanwhile();
  };
}

describe('what it costs to look for an administrator', () => {
  const PAGE = { Query: 1, BatchGetItem: 1 };

  test('two requests where one is known, and one where none is, however many users there are', async () => {
    await create(...Array.from({ length: 30 }, (_, index) => named(`user-${index}`)));

    expect(await requestsOf(() => users.findKnownAdministrator(anybody))).toEqual({ Query: 1 });
    await create(admin('anna'), admin('ben'));
    for (const find of ['findKnownAdministrator', 'findAdministrator'] as const) {
      expect(await requestsOf(() => users[find](({ userName }) => userName === 'ben'))).toEqual(PAGE);
    }
  });

  test('two requests for each hundred, where nearly everybody is one and few suit', async () => {
    await create(...Array.from({ length: 250 }, (_, index) => admin(`user-${100 + index}`)));

    let found: User | null = null;
    const cost = await requestsOf(async () => {
      found = await users.findKnownAdministrator(({ userName }) => userName === 'user-349');
    });

    expect(cost).toEqual({ Query: 3, BatchGetItem: 3 });
    expect(found).toMatchObject({ userName: 'user-349' });
    expect(await requestsOf(() => users.findKnownAdministrator(anybody))).toEqual(PAGE);
  });

  test('a scan only where the index knows of none that suits', async () => {
    await create(admin('anna'));

    const cost = await requestsOf(() => users.findAdministrator(({ userName }) => userName !== 'anna'));

    expect(cost).toEqual({ ...PAGE, Scan: 8 });
  });
});

describe('nobody is taken for an administrator', () => {
  test.each<[how: string, over: Partial<User> | null]>([
    ['disabled', DISABLED],
    ['demoted', DEMOTED],
    ['deleted', null],
  ])('who is %s after the index has answered', async (_how, over) => {
    const anna = admin('anna');
    await create(anna);
    before('BatchGetItem', () => (over === null ? remove(anna) : change(anna, over)));

    const cost = await requestsOf(async () => expect(await users.findKnownAdministrator(anybody)).toBeNull());

    expect(cost).toEqual({ Query: 1, BatchGetItem: 1 });
  });

  test.each([
    ['disabled', DISABLED],
    ['demoted', DEMOTED],
  ])('who is %s and still in the index', async (_how, over) => {
    const anna = { ...admin('anna'), ...over };
    await direct.send(
      new PutCommand({ TableName: tables.usersTable, Item: { ...toUserItem(anna), administrator: 'active' } }),
    );

    expect(await users.findKnownAdministrator(anybody)).toBeNull();
    expect(await users.findAdministrator(anybody)).toBeNull();
  });

  test('because a login wrote to a name that nobody has any more', async () => {
    const Item = { nameKey: 'anna', administrator: 'active', dn: 'uid=anna', version: 2 };
    await direct.send(new PutCommand({ TableName: tables.usersTable, Item }));

    expect(await users.findKnownAdministrator(anybody)).toBeNull();
  });
});

describe('an administrator whom the index does not know', () => {
  test('is found by the scan, which marks all such at once and changes nothing else', async () => {
    const [anna, ben] = [admin('anna'), admin('ben')];
    await createUnmarked(anna, ben, named('carl'), { ...admin('dora'), ...DISABLED });

    expect(await users.findKnownAdministrator(anybody)).toBeNull();
    expect(await users.findAdministrator(({ userName }) => userName === 'ben')).toEqual(ben);

    for (const user of [anna, ben]) {
      expect(await users.findKnownAdministrator(({ id }) => id === user.id)).toEqual(user);
    }
    expect(await isMarked(named('carl'))).toBe(false);
    expect(await isMarked(named('dora'))).toBe(false);
  });

  test('is marked once, when somebody reads the record', async () => {
    const anna = admin('anna');
    await createUnmarked(anna);

    expect(await requestsOf(() => users.get('anna'))).toEqual({ GetItem: 1, UpdateItem: 1 });
    expect(await requestsOf(() => users.get('anna'))).toEqual({ GetItem: 1 });
    expect(await users.findKnownAdministrator(anybody)).toEqual(anna);
  });

  test('keeps another one from leaving in a run, until the first request of its session', async () => {
    const [anna, ben] = [admin('anna'), admin('ben')];
    await createUnmarked(anna, ben);
    const sessions = createSessionStore({ client, ...tables, clock: { now: () => NOW } });
    const { token } = await createSession(sessions, ben, NOW);

    const atFirst = await decideToRemove(anna);
    expect(await readSession({ sessions, users }, token, NOW)).toMatchObject({ user: ben });
    const later = await decideToRemove(anna);

    const line = { userName: 'anna', reason: expect.stringMatching(/no other administrator .* is known/) };
    expect(atFirst).toMatchObject({ removals: [], withheld: [{ change: line }] });
    expect(later).toMatchObject({ removals: [{ change: { kind: 'deleted', userName: 'anna' } }], withheld: [] });
  });

  test('is the only one to be marked by reading', async () => {
    await createUnmarked(named('carl'), { ...admin('dora'), ...DISABLED });

    for (const name of ['carl', 'dora', 'nobody']) {
      expect(await requestsOf(() => users.get(name))).toEqual({ GetItem: 1 });
    }
  });

  test('is marked by every write of the record', async () => {
    const anna = admin('anna');
    await createUnmarked(anna);

    await change(anna, { fullName: 'Anna' });

    expect(await isMarked(anna)).toBe(true);
  });

  test('stays unmarked if it ceases to be one between the reading and the mark', async () => {
    const anna = admin('anna');
    await createUnmarked(anna);
    before('UpdateItem', () => change(anna, DEMOTED));

    expect(await users.get('anna')).toEqual(anna);

    expect(await isMarked(anna)).toBe(false);
    expect(await users.get('anna')).toMatchObject(DEMOTED);
  });

  test('can be read although the mark can’t be written', async () => {
    await createUnmarked(admin('anna'));
    proxy.decide = (operation) => (operation === 'UpdateItem' ? 'deny' : 'none');

    expect(await users.get('anna')).toEqual(admin('anna'));
    expect(await users.findAdministrator(anybody)).toEqual(admin('anna'));
    proxy.decide = () => 'none';
    expect(await isMarked(admin('anna'))).toBe(false);
  });

  test('causes no event and no lost race when it is marked', async () => {
    const anna = admin('anna');
    await createUnmarked(anna);
    const { administrator: _mark, ...OldImage } = toUserItem(anna);
    await users.get('anna');
    const { Item } = await direct.send(new GetCommand({ TableName: tables.usersTable, Key: { nameKey: 'anna' } }));
    const read = createStreamReader({ client, operationsTable: tables.operationsTable });

    const record = { SequenceNumber: '1', OldImage: marshall(OldImage), NewImage: marshall(Item) };

    expect(Item).toMatchObject({ ...OldImage, administrator: 'active' });
    expect(await read([{ dynamodb: record }])).toEqual([{ sequenceNumber: '1', events: [] }]);
    await change(anna, { fullName: 'Anna' });
  });
});

test('a login that finds a new DN leaves the mark, and a user without one gets none', async () => {
  const [anna, ben] = [admin('anna'), named('ben')];
  await create(anna, ben);

  for (const user of [anna, ben]) await logins.rememberDn(user, 'uid=elsewhere');

  expect((await users.get('anna'))?.directory?.dn).toBe('uid=elsewhere');
  expect([await isMarked(anna), await isMarked(ben)]).toEqual([true, false]);
});
