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
import { type Connection, openConnection } from './connection.ts';
import { anyOf, findIds, makeReader } from './reader.ts';
import { chooseContext, readRootDse, type RootDse } from './root-dse.ts';
import { chooseScope, type Scope } from './scope.ts';
import { onFirstServer, type Patience, rankServers, REST_MS, serverAddress } from './server-ranking.ts';
import { checkDirectory } from './settings-test.ts';
import { uniqueIdValues } from './unique-id.ts';
import { keepWarm } from './warm-connection.ts';

/**
 * The directory of these settings. Opens connections only when needed.
 * @param password of the bind DN
 * @param now the time that decides whether an account has expired and an idle connection is too old
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
      .map((name) => serverAddress(name, settings.connection.encryption));

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
    openOtherViews: async () => [],
    async verifyPassword(dn, userPassword): Promise<BindResult> {
      // Neither may reach the server. It could resolve a name that is not a DN in its own way, and could accept a bind
      // with an empty password (RFC 4513 section 5.1.2).
      if (userPassword === '' || !beginsAsDn(dn)) return { kind: 'rejected', reason: 'invalidCredentials' };
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
