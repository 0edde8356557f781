/**
 * The reader of one connection: reads everybody in scope, looks single people up, judges branches. Reports what it
 * could not prove instead of guessing. Decides nothing about users.
 */
import type { DirectoryReader, Whereabouts } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import type { Filter } from '../settings/filter.ts';
import type { Settings } from '../settings/settings.ts';
import { judgeBranch } from './branch.ts';
import type { Connection } from './connection.ts';
import { makeEntryReading } from './entry.ts';
import { type Holder, matchIds, searchIds } from './id-search.ts';
import { readScope } from './reading/paged.ts';
import { chooseContext, identifyServer, type RootDse } from './root-dse.ts';
import { readSchema } from './schema.ts';
import { chooseScope, findIdSource, findOutside, type IdSource, type SearchArea } from './scope.ts';

/** Ids in one search: few enough for the size limits of servers. */
const LOCATE_BATCH = 100;

/** The answer to one search by id. */
interface Answered {
  readonly ids: readonly string[];
  /** The id of the entry that is known to exist, which was asked for too. */
  readonly proof: string | null;
  readonly holders: readonly Holder[];
}

/** A connection that is bound with the bind DN, and what is known of its server. */
export interface ReaderParts {
  readonly settings: Settings;
  readonly connection: Connection;
  readonly rootDse: RootDse;
  /** The time for the next request. */
  readonly withinMs: () => number;
  /** The time that decides whether an account has expired. */
  readonly now: () => Date;
}

/**
 * A reader for reading everybody. Finds the base and the attribute with the unique id first.
 * @throws ServiceError with a DirectoryFaultCode
 */
export async function openScope(parts: ReaderParts): Promise<DirectoryReader> {
  const { settings, connection, rootDse, withinMs } = parts;
  const scope = chooseScope(settings, rootDse, connection.server);
  const find = (): Promise<IdSource> => findIdSource(connection, scope, settings.mapping.uniqueId, rootDse, withinMs);
  return makeReader(parts, await find(), find);
}

/**
 * A reader for looking up the people of another server, by the same attribute. Sends nothing yet, so the base may be
 * missing: then nobody is in scope.
 */
export function openView(parts: ReaderParts, idAttribute: string): DirectoryReader {
  return makeReader(parts, { attribute: idAttribute, knownId: null }, null);
}

/**
 * @param findAgain finds another entry in scope that is known to exist; null if nobody need be in scope
 */
function makeReader(
  { settings, connection, rootDse, withinMs, now }: ReaderParts,
  { attribute, knownId }: IdSource,
  findAgain: (() => Promise<IdSource>) | null,
): DirectoryReader {
  const { server } = connection;
  const scope = chooseScope(settings, rootDse, server);
  const context: SearchArea = { baseDn: chooseContext(scope.baseDn, rootDse), depth: 'sub', filter: null };
  /** Ids that are known to exist: in scope, and anywhere in the naming context. */
  let proofs = { scope: knownId, context: knownId };

  async function renewProofs(): Promise<void> {
    const known = findAgain === null ? null : (await findAgain()).knownId;
    const outside = known === null ? await findOutside(connection, context.baseDn, [attribute], withinMs) : null;
    proofs = { scope: known, context: known ?? outside?.knownId ?? null };
  }

  /**
   * The entries with these ids in this part of the directory. The same search also asks for an entry that is known to
   * exist there: if the server can't compare ids, or the bind DN may not search by them, that entry is missing from the
   * answer too. In a scope without a known entry there is no such proof. References to other servers leave no gap,
   * because an entry that moves to another server gets a new id.
   */
  async function holdersIn(part: 'scope' | 'context', ids: readonly string[]): Promise<Answered> {
    const area = part === 'scope' ? scope : context;
    for (let attempt = 1; ; attempt += 1) {
      const proof = proofs[part];
      const asked = proof === null ? ids : [...ids, proof];
      const holders = await searchIds(connection, asked, area, attribute, withinMs());
      if (proof === null || holders.some(({ id }) => id === proof)) return { ids, proof, holders };
      if (attempt === 2) {
        throw new ServiceError(
          'readRefused',
          `${server}: a search by ${attribute} does not find an entry that exists`,
          {
            advice: 'Give the bind DN the right to search by this attribute, and index the attribute on the server.',
          },
        );
      }
      // The known entry may have been deleted since, so look for another one.
      await renewProofs();
    }
  }

  /** The DNs of those entries that are in scope, by the ids as the server spells them. */
  async function findInScope(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const dns = new Map<string, string>();
    for (const batch of batchesOf(ids)) {
      try {
        const { holders } = await holdersIn('scope', batch);
        for (const { id, dn } of holders) if (id !== null) dns.set(id, dn);
      } catch (error) {
        const isMissing = error instanceof ServiceError && error.code === 'baseNotFound';
        if (findAgain !== null || !isMissing) throw error;
      }
    }
    return dns;
  }

  async function locate(ids: readonly string[]): Promise<ReadonlyMap<string, Whereabouts>> {
    if (proofs.context === null) await renewProofs();
    if (proofs.context === null) {
      const reason = `${server}: the bind DN can't read the ${attribute} of any entry below ${context.baseDn}`;
      return new Map(ids.map((id) => [id, { kind: 'unproven', reason }]));
    }
    const answers: Answered[] = [];
    for (const batch of batchesOf(ids)) answers.push(await holdersIn('context', batch));
    const matched = matchIds(
      ids,
      answers.flatMap(({ holders }) => holders),
      new Set(answers.flatMap(({ proof }) => proof ?? [])),
    );
    const isDoubtful = ({ holders }: Answered): boolean => holders.some(({ dn }) => matched.strangers.has(dn));
    const doubtful = new Set(answers.filter(isDoubtful).flatMap((answer) => answer.ids));
    const spelled = ids.flatMap((id) => matched.found.get(id)?.[0]!.id ?? []);
    const inScope = await findInScope(spelled);

    function whereIs(id: string): Whereabouts {
      const holder = matched.found.get(id)?.[0];
      if (holder !== undefined) {
        const dn = inScope.get(holder.id!);
        return { kind: 'present', dn: dn ?? holder.dn, inScope: dn !== undefined };
      }
      if (matched.ambiguous.has(id)) {
        return {
          kind: 'unproven',
          reason: `${server}: there are other values of ${attribute} that differ in case only`,
        };
      }
      if (doubtful.has(id)) {
        return { kind: 'unproven', reason: `${server}: a search by ${attribute} returned entries with other values` };
      }
      return { kind: 'gone' };
    }
    return new Map(ids.map((id) => [id, whereIs(id)]));
  }

  return {
    server,
    identity: identifyServer(connection, rootDse),
    baseDn: scope.baseDn,
    idAttribute: attribute.toLowerCase(),
    get requests() {
      return connection.requests;
    },
    async *readPeople() {
      const schema = await readSchema(connection, rootDse, withinMs());
      const reading = makeEntryReading(settings.mapping, attribute, rootDse, schema, now());
      return yield* readScope(connection, scope, rootDse, reading, withinMs);
    },
    locate,
    judgeBranch(dn) {
      const named: Filter = { kind: 'present', attribute: settings.mapping.userName };
      return judgeBranch(connection, dn, { kind: 'and', filters: [scope.filter, named] }, withinMs);
    },
    close: () => connection.close(),
  };
}

function* batchesOf(ids: readonly string[]): Generator<readonly string[]> {
  for (let start = 0; start < ids.length; start += LOCATE_BATCH) yield ids.slice(start, start + LOCATE_BATCH);
}
