/**
 * The reader of one connection: reads everybody in scope and looks single people up. Reports what it could not prove
 * instead of guessing. Decides nothing about users.
 */
import type { DirectoryReader, Whereabouts } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import type { Filter } from '../settings/filter.ts';
import type { Settings } from '../settings/settings.ts';
import type { Connection } from './connection.ts';
import { makeEntryReading } from './entry.ts';
import { directoryError, RESULT, searchFault } from './fault.ts';
import { readScope } from './reading/paged.ts';
import { chooseContext, type RootDse } from './root-dse.ts';
import { readSchema } from './schema.ts';
import { chooseScope, findIdSource, type Scope } from './scope.ts';
import { toSearchFilter } from './search-filter.ts';
import { readEntryId, uniqueIdValues } from './unique-id.ts';

/** Ids in one search: few enough for the size limits of servers. */
const LOCATE_BATCH = 100;

/**
 * A reader on a connection that is bound with the bind DN. Finds the base and the attribute with the unique id first.
 * @param now the time that decides whether an account has expired
 * @throws ServiceError with a DirectoryFaultCode
 */
export async function makeReader(
  settings: Settings,
  connection: Connection,
  rootDse: RootDse,
  withinMs: () => number,
  now: () => Date,
): Promise<DirectoryReader> {
  const { server } = connection;
  const scope = chooseScope(settings, rootDse, server);
  const find = (): ReturnType<typeof findIdSource> =>
    findIdSource(connection, scope, settings.mapping.uniqueId, rootDse, withinMs);
  const idSource = await find();
  const context: Omit<Scope, 'filter'> = { baseDn: chooseContext(scope.baseDn, rootDse), depth: 'sub' };
  const schema = await readSchema(connection, rootDse, withinMs());
  let { knownId } = idSource;

  /**
   * The DNs by id, for those ids whose entry is in this part of the directory. The other ids are proven not to be
   * there: the same search also asks for an entry that is known to exist. If the server can't compare ids, or the bind
   * DN may not search by them, that entry is missing from the answer too. References to other servers leave no gap,
   * because an entry that moves to another server gets a new id.
   */
  async function holders(
    ids: readonly string[],
    part: Omit<Scope, 'filter'>,
    within: Filter | null,
  ): Promise<Map<string, string>> {
    for (let attempt = 1; ; attempt += 1) {
      if (knownId === null) {
        throw new ServiceError('readRefused', `${server}: no entry in scope has a readable ${idSource.attribute}`, {
          advice:
            'Give the bind DN the right to read the people in scope. Without it, missing users cannot be looked up.',
        });
      }
      const asked = [...ids, knownId];
      const wanted = anyOf(asked, idSource.attribute, server);
      const filter: Filter = within === null ? wanted : { kind: 'and', filters: [within, wanted] };
      const found = await findIds(connection, asked, { ...part, filter }, idSource.attribute, withinMs());
      if (found.has(knownId)) return new Map([...found].map(([id, dns]) => [id, dns[0]!]));
      if (attempt === 2) {
        throw new ServiceError(
          'readRefused',
          `${server}: a search by ${idSource.attribute} does not find an entry that exists`,
          {
            advice: 'Give the bind DN the right to search by this attribute, and index the attribute on the server.',
          },
        );
      }
      // The known entry may have been deleted since, so look for another one.
      ({ knownId } = await find());
    }
  }

  return {
    server,
    identity: { name: server, identity: server },
    baseDn: scope.baseDn,
    idAttribute: idSource.attribute.toLowerCase(),
    get requests() {
      return connection.requests;
    },
    readPeople() {
      const reading = makeEntryReading(settings.mapping, idSource.attribute, rootDse, schema, now());
      return readScope(connection, scope, rootDse, reading, withinMs);
    },
    async locate(ids) {
      const whereabouts = new Map<string, Whereabouts>();
      for (let start = 0; start < ids.length; start += LOCATE_BATCH) {
        const batch = ids.slice(start, start + LOCATE_BATCH);
        const inScope = await holders(batch, scope, scope.filter);
        const others = batch.filter((id) => !inScope.has(id));
        const elsewhere = others.length === 0 ? inScope : await holders(others, context, null);
        for (const id of batch) {
          const dn = inScope.get(id) ?? elsewhere.get(id);
          whereabouts.set(id, dn === undefined ? { kind: 'gone' } : { kind: 'present', dn, inScope: inScope.has(id) });
        }
      }
      return whereabouts;
    },
    judgeBranch: async () => 'populated',
    close: () => connection.close(),
  };
}

/**
 * A filter that matches the entries with these ids.
 * @throws ServiceError directoryError for an id that this attribute can't hold: not finding it would prove nothing
 */
export function anyOf(ids: readonly string[], attribute: string, server: string): Filter {
  const filters = ids.flatMap((id) => {
    const values = uniqueIdValues(attribute, id);
    if (values.length === 0)
      throw directoryError(`${server}: "${id}" is not a valid value of ${attribute}`, RESULT.success);
    return values.map((value): Filter => ({ kind: 'equal', attribute, value }));
  });
  return { kind: 'or', filters };
}

/**
 * The DNs of the entries in scope with these unique ids, by id. Several entries may have the same id.
 * @throws ServiceError with a DirectoryFaultCode, unless the server returns success and no other entries
 */
export async function findIds(
  connection: Connection,
  ids: readonly string[],
  { baseDn, depth, filter }: Scope,
  idAttribute: string,
  withinMs: number,
): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  const asked = new Set(ids);
  let strangers = 0;
  const { status, diagnostic } = await connection.search(
    { baseDn, scope: depth, filter: toSearchFilter(filter), attributes: [idAttribute] },
    withinMs,
    (entry) => {
      const id = readEntryId(idAttribute, entry.attributes);
      if (id === null || !asked.has(id)) strangers += 1;
      else found.set(id, [...(found.get(id) ?? []), entry.name]);
    },
  );
  // The server compares ids differently, or hides them. Then an id that was not found proves nothing.
  if (strangers > 0) {
    throw directoryError(
      `${connection.server}: a search by ${idAttribute} returned entries that were not requested`,
      status,
    );
  }
  if (status !== RESULT.success) {
    throw searchFault(
      status,
      diagnostic,
      connection.server,
      `the search by ${idAttribute} below ${baseDn || 'the root'}`,
    );
  }
  return found;
}
