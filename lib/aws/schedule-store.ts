/** The schedule of the synchronisation in EventBridge Scheduler. Moves it, and leaves what it starts and how as deployed. */
import {
  GetScheduleCommand,
  SchedulerClient,
  UpdateScheduleCommand,
  ValidationException,
} from '@aws-sdk/client-scheduler';
import type { SchedulerClientConfig, UpdateScheduleCommandInput } from '@aws-sdk/client-scheduler';
import { invalidRequest } from '../errors.ts';
import type { ScheduleStore } from '../ports.ts';
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
}

/** Errors: `invalidRequest` for an expression or a time zone that Scheduler refuses; `storeUnavailable`. */
export function createScheduleStore({ client, scheduleName, scheduleGroup }: ScheduleStoreOptions): ScheduleStore {
  return {
    async apply({ enabled, expression, timeZone }) {
      const stored = await client.send(new GetScheduleCommand({ Name: scheduleName, GroupName: scheduleGroup }));
      // An update replaces the whole schedule: what it does not name falls back to its default.
      const { Description, StartDate, EndDate, KmsKeyArn, Target, FlexibleTimeWindow, ActionAfterCompletion } = stored;
      const update = {
        Name: scheduleName,
        GroupName: scheduleGroup,
        ScheduleExpression: expression,
        ScheduleExpressionTimezone: timeZone,
        State: enabled ? 'ENABLED' : 'DISABLED',
        Description,
        StartDate,
        EndDate,
        KmsKeyArn,
        Target,
        FlexibleTimeWindow,
        ActionAfterCompletion,
      } as UpdateScheduleCommandInput;
      try {
        await client.send(new UpdateScheduleCommand(update));
      } catch (error) {
        if (!(error instanceof ValidationException)) throw error;
        const message = 'EventBridge Scheduler refuses this expression or its time zone';
        throw invalidRequest([{ path: 'options.schedule.expression', message }]);
      }
    },
  };
}
