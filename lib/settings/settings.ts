/**
 * The one document an administrator edits, as types and defaults. Its validation, which needs zod, is in
 * settings-schema.ts, so that what only reads settings does not carry it.
 */
import type { Privilege } from '../user/privilege.ts';
import type { ProfileField } from '../user/user.ts';
import { PROFILE_FIELDS } from '../user/user.ts';

/**
 * Families of directories that differ in more than their name: the unique id, how accounts are disabled, what is usually
 * mapped. `ds389`: 389 Directory Server and what is made of it, FreeIPA too. `activeDirectory`: also Samba. `unknown`: any other.
 */
export const VENDORS = ['openLdap', 'ds389', 'activeDirectory', 'eDirectory', 'apacheDs', 'unknown'] as const;

export type Vendor = (typeof VENDORS)[number];

export interface ConnectionSettings {
  /** DNS names or IP addresses (IPv6 in brackets), optional `:port`; tried in this order. */
  readonly servers: readonly string[];
  /** `none`: LDAP on 389. `tls`: StartTLS on 389. `ssl`: LDAPS on 636. */
  readonly encryption: 'none' | 'tls' | 'ssl';
  /** Accepts ANY certificate, so anyone in between can read and change everything. Prefer `caCertificates`. */
  readonly ignoreCertificateWarnings: boolean;
  /** PEM bundle to trust instead of the system's. Empty = the system's. */
  readonly caCertificates: string;
  /** DN, or user name as a server takes it for a bind (AD: UPN), that reads the directory. Empty = anonymous. */
  readonly administrativeDn: string;
  /** Whose rules hold. Empty = as the server's root DSE tells. */
  readonly vendor: Vendor | '';
  readonly timeouts: {
    readonly connectSeconds: number;
    readonly operationSeconds: number;
    readonly loginSeconds: number;
  };
}

export interface ScopeSettings {
  /** Empty = the directory's default naming context, or its only one. */
  readonly baseDn: string;
  /** RFC 4515 filter, added to nothing: exactly this one is searched. Empty = `(objectClass=*)`. */
  readonly filter: string;
  readonly depth: 'subtree' | 'oneLevel';
}

/** Which attribute gives which field of a profile, and how. */
export interface MappingSettings extends Readonly<Record<ProfileField, string>> {
  readonly userName: string;
  /** Cuts a user name of address form at its `@`. */
  readonly localPartOnly: boolean;
  /** Empty = none is taken. */
  readonly fullName: string;
  /** Attributes separated by comma; the first address found is the primary one. Empty = none are taken. */
  readonly emailAddresses: string;
  /** Empty = chosen from what the server offers. */
  readonly uniqueId: string;
}

export interface OptionSettings {
  readonly schedule: { readonly enabled: boolean; readonly expression: string; readonly timeZone: string };
  readonly missingUsers: 'keep' | 'disable' | 'delete';
  readonly gracePeriodDays: number;
  readonly removalLimit: { readonly percent: number; readonly atLeast: number };
  readonly disabledUsers: 'disable' | 'skip' | 'import';
}

export interface Settings {
  readonly connection: ConnectionSettings;
  readonly scope: ScopeSettings;
  readonly mapping: MappingSettings;
  readonly options: OptionSettings;
  readonly defaultPrivileges: readonly Privilege[];
}

/** What is usual in the directories of a vendor, field by field as in the settings. */
export interface Presets {
  readonly scope: Pick<ScopeSettings, 'filter'>;
  readonly mapping: Pick<MappingSettings, ProfileField>;
}

/** The settings with what is usual in the fields that are empty, if no user name is mapped yet; else as they are. */
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

/** What the store keeps as one secret: the settings, the password that belongs to exactly them, and their version. */
export interface StoredSettings {
  readonly settings: Settings;
  /** For the administrative DN; empty = none set. */
  readonly password: string;
  /** Opaque; another one after every write. */
  readonly version: string;
}
