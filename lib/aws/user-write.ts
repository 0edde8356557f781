/**
 * Turns writes of users into the operations of transactions, and writes groups of them with the hints of their
 * addresses. Every write is conditional on the record that was read, and on the directory id being free or the user's
 * own. Knows no runs.
 */
import { hash } from 'node:crypto';
import { compareUsers } from '../event/event.ts';
import type { UserWrite, WriteResult } from '../user/user-store.ts';
import { linkKey, nameKeyOf } from '../user/user.ts';
import type { User } from '../user/user.ts';
import type { AddressIndex } from './address-index.ts';
import { inFlight } from './client.ts';
import type { TransactItem } from './client.ts';
import { OPERATIONS_PREFIX } from './environment.ts';
import { packGroups } from './group-write.ts';
import type { Group, GroupItem, Settle } from './group-write.ts';
import { toUserItem, unchanged, userAfter, userBefore } from './user-item.ts';
import { type Arrival, renameMarkKey, toRenameMark } from './user-trail.ts';

/** Names of the tables that a write of users touches. */
export interface UserTables {
  readonly usersTable: string;
  readonly operationsTable: string;
}

/** Longest link in a key; a longer one is hashed. DynamoDB's limit for a partition key is 2,048 bytes. */
const LONGEST_LINK_BYTES = 1_024;

/** Writes that are done together or not at all, and their operations; null if they contradict each other. */
export interface UserGroup {
  readonly writes: readonly UserWrite[];
  readonly items: readonly GroupItem[] | null;
}

/**
 * Writes groups of users, several transactions at a time unless they are `ordered`.
 *
 * @param send sends one transaction and settles each of its groups
 * @param onWritten called after each transaction with the places of its groups that were written
 * @returns the result of each group, in order
 */
export async function writeUsers(
  addresses: AddressIndex,
  groups: readonly UserGroup[],
  ordered: boolean,
  send: (pack: readonly Group[], settle: Settle) => Promise<void>,
  onWritten: (places: readonly number[]) => void = () => {},
): Promise<readonly WriteResult[]> {
  const results = groups.map(({ items }): WriteResult => (items?.length === 0 ? 'written' : 'lostRace'));
  const possible = groups.flatMap(({ items }, place): Group[] => (items?.length ? [{ place, items }] : []));
  for (const packs of packGroups(possible, ordered)) {
    await inFlight(packs, async (pack) => {
      const placed = pack.flatMap(({ place }) => groups[place]!.writes.map((write) => ({ place, write })));
      const writes = placed.map(({ write }) => write);
      await addresses.prepare(writes);
      await send(pack, ({ place }, result) => void (results[place] = result));
      await addresses.settle(
        writes,
        placed.map(({ place }) => results[place]!),
      );
      onWritten(pack.map(({ place }) => place).filter((place) => results[place] === 'written'));
    });
  }
  return results;
}

/**
 * All writes as operations of one transaction, with one operation per key, because a transaction may name an item only
 * once: where one user leaves a name and another takes it, the two become one put over the old record. A name that a
 * rename leaves free also gets a mark.
 *
 * @returns null if the writes contradict each other, for example when two users want one name
 */
export function toGroupItems(tables: UserTables, writes: readonly UserWrite[]): GroupItem[] | null {
  const records = toRecords(tables, writes);
  const links = records && toLinks(tables.operationsTable, writes);
  return records && links && [...records, ...links];
}

function toRecords({ usersTable, operationsTable }: UserTables, writes: readonly UserWrite[]): GroupItem[] | null {
  const leaving = new Map<string, User>();
  const taking = new Map<string, User>();
  const checked = new Map<string, User>();
  const renamed = new Map<string, UserWrite & { kind: 'rename' }>();
  for (const write of writes) {
    if (write.kind === 'rename') renamed.set(write.previous.id, write);
    if (write.kind === 'check') checked.set(nameKeyOf(write.previous), write.previous);
    const before = userBefore(write);
    if (before !== null) leaving.set(nameKeyOf(before), before);
    const user = userAfter(write);
    if (user === null) continue;
    const nameKey = nameKeyOf(user);
    if (taking.has(nameKey)) return null;
    taking.set(nameKey, user);
  }
  for (const [nameKey, user] of checked) {
    const gone = leaving.get(nameKey);
    if (gone ? gone.id !== user.id || gone.version !== user.version : taking.has(nameKey)) return null;
  }
  const keys = new Set([...leaving.keys(), ...taking.keys(), ...checked.keys()]);
  return [...keys].flatMap((nameKey): GroupItem[] => {
    const toItem = (item: TransactItem): GroupItem => ({ key: nameKey, item });
    const before = leaving.get(nameKey) ?? checked.get(nameKey);
    const after = taking.get(nameKey);
    const condition = before ? unchanged(before) : { ConditionExpression: 'attribute_not_exists(id)' };
    if (after) {
      const rename = renamed.get(after.id);
      const arrives = rename !== undefined || (before !== undefined && before.id !== after.id);
      const arrival: Arrival = {
        changes: rename ? compareUsers(rename.previous, rename.user) : null,
        replacesDeleted: before !== undefined && !renamed.has(before.id),
      };
      const Item = { ...toUserItem(after), ...(arrives && { arrival }) };
      return [toItem({ Put: { TableName: usersTable, Item, ...condition } })];
    }
    const operation = { TableName: usersTable, Key: { nameKey }, ...condition };
    if (!leaving.has(nameKey)) return [toItem({ ConditionCheck: operation })];
    const rename = renamed.get(before!.id);
    if (rename === undefined) return [toItem({ Delete: operation })];
    const { pk, sk } = renameMarkKey(rename.previous);
    const Item = toRenameMark(rename.previous, rename.user.updatedAt);
    return [toItem({ Delete: operation }), { key: `${pk}#${sk}`, item: { Put: { TableName: operationsTable, Item } } }];
  });
}

/**
 * The items that say who has a directory id, as far as the writes change that. A user that an earlier version stored
 * has none until its link changes.
 */
export function toLinks(TableName: string, writes: readonly UserWrite[]): GroupItem[] | null {
  const leaving = new Map<string, string>();
  const taking = new Map<string, string>();
  const staying = new Set<string>();
  for (const write of writes) {
    const [before, after] = [userBefore(write), userAfter(write)];
    const [left, taken] = [before, after].map((user) => (user?.directory ? linkKey(user.directory) : null));
    if (left != null && left === taken) staying.add(left);
    else {
      if (left != null) leaving.set(left, before!.id);
      if (taken == null) continue;
      if (taking.has(taken)) return null;
      taking.set(taken, after!.id);
    }
  }
  if ([...staying].some((link) => taking.has(link))) return null;
  const claims = [...taking].map(([link, userId]): GroupItem => {
    const key = ownerKey(link);
    return {
      key: key.pk,
      item: {
        Put: {
          TableName,
          Item: { ...key, userId },
          ConditionExpression: 'attribute_not_exists(pk) OR userId IN (:new, :former)',
          ExpressionAttributeValues: { ':new': userId, ':former': leaving.get(link) ?? userId },
        },
      },
    };
  });
  const releases = [...leaving]
    .filter(([link]) => !taking.has(link))
    .map(([link, userId]): GroupItem => {
      const key = ownerKey(link);
      const ours = {
        ConditionExpression: 'attribute_not_exists(pk) OR userId = :user',
        ExpressionAttributeValues: { ':user': userId },
      };
      // Optional, because an earlier version let two users have one id, and one of them must be able to go.
      return { key: key.pk, item: { Delete: { TableName, Key: key, ...ours } }, isOptional: true };
    });
  return [...claims, ...releases];
}

function ownerKey(link: string) {
  const name = Buffer.byteLength(link) > LONGEST_LINK_BYTES ? hash('sha256', link) : link;
  return { pk: `${OPERATIONS_PREFIX.link}${name}`, sk: 'user' };
}
