/**
 * The names that a deployment may use in its context. Finds those that nobody reads, because a misspelt key would be
 * ignored without a word. Knows nothing of values.
 */

/** The keys of the context, as in the table in stack.ts. */
export const CONTEXT_KEYS = [
  'stage',
  'alarmEmail',
  'logRetentionDays',
  'logLevel',
  'deletionProtection',
  'authReservedConcurrency',
  'clientAddressHeader',
  'usersTableName',
  'usersTableStreamArn',
  'operationsTableName',
  'operationsTableStreamArn',
  'settingsSecretArn',
  'vpcId',
  'subnetIds',
  'availabilityZones',
  'directoryPorts',
  'vpcEndpoints',
  'routeTableIds',
  'ipv6',
] as const;

/** A key of the context. */
export type ContextKey = (typeof CONTEXT_KEYS)[number];

/** Keys of earlier releases, and what to do about them. */
const REMOVED: ReadonlyMap<string, string> = new Map([
  [
    'syncIntervalMinutes',
    'no longer needed, leave it out: the alarm for overdue runs follows the schedule in the settings',
  ],
]);

/** More letters than this to change, and the deployer meant something else. */
const LARGEST_DISTANCE = 4;

/**
 * What is wrong with the keys of a context, one line for each key that is neither ours nor the CDK's.
 * @param keys all keys that the app was given, by `-c`, cdk.json, cdk.context.json or the user's ~/.cdk.json
 */
export function findKeyFaults(keys: readonly string[]): string[] {
  const known: readonly string[] = CONTEXT_KEYS;
  return keys
    .filter((key) => !known.includes(key) && !isOfCdk(key))
    .map((key) => {
      const removed = REMOVED.get(key);
      if (removed !== undefined) return `${key}: ${removed}`;
      const [nearest] = known
        .map((name) => ({ name, distance: distanceBetween(simplify(key), simplify(name)) }))
        .filter(({ name, distance }) => distance <= LARGEST_DISTANCE && distance < name.length / 2)
        .sort((one, other) => one.distance - other.distance);
      return nearest === undefined
        ? `${key}: unknown, the keys are ${known.join(', ')}`
        : `${key}: unknown, did you mean ${nearest.name}?`;
    });
}

/**
 * Whether a key belongs to the CDK: its feature flags (`@aws-cdk/core:...`), its options (`aws:cdk:...`), what it has
 * looked up (`availability-zones:account=...`) and two keys of its command line.
 * @see https://docs.aws.amazon.com/cdk/v2/guide/context.html
 */
function isOfCdk(key: string): boolean {
  return /[:/@]/.test(key) || key.startsWith('cdk-') || key === 'acknowledged-issue-numbers';
}

function simplify(key: string): string {
  return key.toLowerCase().replaceAll(/[^a-z]/g, '');
}

/** The number of letters to insert, remove or replace to make one word the other (Levenshtein). */
function distanceBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_value, index) => index);
  for (const [index, letter] of Array.from(one).entries()) {
    const next = [index + 1];
    for (const [column, wanted] of Array.from(other).entries()) {
      const replaced = row[column]! + (letter === wanted ? 0 : 1);
      next.push(Math.min(replaced, row[column + 1]! + 1, next[column]! + 1));
    }
    row = next;
  }
  return row.at(-1)!;
}
