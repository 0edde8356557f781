/**
 * The one document that an administrator edits: its types, and how presets fill it. Its validation, which needs zod, is
 * in lib/administration/settings-schema.ts, so that code that only reads settings loads no zod.
 */
import type { Privilege } from '../user/privilege.ts';
import type { ProfileField } from '../user/user.ts';
import { PROFILE_FIELDS } from '../user/user.ts';

/**
 * Vendors whose directories differ in behaviour: in the unique id, the mark of disabled accounts, the usual mapping.
 * `ds389`: 389 Directory Server and products built on it, such as FreeIPA. `activeDirectory`: also Samba. `unknown`:
 * any other.
 */
export const VENDORS = ['openLdap', 'ds389', 'activeDirectory', 'eDirectory', 'apacheDs', 'unknown'] as const;

/** The name of a vendor. */
export type Vendor = (typeof VENDORS)[number];

/** How to reach the directory. */
export interface ConnectionSettings {
  /** DNS names or IP addresses (IPv6 in brackets), with an optional `:port`; tried in this order. */
  readonly servers: readonly string[];
  /** `none`: LDAP on 389. `tls`: StartTLS on 389. `ssl`: LDAPS on 636. */
  readonly encryption: 'none' | 'tls' | 'ssl';
  /** Accepts ANY certificate, so anyone on the network path can read and change everything. Prefer `caCertificates`. */
  readonly ignoreCertificateWarnings: boolean;
  /** PEM bundle of the authorities to trust. Empty: those of the system. */
  readonly caCertificates: string;
  /**
   * The bind DN that reads the directory, or a user name that the server accepts for binds (Active Directory: UPN).
   * Empty: anonymous.
   */
  readonly administrativeDn: string;
  /** The vendor whose rules apply. Empty: detected from the server's root DSE. */
  readonly vendor: Vendor | '';
  readonly timeouts: {
    readonly connectSeconds: number;
    readonly operationSeconds: number;
    readonly loginSeconds: number;
  };
}

/** The base DN that stands for the root of the tree, whose DN is empty (RFC 4514 section 2.1). */
export const ROOT_BASE = '""';

/** Which entries of the directory are people to import. */
export interface ScopeSettings {
  /** Empty: the directory's default naming context, or its only one. ROOT_BASE: the root of the tree. */
  readonly baseDn: string;
  /** RFC 4515 filter. White space between its parts is not sent. Empty: `(objectClass=*)`. */
  readonly filter: string;
  readonly depth: 'subtree' | 'oneLevel';
}

/** Which attribute maps to which field of a profile, and how. */
export interface MappingSettings extends Readonly<Record<ProfileField, string>> {
  readonly userName: string;
  /** Cuts a user name such as `anna@example.com` at its `@`. */
  readonly localPartOnly: boolean;
  /** Empty: no full name. */
  readonly fullName: string;
  /** Attributes separated by commas; the first address found is the primary one. Empty: no addresses. */
  readonly emailAddresses: string;
  /** Empty: chosen from the attributes that the server offers. */
  readonly uniqueId: string;
}

/** When runs start by themselves. */
export interface ScheduleSettings {
  readonly enabled: boolean;
  /** `rate(...)` or `cron(...)`, as EventBridge Scheduler writes them. */
  readonly expression: string;
  /** IANA time zone. */
  readonly timeZone: string;
}

/** When runs start, and how they treat missing and disabled people. */
export interface OptionSettings {
  readonly schedule: ScheduleSettings;
  readonly missingUsers: 'keep' | 'disable' | 'delete';
  readonly gracePeriodDays: number;
  /** How many users may lose access within the last `windowHours` hours: max(atLeast, percent of the known users). */
  readonly removalLimit: { readonly percent: number; readonly atLeast: number; readonly windowHours: number };
  readonly disabledUsers: 'disable' | 'skip' | 'import';
}

/** The whole document, without the password of the bind DN. */
export interface Settings {
  readonly connection: ConnectionSettings;
  readonly scope: ScopeSettings;
  readonly mapping: MappingSettings;
  readonly options: OptionSettings;
  readonly defaultPrivileges: readonly Privilege[];
}

/** The usual values for directories of a vendor, under the same field names as in the settings. */
export interface Presets {
  readonly scope: Pick<ScopeSettings, 'filter'>;
  readonly mapping: Pick<MappingSettings, ProfileField>;
}

/** The settings with the presets in empty fields, if no user name is mapped yet; otherwise unchanged. */
export function withPresets(settings: Settings, presets: Presets): Settings {
  const { scope, mapping } = settings;
  if (mapping.userName !== '') return settings;
  return {
    ...settings,
    scope: { ...scope, filter: scope.filter || presets.scope.filter },
    mapping: {
      ...mapping,
      ...Object.fromEntries(PROFILE_FIELDS.map((field) => [field, mapping[field] || presets.mapping[field]])),
    },
  };
}

/** The content of one secret: the settings, the password that belongs to exactly these settings, and their version. */
export interface StoredSettings {
  readonly settings: Settings;
  /** The password of the bind DN; empty if none is set. */
  readonly password: string;
  /** Opaque; changes with every write. */
  readonly version: string;
  /**
   * Sentences about settings that an earlier version stored and this version changed; empty once they are saved again.
   */
  readonly notices: readonly string[];
}
