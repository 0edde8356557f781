/**
 * Presents settings to an administrator: without the password, with the next runs and with warnings. Knows neither
 * validation nor stores.
 */
import { inspectBundle } from '../settings/ca-certificates.ts';
import { nextRuns } from '../settings/schedule.ts';
import type { WorkingSchedule } from '../settings/schedule.ts';
import type { OptionSettings, ScheduleSettings, Settings, StoredSettings } from '../settings/settings.ts';

const RUNS_SHOWN = 5;

/**
 * The settings without the password; `passwordSet` says whether there is one. `options.schedule.next` holds the start
 * times of the next runs (RFC 3339, UTC; null = unknown).
 */
export type PresentedSettings = Omit<Settings, 'connection' | 'options'> & {
  readonly connection: Settings['connection'] & { readonly passwordSet: boolean };
  readonly options: OptionSettings & {
    readonly schedule: ScheduleSettings & { readonly next: readonly string[] | null };
  };
  readonly warnings: readonly string[];
};

/**
 * The settings as GET shows them. The next runs are those of the schedule in effect, which differs from the settings if
 * somebody has changed it elsewhere; a warning says so.
 *
 * @param working the schedule in effect; null = unknown
 */
export function presentSettings(
  { settings, password, notices }: StoredSettings,
  working: WorkingSchedule | null,
  now: Date,
): PresentedSettings {
  const { schedule } = settings.options;
  const next = working && showNextRuns(working, now);
  const warnings = [...notices, ...settingsWarnings(settings, now)];
  if (working !== null && !isInEffect(schedule, working)) {
    warnings.push(
      'The schedule in effect differs from these settings. Rollcall corrects it within five minutes; to have it at ' +
        'once, save the settings again.',
    );
  } else {
    warnings.push(...scheduleWarnings(schedule, next));
  }
  return {
    ...settings,
    connection: { ...settings.connection, passwordSet: password !== '' },
    options: { ...settings.options, schedule: { ...schedule, next } },
    warnings,
  };
}

/** The start times of the next runs of a schedule (RFC 3339, UTC), at most five; null = unknown. */
export function showNextRuns(schedule: WorkingSchedule, now: Date): readonly string[] | null {
  return nextRuns(schedule, now, RUNS_SHOWN)?.map((run) => run.toISOString()) ?? null;
}

/** Warnings about a schedule with these next runs, as whole sentences. */
export function scheduleWarnings({ enabled }: ScheduleSettings, next: readonly string[] | null): readonly string[] {
  if (!enabled || next?.length !== 0) return [];
  return ['The schedule has no time in the future. Change options.schedule.expression.'];
}

/** Whether the schedule in effect is the wanted one. While it is disabled, expression and time zone do not matter. */
export function isInEffect(wanted: ScheduleSettings, working: WorkingSchedule): boolean {
  if (!wanted.enabled || !working.enabled) return wanted.enabled === working.enabled;
  return wanted.expression === working.expression && wanted.timeZone === working.timeZone;
}

/** Warnings about settings that are allowed but should be changed, as whole sentences. */
export function settingsWarnings({ connection, defaultPrivileges }: Settings, now: Date): readonly string[] {
  const warnings: string[] = [];
  if (connection.ignoreCertificateWarnings) {
    warnings.push(
      'Any certificate is accepted, so anyone on the network path can read and change everything, including ' +
        'passwords. Put the certificate of your CA into caCertificates instead.',
    );
  }
  if (connection.encryption === 'none') {
    warnings.push(
      'The connection is not encrypted: passwords cross the network in plain text. Set encryption to "tls" or "ssl".',
    );
  }
  warnings.push(...inspectBundle(connection.caCertificates, now).map(({ sentence }) => sentence));
  if (defaultPrivileges.includes('admin')) {
    warnings.push('Every user that the synchronisation creates becomes an administrator.');
  }
  return warnings;
}
