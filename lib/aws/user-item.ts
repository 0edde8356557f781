/** A user as an item of the users table, and back. Knows nothing of how items are read and written. */
import { hash } from 'node:crypto';
import { addressKey } from '../user/email-address.ts';
import type { UserWrite } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { isActiveAdministrator, linkKey, NO_PROFILE, nameKeyOf } from '../user/user.ts';
import type { Item } from './client.ts';
import { LIST_SHARDS } from './environment.ts';

/**
 * A character that no user name can contain (parseUserName). In a key of the users table it marks an item that is not a
 * user. It sorts before every character that can continue a name.
 */
export const BEYOND_NAMES = '\u0001';

/** The value of `administrator`. All marked items are in one partition of their index: administrators are few. */
export const ADMINISTRATOR_MARK = 'active';

/** Longest part of an address in the index, in UTF-16 code units: far below the 1,024 bytes of a key. */
const MAX_INDEXED_LENGTH = 320;

/**
 * A user as stored. An attribute without a value is NULL; only `addressKey` and `administrator` are left out instead,
 * because the key of an index cannot be NULL.
 */
export interface UserItem extends Item {
  readonly nameKey: string;
  /**
   * The partition in the list index, '0' to LIST_SHARDS - 1. Depends on the name key alone, so that it never changes
   * for an item.
   */
  readonly listShard: string;
  /** The first address, for the address index; address-index.ts adds the others. Absent when the user has none. */
  readonly addressKey?: string;
  /**
   * The mark of an active administrator, which puts the item into the index of administrators. Absent for all others,
   * and in the items of earlier releases.
   */
  readonly administrator?: typeof ADMINISTRATOR_MARK;
  /** Attribute and id of the directory link as one string, the form that the index holds. */
  readonly linkKey: string | null;
  readonly dn: string | null;
  readonly missingSince: string | null;
  readonly mark?: string;
  readonly contestedBy?: string;
  readonly vanishedBranch?: string;
}

/** The item to store for a user. */
export function toUserItem(user: User): UserItem {
  const { directory, storedKey: _storedKey, ...fields } = user;
  const nameKey = nameKeyOf(user);
  const [address] = fields.emailAddresses;
  return {
    nameKey,
    listShard: String(Number.parseInt(hash('sha256', nameKey).slice(0, 8), 16) % LIST_SHARDS),
    ...fields,
    ...(address !== undefined && { addressKey: indexedAddress(address) }),
    ...(isActiveAdministrator(user) && { administrator: ADMINISTRATOR_MARK }),
    linkKey: directory && linkKey(directory),
    dn: directory?.dn ?? null,
    missingSince: directory?.missingSince ?? null,
    ...(directory?.mark !== undefined && { mark: directory.mark }),
    ...(directory?.contestedBy !== undefined && { contestedBy: directory.contestedBy }),
    ...(directory?.vanishedBranch !== undefined && { vanishedBranch: directory.vanishedBranch }),
  };
}

/**
 * The user of a stored item, without the attributes that only the store knows. null if there is no item, or one without
 * an `id`: a hint of an address, or an item that an UpdateItem of a login made (its role can't write `id`).
 */
export function toUser(item: Item | undefined): User | null {
  return typeof item?.['id'] === 'string' ? fromUserItem(item) : null;
}

function fromUserItem(item: Item): User {
  const { nameKey, listShard: _listShard, addressKey: _addressKey, arrival: _arrival, ...rest } = item as UserItem;
  const { administrator: _administrator, ...stored } = rest;
  const { linkKey: link, dn, missingSince, mark, contestedBy, vanishedBranch, ...fields } = stored;
  // Attribute names contain no colon (RFC 4512, section 1.4); ids may.
  const colon = link?.indexOf(':') ?? -1;
  const directory = link && {
    idAttribute: link.slice(0, colon),
    id: link.slice(colon + 1),
    dn,
    missingSince,
    ...(mark !== undefined && { mark }),
    ...(contestedBy !== undefined && { contestedBy }),
    ...(vanishedBranch !== undefined && { vanishedBranch }),
  };
  const user = { ...NO_PROFILE, ...fields, directory } as unknown as User;
  // The rules for names may have changed since the record was stored.
  return nameKeyOf(user) === nameKey ? user : { ...user, storedKey: nameKey };
}

/** An address as the index holds it. Addresses that differ only after MAX_INDEXED_LENGTH are the same to the index. */
export function indexedAddress(address: string): string {
  return addressKey(address).slice(0, MAX_INDEXED_LENGTH).toWellFormed();
}

/** Whether a name key can belong to a user. For any other key, DynamoDB refuses the request or finds no user. */
export function isPossibleKey(nameKey: string): boolean {
  return nameKey !== '' && Buffer.byteLength(nameKey) <= 1_024 && !nameKey.includes(BEYOND_NAMES);
}

/** The condition that a stored user is still the one that was read. */
export function unchanged({ id, version }: User) {
  return {
    ConditionExpression: '#id = :id AND #version = :version',
    ExpressionAttributeNames: { '#id': 'id', '#version': 'version' },
    ExpressionAttributeValues: { ':id': id, ':version': version },
  };
}

/** The record that a write replaces or removes; null for a create and a check. */
export function userBefore(write: UserWrite): User | null {
  return write.kind === 'create' || write.kind === 'check' ? null : write.previous;
}

/** The record that a write stores; null for a delete and a check. */
export function userAfter(write: UserWrite): User | null {
  return write.kind === 'delete' || write.kind === 'check' ? null : write.user;
}
