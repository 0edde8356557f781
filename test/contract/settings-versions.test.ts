/**
 * The versions of the settings secret, of which Secrets Manager takes about 100 a day: how many many writers make, and
 * what happens when there is no room for more. On the stand-in, with the lock in a real DynamoDB.
 */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { saveSettings } from '../../lib/administration/settings.ts';
import { SETTINGS_LOCK_KEY } from '../../lib/aws/environment.ts';
import { createSettingsLock } from '../../lib/aws/settings-lock.ts';
import { createSettingsStore } from '../../lib/aws/settings-store.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aSettings } from '../support/people.ts';
import { startSecrets } from '../support/secrets.ts';
import { connect, createTables } from '../support/tables.ts';

let dynamoDb: Awaited<ReturnType<typeof startDynamoDb>>;
let tables: DynamoDBDocumentClient;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  dynamoDb = await startDynamoDb({ kind: 'dynoxide' });
  tables = connect(dynamoDb.endpoint);
});
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});
afterAll(async () => {
  tables?.destroy();
  await dynamoDb?.stop();
});

const DAY_SECONDS = 24 * 60 * 60;
const START_SECONDS = 1_770_000_000;

async function openSettings() {
  let nowSeconds = START_SECONDS;
  const secrets = await startSecrets('{}', { now: () => nowSeconds });
  stops.push(() => secrets.stop());
  const { operationsTable } = await createTables(tables);
  const calls = new Map<string, number>();
  secrets.client.middlewareStack.add(
    (next, { commandName = '' }) =>
      async (args) => {
        calls.set(commandName, (calls.get(commandName) ?? 0) + 1);
        return await next(args);
      },
    { step: 'finalizeRequest', priority: 'low' },
  );
  const clock = { now: () => new Date(nowSeconds * 1_000) };
  const withLock = createSettingsLock({ client: tables, operationsTable, clock });
  const settings = createSettingsStore({ ...secrets, withLock });
  return {
    settings,
    withLock,
    operationsTable,
    /** Requests as sent: repetitions count. */
    sent: (command: string) => calls.get(command) ?? 0,
    passSeconds: (seconds: number) => void (nowSeconds += seconds),
    readLock: async () =>
      (await tables.send(new GetCommand({ TableName: operationsTable, Key: SETTINGS_LOCK_KEY }))).Item,
    save: async (filter: string, expectedVersion: string | null = null) => {
      const { schedule } = createMemoryStores(clock);
      const openDirectory = (): never => expect.unreachable();
      const document = { connection: { servers: ['127.0.0.1'] }, mapping: { userName: 'uid' }, scope: { filter } };
      return await saveSettings({ settings, schedule, openDirectory }, document, expectedVersion);
    },
  };
}

test('of many writers who have seen the same version, one makes a new version, and the others make none', async () => {
  const { save, sent } = await openSettings();
  const { stored } = await save('(uid=first)');
  const before = sent('PutSecretValueCommand');

  const saves = await Promise.allSettled(
    Array.from({ length: 20 }, (_, index) => save(`(uid=${index})`, stored.version)),
  );

  expect(saves.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  for (const each of saves.filter((save) => save.status === 'rejected')) {
    expect(['versionMismatch', 'conflict']).toContain(each.reason.code);
  }
  expect(sent('PutSecretValueCommand') - before).toBe(1);
});

test('writers who overwrite whatever is there make a version each, and no more', async () => {
  const { save, sent, settings } = await openSettings();

  const saves = await Promise.allSettled(Array.from({ length: 6 }, (_, index) => save(`(uid=${index})`)));

  const saved = saves.flatMap((each) => (each.status === 'fulfilled' ? [each.value.stored.version] : []));
  expect(saved.length).toBeGreaterThan(0);
  expect(sent('PutSecretValueCommand')).toBe(saved.length);
  expect(saved).toContain((await settings.read())!.version);
});

test('the same settings, saved again, make no version and take no lock', async () => {
  const { save, sent, readLock } = await openSettings();
  const first = await save('(uid=a)');
  const again = await save('(uid=a)', first.stored.version);

  expect(again.stored.version).toBe(first.stored.version);
  expect(sent('PutSecretValueCommand')).toBe(1);
  expect(await readLock()).toBeUndefined();
});

test('after too many saves within a day the fault says so at once, what is saved stays, and a day later there is room', async () => {
  const { save, sent, settings, readLock, passSeconds } = await openSettings();
  let refused: unknown = null;
  let saved = 0;
  while (refused === null && saved < 150) {
    passSeconds(60);
    try {
      await save(`(uid=${saved})`);
      saved += 1;
    } catch (error) {
      refused = error;
    }
  }
  const before = sent('PutSecretValueCommand');
  const again = await save('(uid=again)').catch((error: unknown) => error);

  expect(saved).toBe(99);
  for (const fault of [refused, again]) {
    expect(fault).toMatchObject({ code: 'throttled', retryAfterSeconds: 3_600, retryable: false });
    expect((fault as { advice: string }).advice).toMatch(/Save again later.* Nothing was saved/);
  }
  expect(sent('PutSecretValueCommand') - before).toBe(1);
  expect((await settings.read())!.settings.scope.filter).toBe(`(uid=${saved - 1})`);
  expect(await readLock()).toBeUndefined();
  // The same settings need no version.
  await save(`(uid=${saved - 1})`);

  passSeconds(DAY_SECONDS);
  await save('(uid=next-day)');

  expect((await settings.read())!.settings.scope.filter).toBe('(uid=next-day)');
});

describe('the lock', () => {
  test('of a writer that has died is waited for, but not for ever', async () => {
    const { settings, operationsTable, sent, readLock, passSeconds } = await openSettings();
    const Item = { ...SETTINGS_LOCK_KEY, owner: 'died', until: START_SECONDS * 1_000 + 30_000 };
    await tables.send(new PutCommand({ TableName: operationsTable, Item }));

    expect(await settings.write(aSettings(), 'p', null)).toBeNull();
    expect(sent('PutSecretValueCommand')).toBe(0);
    passSeconds(30);
    expect(await settings.write(aSettings(), 'p', null)).toEqual(expect.any(String));

    expect(await readLock()).toBeUndefined();
  });

  test('is released after a fault, and passes the fault on', async () => {
    const { withLock, readLock } = await openSettings();

    await expect(withLock(() => Promise.reject(new TypeError('a fault')))).rejects.toThrow('a fault');

    expect(await readLock()).toBeUndefined();
  });

  test('is not released by a writer that has lost it', async () => {
    const { withLock, readLock, passSeconds } = await openSettings();

    await withLock(async () => {
      passSeconds(31);
      await withLock(async () => {});
      passSeconds(31);
      void withLock(() => new Promise(() => {}));
      while ((await readLock()) === undefined) await Promise.resolve();
    });

    expect(await readLock()).toMatchObject({ owner: expect.any(String) });
  });

  test('that can’t be taken is a fault, and nothing is done', async () => {
    const withLock = createSettingsLock({ client: tables, operationsTable: 'gone', clock: { now: () => new Date() } });
    let done = false;

    const work = withLock(async () => void (done = true));

    await expect(work).rejects.toMatchObject({ code: 'storeUnavailable' });
    expect(done).toBe(false);
  });
});
