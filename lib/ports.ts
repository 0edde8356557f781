/**
 * What the core asks of the world. Each port has at least two adapters that pass the same contract test. Adapters
 * translate: what they throw is a ServiceError, whatever library failed underneath.
 */
import type { ErrorCode } from './errors.ts';
import type { Change, ChangeKind, Run, RunState } from './run.ts';
import type { Presets, Settings, StoredSettings, Vendor } from './settings.ts';
import type { Authentication, User, UserStatus } from './user.ts';

// ---------------------------------------------------------------------------------------------------- directory

/** One entry of the directory, reduced to what was asked for. */
export interface Entry {
  /** As the server spells it. */
  readonly dn: string;
  /** The unique id as canonical text; null where this bind user can't read it or the entry has none. */
  readonly id: string | null;
  /** Whether the directory marks the account disabled or expired, by the rule of its vendor. */
  readonly disabled: boolean;
  /**
   * Values by attribute name in lower case, options such as `;lang-de` cut off. Bytes that are no UTF-8 come as text with
   * U+FFFD in it. An attribute without a value is absent.
   */
  readonly attributes: Readonly<Record<string, readonly string[] | undefined>>;
}

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
  | { readonly found: false }
  /** `inScope`: whether base, depth and filter of the settings would have shown it. */
  | { readonly found: true; readonly dn: string; readonly inScope: boolean };

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
   * the absence of an entry counts as `found: false` only when the server said success for a search that covers it.
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
  | { readonly accepted: true }
  | { readonly accepted: false; readonly reason: Exclude<RejectionReason, 'throttled'> };

/** One step of the staged check of settings. */
export interface TestStage {
  readonly name: 'nameResolution' | 'connect' | 'tls' | 'bind' | 'rootDse' | 'base' | 'attributes' | 'filter';
  readonly ok: boolean;
  /** Of the fault, where the stage failed with one. */
  readonly code?: ErrorCode;
  /** What was found, or what failed and what to do about it. */
  readonly detail: string;
  readonly ms: number;
}

/** One certificate of the chain that a server presents. */
export interface PresentedCertificate {
  readonly subject: string;
  readonly issuer: string;
  /** DNS names and IP addresses it is made for (RFC 5280 section 4.2.1.6). */
  readonly names: readonly string[];
  /** RFC 3339 UTC. */
  readonly validTo: string;
  /** Negative when it has expired. */
  readonly daysLeft: number;
}

/** What a server tells of itself, and what of it this bind user can see. */
export interface TestedServer {
  /** As the settings name it. */
  readonly name: string;
  /** Whose rules hold: the settings' vendor, else the detected one. */
  readonly vendor: Vendor;
  readonly detectedVendor: Vendor;
  /** Name and version, in the server's own words where it has any. */
  readonly product: string;
  /** What the root DSE offers. Some servers do more than theirs says. */
  readonly offers: { readonly paging: boolean; readonly startTls: boolean; readonly passwordPolicy: boolean };
  /** The attribute that people are told apart by, readable on at least one entry; null where the check did not find it. */
  readonly uniqueId: string | null;
  /**
   * The attributes that tell whether an account is disabled. `seen`: on one of the first entries in scope. Most vendors set
   * them on disabled accounts only, so that one not seen may still be readable.
   */
  readonly statusAttributes: readonly { readonly name: string; readonly seen: boolean }[];
}

export interface DirectoryTest {
  readonly ok: boolean;
  readonly stages: readonly TestStage[];
  /** The server's own first, as far as it presents the chain. Empty without encryption. */
  readonly certificates: readonly PresentedCertificate[];
  /** null when the check did not get as far as the root DSE. */
  readonly server: TestedServer | null;
  /** What is usual in directories like this; null when the check did not get as far as the root DSE. */
  readonly presets: Presets | null;
  /** What works and is likely not meant that way, one sentence each. */
  readonly warnings: readonly string[];
  /** People found, up to the cap; null when the check did not get that far. */
  readonly count: number | null;
  /** Whether `count` stopped at the cap. */
  readonly counted: 'all' | 'capped' | 'none';
  /** The first entries found. */
  readonly sample: readonly Entry[];
}

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

// --------------------------------------------------------------------------------------------------------- users

/** What matching needs of a user, and no more. */
export interface UserLink {
  readonly nameKey: string;
  /** `linkKey` of the user's directory link; null for a user that has none. */
  readonly linkKey: string | null;
  readonly fingerprint: string | null;
}

/** One conditional write. It happens only if the stored record still is `previous` (same id, same version). */
export type UserWrite =
  | { readonly type: 'create'; readonly user: User }
  /** `user.userName` has the same key as `previous.userName`. */
  | { readonly type: 'update'; readonly user: User; readonly previous: User }
  /** `user.userName` has another key, which nobody else has (except in writeTogether, one that leaves it there). */
  | { readonly type: 'rename'; readonly user: User; readonly previous: User }
  | { readonly type: 'delete'; readonly previous: User }
  /** Writes nothing; fails the group when that record has changed. Only in writeTogether. */
  | { readonly type: 'check'; readonly previous: User };

/** `lostRace`: somebody else was there first, and nothing was written. */
export type WriteResult = 'written' | 'lostRace';

/** The right to write of exactly one run: writes under a lease that has passed to another run are refused. */
export interface Fence {
  readonly runId: string;
  readonly token: number;
}

export interface UserQuery {
  /** Prefix of the user name or, when it contains an @, also a whole e-mail address. Compared without case. */
  readonly search?: string;
  readonly authentication?: Authentication;
  readonly status?: UserStatus;
  /** Users a page, 1..200. */
  readonly limit: number;
  readonly next?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Pass it back for the next page; null at the end. */
  readonly next: string | null;
}

export interface UserStore {
  /** Every user's link, in no order, in batches; possibly a moment old (a write conditional on it finds that out). */
  readLinks(): AsyncIterable<readonly UserLink[]>;
  /** The current record of that name, in any letter case. */
  get(userName: string): Promise<User | null>;
  /** The current records of these name keys; absent ones are left out. */
  getMany(nameKeys: readonly string[]): Promise<ReadonlyMap<string, User>>;
  /**
   * Ordered by name key. A page may have fewer users than `limit` and yet a `next`.
   * @throws ServiceError `invalidRequest` for a `next` that this store did not give
   */
  list(query: UserQuery): Promise<Page<User>>;
  /** Every user with the privilege `admin` that is active. */
  listActiveAdministrators(): Promise<readonly User[]>;
  /** Each write by itself; the results are in the order of the writes. No `rename` and no `check`. */
  writeEach(writes: readonly UserWrite[]): Promise<readonly WriteResult[]>;
  /**
   * All writes or none, 50 at most; of renames to names that nobody leaves, 32.
   * @throws ServiceError `leaseLost` when `fence` is given and its lease is no longer its own
   */
  writeTogether(writes: readonly UserWrite[], fence?: Fence): Promise<WriteResult>;
}

// --------------------------------------------------------------------------------------------------------- login

/** Failed attempts of one user name, known or not. */
export interface Attempts {
  readonly failures: number;
  /** Until when attempts are refused unseen. RFC 3339 UTC. */
  readonly blockedUntil: string;
}

/** What a login reads and remembers, in as few requests as that takes. */
export interface LoginStore {
  /** User and attempts, both current, in one request. */
  find(userName: string): Promise<{ readonly user: User | null; readonly attempts: Attempts | null }>;
  /** Sets the attempts, if they still are `previous`; false = somebody else was there first. */
  setAttempts(userName: string, previous: Attempts | null, next: Attempts): Promise<boolean>;
  /** Counts one more failure whoever else counts; gives the count. Forgotten after `forgetAt`. */
  countFailure(userName: string, forgetAt: Date): Promise<number>;
  clearAttempts(userName: string): Promise<void>;
  /** Stores the DN a login has found, unless the user has changed meanwhile. */
  rememberDn(user: User, dn: string): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------------- runs

export type StartResult =
  | { readonly started: true; readonly run: Run; readonly fence: Fence }
  | { readonly started: false; readonly activeRunId: string };

export interface RunStore {
  /**
   * Takes the lease and stores the run, with the entries that are to be expected. The lease of a run that has not been heard of for its whole length is taken over,
   * and that run marked failed, `interrupted`.
   */
  start(run: Run): Promise<StartResult>;
  /** Takes a queued run up; null when it has been taken up already or its lease is gone. */
  takeUp(runId: string): Promise<{ readonly run: Run; readonly fence: Fence } | null>;
  /**
   * Renews the lease and shows how far the run is.
   * @throws ServiceError `leaseLost`
   */
  heartbeat(fence: Fence, state: RunState): Promise<{ readonly cancelRequested: boolean }>;
  /** Appends lines to a run. */
  saveChanges(fence: Fence, changes: readonly Change[]): Promise<void>;
  /** Stores the run as it ended and gives the lease back. @throws ServiceError `leaseLost` */
  finish(fence: Fence, run: Run): Promise<void>;
  /** Stores a run that ended before it began. Neither asks for the lease nor touches it. */
  record(run: Run): Promise<void>;
  /** One run, with the progress of this moment while it is running. */
  get(runId: string): Promise<Run | null>;
  /** Newest first. */
  list(limit: number, next?: string): Promise<Page<Run>>;
  /** In the order they were saved. */
  listChanges(runId: string, query: { kind?: ChangeKind; limit: number; next?: string }): Promise<Page<Change>>;
  /** false when that run is not the active one. */
  requestCancel(runId: string): Promise<boolean>;
  /** Gives the run's withheld removals to one approval; false when they were given away before. */
  claimWithheld(runId: string): Promise<boolean>;
}

// ------------------------------------------------------------------------------------- settings, sessions, schedule

export interface SettingsStore {
  /** null while nothing is configured. */
  read(): Promise<StoredSettings | null>;
  /** Stores both as one; `null` as expected version means: nothing is configured yet. null = somebody was there first. */
  write(settings: Settings, password: string, expectedVersion: string | null): Promise<string | null>;
}

export interface Session {
  readonly userId: string;
  readonly userName: string;
  readonly expiresAt: string;
}

export interface SessionStore {
  /** `tokenHash`: never the token itself. */
  create(tokenHash: string, session: Session): Promise<void>;
  /** Stores it anew; one that has ended meanwhile stays ended. */
  renew(tokenHash: string, session: Session): Promise<void>;
  get(tokenHash: string): Promise<Session | null>;
  delete(tokenHash: string): Promise<void>;
}

/** The schedule that is at work, whatever the settings say. */
export interface WorkingSchedule {
  readonly enabled: boolean;
  readonly expression: string;
  readonly timeZone: string;
  /** When a rate comes first, and what it counts from; null for a cron expression, and where nobody has said. */
  readonly start: Date | null;
}

/** The schedule of the synchronisation. */
export interface ScheduleStore {
  /** Makes it what the settings say, and gives what it is then. Where it is that already, a rate goes on as it was. */
  apply(schedule: Settings['options']['schedule']): Promise<WorkingSchedule>;
  /** Within three seconds. */
  read(): Promise<WorkingSchedule>;
}

export interface Clock {
  now(): Date;
}
