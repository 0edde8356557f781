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
  readonly schedule: ScheduleStore;
  readonly runs: Pick<RunStore, 'list'>;
  readonly clock: Clock;
}

/** The health as reported; null as long as nothing was ever configured, when there is nothing to report. */
export type WatchResult = Health | null;

const ALL_WELL: Health = { linesWaiting: 0, minutesOverdue: 0, consecutiveFailures: 0 };

/**
 * Makes the handler of the watch function, which ignores its event. A fault of the schedule does not keep it from
 * reporting, and is thrown afterwards.
 */
export function makeHandler({ settings, schedule, runs, clock }: WatchPorts) {
  return async (): Promise<WatchResult> => {
    try {
      const stored = await settings.read();
      if (stored === null) return await switchOff(schedule);
      const wanted = stored.settings.options.schedule;
      const applied = await apply(schedule, wanted);
      const judged = applied instanceof ServiceError ? { ...wanted, start: null, setAt: null } : applied;
      const health = judgeHealth(judged, await readNewestRuns(runs), clock.now());
      recordHealth(health);
      if (applied instanceof ServiceError) throw applied;
      return health;
    } catch (error) {
      throw error instanceof ServiceError ? functionError(error) : error;
    }
  };
}

/** Where settings have been taken away, every run would fail: ends the schedule, and the alarms with it. */
async function switchOff(schedule: WatchPorts['schedule']): Promise<WatchResult> {
  const left = await schedule.read();
  if (left === null) return null;
  const { expression, timeZone } = left;
  if (left.enabled) await schedule.apply({ enabled: false, expression, timeZone });
  recordHealth(ALL_WELL);
  return ALL_WELL;
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
