/**
 * One run of the synchronisation: read, match, decide removals, plan, apply, report. Knows only the order: matching is
 * in matching.ts, removals in removal.ts, planning in plan.ts, writing in apply.ts.
 *
 * A dry run is the same run without the writes. A crash at any point loses nothing: every write is complete in itself
 * and conditional on the record that was read, and the next run plans from the stored users.
 */
import type { Clock } from '../clock.ts';
import type { OpenDirectory } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import type { SettingsStore } from '../settings/settings-store.ts';
import type { StoredSettings } from '../settings/settings.ts';
import type { Fence, UserStore } from '../user/user-store.ts';
import { applyTo, carryOut, tellOnly } from './apply.ts';
import { countWrites, planChanges, sortMatches } from './plan.ts';
import { readEverybody, readTouchedUsers } from './reading.ts';
import { decideRemovals, readApproval } from './removal.ts';
import { startReport } from './report.ts';
import type { Report } from './report.ts';
import type { RunStore } from './run-store.ts';
import type { Run } from './run.ts';
import type { PlanContext } from './step.ts';

/** The ports that a run needs. */
export interface SyncPorts {
  readonly users: UserStore;
  readonly runs: RunStore;
  readonly settings: SettingsStore;
  readonly openDirectory: OpenDirectory;
  readonly clock: Clock;
  readonly newId: () => string;
}

/** A run that holds the lease. */
export interface StartedRun {
  readonly run: Run;
  readonly fence: Fence;
}

/**
 * Carries out a run that holds its lease, until it ends or `deadline` is reached.
 *
 * @returns the run as stored, whatever its result
 * @throws ServiceError `leaseLost` if another run has taken over; nothing more is written then. Rethrows an unexpected
 *   error, after storing the run as failed
 */
export async function synchronize(ports: SyncPorts, started: StartedRun, deadline: Date): Promise<Run> {
  const report = startReport(ports, started, deadline);
  try {
    const stored = await ports.settings.read();
    if (stored === null) {
      throw new ServiceError('notConfigured', 'no directory is configured', {
        advice: 'Save settings, then try again.',
      });
    }
    report.settingsVersion(stored.version);
    await perform(ports, started, stored, report);
    return await report.finish();
  } catch (error) {
    return await report.fail(error);
  }
}

async function perform(
  { users, runs, openDirectory, clock, newId }: SyncPorts,
  { run, fence }: StartedRun,
  { settings, password, version }: StoredSettings,
  report: Report,
): Promise<void> {
  const { missingUsers, gracePeriodDays, removalLimit } = settings.options;
  const { defaultPrivileges } = settings;
  const directory = openDirectory(settings, password);
  try {
    await report.stage('reading');
    const { reader, matches, complete } = await readEverybody(directory, users, settings, report);
    try {
      await report.stage('planning');
      const now = clock.now();
      const { idAttribute } = reader;
      const context: PlanContext = { now, newId, idAttribute, missingUsers, gracePeriodDays, defaultPrivileges };
      const stored = await readTouchedUsers(users, matches, complete, report);
      const sorted = sortMatches(matches, stored, context);
      const removals = await decideRemovals(
        {
          ...sorted,
          missing: complete ? matches.missing.flatMap((nameKey) => stored.get(nameKey) ?? []) : [],
          complete,
          known: matches.known,
          read: matches.read,
          limit: removalLimit,
          approved: await readApproval(runs, run.approves, version, report),
        },
        { users, locate: (ids) => reader.locate(ids), report },
        context,
      );
      const plan = planChanges(matches, sorted, removals, stored, context);
      report.unchanged(matches.unchanged + removals.settled);
      report.planned(countWrites(plan));

      await report.stage('applying');
      await carryOut(plan, run.dryRun ? tellOnly(report) : applyTo(users, fence, report, context), users, context);
    } finally {
      await reader.close();
    }
  } finally {
    await directory.close();
  }
}
