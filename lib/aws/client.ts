/**
 * The DynamoDB client of all stores, and what the SDK leaves to its callers: retries of incomplete answers, a limit on
 * the requests in flight, and reads and writes of many items. Knows no table.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  TransactionCanceledException,
  TransactionConflictException,
} from '@aws-sdk/client-dynamodb';
import type { DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import {
  BatchExecuteStatementCommand,
  BatchGetCommand,
  BatchWriteCommand,
  DynamoDBDocumentClient,
  QueryCommand,
  TransactWriteCommand,
} from '@aws-sdk/lib-dynamodb';
import type { QueryCommandInput, TransactWriteCommandInput } from '@aws-sdk/lib-dynamodb';
import { CLIENT_DEFAULTS, storeUnavailable, TRANSIENT_ERRORS, translateFaults } from './fault.ts';

/** An item, or the key of one, as plain values. */
export type Item = Record<string, unknown>;

/** One operation of a transaction that writes. */
export type TransactItem = NonNullable<TransactWriteCommandInput['TransactItems']>[number];

const SERVICE = 'DynamoDB';
/** Requests in flight per call. */
const IN_FLIGHT = 8;
const MAX_TRIES = 10;
const FIRST_DELAY_MS = 25;
const MAX_DELAY_MS = 2_000;
const KEYS_TOGETHER = 100;
const PUTS_TOGETHER = 25;
const STATEMENTS_TOGETHER = 25;

/**
 * A client that throws only ServiceError `storeUnavailable`, failed conditions and cancelled transactions. It retries
 * throttled and lost requests and keeps its connections open. Close it with `destroy()`.
 */
export function createDynamoDbClient(config: DynamoDBClientConfig = {}): DynamoDBDocumentClient {
  const client = new DynamoDBClient({ ...CLIENT_DEFAULTS, ...config });
  // The SDK does not retry a single write that collided with a transaction. This step is below its retries, so that
  // they see the mark.
  client.middlewareStack.add(
    (next) => async (args) => {
      try {
        return await next(args);
      } catch (error) {
        if (error instanceof TransactionConflictException) error.$retryable = {};
        throw error;
      }
    },
    { step: 'deserialize', priority: 'high', name: 'retryConflicts' },
  );
  // The logger walks through every answer for a log that nobody reads: a fifth of the time it takes to read the users.
  client.middlewareStack.remove('loggerMiddleware');
  translateFaults(client, SERVICE, ['ConditionalCheckFailedException', 'TransactionCanceledException']);
  return DynamoDBDocumentClient.from(client);
}

/**
 * Waits before the next try, for a random time (full jitter) up to a limit that doubles with every try.
 * @param tries tries so far
 * @throws ServiceError `storeUnavailable` after the last try
 */
export async function waitForTry(tries: number, reason: string): Promise<void> {
  if (tries >= MAX_TRIES) throw storeUnavailable(SERVICE, reason);
  await sleep(Math.random() * Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** tries));
}

/**
 * Runs `work` for every part, a few at a time. After a failure it starts no more work, waits for what it has started,
 * and throws that failure.
 */
export async function inFlight<T>(parts: readonly T[], work: (part: T) => Promise<void>): Promise<void> {
  const rest = parts.values();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (const part of rest) {
      if (failures.length > 0) return;
      try {
        await work(part);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, parts.length) }, worker));
  if (failures.length > 0) throw failures[0];
}

/** The parts in order, in chunks of `size`; the last chunk may be smaller. */
export function chunksOf<T>(parts: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(parts.length / size) }, (_, index) =>
    parts.slice(index * size, (index + 1) * size),
  );
}

/**
 * The current items with these keys, by table and in no order; keys without an item are left out. Keys must not repeat.
 * @throws ServiceError `storeUnavailable`
 */
export async function readItems(
  client: DynamoDBDocumentClient,
  keys: readonly { readonly table: string; readonly key: Item }[],
): Promise<ReadonlyMap<string, readonly Item[]>> {
  const found = new Map<string, Item[]>();
  await inFlight(chunksOf(keys, KEYS_TOGETHER), async (together) => {
    const tables = Map.groupBy(together, ({ table }) => table);
    let pending: Record<string, { Keys: Item[]; ConsistentRead: boolean }> = Object.fromEntries(
      [...tables].map(([table, of]) => [table, { Keys: of.map(({ key }) => key), ConsistentRead: true }]),
    );
    for (let tries = 1; ; tries += 1) {
      const answer = await client.send(new BatchGetCommand({ RequestItems: pending }));
      for (const [table, items] of Object.entries(answer.Responses ?? {})) {
        found.set(table, [...(found.get(table) ?? []), ...items]);
      }
      pending = (answer.UnprocessedKeys ?? {}) as typeof pending;
      if (Object.keys(pending).length === 0) return;
      await waitForTry(tries, 'ThrottlingException');
    }
  });
  return found;
}

/**
 * Yields the items that a query finds, page by page to the end. Reads consistently.
 * @throws ServiceError `storeUnavailable`
 */
export async function* queryPages(
  client: DynamoDBDocumentClient,
  query: Omit<QueryCommandInput, 'ExclusiveStartKey' | 'ConsistentRead'>,
): AsyncGenerator<readonly Item[]> {
  let start: Item | undefined;
  do {
    const { Items = [], LastEvaluatedKey } = await client.send(
      new QueryCommand({ ...query, ExclusiveStartKey: start, ConsistentRead: true }),
    );
    yield Items;
    start = LastEvaluatedKey;
  } while (start !== undefined);
}

/**
 * Puts items, each in place of an earlier one with its key, in no order. Keys must not repeat.
 * @throws ServiceError `storeUnavailable`; some of the items may be stored
 */
export async function putItems(client: DynamoDBDocumentClient, table: string, items: readonly Item[]): Promise<void> {
  await inFlight(chunksOf(items, PUTS_TOGETHER), async (together) => {
    let pending = together.map((item) => ({ PutRequest: { Item: item } }));
    for (let tries = 1; ; tries += 1) {
      const { UnprocessedItems } = await client.send(new BatchWriteCommand({ RequestItems: { [table]: pending } }));
      pending = (UnprocessedItems?.[table] ?? []) as typeof pending;
      if (pending.length === 0) return;
      await waitForTry(tries, 'ThrottlingException');
    }
  });
}

/**
 * Executes PartiQL statements that write, each by itself and in no order. No two statements may share a key.
 *
 * @returns for each statement whether it was refused: its condition failed, or it inserts an item that exists already,
 *   perhaps because an earlier try has inserted it
 * @throws ServiceError `storeUnavailable`
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html
 */
export async function executeStatements(
  client: DynamoDBDocumentClient,
  statements: readonly { readonly Statement: string; readonly Parameters: unknown[] }[],
): Promise<readonly boolean[]> {
  const refused = statements.map(() => false);
  await inFlight(chunksOf([...statements.entries()], STATEMENTS_TOGETHER), async (together) => {
    let pending = together;
    for (let tries = 1; ; tries += 1) {
      const Statements = pending.map(([, statement]) => statement);
      const { Responses } = await client.send(new BatchExecuteStatementCommand({ Statements }));
      const again: typeof pending = [];
      let reason = '';
      for (const [index, placed] of pending.entries()) {
        const code = Responses?.[index]?.Error?.Code;
        if (code === undefined) continue;
        if (REFUSALS.has(code)) refused[placed[0]] = true;
        else if (TRANSIENT_ERRORS.has(code)) {
          again.push(placed);
          reason = code;
        } else throw storeUnavailable(SERVICE, code);
      }
      if (again.length === 0) return;
      await waitForTry(tries, reason);
      pending = again;
    }
  });
  return refused;
}

const REFUSALS: ReadonlySet<string> = new Set(['ConditionalCheckFailed', 'DuplicateItem']);

/**
 * Writes all items or none, and writes them once even if the request is repeated: DynamoDB recognizes repetitions by
 * the token, for 10 minutes.
 * @returns null when written; otherwise, by position, whether the condition of that item failed
 * @throws ServiceError `storeUnavailable`
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
 */
export async function writeItems(
  client: DynamoDBDocumentClient,
  items: readonly TransactItem[],
): Promise<readonly boolean[] | null> {
  const ClientRequestToken = randomUUID();
  for (let tries = 1; ; tries += 1) {
    try {
      await client.send(new TransactWriteCommand({ ClientRequestToken, TransactItems: [...items] }));
      return null;
    } catch (error) {
      if (!(error instanceof TransactionCanceledException)) throw error;
      const codes = error.CancellationReasons?.map(({ Code }) => Code ?? 'None') ?? [];
      const failed = codes.map((code) => code === 'ConditionalCheckFailed');
      if (failed.includes(true)) return failed;
      const reason = codes.find((code) => TRANSIENT_ERRORS.has(code));
      if (reason === undefined) throw storeUnavailable(SERVICE, error);
      await waitForTry(tries, reason);
    }
  }
}

/** A time in epoch seconds, the unit of DynamoDB's TTL, rounded up. */
export function epochSeconds(time: Date): number {
  return Math.ceil(time.getTime() / 1_000);
}

/** Waits for a write: true if it was done, false if its condition failed. Other errors pass. */
export async function wasWritten(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return false;
    throw error;
  }
}
