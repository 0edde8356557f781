/**
 * The store of logins in DynamoDB: users and attempts. Decides nothing: the core decides what an attempt costs.
 *
 * UpdateItem makes an item where there is none. No condition here lets it, and an item without an `id`, which the role
 * of the auth function can't write, is nobody to every reader (user-item.ts).
 */
import { hash } from 'node:crypto';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DeleteCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import type { LoginStore, NameAttempts } from '../login/login-store.ts';
import { userNameKey } from '../user/user-name.ts';
import type { DirectoryLink, User } from '../user/user.ts';
import { nameKeyOf } from '../user/user.ts';
import { epochSeconds, readItems, wasWritten, writeItems } from './client.ts';
import type { Item } from './client.ts';
import { OPERATIONS_PREFIX } from './environment.ts';
import { isPossibleKey, toUser, toUserItem } from './user-item.ts';
import { toLinks } from './user-write.ts';

/** The tables that a login reads and writes. */
export interface LoginStoreOptions {
  readonly client: DynamoDBDocumentClient;
  readonly usersTable: string;
  readonly operationsTable: string;
  readonly clock: Clock;
}

/**
 * The login store on DynamoDB. A name that cannot be a key has no user and no attempts, and nothing is counted for it.
 * Errors: `storeUnavailable`.
 */
export function createLoginStore({ client, usersTable, operationsTable, clock }: LoginStoreOptions): LoginStore {
  return {
    // One request for both tables, so that a login waits for DynamoDB once. The read is consistent: it sees an attempt
    // that another instance has just claimed, and a user whom an administrator has just disabled.
    async find(userName, source) {
      const nameKey = userNameKey(userName);
      if (!isPossibleKey(nameKey)) return { user: null, attempts: { name: null, source: {} } };
      const found = await readItems(client, [
        { table: usersTable, key: { nameKey } },
        { table: operationsTable, key: nameAttemptsKey(nameKey) },
        ...(source === null ? [] : [{ table: operationsTable, key: sourceKey(source) }]),
      ]);
      const operations = found.get(operationsTable) ?? [];
      return {
        user: toUser(found.get(usersTable)?.[0]),
        attempts: {
          name: toNameAttempts(operations.find(({ sk }) => sk === NAME_SORT_KEY)),
          source: toRefusals(operations.find(({ sk }) => sk === SOURCE_SORT_KEY)),
        },
      };
    },
    async writeAttempts(userName, previous, next) {
      const nameKey = userNameKey(userName);
      if (!isPossibleKey(nameKey)) return true;
      const { revision, attempts, userId, known, expiresAt } = next;
      const isPrevious = previous === null ? 'attribute_not_exists(revision)' : 'revision = :previous';
      return await wasWritten(
        client.send(
          new PutCommand({
            TableName: operationsTable,
            Item: {
              ...nameAttemptsKey(nameKey),
              revision,
              attempts,
              userId,
              known,
              expiresAt: epochSeconds(new Date(expiresAt)),
            },
            // The SDK repeats a write whose answer was lost.
            ConditionExpression: `${isPrevious} OR revision = :next`,
            ExpressionAttributeValues: {
              ':next': revision,
              ...(previous !== null && { ':previous': previous.revision }),
            },
          }),
        ),
      );
    },
    // If a retry counts a refusal twice, that errs on the safe side.
    async countRefusal(source, slot, stale, forgetAt) {
      const names = [String(slot), ...stale].map((each, place) => [`#slot${place}`, SLOT_PREFIX + each] as const);
      const [counted, ...forgotten] = names.map(([alias]) => alias);
      await client.send(
        new UpdateCommand({
          TableName: operationsTable,
          Key: sourceKey(source),
          UpdateExpression:
            `ADD ${counted} :one SET expiresAt = :forgetAt` +
            (forgotten.length === 0 ? '' : ` REMOVE ${forgotten.join(', ')}`),
          ExpressionAttributeNames: Object.fromEntries(names),
          ExpressionAttributeValues: { ':one': 1, ':forgetAt': epochSeconds(forgetAt) },
        }),
      );
    },
    async forgetAttempts(user) {
      const nameKey = nameKeyOf(user);
      await client.send(new DeleteCommand({ TableName: operationsTable, Key: nameAttemptsKey(nameKey) }));
    },
    async rememberDn(user, dn) {
      if (user.directory === null) return;
      await wasWritten(client.send(new UpdateCommand(toUpdate(user, { ...user.directory, dn }))));
    },
    async linkUser(user, link) {
      if (user.directory !== null) return 'lostRace';
      const claims = toLinks(operationsTable, [{ kind: 'update', previous: user, user: { ...user, directory: link } }]);
      const Update = toUpdate(user, link);
      const refused = await writeItems(client, [{ Update }, ...claims!.map(({ item }) => item)]);
      return refused === null ? 'written' : 'lostRace';
    },
  };

  /**
   * Sets the link of a user who is still the one that was read. The condition does not name `id`, because the role of
   * the auth function may not name it, lest it write it. The version together with the time of the last write tells as
   * much: whoever has taken the name since was written later.
   */
  function toUpdate(user: User, link: DirectoryLink) {
    const { linkKey, dn, missingSince } = toUserItem({ ...user, directory: link });
    return {
      TableName: usersTable,
      Key: { nameKey: nameKeyOf(user) },
      UpdateExpression:
        'SET linkKey = :link, dn = :dn, missingSince = :missingSince, fingerprint = :none, updatedAt = :now, ' +
        '#version = :next',
      ConditionExpression: '#version = :version AND updatedAt = :read AND linkKey = :former',
      ExpressionAttributeNames: { '#version': 'version' },
      ExpressionAttributeValues: {
        ':link': linkKey,
        ':dn': dn,
        ':missingSince': missingSince,
        ':none': null,
        ':now': clock.now().toISOString(),
        ':next': user.version + 1,
        ':version': user.version,
        ':read': user.updatedAt,
        ':former': toUserItem(user).linkKey,
      },
    };
  }
}

const NAME_SORT_KEY = 'login';
const SOURCE_SORT_KEY = 'source';
/** Before the number of a slot, in the name of its attribute. */
const SLOT_PREFIX = 'slot';

function nameAttemptsKey(nameKey: string) {
  return { pk: `${OPERATIONS_PREFIX.attempts}${nameKey}`, sk: NAME_SORT_KEY };
}

/** A source may be an address, which is personal data: only its hash is stored. */
function sourceKey(source: string) {
  return { pk: `${OPERATIONS_PREFIX.attempts}${hash('sha256', source, 'base64url')}`, sk: SOURCE_SORT_KEY };
}

/** An item of an earlier version, which kept only a count of failures, has no revision and is no record. */
function toNameAttempts(item: Item | undefined): NameAttempts | null {
  if (item?.revision === undefined) return null;
  const { revision, attempts, userId, known, expiresAt } = item as unknown as NameAttempts;
  return { revision, attempts, userId, known, expiresAt: expiresAt * 1_000 };
}

function toRefusals(item: Item = {}): Record<string, number> {
  return Object.fromEntries(
    Object.entries(item)
      .filter(([name]) => name.startsWith(SLOT_PREFIX))
      .map(([name, count]) => [name.slice(SLOT_PREFIX.length), count as number]),
  );
}
