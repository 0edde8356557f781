/**
 * The report of a run: progress, shown whenever the lease is renewed, totals, lines, and the final record. Also detects
 * the reasons to end a run early: a lost lease, a request to cancel, the time limit.
 */
import type { Clock } from '../clock.ts';
import type { ReadProof, ServerIdentity } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import type { Fence } from '../user/user-store.ts';
import type { RunJournal } from './run-journal.ts';
import type { RunStore } from './run-store.ts';
import type { Change, ChangeKind, Run, RunStage, RunState } from './run.ts';
import { NO_TOTALS } from './run.ts';
import type { Step } from './step.ts';

/** The report of one run while it works. */
export interface Report {
  /** Enters a stage and renews the lease. Throws as `check` does. */
  stage(stage: RunStage): Promise<void>;
  /** Counts entries read. */
  read(entries: number): void;
  /** Restarts the count for another read. The reason becomes a notice. */
  readAgain(reason: string): void;
  /** Shows how many changes the run is to write. */
  planned(steps: number): void;
  /**
   * Counts users that need no change and, for the guard, the directory users known. `known`: null in a dry run, and
   * after an incomplete read.
   */
  counted(unchanged: number, known: number | null): Promise<void>;
  /** Records the lines of steps that write nothing. */
  tell(steps: readonly Step[]): Promise<void>;
  /** Counts steps that the journal has written, with their lines. */
  wrote(steps: readonly Step[]): void;
  /** Throws the fault that ends the run; call it between any two steps. */
  check(): void;
  /** Records whether the read was complete. */
  completeness(proof: ReadProof): void;
  /** Adds a reason why the run is partial. */
  incomplete(reason: string): void;
  /** Records which settings the run works under. */
  settings(version: string, approvalScope: string): void;
  /** Records which server was read. */
  server(identity: ServerIdentity): void;
  /** Adds a sentence for an administrator. At most 20 are kept, of at most 600 UTF-16 code units each. */
  notice(sentence: string): void;
  /**
   * Stores the waiting lines and the run: succeeded, or partial. @throws ServiceError `leaseLost`, `storeUnavailable`
   */
  finish(): Promise<Run>;
  /**
   * Stores the run as failed or cancelled. @throws ServiceError `leaseLost`, in which case nothing is stored; any
   * unexpected error, after the run is stored
   */
  fail(error: unknown): Promise<Run>;
}

/** How often progress is shown and the lease renewed, even while the run waits for a server or the store. */
const PULSE_MS = 1_000;
/** When this many lines wait, they are stored together. */
const LINES_TOGETHER = 1_000;
/** Limits for reasons and notices: a record must fit into one item of the store. */
const MAX_SENTENCES = 20;
const MAX_SENTENCE_LENGTH = 600;

/** The kinds of lines that stand for a write. */
const WRITTEN = ['created', 'updated', 'renamed', 'linked', 'disabled', 'enabled', 'deleted'] as const;

class Cancelled extends Error {}

/** Starts the report of a run and renews its lease until `finish` or `fail`. `deadline`: the end of the run's time. */
export function startReport(
  { runs, journal, clock }: { readonly runs: RunStore; readonly journal: RunJournal; readonly clock: Clock },
  { run, fence }: { readonly run: Run; readonly fence: Fence },
  deadline: Date,
): Report {
  const totals: Record<ChangeKind, number> = { ...NO_TOTALS };
  const progress = { read: 0, planned: 0, applied: 0 };
  const notices: string[] = [];
  const incomplete: string[] = [];
  let lines: Change[] = [];
  /** Lines of kind `unchanged` that wait to be counted in the store. */
  let uncounted = 0;
  /** What is being stored; kept after a fault. */
  let waitingLines: Parameters<RunJournal['tell']>[1] | null = null;
  let stage: RunStage = 'reading';
  let proof: ReadProof | null = null;
  let settings: Pick<Run, 'settingsVersion' | 'approvalScope'> = { settingsVersion: null, approvalScope: null };
  let server: ServerIdentity | null = null;

  /** The fault that ends the run at its next step. */
  let verdict: unknown = null;
  let waiting = false;

  const state = (): RunState => ({ stage, progress: { ...progress }, totals: { ...totals } });

  /** Renews the lease. Never throws: a fault ends the run at its next step. */
  async function beat(): Promise<void> {
    if (waiting) return;
    waiting = true;
    try {
      const { cancelRequested } = await runs.heartbeat(fence, state());
      if (cancelRequested) verdict ??= new Cancelled();
    } catch (error) {
      // The lease outlasts many lost heartbeats. If another run has taken it, the next write finds that out.
      if (!(error instanceof ServiceError && error.retryable)) verdict ??= error;
    } finally {
      waiting = false;
    }
  }

  // Runs beside the work, so that no step waits for it.
  const pulse = setInterval(() => void beat(), PULSE_MS);

  function check(): void {
    if (verdict !== null) throw verdict;
    if (clock.now() < deadline) return;
    throw new ServiceError('timeLimit', 'the run reached its time limit', {
      advice:
        'Finished changes are kept; the next run does the rest. If this repeats, give the sync function more memory.',
    });
  }

  /** Stores the lines that wait. They wait on if that fails. */
  async function saveLines(): Promise<void> {
    if (waitingLines === null) {
      if (lines.length === 0 && uncounted === 0) return;
      waitingLines = { lines, totals: { unchanged: uncounted } };
      [lines, uncounted] = [[], 0];
    }
    // The same object again after a fault, so that the journal can tell whether it has stored these lines already.
    await journal.tell(fence, waitingLines);
    waitingLines = null;
    await saveLines();
  }

  /** After a fault, only the store knows what was written: an answer may have been lost. */
  async function recount(): Promise<void> {
    try {
      await saveLines();
    } catch (error) {
      // Nothing was written for these lines, and the next run tells them again. What ended the run is told all the
      // same.
      if (error instanceof ServiceError && error.code === 'leaseLost') throw error;
    }
    Object.assign(totals, NO_TOTALS, await journal.close(fence));
    progress.applied = WRITTEN.reduce((sum, kind) => sum + totals[kind], 0);
  }

  const isComplete = (): boolean => proof !== null && proof.complete && incomplete.length === 0;

  async function end(outcome: Pick<Run, 'status' | 'error'>): Promise<Run> {
    clearInterval(pulse);
    const reasons = shorten([...(proof?.reasons ?? []), ...incomplete]);
    const ended: Run = {
      ...run,
      ...outcome,
      ...state(),
      stage: 'finished',
      finishedAt: clock.now().toISOString(),
      completeness: proof && { complete: isComplete(), reasons },
      ...settings,
      server,
      notices: shorten(notices),
    };
    await runs.finish(fence, ended);
    return ended;
  }

  return {
    async stage(next) {
      stage = next;
      await beat();
      check();
    },
    read(entries) {
      progress.read += entries;
      check();
    },
    readAgain(reason) {
      progress.read = 0;
      notices.push(reason);
    },
    planned(steps) {
      progress.planned = steps;
    },
    async counted(unchanged, known) {
      totals.unchanged += unchanged;
      await journal.tell(fence, { totals: { unchanged }, ...(known !== null && { known }) });
    },
    async tell(steps) {
      for (const { change } of steps) {
        totals[change.kind] += 1;
        if (change.kind === 'unchanged') uncounted += 1;
        else lines.push(change);
        if (lines.length >= LINES_TOGETHER) await saveLines();
      }
      check();
    },
    wrote(steps) {
      for (const { change } of steps) totals[change.kind] += 1;
      progress.applied += steps.length;
    },
    check,
    completeness(read) {
      proof = read;
    },
    incomplete(reason) {
      incomplete.push(reason);
    },
    settings(version, approvalScope) {
      settings = { settingsVersion: version, approvalScope };
    },
    server(identity) {
      server = identity;
    },
    notice(sentence) {
      notices.push(sentence);
    },
    async finish() {
      await saveLines();
      return await end({ status: isComplete() ? 'succeeded' : 'partial', error: null });
    },
    async fail(error) {
      clearInterval(pulse);
      if (error instanceof ServiceError && error.code === 'leaseLost') throw error;
      await recount();
      if (error instanceof Cancelled) return await end({ status: 'cancelled', error: null });
      // The text of an unknown error may contain anything; its stack goes to the function's log.
      if (!(error instanceof ServiceError)) {
        const known = {
          code: 'internal',
          message: 'an unexpected error ended the run',
          advice: 'See the log of the sync function.',
        } as const;
        await end({ status: 'failed', error: known });
        throw error;
      }
      // A cancelled run that hung ends as cancelled, even if the hanging ended by itself.
      const { cancelRequested } = await runs.heartbeat(fence, state());
      if (cancelRequested) return await end({ status: 'cancelled', error: null });
      const { code, message, advice } = error;
      return await end({ status: 'failed', error: { code, message, advice: advice ?? null } });
    },
  };
}

function shorten(sentences: readonly string[]): string[] {
  const kept = sentences
    .slice(0, MAX_SENTENCES)
    .map((sentence) =>
      sentence.length > MAX_SENTENCE_LENGTH ? `${sentence.slice(0, MAX_SENTENCE_LENGTH)}...` : sentence,
    );
  const more = sentences.length - kept.length;
  return more > 0 ? [...kept, `And ${more} more.`] : kept;
}
