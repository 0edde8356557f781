/**
 * Users in DynamoDB: one item per user under its name key, and indexes that list users in name order, find them by
 * address and find administrators. Decides nothing about users; ensures that every write happens once, and only to the
 * record that was read.
 */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { GetCommand, QueryCommand, ScanCommand } from '@aws-sdk/lib-dynamodb';
import type { ScanCommandInput } from '@aws-sdk/lib-dynamodb';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { addressKey } from '../user/email-address.ts';
import { compareNameKeys, userNameKey } from '../user/user-name.ts';
import type { UserLink, UserQuery, UserStore, UserWrite, WriteResult } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { isFoundBy, userStatus } from '../user/user.ts';
import { createAddressIndex } from './address-index.ts';
import { createAdministratorIndex } from './administrator-index.ts';
import { inFlight, readItems } from './client.ts';
import type { Item } from './client.ts';
import { LIST_SHARDS, USERS_TABLE } from './environment.ts';
import { writeGroups } from './group-write.ts';
import type { Company } from './group-write.ts';
import { isPossibleKey, toUser } from './user-item.ts';
import { toGroupItems, writeUsers } from './user-write.ts';
import type { UserTables } from './user-write.ts';

/** The tables that the store reads and writes. */
export interface UserStoreOptions extends UserTables {
  readonly client: DynamoDBDocumentClient;
}

const LIST = 'users';
const SCAN_SEGMENTS = 8;
/** Links per request. With a request in flight for every shard, a few megabytes wait in memory. */
const LINKS_TOGETHER = 2_000;
/** Keys per request of a list. DynamoDB ends a page at a megabyte anyway, and refuses a limit above 2^31 - 1. */
const MOST_KEYS = 10_000;
const SHARDS = Array.from({ length: LIST_SHARDS }, (_, shard) => String(shard));
const FIRST_KEY = '\u0001';
const LAST_OF_PREFIX = '\u{10FFFF}';

/** The user store on DynamoDB. Errors: those of the port, and `storeUnavailable`. */
export function createUserStore({ client, usersTable, operationsTable }: UserStoreOptions): UserStore {
  const addresses = createAddressIndex(client, usersTable);
  const administrators = createAdministratorIndex(client, usersTable);

  async function getMany(nameKeys: readonly string[]): Promise<ReadonlyMap<string, User>> {
    const keys = [...new Set(nameKeys)].filter(isPossibleKey);
    const found = await readItems(
      client,
      keys.map((nameKey) => ({ table: usersTable, key: { nameKey } })),
    );
    return new Map(
      (found.get(usersTable) ?? []).flatMap((item): [string, User][] => {
        const user = toUser(item);
        return user === null ? [] : [[item.nameKey as string, user]];
      }),
    );
  }

  // ------------------------------------------------------------------------------------------------------- reading

  async function queryLinks(shard: string, from: Item | undefined): Promise<LinkPage> {
    const page = await client.send(
      new QueryCommand({
        TableName: usersTable,
        IndexName: USERS_TABLE.listIndex,
        KeyConditionExpression: 'listShard = :shard',
        ExpressionAttributeValues: { ':shard': shard },
        ProjectionExpression: 'nameKey, linkKey, fingerprint, disabledBy',
        ExclusiveStartKey: from,
        Limit: LINKS_TOGETHER,
      }),
    );
    const links = (page.Items ?? []).map(({ nameKey, linkKey, fingerprint, disabledBy }): UserLink => {
      const link = { nameKey, linkKey, fingerprint };
      return disabledBy === 'sync' ? { ...link, disabledBySync: true } : link;
    });
    return { shard, links, from: page.LastEvaluatedKey };
  }

  async function* readLinks(): AsyncGenerator<readonly UserLink[]> {
    // One page of every shard is in flight while the caller works: that bounds what waits in memory.
    const coming = new Map<string, Promise<LinkPage>>();
    const ask = (shard: string, from?: Item): void => {
      const page = queryLinks(shard, from);
      // A failure is thrown when the turn of its page comes. A caller that has stopped by then does not need it.
      page.catch(() => {});
      coming.set(shard, page);
    };
    for (const shard of SHARDS) ask(shard);
    while (coming.size > 0) {
      const { shard, links, from } = await Promise.race(coming.values());
      coming.delete(shard);
      if (from !== undefined) ask(shard, from);
      if (links.length > 0) yield links;
    }
  }

  /** The name keys after `after` in one shard, in order, as far as the index can tell that they match the query. */
  async function* listShard(shard: string, after: string | null, query: UserQuery): AsyncGenerator<string> {
    const prefix = userNameKey(query.search ?? '');
    const last = prefix + LAST_OF_PREFIX;
    if (prefix !== '' && !isPossibleKey(last)) return;
    const start = prefix || FIRST_KEY;
    // The previous page may have ended anywhere: with a user found by an address, or in another search.
    const first = after !== null && compareNameKeys(after, start) > 0 ? after : start;
    if (compareNameKeys(first, last) > 0) return;
    let from: Item | undefined;
    // Names spread evenly, so twice the even share is rarely too little. A filter that few users pass needs larger
    // pages.
    let Limit = 2 * Math.ceil((query.limit + 1) / LIST_SHARDS);
    do {
      const { Items, LastEvaluatedKey } = await client.send(
        new QueryCommand({
          TableName: usersTable,
          IndexName: USERS_TABLE.listIndex,
          // Not begins_with, because such a condition could not also begin at the cursor.
          KeyConditionExpression: 'listShard = :shard AND nameKey BETWEEN :first AND :last',
          ...narrow(query, {
            ':shard': shard,
            ':first': first,
            ':last': last,
          }),
          ProjectionExpression: 'nameKey',
          ExclusiveStartKey: from,
          Limit,
        }),
      );
      for (const { nameKey } of Items ?? []) if (nameKey !== after) yield nameKey as string;
      from = LastEvaluatedKey;
      Limit = Math.min(4 * Limit, MOST_KEYS);
    } while (from !== undefined);
  }

  async function scan(input: Omit<ScanCommandInput, 'TableName'>): Promise<Item[]> {
    const found: Item[] = [];
    await inFlight(
      Array.from({ length: SCAN_SEGMENTS }, (_, segment) => segment),
      async (Segment) => {
        let from: Item | undefined;
        do {
          const page = await client.send(
            new ScanCommand({
              ...input,
              TableName: usersTable,
              Segment,
              TotalSegments: SCAN_SEGMENTS,
              ConsistentRead: true,
              ExclusiveStartKey: from,
            }),
          );
          found.push(...(page.Items ?? []));
          from = page.LastEvaluatedKey;
        } while (from !== undefined);
      },
    );
    return found;
  }

  // ------------------------------------------------------------------------------------------------------- writing

  function writeGroupsOf(groups: readonly (readonly UserWrite[])[]): Promise<readonly WriteResult[]> {
    return writeUsers(
      addresses,
      groups.map((writes) => ({ writes, items: toGroupItems({ usersTable, operationsTable }, writes) })),
      false,
      (pack, settle) => writeGroups(client, pack, async () => ALONE, settle),
    );
  }

  return {
    readLinks,
    getMany,
    async get(userName) {
      const nameKey = userNameKey(userName);
      if (!isPossibleKey(nameKey)) return null;
      const { Item } = await client.send(
        new GetCommand({ TableName: usersTable, Key: { nameKey }, ConsistentRead: true }),
      );
      await administrators.complete(Item);
      return toUser(Item);
    },
    async list(query) {
      const after = query.next === undefined ? null : decodeCursor(LIST, query.next);
      const streams = SHARDS.map((shard) => listShard(shard, after, query));
      const keys: string[] = [];
      const address = addressKey(query.search ?? '');
      if (address.includes('@')) streams.push(addresses.find(address, after, query.limit + 1));
      for await (const key of mergeKeys(streams)) {
        keys.push(key);
        if (keys.length > query.limit) break;
      }
      const page = keys.slice(0, query.limit);
      const users = await getMany(page);
      return {
        // The indexes may lag behind the records, and the address index may hold former addresses.
        items: page.flatMap((key) => users.get(key) ?? []).filter((user) => isAskedFor(user, query)),
        next: keys.length > query.limit ? encodeCursor(LIST, page.at(-1)!) : null,
      };
    },
    // The scan is for the answer that there is none, which decides that the last administrator has to stay or that the
    // first one is created. Both are rare.
    async findAdministrator(suits) {
      const known = await administrators.find(suits);
      if (known !== null) return known;
      const items = await scan({
        FilterExpression: 'contains(#privileges, :admin) AND attribute_type(disabledBy, :none)',
        ExpressionAttributeNames: { '#privileges': 'privileges' },
        ExpressionAttributeValues: { ':admin': 'admin', ':none': 'NULL' },
      });
      await inFlight(items, (item) => administrators.complete(item));
      return items.map(toUser).find((user) => user !== null && suits(user)) ?? null;
    },
    findKnownAdministrator: (suits) => administrators.find(suits),
    writeEach(writes) {
      return writeGroupsOf(writes.map((write) => [write]));
    },
    async writeTogether(writes) {
      const [result] = await writeGroupsOf([writes]);
      return result!;
    },
  };
}

const ALONE: Company = { items: [], isDone: () => false };

/** One page of a shard of the list index. The last page has no `from`. */
interface LinkPage {
  readonly shard: string;
  readonly links: UserLink[];
  readonly from: Item | undefined;
}

/** The filter of a list, as far as the index has the attributes for it. */
function narrow({ authentication, status }: UserQuery, values: Item) {
  const filters: string[] = [];
  const all = { ...values };
  if (authentication !== undefined) {
    filters.push('authentication = :authentication');
    all[':authentication'] = authentication;
  }
  if (status !== undefined) {
    filters.push(`${status === 'active' ? '' : 'NOT '}attribute_type(disabledBy, :none)`);
    all[':none'] = 'NULL';
  }
  return {
    ExpressionAttributeValues: all,
    ...(filters.length > 0 && { FilterExpression: filters.join(' AND ') }),
  };
}

function isAskedFor(user: User, { search = '', authentication, status }: UserQuery): boolean {
  return (
    isFoundBy(search, user) &&
    (authentication === undefined || user.authentication === authentication) &&
    (status === undefined || userStatus(user) === status)
  );
}

/** Merges ordered streams into one ordered stream, in which each key comes once. */
async function* mergeKeys(streams: readonly AsyncGenerator<string>[]): AsyncGenerator<string> {
  const heads = await Promise.all(streams.map(async (stream) => ({ stream, next: await stream.next() })));
  let last: string | null = null;
  for (;;) {
    let first: (typeof heads)[number] | null = null;
    for (const head of heads) {
      if (head.next.done === true) continue;
      if (first === null || compareNameKeys(head.next.value, first.next.value as string) < 0) first = head;
    }
    if (first === null) return;
    const key = first.next.value as string;
    if (key !== last) yield key;
    last = key;
    first.next = await first.stream.next();
  }
}
