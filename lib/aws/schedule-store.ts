/**
 * The schedule of the synchronisation in EventBridge Scheduler. The deployment makes the group, this store the schedule
 * in it, as a whole: when it fires and what it starts. So no deployment can switch it off. Knows nothing of runs.
 *
 * A rate is stored with a StartDate, its first run, so that everybody can work out the later ones. Without a StartDate,
 * Scheduler fires at once and does not tell from when it counts.
 *
 * @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  ConflictException,
  CreateScheduleCommand,
  GetScheduleCommand,
  ResourceNotFoundException,
  SchedulerClient,
  UpdateScheduleCommand,
  ValidationException,
} from '@aws-sdk/client-scheduler';
import type {
  CreateScheduleCommandInput,
  GetScheduleCommandOutput,
  SchedulerClientConfig,
  Target,
} from '@aws-sdk/client-scheduler';
import type { Clock } from '../clock.ts';
import { invalidRequest, ServiceError } from '../errors.ts';
import type { WorkingSchedule } from '../settings/schedule.ts';
import { firstRun, nextRun } from '../settings/schedule.ts';
import type { ScheduleStore } from '../settings/settings-store.ts';
import { SCHEDULE_NAME } from './environment.ts';
import { CLIENT_DEFAULTS, storeUnavailable, translateFaults } from './fault.ts';

const SERVICE = 'EventBridge Scheduler';

/** A client that throws only ServiceError `storeUnavailable` and the errors that the store handles. */
export function createSchedulerClient(config: SchedulerClientConfig = {}): SchedulerClient {
  return translateFaults(new SchedulerClient({ ...CLIENT_DEFAULTS, ...config }), SERVICE, [
    'ConflictException',
    'ResourceNotFoundException',
    'ValidationException',
  ]);
}

/** Where the schedule is, and what it starts. All but the group are ARNs. */
export interface ScheduleStoreOptions {
  readonly client: SchedulerClient;
  readonly group: string;
  readonly syncFunction: string;
  /** The role with which Scheduler invokes the function. */
  readonly role: string;
  /** The queue for starts that failed. */
  readonly failures: string;
  readonly clock: Clock;
}

/** The longest time that a request for the settings waits for the next runs. */
const READ_LIMIT_MS = 3_000;
const MOST_TRIES = 5;
const PAUSE_MS = 200;
/** A start that fails is tried twice more, within an hour; then it goes to the queue. */
const RETRY_POLICY = { MaximumRetryAttempts: 2, MaximumEventAgeInSeconds: 3600 };

/**
 * The schedule store on EventBridge Scheduler. Where the schedule is as wanted, `apply` makes one request, which reads
 * it. Errors: those of the port.
 */
export function createScheduleStore(options: ScheduleStoreOptions): ScheduleStore {
  const { client, group, clock } = options;
  const key = { Name: SCHEDULE_NAME, GroupName: group };
  const target: Target = {
    Arn: options.syncFunction,
    RoleArn: options.role,
    Input: JSON.stringify({ trigger: 'schedule' }),
    RetryPolicy: RETRY_POLICY,
    DeadLetterConfig: { Arn: options.failures },
  };

  async function get(abortSignal?: AbortSignal): Promise<GetScheduleCommandOutput | null> {
    try {
      return await client.send(new GetScheduleCommand(key), { ...(abortSignal && { abortSignal }) });
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return null;
      throw error;
    }
  }

  return {
    async read() {
      const stored = await get(AbortSignal.timeout(READ_LIMIT_MS)).catch(translate);
      return stored && toWorking(stored);
    },
    async apply({ enabled, expression, timeZone }) {
      for (let tries = 1; ; tries += 1) {
        try {
          const stored = await get();
          const now = clock.now();
          const working = stored && toWorking(stored);
          const start = startOf({ enabled, expression, timeZone }, working, now);
          if (working !== null && isSame(working, { enabled, expression, timeZone, start }) && startsSame(stored!)) {
            return working;
          }
          // An update replaces the whole schedule: a property that it leaves out falls back to its default.
          const wanted: CreateScheduleCommandInput = {
            ...key,
            Description: 'Rollcall: starts the synchronisation. Change it in the settings of Rollcall.',
            ScheduleExpression: expression,
            ScheduleExpressionTimezone: timeZone,
            State: enabled ? 'ENABLED' : 'DISABLED',
            StartDate: start ?? undefined,
            FlexibleTimeWindow: { Mode: 'OFF' },
            Target: target,
          };
          await client.send(stored === null ? new CreateScheduleCommand(wanted) : new UpdateScheduleCommand(wanted));
          return { enabled, expression, timeZone, start, setAt: now };
        } catch (error) {
          // Another writer is at the schedule, or was faster. What is there now, the next try reads.
          if (!(error instanceof ConflictException) || tries === MOST_TRIES) return translate(error);
          await sleep(Math.random() * PAUSE_MS * 2 ** tries);
        }
      }
    },
  };

  function startsSame({ Target: stored, FlexibleTimeWindow, EndDate }: GetScheduleCommandOutput): boolean {
    // Scheduler may answer with more than was stored, so only what is set here counts.
    const { Arn, RoleArn, Input, RetryPolicy: retry, DeadLetterConfig: queue } = stored ?? {};
    const { MaximumRetryAttempts, MaximumEventAgeInSeconds } = retry ?? {};
    const RetryPolicy = { MaximumRetryAttempts, MaximumEventAgeInSeconds };
    return (
      FlexibleTimeWindow?.Mode === 'OFF' &&
      EndDate === undefined &&
      isDeepStrictEqual({ Arn, RoleArn, Input, RetryPolicy, DeadLetterConfig: { Arn: queue?.Arn } }, target)
    );
  }
}

type Times = Pick<WorkingSchedule, 'enabled' | 'expression' | 'timeZone'>;

/**
 * The StartDate of a rate, null for a cron expression. A rate that is in effect goes on counting; its stored date is no
 * use, because Scheduler refuses one that is older than five minutes.
 */
function startOf(wanted: Times, working: WorkingSchedule | null, now: Date): Date | null {
  const first = firstRun(wanted.expression, now);
  if (first === null || working === null || working.start === null || !isSameTimes(working, wanted)) return first;
  return nextRun(wanted.expression, wanted.timeZone, now, working.start);
}

function toWorking(stored: GetScheduleCommandOutput): WorkingSchedule {
  const { State, ScheduleExpression = '', ScheduleExpressionTimezone = 'UTC', StartDate = null } = stored;
  return {
    enabled: State === 'ENABLED',
    expression: ScheduleExpression,
    timeZone: ScheduleExpressionTimezone,
    start: StartDate,
    setAt: stored.LastModificationDate ?? null,
  };
}

function isSameTimes(one: Times, other: Times): boolean {
  return one.enabled === other.enabled && one.expression === other.expression && one.timeZone === other.timeZone;
}

/** Whether the times need no change. A rate without a start was not set by this store. */
function isSame(working: WorkingSchedule, wanted: Omit<WorkingSchedule, 'setAt'>): boolean {
  return isSameTimes(working, wanted) && (working.start === null) === (wanted.start === null);
}

/** Scheduler has one name for every refusal of a request; the words tell whose fault it is. */
const ABOUT_TIMES = /schedule ?expression|time ?zone|start ?date/iu;

/** Throws the fault for an error of the client. */
function translate(error: unknown): never {
  if (error instanceof ServiceError || !(error instanceof Error)) throw error;
  if (error instanceof ConflictException) {
    const again = { cause: error, retryable: true, advice: 'Try again later.' };
    throw new ServiceError('storeUnavailable', `${SERVICE}: others keep changing the schedule`, again);
  }
  if (!(error instanceof ValidationException)) throw storeUnavailable(SERVICE, error);
  if (ABOUT_TIMES.test(error.message)) {
    const message = `is refused by ${SERVICE} (${error.message}); check the expression and the time zone`;
    throw invalidRequest([{ path: 'options.schedule.expression', message }]);
  }
  throw new ServiceError('storeUnavailable', `${SERVICE} refused the schedule: ${error.message}`, {
    cause: error,
    advice: 'Correct the role, function or queue that this message names. Deploying the stack again restores them.',
  });
}
