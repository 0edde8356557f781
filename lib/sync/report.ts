/**
 * What a run tells while it works and when it ends: progress with the renewed lease, totals, lines, the final record. Also
 * what ends a run early from outside: a lost lease, a wish to cancel, the time limit.
 */
import { ServiceError } from '../errors.ts';
import type { Step } from './step.ts';
import type { Clock } from '../clock.ts';
import type { Fence } from '../user/user-store.ts';
import type { ReadProof } from '../directory/directory.ts';
import type { RunStore } from './run-store.ts';
import type { Change, ChangeKind, Run, RunStage, RunState } from './run.ts';
import { NO_TOTALS } from './run.ts';

export interface Report {
  stage(stage: RunStage): Promise<void>;
  /** Counts entries read. */
  read(entries: number): void;
  /** Counts from nought: another read begins, for a reason that the record keeps. */
  readAgain(reason: string): void;
  planned(steps: number): void;
  unchanged(users: number): void;
  /** Keeps the lines of steps that are done, or that only tell something. */
  tell(steps: readonly Step[], written?: number): Promise<void>;
  /** Throws what ends the run; to be called between any two steps. */
  check(): void;
  completeness(proof: ReadProof): void;
  /** One more reason why the run is partial. */
  incomplete(reason: string): void;
  settingsVersion(version: string): void;
  notice(sentence: string): void;
  finish(): Promise<Run>;
  /** Stores the run as failed or cancelled. @throws ServiceError `leaseLost`, for which nothing can be stored */
  fail(error: unknown): Promise<Run>;
}

/** How often progress is shown and the lease renewed, whatever a server or the store keeps the run waiting for. */
const PULSE_MS = 1_000;
/** Lines kept in memory until they are stored together. */
const LINES_TOGETHER = 1_000;
/** What is kept of reasons and notices: a record has to fit into one item of the store. */
const MAX_SENTENCES = 20;
const MAX_SENTENCE_LENGTH = 600;

class Cancelled extends Error {}

export function startReport(
  { runs, clock }: { readonly runs: RunStore; readonly clock: Clock },
  { run, fence }: { readonly run: Run; readonly fence: Fence },
  deadline: Date,
): Report {
  const totals: Record<ChangeKind, number> = { ...NO_TOTALS };
  const progress = { read: 0, planned: 0, applied: 0 };
  const notices: string[] = [];
  const incomplete: string[] = [];
  let lines: Change[] = [];
  let stage: RunStage = 'reading';
  let proof: ReadProof | null = null;
  let settingsVersion: string | null = null;

  /** What ends the run at its next step. */
  let verdict: unknown = null;
  let waiting = false;

  const state = (): RunState => ({ stage, progress: { ...progress }, totals: { ...totals } });

  /** Never fails by itself: what ends the run is heard at its next step. */
  async function beat(): Promise<void> {
    if (waiting) return;
    waiting = true;
    try {
      const { cancelRequested } = await runs.heartbeat(fence, state());
      if (cancelRequested) verdict ??= new Cancelled();
    } catch (error) {
      // The lease outlasts many lost beats, as they collide with transactions of the run itself. That another run has it is
      // heard by the next beat that is answered, and by every removal.
      if (!(error instanceof ServiceError && error.retryable)) verdict ??= error;
    } finally {
      waiting = false;
    }
  }

  // Beside the work, so that no step waits for it.
  const pulse = setInterval(() => void beat(), PULSE_MS);

  function check(): void {
    if (verdict !== null) throw verdict;
    if (clock.now() < deadline) return;
    throw new ServiceError('timeLimit', 'the run reached its time limit', {
      advice:
        'Finished changes are kept; the next run does the rest. If this repeats, give the sync function more memory.',
    });
  }

  async function saveLines(): Promise<void> {
    if (lines.length === 0) return;
    const saved = lines;
    lines = [];
    await runs.saveChanges(fence, saved);
  }

  const isComplete = (): boolean => proof !== null && proof.complete && incomplete.length === 0;

  async function end(outcome: Pick<Run, 'status' | 'error'>): Promise<Run> {
    clearInterval(pulse);
    await saveLines();
    const reasons = shorten([...(proof?.reasons ?? []), ...incomplete]);
    const ended: Run = {
      ...run,
      ...outcome,
      ...state(),
      stage: 'finished',
      finishedAt: clock.now().toISOString(),
      completeness: proof && { complete: isComplete(), reasons },
      settingsVersion,
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
    unchanged(users) {
      totals.unchanged += users;
    },
    async tell(steps, written = 0) {
      for (const { change } of steps) {
        totals[change.kind] += 1;
        if (change.kind !== 'unchanged') lines.push(change);
      }
      progress.applied += written;
      if (lines.length >= LINES_TOGETHER) await saveLines();
      check();
    },
    check,
    completeness(read) {
      proof = read;
    },
    incomplete(reason) {
      incomplete.push(reason);
    },
    settingsVersion(version) {
      settingsVersion = version;
    },
    notice(sentence) {
      notices.push(sentence);
    },
    finish() {
      return end({ status: isComplete() ? 'succeeded' : 'partial', error: null });
    },
    async fail(error) {
      clearInterval(pulse);
      if (error instanceof ServiceError && error.code === 'leaseLost') throw error;
      if (error instanceof Cancelled) return await end({ status: 'cancelled', error: null });
      // An unknown error's text may hold anything; the function's log keeps its stack.
      if (!(error instanceof ServiceError)) {
        const known = {
          code: 'internal',
          message: 'an unexpected error ended the run',
          advice: 'See the log of the sync function.',
        } as const;
        await end({ status: 'failed', error: known });
        throw error;
      }
      // Whoever has cancelled a run that hangs gets what was asked for, also when the hanging ends by itself.
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
