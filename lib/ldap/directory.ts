/**
 * The Directory port on LDAP: which server, which connection, for how long. Reading people and verifying logins never share
 * a connection. Decides nothing about users.
 */
import { ServiceError } from '../errors.ts';
import type { Filter } from '../settings/filter.ts';
import type { BindResult, Directory, DirectoryReader, Whereabouts } from '../directory/directory.ts';
import type { Settings } from '../settings/settings.ts';
import { bindAdministrator, bindUser, isBindable } from './bind.ts';
import { checkDirectory } from './settings-test.ts';
import { type Connection, openConnection, parseServerAddress, type ServerAddress } from './connection.ts';
import { makeEntryReading } from './entry.ts';
import { directoryError, isServerFault, RESULT, searchFault } from './fault.ts';
import { readScope } from './reading/paged.ts';
import { chooseContext, readRootDse, type RootDse } from './root-dse.ts';
import { chooseScope, findIdSource, type Scope } from './scope.ts';
import { toSearchFilter } from './search-filter.ts';
import { readUniqueId, uniqueIdValues } from './unique-id.ts';
import { VENDOR_FACTS } from './vendor.ts';

/** Ids a search asks for at once: small enough for the size limits of servers. */
const LOCATE_BATCH = 100;

/** Connections that wait for the next login. */
const MAX_IDLE = 4;

/** Firewalls and gateways forget quiet connections after some five minutes without telling anybody. */
const MAX_IDLE_MS = 240_000;

/** How long a server that failed is asked after the others. */
const REST_MS = 60_000;

/** How long things may take on one server, in milliseconds. */
interface Patience {
  readonly connectMs: () => number;
  readonly operationMs: () => number;
}

/**
 * The directory that these settings describe. Opens nothing before it is asked.
 * @param password of the administrative DN
 * @param now the time by which accounts have expired and idle connections are too old
 */
export function openDirectory(settings: Settings, password: string, now: () => Date): Directory {
  const { servers, timeouts, administrativeDn, vendor } = settings.connection;
  const operationMs = timeouts.operationSeconds * 1000;
  const connectMs = timeouts.connectSeconds * 1000;
  const ranking = rankServers(servers, now);
  const addresses = (except: readonly string[] = []): ServerAddress[] =>
    ranking
      .best()
      .filter((name) => !except.includes(name))
      .map((name) => parseServerAddress(name, settings.connection.encryption));

  async function connect(address: ServerAddress, patience: Patience): Promise<Connection> {
    return openConnection(address, settings.connection, patience.connectMs());
  }

  async function connectAsAdministrator(
    address: ServerAddress,
    patience: Patience,
  ): Promise<{ connection: Connection; rootDse: RootDse }> {
    const connection = await connect(address, patience);
    return orDestroy(connection, async () => {
      await bindAdministrator(connection, administrativeDn, password, patience.operationMs());
      return { connection, rootDse: await readRootDse(connection, vendor, patience.operationMs()) };
    });
  }

  async function openReader(except: readonly string[] = []): Promise<DirectoryReader> {
    const patience = { connectMs: () => connectMs, operationMs: () => operationMs };
    return onFirstServer(
      addresses(except),
      ranking,
      () => patience,
      async (address) => {
        const { connection, rootDse } = await connectAsAdministrator(address, patience);
        return orDestroy(connection, () => makeReader(settings, connection, rootDse, patience.operationMs, now));
      },
    );
  }

  const login = { addresses, ranking, connectMs, budgetMs: timeouts.loginSeconds * 1000, now };
  const binds = keepWarm(login, async (address, patience) => ({ connection: await connect(address, patience) }));
  const lookups = keepWarm(login, rememberRefusal(connectAsAdministrator, now));

  return {
    openReader,
    async verifyPassword(dn, userPassword): Promise<BindResult> {
      // Neither may reach the server: the one is no DN, the other would be accepted by many (RFC 4513 section 5.1.2).
      if (userPassword === '' || !isBindable(dn)) return { accepted: false, reason: 'invalidCredentials' };
      return binds.use(({ connection }, withinMs) => bindUser(connection, dn, userPassword, withinMs()));
    },
    findDn(id, idAttribute) {
      return lookups.use(async ({ connection, rootDse }, withinMs) => {
        const { baseDn } = chooseScope(settings, rootDse, connection.server);
        if (uniqueIdValues(idAttribute, id).length === 0) return null;
        const filter = anyOf([id], idAttribute, connection.server);
        const scope: Scope = { baseDn: chooseContext(baseDn, rootDse), depth: 'sub', filter };
        const [dn, ...others] = (await findIds(connection, [id], scope, idAttribute, withinMs())).get(id) ?? [];
        return dn !== undefined && others.length === 0 ? dn : null;
      });
    },
    test: (limitMs) => checkDirectory(settings, password, now, limitMs),
    async close() {
      await Promise.all([binds.close(), lookups.close()]);
    },
  };
}

async function makeReader(
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
  let { knownId } = idSource;

  /**
   * The DNs of those that a part of the directory holds. Everyone else is proven not to be there: the same search also asks
   * for an entry that is known to exist, so that a server that can't compare ids, or may not, isn't taken for an empty one.
   * References to other servers are no gap here: what moved to another server got another id there.
   */
  async function holders(
    ids: readonly string[],
    part: Omit<Scope, 'filter'>,
    within: Filter | null,
  ): Promise<Map<string, string>> {
    for (let attempt = 1; ; attempt += 1) {
      if (knownId === null) {
        throw new ServiceError('readRefused', `${server}: nobody in scope has a readable ${idSource.attribute}`, {
          advice:
            'Allow the administrative DN to read the people in scope; without that nothing is known about the others.',
        });
      }
      const asked = [...ids, knownId];
      const wanted = anyOf(asked, idSource.attribute, server);
      const filter: Filter = within === null ? wanted : { type: 'and', filters: [within, wanted] };
      const found = await findIds(connection, asked, { ...part, filter }, idSource.attribute, withinMs());
      if (found.has(knownId)) return new Map([...found].map(([id, dns]) => [id, dns[0]!]));
      if (attempt === 2) {
        throw new ServiceError(
          'readRefused',
          `${server}: a search by ${idSource.attribute} does not find an entry that is there`,
          {
            advice: 'Allow the administrative DN to search by that attribute, and let the server index it.',
          },
        );
      }
      // It may have been deleted since.
      ({ knownId } = await find());
    }
  }

  return {
    server,
    baseDn: scope.baseDn,
    idAttribute: idSource.attribute.toLowerCase(),
    get requests() {
      return connection.requests;
    },
    readPeople() {
      const { statusAttributes } = VENDOR_FACTS[rootDse.vendor];
      const reading = makeEntryReading(settings.mapping, idSource.attribute, statusAttributes, now());
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
          whereabouts.set(id, dn === undefined ? { found: false } : { found: true, dn, inScope: inScope.has(id) });
        }
      }
      return whereabouts;
    },
    close: () => connection.close(),
  };
}

/** @throws ServiceError directoryError for an id that this attribute can't hold: not finding it would prove nothing */
function anyOf(ids: readonly string[], attribute: string, server: string): Filter {
  const filters = ids.flatMap((id) => {
    const values = uniqueIdValues(attribute, id);
    if (values.length === 0) throw directoryError(`${server}: "${id}" is no value of ${attribute}`, RESULT.success);
    return values.map((value): Filter => ({ type: 'equal', attribute, value }));
  });
  return { type: 'or', filters };
}

/**
 * The DNs of the entries in scope, by the unique id that was asked for.
 * @throws ServiceError unless the server says success and gives nobody else
 */
async function findIds(
  connection: Connection,
  ids: readonly string[],
  { baseDn, depth, filter }: Scope,
  idAttribute: string,
  withinMs: number,
): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  const asked = new Set(ids);
  let strangers = 0;
  const name = idAttribute.toLowerCase();
  const { status, diagnostic } = await connection.search(
    { baseDn, scope: depth, filter: toSearchFilter(filter), attributes: [idAttribute] },
    withinMs,
    (entry) => {
      const values = entry.attributes.find((attribute) => attribute.type.toLowerCase() === name)?.parsedBuffers ?? [];
      const id = readUniqueId(idAttribute, values);
      if (id === null || !asked.has(id)) strangers += 1;
      else found.set(id, [...(found.get(id) ?? []), entry.name]);
    },
  );
  // The server compares ids otherwise than this system does, or hides them: then an id that is not found proves nothing.
  if (strangers > 0) {
    throw directoryError(
      `${connection.server}: a search by ${idAttribute} gave entries that were not asked for`,
      status,
    );
  }
  if (status !== RESULT.success) {
    throw searchFault(status, diagnostic, connection.server, `the search by ${idAttribute} below ${baseDn}`);
  }
  return found;
}

/** Which server to ask first: as the settings have them, but those that failed within the last minute behind the others. */
interface Ranking {
  /** Names of all servers, the best first. */
  best(): readonly string[];
  failed(server: string): void;
  answered(server: string): void;
}

function rankServers(servers: readonly string[], now: () => Date): Ranking {
  const failedAt = new Map<string, number>();
  return {
    best() {
      const restedSince = now().getTime() - REST_MS;
      const rests = (server: string): boolean => (failedAt.get(server) ?? -Infinity) > restedSince;
      return [...servers.filter((server) => !rests(server)), ...servers.filter(rests)];
    },
    failed(server) {
      failedAt.set(server, now().getTime());
    },
    answered(server) {
      failedAt.delete(server);
    },
  };
}

/** Runs the attempt on one server after the other, until one does better than break off or stay away. */
async function onFirstServer<T>(
  addresses: readonly ServerAddress[],
  ranking: Ranking,
  patienceFor: (serversLeft: number) => Patience,
  attempt: (address: ServerAddress, patience: Patience) => Promise<T>,
): Promise<T> {
  const faults: ServiceError[] = [];
  for (const [index, address] of addresses.entries()) {
    try {
      const result = await attempt(address, patienceFor(addresses.length - index));
      ranking.answered(address.name);
      return result;
    } catch (error) {
      if (!isServerFault(error)) throw error;
      ranking.failed(address.name);
      faults.push(error);
    }
  }
  const [first] = faults;
  if (first === undefined) throw new ServiceError('hostNotFound', 'the settings name no server');
  if (faults.length === 1) throw first;
  throw new ServiceError(first.code, `no server answered: ${faults.map(({ message }) => message).join('; ')}`, {
    cause: first,
    retryable: faults.some(({ retryable }) => retryable),
    ...(first.advice === undefined ? {} : { advice: first.advice }),
  });
}

/**
 * Does not try again for a minute what was refused for its credentials: servers lock accounts after a few such tries, and
 * with every login being one, strangers could lock the administrative DN.
 */
function rememberRefusal<Arguments extends unknown[], T>(
  open: (...args: Arguments) => Promise<T>,
  now: () => Date,
): (...args: Arguments) => Promise<T> {
  let refusal: { readonly error: ServiceError; readonly until: number } | null = null;
  return async (...args) => {
    if (refusal !== null && now().getTime() < refusal.until) throw refusal.error;
    try {
      return await open(...args);
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'bindRefused') {
        refusal = { error, until: now().getTime() + REST_MS };
      }
      throw error;
    }
  };
}

interface WarmConnections<T> {
  /** Gives a connection to one piece of work at a time, with what is left of the time for all of it. */
  use<R>(work: (held: T, withinMs: () => number) => Promise<R>): Promise<R>;
  close(): Promise<void>;
}

interface LoginServers {
  readonly addresses: (except?: readonly string[]) => ServerAddress[];
  readonly ranking: Ranking;
  readonly connectMs: number;
  readonly budgetMs: number;
  readonly now: () => Date;
}

/**
 * Keeps connections between logins, to the server that is the best one at the time. One that turns out to be broken is replaced
 * and the work done again, once. One that only failed to answer in time is not: the server may be working on it, and would count
 * a wrong password twice. Another server is asked then, if there is one.
 */
function keepWarm<T extends { readonly connection: Connection }>(
  { addresses, ranking, connectMs, budgetMs, now }: LoginServers,
  open: (address: ServerAddress, patience: Patience) => Promise<T>,
): WarmConnections<T> {
  const idle: { readonly held: T; readonly since: number }[] = [];
  let closed = false;

  function take(): T | null {
    for (let kept = idle.pop(); kept !== undefined; kept = idle.pop()) {
      const age = now().getTime() - kept.since;
      const { usable, server } = kept.held.connection;
      if (usable && age <= MAX_IDLE_MS && server === ranking.best()[0]) return kept.held;
      kept.held.connection.destroy();
    }
    return null;
  }

  async function run<R>(held: T, work: (held: T) => Promise<R>): Promise<R> {
    try {
      return await work(held);
    } finally {
      if (!held.connection.usable || closed || idle.length >= MAX_IDLE) await held.connection.close();
      else idle.push({ held, since: now().getTime() });
    }
  }

  return {
    async use(work) {
      const endsAt = performance.now() + budgetMs;
      // Servers that are still to be tried keep their share of the time.
      const shareOf = (serversLeft: number): Patience => {
        const started = performance.now();
        const leftMs = (): number => started + (endsAt - started) / serversLeft - performance.now();
        return { connectMs: () => Math.min(connectMs, leftMs()), operationMs: leftMs };
      };
      let candidates = addresses();
      const kept = take();
      if (kept !== null) {
        const { operationMs } = shareOf(candidates.length);
        try {
          return await run(kept, (held) => work(held, operationMs));
        } catch (error) {
          if (!isServerFault(error)) throw error;
          // A connection that was closed in the meantime says nothing about its server.
          if (error.code !== 'connectionLost') {
            ranking.failed(kept.connection.server);
            candidates = addresses([kept.connection.server]);
            if (candidates.length === 0) throw error;
          }
        }
      }
      return onFirstServer(candidates, ranking, shareOf, async (address, patience) =>
        run(await open(address, patience), (held) => work(held, patience.operationMs)),
      );
    },
    async close() {
      closed = true;
      await Promise.all(idle.splice(0).map(({ held }) => held.connection.close()));
    },
  };
}

async function orDestroy<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    connection.destroy();
    throw error;
  }
}
