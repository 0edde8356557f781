/**
 * Starts and cancels runs, and approves withheld lines, on behalf of an administrator. Knows no HTTP and carries out no
 * run: it asks the sync function to do so.
 */
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import { changedSince } from '../settings/approval-scope.ts';
import type { SettingsReader } from '../settings/settings-store.ts';
import type { Settings } from '../settings/settings.ts';
import type { ApprovalStore } from '../sync/approval-store.ts';
import { agreesByItself, proposalKey, proposedLink, toApproval } from '../sync/approval.ts';
import type { ProposalLine } from '../sync/approval.ts';
import type { RunStore } from '../sync/run-store.ts';
import { newRun, newRunId } from '../sync/run.ts';
import type { Change, Proposal, Run, RunRequest } from '../sync/run.ts';
import type { StartSync } from '../sync/sync-starter.ts';

/** The ports that runs are controlled with. */
export interface RunControlPorts {
  readonly runs: RunStore;
  readonly approvals: ApprovalStore;
  readonly settings: SettingsReader;
  readonly startSync: StartSync;
  readonly clock: Clock;
}

/** Which lines of a run an administrator approves. Without fields: all that `approveRun` covers. */
export interface ApprovalRequest {
  /** Only lines that propose this. */
  readonly proposes?: Proposal;
  /** Only lines of these users, by account id. */
  readonly userIds?: readonly string[];
}

const LINES_TOGETHER = 1_000;

/**
 * Stores a new run, which takes the lease, and asks the sync function to carry it out.
 *
 * @throws ServiceError `runActive` with the id of the active run; `notConfigured`; `leaseLost`; `storeUnavailable`,
 *   also if the sync function could not be started, in which case the run has failed
 */
export async function startRun(ports: RunControlPorts, request: RunRequest): Promise<Run> {
  return await begin(ports, request, {
    prepare: async () => {},
    advice: 'Try again. If it fails again, check that the sync function exists and is not throttled.',
  });
}

/**
 * Approves withheld lines of a run and starts a run that carries them out, after checking each again. Covers the lines
 * that `asked` describes, except those that propose `link` for somebody with another full name and other addresses:
 * these have to be named in `userIds`.
 *
 * @throws ServiceError `notFound`; `invalidRequest` with every user id that has no line to approve; `nothingWithheld`,
 *   also if the lines have been approved, or if the settings that they depend on have changed; the faults of startRun.
 *   After `storeUnavailable`, approvals that are stored hold: the next run carries them out
 */
export async function approveRun(
  ports: RunControlPorts,
  runId: string,
  asked: ApprovalRequest,
  request: Pick<RunRequest, 'trigger' | 'requestedBy'>,
): Promise<Run> {
  const { runs, approvals, settings, clock } = ports;
  const withheld = await getRun(runs, runId);
  const stored = await settings.read();
  if (stored === null) throw notConfigured();
  const approvalScope = checkApprovable(withheld, stored.settings);
  const lines = selectLines(await readProposals(runs, runId), asked);

  const findRemaining = async (): Promise<readonly ProposalLine[]> => {
    const approved = new Set((await approvals.list()).filter((each) => each.runId === runId).map(proposalKey));
    const remaining = lines.filter((line) => !approved.has(proposalKey(line)));
    if (remaining.length === 0) throw nothingWithheld('these lines have already been approved');
    return remaining;
  };
  // Asked now, to refuse without leaving a run behind, and again once no other approval can happen at the same time.
  await findRemaining();
  return await begin(
    ports,
    { ...request, dryRun: false, approves: runId },
    {
      async prepare() {
        const given = { runId, approvedBy: request.requestedBy, approvedAt: clock.now().toISOString(), approvalScope };
        await approvals.approve((await findRemaining()).map((line) => toApproval(line, given)));
      },
      advice: 'The approval is stored, and the next run carries it out. Start one, or wait for the schedule.',
    },
  );
}

/** Makes a run stop at its next step. @throws ServiceError `notFound`, `runNotActive` */
export async function cancelRun(runs: RunStore, runId: string): Promise<void> {
  await getRun(runs, runId);
  if (await runs.requestCancel(runId)) return;
  throw new ServiceError('runNotActive', 'this run has already ended');
}

/** The run with this id. @throws ServiceError `notFound` */
export async function getRun(runs: RunStore, runId: string): Promise<Run> {
  const run = await runs.get(runId);
  if (run === null) throw new ServiceError('notFound', 'there is no run with this id');
  return run;
}

/** The approval scope of a run whose lines may be approved. @throws ServiceError `runActive`, `nothingWithheld` */
function checkApprovable(run: Run, settings: Settings): string {
  if (run.status === 'running') throw runActive(run.id);
  if (run.dryRun)
    throw nothingWithheld("a dry run can't be approved", 'Start a real run, and approve what it withholds.');
  if (run.totals.withheld === 0) throw nothingWithheld('this run has withheld nothing');
  const again = 'Start a new run, check what it withholds, and approve that.';
  if (run.approvalScope === null) {
    throw nothingWithheld('this run was recorded by a version whose lines can no longer be approved', again);
  }
  const changed = changedSince(run.approvalScope, settings);
  if (changed.length > 0) {
    throw nothingWithheld(`the settings have changed since this run: ${changed.join(', ')}`, again);
  }
  return run.approvalScope;
}

/** The lines of a run that can be approved. */
async function readProposals(runs: RunStore, runId: string): Promise<readonly ProposalLine[]> {
  const lines: ProposalLine[] = [];
  let next: string | null = null;
  do {
    const query = { kind: 'withheld', limit: LINES_TOGETHER, ...(next !== null && { next }) } as const;
    const page = await runs.listChanges(runId, query);
    lines.push(...page.items.filter(isProposal));
    ({ next } = page);
  } while (next !== null);
  return lines;
}

function isProposal(line: Change): line is ProposalLine {
  if (line.userId === null || line.proposes === undefined) return false;
  return line.proposes !== 'link' || proposedLink(line) !== null;
}

/** The lines that an approval covers: at least one. @throws ServiceError `nothingWithheld`, `invalidRequest` */
function selectLines(all: readonly ProposalLine[], { proposes, userIds }: ApprovalRequest): readonly ProposalLine[] {
  const proposed = all.filter((line) => proposes === undefined || line.proposes === proposes);
  if (proposed.length === 0) {
    const which = proposes === undefined ? 'can be approved' : `proposes "${proposes}"`;
    throw nothingWithheld(`no withheld line of this run ${which}`, 'The reasons of its withheld lines say what to do.');
  }
  if (userIds === undefined) {
    const covered = proposed.filter((line) => line.proposes !== 'link' || agreesByItself(line));
    if (covered.length > 0) return covered;
    throw nothingWithheld(
      'no full name and no e-mail address agrees in the lines that propose "link"',
      'Check that they are the same people, and name their users in "userIds".',
    );
  }
  const known = new Set(proposed.map(({ userId }) => userId));
  const faults = userIds.flatMap((userId, position) =>
    known.has(userId) ? [] : [{ path: `userIds.${position}`, message: 'has no such line in this run; remove it' }],
  );
  if (faults.length > 0) {
    // The message names none of them: there may be thousands.
    throw new ServiceError('invalidRequest', `users without a line to approve: ${faults.length}`, { faults });
  }
  const named = new Set(userIds);
  return proposed.filter(({ userId }) => named.has(userId));
}

/**
 * Starts a run. Calls `prepare` after the lease is taken; if it throws, the run ends. `advice`: what to do if the sync
 * function can't be started.
 */
async function begin(
  { runs, settings, startSync, clock }: RunControlPorts,
  request: RunRequest,
  { prepare, advice }: { readonly prepare: () => Promise<void>; readonly advice: string },
): Promise<Run> {
  if ((await settings.read()) === null) throw notConfigured();
  const now = clock.now();
  const result = await runs.start(newRun(newRunId(now), request, now));
  if (result.kind === 'active') throw runActive(result.activeRunId);
  const { run } = result;

  const end = async (status: 'failed' | 'cancelled', fault: EndingFault): Promise<void> => {
    const error = { code: fault.code, message: fault.message, advice: fault.advice ?? null };
    await runs.finish(result.fence, {
      ...run,
      status,
      stage: 'finished',
      finishedAt: clock.now().toISOString(),
      error,
    });
  };
  try {
    await prepare();
  } catch (error) {
    if (error instanceof ServiceError) await end(error.code === 'nothingWithheld' ? 'cancelled' : 'failed', error);
    throw error;
  }
  const { dryRun, trigger, requestedBy } = request;
  try {
    await startSync({ runId: run.id, dryRun, trigger, requestedBy });
  } catch (cause) {
    const fault = { code: 'storeUnavailable', message: 'the sync function could not be started', advice } as const;
    await end('failed', fault);
    throw new ServiceError(fault.code, fault.message, { cause, advice, retryable: true });
  }
  return run;
}

/** The fault that ends a run before it is carried out. */
type EndingFault = Pick<ServiceError, 'code' | 'message'> & { readonly advice?: string | undefined };

function notConfigured(): ServiceError {
  return new ServiceError('notConfigured', 'no directory is configured', { advice: 'Save settings first.' });
}

function runActive(runId: string): ServiceError {
  return new ServiceError('runActive', 'a run is active', {
    runId,
    advice: 'Wait until it ends, or cancel it.',
  });
}

function nothingWithheld(message: string, advice?: string): ServiceError {
  return new ServiceError('nothingWithheld', message, advice === undefined ? {} : { advice });
}
