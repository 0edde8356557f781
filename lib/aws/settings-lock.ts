/**
 * The lock of the settings: one item that a writer holds while it makes a version of the secret. It saves versions, of
 * which Secrets Manager takes about 100 a day; that no writer overwrites another is up to the secret's own labels. So a
 * lock that was lost or taken over too early does no harm. Knows no settings.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DeleteCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import { epochSeconds, wasWritten } from './client.ts';
import { SETTINGS_LOCK_KEY } from './environment.ts';

/** The table of the lock, and the clock by which it expires. */
export interface SettingsLockOptions {
  readonly client: DynamoDBDocumentClient;
  readonly operationsTable: string;
  readonly clock: Clock;
}

/**
 * Does `work` while no other writer does; null, without doing it, if another one has held the lock for a second.
 * @throws ServiceError `storeUnavailable` before the work; the faults of the work
 */
export type WithSettingsLock = <T>(work: () => Promise<T>) => Promise<T | null>;

/** How long a lock holds. No request lasts longer, so only a writer that has died loses it. */
const HELD_MS = 30_000;
const PATIENCE_MS = 1_000;
const TRIES_EVERY_MS = 100;

/** The lock in DynamoDB. */
export function createSettingsLock({ client, operationsTable, clock }: SettingsLockOptions): WithSettingsLock {
  async function take(owner: string): Promise<boolean> {
    const now = clock.now().getTime();
    const until = now + HELD_MS;
    const put = new PutCommand({
      TableName: operationsTable,
      Item: { ...SETTINGS_LOCK_KEY, owner, until, expiresAt: epochSeconds(new Date(until)) },
      // The last part: an earlier try was written, but its answer was lost.
      ConditionExpression: 'attribute_not_exists(pk) OR #until <= :now OR #owner = :owner',
      ExpressionAttributeNames: { '#until': 'until', '#owner': 'owner' },
      ExpressionAttributeValues: { ':now': now, ':owner': owner },
    });
    return await wasWritten(client.send(put));
  }

  async function release(owner: string): Promise<void> {
    try {
      await client.send(
        new DeleteCommand({
          TableName: operationsTable,
          Key: SETTINGS_LOCK_KEY,
          ConditionExpression: '#owner = :owner',
          ExpressionAttributeNames: { '#owner': 'owner' },
          ExpressionAttributeValues: { ':owner': owner },
        }),
      );
    } catch (error) {
      // The work is done. A lock that can't be released expires; one that has expired may be another writer's.
      if (!(error instanceof ServiceError) && !(error instanceof ConditionalCheckFailedException)) throw error;
    }
  }

  return async (work) => {
    const owner = randomUUID();
    for (let waitedMs = 0; !(await take(owner)); waitedMs += TRIES_EVERY_MS) {
      if (waitedMs >= PATIENCE_MS) return null;
      await sleep(TRIES_EVERY_MS);
    }
    try {
      return await work();
    } finally {
      await release(owner);
    }
  };
}
