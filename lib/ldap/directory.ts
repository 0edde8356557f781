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
import { isServerFault } from './fault.ts';
import { openOtherViews, type OpenView } from './other-views.ts';
import { findDnById, readIdOf, searchUserName, takeSight } from './person-search.ts';
import { openScope, openView } from './reader.ts';
import { announcesPolicy, mayHold, readRootDse, type RootDse } from './root-dse.ts';
import { onFirstServer, orDestroy, type Patience, rankServers, REST_MS, serverAddress } from './server-ranking.ts';
import { checkDirectory } from './settings-test.ts';
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
  const ways = { settings: settings.connection, resolve, ranking };
  const addresses = (except: readonly string[] = []): ServerAddress[] =>
    ranking
      .best()
      .filter((name) => !except.includes(name))
      .map((name) => serverAddress(name, settings.connection.encryption));
  /** Whether a server announces the password policy control to the bind DN, by its name. */
  const policies = new Map<string, boolean>();

  /** Whether to send the password policy control. Some servers close the connection on a control they do not know. */
  async function offersPolicy(connection: Connection, withinMs: number): Promise<boolean> {
    return (await announcesPolicy(connection, withinMs)) ?? policies.get(connection.server) ?? false;
  }

  async function introduce(connection: Connection, { operationMs: withinMs }: Patience): Promise<RootDse> {
    const policy = await offersPolicy(connection, withinMs());
    await bindAdministrator(connection, administrativeDn, password, policy, withinMs());
    const rootDse = await readRootDse(connection, vendor, withinMs());
    policies.set(connection.server, rootDse.passwordPolicy);
    return rootDse;
  }

  async function openReader(except: readonly string[] = []): Promise<DirectoryReader> {
    const withinMs = (): number => operationMs;
    const patience = { connectMs: () => connectMs, operationMs: withinMs, lastMs: withinMs };
    return onFirstServer(
      addresses(except),
      ways,
      () => patience,
      async (connection) => {
        const rootDse = await introduce(connection, patience);
        const reader = await openScope({ settings, connection, rootDse, withinMs, now });
        ranking.answered(connection);
        return reader;
      },
    );
  }

  /** Looks at people as `read` does, on one address of another server. */
  function viewLike(read: DirectoryReader): OpenView {
    const scope = { ...settings.scope, baseDn: read.baseDn };
    return async (address, only, leftMs) => {
      const patience = { connectMs: leftMs, operationMs: leftMs, lastMs: leftMs };
      const connection = await openConnection(address, settings.connection, leftMs(), async () => [only]);
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

  const login = { ...ways, addresses, connectMs, budgetMs: timeouts.loginSeconds * 1000, now };
  const binds = keepWarm(login, {
    // A server that hangs or speaks no LDAP is found out before it gets a password.
    introduce: async (connection, { operationMs: withinMs }) => ({
      connection,
      policy: await offersPolicy(connection, withinMs()),
    }),
    // Without an answer, `bindUser` throws only if the password was not sent.
    afterFault: (fault) => (fault.code === 'connectionLost' ? 'again' : isServerFault(fault) ? 'elsewhere' : 'stop'),
  });
  const refusals = rememberRefusals(now);
  const lookups = keepWarm(login, {
    beforeOpen: refusals.repeat,
    introduce: async (connection, patience) => {
      const rootDse = await introduce(connection, patience).catch(refusals.note);
      const sight = await takeSight({ settings, connection, rootDse, withinMs: patience.operationMs, now });
      return { connection, rootDse, sight };
    },
    // The server may have forgotten the bind. Active Directory then answers 000004DC, and others find nobody.
    afterFault: (fault) => (fault.code === 'operationTimeout' ? 'elsewhere' : 'again'),
  });

  return {
    openReader,
    openOtherViews(read) {
      const all = servers.map((name) => serverAddress(name, settings.connection.encryption));
      return openOtherViews(all, read.identity, { resolve, open: viewLike(read) }, connectMs);
    },
    async verifyPassword(dn, userPassword, whenAccepted): Promise<BindResult> {
      // Neither may reach the server. It could resolve a name that is not a DN in its own way, and could accept a bind
      // with an empty password (RFC 4513 section 5.1.2).
      if (userPassword === '' || !beginsAsDn(dn)) return { kind: 'rejected', reason: 'invalidCredentials' };
      let broken: { readonly error: unknown } | null = null;
      const result = await binds.use(async ({ connection, policy }, { lastMs }) => {
        const bound = await bindUser(connection, dn, userPassword, policy, lastMs());
        if (bound.kind !== 'accepted' || whenAccepted === undefined) return bound;
        try {
          await whenAccepted({ readId: (idAttribute) => readIdOf(connection, dn, idAttribute, lastMs()) });
        } catch (error) {
          // No other server may get a password that was accepted.
          broken = { error };
        }
        return bound;
      });
      if (broken !== null) throw (broken as { readonly error: unknown }).error;
      return result;
    },
    findDn: (id, idAttribute, storedDn) =>
      lookups.use((held, { operationMs: withinMs }) =>
        findDnById({ ...held, settings, withinMs, now }, id, idAttribute, storedDn),
      ),
    searchByName: (userName) =>
      lookups.use((held, { operationMs: withinMs }) => searchUserName({ ...held, settings, withinMs, now }, userName)),
    async checkIdle() {
      await Promise.all([binds.checkIdle(), lookups.checkIdle()]);
    },
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
function rememberRefusals(now: () => Date): { repeat: () => void; note: (error: unknown) => never } {
  let refusal: { readonly error: ServiceError; readonly atMs: number } | null = null;
  return {
    repeat() {
      if (refusal !== null && Math.abs(now().getTime() - refusal.atMs) < REST_MS) throw refusal.error;
    },
    note(error) {
      if (error instanceof ServiceError && error.code === 'bindRefused') refusal = { error, atMs: now().getTime() };
      throw error;
    },
  };
}
