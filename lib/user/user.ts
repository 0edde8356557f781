/** The user record and what others see of it. Knows no store: adapters keep the record, the core decides what is in it. */
import { addressKey } from './email-address.ts';
import type { Privilege } from './privilege.ts';
import { userNameKey } from './user-name.ts';

export type Authentication = 'integrated' | 'directory';

/** A user's tie to one directory entry. `id` is the directory's unique id as canonical text. */
export interface DirectoryLink {
  readonly id: string;
  /** The attribute `id` was read from, lower case. Ids of different attributes are never compared. */
  readonly idAttribute: string;
  /** The distinguished name last seen, in the directory's spelling. */
  readonly dn: string;
  /** Since when a complete read has not shown this person; null while it is there. RFC 3339 UTC. */
  readonly missingSince: string | null;
}

/**
 * A link's identity: the attribute together with the id, because 1001 as employeeNumber and 1001 as uidNumber are two
 * people.
 */
export function linkKey({ idAttribute, id }: Pick<DirectoryLink, 'idAttribute' | 'id'>): string {
  return `${idAttribute}:${id}`;
}

/** What a directory tells of a person and an administrator edits of a user by hand. */
export interface Profile {
  /** What people log in with, as spelled by the directory or the administrator. */
  readonly userName: string;
  readonly fullName: string | null;
  /** In order, the first is the primary address. */
  readonly emailAddresses: readonly string[];
}

export type ProfileField = keyof Profile;

const IS_PROFILE_FIELD: Readonly<Record<ProfileField, true>> = { userName: true, fullName: true, emailAddresses: true };

/** Every field of a profile, in a fixed order. A new field starts in `Profile`; the compiler names what else needs it. */
export const PROFILE_FIELDS = Object.keys(IS_PROFILE_FIELD) as readonly ProfileField[];

/** The profile within a larger record. */
export function profileOf(record: Profile): Profile {
  return Object.fromEntries(PROFILE_FIELDS.map((field) => [field, record[field]])) as unknown as Profile;
}

export interface User extends Profile {
  /** The account's identity: given at creation, never changed, never reused. */
  readonly id: string;
  readonly authentication: Authentication;
  /** Who disabled the user; null = active. Sync only ever sets or clears `sync`. */
  readonly disabledBy: 'admin' | 'sync' | null;
  readonly privileges: readonly Privilege[];
  readonly directory: DirectoryLink | null;
  /** argon2id in PHC string format, for integrated users that have a password. */
  readonly passwordHash: string | null;
  /**
   * What sync last applied to this user, as Person.fingerprint; null = look at the whole record next time. Whoever else
   * changes a field that sync owns sets it to null.
   */
  readonly fingerprint: string | null;
  /** Sessions begun before this have ended: password, name, status, privileges or the way of authentication have changed since. */
  readonly sessionsValidFrom?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** 1 at creation, one more with every write. */
  readonly version: number;
}

/** The user as other systems see it: no hash, no fingerprint. */
export interface PublicUser extends Profile {
  readonly id: string;
  readonly authentication: Authentication;
  readonly status: UserStatus;
  readonly disabledBy: 'admin' | 'sync' | null;
  readonly privileges: readonly Privilege[];
  readonly directory: { readonly id: string; readonly dn: string; readonly missingSince: string | null } | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly version: number;
}

export type UserStatus = 'active' | 'disabled';

export function userStatus(user: Pick<User, 'disabledBy'>): UserStatus {
  return user.disabledBy === null ? 'active' : 'disabled';
}

export function toPublicUser(user: User): PublicUser {
  const { id, authentication, disabledBy, privileges, directory } = user;
  return {
    id,
    ...profileOf(user),
    authentication,
    status: userStatus(user),
    disabledBy,
    privileges,
    directory: directory && { id: directory.id, dn: directory.dn, missingSince: directory.missingSince },
    createdAt: user.createdAt,
    updatedAt: user.updatedAt,
    version: user.version,
  };
}

export function isActiveAdministrator({ disabledBy, privileges }: User): boolean {
  return disabledBy === null && privileges.includes('admin');
}

/** Whether somebody can sign in as this administrator: one without a password, or without an entry, is none to rely on. */
export function isWayIn(user: User): boolean {
  const credentials = user.authentication === 'integrated' ? user.passwordHash : user.directory;
  return isActiveAdministrator(user) && credentials !== null;
}

/** Whether a search finds the user: by the beginning of the user name or, with an @ in it, by one whole e-mail address. */
export function isFoundBy(search: string, { userName, emailAddresses }: User): boolean {
  if (userNameKey(userName).startsWith(userNameKey(search))) return true;
  const address = addressKey(search);
  return address.includes('@') && emailAddresses.some((each) => addressKey(each) === address);
}
