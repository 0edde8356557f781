/**
 * The names that the stack and its functions agree on: environment variables, index and key names. Imports nothing, so
 * that cdk/ can share it with the code it deploys.
 */

/** Environment variables of the functions. Every function has a subset; reading an absent one throws. */
export const ENVIRONMENT = {
  usersTable: 'USERS_TABLE',
  operationsTable: 'OPERATIONS_TABLE',
  settingsSecret: 'SETTINGS_SECRET',
  administratorSecret: 'ADMINISTRATOR_SECRET',
  scheduleName: 'SCHEDULE_NAME',
  scheduleGroup: 'SCHEDULE_GROUP',
  syncFunction: 'SYNC_FUNCTION',
  eventBus: 'EVENT_BUS',
  logLevel: 'LOG_LEVEL',
} as const;

export type EnvironmentName = keyof typeof ENVIRONMENT;

/** Users: one item a user, and one (without `id`) for each further e-mail address of a user. */
export const USERS_TABLE = {
  partitionKey: 'nameKey',
  /** The access path for sync and lists: `listShard` spreads the users over LIST_SHARDS partitions, each in name order. */
  listIndex: 'list',
  listPartitionKey: 'listShard',
  /** All that the index carries besides the keys. Each byte of it is read by every synchronisation. */
  listProjection: ['linkKey', 'fingerprint', 'authentication', 'disabledBy'],
  /** The access path of searches by e-mail address: an address' users in name order, and nothing but the keys. */
  addressIndex: 'address',
  addressPartitionKey: 'addressKey',
} as const;

/** Index partitions: 1,000 writes a second each, and as many queries a list page costs. */
export const LIST_SHARDS = 8;

/** Operations: runs, their changes, the lease, attempts, sessions. `expiresAt` is the TTL attribute, epoch seconds. */
export const OPERATIONS_TABLE = { partitionKey: 'pk', sortKey: 'sk', ttl: 'expiresAt' } as const;

/** The partition of all runs; their sort key is the run's id, so that they lie in the order of time. */
export const RUN_PARTITION = 'run';

/** The one item that says which run may write. */
export const LEASE_KEY = { pk: 'lease', sk: 'sync' } as const;

/** How the partition keys of everything else begin. The stores make keys with them, and the IAM policies limit roles to them. */
export const OPERATIONS_PREFIX = {
  /** Lines of one run, in chunks; behind it the run's id. */
  changes: 'changes#',
  /** Failed logins at one name; behind it the name key. */
  attempts: 'attempts#',
  /** One session; behind it the hash of its token. */
  session: 'session#',
  /** Marks that a record has gone by a rename; behind it the user's id. */
  renamed: 'renamed#',
} as const;

/** Namespace of the CloudWatch metrics, and their names. Alarms and dashboard use the same ones as the functions. */
export const METRICS_NAMESPACE = 'Rollcall';

/** The value of the one dimension, `service`, that every metric has. LoginRejected has `reason` besides. */
export const METRICS_SERVICE = 'rollcall';

export const METRICS = {
  usersRead: 'UsersRead',
  runDuration: 'RunDuration',
  runSucceeded: 'RunSucceeded',
  runPartial: 'RunPartial',
  runFailed: 'RunFailed',
  // One per kind of change, by the kind's name in the run's totals.
  created: 'Created',
  updated: 'Updated',
  renamed: 'Renamed',
  linked: 'Linked',
  disabled: 'Disabled',
  enabled: 'Enabled',
  deleted: 'Deleted',
  skipped: 'Skipped',
  conflict: 'Conflict',
  withheld: 'Withheld',
  loginAccepted: 'LoginAccepted',
  loginRejected: 'LoginRejected',
  loginFault: 'LoginFault',
  directoryLatency: 'DirectoryLatency',
} as const;

/**
 * Node's own options for the function that synchronizes, in megabytes. What a page of people leaves behind dies before it is
 * taken for old: measured with 200,000 people, the peak of the whole process is 235 MB instead of 295.
 */
export const SYNC_NODE_OPTIONS = '--max-semi-space-size=32';

/** Reads an environment variable; a missing one is a fault of the deployment. */
export function readEnvironment(name: EnvironmentName, variables: Record<string, string | undefined>): string {
  const value = variables[ENVIRONMENT[name]];
  if (value === undefined || value === '') throw new Error(`environment variable ${ENVIRONMENT[name]} is not set`);
  return value;
}
