/** The report of a test of settings: stages, certificates, the server, the first people. Decides nothing. */
import type { ErrorCode } from '../errors.ts';
import type { Presets, Vendor } from '../settings/settings.ts';
import type { Entry } from './entry.ts';

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
