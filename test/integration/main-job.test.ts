/**
 * The main job on real servers: people from OpenLDAP into DynamoDB by the sync function, logins against them by the
 * auth function, with the deployed adapters. Writes to the users table are counted at the wire.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Attribute, Change as Modification, Client } from 'ldapts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeHandler as makeAuthHandler } from '../../functions/auth-handler.ts';
import { makeHandler as makeSyncHandler } from '../../functions/sync-handler.ts';
import { createApprovalStore } from '../../lib/aws/approval-store.ts';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { createRunJournal } from '../../lib/aws/run-journal.ts';
import { createRunStore } from '../../lib/aws/run-store.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { createLogin } from '../../lib/login/login.ts';
import type { LoginOutcome } from '../../lib/login/login.ts';
import type { Change, Run, Totals } from '../../lib/sync/run.ts';
import type { User } from '../../lib/user/user.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import type { LocalDynamoDb } from '../../local/dynamodb.ts';
import { startSlapd } from '../../local/slapd.ts';
import type { Slapd } from '../../local/slapd.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aSettings } from '../support/people.ts';
import { connect, createTables } from '../support/tables.ts';

const SUFFIX = 'dc=example,dc=com';
const PEOPLE = `ou=people,${SUFFIX}`;
const LEAVERS = `ou=leavers,${SUFFIX}`;
const READER = `cn=reader,${SUFFIX}`;
const COUNT = 1_200;

const uidOf = (number: number): string => `user${String(number).padStart(4, '0')}`;
const dnOf = (number: number): string => `uid=${uidOf(number)},${PEOPLE}`;

let folder: string;
let slapd: Slapd;
let dynamoDb: LocalDynamoDb;
let house: ReturnType<typeof wire>;

function ldif(): string {
  const organization = [
    `dn: ${SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example`,
    ...[PEOPLE, LEAVERS].map((dn) => `dn: ${dn}\nobjectClass: organizationalUnit\nou: ${/^ou=([^,]+)/.exec(dn)![1]}`),
    [
      `dn: ${READER}`,
      'objectClass: organizationalRole',
      'objectClass: simpleSecurityObject',
      'cn: reader',
      'userPassword: reader',
    ].join('\n'),
  ];
  const people = Array.from({ length: COUNT }, (_, number) =>
    [
      `dn: ${dnOf(number)}`,
      'objectClass: inetOrgPerson',
      `uid: ${uidOf(number)}`,
      `cn: Person ${number}`,
      `sn: ${number}`,
      `mail: ${uidOf(number)}@example.com`,
      `userPassword: secret-${number}`,
    ].join('\n'),
  );
  return [...organization, ...people].join('\n\n');
}

/** Counts the statements and transaction items that write to the users table as they are sent. */
function countWrites(client: ReturnType<typeof connect>, usersTable: string): () => number {
  let writes = 0;
  client.middlewareStack.add(
    (next) => async (args) => {
      const body = args.input as {
        readonly Statements?: readonly { readonly Statement: string }[];
        readonly TransactItems?: readonly Record<string, { readonly TableName: string }>[];
        readonly TableName?: string;
        readonly UpdateExpression?: string;
      };
      writes += body.Statements?.filter(({ Statement }) => !Statement.startsWith('SELECT')).length ?? 0;
      for (const member of body.TransactItems ?? []) {
        const [[kind, { TableName }]] = Object.entries(member) as [[string, { TableName: string }]];
        if (kind !== 'ConditionCheck' && kind !== 'Get' && TableName === usersTable) writes += 1;
      }
      if (body.TableName === usersTable && body.UpdateExpression !== undefined) writes += 1;
      return next(args);
    },
    { step: 'initialize', name: 'countWrites' },
  );
  return () => writes;
}

function wire(client: ReturnType<typeof connect>, tables: Awaited<ReturnType<typeof createTables>>) {
  const writes = countWrites(client, tables.usersTable);
  let aheadMs = 0;
  const clock = { now: () => new Date(Date.now() + aheadMs) };
  const options = { client, ...tables, clock };
  const users = createUserStore(options);
  const runs = createRunStore(options);
  const { settings } = createMemoryStores(clock);
  const open = (...[document, password]: Parameters<Parameters<typeof keepDirectory>[1]>) =>
    openDirectory(document, password, clock.now);
  const sync = makeSyncHandler({
    users,
    runs,
    journal: createRunJournal(options),
    approvals: createApprovalStore(options),
    settings,
    openDirectory: open,
    clock,
    newId: randomUUID,
  });
  const directory = keepDirectory(settings, open, clock);
  const login = createLogin({ logins: createLoginStore(options), directory, clock, pause: async () => {} });
  const auth = makeAuthHandler({ login, takeDirectoryMs: () => null });

  return {
    users,
    writes,
    async configure(over: Parameters<typeof aSettings>[0] = {}): Promise<void> {
      const document = aSettings({
        ...over,
        connection: {
          servers: [`127.0.0.1:${slapd.ldapPort}`],
          encryption: 'tls',
          caCertificates: slapd.caPem,
          administrativeDn: READER,
        },
        scope: { baseDn: PEOPLE, filter: '(objectClass=inetOrgPerson)', ...over.scope },
      });
      const stored = await settings.read();
      expect(await settings.write(document, 'reader', stored?.version ?? null)).not.toBeNull();
    },
    async run(over: { readonly dryRun?: boolean } = {}): Promise<Run> {
      const result = await sync({ trigger: 'schedule', ...over }, { getRemainingTimeInMillis: () => 900_000 });
      if ('activeRunId' in result) throw new Error('another run is active');
      return result;
    },
    changes: async (run: Run): Promise<readonly Change[]> => (await runs.listChanges(run.id, { limit: 1_000 })).items,
    user: (userName: string): Promise<User | null> => users.get(userName),
    logIn: (userName: string, password: string): Promise<LoginOutcome> => auth({ userName, password }),
    passDays(days: number): void {
      aheadMs += days * 86_400_000;
    },
    async close(): Promise<void> {
      await (await directory.get())?.directory.close();
      client.destroy();
    },
  };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-main-job-'));
  [slapd, dynamoDb] = await Promise.all([
    startSlapd({
      folder,
      ldif: ldif(),
      limits: [`dn.exact="${READER}" size.soft=500 size.hard=500 size.pr=1000 size.prtotal=unlimited`],
    }),
    startDynamoDb(),
  ]);
  const client = connect(dynamoDb.endpoint);
  house = wire(client, await createTables(client));
  await house.configure();
});

afterAll(async () => {
  await house?.close();
  await Promise.all([slapd?.stop(), dynamoDb?.stop()]);
  await rm(folder, { recursive: true, force: true });
});

async function inDirectory(work: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ url: `ldap://127.0.0.1:${slapd.ldapPort}`, timeout: 5_000, connectTimeout: 5_000 });
  await client.bind(slapd.rootDn, slapd.rootPassword);
  try {
    await work(client);
  } finally {
    await client.unbind();
  }
}

const replace = (type: string, ...values: string[]): Modification =>
  new Modification({ operation: 'replace', modification: new Attribute({ type, values }) });

const nothing: Partial<Totals> = {
  created: 0,
  updated: 0,
  renamed: 0,
  linked: 0,
  disabled: 0,
  enabled: 0,
  deleted: 0,
  skipped: 0,
  conflict: 0,
  withheld: 0,
};

// These tests build on each other: each starts with the directory as the one before it has left it.
describe('1,200 people', () => {
  test('a dry run tells what it would do and writes nothing', async () => {
    const run = await house.run({ dryRun: true });
    expect(run).toMatchObject({ status: 'succeeded', dryRun: true, totals: { ...nothing, created: COUNT } });
    expect(house.writes()).toBe(0);
    expect((await house.users.list({ limit: 1 })).items).toEqual([]);
  });

  test('the first run creates them all', async () => {
    const run = await house.run();
    expect(run).toMatchObject({
      status: 'succeeded',
      progress: { read: COUNT, planned: COUNT, applied: COUNT },
      totals: { ...nothing, created: COUNT, unchanged: 0 },
      completeness: { complete: true, reasons: [] },
    });
    expect(house.writes()).toBe(COUNT);
    expect(await house.user('user0007')).toMatchObject({
      userName: 'user0007',
      fullName: 'Person 7',
      emailAddresses: ['user0007@example.com'],
      authentication: 'directory',
      privileges: ['login'],
      directory: { dn: dnOf(7), idAttribute: 'entryuuid' },
    });
  });

  test('the second run writes nothing at all', async () => {
    const before = house.writes();
    const run = await house.run();
    expect(run).toMatchObject({ status: 'succeeded', totals: { ...nothing, unchanged: COUNT } });
    expect(house.writes()).toBe(before);
  });

  test('a login takes the right password, in any letter case of the name, and refuses the wrong one', async () => {
    expect(await house.logIn('user0007', 'secret-7')).toMatchObject({
      outcome: 'accepted',
      user: { userName: 'user0007' },
    });
    expect(await house.logIn('USER0007', 'secret-7')).toMatchObject({ outcome: 'accepted' });
    const refused = { outcome: 'rejected', reason: 'invalidCredentials' };
    expect(await house.logIn('user0007', 'secret-8')).toEqual(refused);
    expect(await house.logIn('user0007', '')).toEqual(refused);
    expect(await house.logIn('nobody', 'secret-7')).toEqual(refused);
  });

  test('somebody renamed logs in under the old name until the next run, and keeps the account under the new one', async () => {
    const before = await house.user(uidOf(1));
    await inDirectory((client) => client.modifyDN(dnOf(1), `uid=married,${PEOPLE}`));
    expect(await house.logIn(uidOf(1), 'secret-1')).toMatchObject({ outcome: 'accepted' });
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...nothing, renamed: 1 });
    expect(await house.changes(run)).toMatchObject([
      { kind: 'renamed', userName: 'married', previousUserName: uidOf(1), userId: before!.id },
    ]);
    expect(await house.logIn('Married', 'secret-1')).toMatchObject({ outcome: 'accepted', user: { id: before!.id } });
    expect(await house.logIn('married', 'secret-2')).toMatchObject({ outcome: 'rejected' });
    expect(await house.logIn(uidOf(1), 'secret-1')).toMatchObject({ outcome: 'rejected' });
  });

  test('two people who swap their names keep their accounts', async () => {
    const [two, three] = [await house.user(uidOf(2)), await house.user(uidOf(3))];
    await inDirectory(async (client) => {
      await client.modifyDN(dnOf(2), `uid=between,${PEOPLE}`);
      await client.modifyDN(dnOf(3), dnOf(2));
      await client.modifyDN(`uid=between,${PEOPLE}`, dnOf(3));
    });
    expect((await house.run()).totals).toMatchObject({ ...nothing, renamed: 2 });
    expect((await house.user(uidOf(2)))!.id).toBe(three!.id);
    expect((await house.user(uidOf(3)))!.id).toBe(two!.id);
    expect(await house.logIn(uidOf(2), 'secret-3')).toMatchObject({ outcome: 'accepted', user: { id: three!.id } });
  });

  test('a moved person counts as renamed; changed attributes tell from and to', async () => {
    await inDirectory(async (client) => {
      await client.add(`ou=team,${PEOPLE}`, { objectClass: 'organizationalUnit', ou: 'team' });
      await client.modifyDN(dnOf(4), `uid=${uidOf(4)},ou=team,${PEOPLE}`);
      await client.modify(dnOf(5), [replace('cn', 'Fünf, Anna'), replace('mail', 'a@example.com', 'b@example.com')]);
    });
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...nothing, renamed: 1, updated: 1 });
    const [updated, moved] = (await house.changes(run)).toSorted((one, other) => (one.kind < other.kind ? 1 : -1));
    expect(moved).toMatchObject({ kind: 'renamed', fields: { 'directory.dn': { from: dnOf(4) } } });
    expect(updated).toMatchObject({
      kind: 'updated',
      fields: {
        fullName: { from: 'Person 5', to: 'Fünf, Anna' },
        emailAddresses: { from: [`${uidOf(5)}@example.com`], to: ['a@example.com', 'b@example.com'] },
      },
    });
    expect(await house.logIn(uidOf(4), 'secret-4')).toMatchObject({ outcome: 'accepted' });
  });

  test('somebody the directory disables is disabled, and enabled again when it does not any more', async () => {
    const lock = (...values: string[]) =>
      inDirectory((client) => client.modify(dnOf(6), [replace('pwdAccountLockedTime', ...values)]));
    await lock('000001010000Z');
    expect((await house.run()).totals).toMatchObject({ ...nothing, disabled: 1 });
    expect(await house.logIn(uidOf(6), 'secret-6')).toEqual({ outcome: 'rejected', reason: 'accountDisabled' });
    await lock();
    expect((await house.run()).totals).toMatchObject({ ...nothing, enabled: 1 });
    expect(await house.logIn(uidOf(6), 'secret-6')).toMatchObject({ outcome: 'accepted' });
  });

  test('somebody who leaves the scope is kept, disabled or deleted as the settings say, and returns to the same account', async () => {
    const before = await house.user(uidOf(8));
    const away = `uid=${uidOf(8)},${LEAVERS}`;
    await inDirectory((client) => client.modifyDN(dnOf(8), away));
    expect((await house.run()).totals).toMatchObject({ ...nothing, updated: 1 });
    expect((await house.user(uidOf(8)))!.directory!.missingSince).not.toBeNull();

    await house.configure({ options: { missingUsers: 'disable' } });
    const disabled = await house.run();
    expect(disabled.totals).toMatchObject({ ...nothing, disabled: 1 });
    expect(await house.changes(disabled)).toMatchObject([{ kind: 'disabled', reason: 'outOfScope' }]);
    expect(await house.logIn(uidOf(8), 'secret-8')).toEqual({ outcome: 'rejected', reason: 'accountDisabled' });

    await inDirectory((client) => client.modifyDN(away, dnOf(8)));
    expect((await house.run()).totals).toMatchObject({ ...nothing, enabled: 1 });
    expect((await house.user(uidOf(8)))!.id).toBe(before!.id);
    expect(await house.logIn(uidOf(8), 'secret-8')).toMatchObject({ outcome: 'accepted' });
  });

  test('somebody deleted is deleted after the grace period; who comes after them under that name is somebody else', async () => {
    await house.configure({ options: { missingUsers: 'delete', gracePeriodDays: 7 } });
    const before = await house.user(uidOf(9));
    await inDirectory((client) => client.del(dnOf(9)));
    expect((await house.run()).totals).toMatchObject({ ...nothing, updated: 1 });
    house.passDays(8);
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...nothing, deleted: 1 });
    expect(await house.changes(run)).toMatchObject([
      { kind: 'deleted', userName: uidOf(9), reason: 'goneFromDirectory' },
    ]);
    expect(await house.user(uidOf(9))).toBeNull();

    await inDirectory((client) =>
      client.add(dnOf(9), {
        objectClass: 'inetOrgPerson',
        uid: uidOf(9),
        cn: 'Successor',
        sn: 'S',
        userPassword: 'other',
      }),
    );
    expect((await house.run()).totals).toMatchObject({ ...nothing, created: 1 });
    expect((await house.user(uidOf(9)))!.id).not.toBe(before!.id);
  });

  test('a filter that suddenly matches almost nobody removes nobody', async () => {
    await house.configure({ options: { missingUsers: 'delete' }, scope: { filter: '(uid=user000*)' } });
    const run = await house.run();
    expect(run.status).toBe('succeeded');
    expect(run.totals).toMatchObject({ deleted: 0, disabled: 0 });
    expect(run.totals.withheld).toBeGreaterThan(1_000);
    expect(run.notices).toEqual([expect.stringMatching(/the limit is 120/u)]);
    await house.configure();
    // Those who were withheld had been marked as missing.
    const back = (await house.run()).totals;
    expect(back).toMatchObject({ ...nothing, updated: run.totals.withheld, unchanged: COUNT - run.totals.withheld });
  });

  test('a directory that is away is a fault for a login and fails a run, and nobody is touched', async () => {
    const before = house.writes();
    await slapd.stop();
    await expect(house.logIn(uidOf(10), 'secret-10')).rejects.toMatchObject({ name: 'DirectoryUnavailable' });
    expect(await house.run()).toMatchObject({
      status: 'failed',
      error: { code: 'connectionRefused', advice: expect.stringMatching(/running/u) },
      totals: nothing,
    });
    expect(house.writes()).toBe(before);
  });
});
