/**
 * The store of logins in DynamoDB: users and failed attempts. Decides nothing: the core decides what a failed attempt
 * costs.
 */
import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DeleteCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import type { Attempts, LoginStore } from '../login/login-store.ts';
import { userNameKey } from '../user/user-name.ts';
import { nameKeyOf } from '../user/user.ts';
import { epochSeconds, readItems, wasWritten } from './client.ts';
import { OPERATIONS_PREFIX } from './environment.ts';
import { fromUserItem, isPossibleKey, unchanged } from './user-item.ts';

/** The tables that a login reads and writes. */
export interface LoginStoreOptions {
  readonly client: DynamoDBDocumentClient;
  readonly usersTable: string;
  readonly operationsTable: string;
  readonly clock: Clock;
}

/** `blockedUntil` of attempts that have never been blocked. */
const NEVER_BLOCKED = new Date(0).toISOString();

/**
 * The login store on DynamoDB. A name that cannot be a key has no user and no attempts, and its failures are not
 * counted. Errors: `storeUnavailable`.
 */
export function createLoginStore({ client, usersTable, operationsTable, clock }: LoginStoreOptions): LoginStore {
  const now = (): number => epochSeconds(clock.now());

  return {
    // One request for both tables, so that a login waits for DynamoDB once. The read is consistent: it sees a failure
    // that another instance has just counted, and a user whom an administrator has just disabled.
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
    // If a retry sends it twice, the second one fails its condition; the caller then waits a moment, which does no
    // harm.
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
    // If a retry counts a failure twice, that errs on the safe side.
    async countFailure(userName, forgetAt) {
      const nameKey = userNameKey(userName);
      if (!isPossibleKey(nameKey)) return 1;
      const count = (): Promise<number> =>
        client
          .send(
            new UpdateCommand({
              TableName: operationsTable,
              Key: attemptsKey(nameKey),
              // The first failure decides how long the attempts are remembered.
              UpdateExpression:
                'SET blockedUntil = if_not_exists(blockedUntil, :never), ' +
                'expiresAt = if_not_exists(expiresAt, :forgetAt) ADD failures :one',
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
      // The stored attempts have expired and only wait for DynamoDB to delete them.
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
            Key: { nameKey: nameKeyOf(user) },
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
  return { pk: `${OPERATIONS_PREFIX.attempts}${nameKey}`, sk: 'login' };
}
