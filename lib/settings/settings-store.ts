/** The ports to the stored settings and to the schedule that is at work. */
import type { WorkingSchedule } from './schedule.ts';
import type { Settings, StoredSettings } from './settings.ts';

export interface SettingsStore {
  /** null while nothing is configured. */
  read(): Promise<StoredSettings | null>;
  /** Stores both as one; `null` as expected version means: nothing is configured yet. null = somebody was there first. */
  write(settings: Settings, password: string, expectedVersion: string | null): Promise<string | null>;
}

/** The schedule of the synchronisation. */
export interface ScheduleStore {
  /** Makes it what the settings say, and gives what it is then. Where it is that already, a rate goes on as it was. */
  apply(schedule: Settings['options']['schedule']): Promise<WorkingSchedule>;
  /** Within three seconds. */
  read(): Promise<WorkingSchedule>;
}
