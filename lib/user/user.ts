/** The user record and its public form. Knows no store: adapters keep the record, the core decides its content. */
import { addressKey } from './email-address.ts';
import type { Privilege } from './privilege.ts';
import { userNameKey } from './user-name.ts';

/** Who keeps the password: this system (`integrated`) or the directory. */
export type Authentication = 'integrated' | 'directory';

/** A user's link to one directory entry. `id` is the directory's unique id as canonical text. */
export interface DirectoryLink {
  readonly id: string;
  /** The attribute that `id` was read from, in lower case. Ids of different attributes are never compared. */
  readonly idAttribute: string;
  /** The distinguished name when last seen, in the directory's spelling. */
  readonly dn: string;
  /** The time since which complete reads have not shown this person; null while the person is there. RFC 3339 UTC. */
  readonly missingSince: string | null;
  /**
   * The attribute, in lower case, by which the directory marked the account as disabled when it was last read; absent
   * if it did not.
   */
  readonly mark?: string;
  /**
   * The unique id of a new entry with this user's name, found while this link's own entry was found nowhere. The user
   * can't log in until the contradiction is settled, because the new entry may belong to somebody else.
   */
  readonly contestedBy?: string;
  /**
   * The branch with which this person vanished: while it is out of sight, the person's absence is doubted, however few
   * others are still missing with it.
   */
  readonly vanishedBranch?: string;
}

/**
 * The identity of a link: the attribute together with the id, because 1001 as employeeNumber and 1001 as uidNumber are
 * two people.
 */
export function linkKey({ idAttribute, id }: Pick<DirectoryLink, 'idAttribute' | 'id'>): string {
  return `${idAttribute}:${id}`;
}

/**
 * An id or a link key without letter case, for directories that compare the attribute without it. Two ids that are
 * equal only in this form may belong to two people: use it only where one candidate stands on each side.
 */
export function foldId(text: string): string {
  return text.toLowerCase();
}

/** The fields that come from a directory, or that an administrator edits by hand. */
export interface Profile {
  /** The name that people log in with, as spelled by the directory or the administrator. */
  readonly userName: string;
  readonly fullName: string | null;
  /** In order of preference; the first is the primary address. */
  readonly emailAddresses: readonly string[];
}

/** Longest full name, in UTF-16 code units. */
export const MAX_FULL_NAME_LENGTH = 512;

/** The name of a field of a profile. */
export type ProfileField = keyof Profile;

const IS_PROFILE_FIELD: Readonly<Record<ProfileField, true>> = { userName: true, fullName: true, emailAddresses: true };

/**
 * All fields of a profile, in a fixed order. Add a new field to `Profile` first; the compiler then names the other
 * places to change.
 */
export const PROFILE_FIELDS = Object.keys(IS_PROFILE_FIELD) as readonly ProfileField[];

/** A profile with nothing in it but a name: for new users, and for records that were stored before a field existed. */
export const NO_PROFILE: Omit<Profile, 'userName'> = { fullName: null, emailAddresses: [] };

/** The profile fields of a larger record. */
export function profileOf(record: Profile): Profile {
  return Object.fromEntries(PROFILE_FIELDS.map((field) => [field, record[field]])) as unknown as Profile;
}

/** A user as stored. */
export interface User extends Profile {
  /** The account's identity: set at creation, never changed, never reused. */
  readonly id: string;
  readonly authentication: Authentication;
  /** Who disabled the user; null if the user is active. Sync only ever sets or clears `sync`. */
  readonly disabledBy: 'admin' | 'sync' | null;
  readonly privileges: readonly Privilege[];
  readonly directory: DirectoryLink | null;
  /** argon2id in PHC string format; null for directory users, and for integrated users without a password. */
  readonly passwordHash: string | null;
  /**
   * Person.fingerprint of the state that sync last applied to this user; null makes the next run compare the whole
   * record. Any other writer that changes a field owned by sync sets it to null.
   */
  readonly fingerprint: string | null;
  /**
   * Sessions that began before this time have ended, because the password, name, status, privileges or authentication
   * changed.
   */
  readonly sessionsValidFrom?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** 1 at creation; each write adds 1. */
  readonly version: number;
  /**
   * The name key under which the record is stored, if this version would compute another one: the rules for names have
   * changed since. A rename, or the next run that changes the user, gives it a key of today.
   */
  readonly storedKey?: string;
}

/** The key under which the record is stored, which is never computed anew. */
export function nameKeyOf({ storedKey, userName }: Pick<User, 'storedKey' | 'userName'>): string {
  return storedKey ?? userNameKey(userName);
}

/** The user as shown to other systems: without the hash and the fingerprint. */
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

/** Whether a user is active or disabled. */
export type UserStatus = 'active' | 'disabled';

/** The status that follows from `disabledBy`. */
export function userStatus(user: Pick<User, 'disabledBy'>): UserStatus {
  return user.disabledBy === null ? 'active' : 'disabled';
}

/** The user's public form. */
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

/** Whether a user is active and has the privilege `admin`. */
export function isActiveAdministrator({ disabledBy, privileges }: User): boolean {
  return disabledBy === null && privileges.includes('admin');
}

/**
 * Whether this administrator can sign in. One without a password or a directory entry can't, and so does not count; nor
 * does one whose name a new entry contests.
 */
export function isWayIn(user: User): boolean {
  const credentials = user.authentication === 'integrated' ? user.passwordHash : user.directory;
  return isActiveAdministrator(user) && credentials !== null && !isContested(user);
}

/**
 * Whether a new entry has the user's name while the user's own entry is gone: nobody can tell whose password is right,
 * so none is tried and no failure is counted until an administrator has decided.
 */
export function isContested({ directory }: User): boolean {
  return directory?.contestedBy !== undefined;
}

/**
 * Whether a search finds the user: by a prefix of the user name or, if it contains an @, by one whole e-mail address.
 */
export function isFoundBy(search: string, { userName, emailAddresses }: User): boolean {
  if (userNameKey(userName).startsWith(userNameKey(search))) return true;
  const address = addressKey(search);
  return address.includes('@') && emailAddresses.some((each) => addressKey(each) === address);
}
