/**
 * The names that the stack and its functions share: environment variables, indexes and keys. Imports nothing,
 * so that cdk/ can import it.
 */

/** Environment variables of the functions. Each function has only those it needs. */
export const ENVIRONMENT = {
  usersTable: 'USERS_TABLE',
  operationsTable: 'OPERATIONS_TABLE',
  settingsSecret: 'SETTINGS_SECRET',
  administratorSecret: 'ADMINISTRATOR_SECRET',
  /** The group of the schedule that the product makes; the role, function and queue of its target, as ARNs. */
  scheduleGroup: 'SCHEDULE_GROUP',
  scheduleRole: 'SCHEDULE_ROLE',
  scheduleFailures: 'SCHEDULE_FAILURES',
  syncFunction: 'SYNC_FUNCTION',
  eventBus: 'EVENT_BUS',
  /** Only behind a proxy: the header with the address of the client, and the secret that proves the proxy. */
  clientAddressHeader: 'CLIENT_ADDRESS_HEADER',
  proxySecret: 'PROXY_SECRET',
  logLevel: 'LOG_LEVEL',
} as const;

/** An environment variable, by its name in ENVIRONMENT. */
export type EnvironmentName = keyof typeof ENVIRONMENT;

/** The name of the schedule of the synchronisation. The product makes it, in the group that the deployment makes. */
export const SCHEDULE_NAME = 'sync';

/** The users table: one item per user, and one (without `id`) for each further e-mail address of a user. */
export const USERS_TABLE = {
  partitionKey: 'nameKey',
  /** The index for runs and lists: `listShard` spreads the users over LIST_SHARDS partitions, each in name order. */
  listIndex: 'list',
  listPartitionKey: 'listShard',
  /** The attributes in this index besides the keys. Every run reads each byte of them. */
  listProjection: ['linkKey', 'fingerprint', 'authentication', 'disabledBy'],
  /** The index for searches by e-mail address: the users of an address in name order, keys only. */
  addressIndex: 'address',
  addressPartitionKey: 'addressKey',
  /** The index of active administrators, keys only. Its partition key is in no other item. */
  administratorIndex: 'administrator',
  administratorPartitionKey: 'administrator',
  /** The attributes that a login may name in a write. Not `id`: an item that a login makes is nobody. */
  loginWrites: ['nameKey', 'linkKey', 'dn', 'missingSince', 'fingerprint', 'updatedAt', 'version'],
} as const;

/** Partitions of the list index. Each takes 1,000 writes a second, and each costs a page of a list one more query. */
export const LIST_SHARDS = 8;

/**
 * The operations table: runs, their lines, the lease and its fences, the guard's counters, approvals, the owners of
 * directory ids, attempts, sessions, rename marks and the lock of the settings. `expiresAt` is the TTL attribute,
 * in epoch seconds.
 */
export const OPERATIONS_TABLE = { partitionKey: 'pk', sortKey: 'sk', ttl: 'expiresAt' } as const;

/** The partition key of all runs. Their sort key is the run's id, which puts them in order of time. */
export const RUN_PARTITION = 'run';

/** The key of the lease, the one item that says which run is active. */
export const LEASE_KEY = { pk: 'lease', sk: 'sync' } as const;

/** The key of what one run leaves for the next. */
export const MEMORY_KEY = { pk: 'lease', sk: 'memory' } as const;

/** The key of the lock that a writer of the settings holds. */
export const SETTINGS_LOCK_KEY = { pk: 'settings', sk: 'lock' } as const;

/** The partition key of the guard's counters. Their sort key is the hour, then the lane. */
export const GUARD_PARTITION = 'guard';

/** The partition key of all approvals. Their sort key is the user's id, then the proposal. */
export const APPROVAL_PARTITION = 'approval';

/** Prefixes of all other partition keys. The stores build keys from them, and the IAM policies limit roles to them. */
export const OPERATIONS_PREFIX = {
  /** Lines of one run, in chunks. The run's id follows. */
  changes: 'changes#',
  /** Copies of the lease's fence that a run's transactions check. The lane's number follows. */
  fence: 'lease#',
  /** The user who has a directory id. Its attribute and the id follow, or a hash of them. */
  link: 'link#',
  /** Attempts at one name, and refusals of one source. The name key follows, or a hash of the source. */
  attempts: 'attempts#',
  /** One session. The hash of its token follows. */
  session: 'session#',
  /** Marks that a rename has removed a record from its key. The user's id follows. */
  renamed: 'renamed#',
} as const;

/**
 * The routes of the API that take a password without a session. The gateway limits each of them by itself, and the API
 * answers them only if they came by that route: it decodes paths, so another one could lead to the same address.
 */
export const PASSWORD_ROUTES = ['POST /api/session', 'PUT /api/session/password'] as const;

/** The header, in lower case, in which a proxy in front of API Gateway sends its secret. */
export const PROXY_SECRET_HEADER = 'x-rollcall-proxy-secret';

/** Memory of the sync function, in MB. */
export const SYNC_MEMORY_MB = 2048;

/**
 * Node options of a sync function with this much memory. The nursery (16 MB) is large enough for a page of people, and
 * no larger: V8 would otherwise choose by the memory of the machine, and with 200,000 people the whole process took
 * 259 MB instead of 160. Lambda's runtime sets the sizes of nursery and heap only if NODE_OPTIONS sets neither, so the
 * heap that Lambda would give, nine tenths of the memory, has to be here too: V8 alone would choose less.
 * @see https://dev.to/wonderfulsoap/deep-dive-into-aws-lambda-3-official-nodejs-runtime-analysis-43je
 */
export function syncNodeOptions(memoryMb: number): string {
  return `--max-semi-space-size=16 --max-old-space-size=${memoryMb - Math.floor(memoryMb / 10)}`;
}

/**
 * Reads an environment variable.
 * @throws Error when it is missing or empty: a fault of the deployment
 */
export function readEnvironment(name: EnvironmentName, variables: Record<string, string | undefined>): string {
  const value = variables[ENVIRONMENT[name]];
  if (value === undefined || value === '') throw new Error(`environment variable ${ENVIRONMENT[name]} is not set`);
  return value;
}
