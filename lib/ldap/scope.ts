/**
 * What the settings select, once a server has been asked about itself: the base, the filter, the attribute with the unique id,
 * and one entry that is known to be there.
 */
import { invalidRequest, ServiceError } from '../errors.ts';
import { type Filter, parseFilter } from '../settings/filter.ts';
import type { Settings } from '../settings/settings.ts';
import type { Connection } from './connection.ts';
import { LIMIT_RESULTS, RESULT, searchFault } from './fault.ts';
import { chooseBase, type RootDse } from './root-dse.ts';
import { toSearchFilter } from './search-filter.ts';
import { ID_ATTRIBUTES, readUniqueId } from './unique-id.ts';

/** Everything that decides whom a read shows. */
export interface Scope {
  readonly baseDn: string;
  readonly depth: 'one' | 'sub';
  readonly filter: Filter;
}

/** Where the unique id is read from, and the id of an entry in scope that has one. */
export interface IdSource {
  /** As the vendor spells it, or the settings. */
  readonly attribute: string;
  /** null when nobody is in scope. */
  readonly knownId: string | null;
}

/** Entries a probe looks at. */
const PROBE_SIZE = 10;

export const EVERYBODY: Filter = { kind: 'present', attribute: 'objectClass' };

/**
 * @throws ServiceError baseUnknown; invalidRequest for a filter that can't be read, which saving the settings prevents
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
 * Finds the attribute with the unique id: the settings', else the one that servers of this vendor have, else the first that
 * the first entries in scope have. Looks at a few entries in any case, so that a base that is not there, a read that is not
 * allowed and ids that can't be seen come to light before anything is concluded from them.
 * @throws ServiceError baseNotFound, readRefused, uniqueIdMissing and others of a DirectoryFaultCode
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
  // The vendors' attributes are on every entry. One of the settings may be on people only, so look for those.
  if (uniqueId !== '') {
    const filter: Filter = { kind: 'and', filters: [scope.filter, { kind: 'present', attribute: uniqueId }] };
    const source = firstId(candidates, await probe(connection, { ...scope, filter }, candidates, withinMs()));
    if (source !== null) return source;
  }
  const entries = await probe(connection, scope, candidates, withinMs());
  const source = firstId(candidates, entries);
  if (source !== null) return source;
  if (entries.length === 0) return { attribute: candidates[0], knownId: null };
  throw new ServiceError(
    'uniqueIdMissing',
    `${connection.server}: the entries have no readable unique id (${candidates.join(', ')})`,
    {
      advice:
        'Give the bind DN the right to read the attribute, or choose another attribute as unique id in the mapping.',
    },
  );
}

export type Probed = ReadonlyMap<string, readonly Buffer[]>;

/**
 * The first entries in scope, ten at most, each as its values by attribute name in lower case.
 * @throws ServiceError baseNotFound, readRefused and others of a DirectoryFaultCode
 */
export async function probe(
  connection: Connection,
  { baseDn, depth, filter }: Scope,
  attributes: readonly string[],
  withinMs: number,
): Promise<readonly Probed[]> {
  const entries: Probed[] = [];
  const { status, diagnostic } = await connection.search(
    { baseDn, scope: depth, filter: toSearchFilter(filter), attributes, sizeLimit: PROBE_SIZE },
    withinMs,
    (found) => entries.push(new Map(found.attributes.map((one) => [one.type.toLowerCase(), one.parsedBuffers]))),
  );
  // Meeting our own limit, or one of the server's, is no fault here: reading says later what was left out.
  if (status !== RESULT.success && !LIMIT_RESULTS.has(status)) {
    throw searchFault(status, diagnostic, connection.server, `the search below ${baseDn}`);
  }
  return entries;
}

function firstId(candidates: readonly string[], entries: readonly Probed[]): IdSource | null {
  for (const entry of entries) {
    for (const attribute of candidates) {
      const knownId = readUniqueId(attribute, entry.get(attribute.toLowerCase()) ?? []);
      if (knownId !== null) return { attribute, knownId };
    }
  }
  return null;
}
