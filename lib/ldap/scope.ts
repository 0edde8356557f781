/**
 * The scope of the settings on a server whose root DSE is known: the base, the filter, the attribute with the unique
 * id, and one entry that is known to exist, in scope or elsewhere. Reads a few entries at most.
 */
import { invalidRequest, ServiceError } from '../errors.ts';
import { type Filter, parseFilter } from '../settings/filter.ts';
import type { Settings } from '../settings/settings.ts';
import type { Connection } from './connection.ts';
import type { FoundAttribute } from './entry.ts';
import { LIMIT_RESULTS, RESULT, searchFault } from './fault.ts';
import { chooseBase, chooseContext, type RootDse } from './root-dse.ts';
import { toSearchFilter } from './search-filter.ts';
import { ID_ATTRIBUTES, readEntryId } from './unique-id.ts';

/** Base, depth and filter: what decides which entries a read returns. */
export interface Scope {
  readonly baseDn: string;
  readonly depth: 'one' | 'sub';
  readonly filter: Filter;
}

/** A part of the directory, and the filter within it; null for every entry. */
export interface SearchArea {
  readonly baseDn: string;
  readonly depth: 'base' | 'one' | 'sub';
  readonly filter: Filter | null;
}

/** The attribute with the unique id, and the id of one entry. */
export interface IdSource {
  /** Spelled as the vendor or the settings spell it. */
  readonly attribute: string;
  /** null if there is no entry. */
  readonly knownId: string | null;
}

/** The most entries that a probe reads. */
const PROBE_SIZE = 10;

/** The filter that matches every entry. */
export const EVERYBODY: Filter = { kind: 'present', attribute: 'objectClass' };

/**
 * The scope of these settings on this server.
 * @throws ServiceError baseUnknown; invalidRequest for an invalid filter, which stored settings never contain
 */
export function chooseScope({ scope }: Settings, rootDse: RootDse, server: string): Scope {
  return {
    baseDn: chooseBase(scope.baseDn, rootDse, server),
    depth: scope.depth === 'oneLevel' ? 'one' : 'sub',
    filter: scope.filter === '' ? EVERYBODY : readFilter(scope.filter),
  };
}

function readFilter(text: string): Filter {
  const parsed = parseFilter(text);
  if (parsed.kind === 'fault')
    throw invalidRequest([{ path: 'scope.filter', message: `${parsed.message} at position ${parsed.position}` }]);
  return parsed.filter;
}

/**
 * Finds the attribute with the unique id: the one in the settings, else the one of the vendor, else the first candidate
 * that the first entries in scope have or, if there are none, other entries of the naming context. Always reads a few
 * entries, so that a missing base, a refused read or unreadable ids fail here, before anything is concluded from them.
 * @throws ServiceError baseNotFound, readRefused, uniqueIdMissing or another DirectoryFaultCode
 */
export async function findIdSource(
  connection: Connection,
  scope: Scope,
  uniqueId: string,
  rootDse: RootDse,
  withinMs: () => number,
): Promise<IdSource> {
  const candidates: readonly [string, ...string[]] =
    uniqueId !== '' ? [uniqueId] : rootDse.idAttribute !== null ? [rootDse.idAttribute] : ID_ATTRIBUTES;
  // Every entry has the vendor's attribute. Only some may have the one in the settings, so search for those first.
  if (uniqueId !== '') {
    const filter: Filter = { kind: 'and', filters: [scope.filter, { kind: 'present', attribute: uniqueId }] };
    const source = firstId(candidates, await probe(connection, { ...scope, filter }, candidates, withinMs()));
    if (source !== null) return source;
  }
  const entries = await probe(connection, scope, candidates, withinMs());
  const source = firstId(candidates, entries);
  if (source !== null) return source;
  if (entries.length === 0) {
    const outside =
      candidates.length > 1
        ? await findOutside(connection, chooseContext(scope.baseDn, rootDse), candidates, withinMs)
        : null;
    return { attribute: outside?.attribute ?? candidates[0], knownId: null };
  }
  throw new ServiceError(
    'uniqueIdMissing',
    `${connection.server}: the entries have no readable unique id (${candidates.join(', ')})`,
    {
      advice:
        'Give the bind DN the right to read the attribute, or choose another attribute as unique id in the mapping.',
    },
  );
}

/**
 * The id of any entry of a naming context, whether in scope or not: of its topmost entry, or of another one. null if
 * the bind DN can read none.
 * @throws ServiceError with a DirectoryFaultCode, but not for a refused search
 */
export async function findOutside(
  connection: Connection,
  context: string,
  candidates: readonly string[],
  withinMs: () => number,
): Promise<IdSource | null> {
  const areas: SearchArea[] = [
    // Below the empty DN is the whole tree; the entry itself is the root DSE, which no search finds.
    ...(context === '' ? [] : [{ baseDn: context, depth: 'base', filter: null } as const]),
    ...candidates.map(
      (attribute) => ({ baseDn: context, depth: 'sub', filter: { kind: 'present', attribute } }) as const,
    ),
  ];
  for (const area of areas) {
    try {
      const source = firstId(candidates, await probe(connection, area, candidates, withinMs()));
      if (source !== null) return source;
    } catch (error) {
      if (!(error instanceof ServiceError && (error.code === 'baseNotFound' || error.code === 'readRefused')))
        throw error;
    }
  }
  return null;
}

/** The attributes of one entry. */
export type Probed = readonly FoundAttribute[];

/**
 * The first entries in scope, ten at most.
 * @throws ServiceError baseNotFound, readRefused or another DirectoryFaultCode
 */
export async function probe(
  connection: Connection,
  { baseDn, depth, filter }: SearchArea,
  attributes: readonly string[],
  withinMs: number,
): Promise<readonly Probed[]> {
  const entries: Probed[] = [];
  const { status, diagnostic } = await connection.search(
    { baseDn, scope: depth, filter: toSearchFilter(filter ?? EVERYBODY), attributes, sizeLimit: PROBE_SIZE },
    withinMs,
    (found) => entries.push(found.attributes),
  );
  // Reaching our own limit, or one of the server's, is not a fault here. The read reports later what was left out.
  if (status !== RESULT.success && !LIMIT_RESULTS.has(status)) {
    throw searchFault(status, diagnostic, connection.server, `the search below ${baseDn || 'the root'}`);
  }
  return entries;
}

function hasName(type: string, attribute: string): boolean {
  return type.toLowerCase() === attribute.toLowerCase();
}

function firstId(candidates: readonly string[], entries: readonly Probed[]): IdSource | null {
  for (const entry of entries) {
    for (const attribute of candidates) {
      // Only one that was asked for alone may have come under another name.
      const shown = candidates.length === 1 ? entry : entry.filter(({ type }) => hasName(type, attribute));
      const knownId = readEntryId(attribute, shown);
      if (knownId !== null) return { attribute, knownId };
    }
  }
  return null;
}
