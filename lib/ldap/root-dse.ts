/**
 * Reads the root DSE of a server (RFC 4512 section 5.1) and draws conclusions from it: the vendor, the attribute with
 * the unique id, the base to search, the server's identity, whether a reference can lead to people. Reads no people.
 */
import type { SearchEntry } from 'ldapts';
import type { ServerIdentity } from '../directory/directory.ts';
import { dnKey, isAtOrBelow, ownTypes } from '../distinguished-name.ts';
import { ServiceError } from '../errors.ts';
import { ROOT_BASE, type Vendor } from '../settings/settings.ts';
import type { Connection } from './connection.ts';
import { RESULT, searchFault } from './fault.ts';
import { toSearchFilter } from './search-filter.ts';
import type { ID_ATTRIBUTES } from './unique-id.ts';
import { certainStatusOf, detectVendor, VENDOR_FACTS, type VendorFacts, vendorIdAttribute } from './vendor.ts';

const PAGED_RESULTS_OID = '1.2.840.113556.1.4.319'; // RFC 2696
const START_TLS_OID = '1.3.6.1.4.1.1466.20037'; // RFC 4511 section 4.14
const PASSWORD_POLICY_OID = '1.3.6.1.4.1.42.2.27.8.5.1'; // draft-behera-ldap-password-policy-10 section 6

/** What the root DSE says about a server. */
export interface RootDse {
  /** The vendor whose rules apply: the one in the settings, else the detected one. */
  readonly vendor: Vendor;
  readonly detectedVendor: Vendor;
  /** For people to read: the name and version that the server reports, else the name of the detected vendor. */
  readonly product: string;
  /** The attribute with the unique id on servers of this vendor; null if the vendor is unknown. */
  readonly idAttribute: (typeof ID_ATTRIBUTES)[number] | null;
  /** The status attribute that every entry of an object class has; null if this server has none. */
  readonly certainStatus: VendorFacts['certainStatus'];
  /** The DN of the schema; null if the root DSE names none. */
  readonly subschema: string | null;
  /** Whether the server announces paged searches. */
  readonly paging: boolean;
  readonly startTls: boolean;
  readonly passwordPolicy: boolean;
  readonly namingContexts: readonly string[];
  readonly defaultNamingContext: string | null;
  /** The server's own name; null if it tells none that distinguishes it from others. */
  readonly ownName: string | null;
}

/**
 * The attributes by which servers name themselves, the most telling first: Active Directory (MS-ADTS section
 * 3.1.1.3.2), eDirectory, the descendants of Netscape Directory Server (389, Oracle), IBM. OpenLDAP has none.
 */
const OWN_NAMES = [
  'dsServiceName',
  'serverName',
  'dnsHostName',
  'dsaName',
  'ibm-serverId',
  'netscapemdsuffix',
] as const;

const EVERYTHING = toSearchFilter({ kind: 'present', attribute: 'objectClass' });

/**
 * Reads the root DSE. If the server hides it, it counts as empty.
 * @param vendor from the settings; empty to detect it
 * @throws ServiceError connectionLost, operationTimeout, notLdap, readRefused or another DirectoryFaultCode
 */
export async function readRootDse(connection: Connection, vendor: Vendor | '', withinMs: number): Promise<RootDse> {
  const attributes = new Map<string, readonly string[]>();
  const { status, diagnostic } = await connection.search(
    {
      baseDn: '',
      scope: 'base',
      filter: EVERYTHING,
      attributes: [
        'objectClass',
        'vendorName',
        'vendorVersion',
        'supportedControl',
        'supportedExtension',
        'supportedCapabilities',
        'namingContexts',
        'defaultNamingContext',
        ...OWN_NAMES,
        'subschemaSubentry',
      ],
    },
    withinMs,
    (entry) => readAttributes(entry, attributes),
  );
  if (status !== RESULT.success && status !== RESULT.noSuchObject) {
    throw searchFault(status, diagnostic, connection.server, 'the search for the root DSE');
  }
  return interpret(vendor, (name) => attributes.get(name.toLowerCase()) ?? []);
}

/**
 * Whether the server announces the password policy control, before anybody is bound; null if it does not show that to
 * strangers. Any other answer proves that the server speaks LDAP and is well.
 * @throws ServiceError connectionLost, operationTimeout, notLdap or directoryError
 */
export async function announcesPolicy(connection: Connection, withinMs: number): Promise<boolean | null> {
  let controls: readonly string[] = [];
  const { status, diagnostic } = await connection.search(
    { baseDn: '', scope: 'base', filter: EVERYTHING, attributes: ['supportedControl'] },
    withinMs,
    ({ attributes }) => {
      controls = attributes.flatMap(({ values }) => values.map(String));
    },
  );
  if (status === RESULT.busy || status === RESULT.unavailable) {
    throw searchFault(status, diagnostic, connection.server, 'the search for the root DSE');
  }
  return controls.length === 0 ? null : controls.includes(PASSWORD_POLICY_OID);
}

function readAttributes(entry: SearchEntry, into: Map<string, readonly string[]>): void {
  for (const { type, values } of entry.attributes) into.set(type.toLowerCase(), values.map(String));
}

function interpret(chosen: Vendor | '', valuesOf: (name: string) => readonly string[]): RootDse {
  const vendorName = valuesOf('vendorName');
  const vendorVersion = valuesOf('vendorVersion');
  const traits = { vendorName, vendorVersion, objectClass: valuesOf('objectClass') };
  const supportedCapabilities = valuesOf('supportedCapabilities');
  const detectedVendor = detectVendor({ ...traits, supportedCapabilities });
  const vendor = chosen || detectedVendor;
  const product = [...vendorName, ...vendorVersion].join(' ') || VENDOR_FACTS[detectedVendor].name;
  return {
    vendor,
    detectedVendor,
    product,
    idAttribute: vendorIdAttribute(vendor, product),
    certainStatus: certainStatusOf(vendor, supportedCapabilities),
    subschema: valuesOf('subschemaSubentry')[0] || null,
    paging: valuesOf('supportedControl').includes(PAGED_RESULTS_OID),
    startTls: valuesOf('supportedExtension').includes(START_TLS_OID),
    passwordPolicy: valuesOf('supportedControl').includes(PASSWORD_POLICY_OID),
    namingContexts: valuesOf('namingContexts'),
    defaultNamingContext: valuesOf('defaultNamingContext')[0] ?? null,
    // Many servers believe that they are called localhost, also those on different machines.
    ownName: OWN_NAMES.flatMap(valuesOf).find((name) => name !== '' && !/\blocalhost\b/i.test(name)) ?? null,
  };
}

/** The server behind a connection: by its own name, else by the name in the settings and the address in use. */
export function identifyServer({ server, endpoint }: Connection, { ownName }: RootDse): ServerIdentity {
  return { name: server, identity: ownName ?? identityAt(server, endpoint) };
}

/** The identity of a server that does not tell its own name. */
export function identityAt(server: string, endpoint: string): string {
  return server === endpoint ? server : `${server} ${endpoint}`;
}

/**
 * The base to search: the base DN of the settings, else the default naming context, else the only naming context. The
 * root of the tree is '' here, and `""` in the settings.
 * @throws ServiceError baseUnknown
 */
export function chooseBase(baseDn: string, rootDse: RootDse, server: string): string {
  if (baseDn === ROOT_BASE) return '';
  if (baseDn !== '') return baseDn;
  if (rootDse.defaultNamingContext) return rootDse.defaultNamingContext;
  const [only, ...others] = rootDse.namingContexts;
  if (only !== undefined && others.length === 0) return only;
  if (only === undefined) {
    throw new ServiceError('baseUnknown', `${server}: the settings have no base DN, and the server names none`, {
      advice: 'Enter the base DN. The root DSE shows neither defaultNamingContext nor namingContexts to the bind DN.',
    });
  }
  const names = [only, ...others].map((context) => (context === '' ? `${ROOT_BASE} (the root)` : context));
  throw new ServiceError(
    'baseUnknown',
    `${server}: the settings have no base DN, and the server has several naming contexts`,
    { advice: `Enter the base DN. The server offers ${names.join(' and ')}.` },
  );
}

/**
 * The DN to search for people who may have left the base: the innermost naming context that contains the base, because
 * entries keep their id only within one; the base itself if the server shows none.
 */
export function chooseContext(baseDn: string, rootDse: RootDse): string {
  const around = rootDse.namingContexts.filter((context) => isAtOrBelow(baseDn, context));
  return around.find((context) => around.every((other) => isAtOrBelow(context, other))) ?? baseDn;
}

/** Whether the server may hold the base: one of its naming contexts contains it, or it shows none. */
export function mayHold(baseDn: string, { namingContexts }: RootDse): boolean {
  return namingContexts.length === 0 || namingContexts.some((context) => isAtOrBelow(baseDn, context));
}

// The partitions of configuration, schema and DNS (MS-ADTS sections 6.1.1.1.2 and 6.1.1.1.5). No application partition
// holds security principals, but the DNs of all others look like those of child domains.
const ACTIVE_DIRECTORY_PARTITION =
  /^(?:(?:CN=Schema,)?CN=Configuration|DC=(?:DomainDnsZones|ForestDnsZones))(?:,DC=[^,=]+)+$/i;

// An entry named by one of these attributes is a container, not a person.
const CONTAINER_TYPES: ReadonlySet<string> = new Set(['dc', 'ou', 'o', 'c', 'l', 'st']);

/**
 * Whether the DN of a search result reference shows that it leads to nobody in scope. docs/directories.md states the
 * rule for administrators.
 *
 * Subtree search: true only for the partitions of Active Directory that can't hold people. A search at the root of a
 * domain returns a reference to each of them. A child domain may hold people. One-level search: the reference stands
 * for a single entry (RFC 4511 section 4.5.3.3), so true if that entry is a container. A reference without a DN may
 * lead to people.
 * @param reference the LDAP URL
 */
export function leadsToNobody(reference: string, depth: 'one' | 'sub', vendor: Vendor): boolean {
  const dn = decodeUri(/^ldaps?:\/\/[^/]*\/([^?]*)/i.exec(reference)?.[1] ?? '');
  if (vendor === 'activeDirectory' && ACTIVE_DIRECTORY_PARTITION.test(dnKey(dn))) return true;
  const types = ownTypes(dn);
  return depth === 'one' && types.length > 0 && types.every((type) => CONTAINER_TYPES.has(type));
}

function decodeUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
