/**
 * The composition root: connects each function's ports to adapters, by the names in the environment. Connects to
 * nothing: connections are opened when needed and kept while the container lives.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { createApprovalStore } from '../lib/aws/approval-store.ts';
import { createDynamoDbClient } from '../lib/aws/client.ts';
import { ENVIRONMENT, readEnvironment } from '../lib/aws/environment.ts';
import type { EnvironmentName } from '../lib/aws/environment.ts';
import { createEventBridgeClient, createPublisher } from '../lib/aws/event-bus.ts';
import { createLoginStore } from '../lib/aws/login-store.ts';
import { createRunJournal } from '../lib/aws/run-journal.ts';
import { createRunStore } from '../lib/aws/run-store.ts';
import { createScheduleStore, createSchedulerClient } from '../lib/aws/schedule-store.ts';
import { createSessionStore } from '../lib/aws/session-store.ts';
import { createSettingsLock } from '../lib/aws/settings-lock.ts';
import {
  createSecretsManagerClient,
  createSettingsReader,
  createSettingsStore,
  readAdministratorPassword,
  readProxySecret,
} from '../lib/aws/settings-store.ts';
import { createSyncStarter } from '../lib/aws/sync-starter.ts';
import { createStreamReader } from '../lib/aws/table-stream.ts';
import { createUserStore } from '../lib/aws/user-store.ts';
import type { Clock } from '../lib/clock.ts';
import { keepDirectory } from '../lib/directory/current-directory.ts';
import type { OpenDirectory } from '../lib/directory/directory.ts';
import { openDirectory } from '../lib/ldap/directory.ts';
import { createLogin } from '../lib/login/login.ts';
import type { ScheduleStore } from '../lib/settings/settings-store.ts';
import type { SyncPorts } from '../lib/sync/sync.ts';
import type { ApiPorts } from './api-handler.ts';
import type { AuthPorts } from './auth-handler.ts';
import type { TrustedProxy } from './client-address.ts';
import type { EventsPorts } from './events-handler.ts';
import { logger } from './telemetry.ts';
import type { WatchPorts } from './watch-handler.ts';

type Variables = Record<string, string | undefined>;

const clock: Clock = { now: () => new Date() };

const pause = (ms: number): Promise<void> => setTimeout(ms);

const openLdapDirectory: OpenDirectory = (settings, password) => openDirectory(settings, password, () => clock.now());

/** The tables and the settings, which most functions need. */
function wireStores(variables: Variables) {
  const name = (variable: EnvironmentName): string => readEnvironment(variable, variables);
  const tables = {
    client: createDynamoDbClient(),
    usersTable: name('usersTable'),
    operationsTable: name('operationsTable'),
    clock,
  };
  const secrets = createSecretsManagerClient();
  return {
    name,
    tables,
    secrets,
    users: createUserStore(tables),
    logins: createLoginStore(tables),
    approvals: createApprovalStore(tables),
    settingsSecret: { client: secrets, secretId: name('settingsSecret') },
  };
}

/** The ports of the sync function. */
export function wireSync(variables: Variables): SyncPorts {
  const { tables, users, settingsSecret, approvals } = wireStores(variables);
  return {
    users,
    runs: createRunStore(tables),
    journal: createRunJournal(tables),
    approvals,
    settings: createSettingsReader(settingsSecret),
    openDirectory: openLdapDirectory,
    clock,
    newId: randomUUID,
  };
}

/** The ports of the login function. Measures the time spent in binds. */
export function wireAuth(variables: Variables): AuthPorts {
  const { logins, settingsSecret } = wireStores(variables);
  const settings = createSettingsReader(settingsSecret);
  let directoryMs: number | null = null;
  const openMeasured: OpenDirectory = (...args) => {
    const directory = openLdapDirectory(...args);
    return {
      ...directory,
      async verifyPassword(...attempt) {
        const began = performance.now();
        try {
          return await directory.verifyPassword(...attempt);
        } finally {
          directoryMs = (directoryMs ?? 0) + performance.now() - began;
        }
      },
    };
  };
  return {
    login: createLogin({ logins, directory: keepDirectory(settings, openMeasured, clock), clock, pause }),
    takeDirectoryMs() {
      const taken = directoryMs;
      directoryMs = null;
      return taken;
    },
  };
}

/** The schedule of the synchronisation. */
function wireSchedule(variables: Variables): ScheduleStore {
  const name = (variable: EnvironmentName): string => readEnvironment(variable, variables);
  return createScheduleStore({
    client: createSchedulerClient(),
    group: name('scheduleGroup'),
    syncFunction: name('syncFunction'),
    role: name('scheduleRole'),
    failures: name('scheduleFailures'),
    clock,
  });
}

/** The ports of the watch function. */
export function wireWatch(variables: Variables): WatchPorts {
  const operationsTable = readEnvironment('operationsTable', variables);
  return {
    settings: createSettingsReader({
      client: createSecretsManagerClient(),
      secretId: readEnvironment('settingsSecret', variables),
    }),
    schedule: wireSchedule(variables),
    runs: createRunStore({ client: createDynamoDbClient(), operationsTable, clock }),
    clock,
  };
}

/** The ports of the administration API. */
export function wireApi(variables: Variables): ApiPorts {
  const { name, tables, secrets, users, logins, settingsSecret, approvals } = wireStores(variables);
  const settings = createSettingsStore({ ...settingsSecret, withLock: createSettingsLock(tables) });
  const administratorSecret = name('administratorSecret');
  return {
    users,
    logins,
    settings,
    runs: createRunStore(tables),
    approvals,
    sessions: createSessionStore(tables),
    schedule: wireSchedule(variables),
    openDirectory: openLdapDirectory,
    login: createLogin({ logins, directory: keepDirectory(settings, openLdapDirectory, clock), clock, pause }),
    startSync: createSyncStarter(name('syncFunction')),
    readGeneratedPassword: async () => (await readAdministratorPassword(secrets, administratorSecret)).password,
    proxy: wireProxy(variables, (secretId) => readProxySecret(secrets, secretId)),
    clock,
    logger,
  };
}

/** The proxy in front of API Gateway; null if the deployment names none. */
function wireProxy(variables: Variables, readSecret: (id: string) => Promise<string>): TrustedProxy | null {
  const addressHeader = variables[ENVIRONMENT.clientAddressHeader];
  if (addressHeader === undefined) return null;
  const secretId = readEnvironment('proxySecret', variables);
  return { addressHeader, readSecret: () => readSecret(secretId) };
}

/** The ports of the events function. */
export function wireEvents(variables: Variables): EventsPorts {
  const operationsTable = readEnvironment('operationsTable', variables);
  return {
    readEvents: createStreamReader({ client: createDynamoDbClient(), operationsTable }),
    publish: createPublisher({
      client: createEventBridgeClient(),
      busName: readEnvironment('eventBus', variables),
    }),
  };
}
