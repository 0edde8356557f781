/**
 * The watch function: makes the schedule what the settings say, whatever a deployment or a person has made of it, and
 * reports the health of the synchronisation. Knows neither Scheduler nor CloudWatch.
 */
import { judgeHealth, readNewestRuns, type Health } from '../lib/administration/health.ts';
import type { Clock } from '../lib/clock.ts';
import { ServiceError } from '../lib/errors.ts';
import type { WorkingSchedule } from '../lib/settings/schedule.ts';
import type { ScheduleStore, SettingsReader } from '../lib/settings/settings-store.ts';
import type { ScheduleSettings } from '../lib/settings/settings.ts';
import type { RunStore } from '../lib/sync/run-store.ts';
import { functionError } from './function-error.ts';
import { recordHealth } from './telemetry.ts';

/** The ports of the watch function. */
export interface WatchPorts {
  readonly settings: SettingsReader;
  readonly schedule: Pick<ScheduleStore, 'apply'>;
  readonly runs: Pick<RunStore, 'list'>;
  readonly clock: Clock;
}

/** The health as reported; null while nothing is configured, when there is nothing to report. */
export type WatchResult = Health | null;

/**
 * Makes the handler of the watch function, which ignores its event. A fault of the schedule does not keep it from
 * reporting, and is thrown afterwards.
 */
export function makeHandler({ settings, schedule, runs, clock }: WatchPorts) {
  return async (): Promise<WatchResult> => {
    try {
      const stored = await settings.read();
      if (stored === null) return null;
      const wanted = stored.settings.options.schedule;
      const applied = await apply(schedule, wanted);
      const inEffect = applied instanceof ServiceError ? { ...wanted, start: null, setAt: null } : applied;
      const health = judgeHealth(inEffect, await readNewestRuns(runs), clock.now());
      recordHealth(health);
      if (applied instanceof ServiceError) throw applied;
      return health;
    } catch (error) {
      throw error instanceof ServiceError ? functionError(error) : error;
    }
  };
}

async function apply(
  schedule: WatchPorts['schedule'],
  wanted: ScheduleSettings,
): Promise<WorkingSchedule | ServiceError> {
  try {
    return await schedule.apply(wanted);
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw error;
  }
}
