/**
 * One run of the synchronisation: read, match, decide removals, plan, apply, report. Knows only the order: matching is
 * in matching.ts, removals in removal.ts, planning in plan.ts, writing in apply.ts.
 *
 * A dry run is the same run without the writes. A crash at any point loses nothing: every write is complete in itself
 * and conditional on the record that was read, and the next run plans from the stored users.
 */
import type { Clock } from '../clock.ts';
import type { Directory, DirectoryReader, OpenDirectory } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import { approvalScopeOf } from '../settings/approval-scope.ts';
import type { SettingsReader } from '../settings/settings-store.ts';
import type { Settings } from '../settings/settings.ts';
import type { Fence, UserStore } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { noticeNewAbsence } from './absence.ts';
import { applyTo, carryOut, tellOnly } from './apply.ts';
import type { ApprovalStore } from './approval-store.ts';
import { openGuard } from './guard.ts';
import { decideLinks, separateContested } from './link.ts';
import type { Separated } from './link.ts';
import { decideLosses } from './loss.ts';
import { openApprovals } from './open-approvals.ts';
import type { OpenApprovals } from './open-approvals.ts';
import { countWrites, linkableOccupant, planChanges, sortMatches } from './plan.ts';
import type { SortedMatches } from './plan.ts';
import { readEverybody, readTouchedUsers } from './reading.ts';
import type { Reading } from './reading.ts';
import { decideRemovals } from './removal.ts';
import type { Present } from './removal.ts';
import { startReport } from './report.ts';
import type { Report } from './report.ts';
import type { RunJournal, RunMemory } from './run-journal.ts';
import type { RunStore } from './run-store.ts';
import type { Run } from './run.ts';
import { prepareSecondLook } from './second-look.ts';
import type { PlanContext } from './step.ts';
import { NO_LOSS } from './step.ts';
import { findWaste } from './waste.ts';

/** The ports that a run needs. */
export interface SyncPorts {
  readonly users: UserStore;
  readonly runs: RunStore;
  readonly journal: RunJournal;
  readonly approvals: ApprovalStore;
  readonly settings: SettingsReader;
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
    const { settings, password, version, notices } = stored;
    report.settings(version, approvalScopeOf(settings));
    for (const sentence of notices) report.notice(sentence);
    const directory = ports.openDirectory(settings, password);
    try {
      await report.stage('reading');
      const reading = await readEverybody(directory, ports.users, settings, report);
      try {
        await perform(ports, started, directory, reading, settings, report);
      } finally {
        await reading.reader.close();
      }
    } finally {
      await directory.close();
    }
    return await report.finish();
  } catch (error) {
    return await report.fail(error);
  }
}

/** Plans and applies what was read. */
async function perform(
  ports: SyncPorts,
  { run, fence }: StartedRun,
  directory: Directory,
  reading: Reading,
  settings: Settings,
  report: Report,
): Promise<void> {
  const { users, journal, approvals: approvalStore, clock, newId } = ports;
  const { reader, matches, complete, ownsNames } = reading;
  await report.stage('planning');
  report.server(reader.identity);
  const now = clock.now();
  const memory = await journal.recall();
  // Only this run writes the memory as long as it holds the lease, so it is read once.
  let remembered: RunMemory = memory;
  const remember = async (change: Partial<RunMemory>): Promise<void> => {
    remembered = { ...remembered, ...change };
    await journal.remember(fence, remembered);
  };
  if (complete && !run.dryRun) await remember({ lastRead: { entries: matches.read, server: reader.identity } });
  const look = prepareSecondLook(directory, reader, memory.unreachable, report);
  try {
    const first: PlanContext = {
      now,
      newId,
      idAttribute: reader.idAttribute,
      mapping: settings.mapping,
      missingUsers: settings.options.missingUsers,
      gracePeriodDays: settings.options.gracePeriodDays,
      defaultPrivileges: settings.defaultPrivileges,
      ownsNames,
      sameServer: memory.lastRead?.server?.identity === reader.identity.identity,
      spared: new Set(),
      unfinishedSince: memory.unfinishedSince ?? null,
      losses: NO_LOSS,
    };
    const stored = await readTouchedUsers(users, matches, complete, report);
    const waste = findWaste(matches, stored);
    if (waste !== null) report.notice(waste);

    const sorted = sortMatches(matches, stored, first);
    const missing = complete ? matches.missing.flatMap((nameKey) => stored.get(nameKey) ?? []) : [];
    const separated = separateContested(ownsNames ? matches.fresh : [], missing);
    const approvals = openApprovals(await approvalStore.list(), approvalScopeOf(settings));
    const { windowHours } = settings.options.removalLimit;
    const hours = await journal.readGuard(new Date(now.getTime() - windowHours * HOUR_MS));
    const known = matches.known - missing.filter(({ disabledBy }) => disabledBy !== null).length;
    const guard = openGuard(hours, known, settings.options.removalLimit);

    const losses = await decideLosses(
      { pairs: pairsOf(sorted, separated, stored, approvals), updates: sorted.updates, shown: matches.shown },
      { users, guard, approvals, report },
      first,
    );
    const context: PlanContext = { ...first, losses };
    const linked = await decideLinks(separated.contested, { look, approvals }, context);
    const removals = await decideRemovals(
      {
        marked: sorted.marked,
        missing: [...separated.absent, ...linked.absent],
        claimed: matches.claimed,
        read: matches.read,
        baseDn: reader.baseDn,
      },
      { users, look, judgeBranch: judge(reader, report), guard, approvals, report },
      context,
    );
    noticeNewAbsence(removals.marks, guard, settings.options, report);
    const decided: PlanContext = { ...context, spared: new Set(removals.spared.map(({ user }) => user.id)) };
    const plan = planChanges(separated.newcomers, sorted, removals, linked.steps, stored, decided);
    const held = ownsNames ? 0 : matches.fresh.length + plan.postponed;
    if (held > 0)
      report.notice(`Nobody was created, renamed or linked, because the read broke off: ${held} people wait.`);
    report.planned(countWrites(plan));
    // After an incomplete read, it is not known who is still there.
    await report.counted(matches.unchanged + removals.settled, run.dryRun || !complete ? null : known);

    const marksMissing = [...removals.marks, ...removals.withheld].some(({ write }) => write !== null);
    if (marksMissing && !run.dryRun) {
      await remember({ unfinishedSince: first.unfinishedSince ?? now.toISOString() });
    }

    await report.stage('applying');
    await carryOut(plan, run.dryRun ? tellOnly(report) : applyTo(ports, fence, report, decided), users, decided);
    if (run.dryRun) return;
    await approvalStore.end([...approvals.outdated, ...(complete ? approvals.unused() : [])]);
    const end = memoryAtEnd(remembered, look.unreachable(), complete);
    if (end !== null) await journal.remember(fence, end);
  } finally {
    await look.close();
  }
}

const HOUR_MS = 60 * 60 * 1_000;

/** The users who are known to be updated to a person in this run, apart from ordinary updates. */
function pairsOf(
  { present, marked }: SortedMatches,
  { contested, newcomers }: Separated,
  stored: ReadonlyMap<string, User>,
  approvals: OpenApprovals,
): readonly Present[] {
  return [
    ...present,
    ...marked.flatMap(({ user, person }) => (person === null ? [] : { user, person })),
    // As long as nobody has approved the link, it empties nothing.
    ...contested.flatMap(({ user, newcomer: person }) =>
      approvals.find(user, 'link', person.directoryId) === null ? [] : { user, person },
    ),
    ...newcomers.flatMap((person) => {
      const user = linkableOccupant(person, stored);
      return user === null ? [] : { user, person };
    }),
  ];
}

/** Judges branches. A branch that can't be judged counts as vanished, which removes nobody. */
function judge(reader: DirectoryReader, report: Report): DirectoryReader['judgeBranch'] {
  return async (dn) => {
    try {
      return await reader.judgeBranch(dn);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      report.incomplete(`it could not be judged whether ${dn} is empty: ${error.message}`);
      return 'vanished';
    }
  };
}

/** The memory with what only a run that has come to its end can say; null if nothing changes. */
function memoryAtEnd(memory: RunMemory, unreachable: RunMemory['unreachable'], complete: boolean): RunMemory | null {
  const { unfinishedSince, ...rest } = memory;
  // An incomplete read has missed nobody, so it finishes nothing.
  const isOpen = !complete && unfinishedSince !== undefined;
  const isSame = JSON.stringify(memory.unreachable) === JSON.stringify(unreachable);
  if (isSame && isOpen === (unfinishedSince !== undefined)) return null;
  return { ...rest, unreachable, ...(isOpen && { unfinishedSince }) };
}
