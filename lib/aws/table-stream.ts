/**
 * Reads records of the tables' streams, as Lambda hands them over, into events. Knows what of the tables is worth one: users
 * and runs that are over; nothing else that is kept there. Of a user's record it passes on the public part alone.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
 */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import type { ReadEvents } from '../event/event-bus.ts';
import { compareUsers, toRunEvent, toUserEvents, type UserStep } from '../event/event.ts';
import type { Run } from '../sync/run.ts';
import type { User } from '../user/user.ts';
import { type Item, readItems } from './client.ts';
import { fromRunItem } from './run-store.ts';
import { fromUserItem } from './user-item.ts';
import { type Arrival, readArrival, renameMarkKey } from './user-trail.ts';

/** What is read of a record; Lambda's own has more. */
export interface StreamRecord {
  readonly dynamodb?: {
    /** Epoch seconds. */
    readonly ApproximateCreationDateTime?: number;
    readonly SequenceNumber?: string;
    readonly NewImage?: object;
    readonly OldImage?: object;
  };
}

export interface StreamReaderOptions {
  readonly client: DynamoDBDocumentClient;
  /** Holds the marks of renames. */
  readonly operationsTable: string;
}

/** The records' events, in their order. Reads the operations table only where a user's record has gone without a successor. */
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

  /** The marks that are there. The transaction that took the record away has written its mark, so it is seen here. */
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

/** What has become of one key, as far as it is a user's or of a run that is over. */
interface KeyChange {
  readonly sequenceNumber: string;
  /** RFC 3339 UTC. */
  readonly at: string;
  readonly before: User | null;
  readonly after: User | null;
  /** Of `after`. */
  readonly arrival: Arrival | null;
  readonly finished: Run | null;
}

function readChange({ dynamodb = {} }: StreamRecord): KeyChange {
  const now = toItem(dynamodb.NewImage);
  return {
    sequenceNumber: dynamodb.SequenceNumber ?? '',
    at: new Date((dynamodb.ApproximateCreationDateTime ?? 0) * 1_000).toISOString(),
    before: toUser(toItem(dynamodb.OldImage)),
    after: toUser(now),
    arrival: now && readArrival(now),
    finished: isFinishedRun(now) ? fromRunItem(now) : null,
  };
}

/** Whose a key was and whose it is are two questions: names are swapped and passed on. */
function toSteps({ before, after, arrival, at }: KeyChange, renamed: ReadonlySet<string>): UserStep[] {
  if (before !== null && after?.id === before.id) {
    return [{ type: 'changed', user: after, changes: compareUsers(before, after) }];
  }
  const steps: UserStep[] = [];
  if (before !== null && (arrival ? arrival.replacesDeleted : !renamed.has(markOf(before)))) {
    steps.push({ type: 'deleted', user: before, at });
  }
  if (after !== null) {
    const changes = arrival?.changes ?? null;
    steps.push(changes === null ? { type: 'created', user: after } : { type: 'changed', user: after, changes });
  }
  return steps;
}

function toItem(image: object | undefined): Item | null {
  return image === undefined ? null : unmarshall(image as Parameters<typeof unmarshall>[0]);
}

/** Hints of further addresses lie in the users table, too, and have no id. */
function toUser(item: Item | null): User | null {
  return item !== null && 'nameKey' in item && 'id' in item ? fromUserItem(item) : null;
}

/** As it was stored when it ended; what is added to it afterwards is no end. */
function isFinishedRun(item: Item | null): item is Item {
  return item?.pk === 'run' && item.stage === 'finished' && !('claimedBy' in item);
}
