/**
 * What a run and a login cost in round trips, writes and bytes, counted at the wire with 10,000 people. These counts
 * are the same on every machine and decide the bill, and the speed on a slow network. Times are left to `npm run
 * bench`.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeHandler } from '../../functions/sync-handler.ts';
import { createApprovalStore } from '../../lib/aws/approval-store.ts';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { createRunJournal } from '../../lib/aws/run-journal.ts';
import { createRunStore } from '../../lib/aws/run-store.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { createLogin } from '../../lib/login/login.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import type { Run } from '../../lib/sync/run.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import type { LocalDynamoDb } from '../../local/dynamodb.ts';
import { startSlapd } from '../../local/slapd.ts';
import type { Slapd } from '../../local/slapd.ts';
import { ldifOf, passwordOf, READER, settingsOf, uidOf } from '../bench/people.ts';
import { startLdapMeter } from '../support/ldap-meter.ts';
import type { LdapMeter } from '../support/ldap-meter.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { connect, createTables } from '../support/tables.ts';

const PEOPLE = 10_000;
const PAGE = 1_000;
const STATEMENTS_TOGETHER = 25;
const ITEMS_TOGETHER = 97;
const PAGES = PEOPLE / PAGE;
/** Bind, root DSE, unique id, unbind. */
const MOST_OTHER_LDAP_REQUESTS = 5;

/** Requests to DynamoDB by operation, and the bytes of its answers. */
interface Meter {
  readonly operations: Map<string, number>;
  answeredBytes: number;
}

let folder: string;
let slapd: Slapd;
let dynamoDb: LocalDynamoDb;
let ldap: LdapMeter;
let house: Awaited<ReturnType<typeof wire>>;

function meter(client: ReturnType<typeof connect>): Meter {
  const counts: Meter = { operations: new Map(), answeredBytes: 0 };
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const name = String(context.commandName).replace(/Command$/u, '');
      counts.operations.set(name, (counts.operations.get(name) ?? 0) + 1);
      const result = await next(args);
      const { headers } = result.response as { headers: Record<string, string> };
      counts.answeredBytes += Number(headers['content-length'] ?? 0);
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'meter' },
  );
  return counts;
}

async function wire(client: ReturnType<typeof connect>) {
  const dynamo = meter(client);
  const clock = { now: () => new Date() };
  const options = { client, clock, ...(await createTables(client)) };
  const { settings } = createMemoryStores(clock);
  await settings.write(settingsOf(ldap.port), READER.password, null);
  const open = (document: Settings, password: string) => openDirectory(document, password, clock.now);
  const ports = {
    users: createUserStore(options),
    runs: createRunStore(options),
    journal: createRunJournal(options),
    approvals: createApprovalStore(options),
    settings,
    openDirectory: open,
    clock,
    newId: randomUUID,
  };
  const sync = makeHandler(ports);
  const directory = keepDirectory(settings, open, clock);
  const login = createLogin({ logins: createLoginStore(options), directory, clock, pause: async () => {} });

  /** Counts the requests and bytes of one piece of work. */
  async function count<T>(work: () => Promise<T>) {
    // The unbind that ended the work before may still be on its way.
    await sleep(100);
    const before = { requests: ldap.requests, bytes: ldap.answeredBytes, dynamoBytes: dynamo.answeredBytes };
    dynamo.operations.clear();
    const result = await work();
    return {
      result,
      ldapRequests: ldap.requests - before.requests,
      ldapBytes: ldap.answeredBytes - before.bytes,
      dynamoBytes: dynamo.answeredBytes - before.dynamoBytes,
      operations: Object.fromEntries(dynamo.operations),
    };
  }

  return {
    count,
    login,
    async run(): Promise<Run> {
      const result = await sync({ trigger: 'schedule' }, { getRemainingTimeInMillis: () => 900_000 });
      if ('activeRunId' in result) throw new Error('another run is active');
      expect(result).toMatchObject({ status: 'succeeded', progress: { read: PEOPLE } });
      return result;
    },
    async close(): Promise<void> {
      await (await directory.get())?.directory.close();
      client.destroy();
    },
  };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-smoke-'));
  [slapd, dynamoDb] = await Promise.all([
    startSlapd({
      folder,
      ldif: ldifOf(PEOPLE),
      limits: [`dn.exact="${READER.dn}" size.soft=500 size.hard=500 size.pr=1000 size.prtotal=unlimited`],
    }),
    startDynamoDb(),
  ]);
  ldap = await startLdapMeter(slapd.ldapPort);
  house = await wire(connect(dynamoDb.endpoint));
});

afterAll(async () => {
  await house?.close();
  await ldap?.stop();
  await Promise.all([slapd?.stop(), dynamoDb?.stop()]);
  await rm(folder, { recursive: true, force: true });
});

// These tests build on each other: the second run and the logins use the users that the first run has written.
describe('the costs of 10,000 people', () => {
  test(
    'the first import writes each of them once, in full transactions, and their second address, and reads none back',
    { timeout: 60_000 },
    async () => {
      const { result, operations } = await house.count(() => house.run());
      expect(result.totals.created).toBe(PEOPLE);
      // A user is two items: the record, and the owner of the directory id. Lines are in the same transactions.
      expect(operations['TransactWriteItems']).toBeLessThan((1.1 * 2 * PEOPLE) / ITEMS_TOGETHER);
      expect(operations['BatchExecuteStatement']).toBeLessThan((1.1 * PEOPLE) / STATEMENTS_TOGETHER);
      expect(operations['BatchGetItem']).toBeUndefined();
      expect(operations['PutItem']).toBeUndefined();
    },
  );

  test('a run that finds nothing changed writes no user', async () => {
    const { result, operations, ldapRequests, ldapBytes, dynamoBytes } = await house.count(() => house.run());
    expect(result.totals).toMatchObject({ unchanged: PEOPLE, created: 0, updated: 0 });
    // The run takes, renews and gives back the lease, reads and replaces the memory of runs, counts who is unchanged,
    // and queries the index. Nothing else.
    const { Query, UpdateItem = 0, ...others } = operations;
    expect(others).toEqual({ GetItem: 5, TransactWriteItems: 4 });
    expect(Query).toBeLessThanOrEqual(16);
    expect(UpdateItem).toBeLessThanOrEqual(3 + Math.ceil(durationSeconds(result)));
    // One request for each page.
    expect(ldapRequests).toBeGreaterThanOrEqual(PAGES);
    expect(ldapRequests).toBeLessThanOrEqual(PAGES + 1 + MOST_OTHER_LDAP_REQUESTS);
    // The directory sends only the mapped attributes, a third of an entry; DynamoDB only the link of each user.
    expect(ldapBytes / PEOPLE).toBeLessThan(320);
    expect(dynamoBytes / PEOPLE).toBeLessThan(170);
  });

  test('the login from a known source is a bind, beside it one look-up, and one request to DynamoDB', async () => {
    const logIn = () => house.login.logIn(uidOf(2), passwordOf(2), 'desk');
    expect((await house.count(logIn)).operations).toEqual({ BatchGetItem: 1, PutItem: 2 });
    const { result, operations, ldapRequests } = await house.count(logIn);
    expect(result).toMatchObject({ outcome: 'accepted', user: { userName: uidOf(2) } });
    // They run at the same time, each on a warm connection of its own: one round trip.
    expect(ldapRequests).toBe(2);
    expect(operations).toEqual({ BatchGetItem: 1 });
  });
});

function durationSeconds({ startedAt, finishedAt }: Run): number {
  return (Date.parse(finishedAt!) - Date.parse(startedAt)) / 1_000;
}
