/** The report of a settings test: stages, certificates, the server, the first people. Decides nothing. */
import type { ErrorCode } from '../errors.ts';
import type { Presets, Vendor } from '../settings/settings.ts';
import type { Entry } from './entry.ts';

/** How far a test goes. `beforeBind`: to the TLS handshake; nothing that names a user is sent. */
export type TestExtent = 'everything' | 'beforeBind';

/**
 * One stage of the settings test. `passwordNeeded`: in place of the bind, if the stored password does not count for
 * these settings.
 */
export interface TestStage {
  readonly name:
    | 'nameResolution'
    | 'connect'
    | 'tls'
    | 'passwordNeeded'
    | 'bind'
    | 'rootDse'
    | 'base'
    | 'attributes'
    | 'filter';
  readonly ok: boolean;
  /** The code of the fault, if the stage failed with one. */
  readonly code?: ErrorCode;
  /** What the stage found, or what failed and what to do about it. */
  readonly detail: string;
  readonly ms: number;
}

/** One certificate of the chain that a server sends. */
export interface PresentedCertificate {
  readonly subject: string;
  readonly issuer: string;
  /** The DNS names and IP addresses that it is valid for (RFC 5280 section 4.2.1.6). */
  readonly names: readonly string[];
  /** RFC 3339 UTC. */
  readonly validTo: string;
  /** Negative if it has expired. */
  readonly daysLeft: number;
}

/** What a server says about itself, and what the bind DN can read of it. */
export interface TestedServer {
  /** As written in the settings. */
  readonly name: string;
  /** How it is told from other servers behind the same name: see ServerIdentity. */
  readonly identity: string;
  /** The vendor whose rules apply: the one in the settings, else the detected one. */
  readonly vendor: Vendor;
  readonly detectedVendor: Vendor;
  /** Name and version, in the server's own words if it reports them. */
  readonly product: string;
  /** The features announced in the root DSE. Some servers support more than they announce. */
  readonly offers: { readonly paging: boolean; readonly startTls: boolean; readonly passwordPolicy: boolean };
  /** The attribute that identifies people, readable on at least one entry; null if the test found none. */
  readonly uniqueId: string | null;
  /**
   * The attributes that show whether an account is disabled. `seen`: found on one of the first entries in scope. Most
   * vendors set them on disabled accounts only, so an attribute that was not seen may still be readable.
   */
  readonly statusAttributes: readonly { readonly name: string; readonly seen: boolean }[];
}

/** The result of a settings test. */
export interface DirectoryTest {
  readonly ok: boolean;
  readonly stages: readonly TestStage[];
  /** The server's own certificate first, then as much of the chain as it sends. Empty without encryption. */
  readonly certificates: readonly PresentedCertificate[];
  /** null if the test did not reach the root DSE. */
  readonly server: TestedServer | null;
  /** The usual settings for directories of this kind; null if the test did not reach the root DSE. */
  readonly presets: Presets | null;
  /** Settings that work but are probably a mistake, one sentence each. */
  readonly warnings: readonly string[];
  /** People found, up to the cap; null if the test did not get that far. */
  readonly count: number | null;
  /** Whether `count` stopped at the cap. */
  readonly counted: 'all' | 'capped' | 'none';
  /** The first entries found. */
  readonly sample: readonly Entry[];
}
