/**
 * The Directory port on LDAP: chooses the server, the connection and the deadline. Reading people and verifying logins
 * never share a connection. Decides nothing about users.
 */
import type { BindResult, Directory, DirectoryReader } from '../directory/directory.ts';
import { beginsAsDn } from '../distinguished-name.ts';
import { ServiceError } from '../errors.ts';
import type { ServerAddress } from '../settings/server-address.ts';
import type { Settings } from '../settings/settings.ts';
import { bindAdministrator, bindUser } from './bind.ts';
import { type Connection, openConnection, type Resolve, resolveServer } from './connection.ts';
import { directoryError, RESULT } from './fault.ts';
import { matchIds, searchIds } from './id-search.ts';
import { openOtherViews, type OpenView } from './other-views.ts';
import { openScope, openView } from './reader.ts';
import { chooseContext, mayHold, readRootDse, type RootDse } from './root-dse.ts';
import { chooseScope } from './scope.ts';
import { onFirstServer, type Patience, rankServers, REST_MS, serverAddress } from './server-ranking.ts';
import { checkDirectory } from './settings-test.ts';
import { uniqueIdValues } from './unique-id.ts';
import { keepWarm } from './warm-connection.ts';

/**
 * The directory of these settings. Opens connections only when needed.
 * @param password of the bind DN
 * @param now the time that decides whether an account has expired and an idle connection is too old
 * @param resolve finds the addresses of a server; default: as the operating system does
 */
export function openDirectory(
  settings: Settings,
  password: string,
  now: () => Date,
  resolve: Resolve = resolveServer,
): Directory {
  const { servers, timeouts, administrativeDn, vendor } = settings.connection;
  const operationMs = timeouts.operationSeconds * 1000;
  const connectMs = timeouts.connectSeconds * 1000;
  const ranking = rankServers(servers, now);
  const addresses = (except: readonly string[] = []): ServerAddress[] =>
    ranking
      .best()
      .filter((name) => !except.includes(name))
      .map((name) => serverAddress(name, settings.connection.encryption));

  async function connect(address: ServerAddress, patience: Patience, from = resolve): Promise<Connection> {
    return openConnection(address, settings.connection, patience.connectMs(), from);
  }

  async function connectAsAdministrator(
    address: ServerAddress,
    patience: Patience,
  ): Promise<{ connection: Connection; rootDse: RootDse }> {
    const connection = await connect(address, patience);
    return orDestroy(connection, async () => ({ connection, rootDse: await introduce(connection, patience) }));
  }

  async function introduce(connection: Connection, { operationMs: withinMs }: Patience): Promise<RootDse> {
    await bindAdministrator(connection, administrativeDn, password, withinMs());
    return readRootDse(connection, vendor, withinMs());
  }

  async function openReader(except: readonly string[] = []): Promise<DirectoryReader> {
    const patience = { connectMs: () => connectMs, operationMs: () => operationMs };
    return onFirstServer(
      addresses(except),
      ranking,
      () => patience,
      async (address) => {
        const { connection, rootDse } = await connectAsAdministrator(address, patience);
        const parts = { settings, connection, rootDse, withinMs: patience.operationMs, now };
        return orDestroy(connection, () => openScope(parts));
      },
    );
  }

  /** Looks at people as `read` does, on one address of another server. */
  function viewLike(read: DirectoryReader): OpenView {
    const scope = { ...settings.scope, baseDn: read.baseDn };
    return async (address, only, leftMs) => {
      const patience = { connectMs: leftMs, operationMs: leftMs };
      const connection = await connect(address, patience, async () => [only]);
      return orDestroy(connection, async () => {
        const rootDse = await introduce(connection, patience).catch(async (error: unknown) => {
          if (!(error instanceof ServiceError) || error.code !== 'bindRefused') throw error;
          // A server without the base does not know the bind DN either. Most show the root DSE to anybody.
          const shown = await readRootDse(connection, vendor, leftMs());
          if (mayHold(read.baseDn, shown)) throw error;
          return shown;
        });
        if (mayHold(read.baseDn, rootDse)) {
          const parts = { settings: { ...settings, scope }, connection, rootDse, withinMs: () => operationMs, now };
          return openView(parts, read.idAttribute);
        }
        await connection.close();
        return null;
      });
    };
  }

  const login = { addresses, ranking, connectMs, budgetMs: timeouts.loginSeconds * 1000, now };
  const binds = keepWarm(login, async (address, patience) => ({ connection: await connect(address, patience) }));
  const lookups = keepWarm(login, rememberRefusal(connectAsAdministrator, now));

  return {
    openReader,
    openOtherViews(read) {
      const all = servers.map((name) => serverAddress(name, settings.connection.encryption));
      return openOtherViews(all, read.identity, { resolve, open: viewLike(read) }, connectMs);
    },
    async verifyPassword(dn, userPassword): Promise<BindResult> {
      // Neither may reach the server. It could resolve a name that is not a DN in its own way, and could accept a bind
      // with an empty password (RFC 4513 section 5.1.2).
      if (userPassword === '' || !beginsAsDn(dn)) return { kind: 'rejected', reason: 'invalidCredentials' };
      return binds.use(({ connection }, withinMs) => bindUser(connection, dn, userPassword, withinMs()));
    },
    findDn(id, idAttribute, storedDn) {
      return lookups.use(async ({ connection, rootDse }, withinMs) => {
        const { baseDn } = chooseScope(settings, rootDse, connection.server);
        if (uniqueIdValues(idAttribute, id).length === 0) return null;
        const context = { baseDn: chooseContext(baseDn, rootDse), depth: 'sub', filter: null } as const;
        const holders = await searchIds(connection, [id], context, idAttribute, withinMs());
        const { found, strangers } = matchIds([id], holders);
        // The server compares ids differently, or hides them. Then an id that was not found proves nothing.
        if (strangers.size > 0) {
          throw directoryError(
            `${connection.server}: a search by ${idAttribute} returned entries that were not requested`,
            RESULT.success,
          );
        }
        const dns = (found.get(id) ?? []).map(({ dn }) => dn);
        if (dns.length < 2) return dns[0] ?? null;
        // An id that was given to a second entry by mistake says nothing about the first one, which is where it was.
        return dns.find((dn) => dn.toLowerCase() === storedDn?.toLowerCase()) ?? null;
      });
    },
    async searchByName() {
      throw new Error('not written yet');
    },
    async checkIdle() {},
    test: (limitMs, extent = 'everything') => checkDirectory(settings, password, now, limitMs, extent),
    async close() {
      await Promise.all([binds.close(), lookups.close()]);
    },
  };
}

/**
 * After a refused bind, repeats the fault for a minute instead of trying again. Servers lock accounts after a few
 * failures; if every login tried again, strangers could lock the account of the bind DN.
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

async function orDestroy<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    connection.destroy();
    throw error;
  }
}
