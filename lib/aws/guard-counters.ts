/**
 * The counters of the guard, by hour and lane. They are raised in the transaction that writes what they count, so they
 * are exact after any crash, and there is nothing to reserve or to release. Decides nothing: the core does.
 */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import type { GuardCounter, GuardHour } from '../sync/run-journal.ts';
import { GUARD_COUNTERS } from '../sync/run-journal.ts';
import { epochSeconds, queryPages } from './client.ts';
import type { Item, TransactItem } from './client.ts';
import { GUARD_PARTITION } from './environment.ts';

/** The counters. The caller puts the operations into a transaction of that lane. */
export interface GuardCounters {
  /** Raises each counter by the number of times it is named. */
  count(counters: readonly GuardCounter[], lane: number): TransactItem[];
  /** Raises the number of known users of this hour to `known`. Call it inside the lane. */
  raiseKnown(known: number, lane: number): Promise<TransactItem[]>;
  /** The hours from that of `since` on, in order. */
  read(since: Date): Promise<readonly GuardHour[]>;
}

const HOUR_MS = 3_600_000;
/** The guard looks back at most 30 days. */
const KEPT_MS = 31 * 24 * HOUR_MS;

/** The guard's counters on DynamoDB. Errors: `storeUnavailable`. */
export function createGuardCounters(client: DynamoDBDocumentClient, TableName: string, clock: Clock): GuardCounters {
  const place = (lane: number) => {
    const hour = hourOf(clock.now());
    const expiresAt = epochSeconds(new Date(hour.getTime() + KEPT_MS));
    return { Key: { pk: GUARD_PARTITION, sk: `${hour.toISOString()}#${lane}` }, expiresAt };
  };
  return {
    count(counters, lane) {
      const counted = [...Map.groupBy(counters, (counter) => counter)];
      if (counted.length === 0) return [];
      const { Key, expiresAt } = place(lane);
      return [
        {
          Update: {
            TableName,
            Key,
            UpdateExpression: `SET expiresAt = :until ADD ${counted.map(([name]) => `#${name} :${name}`).join(', ')}`,
            ExpressionAttributeNames: Object.fromEntries(counted.map(([name]) => [`#${name}`, name])),
            ExpressionAttributeValues: {
              ':until': expiresAt,
              ...Object.fromEntries(counted.map(([name, all]) => [`:${name}`, all.length])),
            },
          },
        },
      ];
    },
    async raiseKnown(known, lane) {
      const { Key, expiresAt } = place(lane);
      // Only one transaction at a time writes in a lane, so what is read here stands until it does.
      const { Item } = await client.send(new GetCommand({ TableName, Key, ConsistentRead: true }));
      if (((Item?.known as number | undefined) ?? 0) >= known) return [];
      const UpdateExpression = 'SET expiresAt = :until, known = :known';
      return [
        {
          Update: {
            TableName,
            Key,
            UpdateExpression,
            ExpressionAttributeValues: { ':until': expiresAt, ':known': known },
          },
        },
      ];
    },
    async read(since) {
      const pages = queryPages(client, {
        TableName,
        KeyConditionExpression: 'pk = :pk AND sk >= :from',
        ExpressionAttributeValues: { ':pk': GUARD_PARTITION, ':from': hourOf(since).toISOString() },
      });
      const items: Item[] = [];
      for await (const page of pages) items.push(...page);
      return [...Map.groupBy(items, ({ sk }) => (sk as string).split('#', 1)[0]!)].map(([hour, lanes]) => ({
        hour,
        counts: Object.fromEntries(
          GUARD_COUNTERS.map((name) => [name, sum(lanes.map((lane) => lane[name]))]),
        ) as Record<GuardCounter, number>,
        known: Math.max(...lanes.map(({ known }) => (known as number | undefined) ?? 0)),
      }));
    },
  };
}

function hourOf(time: Date): Date {
  return new Date(Math.floor(time.getTime() / HOUR_MS) * HOUR_MS);
}

function sum(counts: readonly unknown[]): number {
  return counts.reduce((total: number, count) => total + ((count as number | undefined) ?? 0), 0);
}
