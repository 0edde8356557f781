/** The ports to the stored settings and to the schedule in effect. */
import type { WorkingSchedule } from './schedule.ts';
import type { ScheduleSettings, Settings, StoredSettings } from './settings.ts';

/** Reads the stored settings. Every method may throw ServiceError `storeUnavailable`. */
export interface SettingsReader {
  /** The stored settings; null if none are saved. */
  read(): Promise<StoredSettings | null>;
}

/** The stored settings. Every method may throw ServiceError `storeUnavailable`. */
export interface SettingsStore extends SettingsReader {
  /**
   * Stores settings and password together, and returns the new version. `expectedVersion` is the version to replace, or
   * null if none are saved. Returns null, and stores nothing, if another writer was first or is at work.
   *
   * @throws ServiceError `throttled` if the store takes no more versions for now; `invalidRequest` if the settings are
   *   too long
   */
  write(settings: Settings, password: string, expectedVersion: string | null): Promise<string | null>;
}

/** The schedule of the synchronisation. Every method may throw ServiceError `storeUnavailable`. */
export interface ScheduleStore {
  /**
   * Puts the schedule of the settings into effect, creating it if there is none, and returns the result. Writes nothing
   * if it is in effect already; then a rate keeps its start.
   * @throws ServiceError `invalidRequest` if the scheduler refuses the expression or the time zone
   */
  apply(schedule: ScheduleSettings): Promise<WorkingSchedule>;
  /** The schedule in effect, null if there is none; answers or fails within three seconds. */
  read(): Promise<WorkingSchedule | null>;
}
