/**
 * The user record and the rules of its name. Knows no store: adapters keep the record, the core decides what is in it.
 */
import type { Privilege } from './privilege.ts';

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

export interface User {
  /** The account's identity: given at creation, never changed, never reused. */
  readonly id: string;
  /** What people log in with, as spelled by the directory or the administrator. */
  readonly userName: string;
  readonly fullName: string | null;
  /** In order, the first is the primary address. */
  readonly emailAddresses: readonly string[];
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
export interface PublicUser {
  readonly id: string;
  readonly userName: string;
  readonly fullName: string | null;
  readonly emailAddresses: readonly string[];
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
  const { id, userName, fullName, emailAddresses, authentication, disabledBy, privileges, directory } = user;
  return {
    id,
    userName,
    fullName,
    emailAddresses,
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

/**
 * Most bytes of addresses of one user: far above any real mailbox. So a transaction of many users fits, and so does an event
 * that tells the old and the new ones, with each character escaped.
 */
export const MAX_ADDRESS_BYTES = 16 * 1024;

export function exceedAddressBytes(emailAddresses: readonly string[]): boolean {
  return Buffer.byteLength(emailAddresses.join()) > MAX_ADDRESS_BYTES;
}

/** Longest user name, in bytes of UTF-8. */
export const MAX_USER_NAME_BYTES = 255;

// Controls, lone surrogates, line separators, the mark that decoding leaves where bytes were no text, and what is not seen:
// two names that look alike are one to people. The two joiners are part of how some scripts are written.
const UNUSABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\uFFFD]|(?![\u200C\u200D])\p{Cf}/u;

// Nothing in it to trim, to compose or to fold: what most names are, and a run meets hundreds of thousands.
const PLAIN = /^[!-~]+$/;

/**
 * Brings a user name into the form it is stored in: trimmed, NFC. Gives the reason where it can't be a user name.
 */
export function parseUserName(text: string): { userName: string } | { reason: string } {
  if (PLAIN.test(text) && text.length <= MAX_USER_NAME_BYTES) return { userName: text };
  const userName = text.normalize('NFC').trim();
  if (userName === '') return { reason: 'the user name is empty' };
  if (UNUSABLE.test(userName)) return { reason: 'the user name contains control characters or bytes that are no text' };
  if (Buffer.byteLength(userName) > MAX_USER_NAME_BYTES) {
    return { reason: `the user name is longer than ${MAX_USER_NAME_BYTES} bytes` };
  }
  return { userName };
}

/**
 * The form in which user names are compared and stored as key: NFC, without case. Upper case first, because it joins what
 * lower case alone keeps apart (final sigma, sharp s): two names that a person would take for one never become two users.
 */
export function userNameKey(userName: string): string {
  if (PLAIN.test(userName)) return userName.toLowerCase();
  return userName.normalize('NFC').trim().toUpperCase().toLowerCase().normalize('NFC');
}

/** The form in which e-mail addresses are compared: as user names are. */
export const addressKey = userNameKey;

/** Whether a search finds the user: by the beginning of the user name or, with an @ in it, by one whole e-mail address. */
export function isFoundBy(search: string, { userName, emailAddresses }: User): boolean {
  if (userNameKey(userName).startsWith(userNameKey(search))) return true;
  const address = addressKey(search);
  return address.includes('@') && emailAddresses.some((each) => addressKey(each) === address);
}

/** The order of lists: by code point, as every store sorts UTF-8 bytes. JavaScript's own order of strings is another one. */
export function compareNameKeys(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  for (let position = 0; position < end; position += 1) {
    if (a.charCodeAt(position) !== b.charCodeAt(position)) {
      // At the second half of a pair the first halves were equal, and the halves order as their code points do.
      return a.codePointAt(position)! - b.codePointAt(position)!;
    }
  }
  return a.length - b.length;
}
