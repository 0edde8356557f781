/**
 * The schedule of the synchronisation in EventBridge Scheduler. Changes when it fires; leaves its target as deployed.
 *
 * A rate is stored with a StartDate, its first run, so that everybody can work out the later ones. Without a StartDate,
 * Scheduler fires at once and does not tell from when it counts.
 *
 * @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
 */
import {
  GetScheduleCommand,
  SchedulerClient,
  UpdateScheduleCommand,
  ValidationException,
} from '@aws-sdk/client-scheduler';
import type {
  GetScheduleCommandOutput,
  SchedulerClientConfig,
  UpdateScheduleCommandInput,
} from '@aws-sdk/client-scheduler';
import type { Clock } from '../clock.ts';
import { invalidRequest } from '../errors.ts';
import type { WorkingSchedule } from '../settings/schedule.ts';
import { firstRun } from '../settings/schedule.ts';
import type { ScheduleStore } from '../settings/settings-store.ts';
import { CLIENT_DEFAULTS, translateFaults } from './fault.ts';

/** A client that throws only ServiceError `storeUnavailable` and ValidationException. */
export function createSchedulerClient(config: SchedulerClientConfig = {}): SchedulerClient {
  return translateFaults(new SchedulerClient({ ...CLIENT_DEFAULTS, ...config }), 'EventBridge Scheduler', [
    'ValidationException',
  ]);
}

/** The schedule to read and change, by its name and group. */
export interface ScheduleStoreOptions {
  readonly client: SchedulerClient;
  readonly scheduleName: string;
  readonly scheduleGroup: string;
  readonly clock: Clock;
}

/** The longest time that a request for the settings waits for the next runs. */
const READ_LIMIT_MS = 3_000;

/**
 * The schedule store on EventBridge Scheduler. Errors: `invalidRequest` for an expression or time zone that Scheduler
 * refuses; `storeUnavailable`.
 */
export function createScheduleStore({
  client,
  scheduleName,
  scheduleGroup,
  clock,
}: ScheduleStoreOptions): ScheduleStore {
  const key = { Name: scheduleName, GroupName: scheduleGroup };
  return {
    async read() {
      return toWorking(
        await client.send(new GetScheduleCommand(key), { abortSignal: AbortSignal.timeout(READ_LIMIT_MS) }),
      );
    },
    async apply({ enabled, expression, timeZone }) {
      const stored = await client.send(new GetScheduleCommand(key));
      const working = toWorking(stored);
      const start = firstRun(expression, clock.now());
      const wanted: WorkingSchedule = { enabled, expression, timeZone, start };
      if (isSame(working, wanted)) return working;
      // An update replaces the whole schedule: a property that it leaves out falls back to its default.
      const { Description, EndDate, KmsKeyArn, Target, FlexibleTimeWindow, ActionAfterCompletion } = stored;
      const update = {
        ...key,
        ScheduleExpression: expression,
        ScheduleExpressionTimezone: timeZone,
        State: enabled ? 'ENABLED' : 'DISABLED',
        Description,
        // Not the stored date, which Scheduler refuses once it is five minutes old.
        StartDate: start ?? undefined,
        EndDate,
        KmsKeyArn,
        Target,
        FlexibleTimeWindow,
        ActionAfterCompletion,
      } as UpdateScheduleCommandInput;
      try {
        await client.send(new UpdateScheduleCommand(update));
        return wanted;
      } catch (error) {
        if (!(error instanceof ValidationException)) throw error;
        const message = 'is refused by EventBridge Scheduler; check the expression and the time zone';
        throw invalidRequest([{ path: 'options.schedule.expression', message }]);
      }
    },
  };
}

function toWorking(stored: GetScheduleCommandOutput): WorkingSchedule {
  const { State, ScheduleExpression = '', ScheduleExpressionTimezone = 'UTC', StartDate = null } = stored;
  return {
    enabled: State === 'ENABLED',
    expression: ScheduleExpression,
    timeZone: ScheduleExpressionTimezone,
    start: StartDate,
  };
}

/** Whether the schedule needs no change. A rate without a start was not set by this store. */
function isSame(working: WorkingSchedule, wanted: WorkingSchedule): boolean {
  return (
    working.enabled === wanted.enabled &&
    working.expression === wanted.expression &&
    working.timeZone === wanted.timeZone &&
    (working.start === null) === (wanted.start === null)
  );
}
