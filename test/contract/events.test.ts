/**
 * From a write to its event: the real stores on tables with real streams, the stand-in for Lambda's event source
 * mapping, and the function. Renames, swapped names and deletions look alike in a stream; the events tell them apart.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeHandler } from '../../functions/events-handler.ts';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { createRunStore } from '../../lib/aws/run-store.ts';
import { createSessionStore } from '../../lib/aws/session-store.ts';
import { createStreamReader } from '../../lib/aws/table-stream.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import type { ProductEvent } from '../../lib/event/event.ts';
import { LEASE_MS, newRun, type Run } from '../../lib/sync/run.ts';
import { userNameKey } from '../../lib/user/user-name.ts';
import type { UserWrite } from '../../lib/user/user-store.ts';
import { type PublicUser, toPublicUser, type User } from '../../lib/user/user.ts';
import { type DynamoDbKind, type LocalDynamoDb, startDynamoDb } from '../../local/dynamodb.ts';
import { followStreams } from '../../local/event-source-mapping.ts';
import { aUser } from '../support/people.ts';
import { connect, createTables } from '../support/tables.ts';

// As in the template; test/cdk/stack.test.ts checks that it has them.
const IS_USER = { listShard: { S: [{ exists: true }] } };
const USER_PATTERNS = [{ dynamodb: { NewImage: IS_USER } }, { dynamodb: { OldImage: IS_USER } }];
const RUN_PATTERNS = [
  {
    dynamodb: {
      Keys: { pk: { S: ['run'] } },
      NewImage: { stage: { S: ['finished'] } },
    },
  },
];

type UserEvent = ProductEvent & { readonly data: { readonly user: PublicUser } };

function named(userName: string, over: Partial<User> = {}): User {
  return aUser({ id: `id of ${userName}`, userName, ...over });
}

function next(user: User, over: Partial<User>): User {
  return { ...user, ...over, version: user.version + 1, updatedAt: new Date().toISOString() };
}

function rename(previous: User, userName: string, over: Partial<User> = {}): UserWrite & { kind: 'rename' } {
  return { kind: 'rename', user: next(previous, { userName, ...over }), previous };
}

function tell(events: readonly ProductEvent[]): string[] {
  return events.map(({ type, subject, data }) => `${type} ${subject} ${'user' in data ? data.user.version : ''}`);
}

/**
 * Does what a receiver does with repeated events in any order: keeps the newest record of each account that is not
 * deleted.
 */
function replay(events: readonly UserEvent[]): Map<string, PublicUser> {
  const newest = new Map<string, UserEvent>();
  for (const event of events) {
    const known = newest.get(event.subject);
    const isNewer = known === undefined || event.data.user.version > known.data.user.version;
    if (known?.type !== 'user.deleted' && (isNewer || event.type === 'user.deleted')) newest.set(event.subject, event);
  }
  const living = [...newest.values()].filter(({ type }) => type !== 'user.deleted');
  return new Map(living.map(({ data }) => [data.user.userName, data.user]));
}

const KINDS: readonly DynamoDbKind[] = ['dynoxide', 'dynamodb-local'];
describe.each(KINDS)('events from the streams of %s', (kind) => {
  let dynamoDb: LocalDynamoDb;
  let client: DynamoDBDocumentClient;
  const folder = mkdtempSync(path.join(tmpdir(), 'rollcall-events-'));

  beforeAll(async () => {
    // startDynamoDb speeds up the streams of dynoxide only in a file; DynamoDB Local is faster in memory.
    dynamoDb = await startDynamoDb({ kind, ...(kind === 'dynoxide' && { folder: path.join(folder, 'dynamodb') }) });
    client = connect(dynamoDb.endpoint);
  });

  afterAll(async () => {
    client?.destroy();
    await dynamoDb?.stop();
    rmSync(folder, { recursive: true });
  });

  /** Opens stores on tables of their own, and follows their streams with the deployed handler. */
  async function open() {
    const tables = await createTables(client, { streams: true });
    let time = Date.now();
    const options = { client, clock: { now: () => new Date(time) }, ...tables };
    const told: ProductEvent[] = [];
    const readEvents = createStreamReader(options);
    const publishHere = async (events: readonly ProductEvent[]): Promise<number> =>
      told.push(...events) && events.length;

    const follow = (publish = publishHere, keptIn?: string) => {
      const handler = makeHandler({ readEvents, publish });
      return followStreams(
        [
          { id: 'users', tableName: tables.usersTable, functionName: 'events', batchSize: 7, patterns: USER_PATTERNS },
          {
            id: 'runs',
            tableName: tables.operationsTable,
            functionName: 'events',
            batchSize: 7,
            patterns: RUN_PATTERNS,
          },
        ],
        {
          endpoint: dynamoDb.endpoint,
          ...(keptIn !== undefined && { folder: keptIn }),
          host: {
            async invoke(_name, event) {
              try {
                return { payload: JSON.stringify(await handler(JSON.parse(event))) };
              } catch (error) {
                return { fault: { errorType: (error as Error).name, errorMessage: (error as Error).message } };
              }
            },
          },
          refusal: () => null,
          onFault: () => {},
        },
      );
    };

    const users = createUserStore(options);
    return {
      users,
      told,
      follow,
      runs: createRunStore(options),
      logins: createLoginStore(options),
      sessions: createSessionStore(options),
      passMs: (ms: number) => (time += ms),
      /** The events of everything written so far; waits for the end of that many `runs`, too. */
      read: async (runs = 0): Promise<readonly ProductEvent[]> => {
        await users.writeEach([{ kind: 'create', user: named('the last one') }]);
        const following = follow();
        const isLast = ({ subject }: ProductEvent): boolean => subject === 'id of the last one';
        const count = (type: string): number => told.filter((event) => event.type === type).length;
        const isRead = (): boolean => told.some(isLast) && count('run.finished') >= runs;
        await expect.poll(isRead, { timeout: 20_000 }).toBe(true);
        await following.stop();
        return told.filter((event) => !isLast(event));
      },
      create: async (...all: readonly User[]): Promise<void> => {
        await users.writeEach(all.map((user) => ({ kind: 'create', user })));
      },
    };
  }

  test('a user is created, updated, disabled, enabled, spelled otherwise and deleted', async () => {
    const { users, create, read } = await open();
    const anna = named('anna', { emailAddresses: ['a@example.com', 'b@example.com', 'c@example.com'] });
    const steps = [
      { fullName: 'A' },
      { fingerprint: 'x' },
      { disabledBy: 'sync' },
      { disabledBy: null },
      { userName: 'Anna' },
    ];
    await create(anna);
    let previous = anna;
    for (const over of steps as Partial<User>[]) {
      const user = next(previous, over);
      await users.writeEach([{ kind: 'update', user, previous }]);
      previous = user;
    }
    await users.writeTogether([{ kind: 'delete', previous }]);

    const events = await read();

    expect(tell(events)).toEqual([
      'user.created id of anna 1',
      'user.updated id of anna 2',
      'user.disabled id of anna 4',
      'user.enabled id of anna 5',
      'user.renamed id of anna 6',
      'user.deleted id of anna 6',
    ]);
    expect((events.at(-1) as UserEvent).data.user).toEqual(toPublicUser(previous));
    expect(Math.abs(Date.parse(events.at(-1)!.time) - Date.now())).toBeLessThan(3 * 60_000);
  });

  test('a rename is no deletion, and tells what else has changed with it', async () => {
    const { users, create, read } = await open();
    const anna = named('anna', { passwordHash: '$argon2id$secret' });
    await create(anna);
    const renamed = rename(anna, 'anna.schmidt', { fullName: 'Anna Schmidt', disabledBy: 'admin', passwordHash: null });
    await users.writeTogether([renamed]);
    await users.writeEach([{ kind: 'update', user: next(renamed.user, { fullName: 'A' }), previous: renamed.user }]);

    const events = await read();

    expect(tell(events).sort()).toEqual([
      'user.created id of anna 1',
      'user.disabled id of anna 2',
      'user.renamed id of anna 2',
      'user.updated id of anna 2',
      'user.updated id of anna 3',
    ]);
    expect(events.find(({ type }) => type === 'user.renamed')?.data).toEqual({
      user: toPublicUser(renamed.user),
      previousUserName: 'anna',
    });
    expect(events.find(({ id }) => id === 'user.updated:id of anna:2')?.data).toMatchObject({
      fields: { fullName: { from: 'Anna Weber', to: 'Anna Schmidt' } },
      passwordChanged: true,
    });
    expect(JSON.stringify(events)).not.toContain('argon2id');
    expect(await users.get('anna.schmidt')).not.toHaveProperty('arrival');
  });

  test('names that are swapped, passed on and taken over are told by account', async () => {
    const { users, create, read } = await open();
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => named(name)) as [User, User, User, User];
    await create(a, b, c, d);
    const swap = [rename(a, 'b'), rename(b, 'a')];
    await users.writeTogether(swap);
    // The user named b now becomes e, and c becomes b; d is deleted, and the user that was b at first becomes d.
    const [wasA, wasB] = swap.map(({ user }) => user) as [User, User];
    await users.writeTogether([rename(wasA, 'e'), rename(c, 'b'), { kind: 'delete', previous: d }, rename(wasB, 'd')]);
    // A user is deleted and another one of the same name created in one write.
    const e = (await users.get('e'))!;
    await users.writeTogether([
      { kind: 'delete', previous: e },
      { kind: 'create', user: named('e') },
    ]);

    const events = await read();

    expect(tell(events).slice(4).sort()).toEqual([
      'user.created id of e 1',
      'user.deleted id of a 3',
      'user.deleted id of d 1',
      'user.renamed id of a 2',
      'user.renamed id of a 3',
      'user.renamed id of b 2',
      'user.renamed id of b 3',
      'user.renamed id of c 2',
    ]);
  });

  test('a run is told when it is over, and nothing else of the operations is', async () => {
    const { runs, logins, sessions, passMs, read } = await open();
    const request = { dryRun: true, trigger: 'api', requestedBy: null, approves: null } as const;
    const start = async (id: string): Promise<Run> => {
      const run = newRun(id, request, new Date());
      await runs.start(run);
      return run;
    };
    const first = await start('run-1');
    const { fence } = (await runs.takeUp('run-1'))!;
    await runs.heartbeat(fence, first);
    await runs.finish(fence, {
      ...first,
      status: 'succeeded',
      stage: 'finished',
      finishedAt: new Date().toISOString(),
    });
    await start('run-2');
    passMs(LEASE_MS + 1);
    await start('run-3');
    await logins.countRefusal('192.0.2.1', 7, [], new Date(Date.now() + 60_000));
    await sessions.create('hash', { userId: '1', userName: 'a', expiresAt: new Date(Date.now() + 9e6).toISOString() });

    const events = await read(2);

    expect(events).toMatchObject([
      { id: 'run.finished:run-1', data: { run: { id: 'run-1', status: 'succeeded', dryRun: true } } },
      { id: 'run.finished:run-2', data: { run: { id: 'run-2', status: 'failed', error: { code: 'interrupted' } } } },
    ]);
    expect(events[0]!.data).not.toHaveProperty('run.pk');
  });

  test('a bus that is away or takes a part, and restarts, lose none and keep the order of each user', async () => {
    const { users, create, follow } = await open();
    const anna = named('anna');
    await create(anna, ...Array.from({ length: 20 }, (_, index) => named(`user ${index}`)));
    // The bus is away at first, then takes some of the events, then all.
    const received: ProductEvent[] = [];
    let attempts = 0;
    const publish = async (events: readonly ProductEvent[]): Promise<number> => {
      attempts += 1;
      if (attempts === 1) throw new Error('the bus is away');
      const taken = attempts === 2 ? events.slice(0, 3) : events;
      received.push(...taken);
      return taken.length;
    };
    const state = path.join(folder, 'positions');
    const followUntil = async (isSeen: () => boolean): Promise<void> => {
      const following = follow(publish, state);
      await expect.poll(isSeen, { timeout: 10_000 }).toBe(true);
      await following.stop();
    };

    await followUntil(() => attempts > 0);
    await users.writeEach([{ kind: 'update', user: next(anna, { fullName: 'A' }), previous: anna }]);
    await followUntil(() => attempts > 1);
    await followUntil(() => received.some(({ id }) => id === 'user.updated:id of anna:2'));

    const ids = received.map(({ id }) => id);
    expect(new Set(ids).size).toBe(22);
    expect(ids.indexOf('user.created:id of anna:1')).toBeLessThan(ids.indexOf('user.updated:id of anna:2'));
  });

  test('the events of any history, in any order and twice, give the table', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ act: fc.nat(8), who: fc.nat(), whom: fc.nat(), name: fc.nat(5) }), {
          minLength: 30,
          maxLength: 40,
        }),
        fc.infiniteStream(fc.nat()),
        async (acts, dice) => {
          const { users, read } = await open();
          const expected = new Set<string>();
          let made = 0;
          let people: User[] = [];
          const write = async (...writes: UserWrite[]): Promise<void> => {
            const result = await users.writeTogether(writes);
            if (result !== 'written') throw new Error('a write lost a race, though nobody else writes');
            const gone = new Set(writes.flatMap((each) => ('previous' in each ? [each.previous.id] : [])));
            people = people.filter(({ id }) => !gone.has(id));
            for (const each of writes) if ('user' in each) people.push(each.user);
          };
          const expectEvent = (type: string, { id, version }: User) => expected.add(`user.${type}:${id}:${version}`);
          for (const { act, who, whom, name } of acts) {
            const userName = `name ${name}`;
            const isFree = !people.some((user) => user.userName === userName);
            const one = people[who % people.length];
            const other = people[whom % people.length];
            if (act <= 1 && isFree) {
              const user = named(userName, { id: `account ${(made += 1)}`, emailAddresses: ['1@x.org', '2@x.org'] });
              await write({ kind: 'create', user });
              expectEvent('created', user);
            } else if (act === 2 && one) {
              const user = next(one, { fullName: `name ${who}`, fingerprint: `${whom}` });
              await write({ kind: 'update', user, previous: one });
              if (user.fullName !== one.fullName) expectEvent('updated', user);
            } else if (act === 3 && one) {
              const user = next(one, { disabledBy: one.disabledBy ? null : 'sync' });
              await write({ kind: 'update', user, previous: one });
              expectEvent(user.disabledBy ? 'disabled' : 'enabled', user);
            } else if (act === 4 && one && isFree) {
              const renamed = rename(one, userName, { fullName: `name ${who}` });
              await write(renamed);
              expectEvent('renamed', renamed.user);
              if (renamed.user.fullName !== one.fullName) expectEvent('updated', renamed.user);
            } else if (act === 5 && one && other && one !== other) {
              const swap = [rename(one, other.userName), rename(other, one.userName)];
              await write(...swap);
              for (const { user } of swap) expectEvent('renamed', user);
            } else if (act === 6 && one && other && one !== other) {
              const successor = rename(one, other.userName);
              await write(successor, { kind: 'delete', previous: other });
              expectEvent('renamed', successor.user);
              expectEvent('deleted', other);
            } else if (act === 7 && one) {
              await write({ kind: 'delete', previous: one });
              expectEvent('deleted', one);
            } else if (act === 8 && one && other && one !== other && isFree) {
              const chain = [rename(one, other.userName), rename(other, userName)];
              await write(...chain);
              for (const { user } of chain) expectEvent('renamed', user);
            }
          }

          const events = (await read()) as readonly UserEvent[];
          const shuffled = [...events, ...events]
            .map((event) => ({ event, at: dice.next().value }))
            .sort((a, b) => a.at - b.at)
            .map(({ event }) => event);

          expect(new Set(events.map(({ id }) => id))).toEqual(expected);
          expect(replay(shuffled)).toEqual(new Map(people.map((user) => [user.userName, toPublicUser(user)])));
          for (const user of people) expect(await users.get(userNameKey(user.userName))).toEqual(user);
        },
      ),
      { numRuns: kind === 'dynoxide' ? 4 : 1 },
    );
  });
});
