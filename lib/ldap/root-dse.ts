/**
 * What a server says about itself in its root DSE (RFC 4512 section 5.1), and what follows from it: the vendor, the attribute
 * with the unique id, which part of the tree is searched.
 */
import type { SearchEntry } from 'ldapts';

import { ServiceError } from '../errors.ts';
import type { Connection } from './connection.ts';
import { RESULT, searchFault } from './fault.ts';
import { toSearchFilter } from './search-filter.ts';
import type { ID_ATTRIBUTES } from './unique-id.ts';

export const PAGED_RESULTS_OID = '1.2.840.113556.1.4.319'; // RFC 2696

export interface RootDse {
  /** For people to read: name and version as the server gives them, or what it looks like. */
  readonly vendor: string;
  /** The attribute with the unique id that servers of this vendor have; null where the vendor is not known. */
  readonly idAttribute: (typeof ID_ATTRIBUTES)[number] | null;
  /** Whether the server says that it can page. */
  readonly paging: boolean;
  readonly activeDirectory: boolean;
  readonly namingContexts: readonly string[];
  readonly defaultNamingContext: string | null;
}

// LDAP_CAP_ACTIVE_DIRECTORY_OID and LDAP_CAP_ACTIVE_DIRECTORY_ADAM_OID (MS-ADTS section 3.1.1.3.4.3).
const ACTIVE_DIRECTORY_OIDS = ['1.2.840.113556.1.4.800', '1.2.840.113556.1.4.1851'];

// The first that matches vendorName, vendorVersion or an object class of the root DSE. 389's ldif2db gives entries no entryUUID,
// so its own id is the one that is always there.
const VENDORS: readonly (readonly [RegExp, RootDse['idAttribute'], string])[] = [
  [/Samba Team/i, 'objectGUID', 'Samba'],
  [/OpenLDAP/i, 'entryUUID', 'OpenLDAP'],
  [/389 Project|Red Hat|Fedora|Netscape|Sun Microsystems|Oracle.*Directory/i, 'nsUniqueId', '389 Directory Server'],
  [/Novell|NetIQ|eDirectory|Micro Focus/i, 'GUID', 'eDirectory'],
  [/International Business Machines|\bIBM\b/i, 'ibm-entryUuid', 'IBM Security Directory'],
  [/ForgeRock|OpenDJ|Wren|Ping Identity|UnboundID|Apache Software|Isode|ViewDS/i, 'entryUUID', 'an RFC 4530 server'],
];

const EVERYTHING = toSearchFilter({ type: 'present', attribute: 'objectClass' });

/**
 * The root DSE. A server that hides it counts as one that says nothing.
 * @throws ServiceError connectionLost, operationTimeout, notLdap; readRefused and others where the bind does not allow to read
 */
export async function readRootDse(connection: Connection, withinMs: number): Promise<RootDse> {
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
        'supportedCapabilities',
        'namingContexts',
        'defaultNamingContext',
      ],
    },
    withinMs,
    (entry) => readAttributes(entry, attributes),
  );
  if (status !== RESULT.success && status !== RESULT.noSuchObject) {
    throw searchFault(status, diagnostic, connection.server, 'the search for the root DSE');
  }
  return interpret((name) => attributes.get(name.toLowerCase()) ?? []);
}

function readAttributes(entry: SearchEntry, into: Map<string, readonly string[]>): void {
  for (const { type, values } of entry.attributes) into.set(type.toLowerCase(), values.map(String));
}

function interpret(valuesOf: (name: string) => readonly string[]): RootDse {
  const named = [...valuesOf('vendorName'), ...valuesOf('vendorVersion')].join(' ');
  const about = [named, ...valuesOf('objectClass')].join(' ');
  const known = VENDORS.find(([pattern]) => pattern.test(about));
  const activeDirectory = valuesOf('supportedCapabilities').some((oid) => ACTIVE_DIRECTORY_OIDS.includes(oid));
  return {
    vendor: named || (activeDirectory ? 'Active Directory' : (known?.[2] ?? 'unknown vendor')),
    idAttribute: activeDirectory ? 'objectGUID' : (known?.[1] ?? null),
    paging: valuesOf('supportedControl').includes(PAGED_RESULTS_OID),
    activeDirectory,
    namingContexts: valuesOf('namingContexts'),
    defaultNamingContext: valuesOf('defaultNamingContext')[0] ?? null,
  };
}

/**
 * The base to search: the settings', else the default naming context, else the only one.
 * @throws ServiceError baseUnknown
 */
export function chooseBase(baseDn: string, rootDse: RootDse, server: string): string {
  if (baseDn !== '') return baseDn;
  if (rootDse.defaultNamingContext) return rootDse.defaultNamingContext;
  const [only, ...others] = rootDse.namingContexts.filter((context) => context !== '');
  if (only !== undefined && others.length === 0) return only;
  throw new ServiceError(
    'baseUnknown',
    `${server}: the settings name no base DN and the server has no single naming context`,
    {
      advice:
        only === undefined
          ? 'Enter the base DN; the server shows no naming context to this administrative DN.'
          : `Enter the base DN; the server offers ${[only, ...others].join(' and ')}.`,
    },
  );
}

/**
 * Where to look for somebody who may have moved: the innermost naming context around the base (entries keep their id only within
 * one), the base itself where the server shows none.
 */
export function chooseContext(baseDn: string, rootDse: RootDse): string {
  const around = rootDse.namingContexts.filter((context) => isBelow(baseDn, context));
  return around.sort((one, other) => other.length - one.length)[0] ?? baseDn;
}

function withoutCase(dn: string): string {
  return dn
    .toLowerCase()
    .replaceAll(/\s*([,=+])\s*/g, '$1')
    .trim();
}

/** Whether `dn` is `ancestor` or below it. Spelling in letter case and white space may differ, escapes may not. */
function isBelow(dn: string, ancestor: string): boolean {
  const [below, above] = [withoutCase(dn), withoutCase(ancestor)];
  return above === '' || below === above || (below.endsWith(`,${above}`) && !below.endsWith(`\\,${above}`));
}

/**
 * Whether a reference of a search result points to a part of an Active Directory forest that cannot hold people: the
 * partitions of configuration, schema and DNS (MS-ADTS sections 6.1.1.1.2 and 6.1.1.1.5). A search at the root of a domain returns
 * one for each. A child domain is no such part: its people would be missing.
 */
export function holdsNoPeople(reference: string, rootDse: RootDse): boolean {
  if (!rootDse.activeDirectory) return false;
  const dn = /^ldaps?:\/\/[^/]*\/([^?]*)/i.exec(reference)?.[1] ?? '';
  return /^(CN=Schema,)?CN=Configuration,|^DC=(DomainDnsZones|ForestDnsZones),/i.test(dn);
}
