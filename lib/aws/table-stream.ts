/**
 * Turns records of the tables' streams, as Lambda delivers them, into events. Knows which items become events: users
 * and finished runs, nothing else. Of a user's record it passes on only the public part.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
 */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import type { ReadEvents } from '../event/event-bus.ts';
import { compareUsers, toRunEvent, toUserEvents, type UserStep } from '../event/event.ts';
import type { Run } from '../sync/run.ts';
import type { User } from '../user/user.ts';
import { type Item, readItems } from './client.ts';
import { RUN_PARTITION } from './environment.ts';
import { fromRunItem } from './run-store.ts';
import { toUser } from './user-item.ts';
import { type Arrival, readArrival, renameMarkKey } from './user-trail.ts';

/** The part of Lambda's stream record that is read here. */
export interface StreamRecord {
  readonly dynamodb?: {
    /** Epoch seconds. */
    readonly ApproximateCreationDateTime?: number;
    readonly SequenceNumber?: string;
    readonly NewImage?: object;
    readonly OldImage?: object;
  };
}

/** The table that the reader looks up, and the client for it. */
export interface StreamReaderOptions {
  readonly client: DynamoDBDocumentClient;
  /** Holds the rename marks. */
  readonly operationsTable: string;
}

/**
 * Creates the function that turns records into their events, in order. It reads the operations table only when a user's
 * record has left its key and no other record has taken that key. Errors: `storeUnavailable`.
 */
export function createStreamReader({ client, operationsTable }: StreamReaderOptions): ReadEvents {
  return async (records) => {
    const changes = records.map(readChange);
    const gone = changes.flatMap(({ before, after }) => (before !== null && after === null ? [before] : []));
    const renamed = await readRenameMarks(gone);
    return changes.map((change) => ({
      sequenceNumber: change.sequenceNumber,
      events: change.finished ? [toRunEvent(change.finished)] : toSteps(change, renamed).flatMap(toUserEvents),
    }));
  };

  /**
   * The marks that exist for these users. The transaction that removed the record wrote the mark, so the mark is
   * visible here.
   */
  async function readRenameMarks(gone: readonly User[]): Promise<ReadonlySet<string>> {
    const keys = new Map(gone.map((user) => [markOf(user), renameMarkKey(user)]));
    const found = await readItems(
      client,
      [...keys.values()].map((key) => ({ table: operationsTable, key })),
    );
    return new Set(found.get(operationsTable)?.map(({ pk, sk }) => `${pk as string}:${sk as string}`));
  }
}

function markOf(user: User): string {
  const { pk, sk } = renameMarkKey(user);
  return `${pk}:${sk}`;
}

/** The change of one key, as far as it concerns a user or a finished run. */
interface KeyChange {
  readonly sequenceNumber: string;
  /** RFC 3339 UTC. */
  readonly at: string;
  readonly before: User | null;
  readonly after: User | null;
  /** The arrival of `after`. */
  readonly arrival: Arrival | null;
  readonly finished: Run | null;
}

function readChange({ dynamodb = {} }: StreamRecord): KeyChange {
  const now = toItem(dynamodb.NewImage);
  return {
    sequenceNumber: dynamodb.SequenceNumber ?? '',
    at: new Date((dynamodb.ApproximateCreationDateTime ?? 0) * 1_000).toISOString(),
    before: userOf(toItem(dynamodb.OldImage)),
    after: userOf(now),
    arrival: now && readArrival(now),
    finished: isFinishedRun(now) ? fromRunItem(now) : null,
  };
}

/** The users before and after are judged separately, because names can be swapped and passed on. */
function toSteps({ before, after, arrival, at }: KeyChange, renamed: ReadonlySet<string>): UserStep[] {
  if (before !== null && after?.id === before.id) {
    return [{ kind: 'changed', user: after, changes: compareUsers(before, after) }];
  }
  const steps: UserStep[] = [];
  if (before !== null && (arrival ? arrival.replacesDeleted : !renamed.has(markOf(before)))) {
    steps.push({ kind: 'deleted', user: before, at });
  }
  if (after !== null) {
    const changes = arrival?.changes ?? null;
    steps.push(changes === null ? { kind: 'created', user: after } : { kind: 'changed', user: after, changes });
  }
  return steps;
}

function toItem(image: object | undefined): Item | null {
  return image === undefined ? null : unmarshall(image as Parameters<typeof unmarshall>[0]);
}

/** The operations table's items have no name key, and some of them an id. */
function userOf(item: Item | null): User | null {
  return item !== null && 'nameKey' in item ? toUser(item) : null;
}

/** Whether the item is a run as stored at its end. */
function isFinishedRun(item: Item | null): item is Item {
  return item?.pk === RUN_PARTITION && item.stage === 'finished';
}
