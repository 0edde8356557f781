/**
 * The world of the fault bench: a real directory behind a proxy, tables that are set back to one start before every
 * point, runs of the product as processes of their own, and what is left of them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { DescribeTableCommand, UpdateTableCommand } from '@aws-sdk/client-dynamodb';
import {
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
} from '@aws-sdk/client-dynamodb-streams';
import { BatchWriteCommand, type DynamoDBDocumentClient, ScanCommand } from '@aws-sdk/lib-dynamodb';
import { chunksOf, type Item } from '../../lib/aws/client.ts';
import { createStreamReader, type StreamRecord } from '../../lib/aws/table-stream.ts';
import type { ProductEvent } from '../../lib/event/event.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import type { Change, Run } from '../../lib/sync/run.ts';
import type { SyncPorts } from '../../lib/sync/sync.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { LOCAL_CLIENT } from '../../local/template.ts';
import { asRoot, type DirectoryServer } from '../support/directory-server.ts';
import { startFaultyProxy } from '../support/faulty-proxy.ts';
import { startOpenLdap } from '../support/openldap.ts';
import { aSettings, NOW } from '../support/people.ts';
import { connect, createTables } from '../support/tables.ts';
import { changeDirectory, FIRST_PEOPLE, HAND_MADE } from './cast.ts';
import { type DirectoryPoint, startDirectoryProxy } from './directory-fault.ts';
import { createPorts, performRun, type ProductOptions, type ProgramOptions } from './product.ts';
import { openStoreProcesses, type StorePoint, type StoreProcess } from './store-fault.ts';

/** A run of the product and the process that it is in. */
export interface Attempt {
  readonly process: StoreProcess;
  /** How it ended: the run as returned, null if none could be started, or the fault that was thrown. */
  readonly ended: Promise<Run | null | Error>;
}

/** What is left after all runs, as the product shows it. */
export interface Remains {
  readonly users: readonly Item[];
  readonly operations: readonly Item[];
  /** The runs since the start of the point, oldest first. */
  readonly runs: readonly { readonly run: Run; readonly lines: readonly Change[] }[];
  readonly events: readonly ProductEvent[];
}

/** One place where points are tried, one after the other. */
export interface World {
  /** Sets the tables and the clock back to the start. */
  reset(): Promise<void>;
  /** Begins a run in a process of its own that meets these faults. */
  begin(faults: { readonly store?: StorePoint; readonly directory?: DirectoryPoint }): Attempt;
  /** Begins a run in a real process and kills it at this request; false if the run ended before. */
  runAndKill(at: number): Promise<boolean>;
  /** Moves the clock on. */
  passMs(ms: number): void;
  readonly directory: Awaited<ReturnType<typeof startDirectoryProxy>>;
  close(): Promise<void>;
  /** The items of the users table now. */
  readUsers(): Promise<readonly Item[]>;
  inspect(): Promise<Remains>;
}

/** Seconds until a silent server is given up. */
const PATIENCE = 15;
const LITTLE_PATIENCE = 0.5;
/** The emulator keeps the stream records of deleted tables, and reads them all to number the next one. */
const RESETS_PER_SERVER = 20;
/** More than a run creates. */
const IDS_PER_RUN = 1_000;

/**
 * Starts the servers and opens worlds that share them.
 * @throws Error if a server cannot be started
 */
export async function openWorlds(
  count: number,
): Promise<{ readonly worlds: readonly World[]; close(): Promise<void> }> {
  const slapd = await startOpenLdap({ people: FIRST_PEOPLE });
  const made = [];
  for (let index = 0; index < count; index += 1) made.push(await makeWorld(slapd));
  await asRoot(slapd, changeDirectory);
  const worlds: World[] = [];
  for (const finish of made) worlds.push(await finish());
  return {
    worlds,
    async close() {
      for (const world of worlds) await world.close();
      await slapd.stop();
    },
  };
}

/** A new DynamoDB and what talks to it. */
async function openStore() {
  const server = await startDynamoDb();
  const client = connect(server.endpoint);
  const streams = new DynamoDBStreamsClient({ ...LOCAL_CLIENT, endpoint: server.endpoint });
  const processes = openStoreProcesses(server.endpoint);
  return {
    endpoint: server.endpoint,
    client,
    streams,
    processes,
    tables: await createTables(client),
    async close(): Promise<void> {
      client.destroy();
      streams.destroy();
      processes.close();
      await server.stop();
    },
  };
}

/** Has everybody imported; the function returned takes the tables as they are then as the start of every point. */
async function makeWorld(slapd: DirectoryServer): Promise<() => Promise<World>> {
  const directory = await startDirectoryProxy(slapd.ldapPort);
  let time = NOW.getTime();
  // The same in every world.
  let ids = 0;
  // Time passes a little whenever it is read, so that runs get ids in order.
  const clock = { now: () => new Date((time += 1)) };
  const settingsWith = (patience: number): Settings =>
    aSettings({
      connection: {
        servers: [`127.0.0.1:${directory.port}`],
        administrativeDn: slapd.readerDn,
        timeouts: { connectSeconds: patience, operationSeconds: patience, loginSeconds: patience },
      },
      scope: { baseDn: `ou=people,${slapd.baseDn}`, filter: slapd.peopleFilter },
      mapping: { fullName: 'displayName' },
      options: { missingUsers: 'delete' },
    });

  let store = await openStore();
  let { tables } = store;
  let resets = 0;

  const optionsFor = (patience = PATIENCE): ProductOptions => ({
    ...tables,
    settings: settingsWith(patience),
    password: slapd.readerPassword,
  });
  const portsIn = ({ client }: { readonly client: DynamoDBDocumentClient }, patience?: number): SyncPorts =>
    createPorts(optionsFor(patience), { client, clock, newId: () => `account ${(ids += 1)}` });

  const first = await performRun(portsIn(store));
  if (first?.status !== 'succeeded') throw new Error(`the first run did not succeed: ${JSON.stringify(first)}`);
  const made = await portsIn(store).users.writeTogether(HAND_MADE.map((user) => ({ kind: 'create', user })));
  if (made !== 'written') throw new Error('the users by hand were not created');

  const scan = async (TableName: string): Promise<Item[]> =>
    (await store.client.send(new ScanCommand({ TableName, ConsistentRead: true }))).Items ?? [];

  async function fill(TableName: string, items: readonly Item[]): Promise<void> {
    for (const together of chunksOf(items, 25)) {
      const puts = together.map((each) => ({ PutRequest: { Item: each } }));
      await store.client.send(new BatchWriteCommand({ RequestItems: { [TableName]: puts } }));
    }
  }

  /** The records of a stream that was enabled at the start of the point. */
  async function readStream(TableName: string): Promise<StreamRecord[]> {
    const { Table } = await store.client.send(new DescribeTableCommand({ TableName }));
    const StreamArn = Table!.LatestStreamArn!;
    const { StreamDescription } = await store.streams.send(new DescribeStreamCommand({ StreamArn }));
    const found: StreamRecord[] = [];
    for (const { ShardId } of StreamDescription!.Shards!) {
      let { ShardIterator } = await store.streams.send(
        new GetShardIteratorCommand({ StreamArn, ShardId, ShardIteratorType: 'TRIM_HORIZON' }),
      );
      while (ShardIterator !== undefined) {
        const { Records = [], NextShardIterator } = await store.streams.send(new GetRecordsCommand({ ShardIterator }));
        if (Records.length === 0) break;
        for (const { dynamodb } of Records) {
          const seconds = (dynamodb!.ApproximateCreationDateTime?.getTime() ?? 0) / 1_000;
          found.push({
            dynamodb: { ...dynamodb!, ApproximateCreationDateTime: seconds } as StreamRecord['dynamodb'] & {},
          });
        }
        ShardIterator = NextShardIterator;
      }
    }
    return found;
  }

  return async () => {
    const start = { users: await scan(tables.usersTable), operations: await scan(tables.operationsTable) };
    const startMs = time + 3_600_000;

    return {
      directory,
      passMs(ms) {
        time += ms;
      },
      async reset() {
        directory.dropConnections();
        directory.arm(null);
        resets += 1;
        if (resets % RESETS_PER_SERVER === 0) {
          await store.close();
          store = await openStore();
          ({ tables } = store);
        } else tables = await createTables(store.client);
        await Promise.all([fill(tables.usersTable, start.users), fill(tables.operationsTable, start.operations)]);
        for (const [TableName, StreamViewType] of [
          [tables.usersTable, 'NEW_AND_OLD_IMAGES'],
          [tables.operationsTable, 'NEW_IMAGE'],
        ] as const) {
          const StreamSpecification = { StreamEnabled: true, StreamViewType };
          await store.client.send(new UpdateTableCommand({ TableName, StreamSpecification }));
        }
        time = startMs;
      },
      begin({ store: storePoint, directory: point }) {
        directory.arm(point ?? null);
        const isSilent = point?.fault === 'hang' || point?.fault === 'garbage';
        const process = store.processes.start(storePoint ?? null);
        const ended = performRun(portsIn(process, isSilent ? LITTLE_PATIENCE : PATIENCE)).catch((error: unknown) =>
          error instanceof Error ? error : new Error(String(error)),
        );
        return { process, ended };
      },
      async runAndKill(at) {
        directory.arm(null);
        const proxy = await startFaultyProxy(store.endpoint);
        const options: ProgramOptions = { ...optionsFor(), endpoint: proxy.url, nowMs: time, lastId: ids };
        const program = path.join(import.meta.dirname, 'product.ts');
        const child = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: 'inherit' });
        const ended = once(child, 'exit');
        let requests = 0;
        proxy.decide = () => {
          requests += 1;
          // The request is on its way and arrives.
          if (requests === at) child.kill('SIGKILL');
          return 'none';
        };
        const [, signal] = (await ended) as [number | null, string | null];
        await proxy.stop();
        ids += IDS_PER_RUN;
        return signal === 'SIGKILL';
      },
      async close() {
        await directory.stop();
        await store.close();
      },
      readUsers: () => scan(tables.usersTable),
      async inspect() {
        const { runs: stored } = portsIn(store);
        const listed = (await stored.list({ limit: 50 })).items.filter(({ id }) => id !== first.id);
        const runs = [];
        for (const run of listed.toReversed()) {
          runs.push({ run, lines: (await stored.listChanges(run.id, { limit: 10_000 })).items });
        }
        const read = createStreamReader({ client: store.client, operationsTable: tables.operationsTable });
        const records = [...(await readStream(tables.usersTable)), ...(await readStream(tables.operationsTable))];
        const events = (await read(records)).flatMap((each) => each.events);
        const [users, operations] = await Promise.all([scan(tables.usersTable), scan(tables.operationsTable)]);
        return { users, operations, runs, events };
      },
    };
  };
}
