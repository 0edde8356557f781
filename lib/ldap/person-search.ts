/**
 * Looks one person up for a login: where their entry is, by unique id or by user name, and what their own connection
 * may read of it. Tells apart an entry that is absent and one that the connection can't see. Decides nothing about
 * users.
 */
import type { NamedEntries } from '../directory/directory.ts';
import type { Entry } from '../directory/entry.ts';
import { ServiceError } from '../errors.ts';
import type { Filter } from '../settings/filter.ts';
import type { MappingSettings } from '../settings/settings.ts';
import type { Connection } from './connection.ts';
import { makeEntryReading } from './entry.ts';
import { directoryError, RESULT, searchFault } from './fault.ts';
import { matchIds, searchIds } from './id-search.ts';
import type { ReaderParts } from './reader.ts';
import { readOn } from './reading/range.ts';
import { chooseContext } from './root-dse.ts';
import { readSchema } from './schema.ts';
import { chooseScope, EVERYBODY, findIdSource, type IdSource, probe, type Scope, type SearchArea } from './scope.ts';
import { toSearchFilter } from './search-filter.ts';
import { readEntryId, uniqueIdValues } from './unique-id.ts';

/** More entries than this with one user name are of no use to a login. */
const MAX_NAMESAKES = 10;

/** The results of a search that mean: not with the rights of this connection. */
const UNREADABLE: ReadonlySet<number> = new Set([
  RESULT.operationsError,
  RESULT.noSuchObject,
  RESULT.inappropriateAuthentication,
  RESULT.insufficientAccessRights,
  RESULT.unwillingToPerform,
]);

/** What a connection has shown so far: where ids are, and an entry that has one. */
export interface Sight {
  /** null until it is known. */
  source: IdSource | null;
}

/**
 * Finds out where ids are, before anybody is looked up: then a look-up is one search, whether there is such a person or
 * not. A fault that leaves the connection usable is left to the look-up.
 * @throws ServiceError with a DirectoryFaultCode
 */
export async function takeSight({ settings, connection, rootDse, withinMs }: ReaderParts): Promise<Sight> {
  try {
    const scope = chooseScope(settings, rootDse, connection.server);
    return { source: await findIdSource(connection, scope, settings.mapping.uniqueId, rootDse, withinMs) };
  } catch (error) {
    if (!(error instanceof ServiceError) || !connection.usable) throw error;
    return { source: null };
  }
}

/** Where ids are: as the connection has found out before, else with a search now. */
async function usualSource(
  { settings, connection, rootDse, withinMs, sight }: ReaderParts & { readonly sight: Sight },
  scope: Scope,
): Promise<IdSource> {
  sight.source ??= await findIdSource(connection, scope, settings.mapping.uniqueId, rootDse, withinMs);
  return sight.source;
}

/**
 * The DN of the only entry with this id in the naming context; of several, the one with the stored DN. null if there is
 * none, proven by an entry in scope that the same connection finds by its id. Both are sought together, so that time
 * does not tell whether there is such a person.
 * @param sight of this connection; renewed if the entry that it knows is gone
 * @param idAttribute null: the attribute that runs read ids from
 * @throws ServiceError with a DirectoryFaultCode; readRefused if the connection finds nobody by this attribute
 */
export async function findDnById(
  parts: ReaderParts & { readonly sight: Sight },
  id: string,
  idAttribute: string | null,
  storedDn: string | undefined,
): Promise<string | null> {
  const { settings, connection, rootDse, withinMs, sight } = parts;
  const scope = chooseScope(settings, rootDse, connection.server);
  const attribute = idAttribute ?? (await usualSource(parts, scope)).attribute;
  const isUsual = sight.source?.attribute.toLowerCase() === attribute.toLowerCase();
  const witness = isUsual ? sight.source!.knownId : null;
  // No entry can have such an id.
  if (uniqueIdValues(attribute, id).length === 0) return null;
  const context: SearchArea = { baseDn: chooseContext(scope.baseDn, rootDse), depth: 'sub', filter: null };
  const asked = [...new Set(witness === null ? [id] : [id, witness])];
  const holders = await searchIds(connection, asked, context, attribute, withinMs());
  const { found, strangers } = matchIds([id], holders, new Set(asked));
  // The server compares ids differently, or hides them. Then an id that was not found proves nothing.
  if (strangers.size > 0) {
    throw directoryError(
      `${connection.server}: a search by ${attribute} returned entries that were not requested`,
      RESULT.success,
    );
  }
  const dns = (found.get(id) ?? []).map(({ dn }) => dn);
  if (dns.length === 1) return dns[0]!;
  // An id that was given to a second entry by mistake says nothing about the first one, which is where it was.
  if (dns.length > 1) return dns.find((dn) => dn.toLowerCase() === storedDn?.toLowerCase()) ?? null;

  if (witness !== null && holders.some((one) => one.id === witness)) return null;
  const renewed = await findIdSource(connection, scope, attribute, rootDse, withinMs);
  await proveSight(connection, context, attribute, renewed.knownId, withinMs());
  if (isUsual) sight.source = renewed;
  return null;
}

/**
 * Makes sure that the connection finds an entry by its id which is known to exist. If it finds none, an id that is not
 * found proves nothing.
 * @param knownId of any entry in scope; null if the connection sees none
 * @throws ServiceError readRefused or another DirectoryFaultCode
 */
export async function proveSight(
  connection: Connection,
  context: SearchArea,
  idAttribute: string,
  knownId: string | null,
  withinMs: number,
): Promise<void> {
  const known = knownId === null ? [] : await searchIds(connection, [knownId], context, idAttribute, withinMs);
  if (known.some(({ id }) => id === knownId)) return;
  throw unseen(connection, idAttribute, knownId === null);
}

function unseen({ server }: Connection, attribute: string, seesNobody: boolean): ServiceError {
  const whom = seesNobody ? 'any entry in scope' : 'an entry that exists';
  return new ServiceError('readRefused', `${server}: a search by ${attribute} does not find ${whom}`, {
    advice:
      `Give the bind DN the right to search by ${attribute} and to read it, and index the attribute on the server. ` +
      'Check base DN, depth and filter.',
  });
}

/**
 * The entries in scope that may have this user name. None, only if the same connection finds an entry by its user name.
 * @throws ServiceError with a DirectoryFaultCode, also if there are more than a few or the answer is incomplete;
 *   readRefused if the connection finds nobody by this attribute
 */
export async function searchUserName(
  parts: ReaderParts & { readonly sight: Sight },
  userName: string,
): Promise<NamedEntries> {
  const { settings, connection, rootDse, withinMs, now } = parts;
  const { mapping } = settings;
  const scope = chooseScope(settings, rootDse, connection.server);
  const { attribute } = await usualSource(parts, scope);
  const schema = await readSchema(connection, rootDse, withinMs());
  const reading = makeEntryReading(mapping, attribute, rootDse, schema, now());

  async function search(name: Filter): Promise<readonly Entry[]> {
    const entries: Entry[] = [];
    const filter = toSearchFilter({ kind: 'and', filters: [scope.filter, name] });
    const { status, diagnostic } = await connection.search(
      { baseDn: scope.baseDn, scope: scope.depth, filter, attributes: reading.attributes, sizeLimit: MAX_NAMESAKES },
      withinMs(),
      (found) => entries.push(reading.read(found)),
    );
    if (status !== RESULT.success) {
      const where = scope.baseDn || 'the root';
      throw searchFault(status, diagnostic, connection.server, `the search for a user name below ${where}`);
    }
    await readOn(connection, reading, entries, withinMs);
    return entries;
  }

  const entries = await search(nameFilter(mapping, userName));
  if (entries.length > 0) return { idAttribute: attribute.toLowerCase(), entries };
  const named: Filter = { kind: 'and', filters: [scope.filter, { kind: 'present', attribute: mapping.userName }] };
  const [known] = await probe(connection, { ...scope, filter: named }, [mapping.userName], withinMs());
  const value = known?.[0]?.parsedBuffers[0];
  if (value !== undefined) {
    const same = await search({ kind: 'equal', attribute: mapping.userName, value });
    if (same.length > 0) return { idAttribute: attribute.toLowerCase(), entries: [] };
  }
  throw unseen(connection, mapping.userName, value === undefined);
}

/** `(uid=anna)` or, if names are cut at the @, `(|(mail=anna)(mail=anna@*))`. */
function nameFilter({ userName: attribute, localPartOnly }: MappingSettings, userName: string): Filter {
  const whole: Filter = { kind: 'equal', attribute, value: Buffer.from(userName) };
  if (!localPartOnly) return whole;
  const initial = Buffer.from(`${userName}@`);
  return { kind: 'or', filters: [whole, { kind: 'substrings', attribute, initial, any: [], final: null }] };
}

/**
 * The unique id of the entry with this DN, read with the rights of whoever is bound; null if they can't read it.
 * @throws ServiceError with a DirectoryFaultCode
 */
export async function readIdOf(
  connection: Connection,
  dn: string,
  idAttribute: string,
  withinMs: number,
): Promise<string | null> {
  let id: string | null = null;
  const { status, diagnostic } = await connection.search(
    { baseDn: dn, scope: 'base', filter: toSearchFilter(EVERYBODY), attributes: [idAttribute] },
    withinMs,
    (entry) => {
      id = readEntryId(idAttribute, entry.attributes);
    },
  );
  if (status === RESULT.success) return id;
  if (UNREADABLE.has(status)) return null;
  throw searchFault(status, diagnostic, connection.server, 'the search for the own entry of the person');
}
