/**
 * Measures runs against each directory server: `node test/bench/directories.ts [openldap|ds389|samba|apacheds ...]`
 * starts the server with its people, synchronises them into an empty DynamoDB and then once more, and prints a line of
 * a table for each run. Each run has a process of its own, so that its memory is measured alone.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRunJournal } from '../../lib/aws/run-journal.ts';
import { createRunStore } from '../../lib/aws/run-store.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import { newRun, newRunId } from '../../lib/sync/run.ts';
import type { Run } from '../../lib/sync/run.ts';
import { synchronize } from '../../lib/sync/sync.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { startApacheDs } from '../support/apacheds.ts';
import type { DirectoryServer, DirectoryServerOptions, Product } from '../support/directory-server.ts';
import { startDs389 } from '../support/ds389.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { startOpenLdap } from '../support/openldap.ts';
import { aSettings } from '../support/people.ts';
import { startSamba } from '../support/samba.ts';
import { connect, createTables } from '../support/tables.ts';
import { runJson } from './measure.ts';

type Start = (options: DirectoryServerOptions) => Promise<DirectoryServer>;

/** Samba has fewer people: it takes 20 ms to load one, and longer the more there are. */
const SERVERS: Readonly<Record<Product, { readonly start: Start; readonly people: number }>> = {
  openldap: { start: startOpenLdap, people: 5_000 },
  ds389: { start: startDs389, people: 5_000 },
  samba: { start: startSamba, people: 500 },
  apacheds: { start: startApacheDs, people: 5_000 },
};

const HOUR_MS = 3_600_000;

interface Job {
  readonly settings: Settings;
  readonly password: string;
  readonly store: { readonly endpoint: string; readonly usersTable: string; readonly operationsTable: string };
}

interface Result {
  readonly run: Run;
  readonly wallMs: number;
  readonly cpuMs: number;
  /** Peak memory of the whole process. */
  readonly peakMb: number;
}

async function runJob({ settings, password, store }: Job): Promise<Result> {
  const clock = { now: () => new Date() };
  const memory = createMemoryStores(clock);
  await memory.settings.write(settings, password, null);
  const client = connect(store.endpoint);
  const runs = createRunStore({ client, ...store, clock });
  const ports = {
    users: createUserStore({ client, ...store }),
    runs,
    journal: createRunJournal({ client, ...store, clock }),
    approvals: memory.approvals,
    settings: memory.settings,
    openDirectory: (document: Settings, secret: string) => openDirectory(document, secret, clock.now),
    clock,
    newId: randomUUID,
  };
  const request = { dryRun: false, trigger: 'api', requestedBy: null, approves: null } as const;
  const cpu = process.cpuUsage();
  const began = performance.now();
  const queued = { ...newRun(newRunId(clock.now()), request, clock.now()), stage: 'reading' } as const;
  const started = await runs.start(queued);
  if (started.kind === 'active') throw new Error('another run is active');
  const run = await synchronize(ports, { run: queued, fence: started.fence }, new Date(Date.now() + HOUR_MS));
  const wallMs = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  client.destroy();
  const peakMb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;
  return { run, wallMs, cpuMs: (user + system) / 1000, peakMb };
}

async function measure(product: Product): Promise<void> {
  const { start, people: count } = SERVERS[product];
  const people = Array.from({ length: count }, (_, number) => ({
    cn: `Person ${number}`,
    userName: `user${number}`,
    below: 'ou=people',
    attributes: { displayName: [`Jürgen Person ${number}`] },
  }));
  const dynamoDb = await startDynamoDb();
  try {
    const server = await start({ people });
    try {
      const client = connect(dynamoDb.endpoint);
      const tables = await createTables(client);
      client.destroy();
      // ApacheDS has one size limit for all users but its administrator.
      const limited = product === 'apacheds';
      const settings = aSettings({
        connection: {
          servers: [`127.0.0.1:${server.ldapPort}`],
          administrativeDn: limited ? server.rootDn : server.readerDn,
          timeouts: { connectSeconds: 5, operationSeconds: 60, loginSeconds: 15 },
        },
        scope: { baseDn: `ou=people,${server.baseDn}`, filter: server.peopleFilter },
        mapping: { userName: server.userNameAttribute, fullName: 'displayName' },
      });
      const password = limited ? server.rootPassword : server.readerPassword;
      const job: Job = { settings, password, store: { endpoint: dynamoDb.endpoint, ...tables } };
      for (const what of ['everybody is new', 'nobody has changed']) {
        const { run, ...cost } = await runJson<Result>(import.meta.filename, ['job', JSON.stringify(job)]);
        const done = run.totals.created + run.totals.unchanged;
        if (run.status !== 'succeeded' || done !== count) {
          throw new Error(`the run did not bring in ${count} people: ${JSON.stringify(run)}`);
        }
        const figures = [(cost.wallMs / 1000).toFixed(1), (cost.cpuMs / 1000).toFixed(1), cost.peakMb.toFixed(0)];
        console.log(`| ${server.name} | ${count} | ${what} | ${figures[0]} s | ${figures[1]} s | ${figures[2]} MB |`);
      }
    } finally {
      await server.stop();
    }
  } finally {
    await dynamoDb.stop();
  }
}

if (import.meta.main) {
  const [first, job] = process.argv.slice(2);
  if (first === 'job') {
    console.log(JSON.stringify(await runJob(JSON.parse(job!) as Job)));
  } else {
    const asked = process.argv.slice(2) as Product[];
    console.log('| server | people | run | time | own CPU | peak memory |\n|---|---|---|---|---|---|');
    for (const product of asked.length > 0 ? asked : (Object.keys(SERVERS) as Product[])) await measure(product);
  }
}
