/**
 * Turns writes of users into requests to DynamoDB: one PartiQL statement per write, or one transaction for all. Every
 * write is conditional on the record that was read. Sends nothing itself.
 */
import { isDeepStrictEqual } from 'node:util';
import type { TransactWriteCommandInput } from '@aws-sdk/lib-dynamodb';
import { compareUsers } from '../event/event.ts';
import { userNameKey } from '../user/user-name.ts';
import type { UserWrite } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { USERS_TABLE } from './environment.ts';
import { toUserItem, unchanged, userAfter, userBefore } from './user-item.ts';
import { type Arrival, toRenameMark } from './user-trail.ts';

// Updates never touch the keys and the values given at creation.
const FIXED: ReadonlySet<string> = new Set([USERS_TABLE.partitionKey, USERS_TABLE.listPartitionKey, 'id', 'createdAt']);

/** The name key that a write targets: of the previous record or, for a create, of the new one. */
export function keyOf(write: UserWrite): string {
  return userNameKey(write.kind === 'create' ? write.user.userName : write.previous.userName);
}

/**
 * One write as a PartiQL statement: it can carry a condition, which BatchWriteItem cannot, at the same price.
 * @throws TypeError for a rename and a check
 */
export function toStatement(table: string, write: UserWrite): { Statement: string; Parameters: unknown[] } {
  if (write.kind === 'create') {
    const item = toUserItem(write.user);
    const fields = Object.keys(item).map((name) => `'${name}': ?`);
    return { Statement: `INSERT INTO "${table}" VALUE {${fields.join(', ')}}`, Parameters: Object.values(item) };
  }
  if (write.kind === 'update') {
    const before = toUserItem(write.previous);
    const after = toUserItem(write.user);
    const changed = Object.entries(after).filter(
      ([name, value]) => !FIXED.has(name) && !isDeepStrictEqual(value, before[name]),
    );
    const set = changed.map(([name]) => `"${name}" = ?`).join(', ');
    const remove = before.addressKey !== undefined && after.addressKey === undefined ? 'REMOVE "addressKey" ' : '';
    return {
      Statement: `UPDATE "${table}" SET ${set} ${remove}${WHERE_UNCHANGED}`,
      Parameters: [...changed.map(([, value]) => value), ...unchangedParameters(write.previous)],
    };
  }
  if (write.kind === 'delete') {
    return {
      Statement: `DELETE FROM "${table}" ${WHERE_UNCHANGED} RETURNING ALL OLD *`,
      Parameters: unchangedParameters(write.previous),
    };
  }
  throw new TypeError(`writeEach accepts no ${write.kind}; use writeTogether`);
}

const WHERE_UNCHANGED = 'WHERE "nameKey" = ? AND "id" = ? AND "version" = ?';

function unchangedParameters({ userName, id, version }: User): unknown[] {
  return [userNameKey(userName), id, version];
}

/**
 * All writes as one transaction, with one operation per key, because a transaction may name an item only once: where
 * one user leaves a name and another takes it, the two become one put over the old record. A name that a rename leaves
 * free also gets a mark.
 * @returns null if the writes contradict each other, for example when two users want one name
 */
export function toTransaction(
  TableName: string,
  operationsTable: string,
  writes: readonly UserWrite[],
): NonNullable<TransactWriteCommandInput['TransactItems']> | null {
  const leaving = new Map<string, User>();
  const taking = new Map<string, User>();
  const checked = new Map<string, User>();
  const renamed = new Map<string, UserWrite & { kind: 'rename' }>();
  for (const write of writes) {
    if (write.kind === 'rename') renamed.set(write.previous.id, write);
    if (write.kind === 'check') checked.set(keyOf(write), write.previous);
    const before = userBefore(write);
    if (before !== null) leaving.set(keyOf(write), before);
    const user = userAfter(write);
    if (user === null) continue;
    const nameKey = userNameKey(user.userName);
    if (taking.has(nameKey)) return null;
    taking.set(nameKey, user);
  }
  for (const [nameKey, user] of checked) {
    const gone = leaving.get(nameKey);
    if (gone ? gone.id !== user.id || gone.version !== user.version : taking.has(nameKey)) return null;
  }
  const keys = new Set([...leaving.keys(), ...taking.keys(), ...checked.keys()]);
  return [...keys].flatMap((nameKey): NonNullable<TransactWriteCommandInput['TransactItems']> => {
    const before = leaving.get(nameKey) ?? checked.get(nameKey);
    const after = taking.get(nameKey);
    const condition = before ? unchanged(before) : { ConditionExpression: 'attribute_not_exists(nameKey)' };
    if (after) {
      const rename = renamed.get(after.id);
      const arrives = rename !== undefined || (before !== undefined && before.id !== after.id);
      const arrival: Arrival = {
        changes: rename ? compareUsers(rename.previous, rename.user) : null,
        replacesDeleted: before !== undefined && !renamed.has(before.id),
      };
      return [{ Put: { TableName, Item: { ...toUserItem(after), ...(arrives && { arrival }) }, ...condition } }];
    }
    const operation = { TableName, Key: { nameKey }, ...condition };
    if (!leaving.has(nameKey)) return [{ ConditionCheck: operation }];
    const rename = renamed.get(before!.id);
    if (rename === undefined) return [{ Delete: operation }];
    const Item = toRenameMark(rename.previous, rename.user.updatedAt);
    return [{ Delete: operation }, { Put: { TableName: operationsTable, Item } }];
  });
}
