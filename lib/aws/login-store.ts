/**
 * What a login reads and remembers, in DynamoDB: users and failed attempts. Decides nothing: what a failure costs is the
 * core's business.
 */
import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DeleteCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { Attempts, LoginStore } from '../login/login-store.ts';
import type { Clock } from '../clock.ts';
import { userNameKey } from '../user/user-name.ts';
import { epochSeconds, readItems, wasWritten } from './client.ts';
import { fromUserItem, isPossibleKey, unchanged } from './user-item.ts';

export interface LoginStoreOptions {
  readonly client: DynamoDBDocumentClient;
  readonly usersTable: string;
  readonly operationsTable: string;
  readonly clock: Clock;
}

/** The `blockedUntil` of failures that nobody has given one yet. */
const NEVER_BLOCKED = new Date(0).toISOString();
/** Names that can't be stored have no user and no attempts; nothing is counted for them. */
export function createLoginStore({ client, usersTable, operationsTable, clock }: LoginStoreOptions): LoginStore {
  const now = (): number => epochSeconds(clock.now());

  return {
    // One request over both tables: a login waits for DynamoDB once. Consistent, so that a failure that another instance
    // has just counted is seen, and a user whom an administrator has just disabled stays out.
    async find(userName) {
      const nameKey = userNameKey(userName);
      if (!isPossibleKey(nameKey)) return { user: null, attempts: null };
      const found = await readItems(client, [
        { table: usersTable, key: { nameKey } },
        { table: operationsTable, key: attemptsKey(nameKey) },
      ]);
      const user = found.get(usersTable)?.[0];
      const attempts = found.get(operationsTable)?.[0] as (Attempts & { expiresAt: number }) | undefined;
      return {
        user: user === undefined ? null : fromUserItem(user),
        attempts:
          attempts !== undefined && attempts.expiresAt > now()
            ? { failures: attempts.failures, blockedUntil: attempts.blockedUntil }
            : null,
      };
    },
    // Sent twice by a retry, the second one fails: the caller then waits a moment, which costs nobody anything.
    async setAttempts(userName, previous, next) {
      const nameKey = userNameKey(userName);
      if (!isPossibleKey(nameKey)) return true;
      const { failures, blockedUntil } = next;
      return await wasWritten(
        client.send(
          new UpdateCommand({
            TableName: operationsTable,
            Key: attemptsKey(nameKey),
            UpdateExpression: 'SET failures = :failures, blockedUntil = :blockedUntil',
            ConditionExpression: 'failures = :failuresBefore AND blockedUntil = :blockedBefore AND expiresAt > :now',
            ExpressionAttributeValues: {
              ':failures': failures,
              ':blockedUntil': blockedUntil,
              ':failuresBefore': previous.failures,
              ':blockedBefore': previous.blockedUntil,
              ':now': now(),
            },
          }),
        ),
      );
    },
    // Counted twice by a retry, it errs on the safe side.
    async countFailure(userName, forgetAt) {
      const nameKey = userNameKey(userName);
      if (!isPossibleKey(nameKey)) return 1;
      const count = (): Promise<number> =>
        client
          .send(
            new UpdateCommand({
              TableName: operationsTable,
              Key: attemptsKey(nameKey),
              // What was counted first says how long it is remembered.
              UpdateExpression:
                'SET blockedUntil = if_not_exists(blockedUntil, :never), expiresAt = if_not_exists(expiresAt, :forgetAt) ' +
                'ADD failures :one',
              ConditionExpression: 'attribute_not_exists(pk) OR expiresAt > :now',
              ExpressionAttributeValues: {
                ':never': NEVER_BLOCKED,
                ':forgetAt': epochSeconds(forgetAt),
                ':one': 1,
                ':now': now(),
              },
              ReturnValues: 'UPDATED_NEW',
            }),
          )
          .then(({ Attributes }) => Attributes!.failures as number);
      try {
        return await count();
      } catch (error) {
        if (!(error instanceof ConditionalCheckFailedException)) throw error;
      }
      // What is there has expired and only waits to be removed.
      await wasWritten(
        client.send(
          new DeleteCommand({
            TableName: operationsTable,
            Key: attemptsKey(nameKey),
            ConditionExpression: 'expiresAt <= :now',
            ExpressionAttributeValues: { ':now': now() },
          }),
        ),
      );
      return await count();
    },
    async clearAttempts(userName) {
      const nameKey = userNameKey(userName);
      if (!isPossibleKey(nameKey)) return;
      await client.send(new DeleteCommand({ TableName: operationsTable, Key: attemptsKey(nameKey) }));
    },
    async rememberDn(user, dn) {
      const { ExpressionAttributeNames, ExpressionAttributeValues, ConditionExpression } = unchanged(user);
      await wasWritten(
        client.send(
          new UpdateCommand({
            TableName: usersTable,
            Key: { nameKey: userNameKey(user.userName) },
            UpdateExpression: 'SET dn = :dn, fingerprint = :none, updatedAt = :now, #version = :next',
            ConditionExpression: `${ConditionExpression} AND attribute_type(linkKey, :text)`,
            ExpressionAttributeNames,
            ExpressionAttributeValues: {
              ...ExpressionAttributeValues,
              ':dn': dn,
              ':none': null,
              ':now': clock.now().toISOString(),
              ':next': user.version + 1,
              ':text': 'S',
            },
          }),
        ),
      );
    },
  };
}

function attemptsKey(nameKey: string) {
  return { pk: `attempts#${nameKey}`, sk: 'login' };
}
