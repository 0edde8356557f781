/**
 * Finds users by e-mail address, without a look at their records. The first address of a user is in the user's own item; each
 * further one is a *hint*, an item of its own in the users table. Knows where a user may be, never whether: what it finds is
 * worth a look at the record, no more.
 *
 * Hints are written before the record that needs them and removed after the record that needs them no longer, each by itself.
 * So a user of one address costs nothing more, nobody pays for a transaction, and a crash in between leaves a hint that no
 * record needs, never a record that lacks one. With several writers:
 * - A removal may come late, when the account has got its address back. The hint is then of the version that brought it back,
 *   and a removal takes none that is newer than the record it was written for.
 * - Whoever is about to lose a race may be late with a hint of an older version. It takes the place of no newer one.
 * - Another account under the same name has hints of its own, because the id is part of their keys: versions compare only
 *   within one account.
 */
import { hash } from 'node:crypto';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { ServiceError } from '../errors.ts';
import type { UserWrite, WriteResult } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { userNameKey } from '../user/user-name.ts';
import { executeStatements, inFlight, wasWritten } from './client.ts';
import type { Item } from './client.ts';
import { USERS_TABLE } from './environment.ts';
import { BEYOND_NAMES, indexedAddress, userAfter, userBefore } from './user-item.ts';

export interface AddressIndex {
  /**
   * Name keys of those who may have the address, in order, behind `after`. Some may have had it once, and a name may come
   * twice; what was written a moment ago may be missing.
   *
   * @param together keys a request reads
   */
  find(address: string, after: string | null, together: number): AsyncGenerator<string>;
  /** To be called before the writes are tried. */
  prepare(writes: readonly UserWrite[]): Promise<void>;
  /** To be called when their results are known. Never fails them: what it can't remove does no harm. */
  settle(writes: readonly UserWrite[], results: readonly WriteResult[]): Promise<void>;
}

/** An item without `id`, which tells it from a user, and without `listShard`, which keeps it out of the list index. */
export interface Hint {
  /** The owner's name key first, so that the index has hints where their owners are. */
  readonly nameKey: string;
  readonly addressKey: string;
  /** Of the record that has the address. */
  readonly version: number;
}

export function createAddressIndex(client: DynamoDBDocumentClient, usersTable: string): AddressIndex {
  return {
    async *find(address, after, together) {
      let from: Item | undefined;
      do {
        const { Items, LastEvaluatedKey } = await client.send(
          new QueryCommand({
            TableName: usersTable,
            IndexName: USERS_TABLE.addressIndex,
            KeyConditionExpression: `addressKey = :address${after === null ? '' : ' AND nameKey > :after'}`,
            ExpressionAttributeValues: {
              ':address': indexedAddress(address),
              ...(after !== null && { ':after': after }),
            },
            ExclusiveStartKey: from,
            Limit: together,
          }),
        );
        for (const { nameKey } of Items ?? []) {
          const owner = ownerOf(nameKey as string);
          if (owner !== after) yield owner;
        }
        from = LastEvaluatedKey;
      } while (from !== undefined);
    },
    async prepare(writes) {
      const hints = writes.flatMap((write) => without(hintsOf(userAfter(write)), hintsOf(userBefore(write))));
      const results = await executeStatements(
        client,
        hints.map(({ nameKey, addressKey, version }) => ({
          Statement: `INSERT INTO "${usersTable}" VALUE {'nameKey': ?, 'addressKey': ?, 'version': ?}`,
          Parameters: [nameKey, addressKey, version],
        })),
      );
      // Left over, or another writer's. Rare, so one by one: a batch has no statement for "put unless newer".
      const present = hints.filter((_, place) => results[place]!.refused);
      await inFlight(present, async (hint) => {
        await wasWritten(
          client.send(
            new PutCommand({
              TableName: usersTable,
              Item: hint,
              ConditionExpression: 'attribute_not_exists(nameKey) OR #version < :version',
              ExpressionAttributeNames: { '#version': 'version' },
              ExpressionAttributeValues: { ':version': hint.version },
            }),
          ),
        );
      });
    },
    async settle(writes, results) {
      const needless = writes.flatMap((write, place) => {
        if (results[place] === 'written') return without(hintsOf(userBefore(write)), hintsOf(userAfter(write)));
        // Nobody else has the id of a user that was not created. Other hints may be the winner's, who needs them.
        return write.type === 'create' ? hintsOf(write.user) : [];
      });
      const removals = needless.map(({ nameKey, version }) => ({
        Statement: `DELETE FROM "${usersTable}" WHERE "nameKey" = ? AND "version" <= ?`,
        Parameters: [nameKey, version],
      }));
      try {
        await executeStatements(client, removals);
      } catch (error) {
        // The writes have been done or lost; a hint too many changes nothing about that.
        if (!(error instanceof ServiceError)) throw error;
      }
    },
  };
}

/** One for each address but the first. */
export function hintsOf(user: User | null): Hint[] {
  if (user === null || user.emailAddresses.length < 2) return [];
  const { id, version } = user;
  const owner = userNameKey(user.userName);
  const [first, ...further] = user.emailAddresses.map(indexedAddress);
  return [...new Set(further)]
    .filter((addressKey) => addressKey !== first)
    .map((addressKey) => {
      // Id and address as a hash, because a key has an end, and addresses may be long.
      const which = hash('sha256', `${id}\n${addressKey}`, 'base64url').slice(0, 16);
      return { nameKey: owner + BEYOND_NAMES + which, addressKey, version };
    });
}

function without(hints: readonly Hint[], others: readonly Hint[]): Hint[] {
  const kept = new Set(others.map(({ nameKey }) => nameKey));
  return hints.filter(({ nameKey }) => !kept.has(nameKey));
}

function ownerOf(nameKey: string): string {
  return nameKey.split(BEYOND_NAMES, 1)[0]!;
}
