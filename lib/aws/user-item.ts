/** A user as an item of the users table, and back. Knows nothing of how items are read and written. */
import { hash } from 'node:crypto';
import type { UserWrite } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { addressKey } from '../user/email-address.ts';
import { linkKey } from '../user/user.ts';
import { userNameKey } from '../user/user-name.ts';
import type { Item } from './client.ts';
import { LIST_SHARDS } from './environment.ts';

/**
 * What no user name can contain (parseUserName): in the key of an item of the users table it says that this is no user. It
 * sorts before everything that a name can go on with.
 */
export const BEYOND_NAMES = '\u0001';

/** Longest part of an address in the index, in UTF-16 code units: far below the 1,024 bytes of a key. */
const MAX_INDEXED_LENGTH = 320;

/** Every attribute but `addressKey` is always there, NULL where a user has nothing: a key of an index can't be NULL. */
export interface UserItem extends Item {
  readonly nameKey: string;
  /** The partition of the list index, '0' to LIST_SHARDS - 1: by the name, so it never changes under a key. */
  readonly listShard: string;
  /** The first address, for the address index, which has the others from address-index.ts. Absent where there is none. */
  readonly addressKey?: string;
  /** Attribute and id in one, as the index carries them. */
  readonly linkKey: string | null;
  readonly dn: string | null;
  readonly missingSince: string | null;
}

export function toUserItem({ directory, ...fields }: User): UserItem {
  const nameKey = userNameKey(fields.userName);
  const [address] = fields.emailAddresses;
  return {
    nameKey,
    listShard: String(Number.parseInt(hash('sha256', nameKey).slice(0, 8), 16) % LIST_SHARDS),
    ...fields,
    ...(address !== undefined && { addressKey: indexedAddress(address) }),
    linkKey: directory && linkKey(directory),
    dn: directory?.dn ?? null,
    missingSince: directory?.missingSince ?? null,
  };
}

export function fromUserItem(item: Item): User {
  const {
    nameKey: _nameKey,
    listShard: _listShard,
    addressKey: _addressKey,
    arrival: _arrival,
    ...rest
  } = item as UserItem;
  const { linkKey: link, dn, missingSince, ...fields } = rest;
  // Names of attributes hold no colon (RFC 4512, 1.4); ids may.
  const colon = link?.indexOf(':') ?? -1;
  const directory = link && { idAttribute: link.slice(0, colon), id: link.slice(colon + 1), dn, missingSince };
  return { ...fields, directory } as unknown as User;
}

/** An address as the index has it: two that only differ far behind are one to it. */
export function indexedAddress(address: string): string {
  return addressKey(address).slice(0, MAX_INDEXED_LENGTH).toWellFormed();
}

/** Whether a name can be the key of a user at all. DynamoDB refuses to look for some others, and finds no user at the rest. */
export function isPossibleKey(nameKey: string): boolean {
  return nameKey !== '' && Buffer.byteLength(nameKey) <= 1_024 && !nameKey.includes(BEYOND_NAMES);
}

/** The condition that a stored user still is the one that was read. */
export function unchanged({ id, version }: User) {
  return {
    ConditionExpression: '#id = :id AND #version = :version',
    ExpressionAttributeNames: { '#id': 'id', '#version': 'version' },
    ExpressionAttributeValues: { ':id': id, ':version': version },
  };
}

/** The record that a write replaces or takes away; null where there is none. A check does neither. */
export function userBefore(write: UserWrite): User | null {
  return write.type === 'create' || write.type === 'check' ? null : write.previous;
}

/** The record that a write leaves; null where there is none. A check leaves none of its own. */
export function userAfter(write: UserWrite): User | null {
  return write.type === 'delete' || write.type === 'check' ? null : write.user;
}
