/**
 * Runs in DynamoDB: their records, the lease of the active run, and reading the lines they leave per user.
 *
 * The lease is one item that is never deleted, so that its token only grows:
 *
 *     free --start--> held, queued --takeUp--> held --heartbeat--> held --finish--> free
 *                       |                       |
 *                       +---- silent for LEASE_MS, then start of another run ----> sealed --> held by the other run
 *
 * Every arrow except heartbeat gives a new token, in one transaction with the fences that the run's writes check. So a
 * former holder can write nothing, however late it wakes up. Sealed, nobody can write: only then are the totals of the
 * silent run known, and its record is stored for good. The lease also holds the progress of the active run, because a
 * run's record is written only twice: at its start and at its end.
 */
import { ConditionalCheckFailedException, TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { GetCommand, PutCommand, QueryCommand, TransactGetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { RunQuery, RunStore, StartResult } from '../sync/run-store.ts';
import type { Change, Run, RunState } from '../sync/run.ts';
import { interruptRun, LEASE_MS, leaseLost, runIdPrefix } from '../sync/run.ts';
import { epochSeconds, waitForTry, wasWritten, writeItems } from './client.ts';
import type { Item } from './client.ts';
import { LEASE_KEY, RUN_PARTITION } from './environment.ts';
import { closeFences, heldBy, openFences } from './lease.ts';
import { readMemory } from './run-journal.ts';
import { FIRST_CHUNK, readLines, readTotals, RUNS_KEPT_MS } from './run-lines.ts';

/** The table of runs, and the clock for leases and expiry. */
export interface RunStoreOptions {
  readonly client: DynamoDBDocumentClient;
  readonly operationsTable: string;
  readonly clock: Clock;
}

/** The lease as stored. Without `runId` it is free. */
interface Lease extends RunState {
  readonly runId?: string;
  readonly token: number;
  /** Epoch milliseconds. */
  readonly heldUntil: number;
  readonly cancelRequested?: boolean;
  /** Set between the end of a silent run and the beginning of the next. */
  readonly sealed?: boolean;
  /** Left by an earlier version: number of entries that the last complete read found. */
  readonly lastRead?: number;
}

const RUNS = 'runs';

/** Less and greater than the sort key of any run. */
const [FIRST_KEY, LAST_KEY] = [' ', '~'];
/** Most reads for one page of a list, each of at most 1 MB. A page with fewer runs than asked for has a `next`, too. */
const MOST_READS = 10;

/** The run store on DynamoDB. Keeps runs and their lines for 90 days. Errors: those of the port. */
export function createRunStore({ client, operationsTable: TableName, clock }: RunStoreOptions): RunStore {
  const nowMs = (): number => clock.now().getTime();
  const expiry = (): number => epochSeconds(new Date(nowMs() + RUNS_KEPT_MS));
  const isKept = (item: Item): boolean => (item.expiresAt as number) > epochSeconds(clock.now());
  const lines = () => ({ client, operationsTable: TableName, now: clock.now() });
  const toRunItem = (run: Run) => ({ ...runKey(run.id), ...run, expiresAt: expiry() });

  async function readLease(): Promise<Lease | null> {
    const { Item } = await client.send(new GetCommand({ TableName, Key: LEASE_KEY, ConsistentRead: true }));
    return (Item as Lease | undefined) ?? null;
  }

  /** Reads both at the same moment: with two separate reads, a run that ends in between would look interrupted. */
  async function readRunAndLease(runId: string): Promise<{ run: Run | null; lease: Lease | null }> {
    for (let tries = 1; ; tries += 1) {
      try {
        const { Responses } = await client.send(
          new TransactGetCommand({
            TransactItems: [{ Get: { TableName, Key: runKey(runId) } }, { Get: { TableName, Key: LEASE_KEY } }],
          }),
        );
        const [record, lease] = Responses!.map(({ Item }) => Item);
        return {
          run: record !== undefined && isKept(record) ? fromRunItem(record) : null,
          lease: (lease as Lease | undefined) ?? null,
        };
      } catch (error) {
        // A heartbeat at the same moment cancels the read. Anything else is a fault.
        if (!(error instanceof TransactionCanceledException)) throw error;
        await waitForTry(tries, 'TransactionConflict');
      }
    }
  }

  /** Reads what a run that stopped has written: its last heartbeat may not have known all of it. */
  async function interrupt(run: Run, at: Date): Promise<Run> {
    return interruptRun({ ...run, totals: await readTotals(lines(), run.id) }, at);
  }

  async function present(run: Run, lease: Lease | null): Promise<Run> {
    if (run.status !== 'running') return run;
    if (lease?.runId !== run.id) return await interrupt(run, new Date(run.startedAt));
    const { stage, progress, totals } = lease;
    const shown = { ...run, stage, progress, totals };
    return lease.heldUntil > nowMs() ? shown : await interrupt(shown, new Date(lease.heldUntil));
  }

  async function get(runId: string): Promise<Run | null> {
    if (runId === '') return null;
    const { run, lease } = await readRunAndLease(runId);
    return run && (await present(run, lease));
  }

  /** Ends the writing of a silent run; null if the lease is no longer as it was read. */
  async function seal(lease: Lease): Promise<Lease | null> {
    const update = {
      TableName,
      Key: LEASE_KEY,
      UpdateExpression: 'SET #token = #token + :one, sealed = :true',
      ...asRead(lease),
    };
    const ExpressionAttributeValues = { ...asRead(lease).ExpressionAttributeValues, ':one': 1, ':true': true };
    const refused = await writeItems(client, [
      { Update: { ...update, ExpressionAttributeValues } },
      ...closeFences(TableName, null),
    ]);
    return refused === null ? { ...lease, token: lease.token + 1, sealed: true } : null;
  }

  return {
    get,
    async start(run) {
      const before = await readMemory(client, TableName);
      const expectedEntries = before.memory.lastRead?.entries ?? null;
      const started = (token: number): StartResult & { readonly kind: 'started' } => ({
        kind: 'started',
        run: { ...run, expectedEntries },
        fence: { runId: run.id, token },
      });
      for (let tries = 1; ; tries += 1) {
        let lease = tries === 1 ? ((before.lease as Lease | undefined) ?? null) : await readLease();
        // An earlier try succeeded, but its answer was lost.
        if (tries > 1 && lease?.runId === run.id) return started(lease.token);
        if (lease?.runId !== undefined && lease.heldUntil > nowMs()) {
          return { kind: 'active', activeRunId: lease.runId };
        }
        let dead: Run | null = null;
        if (lease?.runId !== undefined) {
          lease = lease.sealed === true ? lease : await seal(lease);
          dead = lease && (await readRunAndLease(lease.runId!)).run;
          dead = dead?.status === 'running' ? await present(dead, lease) : null;
        }
        const taken = started((lease?.token ?? 0) + 1);
        const { stage, progress, totals } = run;
        const lastRead = lease?.lastRead;
        const next: Lease = {
          ...taken.fence,
          stage,
          progress,
          totals,
          heldUntil: nowMs() + LEASE_MS,
          ...(lastRead !== undefined && { lastRead }),
        };
        const failed = await writeItems(client, [
          { Put: { TableName, Item: { ...LEASE_KEY, ...next }, ...asRead(lease) } },
          { Put: { TableName, Item: toRunItem(taken.run), ConditionExpression: 'attribute_not_exists(pk)' } },
          ...openFences(TableName, taken.fence),
          ...(dead === null ? [] : [{ Put: { TableName, Item: toRunItem(dead) } }]),
        ]);
        if (failed === null) return taken;
        if (failed[1] === true && failed[0] !== true) throw new TypeError(`run ${run.id} already exists`);
        // Another run was faster: the lease, read again, shows which.
        await waitForTry(tries, 'TransactionConflict');
      }
    },
    async takeUp(runId) {
      const lease = await readLease();
      if (lease?.runId !== runId || lease.stage !== 'queued' || lease.sealed === true) return null;
      const fence = { runId, token: lease.token + 1 };
      const held = heldBy({ runId, token: lease.token });
      const take = {
        TableName,
        Key: LEASE_KEY,
        UpdateExpression: 'SET #token = #token + :one, stage = :reading, heldUntil = :until',
        ...held,
        ExpressionAttributeValues: {
          ...held.ExpressionAttributeValues,
          ':one': 1,
          ':reading': 'reading',
          ':until': nowMs() + LEASE_MS,
        },
      };
      const refused = await writeItems(client, [{ Update: take }, ...openFences(TableName, fence)]);
      const run = refused === null ? await get(runId) : null;
      return run && { run, fence };
    },
    async heartbeat(fence, { stage, progress, totals }) {
      const held = heldBy(fence);
      const values = { ':stage': stage, ':progress': progress, ':totals': totals, ':until': nowMs() + LEASE_MS };
      try {
        const { Attributes } = await client.send(
          new UpdateCommand({
            TableName,
            Key: LEASE_KEY,
            UpdateExpression: 'SET stage = :stage, progress = :progress, totals = :totals, heldUntil = :until',
            ...held,
            ExpressionAttributeValues: { ...held.ExpressionAttributeValues, ...values },
            ReturnValues: 'ALL_NEW',
          }),
        );
        const { cancelRequested = false } = Attributes as unknown as Lease;
        return { cancelRequested };
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) throw leaseLost(fence.runId);
        throw error;
      }
    },
    async finish(fence, run) {
      const held = heldBy(fence);
      const free = {
        Update: {
          TableName,
          Key: LEASE_KEY,
          UpdateExpression: 'SET #token = #token + :one REMOVE runId, cancelRequested',
          ...held,
          ExpressionAttributeValues: { ...held.ExpressionAttributeValues, ':one': 1 },
        },
      };
      const failed = await writeItems(client, [
        free,
        { Put: { TableName, Item: toRunItem(run) } },
        ...closeFences(TableName, fence),
      ]);
      if (failed !== null) throw leaseLost(fence.runId);
    },
    async record(run) {
      await client.send(new PutCommand({ TableName, Item: toRunItem(run) }));
    },
    async list(query) {
      const { limit, next, status } = query;
      const runs: Run[] = [];
      let before = next === undefined ? LAST_KEY : decodeCursor(RUNS, next);
      for (let reads = 0; reads < MOST_READS; reads += 1) {
        const { Items = [], LastEvaluatedKey } = await client.send(
          new QueryCommand({ TableName, ...runsUpTo(before, query), ScanIndexForward: false, ConsistentRead: true }),
        );
        for (const run of Items.filter((item) => item.sk !== before && isKept(item)).map(fromRunItem)) {
          const shown = run.status === 'running' ? ((await get(run.id)) ?? run) : run;
          if (status !== undefined && shown.status !== status) continue;
          if (runs.length === limit) return { items: runs, next: encodeCursor(RUNS, runs.at(-1)!.id) };
          runs.push(shown);
        }
        if (LastEvaluatedKey === undefined) return { items: runs, next: null };
        before = LastEvaluatedKey.sk as string;
      }
      return { items: runs, next: encodeCursor(RUNS, before) };
    },
    async listChanges(runId, { kind, limit, next }) {
      const list = `changes of ${runId}`;
      // The first line of the page: its chunk, and its position in the chunk.
      const [from = '', place = '0'] = next === undefined ? [] : decodeCursor(list, next).split(':');
      const items: Change[] = [];
      for await (const { sk, lines: all } of readLines(lines(), runId, from || FIRST_CHUNK, kind)) {
        for (const [position, line] of all.entries()) {
          if ((sk === from && position < Number(place)) || (kind !== undefined && line.kind !== kind)) continue;
          if (items.length === limit) return { items, next: encodeCursor(list, `${sk}:${position}`) };
          items.push(line);
        }
      }
      return { items, next: null };
    },
    async requestCancel(runId) {
      return await wasWritten(
        client.send(
          new UpdateCommand({
            TableName,
            Key: LEASE_KEY,
            UpdateExpression: 'SET cancelRequested = :true',
            ConditionExpression: 'runId = :runId AND heldUntil > :now',
            ExpressionAttributeValues: { ':true': true, ':runId': runId, ':now': nowMs() },
          }),
        ),
      );
    },
  };
}

/** The query for runs with this key or a smaller one. */
function runsUpTo(before: string, { limit, status, from, to }: RunQuery) {
  const first = from === undefined ? FIRST_KEY : runIdPrefix(from);
  const last = to === undefined || before < runIdPrefix(to) ? before : runIdPrefix(to);
  const keys = {
    KeyConditionExpression: 'pk = :pk AND sk BETWEEN :first AND :last',
    // DynamoDB refuses bounds in the wrong order.
    ExpressionAttributeValues: { ':pk': RUN_PARTITION, ':first': first < last ? first : last, ':last': last },
  };
  // One for the run that the page before ended with, and one to find out whether there are more.
  if (status === undefined) return { ...keys, Limit: limit + 2 };
  // Runs that are stored as running may have ended without a word.
  return {
    ...keys,
    FilterExpression: '#status IN (:status, :running)',
    ExpressionAttributeNames: { '#status': 'status' },
    ExpressionAttributeValues: { ...keys.ExpressionAttributeValues, ':status': status, ':running': 'running' },
  };
}

function runKey(runId: string) {
  return { pk: RUN_PARTITION, sk: runId };
}

/** The condition that the lease is still as it was read: a heartbeat changes `heldUntil`, any other write the token. */
function asRead(lease: Lease | null) {
  if (lease === null) return { ConditionExpression: 'attribute_not_exists(pk)' };
  return {
    ConditionExpression: '#token = :token AND heldUntil = :heldUntil',
    ExpressionAttributeNames: { '#token': 'token' },
    ExpressionAttributeValues: { ':token': lease.token, ':heldUntil': lease.heldUntil },
  };
}

/** A run from its stored item, without the attributes that only the store knows. */
export function fromRunItem(item: Item): Run {
  const { pk: _pk, sk: _sk, expiresAt: _expiresAt, ...run } = item;
  // Fields that runs of earlier versions lack.
  return { server: null, approvalScope: null, ...run } as unknown as Run;
}
