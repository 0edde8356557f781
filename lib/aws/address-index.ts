/**
 * Finds users by e-mail address without reading their records. A user's first address is in the user's own item; each
 * further address is a *hint*, an item of its own in the users table. Knows where a user may be, not whether: callers
 * check what it finds against the records.
 *
 * Hints are written before the record that needs them and removed after the record that no longer needs them, each by
 * itself. So users with one address cost nothing extra, no transaction grows with the addresses, and a crash in between
 * can leave a hint without a record, but never a record without its hints. With several writers:
 * - A removal may come late, when the user has got the address back. The hint then has the version that brought it
 *   back, and a removal never deletes a hint that is newer than the record it was written for.
 * - A writer that is about to lose a race may bring an older version of a hint. It never replaces a newer one.
 * - Another user who takes the same name later has separate hints, because the user's id is part of a hint's key.
 *   Versions are compared only within one user.
 */
import { hash } from 'node:crypto';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { ServiceError } from '../errors.ts';
import type { UserWrite, WriteResult } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { nameKeyOf } from '../user/user.ts';
import { executeStatements, inFlight, wasWritten } from './client.ts';
import type { Item } from './client.ts';
import { USERS_TABLE } from './environment.ts';
import { BEYOND_NAMES, indexedAddress, userAfter, userBefore } from './user-item.ts';

/** The index of all e-mail addresses. Its methods throw ServiceError `storeUnavailable`. */
export interface AddressIndex {
  /**
   * The name keys, in order and after `after`, of users who may have the address. Former owners of the address may be
   * among them, a name may come twice, and a write of the last moments may be missing.
   *
   * @param together keys to read per request
   */
  find(address: string, after: string | null, together: number): AsyncGenerator<string>;
  /** Writes the hints that the writes need. Call it before the writes. */
  prepare(writes: readonly UserWrite[]): Promise<void>;
  /**
   * Removes the hints that are no longer needed. Call it with the results of the writes. Ignores a store that is
   * unavailable, because a hint that stays does no harm.
   */
  settle(writes: readonly UserWrite[], results: readonly WriteResult[]): Promise<void>;
}

/**
 * A further address as an item. It has no `id`, which tells it from a user, and no `listShard`, which keeps it out of
 * the list index.
 */
export interface Hint {
  /** Begins with the owner's name key, so that the address index sorts hints by their owners. */
  readonly nameKey: string;
  readonly addressKey: string;
  /** Version of the record that has the address. */
  readonly version: number;
}

/** The address index on DynamoDB, in the users table. */
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
      const refused = await executeStatements(
        client,
        hints.map(({ nameKey, addressKey, version }) => ({
          Statement: `INSERT INTO "${usersTable}" VALUE {'nameKey': ?, 'addressKey': ?, 'version': ?}`,
          Parameters: [nameKey, addressKey, version],
        })),
      );
      // These hints exist already: left over, or from another writer. Rare, so one by one: a batch has no statement for
      // "put unless newer".
      const present = hints.filter((_, place) => refused[place]);
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
        // A user that was not created has an id of its own, so nobody needs its hints. Other hints may belong to the
        // winner.
        return write.kind === 'create' ? hintsOf(write.user) : [];
      });
      const removals = needless.map(({ nameKey, version }) => ({
        Statement: `DELETE FROM "${usersTable}" WHERE "nameKey" = ? AND "version" <= ?`,
        Parameters: [nameKey, version],
      }));
      try {
        await executeStatements(client, removals);
      } catch (error) {
        // The writes are done or lost already; a leftover hint changes neither.
        if (!(error instanceof ServiceError)) throw error;
      }
    },
  };
}

/** A user's hints: one for each address after the first. */
export function hintsOf(user: User | null): Hint[] {
  if (user === null || user.emailAddresses.length < 2) return [];
  const { id, version } = user;
  const owner = nameKeyOf(user);
  const [first, ...further] = user.emailAddresses.map(indexedAddress);
  return [...new Set(further)]
    .filter((addressKey) => addressKey !== first)
    .map((addressKey) => {
      // Id and address as a hash, because addresses may be long and the length of a key is limited.
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
