/**
 * Lines of a run as items of the operations table: compressed, many in one item (a chunk), with their counts beside
 * them. Knows nothing of how chunks are written.
 */
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { QueryCommandInput } from '@aws-sdk/lib-dynamodb';
import type { Change, ChangeKind, Totals } from '../sync/run.ts';
import { CHANGE_KINDS, NO_TOTALS } from '../sync/run.ts';
import { chunksOf, epochSeconds, queryPages } from './client.ts';
import type { Item } from './client.ts';
import { OPERATIONS_PREFIX } from './environment.ts';

/** How long runs and their lines are kept. */
export const RUNS_KEPT_MS = 90 * 24 * 60 * 60 * 1_000;

const LINES_TOGETHER = 1_000;
/** Chunks are small where a run writes, and large where it only tells. */
const CHUNKS_READ_TOGETHER = 25;
/** The sort key before all chunks. */
export const FIRST_CHUNK = '0';
/** In bytes; DynamoDB limits an item to 400 KB. */
const LARGEST_CHUNK = 200_000;
/** In UTF-16 code units: what remains of a value in a line that is too long for a chunk. */
const LONGEST_KEPT = 2_000;

// In the thread pool, so that transactions wait for the store and not for each other's lines.
const compress = promisify(gzip);
const decompress = promisify(gunzip);

/** The part of a chunk besides its key: lines, absent if there are none, and how many of each kind it tells. */
export interface Chunk {
  readonly lines?: Buffer;
  readonly totals: Partial<Totals>;
}

/** The partition key of a run's lines. */
export function changesKey(runId: string): string {
  return `${OPERATIONS_PREFIX.changes}${runId}`;
}

/** Puts changes into chunks, in order. Those of kind `unchanged`, and `totals`, are only counted. */
export async function toChunks(changes: readonly Change[], totals: Partial<Totals> = {}): Promise<Chunk[]> {
  const lines = changes.filter(({ kind }) => kind !== 'unchanged');
  const chunks = (await Promise.all(chunksOf(lines, LINES_TOGETHER).map(pack))).flat();
  const unchanged = changes.length - lines.length;
  const counted = sumTotals([totals, ...(unchanged > 0 ? [{ unchanged }] : [])]);
  const [first, ...more] = chunks;
  if (Object.keys(counted).length === 0) return chunks;
  return [{ ...first, totals: sumTotals([first?.totals ?? {}, counted]) }, ...more];
}

/** The table of chunks, and the time at which they are read. */
export interface LineSource {
  readonly client: DynamoDBDocumentClient;
  readonly operationsTable: string;
  readonly now: Date;
}

/** A chunk as stored. */
interface StoredChunk extends Item {
  readonly sk: string;
  readonly expiresAt: number;
  readonly lines?: Uint8Array;
  /** Absent in chunks of earlier versions. */
  readonly totals?: Partial<Totals>;
}

/** Yields the lines of a run, chunk by chunk from the sort key `from` on, leaving out chunks without the kind. */
export async function* readLines(
  source: LineSource,
  runId: string,
  from: string,
  kind?: ChangeKind,
): AsyncGenerator<{ readonly sk: string; readonly lines: readonly Change[] }> {
  const filter =
    kind === undefined
      ? { Limit: CHUNKS_READ_TOGETHER }
      : {
          FilterExpression: 'attribute_not_exists(#totals) OR #totals.#kind > :none',
          ExpressionAttributeNames: { '#totals': 'totals', '#kind': kind },
          ExpressionAttributeValues: { ':none': 0 },
        };
  for await (const chunks of queryChunks(source, runId, from, filter)) {
    for (const { sk, lines } of chunks) {
      if (lines !== undefined) yield { sk, lines: JSON.parse((await decompress(lines)).toString()) as Change[] };
    }
  }
}

/** The totals of everything that is stored of a run. */
export async function readTotals(source: LineSource, runId: string): Promise<Totals> {
  const all: Partial<Totals>[] = [];
  const uncounted = new Set<string>();
  const counts = {
    ProjectionExpression: 'sk, expiresAt, #totals',
    ExpressionAttributeNames: { '#totals': 'totals' },
  };
  for await (const chunks of queryChunks(source, runId, FIRST_CHUNK, counts)) {
    for (const { sk, totals } of chunks) {
      if (totals === undefined) uncounted.add(sk);
      else all.push(totals);
    }
  }
  if (uncounted.size > 0) {
    for await (const { sk, lines } of readLines(source, runId, FIRST_CHUNK)) {
      if (uncounted.has(sk)) all.push(countLines(lines));
    }
  }
  return { ...NO_TOTALS, ...sumTotals(all) };
}

async function* queryChunks(
  { client, operationsTable, now }: LineSource,
  runId: string,
  from: string,
  narrow: Partial<QueryCommandInput>,
): AsyncGenerator<readonly StoredChunk[]> {
  const pages = queryPages(client, {
    TableName: operationsTable,
    KeyConditionExpression: 'pk = :pk AND sk >= :from',
    ...narrow,
    ExpressionAttributeValues: { ':pk': changesKey(runId), ':from': from, ...narrow.ExpressionAttributeValues },
  });
  for await (const items of pages) {
    yield (items as readonly StoredChunk[]).filter(({ expiresAt }) => expiresAt > epochSeconds(now));
  }
}

/** The sums of the kinds that occur. */
function sumTotals(all: readonly Partial<Totals>[]): Partial<Record<ChangeKind, number>> {
  const sums: Partial<Record<ChangeKind, number>> = {};
  for (const totals of all) {
    for (const kind of CHANGE_KINDS) {
      const count = totals[kind] ?? 0;
      if (count > 0) sums[kind] = (sums[kind] ?? 0) + count;
    }
  }
  return sums;
}

/** The counts of lines. */
function countLines(lines: readonly Change[]): Partial<Totals> {
  const counts: Partial<Record<ChangeKind, number>> = {};
  for (const { kind } of lines) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

async function pack(lines: readonly Change[]): Promise<Chunk[]> {
  const packed = await compress(JSON.stringify(lines));
  if (packed.length <= LARGEST_CHUNK) return [{ lines: packed, totals: countLines(lines) }];
  if (lines.length === 1) return await pack(lines.map(shorten));
  const half = Math.ceil(lines.length / 2);
  return [...(await pack(lines.slice(0, half))), ...(await pack(lines.slice(half)))];
}

/** A line that fits into an item, whatever it held: better shown in part than not at all. */
function shorten({ fields: _fields, reason = '', dn, directoryId, ...line }: Change): Change {
  return {
    ...line,
    dn: dn && dn.slice(0, LONGEST_KEPT),
    directoryId: directoryId && directoryId.slice(0, LONGEST_KEPT),
    reason: `${reason.slice(0, LONGEST_KEPT)} (the values are too long to be kept)`.trimStart(),
  };
}
