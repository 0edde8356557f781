/**
 * Runs in DynamoDB: their records, the lease of the active run, and the lines they leave per user.
 *
 * The lease is one item that is never deleted, so that its token only grows:
 *
 *     free --start--> held, queued --takeUp--> held --heartbeat--> held --finish--> free
 *                       |                       |
 *                       +---- silent for LEASE_MS, then start of another run ----> held by the other run
 *
 * Every arrow except heartbeat gives a new token. Every write of a run is conditional on its id and token, so a former
 * holder can write nothing, however late it wakes up. The lease also holds the progress of the active run, because a
 * run's record is written only twice: at its start and at its end.
 */
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { ConditionalCheckFailedException, TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { GetCommand, PutCommand, QueryCommand, TransactGetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { RunStore, StartResult } from '../sync/run-store.ts';
import type { Change, Run, RunState } from '../sync/run.ts';
import { interruptRun, LEASE_MS, leaseLost } from '../sync/run.ts';
import type { Fence } from '../user/user-store.ts';
import { chunksOf, epochSeconds, inFlight, waitForTry, wasWritten, writeItems } from './client.ts';
import type { Item } from './client.ts';
import { LEASE_KEY, OPERATIONS_PREFIX, RUN_PARTITION } from './environment.ts';
import { storeUnavailable } from './fault.ts';
import { heldBy } from './lease.ts';

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
  /** Number of chunks of lines so far. */
  readonly chunks: number;
  readonly cancelRequested?: boolean;
  /** Number of entries that the last complete read found. */
  readonly lastRead?: number;
}

const RUNS = 'runs';
const KEPT_MS = 90 * 24 * 60 * 60 * 1_000;
const LINES_TOGETHER = 1_000;
/** In bytes; DynamoDB limits an item to 400 KB. */
const LARGEST_CHUNK = 200_000;
const CHUNKS_READ_TOGETHER = 4;
const CHUNK_DIGITS = 8;

const compress = promisify(gzip);
const decompress = promisify(gunzip);

/** The run store on DynamoDB. Keeps runs and their lines for 90 days. Errors: those of the port. */
export function createRunStore({ client, operationsTable: TableName, clock }: RunStoreOptions): RunStore {
  const nowMs = (): number => clock.now().getTime();
  const expiry = (): number => epochSeconds(new Date(nowMs() + KEPT_MS));
  const isKept = (item: Item): boolean => (item.expiresAt as number) > epochSeconds(clock.now());
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

  function present(run: Run, lease: Lease | null): Run {
    if (run.status !== 'running') return run;
    if (lease?.runId !== run.id) return interruptRun(run, new Date(run.startedAt));
    const { stage, progress, totals } = lease;
    const shown = { ...run, stage, progress, totals };
    return lease.heldUntil > nowMs() ? shown : interruptRun(shown, new Date(lease.heldUntil));
  }

  async function get(runId: string): Promise<Run | null> {
    if (runId === '') return null;
    const { run, lease } = await readRunAndLease(runId);
    return run && present(run, lease);
  }

  /** Updates the lease if the fence still holds it, and gives the updated lease. */
  async function updateLease(fence: Fence, UpdateExpression: string, values: Item): Promise<Lease> {
    const held = heldBy(fence);
    try {
      const { Attributes } = await client.send(
        new UpdateCommand({
          TableName,
          Key: LEASE_KEY,
          UpdateExpression,
          ...held,
          ExpressionAttributeValues: { ...held.ExpressionAttributeValues, ...values },
          ReturnValues: 'ALL_NEW',
        }),
      );
      return Attributes as unknown as Lease;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) throw leaseLost(fence.runId);
      throw error;
    }
  }

  async function* readChunks(runId: string, from: string): AsyncGenerator<{ sk: string; lines: readonly Change[] }> {
    let start: Item | undefined;
    do {
      const { Items, LastEvaluatedKey } = await client.send(
        new QueryCommand({
          TableName,
          KeyConditionExpression: 'pk = :pk AND sk >= :from',
          ExpressionAttributeValues: { ':pk': changesKey(runId), ':from': from },
          ExclusiveStartKey: start,
          Limit: CHUNKS_READ_TOGETHER,
          ConsistentRead: true,
        }),
      );
      for (const item of (Items ?? []).filter(isKept)) {
        const text = await decompress(item.lines as Uint8Array);
        yield { sk: item.sk as string, lines: JSON.parse(text.toString()) as Change[] };
      }
      start = LastEvaluatedKey;
    } while (start !== undefined);
  }

  return {
    get,
    async start(run) {
      for (let tries = 1; ; tries += 1) {
        const lease = await readLease();
        // An earlier try succeeded, but its answer was lost.
        if (tries > 1 && lease?.runId === run.id) return tookLease(run, lease);
        if (lease?.runId !== undefined && lease.heldUntil > nowMs()) {
          return { kind: 'active', activeRunId: lease.runId };
        }
        const dead = lease?.runId === undefined ? null : (await readRunAndLease(lease.runId)).run;
        const token = (lease?.token ?? 0) + 1;
        const { stage, progress, totals } = run;
        const lastRead = lease?.lastRead;
        const taken: Lease = {
          runId: run.id,
          token,
          stage,
          progress,
          totals,
          heldUntil: nowMs() + LEASE_MS,
          chunks: 0,
          ...(lastRead !== undefined && { lastRead }),
        };
        const started = tookLease(run, taken);
        const failed = await writeItems(client, [
          { Put: { TableName, Item: { ...LEASE_KEY, ...taken }, ...asRead(lease) } },
          { Put: { TableName, Item: toRunItem(started.run), ConditionExpression: 'attribute_not_exists(pk)' } },
          ...(dead?.status === 'running' ? [{ Put: { TableName, Item: toRunItem(present(dead, lease)) } }] : []),
        ]);
        if (failed === null) return started;
        if (failed[1] === true && failed[0] !== true) throw new TypeError(`run ${run.id} already exists`);
        // Another run was faster: the lease, read again, shows which.
        await waitForTry(tries, 'TransactionConflict');
      }
    },
    async takeUp(runId) {
      let lease: Lease;
      try {
        const { Attributes } = await client.send(
          new UpdateCommand({
            TableName,
            Key: LEASE_KEY,
            UpdateExpression: 'SET #token = #token + :one, stage = :reading, heldUntil = :until, takenUpBy = :me',
            // If the first try succeeded, a retry finds its own mark.
            ConditionExpression: 'runId = :runId AND (stage = :queued OR takenUpBy = :me)',
            ExpressionAttributeNames: { '#token': 'token' },
            ExpressionAttributeValues: {
              ':one': 1,
              ':reading': 'reading',
              ':queued': 'queued',
              ':until': nowMs() + LEASE_MS,
              ':me': randomUUID(),
              ':runId': runId,
            },
            ReturnValues: 'ALL_NEW',
          }),
        );
        lease = Attributes as unknown as Lease;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return null;
        throw error;
      }
      const run = await get(runId);
      return run && { run, fence: { runId, token: lease.token } };
    },
    async heartbeat(fence, { stage, progress, totals }) {
      const { cancelRequested = false } = await updateLease(
        fence,
        'SET stage = :stage, progress = :progress, totals = :totals, heldUntil = :until',
        { ':stage': stage, ':progress': progress, ':totals': totals, ':until': nowMs() + LEASE_MS },
      );
      return { cancelRequested };
    },
    async saveChanges(fence, changes) {
      if (changes.length === 0) return;
      const parts = (await Promise.all(chunksOf(changes, LINES_TOGETHER).map(pack))).flat();
      // Reserve the numbers first: a lost answer then leaves a gap, and never two chunks with one number.
      const { chunks } = await updateLease(fence, 'ADD chunks :count', { ':count': parts.length });
      const first = chunks - parts.length;
      await inFlight([...parts.entries()], async ([index, lines]) => {
        const sk = String(first + index).padStart(CHUNK_DIGITS, '0');
        const Item = { pk: changesKey(fence.runId), sk, lines, expiresAt: expiry() };
        await client.send(new PutCommand({ TableName, Item }));
      });
    },
    async finish(fence, run) {
      const held = heldBy(fence);
      const complete = run.completeness?.complete === true;
      const free = {
        Update: {
          TableName,
          Key: LEASE_KEY,
          UpdateExpression:
            `SET #token = #token + :one${complete ? ', lastRead = :read' : ''} ` +
            'REMOVE runId, cancelRequested, takenUpBy',
          ...held,
          ExpressionAttributeValues: {
            ...held.ExpressionAttributeValues,
            ':one': 1,
            ...(complete && { ':read': run.progress.read }),
          },
        },
      };
      const failed = await writeItems(client, [free, { Put: { TableName, Item: toRunItem(run) } }]);
      if (failed !== null) throw leaseLost(fence.runId);
    },
    async record(run) {
      await client.send(new PutCommand({ TableName, Item: toRunItem(run) }));
    },
    async list(limit, next) {
      const before = next === undefined ? null : decodeCursor(RUNS, next);
      const { Items = [] } = await client.send(
        new QueryCommand({
          TableName,
          KeyConditionExpression: before === null ? 'pk = :pk' : 'pk = :pk AND sk < :before',
          ExpressionAttributeValues: { ':pk': RUN_PARTITION, ...(before !== null && { ':before': before }) },
          ScanIndexForward: false,
          ConsistentRead: true,
          Limit: limit + 1,
        }),
      );
      const runs = Items.filter(isKept).map(fromRunItem);
      const items = await Promise.all(
        runs.slice(0, limit).map(async (run) => (run.status === 'running' ? ((await get(run.id)) ?? run) : run)),
      );
      return { items, next: runs.length > limit ? encodeCursor(RUNS, items.at(-1)!.id) : null };
    },
    async listChanges(runId, { kind, limit, next }) {
      const list = `changes of ${runId}`;
      // The first line of the page: its chunk, and its position in the chunk.
      const [from = '', place = '0'] = next === undefined ? [] : decodeCursor(list, next).split(':');
      const items: Change[] = [];
      for await (const { sk, lines } of readChunks(runId, from || '0')) {
        for (const [position, line] of lines.entries()) {
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
    async claimWithheld(runId) {
      return await wasWritten(
        client.send(
          new UpdateCommand({
            TableName,
            Key: runKey(runId),
            UpdateExpression: 'SET claimedBy = :me',
            // If the first try succeeded, a retry finds its own mark.
            ConditionExpression: 'attribute_exists(pk) AND (attribute_not_exists(claimedBy) OR claimedBy = :me)',
            ExpressionAttributeValues: { ':me': randomUUID() },
          }),
        ),
      );
    },
  };
}

function runKey(runId: string) {
  return { pk: RUN_PARTITION, sk: runId };
}

function changesKey(runId: string): string {
  return `${OPERATIONS_PREFIX.changes}${runId}`;
}

function tookLease(run: Run, { token, lastRead }: Lease): StartResult & { readonly kind: 'started' } {
  return { kind: 'started', run: { ...run, expectedEntries: lastRead ?? null }, fence: { runId: run.id, token } };
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
  const { pk: _pk, sk: _sk, expiresAt: _expiresAt, claimedBy: _claimedBy, ...run } = item;
  // Fields that runs of earlier versions lack.
  return { server: null, approvalScope: null, ...run } as unknown as Run;
}

/** Compresses lines into chunks that fit into items, in their order. */
async function pack(lines: readonly Change[]): Promise<Buffer[]> {
  const packed = await compress(JSON.stringify(lines));
  if (packed.length <= LARGEST_CHUNK) return [packed];
  if (lines.length === 1) throw storeUnavailable('DynamoDB', 'ItemSizeLimitExceeded');
  const half = Math.ceil(lines.length / 2);
  return [...(await pack(lines.slice(0, half))), ...(await pack(lines.slice(half)))];
}
