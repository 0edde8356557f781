/**
 * Does one measured piece of work: started with the job as JSON, it prints one line of JSON. Each has a process of its
 * own, because memory, compiled code and connections of one measurement must not help or harm the next.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BatchWriteCommand, GetCommand } from '@aws-sdk/lib-dynamodb';
import { Client } from 'ldapts';
import { keepObjectsYoung } from '../../functions/short-lived-objects.ts';
import { hintsOf } from '../../lib/aws/address-index.ts';
import { chunksOf, inFlight } from '../../lib/aws/client.ts';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { createRunJournal } from '../../lib/aws/run-journal.ts';
import { createRunStore } from '../../lib/aws/run-store.ts';
import { toUserItem } from '../../lib/aws/user-item.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { createLogin } from '../../lib/login/login.ts';
import type { RunJournal } from '../../lib/sync/run-journal.ts';
import type { RunStore } from '../../lib/sync/run-store.ts';
import { newRun, newRunId } from '../../lib/sync/run.ts';
import type { Totals } from '../../lib/sync/run.ts';
import { synchronize } from '../../lib/sync/sync.ts';
import { hashPassword } from '../../lib/user/password.ts';
import type { UserStore } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { connectUnchecked } from '../support/dynamodb-connection.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { openInstantJournal, openInstantStore } from './instant-store.ts';
import type { Known } from './people.ts';
import { passwordOf, settingsOf, uidOf, userOf } from './people.ts';

export interface DynamoDb {
  readonly endpoint: string;
  readonly usersTable: string;
  readonly operationsTable: string;
}

export type Job =
  | {
      readonly what: 'sync';
      readonly ldapPort: number;
      readonly known: Known;
      readonly dryRun: boolean;
      readonly store: { readonly linksFile: string } | DynamoDb;
    }
  /**
   * Puts the same users with the SDK alone, 25 a request and 8 requests in flight. `isNew`: with the items of their
   * further addresses, which an update leaves alone.
   */
  | { readonly what: 'put'; readonly users: number; readonly isNew: boolean; readonly store: DynamoDb }
  | { readonly what: 'logins'; readonly ldapPort: number; readonly people: number; readonly store: DynamoDb };

/** The cost of a piece of work. Memory is the peak of the whole process. */
export interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly peakMb: number;
}

export type SyncCost = Cost & { readonly totals: Totals; readonly status: string };

/** Milliseconds of each login, by kind. */
export type LoginTimes = Readonly<Record<LoginKind, readonly number[]>>;

export const LOGIN_KINDS = [
  'raw',
  'directory',
  'newSource',
  'integrated',
  'wrong',
  'unknown',
  'wrongIntegrated',
] as const;
export type LoginKind = (typeof LOGIN_KINDS)[number];

keepObjectsYoung();

const clock = { now: () => new Date() };
const LONG_MS = 3_600_000;

async function costOf<T>(work: () => Promise<T>): Promise<Cost & { readonly result: T }> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  const result = await work();
  const wallMs = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  // Not resourceUsage().maxRSS: a process inherits that from its parent.
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
  return { result, wallMs, cpuMs: (user + system) / 1_000, peakMb: peak / 1_024 };
}

async function sync({ ldapPort, known, dryRun, store }: Extract<Job, { what: 'sync' }>): Promise<SyncCost> {
  const memory = createMemoryStores(clock);
  await memory.settings.write(settingsOf(ldapPort), 'reader', null);
  let users: UserStore;
  let runs: RunStore;
  let journal: RunJournal;
  let close = (): void => {};
  if ('linksFile' in store) {
    users = openInstantStore(store.linksFile, known);
    journal = openInstantJournal(memory.journal, users);
    runs = memory.runs;
  } else {
    const client = connectUnchecked(store.endpoint);
    users = createUserStore({ client, ...store });
    runs = createRunStore({ client, ...store, clock });
    journal = createRunJournal({ client, ...store, clock });
    close = () => client.destroy();
  }
  const { settings, approvals } = memory;
  const open = (...[document, password]: Parameters<Parameters<typeof keepDirectory>[1]>) =>
    openDirectory(document, password, clock.now);
  const ports = { users, runs, journal, approvals, settings, openDirectory: open, clock, newId: randomUUID };
  const request = { dryRun, trigger: 'api', requestedBy: null, approves: null } as const;
  const { result, ...cost } = await costOf(async () => {
    const run = { ...newRun(newRunId(clock.now()), request, clock.now()), stage: 'reading' } as const;
    const started = await runs.start(run);
    if (started.kind === 'active') throw new Error('another run is active');
    return await synchronize(ports, started, new Date(Date.now() + LONG_MS));
  });
  close();
  if (result.status !== 'succeeded') throw new Error(`the run ended as ${result.status}: ${JSON.stringify(result)}`);
  return { ...cost, totals: result.totals, status: result.status };
}

async function put({ users, isNew, store }: Extract<Job, { what: 'put' }>): Promise<Cost> {
  const client = connectUnchecked(store.endpoint);
  const items = Array.from({ length: users }, (_, number) => userOf(number)).flatMap((user) => [
    toUserItem(user),
    ...(isNew ? hintsOf(user) : []),
  ]);
  const { result: _result, ...cost } = await costOf(() =>
    inFlight(chunksOf(items, 25), async (together) => {
      const puts = together.map((Item) => ({ PutRequest: { Item } }));
      const command = new BatchWriteCommand({ RequestItems: { [store.usersTable]: puts } });
      const { UnprocessedItems } = await client.send(command);
      if (Object.keys(UnprocessedItems ?? {}).length > 0) throw new Error('DynamoDB left users unprocessed');
    }),
  );
  client.destroy();
  return cost;
}

const LOGIN_ROUNDS = 10;
const LOGINS_A_ROUND = 50;
/** Hashes and refusals, which are given at an even time, take long and vary little. */
const SLOW_A_ROUND = 3;
const SLOW: ReadonlySet<LoginKind> = new Set(['integrated', 'wrong', 'unknown', 'wrongIntegrated']);
const SOURCE = 'device';
const INTEGRATED = 'integrated';
const WRONG_ONES = Array.from({ length: 12 }, (_, number) => `integrated-${number}`);

/** Measures bare operations and the product in turns, so that other load on the machine affects both. */
async function logins({ ldapPort, people, store }: Extract<Job, { what: 'logins' }>): Promise<LoginTimes> {
  const client = connectUnchecked(store.endpoint);
  const users = createUserStore({ client, ...store });
  const integrated: User = {
    ...userOf(0),
    id: INTEGRATED,
    userName: INTEGRATED,
    authentication: 'integrated',
    directory: null,
    passwordHash: await hashPassword(passwordOf(0)),
  };
  // Several, because after five failures the same user would have to wait.
  const others = WRONG_ONES.map((userName) => ({ ...integrated, id: userName, userName }));
  await users.writeEach([integrated, ...others].map((user) => ({ kind: 'create', user })));
  const { settings } = createMemoryStores(clock);
  await settings.write(settingsOf(ldapPort), 'reader', null);
  const directory = keepDirectory(settings, (...args) => openDirectory(...args, clock.now), clock);
  const login = createLogin({
    logins: createLoginStore({ client, ...store, clock }),
    directory,
    clock,
    pause: sleep,
  });
  const ldap = new Client({ url: `ldap://127.0.0.1:${ldapPort}` });

  let next = 0;
  let stranger = 0;
  // These have logged in from the source before, in the round that is a warm-up.
  const regular = (): number => (next += 1) % LOGINS_A_ROUND;
  const anybody = (): number => LOGINS_A_ROUND + ((next += 1) % (people - LOGINS_A_ROUND));
  const expect = async (userName: string, password: string, outcome: string): Promise<void> => {
    const answer = await login.logIn(userName, password, SOURCE);
    if (answer.outcome !== outcome) throw new Error(`${userName}: ${JSON.stringify(answer)}`);
  };
  const refuse = async (userName: string): Promise<void> => {
    const answer = await login.logIn(userName, 'wrong', `stranger-${(stranger += 1)}`);
    if (answer.outcome !== 'rejected' || answer.reason !== 'invalidCredentials')
      throw new Error(JSON.stringify(answer));
  };
  const attempts: Record<LoginKind, () => Promise<void>> = {
    raw: async () => {
      const number = anybody();
      const Key = { nameKey: uidOf(number) };
      const { Item } = await client.send(new GetCommand({ TableName: store.usersTable, Key, ConsistentRead: true }));
      await ldap.bind(Item!.dn as string, passwordOf(number));
    },
    directory: () => {
      const number = regular();
      return expect(uidOf(number), passwordOf(number), 'accepted');
    },
    newSource: () => {
      const number = anybody();
      return expect(uidOf(number), passwordOf(number), 'accepted');
    },
    integrated: () => expect(INTEGRATED, passwordOf(0), 'accepted'),
    // From another source each time: after 30 refusals the same one would have to wait.
    wrong: () => refuse(uidOf(anybody())),
    unknown: () => refuse(`nobody-${(next += 1)}`),
    wrongIntegrated: () => refuse(WRONG_ONES[(next += 1) % WRONG_ONES.length]!),
  };
  const times = Object.fromEntries(LOGIN_KINDS.map((kind) => [kind, [] as number[]])) as Record<LoginKind, number[]>;
  for (let round = 0; round <= LOGIN_ROUNDS; round += 1) {
    for (const kind of LOGIN_KINDS) {
      for (let count = SLOW.has(kind) ? SLOW_A_ROUND : LOGINS_A_ROUND; count > 0; count -= 1) {
        const began = performance.now();
        await attempts[kind]();
        // The first round is a warm-up.
        if (round > 0) times[kind].push(performance.now() - began);
      }
    }
  }
  await ldap.unbind();
  await (await directory.get())?.directory.close();
  // The next job on this store creates them again.
  await users.writeEach([integrated, ...others].map((previous) => ({ kind: 'delete', previous })));
  client.destroy();
  return times;
}

if (import.meta.main) {
  const job = JSON.parse(process.argv[2]!) as Job;
  const result = await (job.what === 'sync' ? sync(job) : job.what === 'put' ? put(job) : logins(job));
  console.log(JSON.stringify(result));
}
