/**
 * The directory port: reads people, looks them up, verifies passwords, tests settings. An adapter throws nothing but a
 * ServiceError with a DirectoryFaultCode, whatever library it uses.
 */
import type { ServiceError } from '../errors.ts';
import type { Settings } from '../settings/settings.ts';
import type { DirectoryTest, TestExtent } from './directory-test.ts';
import type { Entry } from './entry.ts';

/** A server, and how to tell it from others behind the same name. */
export interface ServerIdentity {
  /** As written in the settings. */
  readonly name: string;
  /** The server's own name in its root DSE, else the name in the settings and the address in use. */
  readonly identity: string;
}

/** Whether a read is proven to have shown everybody in scope. */
export interface ReadProof {
  readonly complete: boolean;
  /** Why the read is incomplete, worded for an administrator; empty if it is complete. */
  readonly reasons: readonly string[];
  /** Set if the server failed in mid-read, so that a new read from another server may succeed. */
  readonly brokeOff?: true;
  /** Set if nothing is missing but the entries that unread referrals lead to. */
  readonly onlyReferrals?: true;
}

/** The result of looking a person up. */
export type Whereabouts =
  | { readonly kind: 'gone' }
  /** `inScope`: whether the entry matches base, depth and filter of the settings. */
  | { readonly kind: 'present'; readonly dn: string; readonly inScope: boolean }
  /**
   * The search does not prove that the entry is absent: no entry of the whole naming context has a readable id, or
   * several ids differ only in letter case. `reason`: a clause for an administrator.
   */
  | { readonly kind: 'unproven'; readonly reason: string };

/**
 * A branch of the directory, as the bind DN sees it. `populated`: a search with the filter of the settings finds people
 * below the entry. `empty`: it finds nobody, and the entry itself says that it has no children. `vanished`: it finds
 * nobody, and nothing says why; the entry may be missing too.
 */
export type BranchState = 'populated' | 'empty' | 'vanished';

/** A server other than the one that was read, to be asked about people whom the read did not show. */
export type OtherView =
  /** Its reader may still fail later; then the server counts as unreachable. */
  | { readonly kind: 'open'; readonly reader: DirectoryReader }
  /** `server`: its name in the settings. `reason`: a clause for an administrator, which begins with that name. */
  | { readonly kind: 'unreachable'; readonly server: string; readonly reason: string };

/** One reader's connection: uses one server throughout, bound with the bind DN. Not for concurrent use. */
export interface DirectoryReader {
  /** The server in use, as written in the settings. */
  readonly server: string;
  readonly identity: ServerIdentity;
  /** The search base: the base DN of the settings or, if that is empty, the one from the root DSE. */
  readonly baseDn: string;
  /** The attribute that Entry.id is read from, in lower case. */
  readonly idAttribute: string;
  /** Requests sent over this connection so far. */
  readonly requests: number;
  /**
   * Yields everybody in scope, page by page, and returns the proof. A page belongs to the caller until the next one is
   * requested; then it may be cleared. A failure in mid-read does not throw: it ends the read with `complete: false`
   * and a reason. Only a read that fails before its first page throws.
   * @throws ServiceError with a DirectoryFaultCode
   */
  readPeople(): AsyncGenerator<readonly Entry[], ReadProof, void>;
  /**
   * Looks people up by unique id, in the whole naming context and without the filter. Ids match exactly or, where there
   * is exactly one on each side, without case; ids of bytes match exactly. The answer contains every requested id: an
   * absent entry is `kind: 'gone'` only if the server returned success for a search that covers it.
   * @throws ServiceError with a DirectoryFaultCode
   */
  locate(ids: readonly string[]): Promise<ReadonlyMap<string, Whereabouts>>;
  /**
   * Looks at everything below the entry with this DN, and at the entry itself. @throws ServiceError with a
   * DirectoryFaultCode
   */
  judgeBranch(dn: string): Promise<BranchState>;
  close(): Promise<void>;
}

/** Why a bind that reached the directory was rejected. The same vocabulary for every server. */
export type RejectionReason =
  | 'invalidCredentials'
  | 'passwordExpired'
  | 'passwordMustChange'
  | 'accountLocked'
  | 'accountDisabled'
  | 'accountExpired'
  | 'notPermitted'
  | 'throttled';

/** What the directory says of a password that it accepted, where it says so. */
export interface PasswordState {
  readonly passwordExpiresInSeconds?: number;
  /** Further logins that the directory allows with this expired password. */
  readonly graceLoginsLeft?: number;
}

/** The result of a bind that reached a server. */
export type BindResult =
  | ({ readonly kind: 'accepted' } & PasswordState)
  | { readonly kind: 'rejected'; readonly reason: Exclude<RejectionReason, 'throttled'> }
  /**
   * The password went out and no answer came back. The server may have counted the attempt, so no other server was
   * asked.
   */
  | { readonly kind: 'unanswered'; readonly fault: ServiceError };

/** The connection of an accepted bind, while it is bound as the person. */
export interface OwnEntry {
  /**
   * The unique id of the entry that the bind named, read with the person's own rights; null if they can't read it.
   * @throws ServiceError with a DirectoryFaultCode
   */
  readId(idAttribute: string): Promise<string | null>;
}

/** The entries that may have a user name. */
export interface NamedEntries {
  /** The attribute that their ids were read from, in lower case. */
  readonly idAttribute: string;
  readonly entries: readonly Entry[];
}

/** A directory as described by one version of the settings. Opens connections only when needed. */
export interface Directory {
  /**
   * Connects to the first server that answers, and binds.
   * @param except servers to skip, as written in the settings
   * @throws ServiceError with a DirectoryFaultCode
   */
  openReader(except?: readonly string[]): Promise<DirectoryReader>;
  /**
   * Opens a reader on every other server that can be asked about the same people: on each other name in the settings,
   * and behind the name that was read on one address with another identity, if one can be reached. Leaves out servers
   * that do not hold the base. Their `locate` compares ids of the same attribute as `read`. Never throws for a fault of
   * a directory. The caller closes the readers.
   */
  openOtherViews(read: DirectoryReader): Promise<readonly OtherView[]>;
  /**
   * Binds on a connection kept for this purpose and never used for reading. Tries every address of every server until
   * one has received the password and answered it; a server that says that it is in trouble (`busy`, ...) is followed
   * by the next one, a refusal or silence is not. A server that failed is tried last for a minute.
   * @param whenAccepted called after an accepted bind, while the connection is still bound as the person
   * @throws ServiceError with a DirectoryFaultCode, if no server took the password or none could judge it; and whatever
   *   `whenAccepted` throws
   */
  verifyPassword(dn: string, password: string, whenAccepted?: (own: OwnEntry) => Promise<void>): Promise<BindResult>;
  /**
   * The DN of the only entry with this unique id; of several, the one with the stored DN, if that is given. null if
   * there is none, proven by an entry that the same reader finds by its id. Ids match as in `locate`.
   * @param idAttribute null: the attribute that this directory's ids are read from
   * @throws ServiceError with a DirectoryFaultCode; `readRefused` if the reader finds nobody, which proves nothing
   */
  findDn(id: string, idAttribute: string | null, storedDn?: string): Promise<string | null>;
  /**
   * The entries in scope that may have this user name, a few at most: `mapEntry` decides.
   * @throws ServiceError with a DirectoryFaultCode, also if the answer is incomplete
   */
  searchByName(userName: string): Promise<NamedEntries>;
  /**
   * Tries the kept connections that have been idle for more than five seconds, for at most a second, and drops those
   * that do not answer, so that the next call does not wait for them. Never throws.
   */
  checkIdle(): Promise<void>;
  /**
   * Tests the settings in stages, by default all of them. Never throws for any fault of a directory; ends within
   * `limitMs`.
   */
  test(limitMs: number, extent?: TestExtent): Promise<DirectoryTest>;
  /** Closes every kept connection. */
  close(): Promise<void>;
}

/** Opens the directory of these settings. `password`: of the bind DN. Connects to nothing yet. */
export type OpenDirectory = (settings: Settings, password: string) => Directory;
