/** A user as an item of the users table, and back. Knows nothing of how items are read and written. */
import { hash } from 'node:crypto';
import type { User } from '../user.ts';
import { linkKey, userNameKey } from '../user.ts';
import type { Item } from './client.ts';
import { LIST_SHARDS } from './environment.ts';

/** Every attribute is always there, NULL where a user has nothing: an update then is one list of SET. */
export interface UserItem extends Item {
  readonly nameKey: string;
  /** The partition of the list index, '0' to LIST_SHARDS - 1: by the name, so it never changes under a key. */
  readonly listShard: string;
  /** The addresses in lower case, for searches. */
  readonly emailKeys: readonly string[];
  /** Attribute and id in one, as the index carries them. */
  readonly linkKey: string | null;
  readonly dn: string | null;
  readonly missingSince: string | null;
}

export function toUserItem({ directory, ...fields }: User): UserItem {
  const nameKey = userNameKey(fields.userName);
  return {
    nameKey,
    listShard: String(Number.parseInt(hash('sha256', nameKey).slice(0, 8), 16) % LIST_SHARDS),
    ...fields,
    emailKeys: fields.emailAddresses.map((address) => address.toLowerCase()),
    linkKey: directory && linkKey(directory),
    dn: directory?.dn ?? null,
    missingSince: directory?.missingSince ?? null,
  };
}

export function fromUserItem(item: Item): User {
  const { nameKey: _nameKey, listShard: _listShard, emailKeys: _emailKeys, ...rest } = item as UserItem;
  const { linkKey: link, dn, missingSince, ...fields } = rest;
  // Names of attributes hold no colon (RFC 4512, 1.4); ids may.
  const colon = link?.indexOf(':') ?? -1;
  const directory = link && { idAttribute: link.slice(0, colon), id: link.slice(colon + 1), dn, missingSince };
  return { ...fields, directory } as unknown as User;
}

/** Whether a name can be a key at all; DynamoDB refuses to look for others. */
export function isPossibleKey(nameKey: string): boolean {
  return nameKey !== '' && Buffer.byteLength(nameKey) <= 1_024;
}

/** The condition that a stored user still is the one that was read. */
export function unchanged({ id, version }: User) {
  return {
    ConditionExpression: '#id = :id AND #version = :version',
    ExpressionAttributeNames: { '#id': 'id', '#version': 'version' },
    ExpressionAttributeValues: { ':id': id, ':version': version },
  };
}
