/** The commands around runs of the synchronisation: starting, following, showing, cancelling and approving them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Problem, type Api, type Page } from './api.ts';
import { defineCommand, EXIT, readCount, UsageError, type ExitCode } from './command.ts';
import { Interrupted, type Cell, type Terminal } from './terminal.ts';

const KINDS = [
  'created',
  'updated',
  'renamed',
  'linked',
  'disabled',
  'enabled',
  'deleted',
  'unchanged',
  'skipped',
  'conflict',
  'withheld',
] as const;

interface Run {
  readonly id: string;
  readonly dryRun: boolean;
  readonly trigger: string;
  readonly requestedBy: string | null;
  readonly status: 'running' | 'succeeded' | 'partial' | 'failed' | 'cancelled';
  readonly stage: string;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly progress: { readonly read: number; readonly planned: number; readonly applied: number };
  readonly expectedEntries: number | null;
  readonly totals: Readonly<Partial<Record<(typeof KINDS)[number], number>>>;
  readonly completeness: { readonly complete: boolean; readonly reasons: readonly string[] } | null;
  readonly error: { readonly code: string; readonly message: string; readonly advice: string | null } | null;
  readonly notices: readonly string[];
  readonly approves: string | null;
}

type FieldValue = string | boolean | null | readonly string[];

interface Change {
  readonly kind: string;
  readonly userName: string | null;
  readonly previousUserName?: string;
  readonly dn: string | null;
  readonly fields?: Readonly<Record<string, { readonly from: FieldValue; readonly to: FieldValue }>>;
  readonly reason?: string;
}

const DEFAULT_RUNS = 20;
const DEFAULT_CHANGES = 20;

const FIRST_POLL_MS = 200;
const SLOWEST_POLL_MS = 2_000;
/** Polls in a row that may fail before watching is given up: a short outage is none of the run's business. */
const MAX_FAILED_POLLS = 10;

const RUN_EXITS = `Ends with 0 when the run has succeeded, 3 when it was partial or cancelled or has withheld removals, 1 when it has failed.`;

const WATCH = { type: 'boolean', summary: 'wait until it is over, and print what it has done' } as const;
const LIMIT = { type: 'string', value: 'N', summary: `lines to print, ${DEFAULT_CHANGES} unless told` } as const;

/** Waits for the end of a run and prints it. Ctrl+C ends the waiting and not the run. @throws Problem, Interrupted */
async function watchRun(api: Api, id: string, limit: number, terminal: Terminal): Promise<ExitCode> {
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  process.once('SIGINT', interrupt);
  try {
    const run = await awaitEnd(api, id, terminal, interruption.signal);
    await showRun(api, run, { limit }, terminal);
    return exitOf(run);
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    terminal.progress.clear();
    terminal.note(`The run goes on. See it with rollcall runs ${id}, stop it with rollcall runs cancel ${id}.`);
    throw new Interrupted();
  } finally {
    process.off('SIGINT', interrupt);
  }
}

async function awaitEnd(api: Api, id: string, terminal: Terminal, signal: AbortSignal): Promise<Run> {
  let pollMs = FIRST_POLL_MS;
  let failures = 0;
  try {
    for (;;) {
      try {
        const run = await api.call<Run>('GET', runPath(id), { signal });
        if (run.status !== 'running') return run;
        failures = 0;
        terminal.progress.show(describeProgress(run));
      } catch (error) {
        failures += 1;
        if (!(error instanceof Problem && error.passes) || failures === MAX_FAILED_POLLS) throw error;
      }
      await sleep(pollMs, undefined, { signal });
      pollMs = Math.min(pollMs * 1.3, SLOWEST_POLL_MS);
    }
  } finally {
    terminal.progress.clear();
  }
}

/** A bar where it is known how much there is to do, else how much is done. */
function describeProgress({ stage, expectedEntries, progress: { read, planned, applied } }: Run): string {
  if (stage === 'applying' && planned > 0)
    return `${stage}  ${drawBar(applied / planned)} ${applied} of ${planned} changes`;
  if (stage === 'reading' && expectedEntries) {
    return `${stage}  ${drawBar(read / expectedEntries)} ${read} of about ${expectedEntries} entries`;
  }
  return `${stage}  ${read} entries read, ${planned} changes planned`;
}

function drawBar(part: number): string {
  const width = 30;
  const done = Math.round(Math.min(part, 1) * width);
  return `[${'#'.repeat(done)}${'-'.repeat(width - done)}]`;
}

function exitOf({ status, totals }: Run): ExitCode {
  if (status === 'failed') return EXIT.fault;
  return status === 'succeeded' && (totals.withheld ?? 0) === 0 ? EXIT.done : EXIT.notAll;
}

async function showRun(
  api: Api,
  run: Run,
  { kind, limit }: { readonly kind?: string | undefined; readonly limit: number },
  terminal: Terminal,
): Promise<void> {
  const changes = await api.list<Change>(`${runPath(run.id)}/changes`, limit, { kind });
  terminal.result({ ...run, changes }, () => {
    describeRun(run, terminal);
    showChanges(changes, terminal);
    if (changes.next !== null) terminal.print(`There are more; see them with rollcall runs ${run.id} --limit N.`);
  });
}

function describeRun(run: Run, terminal: Terminal): void {
  const { id, dryRun, requestedBy, trigger, startedAt, finishedAt, progress, error, completeness, notices, approves } =
    run;
  const seconds = finishedAt === null ? null : (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
  const kind = `${approves === null ? '' : `approval of ${approves}, `}${dryRun ? 'dry run, ' : ''}`;
  const end = seconds === null ? `${run.status}, ${run.stage}` : `${run.status} after ${seconds.toFixed(1)} s`;
  terminal.print(`${id}  ${kind}${end}`, styleOf(run));
  terminal.print(
    `asked for by ${requestedBy ?? 'nobody'} (${trigger}) at ${shortTime(startedAt)}, ${progress.read} entries read`,
  );
  if (error !== null) terminal.print([`${error.message} (${error.code})`, error.advice ?? ''].join('. ').trim(), 'red');
  for (const reason of completeness?.reasons ?? []) terminal.print(`not everybody was read: ${reason}`, 'yellow');
  for (const notice of notices) terminal.print(notice, 'yellow');
  const counts = KINDS.map((name) => [name, run.totals[name] ?? 0] as const).filter(([, count]) => count > 0);
  terminal.print(counts.length === 0 ? 'no users' : counts.map(([name, count]) => `${name} ${count}`).join(', '));
}

function showChanges({ items }: Page<Change>, terminal: Terminal): void {
  if (items.length === 0) return;
  terminal.print();
  terminal.table(
    ['change', 'user name', 'details'],
    items.map((change) => [change.kind, change.userName ?? '-', describeChange(change)]),
  );
}

function describeChange({ previousUserName, dn, fields = {}, reason }: Change): string {
  const parts = [
    ...(reason === undefined ? [] : [reason]),
    ...(previousUserName === undefined ? [] : [`was ${previousUserName}`]),
    ...Object.entries(fields).map(([name, { from, to }]) => `${name}: ${showValue(from)} -> ${showValue(to)}`),
  ];
  return parts.join('; ') || (dn ?? '');
}

function showValue(value: FieldValue): string {
  const shown = Array.isArray(value) ? value.join(', ') : String(value ?? '');
  return shown === '' ? '(none)' : shown;
}

/** As it ends: green for 0, red for 1, yellow for 3. */
function styleOf(run: Run) {
  if (run.status === 'running') return 'bold';
  const exit = exitOf(run);
  return exit === EXIT.done ? 'green' : exit === EXIT.fault ? 'red' : 'yellow';
}

/** `2026-05-04 10:20:30Z` */
function shortTime(time: string): string {
  return time.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
}

function runPath(id: string): string {
  return `/api/runs/${encodeURIComponent(id)}`;
}

/** What follows after a run was asked for. */
async function follow(api: Api, runId: string, watch: boolean | undefined, terminal: Terminal): Promise<ExitCode> {
  if (watch) return await watchRun(api, runId, DEFAULT_CHANGES, terminal);
  terminal.result({ runId }, () =>
    terminal.print(`Run ${runId} is on its way. Follow it with rollcall runs ${runId} --watch.`),
  );
  return EXIT.done;
}

export const sync = defineCommand({
  name: 'sync',
  parameters: [],
  summary: 'starts a run of the synchronisation',
  details: `A dry run decides everything and changes nothing. Pressing Ctrl+C while watching ends the watching, not the run. With
--watch: ${RUN_EXITS.replace(/^E/, 'e')}`,
  options: { 'dry-run': { type: 'boolean', summary: 'only tell what would be done' }, watch: WATCH },
  examples: ['sync --dry-run --watch', 'sync --watch', 'sync'],
  async run({ options, api, terminal }) {
    const signedIn = await api();
    const body = { dryRun: options['dry-run'] ?? false };
    const { runId } = await signedIn.call<{ runId: string }>('POST', '/api/sync', { body });
    return await follow(signedIn, runId, options.watch, terminal);
  },
});

export const runs = defineCommand({
  name: 'runs',
  parameters: ['[ID]'],
  summary: 'lists the runs, the latest first, or shows one with its changes',
  details: `With --watch: ${RUN_EXITS.replace(/^E/, 'e')}`,
  options: {
    kind: {
      type: 'string',
      choices: KINDS,
      value: 'KIND',
      summary: `with ID: only these changes: ${KINDS.join(', ')}`,
    },
    limit: LIMIT,
    watch: { ...WATCH, summary: `with ID: ${WATCH.summary}` },
  },
  examples: ['runs', 'runs 20260504T102030000Z-1a2b3c4d', 'runs 20260504T102030000Z-1a2b3c4d --kind conflict --json'],
  async run({ parameters: [id], options: { kind, limit, watch }, api, terminal }) {
    if (id === undefined) {
      if (kind !== undefined || watch) throw new UsageError('--kind and --watch need the ID of a run');
      const page = await (await api()).list<Run>('/api/runs', readCount('limit', limit, DEFAULT_RUNS));
      terminal.result(page, () => showRuns(page, terminal));
      return EXIT.done;
    }
    if (kind !== undefined && watch) throw new UsageError('--kind and --watch do not go together');
    const count = readCount('limit', limit, DEFAULT_CHANGES);
    const signedIn = await api();
    if (watch) return await watchRun(signedIn, id, count, terminal);
    const run = await signedIn.call<Run>('GET', runPath(id));
    await showRun(signedIn, run, { kind, limit: count }, terminal);
    return EXIT.done;
  },
});

function showRuns({ items, next }: Page<Run>, terminal: Terminal): void {
  if (items.length === 0) return terminal.print('There was no run yet.');
  terminal.table(
    ['id', 'started', 'status', 'asked for by', 'users'],
    items.map((run): Cell[] => [
      run.id,
      shortTime(run.startedAt),
      { text: run.status, style: styleOf(run) },
      run.requestedBy ?? run.trigger,
      [
        ...(run.dryRun ? ['dry run'] : []),
        ...KINDS.map((kind) => [kind, run.totals[kind] ?? 0] as const)
          .filter(([, count]) => count > 0)
          .map(([kind, count]) => `${kind} ${count}`),
      ].join(', '),
    ]),
  );
  if (next !== null) terminal.print('There are more; see them with --limit N.');
}

export const runsCancel = defineCommand({
  name: 'runs cancel',
  parameters: ['ID'],
  summary: 'stops a run at its next step',
  details: 'What it has done stays done.',
  options: {},
  examples: ['runs cancel 20260504T102030000Z-1a2b3c4d'],
  async run({ parameters: [id = ''], api, terminal }) {
    const answer = await (await api()).call<{ runId: string }>('POST', `${runPath(id)}/cancel`);
    terminal.result(answer, () => terminal.print(`Run ${id} was told to stop.`));
    return EXIT.done;
  },
});

export const runsApprove = defineCommand({
  name: 'runs approve',
  parameters: ['ID'],
  summary: 'applies the removals that a run has withheld',
  details: `Shows whom it is about and asks. Starts a run that looks for each of them once more before it disables or deletes
anybody. With --watch: ${RUN_EXITS.replace(/^E/, 'e')}`,
  options: { yes: { type: 'boolean', summary: 'do not ask' }, watch: WATCH },
  examples: ['runs approve 20260504T102030000Z-1a2b3c4d', 'runs approve 20260504T102030000Z-1a2b3c4d --yes --watch'],
  async run({ parameters: [id = ''], options, api, terminal }) {
    const signedIn = await api();
    if (!options.yes) {
      const { totals } = await signedIn.call<Run>('GET', runPath(id));
      const { withheld = 0 } = totals;
      const list = await signedIn.list<Change>(`${runPath(id)}/changes`, DEFAULT_CHANGES, { kind: 'withheld' });
      for (const { userName, reason } of list.items) terminal.note(`${userName}: ${reason}`);
      if (list.next !== null) terminal.note('and more');
      // Where there are none, the API says so in its own words.
      if (withheld > 0 && !(await terminal.confirm(`Apply ${withheld} withheld removals?`))) {
        terminal.note('Nothing was done.');
        return EXIT.refused;
      }
    }
    const { runId } = await signedIn.call<{ runId: string }>('POST', `${runPath(id)}/approve`);
    return await follow(signedIn, runId, options.watch, terminal);
  },
});
