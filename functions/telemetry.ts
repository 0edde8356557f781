/**
 * Telemetry: one JSON line per run, per login and per batch of changes, and metrics in CloudWatch's embedded format.
 * Logs no event, no body, no password, and no user name as typed: people type passwords there.
 * `POWERTOOLS_SERVICE_NAME` names the stack in lines and metrics. Lines below `LOG_LEVEL` are left out; metrics never.
 * @see
 *   https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
import { hash } from 'node:crypto';
import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics } from '@aws-lambda-powertools/metrics';
import type { Health } from '../lib/administration/health.ts';
import { METRICS, METRICS_NAMESPACE, HEALTH_METRICS, type MetricName } from '../lib/aws/metrics.ts';
import { ServiceError } from '../lib/errors.ts';
import type { LoginOutcome } from '../lib/login/login.ts';
import { CHANGE_KINDS } from '../lib/sync/run.ts';
import type { Run, RunStatus } from '../lib/sync/run.ts';
import { userNameKey } from '../lib/user/user-name.ts';

/** The log of all functions: JSON lines. */
export const logger = new Logger();
const metrics = new Metrics({ namespace: METRICS_NAMESPACE });

const RUN_METRIC: Record<Exclude<RunStatus, 'running' | 'cancelled'>, MetricName> = {
  succeeded: 'runSucceeded',
  partial: 'runPartial',
  failed: 'runFailed',
};

function addMetric(metric: MetricName, value: number): void {
  const { name, unit } = METRICS[metric];
  metrics.addMetric(name, unit, value);
}

/**
 * The line and the metrics of a finished run. A dry run has no metrics: it says nothing about the schedule's health.
 */
export function recordRun(run: Run, durationMs: number): void {
  const { id, dryRun, trigger, status, totals, progress, completeness, error, notices } = run;
  const line = { runId: id, dryRun, trigger, status, progress, totals, completeness, error, notices, durationMs };
  if (status === 'failed') logger.error('run', line);
  else logger.info('run', line);
  if (dryRun) return;
  addMetric('usersRead', progress.read);
  addMetric('runDuration', durationMs);
  for (const kind of CHANGE_KINDS) {
    if (kind !== 'unchanged' && totals[kind] > 0) addMetric(kind, totals[kind]);
  }
  if (status !== 'running' && status !== 'cancelled') addMetric(RUN_METRIC[status], 1);
  metrics.publishStoredMetrics();
}

/** The line of a start that found another run active: expected when two runs overlap, but worth seeing. */
export function recordNotStarted(activeRunId: string | null): void {
  logger.info('run not started', { activeRunId });
}

/** The line and the metrics of one login. `directoryMs`: time spent in binds; null if there was none. */
export function recordLogin(userName: string, outcome: LoginOutcome | ServiceError, directoryMs: number | null): void {
  // Enough to find one person's attempts again without logging the name.
  const who = { userNameHash: hash('sha256', userNameKey(userName), 'hex').slice(0, 16) };
  if (directoryMs !== null) addMetric('directoryLatency', directoryMs);
  if (outcome instanceof ServiceError) {
    logger.error('login', { ...who, outcome: 'fault', code: outcome.code, detail: outcome.message });
    addMetric('loginFault', 1);
  } else if (outcome.outcome === 'accepted') {
    logger.info('login', { ...who, outcome: 'accepted', userId: outcome.user.id });
    addMetric('loginAccepted', 1);
  } else {
    logger.info('login', { ...who, outcome: 'rejected', reason: outcome.reason });
    const byReason = metrics.singleMetric();
    byReason.addDimension('reason', outcome.reason);
    byReason.addMetric(METRICS.loginRejected.name, METRICS.loginRejected.unit, 1);
  }
  if (metrics.hasStoredMetrics()) metrics.publishStoredMetrics();
}

/**
 * The line and the metric of an event that is no login. Lambda counts it as an error of the function; the metric tells
 * the callers' faults from ours.
 */
export function recordMalformedLogin(): void {
  logger.warn('login', { outcome: 'malformed' });
  addMetric('loginMalformed', 1);
  metrics.publishStoredMetrics();
}

/** The line and the metrics of the synchronisation's health. An unknown value has no metric: its alarm stays as is. */
export function recordHealth(health: Health): void {
  logger.info('health', { ...health });
  for (const metric of HEALTH_METRICS) {
    const value = health[metric];
    if (value !== null) addMetric(metric, value);
  }
  metrics.publishStoredMetrics();
}

/** The line of a batch of changes. `left`: events that were not accepted; their changes are delivered again. */
export function recordEvents(changes: number, published: number, left: number): void {
  if (left > 0) logger.warn('events', { changes, published, left });
  else logger.info('events', { changes, published });
}

/** The line of an unexpected error: its type and stack. Leaves out its message, which may quote the request. */
export function recordUnexpected(error: unknown): void {
  const { name, stack = '' } = error instanceof Error ? error : new Error('the thrown value is not an Error');
  const frames = stack.split('\n').filter((line) => /^\s+at /u.test(line));
  logger.error('unexpected error', { name, frames, code: error instanceof ServiceError ? error.code : undefined });
}
