/**
 * The benchmarks: `npm run bench -- [--people 10000,200000] [--repeats 5] [--stores instant,dynoxide]
 * [--only sync,logins,starts] [--workloads nothingChanged,...] [--json FILE] [--profile FOLDER]`. Measures the product
 * and its base of comparison in turns, each in a process of its own, against real servers on this machine. Prints
 * medians, and the median of the ratios.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { SecretsManagerClient, CreateSecretCommand } from '@aws-sdk/client-secrets-manager';
import { BatchWriteCommand } from '@aws-sdk/lib-dynamodb';
import { chunksOf, inFlight } from '../../lib/aws/client.ts';
import { SYNC_MEMORY_MB, syncNodeOptions } from '../../lib/aws/environment.ts';
import { toUserItem } from '../../lib/aws/user-item.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { serve } from '../../local/running.ts';
import { createSecretsManager } from '../../local/secrets-manager.ts';
import { startSlapd } from '../../local/slapd.ts';
import { LOCAL_CREDENTIALS, LOCAL_REGION, synthesizeStack } from '../../local/template.ts';
import { connect, createTables } from '../support/tables.ts';
import { writeLinks } from './instant-store.ts';
import type { Cost, DynamoDb, LoginTimes, SyncCost } from './job.ts';
import type { LdapSearch } from './ldapsearch.ts';
import { findLdapSearch } from './ldapsearch.ts';
import { bundle, median, prepareJobs, quantile, ratioOf, runJson } from './measure.ts';
import type { RunJob } from './measure.ts';
import type { Known, Workload } from './people.ts';
import {
  ASKED,
  FILTER,
  isFormer,
  ldifOf,
  passwordOf,
  PEOPLE,
  READER,
  settingsOf,
  uidOf,
  userOf,
  WORKLOADS,
} from './people.ts';

const run = promisify(execFile);

const ROOT = join(import.meta.dirname, '../..');
const PEERS = join(ROOT, 'bench');
const STORES = ['instant', 'dynoxide'] as const;
type Store = (typeof STORES)[number];

/**
 * What a workload is compared with: reading everybody with ldapsearch, or writing the same users with the SDK alone.
 */
const BASES = { read: 'ldapsearch', write: 'raw SDK' } as const;

export interface SyncRow {
  readonly people: number;
  readonly workload: Workload | 'readLdapOrg';
  readonly store: Store | 'none';
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly peakMb: number;
  readonly worstPeakMb: number;
  readonly base: string;
  readonly baseMs: number;
  /** Our time divided by the base's. For writes the base's time divided by ours: 1 is as fast as the SDK alone. */
  readonly ratio: number;
}

export interface LoginRow {
  /** A LoginKind, or the name of a library. */
  readonly login: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface StartRow {
  readonly bundle: string;
  readonly kb: number;
  readonly importMs: number;
  /** Import and first answer together; null where only the import was measured. */
  readonly firstAnswerMs: number | null;
}

export interface Results {
  readonly machine: Record<string, string | number>;
  readonly sync: SyncRow[];
  readonly logins: LoginRow[];
  readonly starts: StartRow[];
}

const { values: flags } = parseArgs({
  options: {
    people: { type: 'string', default: '10000' },
    repeats: { type: 'string', default: '5' },
    stores: { type: 'string', default: STORES.join() },
    workloads: { type: 'string', default: Object.keys(WORKLOADS).join() },
    only: { type: 'string', default: 'sync,logins,starts' },
    json: { type: 'string' },
    profile: { type: 'string' },
  },
});
const repeats = Number(flags.repeats);
const parts = new Set(flags.only.split(','));
const stores = flags.stores.split(',') as Store[];
const workloads = flags.workloads.split(',') as Workload[];
const nodeOptions = [
  ...syncNodeOptions(SYNC_MEMORY_MB).split(' '),
  ...(flags.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(flags.profile)}`]),
];
const hasPeers = existsSync(join(PEERS, 'node_modules'));

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function describeMachine(ldapSearch: LdapSearch): Promise<Results['machine']> {
  const commit = await run('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT }).then(
    ({ stdout }) => stdout.trim(),
    () => 'unknown',
  );
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
    optionalDependencies: Record<string, string>;
  };
  return {
    when: new Date().toISOString().slice(0, 10),
    commit,
    processor: `${cpus().length} x ${cpus()[0]!.model.trim()}`,
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    node: process.versions.node,
    ldapts: manifest.dependencies['ldapts']!,
    sdk: manifest.dependencies['@aws-sdk/client-dynamodb']!,
    openLdap: ldapSearch.version,
    dynoxide: manifest.optionalDependencies['@dynoxide/linux-x64']!,
    repeats,
  };
}

// ---------------------------------------------------------------------------------------------------- the servers

interface Servers {
  readonly people: number;
  readonly folder: string;
  readonly ldapPort: number;
  readonly ldapSearch: LdapSearch;
  readonly runJob: RunJob;
}

async function withDirectory(
  people: number,
  ldapSearch: LdapSearch,
  work: (servers: Servers) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-bench-'));
  progress(`loading ${people} people into OpenLDAP`);
  const slapd = await startSlapd({
    folder: join(folder, 'slapd'),
    ldif: ldifOf(people),
    limits: [`dn.exact="${READER.dn}" size.soft=500 size.hard=500 size.pr=1000 size.prtotal=unlimited`],
  });
  try {
    // Fills the page cache.
    await ldapSearch.drain(slapd.ldapPort);
    const runJob = prepareJobs(folder, nodeOptions);
    await work({ people, folder, ldapPort: slapd.ldapPort, ldapSearch, runJob });
  } finally {
    await slapd.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Gives `work` empty tables on a server of their own, and `put`, which writes users without the product. */
async function withDynamoDb(
  work: (store: DynamoDb, put: (known: Known, which: (number: number) => boolean) => Promise<void>) => Promise<void>,
): Promise<void> {
  const server = await startDynamoDb({ kind: 'dynoxide' });
  const client = connect(server.endpoint);
  try {
    const store = { endpoint: server.endpoint, ...(await createTables(client)) };
    await work(store, async (known, which) => {
      const numbers = Array.from({ length: known.users }, (_, number) => number).filter(which);
      await inFlight(chunksOf(numbers, 25), async (together) => {
        const puts = together.map((number) => ({
          PutRequest: { Item: toUserItem(userOf(number, isFormer(number, known))) },
        }));
        await client.send(new BatchWriteCommand({ RequestItems: { [store.usersTable]: puts } }));
      });
    });
  } finally {
    client.destroy();
    await server.stop();
  }
}

// -------------------------------------------------------------------------------------------------- synchronisation

const WRITES: ReadonlySet<Workload> = new Set(['firstImport', 'allChanged']);

function rowOf(
  { people }: Servers,
  workload: SyncRow['workload'],
  store: SyncRow['store'],
  costs: readonly Cost[],
  base: keyof typeof BASES,
  baseMs: readonly number[],
): SyncRow {
  const walls = costs.map(({ wallMs }) => wallMs);
  return {
    people,
    workload,
    store,
    wallMs: median(walls),
    cpuMs: median(costs.map(({ cpuMs }) => cpuMs)),
    peakMb: median(costs.map(({ peakMb }) => peakMb)),
    worstPeakMb: Math.max(...costs.map(({ peakMb }) => peakMb)),
    base: BASES[base],
    baseMs: median(baseMs),
    ratio: base === 'read' ? ratioOf(walls, baseMs) : ratioOf(baseMs, walls),
  };
}

/** Fails unless the run did the work of the workload; otherwise its time would mean nothing. */
function requireOutcome(workload: Workload, { people, users, formerEvery }: Known, { totals }: SyncCost): void {
  const former = formerEvery === 0 ? 0 : Math.ceil(people / formerEvery);
  const expected = {
    created: users === 0 ? people : 0,
    updated: former,
    deleted: Math.max(0, users - people),
    unchanged: users === 0 ? 0 : people - former,
  };
  for (const [kind, count] of Object.entries(expected)) {
    const found = totals[kind as keyof typeof expected];
    if (found !== count) throw new Error(`${workload}: ${found} ${kind} instead of ${count}`);
  }
}

async function measureInstant(servers: Servers, workload: Workload): Promise<SyncRow> {
  const { people, folder, ldapPort, ldapSearch, runJob } = servers;
  const known = WORKLOADS[workload](people);
  const linksFile = join(folder, 'links');
  await writeLinks(linksFile, known);
  const costs: SyncCost[] = [];
  const baseMs: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const job = { what: 'sync', ldapPort, known, dryRun: workload === 'dryRun', store: { linksFile } } as const;
    costs.push(await runJob<SyncCost>(job));
    requireOutcome(workload, known, costs.at(-1)!);
    baseMs.push(await ldapSearch.drain(ldapPort));
  }
  return rowOf(servers, workload, 'instant', costs, 'read', baseMs);
}

async function measureDynoxide(servers: Servers, workload: Workload): Promise<SyncRow> {
  const { people, ldapPort, ldapSearch, runJob } = servers;
  const known = WORKLOADS[workload](people);
  const costs: SyncCost[] = [];
  const baseMs: number[] = [];
  const sync = async (store: DynamoDb): Promise<void> => {
    costs.push(await runJob<SyncCost>({ what: 'sync', ldapPort, known, dryRun: workload === 'dryRun', store }));
    requireOutcome(workload, known, costs.at(-1)!);
  };
  if (workload === 'firstImport') {
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      await withDynamoDb(sync);
      await withDynamoDb(async (store) => {
        baseMs.push((await runJob<Cost>({ what: 'put', users: people, isNew: true, store })).wallMs);
      });
    }
  } else {
    await withDynamoDb(async (store, put) => {
      await put(known, () => true);
      for (let repeat = 0; repeat < repeats; repeat += 1) {
        // Undoes what the previous run has written.
        if (repeat > 0) await put(known, (number) => isFormer(number, known) || number >= people);
        await sync(store);
        if (WRITES.has(workload)) {
          baseMs.push((await runJob<Cost>({ what: 'put', users: people, isNew: false, store })).wallMs);
        } else baseMs.push(await ldapSearch.drain(ldapPort));
      }
    });
  }
  return rowOf(servers, workload, 'dynoxide', costs, WRITES.has(workload) ? 'write' : 'read', baseMs);
}

async function measurePeerReading(servers: Servers): Promise<SyncRow> {
  const { ldapPort, ldapSearch, people } = servers;
  const request = JSON.stringify({ ldapPort, base: PEOPLE, filter: FILTER, attributes: ASKED, ...READER });
  const costs: Cost[] = [];
  const baseMs: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const cost = await runJson<Cost & { readonly users: number }>(join(PEERS, 'read.ts'), [request]);
    if (cost.users !== people) throw new Error(`readLdapOrg read ${cost.users} people instead of ${people}`);
    costs.push(cost);
    baseMs.push(await ldapSearch.drain(ldapPort));
  }
  return rowOf(servers, 'readLdapOrg', 'none', costs, 'read', baseMs);
}

async function measureSync(servers: Servers, tell: (row: SyncRow) => void): Promise<void> {
  for (const store of stores) {
    for (const workload of workloads) {
      progress(`${servers.people} people, ${workload}, ${store}`);
      tell(await (store === 'instant' ? measureInstant : measureDynoxide)(servers, workload));
    }
  }
  if (hasPeers) tell(await measurePeerReading(servers));
}

// ----------------------------------------------------------------------------------------------------------- logins

const PEER_ROUNDS = 10;

async function measureLogins({ people, ldapPort, runJob }: Servers): Promise<LoginRow[]> {
  progress('logins');
  const all: Record<string, readonly number[]> = {};
  await withDynamoDb(async (store, put) => {
    await put(WORKLOADS.nothingChanged(people), () => true);
    Object.assign(all, await runJob<LoginTimes>({ what: 'logins', ldapPort, people, store }));
  });
  if (hasPeers) {
    const accounts = Array.from({ length: Math.min(people, 1_000) }, (_, number) => ({
      userName: uidOf(number),
      userPassword: passwordOf(number),
    }));
    const request = { ldapPort, base: PEOPLE, ...READER, accounts, rounds: PEER_ROUNDS };
    Object.assign(all, await runJson<object>(join(PEERS, 'login.ts'), [JSON.stringify(request)]));
  }
  return Object.entries(all).map(([login, times]) => ({
    login,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
  }));
}

// ----------------------------------------------------------------------------------------------------------- starts

/** A function that only gets one item: the least that a start with the SDK can cost. */
const BARE = `
  import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
  const client = new DynamoDBClient({});
  export const handler = async () =>
    (
      await client.send(
        new GetItemCommand({ TableName: process.env.USERS_TABLE, Key: { nameKey: { S: 'user0000001' } } }),
      )
    ).Item;
`;

async function measureStarts({ people, folder, ldapPort }: Servers): Promise<StartRow[]> {
  progress('starts');
  const stack = await synthesizeStack(join(folder, 'cdk.out'), new AbortController().signal);
  const bare = join(folder, 'bare.mjs');
  bundle({ text: BARE }, bare);
  const secrets = await serve(createSecretsManager());
  try {
    const rows: StartRow[] = [];
    await withDynamoDb(async (store, put) => {
      await put(WORKLOADS.nothingChanged(people), () => true);
      const client = new SecretsManagerClient({
        endpoint: secrets.url,
        region: LOCAL_REGION,
        credentials: LOCAL_CREDENTIALS,
      });
      const SecretString = JSON.stringify({ settings: settingsOf(ldapPort), password: READER.password });
      await client.send(new CreateSecretCommand({ Name: 'settings', SecretString }));
      client.destroy();
      const environment = {
        AWS_REGION: LOCAL_REGION,
        AWS_ACCESS_KEY_ID: LOCAL_CREDENTIALS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: LOCAL_CREDENTIALS.secretAccessKey,
        AWS_ENDPOINT_URL_DYNAMODB: store.endpoint,
        AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.url,
        USERS_TABLE: store.usersTable,
        OPERATIONS_TABLE: store.operationsTable,
        SETTINGS_SECRET: 'settings',
      };
      const bundles = [
        { name: 'bare DynamoDB client', modulePath: bare, event: '{}', environment },
        ...stack.functions.map(({ alias, modulePath, environment: own }) => ({
          name: alias,
          modulePath,
          // Only auth is timed to its first answer, a login. The others would mostly wait for other services.
          event: alias === 'auth' ? JSON.stringify({ userName: uidOf(1), password: passwordOf(1) }) : 'null',
          environment: { ...own, ...environment },
        })),
      ];
      const times = new Map(bundles.map(({ name }) => [name, { importMs: [] as number[], totalMs: [] as number[] }]));
      for (let repeat = 0; repeat < Math.max(repeats, 5) * 2; repeat += 1) {
        for (const { name, modulePath, event, environment: env } of bundles) {
          const args = [join(import.meta.dirname, 'start.ts'), modulePath, 'handler', event];
          const { stdout } = await run(process.execPath, args, { env: { ...process.env, ...env } });
          const line = JSON.parse(stdout.trim().split('\n').at(-1)!) as {
            importMs: number;
            totalMs: number;
            answer: unknown;
          };
          if (name === 'auth' && (line.answer as { outcome: string }).outcome !== 'accepted') {
            throw new Error(`the auth function refused the login: ${stdout}`);
          }
          times.get(name)!.importMs.push(line.importMs);
          times.get(name)!.totalMs.push(line.totalMs);
        }
      }
      for (const { name, modulePath, event } of bundles) {
        const { importMs, totalMs } = times.get(name)!;
        rows.push({
          bundle: name,
          kb: Math.round((await stat(modulePath)).size / 1_024),
          importMs: median(importMs),
          firstAnswerMs: event === 'null' ? null : median(totalMs),
        });
      }
    });
    return rows;
  } finally {
    await secrets.stop();
  }
}

// ---------------------------------------------------------------------------------------------------------- the table

function round(value: number, digits = 0): number {
  return Number(value.toFixed(digits));
}

function print({ machine, sync, logins, starts }: Results): void {
  console.log(
    Object.entries(machine)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  );
  if (sync.length > 0) {
    console.table(
      sync.map(({ people, workload, store, wallMs, cpuMs, peakMb, worstPeakMb, base, baseMs, ratio }) => ({
        people,
        workload,
        store,
        'wall ms': round(wallMs),
        'people/s': round((people / wallMs) * 1_000),
        'own CPU ms': round(cpuMs),
        'peak MB': round(peakMb),
        'worst MB': round(worstPeakMb),
        base,
        'base ms': round(baseMs),
        ratio: round(ratio, 2),
      })),
    );
  }
  if (logins.length > 0) {
    console.table(
      logins.map(({ login, p50Ms, p99Ms }) => ({ login, 'p50 ms': round(p50Ms, 2), 'p99 ms': round(p99Ms, 2) })),
    );
  }
  if (starts.length > 0) {
    console.table(
      starts.map(({ bundle, kb, importMs, firstAnswerMs }) => ({
        bundle,
        KB: kb,
        'import ms': round(importMs),
        'first answer ms': firstAnswerMs === null ? '' : round(firstAnswerMs),
      })),
    );
  }
  if (!hasPeers)
    console.log('Other libraries were skipped; install them with "npm ci --prefix bench --ignore-scripts".');
}

const ldapSearch = await findLdapSearch();
const results: Results = { machine: await describeMachine(ldapSearch), sync: [], logins: [], starts: [] };
for (const [index, people] of flags.people.split(',').map(Number).entries()) {
  await withDirectory(people, ldapSearch, async (servers) => {
    if (parts.has('sync')) await measureSync(servers, (row) => results.sync.push(row));
    // Logins and starts do not depend on the number of people.
    if (index === 0 && parts.has('logins')) results.logins.push(...(await measureLogins(servers)));
    if (index === 0 && parts.has('starts')) results.starts.push(...(await measureStarts(servers)));
  });
}
print(results);
if (flags.json !== undefined) await writeFile(flags.json, `${JSON.stringify(results, null, 2)}\n`);
