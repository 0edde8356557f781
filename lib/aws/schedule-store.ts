/**
 * The schedule of the synchronisation in EventBridge Scheduler. Moves it, and leaves what it starts and how as deployed.
 *
 * A rate gets a StartDate, which is its first run, so that everybody can tell the others from it; without one Scheduler fires
 * at once, and keeps to itself from when it counts on.
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
import { invalidRequest } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type { ScheduleStore } from '../settings/settings-store.ts';
import type { WorkingSchedule } from '../settings/schedule.ts';
import { firstRun } from '../settings/schedule.ts';
import { CLIENT_DEFAULTS, translateFaults } from './fault.ts';

/** A client whose calls throw nothing but ServiceError `storeUnavailable` and refused values. */
export function createSchedulerClient(config: SchedulerClientConfig = {}): SchedulerClient {
  return translateFaults(new SchedulerClient({ ...CLIENT_DEFAULTS, ...config }), 'EventBridge Scheduler', [
    'ValidationException',
  ]);
}

export interface ScheduleStoreOptions {
  readonly client: SchedulerClient;
  readonly scheduleName: string;
  readonly scheduleGroup: string;
  readonly clock: Clock;
}

/** Who looks at the settings does not wait longer for the next runs. */
const READ_LIMIT_MS = 3_000;

/** Errors: `invalidRequest` for an expression or a time zone that Scheduler refuses; `storeUnavailable`. */
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
      // An update replaces the whole schedule: what it does not name falls back to its default.
      const { Description, EndDate, KmsKeyArn, Target, FlexibleTimeWindow, ActionAfterCompletion } = stored;
      const update = {
        ...key,
        ScheduleExpression: expression,
        ScheduleExpressionTimezone: timeZone,
        State: enabled ? 'ENABLED' : 'DISABLED',
        Description,
        // The stored one would be refused once it is five minutes old.
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

/** Whether nothing is to be moved: a rate without start was not set by us. */
function isSame(working: WorkingSchedule, wanted: WorkingSchedule): boolean {
  return (
    working.enabled === wanted.enabled &&
    working.expression === wanted.expression &&
    working.timeZone === wanted.timeZone &&
    (working.start === null) === (wanted.start === null)
  );
}
