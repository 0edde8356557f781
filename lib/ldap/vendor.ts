/**
 * What is particular to each vendor's directory: how its root DSE gives it away, which attribute names an entry for ever, which
 * ones mark an account disabled, and what its administrators usually map. Facts and pure functions; asks no server.
 */
import type { Presets, Vendor } from '../settings/settings.ts';
import { STATUS_ATTRIBUTES, type StatusAttribute } from './account-status.ts';
import type { ID_ATTRIBUTES } from './unique-id.ts';

type IdAttribute = (typeof ID_ATTRIBUTES)[number];

export interface VendorFacts {
  /** For people to read. */
  readonly name: string;
  /** The attribute with the unique id, on every entry; null where only a look at entries can tell. */
  readonly idAttribute: IdAttribute | null;
  /** What a search asks for to know whether an account is disabled. */
  readonly statusAttributes: readonly StatusAttribute[];
  /** The status attribute that everybody of an object class has, so that who does not see it may not read it; null = none is. */
  readonly certainStatus: { readonly attribute: StatusAttribute; readonly objectClass: string } | null;
  readonly presets: Presets;
}

const POSIX_STATUS = ['pwdAccountLockedTime', 'shadowExpire'] as const;
const COMMON_MAPPING = { userName: 'uid', fullName: 'cn', emailAddresses: 'mail' };

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
    // Its ldif2db gives entries no entryUUID; this one is always there, below FreeIPA too.
    idAttribute: 'nsUniqueId',
    statusAttributes: ['nsAccountLock', 'shadowExpire'],
    certainStatus: null,
    // nsPerson is what its own tools make people of, and no kind of person. FreeIPA's people are both.
    presets: {
      scope: { filter: '(&(|(objectClass=person)(objectClass=nsPerson))(uid=*))' },
      mapping: COMMON_MAPPING,
    },
  },
  activeDirectory: {
    name: 'Active Directory',
    idAttribute: 'objectGUID',
    statusAttributes: ['userAccountControl', 'accountExpires'],
    certainStatus: { attribute: 'userAccountControl', objectClass: 'user' },
    // The object class alone would take in computers, the category alone contacts. Critical for the system are the accounts that
    // every domain has: Guest, krbtgt, Administrator.
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
    // Its class User is inetOrgPerson in LDAP, and named by cn.
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

/** What of a root DSE tells its vendor. */
export interface Traits {
  readonly vendorName: readonly string[];
  readonly vendorVersion: readonly string[];
  readonly objectClass: readonly string[];
  readonly supportedCapabilities: readonly string[];
}

// LDAP_CAP_ACTIVE_DIRECTORY_OID and LDAP_CAP_ACTIVE_DIRECTORY_ADAM_OID (MS-ADTS section 3.1.1.3.4.3).
const ACTIVE_DIRECTORY_OIDS = ['1.2.840.113556.1.4.800', '1.2.840.113556.1.4.1851'];

// The first that matches vendorName, vendorVersion or an object class of the root DSE.
const SIGNS: readonly (readonly [RegExp, Vendor])[] = [
  [/Samba Team/i, 'activeDirectory'],
  [/OpenLDAP/i, 'openLdap'],
  [/389 Project|389-Directory|Red Hat|Fedora|Netscape|Sun Microsystems|Oracle.*Directory/i, 'ds389'],
  [/Novell|NetIQ|eDirectory|Micro Focus/i, 'eDirectory'],
  [/Apache Software|ApacheDS/i, 'apacheDs'],
];

/** Active Directory names no vendor, only what it is capable of. */
export function detectVendor(traits: Traits): Vendor {
  if (traits.supportedCapabilities.some((oid) => ACTIVE_DIRECTORY_OIDS.includes(oid))) return 'activeDirectory';
  const about = [...traits.vendorName, ...traits.vendorVersion, ...traits.objectClass].join(' ');
  return SIGNS.find(([sign]) => sign.test(about))?.[1] ?? 'unknown';
}

// Vendors of which no more is known than where their unique id is.
const OTHER_IDS: readonly (readonly [RegExp, IdAttribute])[] = [
  [/International Business Machines|\bIBM\b/i, 'ibm-entryUuid'],
  [/ForgeRock|OpenDJ|Wren|Ping Identity|UnboundID|Isode|ViewDS/i, 'entryUUID'],
];

/** The attribute with the unique id on a server of this vendor; null where only a look at entries can tell. */
export function vendorIdAttribute(vendor: Vendor, product: string): IdAttribute | null {
  if (vendor !== 'unknown') return VENDOR_FACTS[vendor].idAttribute;
  return OTHER_IDS.find(([sign]) => sign.test(product))?.[1] ?? null;
}
