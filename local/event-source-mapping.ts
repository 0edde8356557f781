/**
 * Lambda's event source mappings for DynamoDB streams on this machine: reads a table's stream, passes matching records
 * to the function in batches, and continues after the records that the function has processed. Keeps its positions, so
 * that a restart leaves nothing out. Knows nothing of the records' meaning.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DescribeTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
  type _Record as StreamRecord,
} from '@aws-sdk/client-dynamodb-streams';
import type { FunctionHost } from './function-host.ts';
import { openState } from './kept-state.ts';
import type { Stoppable } from './running.ts';
import { type EventSourceDefinition, LOCAL_CLIENT } from './template.ts';

/** Where streams come from, and where their records go. */
export interface EventSourceMappingOptions {
  /** The endpoint of DynamoDB, which also serves the streams. */
  readonly endpoint: string;
  readonly host: Pick<FunctionHost, 'invoke'>;
  /** Why the function may not read the stream of a table; null: it may. */
  readonly refusal: (functionName: string, tableName: string) => string | null;
  /** Where positions are kept; without it they are in memory. */
  readonly folder?: string;
  /** Called for the first of several failures in a row. */
  readonly onFault: (name: string, fault: string) => void;
}

/** The position of one mapping in its table's stream. */
interface Position {
  shardId: string | null;
  /** The last record that has been processed; null: start at the shard's first record. */
  sequenceNumber: string | null;
  finished: string[];
}

const POLL_MS = 1_000;
const LONGEST_DELAY_MS = 30_000;

/** Follows the streams until stopped. A batch in progress is then delivered again after the next start. */
export function followStreams(
  definitions: readonly EventSourceDefinition[],
  { endpoint, host, refusal, folder, onFault }: EventSourceMappingOptions,
): Stoppable {
  const { document: positions, save } = openState<Record<string, Position>>(folder, 'streams.json', {});
  const configuration = { ...LOCAL_CLIENT, endpoint };
  const dynamoDb = new DynamoDBClient(configuration);
  const streams = new DynamoDBStreamsClient(configuration);
  const interruption = new AbortController();
  const { signal } = interruption;

  async function follow({ id, tableName, functionName, batchSize, patterns }: EventSourceDefinition): Promise<void> {
    const position = (positions[id] ??= { shardId: null, sequenceNumber: null, finished: [] });
    let source: { readonly streamArn: string; iterator: string } | null = null;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const refused = refusal(functionName, tableName);
        if (refused !== null) throw new Error(refused);
        source ??= await open(tableName, position);
        const page = await streams.send(new GetRecordsCommand({ ShardIterator: source.iterator, Limit: batchSize }));
        const records = page.Records ?? [];
        const batch = records.filter((record) => patterns.some((pattern) => fits(pattern, record)));
        const failed = batch.length === 0 ? null : await invoke(functionName, source.streamArn, batch);
        const done =
          failed === null
            ? records
            : records.slice(
                0,
                records.findIndex((each) => numberOf(each) === failed),
              );
        if (done.length > 0) {
          position.sequenceNumber = numberOf(done.at(-1)!);
          save();
        }
        if (failed !== null) throw new Error(`the function failed at record ${failed}`);
        failures = 0;
        if (page.NextShardIterator === undefined) {
          finish(position);
          source = null;
        } else source.iterator = page.NextShardIterator;
        if (records.length === 0) await pause(POLL_MS);
      } catch (error) {
        if (signal.aborted) return;
        if (failures === 0) onFault(functionName, (error as Error).message);
        failures += 1;
        source = null;
        await pause(Math.min(LONGEST_DELAY_MS, POLL_MS * 2 ** (failures - 1)));
      }
    }
  }

  /**
   * Opens the first shard that is not read to its end. These emulators have one open shard, and closed ones before it.
   */
  async function open(TableName: string, position: Position) {
    const { Table } = await dynamoDb.send(new DescribeTableCommand({ TableName }), { abortSignal: signal });
    const StreamArn = Table!.LatestStreamArn!;
    const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn }), { abortSignal: signal });
    const shards = StreamDescription!.Shards!.map(({ ShardId }) => ShardId!);
    position.finished = position.finished.filter((shard) => shards.includes(shard));
    const ShardId = shards.find((shard) => !position.finished.includes(shard));
    if (ShardId === undefined) throw new Error(`the stream of ${TableName} has no open shard`);
    if (ShardId !== position.shardId) Object.assign(position, { shardId: ShardId, sequenceNumber: null });
    const { sequenceNumber } = position;
    const from =
      sequenceNumber === null
        ? { ShardIteratorType: 'TRIM_HORIZON' as const }
        : { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER' as const, SequenceNumber: sequenceNumber };
    const answer = await streams.send(new GetShardIteratorCommand({ StreamArn, ShardId, ...from }), {
      abortSignal: signal,
    });
    return { streamArn: StreamArn, iterator: answer.ShardIterator! };
  }

  function finish(position: Position): void {
    position.finished.push(position.shardId!);
    Object.assign(position, { shardId: null, sequenceNumber: null });
    save();
  }

  /**
   * Invokes the function. Returns the sequence number of the first record to deliver again; null if all are processed.
   */
  async function invoke(name: string, streamArn: string, batch: readonly StreamRecord[]): Promise<string | null> {
    const Records = batch.map((record) => toLambdaRecord(record, streamArn));
    const result = await Promise.race([host.invoke(name, JSON.stringify({ Records })), aborted]);
    if ('fault' in result) throw new Error(`${result.fault.errorType}: ${result.fault.errorMessage}`);
    const { batchItemFailures = [] } = (JSON.parse(result.payload) ?? {}) as {
      batchItemFailures?: { itemIdentifier: string }[];
    };
    const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    return batch.map(numberOf).find((number) => failed.has(number)) ?? null;
  }

  async function pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal }).catch(() => {});
  }

  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('stopped')));
  });
  aborted.catch(() => {});
  const following = definitions.map(follow);

  return {
    async stop() {
      interruption.abort();
      await Promise.all(following);
      dynamoDb.destroy();
      streams.destroy();
    },
  };
}

function numberOf(record: StreamRecord): string {
  return record.dynamodb!.SequenceNumber!;
}

/** The record as Lambda passes it: times are epoch seconds. */
function toLambdaRecord(record: StreamRecord, eventSourceARN: string) {
  const seconds = (record.dynamodb?.ApproximateCreationDateTime?.getTime() ?? 0) / 1_000;
  return { ...record, dynamodb: { ...record.dynamodb, ApproximateCreationDateTime: seconds }, eventSourceARN };
}

/**
 * Whether a value matches a filter pattern: each field matches one of its alternatives, which are texts or a test for
 * existence.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax
 */
function fits(pattern: object, value: unknown): boolean {
  return Object.entries(pattern as Record<string, object | unknown[]>).every(([name, rule]) => {
    const inner = (value as Record<string, unknown> | undefined)?.[name];
    if (!Array.isArray(rule)) return fits(rule, inner);
    return rule.some((alternative: string | { readonly exists: boolean }) =>
      typeof alternative === 'string' ? inner === alternative : (inner !== undefined) === alternative.exists,
    );
  });
}
