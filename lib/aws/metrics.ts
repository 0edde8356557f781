/**
 * The product's own CloudWatch metrics: one table for the functions that emit them, and for the alarms and the
 * dashboard that read them. Imports nothing, so that cdk/ can import it.
 *
 * Every metric has the dimension `service`, whose value is the name of the stack: two stacks in one account and region
 * share no metric.
 */

/** Namespace of the metrics. */
export const METRICS_NAMESPACE = 'Rollcall';

/** One metric. The units are those of CloudWatch. */
export interface MetricDefinition {
  readonly name: string;
  readonly unit: 'Count' | 'Milliseconds';
  /** Dimensions besides `service`. */
  readonly dimensions?: readonly string[];
}

/** A counter of one kind of change, under the kind's name in a run's totals. */
const CHANGES = {
  created: { name: 'Created', unit: 'Count' },
  updated: { name: 'Updated', unit: 'Count' },
  renamed: { name: 'Renamed', unit: 'Count' },
  linked: { name: 'Linked', unit: 'Count' },
  disabled: { name: 'Disabled', unit: 'Count' },
  enabled: { name: 'Enabled', unit: 'Count' },
  deleted: { name: 'Deleted', unit: 'Count' },
  skipped: { name: 'Skipped', unit: 'Count' },
  conflict: { name: 'Conflict', unit: 'Count' },
  withheld: { name: 'Withheld', unit: 'Count' },
} as const satisfies Record<string, MetricDefinition>;

/** The state of the synchronisation, told every five minutes for as long as a directory is configured. */
const HEALTH = {
  /** Lines that the last complete run has withheld, or a partial one since. */
  linesWaiting: { name: 'LinesWaiting', unit: 'Count' },
  /** Minutes for which a complete run has been overdue, by the schedule; 0 = not overdue. */
  minutesOverdue: { name: 'MinutesOverdue', unit: 'Count' },
  /** Runs in a row that have failed. */
  consecutiveFailures: { name: 'ConsecutiveFailures', unit: 'Count' },
} as const satisfies Record<string, MetricDefinition>;

/** All metrics. */
export const METRICS = {
  ...CHANGES,
  ...HEALTH,
  usersRead: { name: 'UsersRead', unit: 'Count' },
  runDuration: { name: 'RunDuration', unit: 'Milliseconds' },
  runSucceeded: { name: 'RunSucceeded', unit: 'Count' },
  runPartial: { name: 'RunPartial', unit: 'Count' },
  runFailed: { name: 'RunFailed', unit: 'Count' },
  loginAccepted: { name: 'LoginAccepted', unit: 'Count' },
  loginRejected: { name: 'LoginRejected', unit: 'Count', dimensions: ['reason'] },
  /** Logins without an outcome, because the directory or a store did not answer. */
  loginFault: { name: 'LoginFault', unit: 'Count' },
  /** Events that the login service should not have sent. Lambda counts them as errors of the function. */
  loginMalformed: { name: 'LoginMalformed', unit: 'Count' },
  directoryLatency: { name: 'DirectoryLatency', unit: 'Milliseconds' },
} as const satisfies Record<string, MetricDefinition>;

/** The state of the synchronisation, by its name in METRICS. */
export type HealthMetric = keyof typeof HEALTH;

/** The metrics that make up the state of the synchronisation. */
export const HEALTH_METRICS = Object.keys(HEALTH) as readonly HealthMetric[];

/** A metric, by its name in METRICS. */
export type MetricName = keyof typeof METRICS;
