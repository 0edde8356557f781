/**
 * The differences between vendors: how to detect a vendor from its root DSE, which attribute holds the unique id, which
 * ones show that an account is disabled, and the usual filter and mapping. Facts and pure functions; asks no server.
 */
import type { Presets, Vendor } from '../settings/settings.ts';
import { STATUS_ATTRIBUTES, type StatusAttribute } from './account-status.ts';
import type { ID_ATTRIBUTES } from './unique-id.ts';

type IdAttribute = (typeof ID_ATTRIBUTES)[number];

/** What Rollcall knows about a vendor's directory. */
export interface VendorFacts {
  /** For people to read. */
  readonly name: string;
  /** The attribute with the unique id, which every entry has; null if only the entries can show it. */
  readonly idAttribute: IdAttribute | null;
  /** The attributes that show whether an account is disabled. */
  readonly statusAttributes: readonly StatusAttribute[];
  /**
   * The status attribute that every entry of an object class has: where it is missing, the bind DN may not read it.
   * null if there is none.
   */
  readonly certainStatus: { readonly attribute: StatusAttribute; readonly objectClass: string } | null;
  /** The usual filter and mapping. */
  readonly presets: Presets;
}

// Attributes of object classes that any directory can hold: shadowAccount, sambaSamAccount, inetUser, qmailUser.
const PORTABLE_STATUS = ['shadowExpire', 'sambaAcctFlags', 'inetUserStatus', 'accountStatus'] as const;
const POSIX_STATUS = ['pwdAccountLockedTime', ...PORTABLE_STATUS] as const;
const COMMON_MAPPING = { userName: 'uid', fullName: 'cn', emailAddresses: 'mail' };

/** The facts by vendor. */
export const VENDOR_FACTS: Readonly<Record<Vendor, VendorFacts>> = {
  openLdap: {
    name: 'OpenLDAP',
    idAttribute: 'entryUUID',
    statusAttributes: POSIX_STATUS,
    certainStatus: null,
    presets: {
      scope: { filter: '(&(|(objectClass=person)(objectClass=posixAccount))(uid=*))' },
      mapping: COMMON_MAPPING,
    },
  },
  ds389: {
    name: '389 Directory Server',
    // Entries loaded with ldif2db have no entryUUID. All entries have nsUniqueId, those of FreeIPA too.
    idAttribute: 'nsUniqueId',
    // Oracle's directories, which are detected as this vendor, have the others.
    statusAttributes: [
      'nsAccountLock',
      ...PORTABLE_STATUS,
      'orclIsEnabled',
      'orclActiveEndDate',
      'ds-pwp-account-disabled',
    ],
    certainStatus: null,
    // Its own tools create people as nsPerson, which is not derived from person. People of FreeIPA have both.
    presets: {
      scope: { filter: '(&(|(objectClass=person)(objectClass=nsPerson))(uid=*))' },
      mapping: COMMON_MAPPING,
    },
  },
  activeDirectory: {
    name: 'Active Directory',
    idAttribute: 'objectGUID',
    statusAttributes: ['userAccountControl', 'accountExpires', 'msDS-UserAccountDisabled'],
    certainStatus: { attribute: 'userAccountControl', objectClass: 'user' },
    // The object class alone would include computers, the category alone contacts. isCriticalSystemObject excludes the
    // accounts that every domain has: Guest, krbtgt, Administrator.
    presets: {
      scope: { filter: '(&(objectCategory=person)(objectClass=user)(!(isCriticalSystemObject=TRUE)))' },
      mapping: { userName: 'sAMAccountName', fullName: 'displayName', emailAddresses: 'proxyAddresses, mail' },
    },
  },
  eDirectory: {
    name: 'eDirectory',
    idAttribute: 'GUID',
    statusAttributes: ['loginDisabled', 'loginExpirationTime'],
    certainStatus: null,
    // Its class User appears as inetOrgPerson in LDAP, with cn as the naming attribute.
    presets: {
      scope: { filter: '(&(objectClass=inetOrgPerson)(cn=*))' },
      mapping: { userName: 'cn', fullName: 'fullName', emailAddresses: 'mail' },
    },
  },
  apacheDs: {
    name: 'ApacheDS',
    idAttribute: 'entryUUID',
    statusAttributes: POSIX_STATUS,
    certainStatus: null,
    presets: { scope: { filter: '(&(objectClass=person)(uid=*))' }, mapping: COMMON_MAPPING },
  },
  unknown: {
    name: 'unknown vendor',
    idAttribute: null,
    statusAttributes: STATUS_ATTRIBUTES,
    certainStatus: null,
    presets: { scope: { filter: '(&(objectClass=person)(uid=*))' }, mapping: COMMON_MAPPING },
  },
};

/** The attributes of a root DSE that reveal the vendor. */
export interface Traits {
  readonly vendorName: readonly string[];
  readonly vendorVersion: readonly string[];
  readonly objectClass: readonly string[];
  readonly supportedCapabilities: readonly string[];
}

// LDAP_CAP_ACTIVE_DIRECTORY_OID and LDAP_CAP_ACTIVE_DIRECTORY_ADAM_OID (MS-ADTS section 3.1.1.3.4.3).
const ACTIVE_DIRECTORY_OIDS = ['1.2.840.113556.1.4.800', '1.2.840.113556.1.4.1851'];

// The first pattern that matches vendorName, vendorVersion or an object class of the root DSE decides.
const SIGNS: readonly (readonly [RegExp, Vendor])[] = [
  [/Samba Team/i, 'activeDirectory'],
  [/OpenLDAP/i, 'openLdap'],
  [/389 Project|389-Directory|Red Hat|Fedora|Netscape|Sun Microsystems|Oracle.*Directory/i, 'ds389'],
  [/Novell|NetIQ|eDirectory|Micro Focus/i, 'eDirectory'],
  [/Apache Software|ApacheDS/i, 'apacheDs'],
];

// AD LDS has msDS-UserAccountDisabled instead of userAccountControl, and not on every user.
const AD_LDS_OID = '1.2.840.113556.1.4.1851';

/**
 * The status attribute that every entry of an object class has on one server; null if there is none.
 * @param capabilities the supportedCapabilities of its root DSE
 */
export function certainStatusOf(vendor: Vendor, capabilities: readonly string[]): VendorFacts['certainStatus'] {
  return capabilities.includes(AD_LDS_OID) ? null : VENDOR_FACTS[vendor].certainStatus;
}

/** The vendor of a server with these traits. Active Directory has no vendorName, so its capabilities decide. */
export function detectVendor(traits: Traits): Vendor {
  if (traits.supportedCapabilities.some((oid) => ACTIVE_DIRECTORY_OIDS.includes(oid))) return 'activeDirectory';
  const about = [...traits.vendorName, ...traits.vendorVersion, ...traits.objectClass].join(' ');
  return SIGNS.find(([sign]) => sign.test(about))?.[1] ?? 'unknown';
}

// Vendors of which only the attribute with the unique id is known.
const OTHER_IDS: readonly (readonly [RegExp, IdAttribute])[] = [
  [/International Business Machines|\bIBM\b/i, 'ibm-entryUuid'],
  [/ForgeRock|OpenDJ|Wren|Ping Identity|UnboundID|Isode|ViewDS/i, 'entryUUID'],
];

/**
 * The attribute with the unique id on a server of this vendor; null if only the entries can show it.
 * @param product name and version; decides if the vendor is `unknown`
 */
export function vendorIdAttribute(vendor: Vendor, product: string): IdAttribute | null {
  if (vendor !== 'unknown') return VENDOR_FACTS[vendor].idAttribute;
  return OTHER_IDS.find(([sign]) => sign.test(product))?.[1] ?? null;
}
