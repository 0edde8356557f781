/**
 * The directory port: reading people, looking them up, verifying a password, testing settings. An adapter translates: it throws
 * nothing but a ServiceError of a DirectoryFaultCode, whatever library failed underneath.
 */
import type { Settings } from '../settings/settings.ts';
import type { DirectoryTest } from './directory-test.ts';
import type { Entry } from './entry.ts';

/** Proof, or the lack of it, that a read has shown everybody in scope. */
export interface ReadProof {
  readonly complete: boolean;
  /** Why it is not complete, for an administrator; empty when it is. */
  readonly reasons: readonly string[];
  /** Set when the server failed in mid-read, so that another one, asked from the beginning, may do better. */
  readonly brokeOff?: true;
}

/** Where a looked-up person is now. */
export type Whereabouts =
  | { readonly kind: 'gone' }
  /** `inScope`: whether base, depth and filter of the settings would have shown it. */
  | { readonly kind: 'present'; readonly dn: string; readonly inScope: boolean };

/** One reader's connection: one server from beginning to end, bound as the administrative DN. Not for concurrent use. */
export interface DirectoryReader {
  /** The server that answers, as named in the settings. */
  readonly server: string;
  /** The base that is searched: the settings' or, where that is empty, the root DSE's. */
  readonly baseDn: string;
  /** The attribute that Entry.id is read from, lower case. */
  readonly idAttribute: string;
  /** Requests sent over this connection so far. */
  readonly requests: number;
  /**
   * Everybody in scope, page by page, then the proof as the generator's return value. A page is the caller's until the next one
   * is asked for; then it may be emptied. A failure in mid-read does not
   * throw: it ends the read with `complete: false` and its reason. Only a read that never began throws.
   * @throws ServiceError of a DirectoryFaultCode
   */
  readPeople(): AsyncGenerator<readonly Entry[], ReadProof, void>;
  /**
   * Looks people up by unique id, in the whole directory and without the filter. Every id asked for is in the answer:
   * the absence of an entry counts as `kind: 'gone'` only when the server said success for a search that covers it.
   * @throws ServiceError of a DirectoryFaultCode
   */
  locate(ids: readonly string[]): Promise<ReadonlyMap<string, Whereabouts>>;
  close(): Promise<void>;
}

/** Why a bind that reached the directory was not accepted. The one vocabulary, whatever the server (semantics, Login). */
export type RejectionReason =
  | 'invalidCredentials'
  | 'passwordExpired'
  | 'passwordMustChange'
  | 'accountLocked'
  | 'accountDisabled'
  | 'accountExpired'
  | 'notPermitted'
  | 'throttled';

export type BindResult =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'rejected'; readonly reason: Exclude<RejectionReason, 'throttled'> };

/** A directory as one version of the settings describes it. Holds no connection until one is needed. */
export interface Directory {
  /**
   * Connects to the first server that answers and binds.
   * @param except servers that are not asked, as the settings name them
   * @throws ServiceError of a DirectoryFaultCode
   */
  openReader(except?: readonly string[]): Promise<DirectoryReader>;
  /**
   * One bind on a connection kept for this purpose, never the one that reads. A kept connection that turns out broken is
   * replaced and the bind tried once more. A server that failed is asked after the others for a minute.
   * @throws ServiceError of a DirectoryFaultCode, when no server gave an answer
   */
  verifyPassword(dn: string, password: string): Promise<BindResult>;
  /**
   * The DN of the one entry with this unique id; null when there is none, or more than one.
   * @throws ServiceError of a DirectoryFaultCode
   */
  findDn(id: string, idAttribute: string): Promise<string | null>;
  /** The staged check. Never throws for what a directory does; ends within `limitMs`. */
  test(limitMs: number): Promise<DirectoryTest>;
  /** Closes every kept connection. */
  close(): Promise<void>;
}

export type OpenDirectory = (settings: Settings, password: string) => Directory;
