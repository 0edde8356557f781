/**
 * What the product costs a month on AWS: `node test/bench/cost.ts RESULTS.json ...`. Request units are those that the
 * real adapters consume on a DynamoDB emulator, log bytes those that they print, durations those in the results of a
 * benchmark. The rest is assumptions, all of them in this file, and the prices of cdk/price.ts, without free tiers.
 */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { listFixedCosts, sumCosts, MONTH_HOURS, PRICE, type CostLine, type PricedResource } from '../../cdk/price.ts';
import { makeHandler as makeAuthHandler } from '../../functions/auth-handler.ts';
import { makeHandler as makeSyncHandler } from '../../functions/sync-handler.ts';
import { hintsOf } from '../../lib/aws/address-index.ts';
import { createApprovalStore } from '../../lib/aws/approval-store.ts';
import { LIST_SHARDS, OPERATIONS_PREFIX } from '../../lib/aws/environment.ts';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { createRunJournal } from '../../lib/aws/run-journal.ts';
import { createRunStore } from '../../lib/aws/run-store.ts';
import { toUser } from '../../lib/aws/user-item.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { createLogin } from '../../lib/login/login.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import type { RunJournal } from '../../lib/sync/run-journal.ts';
import type { RunStore } from '../../lib/sync/run-store.ts';
import { newRun } from '../../lib/sync/run.ts';
import type { ChangeKind } from '../../lib/sync/run.ts';
import type { UserWrite } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { startSlapd } from '../../local/slapd.ts';
import { VPC } from '../cdk/templates/combination.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { connect, createTables } from '../support/tables.ts';
import type { Results } from './benchmark.ts';
import { ldifOf, passwordOf, READER, settingsOf, uidOf, userOf } from './people.ts';
import { meter } from './request-units.ts';

const ASSUMED = {
  runsAMonth: 730,
  loginsAUser: 10,
  /** Each of these logins is on another day, on which it is the first one from its device. */
  loginWriteUnits: 1,
  /** Share of the users whose entry changes. */
  changedAMonth: 0.05,
  /** Round trip from the functions to a directory elsewhere; a login waits for one. */
  directoryMs: 20,
  /** From the functions to DynamoDB and Secrets Manager, which are in the same region. */
  storeMs: 5,
  /** People in a page of the directory; a run asks for one page after the other. */
  pageOfPeople: 1_000,
  /** The line and the metrics of a run, and of the gauges of the watch. */
  runLogBytes: 2_000,
  watchLogBytes: 600,
  /** The watch looks every five minutes, at the settings, the schedule and a page of runs. */
  watchesAMonth: 8_760,
  watchMs: 150,
  watchGb: 0.25,
  watchReadUnits: 4,
  /** Minutes in a month: a busy instance of the login reads the settings once a minute. */
  busyLoginMinutes: 43_800,
  /**
   * Custom metrics beyond those of every hour, by the share of hours in which they report. With few users, most hours
   * have neither a change nor a refusal.
   */
  usageMetrics: [
    { users: 1_000, metrics: 2 },
    { users: 100_000, metrics: 10 },
    { users: 1_000_000, metrics: 16 },
  ],
  /** Upper bound for the events function, which is invoked for each change when changes come one by one. */
  eventMs: 100,
  eventGb: 0.5,
  /** DynamoDB's overhead for each item, and again for its copy in an index. */
  itemOverheadBytes: 100,
};

const SAMPLE = 2_000;

/** Counts the bytes that `work` prints, and keeps them off the terminal. */
async function printedBy(work: () => Promise<unknown>): Promise<number> {
  const write = process.stdout.write.bind(process.stdout);
  let bytes = 0;
  process.stdout.write = (text: string | Uint8Array) => {
    bytes += text.length;
    return true;
  };
  try {
    await work();
  } finally {
    process.stdout.write = write;
  }
  return bytes;
}

interface Measured {
  /** Read units for the links of all sample users, without the fixed part of a run. */
  readonly linkUnits: number;
  readonly runReadUnits: number;
  readonly runWriteUnits: number;
  /** Requests to DynamoDB of a run that finds nothing changed; some of them at the same time. */
  readonly runRequests: number;
  /** Write units of a change of these people, who have two addresses. */
  readonly createUnits: number;
  /** Write units of a change of a user of one address, through the journal of a run. */
  readonly journalUnits: Readonly<Record<'create' | 'update' | 'delete', number>>;
  readonly loginUnits: number;
  readonly loginLogBytes: number;
  /** Size of one user's items in the tables, and in the indexes. */
  readonly tableBytes: number;
  /** One user's entry in the list index, which every run reads. */
  readonly linkBytes: number;
  readonly indexBytes: number;
}

async function measure(): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-cost-'));
  const [slapd, dynamoDb] = await Promise.all([
    startSlapd({
      folder,
      ldif: ldifOf(SAMPLE),
      limits: [`dn.exact="${READER.dn}" size.soft=500 size.hard=500 size.pr=1000 size.prtotal=unlimited`],
    }),
    startDynamoDb({ kind: 'dynoxide' }),
  ]);
  const client = connect(dynamoDb.endpoint);
  try {
    const consumed = meter(client);
    const clock = { now: () => new Date() };
    const options = { client, clock, ...(await createTables(client)) };
    const { settings } = createMemoryStores(clock);
    await settings.write(settingsOf(slapd.ldapPort), READER.password, null);
    const open = (document: Settings, password: string) => openDirectory(document, password, clock.now);
    const users = createUserStore(options);
    const runs = createRunStore(options);
    const journal = createRunJournal(options);
    const approvals = createApprovalStore(options);
    const ports = { users, runs, journal, approvals, settings, openDirectory: open, clock, newId: randomUUID };
    const sync = makeSyncHandler(ports);
    const directory = keepDirectory(settings, open, clock);
    const login = createLogin({ logins: createLoginStore(options), directory, clock, pause: async () => {} });
    const auth = makeAuthHandler({ login, takeDirectoryMs: () => 3.25 });

    const costOf = async (work: () => Promise<unknown>) => {
      const before = { ...consumed };
      const logBytes = await printedBy(work);
      return {
        read: consumed.read - before.read,
        write: consumed.write - before.write,
        requests: consumed.requests - before.requests,
        logBytes,
      };
    };
    const run = () => sync({ trigger: 'schedule' }, { getRemainingTimeInMillis: () => 900_000 });
    const first = await costOf(run);
    const second = await costOf(run);
    const links = await costOf(async () => {
      for await (const batch of users.readLinks()) void batch;
    });
    const attempt = { userName: uidOf(2), password: passwordOf(2), source: 'desk' };
    await auth(attempt);
    const loggedIn = await costOf(() => auth(attempt));
    await (await directory.get())?.directory.close();
    const { Item } = await client.send(
      new GetCommand({
        TableName: options.usersTable,
        Key: { nameKey: uidOf(1) },
      }),
    );
    const items = [Item!, ...hintsOf(toUser(Item))];
    const owner = { pk: `${OPERATIONS_PREFIX.link}${String(Item!.linkKey)}`, sk: 'user', userId: Item!.id };
    return {
      linkUnits: links.read,
      runReadUnits: second.read - links.read,
      runWriteUnits: second.write,
      runRequests: second.requests,
      createUnits: (first.write - second.write) / SAMPLE,
      journalUnits: await measureJournal(runs, journal, costOf),
      loginUnits: loggedIn.read,
      loginLogBytes: loggedIn.logBytes,
      linkBytes: storedSize([only(Item!, LINK_ATTRIBUTES)]) - ASSUMED.itemOverheadBytes,
      tableBytes: storedSize([...items, owner]),
      indexBytes: storedSize([only(Item!, LINK_ATTRIBUTES), ...items.map((item) => only(item, ADDRESS_ATTRIBUTES))]),
    };
  } finally {
    client.destroy();
    await Promise.all([slapd.stop(), dynamoDb.stop()]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureJournal(
  runs: RunStore,
  journal: RunJournal,
  costOf: (work: () => Promise<unknown>) => Promise<{ readonly write: number }>,
): Promise<Measured['journalUnits']> {
  const run = newRun('journal', { dryRun: false, trigger: 'api', requestedBy: null, approves: null }, new Date());
  const started = await runs.start({ ...run, stage: 'reading' });
  if (started.kind === 'active') throw new Error('another run is active');
  const people = Array.from({ length: SAMPLE }, (_, number): User => {
    const user = userOf(number);
    const directory = user.directory && { ...user.directory, id: `one-${user.directory.id}` };
    return { ...user, directory, userName: `one-${user.userName}`, emailAddresses: user.emailAddresses.slice(0, 1) };
  });
  const next = people.map((user) => ({ ...user, fullName: 'Another Name', fingerprint: 'another', version: 2 }));
  const unitsOf = async (kind: ChangeKind, writes: readonly UserWrite[]): Promise<number> => {
    const groups = writes.map((write) => {
      const { id, userName, directory, fullName } = write.kind === 'create' ? write.user : write.previous;
      const fields = { fullName: { from: fullName, to: fullName } };
      const change = { kind, userId: id, userName, directoryId: directory!.id, dn: directory!.dn, fields };
      return [{ write, change, counts: [], approvals: [] }];
    });
    const { write } = await costOf(async () => {
      const results = await journal.write(started.fence, groups);
      if (results.includes('lostRace')) throw new Error('not every write succeeded');
    });
    return write / SAMPLE;
  };
  return {
    create: await unitsOf(
      'created',
      people.map((user) => ({ kind: 'create', user })),
    ),
    update: await unitsOf(
      'updated',
      next.map((user, index) => ({ kind: 'update', user, previous: people[index]! })),
    ),
    delete: await unitsOf(
      'deleted',
      next.map((previous) => ({ kind: 'delete', previous })),
    ),
  };
}

const LINK_ATTRIBUTES = ['nameKey', 'listShard', 'linkKey', 'fingerprint', 'authentication', 'disabledBy'];
const ADDRESS_ATTRIBUTES = ['nameKey', 'addressKey'];

function only(item: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(item).filter(([name]) => names.includes(name)));
}

function storedSize(items: readonly object[]): number {
  return items.reduce((sum, item) => sum + itemSize({ ...item }) + ASSUMED.itemOverheadBytes, 0);
}

/**
 * The size of an item in bytes.
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
 */
function itemSize(item: Record<string, unknown>): number {
  const sizeOf = (value: unknown): number => {
    if (typeof value === 'string') return Buffer.byteLength(value);
    if (Array.isArray(value)) return 3 + value.reduce((sum: number, each) => sum + 1 + sizeOf(each), 0);
    return typeof value === 'number' ? 2 : 1;
  };
  return Object.entries(item).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + sizeOf(value), 0);
}

interface Durations {
  /** Duration of a run that finds nothing changed, per person. */
  readonly runMsAPerson: number;
  readonly loginMs: number;
  readonly syncGb: number;
  readonly authGb: number;
}

/** Dollars a month that grow with the number of users, by item of the bill. */
function monthOf(users: number, units: Measured, { runMsAPerson, loginMs, syncGb, authGb }: Durations) {
  const { runsAMonth, loginsAUser, changedAMonth, directoryMs, storeMs, watchesAMonth } = ASSUMED;
  const logins = users * loginsAUser;
  const gb = (bytes: number): number => bytes / 1e9;
  // Lambda bills the waiting too. Pages of the directory and of the list index come one after the other.
  const linkPages = (users * units.linkBytes) / 1e6 + LIST_SHARDS;
  const roundTripMs = (units.runRequests + linkPages) * storeMs + (10 + users / ASSUMED.pageOfPeople) * directoryMs;
  const runSeconds = 1 + (runMsAPerson * users + roundTripMs) / 1_000;
  const reads = runsAMonth * ((units.linkUnits / SAMPLE) * users + units.runReadUnits);
  // The lease is renewed once a second.
  const writes = runsAMonth * (units.runWriteUnits + runSeconds) + users * changedAMonth * units.createUnits;
  const tableGb = gb(users * units.tableBytes);
  const indexGb = gb(users * units.indexBytes);
  const events = runsAMonth + users * changedAMonth;
  const usageMetrics = ASSUMED.usageMetrics.find((assumed) => assumed.users === users)?.metrics ?? 0;
  const secretCalls = runsAMonth + watchesAMonth + Math.min(logins, ASSUMED.busyLoginMinutes);
  return {
    'sync: database': reads * PRICE.readUnit + writes * PRICE.writeUnit,
    'sync: function': runsAMonth * (runSeconds * syncGb * PRICE.armGbSecond + PRICE.invocation + PRICE.scheduledStart),
    'login: database': logins * (units.loginUnits * PRICE.readUnit + ASSUMED.loginWriteUnits * PRICE.writeUnit),
    'login: function': logins * (((loginMs + directoryMs) / 1_000) * authGb * PRICE.armGbSecond + PRICE.invocation),
    'login: log': gb(logins * units.loginLogBytes) * PRICE.logGb,
    watch:
      watchesAMonth *
      (PRICE.invocation +
        PRICE.scheduledStart +
        (ASSUMED.watchMs / 1_000) * ASSUMED.watchGb * PRICE.armGbSecond +
        ASSUMED.watchReadUnits * PRICE.readUnit +
        gb(ASSUMED.watchLogBytes) * PRICE.logGb),
    'sync and events: log': gb(runsAMonth * ASSUMED.runLogBytes) * PRICE.logGb,
    'metrics of changes and logins': usageMetrics * PRICE.metric,
    'reading the settings': secretCalls * PRICE.secretCall,
    events: events * (PRICE.event + PRICE.invocation + (ASSUMED.eventMs / 1_000) * ASSUMED.eventGb * PRICE.armGbSecond),
    storage: (tableGb + indexGb) * PRICE.storedGb + tableGb * PRICE.recoverableGb,
  };
}

function fixedCostsOf(context: Readonly<Record<string, string>>): readonly CostLine[] {
  const folder = mkdtempSync(join(tmpdir(), 'rollcall-cost-'));
  try {
    const CDK_CONTEXT_JSON = JSON.stringify({ ...context, 'aws:cdk:bundling-stacks': [] });
    const { status, stderr } = spawnSync(process.execPath, ['cdk/app.ts'], {
      cwd: join(import.meta.dirname, '../..'),
      env: { ...process.env, CDK_OUTDIR: folder, CDK_CONTEXT_JSON },
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`the stack could not be synthesized:\n${stderr}`);
    const { Resources } = JSON.parse(readFileSync(join(folder, 'Rollcall.template.json'), 'utf8')) as {
      readonly Resources: Readonly<Record<string, PricedResource>>;
    };
    return listFixedCosts(Object.values(Resources));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Ways to a directory that is not public, by their fixed costs; the VPC of the combinations has two zones. */
function waysToDirectory(): readonly (readonly [way: string, dollars: number])[] {
  const minimal = sumCosts(fixedCostsOf({}));
  const zones = VPC.subnetIds.split(',').length;
  return [
    ['no VPC: the directory is public', minimal],
    ['VPC, all endpoints created', sumCosts(fixedCostsOf(VPC))],
    [
      'VPC in one zone, all endpoints created',
      sumCosts(fixedCostsOf({ ...VPC, subnetIds: 'subnet-00000000000000001', availabilityZones: 'eu-central-1a' })),
    ],
    ['VPC that has NAT gateways or these endpoints already', sumCosts(fixedCostsOf({ ...VPC, vpcEndpoints: 'none' }))],
    [`to add: NAT gateways in ${zones} zones instead of endpoints`, zones * PRICE.natGatewayHour * MONTH_HOURS],
    ['to add: a site-to-site VPN connection', PRICE.vpnConnectionHour * MONTH_HOURS],
    ['to add: a private hosted zone', PRICE.hostedZone],
    [`to add: a resolver endpoint with ${zones} addresses`, zones * PRICE.resolverAddressHour * MONTH_HOURS],
  ];
}

const files = process.argv.slice(2);
const results = await Promise.all(files.map(async (file) => JSON.parse(await readFile(file, 'utf8')) as Results));
const slowest = results
  .flatMap(({ sync }) => sync)
  .filter(({ workload, store }) => workload === 'nothingChanged' && store === 'dynoxide')
  .at(-1);
const directoryLogin = results.flatMap(({ logins }) => logins).find(({ login }) => login === 'directory');
if (slowest === undefined || directoryLogin === undefined) {
  console.error('usage: node test/bench/cost.ts RESULTS.json ...');
  console.error('The results must contain the workload nothingChanged on dynoxide, and logins.');
  process.exit(2);
}
const units = await measure();
const durations = {
  runMsAPerson: slowest.wallMs / slowest.people,
  loginMs: directoryLogin.p50Ms,
  syncGb: 2,
  authGb: 0.5,
};
const sizes = [1_000, 100_000, 1_000_000];
const months = sizes.map((users) => monthOf(users, units, durations));
const money = (dollars: number): string => `$${dollars < 0.995 ? dollars.toFixed(3) : dollars.toFixed(2)}`;
console.log(`measured: ${JSON.stringify({ ...units, ...durations })}\n`);
console.log(`| dollars a month | ${sizes.map((users) => `${users.toLocaleString('en-US')} users`).join(' | ')} |`);
console.log(`|---|${sizes.map(() => '---:').join('|')}|`);
for (const name of Object.keys(months[0]!) as (keyof (typeof months)[0])[]) {
  console.log(`| ${name} | ${months.map((month) => money(month[name])).join(' | ')} |`);
}
const sums = months.map((month) => Object.values(month).reduce((sum, dollars) => sum + dollars, 0));
console.log(`| **together** | ${sums.map((sum) => `**${money(sum)}**`).join(' | ')} |\n`);
const fixed = fixedCostsOf({});
for (const { what, dollars } of fixed) console.log(`| ${what} | ${money(dollars)} |`);
console.log(`| **fixed, together** | **${money(sumCosts(fixed))}** |\n`);
for (const [way, dollars] of waysToDirectory()) console.log(`| ${way} | ${money(dollars)} |`);
