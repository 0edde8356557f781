/**
 * Finds active administrators without reading every user. The item of each has a *mark*, and the index has only marked
 * items. Proves that an administrator is there, never that none is: the index is a moment behind its table, and an
 * earlier release wrote no marks. Knows nothing of what hangs on the answer.
 */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { QueryCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { ServiceError } from '../errors.ts';
import type { User } from '../user/user.ts';
import { isActiveAdministrator } from '../user/user.ts';
import { readItems, wasWritten } from './client.ts';
import type { Item } from './client.ts';
import { USERS_TABLE } from './environment.ts';
import { ADMINISTRATOR_MARK, toUser, unchanged } from './user-item.ts';

/** Names per request of the index, as many as one BatchGetItem reads again. */
const NAMES_TOGETHER = 100;

/** The index of active administrators. */
export interface AdministratorIndex {
  /**
   * An active administrator whom `suits` accepts, as the table has the record now; null if the index knows of none.
   * @throws ServiceError `storeUnavailable`
   */
  find(suits: (user: User) => boolean): Promise<User | null>;
  /**
   * Adds the mark to the item that was read, if it is one of an active administrator and lacks it, unless it has
   * changed since. The user stays as it is, version included. Ignores a store that is unavailable, because the next
   * reader tries again.
   */
  complete(item: Item | undefined): Promise<void>;
}

/** The index of administrators on DynamoDB, in the users table. */
export function createAdministratorIndex(client: DynamoDBDocumentClient, usersTable: string): AdministratorIndex {
  return {
    async find(suits) {
      let from: Item | undefined;
      do {
        const { Items = [], LastEvaluatedKey } = await client.send(
          new QueryCommand({
            TableName: usersTable,
            IndexName: USERS_TABLE.administratorIndex,
            KeyConditionExpression: 'administrator = :mark',
            ExpressionAttributeValues: { ':mark': ADMINISTRATOR_MARK },
            ExclusiveStartKey: from,
            Limit: NAMES_TOGETHER,
          }),
        );
        const current = await readItems(
          client,
          Items.map(({ nameKey }) => ({ table: usersTable, key: { nameKey } })),
        );
        for (const item of current.get(usersTable) ?? []) {
          const user = toUser(item);
          if (user !== null && isActiveAdministrator(user) && suits(user)) return user;
        }
        from = LastEvaluatedKey;
      } while (from !== undefined);
      return null;
    },
    async complete(item) {
      const user = toUser(item);
      if (user === null || !isActiveAdministrator(user) || item!['administrator'] !== undefined) return;
      const { ExpressionAttributeValues, ...condition } = unchanged(user);
      try {
        await wasWritten(
          client.send(
            new UpdateCommand({
              TableName: usersTable,
              Key: { nameKey: item!['nameKey'] },
              UpdateExpression: 'SET administrator = :mark',
              ...condition,
              ExpressionAttributeValues: { ...ExpressionAttributeValues, ':mark': ADMINISTRATOR_MARK },
            }),
          ),
        );
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
      }
    },
  };
}
