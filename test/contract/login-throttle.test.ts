/**
 * Attempts on a DynamoDB that loses answers and serves many at once; what a login asks of it, and what its role lets it
 * write.
 */
import { randomUUID } from 'node:crypto';
import { UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { OPERATIONS_PREFIX, USERS_TABLE } from '../../lib/aws/environment.ts';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import type { LoginStore } from '../../lib/login/login-store.ts';
import { createThrottle } from '../../lib/login/throttle.ts';
import type { Admission, Verdict } from '../../lib/login/throttle.ts';
import type { UserStore } from '../../lib/user/user-store.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import type { LocalDynamoDb } from '../../local/dynamodb.ts';
import { startFaultyProxy } from '../support/faulty-proxy.ts';
import type { FaultyProxy } from '../support/faulty-proxy.ts';
import { aUser } from '../support/people.ts';
import { connect, createTables } from '../support/tables.ts';

const ANNA = aUser();
const clock = { now: () => new Date() };

let server: LocalDynamoDb;
let proxy: FaultyProxy;
/** Through the proxy, and past it. */
let client: DynamoDBDocumentClient;
let direct: DynamoDBDocumentClient;
let tables: { usersTable: string; operationsTable: string };
let logins: LoginStore;
let others: LoginStore;
let users: UserStore;

beforeAll(async () => {
  server = await startDynamoDb();
  proxy = await startFaultyProxy(server.endpoint);
  client = connect(proxy.url);
  direct = connect(server.endpoint);
});
beforeEach(async () => {
  tables = await createTables(direct);
  logins = createLoginStore({ client, clock, ...tables });
  others = createLoginStore({ client: direct, clock, ...tables });
  users = createUserStore({ client: direct, ...tables });
});
afterEach(() => {
  proxy.decide = () => 'none';
  proxy.seen.clear();
});
afterAll(async () => {
  client?.destroy();
  direct?.destroy();
  await proxy?.stop();
  await server?.stop();
});

async function ask(store: LoginStore, source: string | null, user = ANNA): Promise<Admission> {
  const { attempts } = await store.find('anna', source);
  const throttle = createThrottle({ logins: store, clock, newId: randomUUID });
  return await throttle.admit({ userName: 'anna', user, source, found: attempts });
}

async function attempt(verdict: Verdict, source: string | null, store = logins): Promise<Admission['kind']> {
  const admission = await ask(store, source);
  if (admission.kind === 'admitted') await admission.settle(verdict);
  return admission.kind;
}

const attemptsOf = async () => (await others.find('anna', null)).attempts.name?.attempts.length;

describe('an answer that is lost', () => {
  test('to the write of a claim blocks no right password, and the claim is one', async () => {
    for (const source of ['first', 'second']) {
      proxy.decide = (operation, number) => (operation === 'PutItem' && number === 1 ? 'drop' : 'none');
      proxy.seen.clear();
      expect(await attempt('accepted', source)).toBe('admitted');
      // The claim, its repetition, and its end; it was read no second time.
      expect(Object.fromEntries(proxy.seen)).toEqual({ BatchGetItem: 1, PutItem: 3 });
      expect(await attemptsOf()).toBe(0);
    }
  });

  test('to the write of a claim, with another claim before it is sent again, counts either of them once', async () => {
    const meanwhile = async () => void (await attempt('refused', 'stranger', others));
    proxy.decide = (operation, number) => {
      if (operation !== 'PutItem' || number > 2) return 'none';
      return number === 1 ? 'drop' : meanwhile();
    };

    expect(await attempt('refused', 'own')).toBe('admitted');

    expect(await attemptsOf()).toBe(2);
  });

  test('to the end of a claim leaves none, and the source is known', async () => {
    proxy.decide = (operation, number) => (operation === 'PutItem' && number === 2 ? 'drop' : 'none');
    expect(await attempt('accepted', 'own')).toBe('admitted');
    expect(await attemptsOf()).toBe(0);
    proxy.seen.clear();
    expect(await attempt('accepted', 'own')).toBe('admitted');
    expect(Object.fromEntries(proxy.seen)).toEqual({ BatchGetItem: 1 });
  });
});

test('of 100 parallel guesses at a fresh name, five are admitted', async () => {
  const kinds = await Promise.all(
    Array.from({ length: 100 }, (_, each) => attempt('refused', `source-${each}`, others)),
  );
  expect(kinds.filter((kind) => kind === 'admitted')).toHaveLength(5);
  expect(await attemptsOf()).toBe(5);
});

describe('the requests of a login', () => {
  test('from a known source: one that reads, none that writes', async () => {
    await attempt('accepted', 'own', others);
    await attempt('accepted', 'own');
    expect(Object.fromEntries(proxy.seen)).toEqual({ BatchGetItem: 1 });
  });

  test('from an unknown source: two writes, one more if it is refused; throttled: none', async () => {
    await attempt('accepted', 'own');
    expect(Object.fromEntries(proxy.seen)).toEqual({ BatchGetItem: 1, PutItem: 2 });
    proxy.seen.clear();
    await attempt('refused', 'stranger');
    expect(Object.fromEntries(proxy.seen)).toEqual({ BatchGetItem: 1, PutItem: 2, UpdateItem: 1 });
    for (let each = 0; each < 4; each += 1) await attempt('refused', 'stranger', others);
    proxy.seen.clear();
    expect(await attempt('refused', 'stranger')).toBe('throttled');
    expect(Object.fromEntries(proxy.seen)).toEqual({ BatchGetItem: 1 });
  });
});

interface Write {
  readonly TableName?: string;
  readonly Key?: object;
  readonly Item?: { readonly pk: string };
  readonly UpdateExpression?: string;
  readonly ConditionExpression?: string;
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>>;
}

/** The attributes that IAM sees in `dynamodb:Attributes`: the key, and all that an expression names. */
function attributesOf({ Key = {}, UpdateExpression = '', ConditionExpression = '', ...write }: Write): string[] {
  const words = `${UpdateExpression} ${ConditionExpression}`.match(/(?<![:#\w])#?[A-Za-z]\w*/gu) ?? [];
  const names = words.filter((word) => !/^(?:SET|ADD|REMOVE|AND|OR|attribute_not_exists)$/u.test(word));
  return [...Object.keys(Key), ...names.map((name) => write.ExpressionAttributeNames?.[name] ?? name)];
}

describe('what a login writes', () => {
  test('is what its role may name of a user, and besides attempts only owners of directory ids', async () => {
    const writes: Write[] = [];
    const watched = connect(server.endpoint);
    watched.middlewareStack.add(
      (next) => async (args) => {
        const input = args.input as Write & { TransactItems?: { Put?: Write; Update?: Write }[] };
        const parts = input.TransactItems?.flatMap(({ Put, Update }) =>
          [Put, Update].filter((one) => one !== undefined),
        );
        writes.push(...(parts ?? [input]));
        return await next(args);
      },
      { step: 'initialize' },
    );
    const store = createLoginStore({ client: watched, clock, ...tables });
    const ben = aUser({ id: 'ben', userName: 'ben', directory: null });
    await users.writeEach([ANNA, ben].map((user) => ({ kind: 'create', user })));

    await store.rememberDn(ANNA, 'uid=anna,ou=new');
    expect(await store.linkUser(ben, { ...ANNA.directory!, id: 'another' })).toBe('written');
    await attempt('accepted', 'own', store);
    await attempt('refused', 'stranger', store);
    watched.destroy();

    const ofUsers = writes.filter(({ TableName }) => TableName === tables.usersTable);
    expect(ofUsers).toHaveLength(2);
    expect(new Set(ofUsers.flatMap(attributesOf))).toEqual(new Set(USERS_TABLE.loginWrites));
    const keys = writes
      .filter(({ TableName }) => TableName === tables.operationsTable)
      .map(({ Item, Key }) => ((Item ?? Key) as { pk: string }).pk);
    expect(new Set(keys.map((key) => key.slice(0, key.indexOf('#') + 1)))).toEqual(
      new Set([OPERATIONS_PREFIX.link, OPERATIONS_PREFIX.attempts]),
    );
    expect((await users.get('anna'))!.directory!.dn).toBe('uid=anna,ou=new');
  });

  test('under a name that nobody has makes nobody, and whoever comes gets the name', async () => {
    await direct.send(
      new UpdateCommand({
        TableName: tables.usersTable,
        Key: { nameKey: 'anna' },
        UpdateExpression: 'SET dn = :dn, linkKey = :dn, updatedAt = :dn, #version = :one',
        ExpressionAttributeNames: { '#version': 'version' },
        ExpressionAttributeValues: { ':dn': 'uid=x', ':one': 1 },
      }),
    );

    expect((await logins.find('anna', null)).user).toBeNull();
    expect(await users.get('anna')).toBeNull();
    expect(await users.getMany(['anna'])).toEqual(new Map());
    expect((await users.list({ limit: 10 })).items).toEqual([]);
    expect(await users.findAdministrator(() => true)).toBeNull();
    for await (const links of users.readLinks()) expect(links).toEqual([]);
    expect(await users.writeEach([{ kind: 'create', user: ANNA }])).toEqual(['written']);
    expect(await users.get('anna')).toEqual(ANNA);
  });
});
