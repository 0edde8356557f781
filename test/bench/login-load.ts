/**
 * Logins under load: `npm run login-load -- [--people 50000] [--rate 300] [--seconds 60]`. Directory users (SSHA) log
 * in at an even rate; after ten seconds, a run reads and changes the same people. As on Lambda, an instance handles one
 * login at a time, and a new one starts when all are busy. Prints latencies, faults, instances and memory; fails if a
 * login was a fault.
 */
import { fork } from 'node:child_process';
import { hash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BatchWriteCommand } from '@aws-sdk/lib-dynamodb';
import { chunksOf, inFlight } from '../../lib/aws/client.ts';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { toUserItem } from '../../lib/aws/user-item.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { createLogin, type Login } from '../../lib/login/login.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { startSlapd } from '../../local/slapd.ts';
import { connectUnchecked } from '../support/dynamodb-connection.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { createTables } from '../support/tables.ts';
import type { DynamoDb, SyncCost } from './job.ts';
import { prepareJobs, quantile } from './measure.ts';
import { isFormer, ldifOf, passwordOf, READER, settingsOf, uidOf, userOf, WORKLOADS } from './people.ts';

interface Load {
  readonly ldapPort: number;
  readonly store: DynamoDb;
  readonly people: number;
  readonly rate: number;
  readonly seconds: number;
}

interface Measured {
  /** Each login: when it began, in milliseconds since 1970, and how many it took. */
  readonly logins: readonly (readonly [began: number, ms: number])[];
  readonly faults: Readonly<Record<string, number>>;
  readonly instances: number;
  readonly peakMb: number;
}

/** Four of five logins are of these people, from the same device each time. */
const REGULARS = 1_000;
const TICK_MS = 10;
const ALONE_MS = 10_000;

const clock = { now: () => new Date() };

/** The directory with salted hashes instead of passwords in clear. */
function* hashedLdif(people: number): Generator<string> {
  for (const entry of ldifOf(people)) {
    yield entry.replace(/^userPassword: (secret-.*)$/mu, (_line, password: string) => {
      const salt = randomBytes(8);
      const digest = hash('sha1', Buffer.concat([Buffer.from(password), salt]), 'buffer');
      return `userPassword: {SSHA}${Buffer.concat([digest, salt]).toString('base64')}`;
    });
  }
}

async function drive({ ldapPort, store, people, rate, seconds }: Load): Promise<Measured> {
  const client = connectUnchecked(store.endpoint);
  const { settings } = createMemoryStores(clock);
  await settings.write(settingsOf(ldapPort), 'reader', null);
  const directories: ReturnType<typeof keepDirectory>[] = [];
  const startInstance = (): Login => {
    const directory = keepDirectory(settings, (...args) => openDirectory(...args, clock.now), clock);
    directories.push(directory);
    const logins = createLoginStore({ client, ...store, clock });
    return createLogin({ logins, directory, clock, pause: sleep });
  };
  const idle: Login[] = [];
  const logins: [began: number, ms: number][] = [];
  const faults: Record<string, number> = {};

  async function logIn(number: number): Promise<void> {
    const instance = idle.pop() ?? startInstance();
    const began = performance.now();
    try {
      const answer = await instance.logIn(uidOf(number), passwordOf(number), `device-${number}`);
      if (answer.outcome !== 'accepted') throw new Error(`${uidOf(number)}: ${JSON.stringify(answer)}`);
    } catch (error) {
      const code = error instanceof ServiceError ? error.code : String(error);
      faults[code] = (faults[code] ?? 0) + 1;
    }
    const took = performance.now() - began;
    logins.push([Date.now() - took, took]);
    idle.push(instance);
  }

  const all: Promise<void>[] = [];
  const began = performance.now();
  for (let elapsed = 0; elapsed < seconds * 1_000; elapsed = performance.now() - began) {
    for (const due = Math.floor((elapsed * rate) / 1_000); all.length < due;) {
      const regular = all.length % 5 !== 0;
      all.push(logIn(Math.floor(Math.random() * (regular ? REGULARS : people))));
    }
    await sleep(TICK_MS);
  }
  await Promise.all(all);
  await Promise.all(directories.map(async (directory) => (await directory.get())?.directory.close()));
  client.destroy();
  return {
    logins,
    faults,
    instances: directories.length,
    peakMb: process.resourceUsage().maxRSS / 1_024,
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      people: { type: 'string', default: '50000' },
      rate: { type: 'string', default: '300' },
      seconds: { type: 'string', default: '60' },
    },
  });
  const people = Number(values.people);
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-load-'));
  const limits = [`dn.exact="${READER.dn}" size.soft=500 size.hard=500 size.pr=1000 size.prtotal=unlimited`];
  const slapd = await startSlapd({ folder: join(folder, 'slapd'), ldif: hashedLdif(people), limits });
  const server = await startDynamoDb({ kind: 'dynoxide' });
  const client = connectUnchecked(server.endpoint);
  try {
    const store = { endpoint: server.endpoint, ...(await createTables(client)) };
    const known = WORKLOADS.onePercentChanged(people);
    const users = Array.from({ length: people }, (_, number) => toUserItem(userOf(number, isFormer(number, known))));
    await inFlight(chunksOf(users, 25), async (together) => {
      const puts = together.map((Item) => ({ PutRequest: { Item } }));
      await client.send(new BatchWriteCommand({ RequestItems: { [store.usersTable]: puts } }));
    });

    const load: Load = {
      ldapPort: slapd.ldapPort,
      store,
      people,
      rate: Number(values.rate),
      seconds: Number(values.seconds),
    };
    const driver = fork(import.meta.filename, ['--driver', JSON.stringify(load)]);
    const measured = once(driver, 'message') as Promise<[Measured]>;
    await sleep(ALONE_MS);
    const runBegan = Date.now();
    const run = await prepareJobs(folder)<SyncCost>({
      what: 'sync',
      ldapPort: slapd.ldapPort,
      known,
      dryRun: false,
      store,
    });
    const runEnded = Date.now();
    const [{ logins, faults, instances, peakMb }] = await measured;
    const rowOf = (when: string, within: (began: number) => boolean) => {
      const times = logins.flatMap(([began, ms]) => (within(began) ? [ms] : []));
      const at = (part: number): string => quantile(times, part).toFixed(1);
      return { when, logins: times.length, 'p50 ms': at(0.5), 'p99 ms': at(0.99), 'longest ms': at(1) };
    };
    console.table([
      rowOf('before the run', (began) => began < runBegan),
      rowOf('beside the run', (began) => began >= runBegan && began <= runEnded),
      rowOf('after the run', (began) => began > runEnded),
    ]);
    console.log(
      `${people} people; instances: ${instances}; memory of all: ${peakMb.toFixed(0)} MB; ` +
        `the run: ${run.wallMs.toFixed(0)} ms, ${run.totals.updated} updated`,
    );
    if (Object.keys(faults).length > 0) {
      console.error('logins that were not accepted:', faults);
      process.exitCode = 1;
    }
  } finally {
    client.destroy();
    await server.stop();
    await slapd.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

if (process.argv[2] === '--driver') process.send!(await drive(JSON.parse(process.argv[3]!) as Load));
else await main();
