/** The commands for synchronisation runs: start, watch, list, show, cancel, approve. Knows runs by the API alone. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from '../client/api.ts';
import {
  type Change,
  CHANGE_KINDS,
  type ChangePage,
  type FieldValue,
  PROPOSALS,
  type Run,
  RUN_STATUSES,
  type RunPage,
} from '../client/document.ts';
import { Problem } from '../client/problem.ts';
import { defineCommand, readCount } from './command.ts';
import { EXIT, type ExitCode, UsageError } from './exit.ts';
import { Interrupted, type Cell, type Terminal } from './terminal.ts';

const DEFAULT_RUNS = 20;
const DEFAULT_CHANGES = 20;
/** Lines that are read at a time to find those that an approval addresses. */
const LINES_TOGETHER = 1_000;

const FIRST_POLL_MS = 200;
const SLOWEST_POLL_MS = 2_000;
/** Consecutive polls that may fail before watching ends with the problem: a run outlives a short outage of the API. */
const MAX_FAILED_POLLS = 10;

const WATCH_EXITS = `
With --watch, exits with 0 if the run succeeded, 1 if it failed, and 3 if it was partial, was cancelled or withheld
changes.`;

const WATCH = { type: 'boolean', summary: 'wait for the run to finish, and print its result' } as const;
const LIMIT = {
  type: 'string',
  value: 'N',
  summary: `number of lines to print (default: ${DEFAULT_CHANGES})`,
} as const;

/** Waits for a run to finish and prints it. Ctrl+C stops the waiting, not the run. @throws Problem, Interrupted */
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
    terminal.note(`The run continues. Show it with rollcall runs ${id}, stop it with rollcall runs cancel ${id}.`);
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
        const run = await api.get('/api/runs/{id}', { params: { path: { id } }, signal });
        if (run.status !== 'running') return run;
        failures = 0;
        terminal.progress.show(describeProgress(run));
      } catch (error) {
        failures += 1;
        if (!(error instanceof Problem && error.retryable) || failures === MAX_FAILED_POLLS) throw error;
      }
      await sleep(pollMs, undefined, { signal });
      pollMs = Math.min(pollMs * 1.3, SLOWEST_POLL_MS);
    }
  } finally {
    terminal.progress.clear();
  }
}

/** A progress bar if the amount of work is known, else a count. */
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
  return status === 'succeeded' && totals.withheld === 0 ? EXIT.done : EXIT.notAll;
}

async function showRun(
  api: Api,
  run: Run,
  { kind, limit }: { readonly kind?: Change['kind'] | undefined; readonly limit: number },
  terminal: Terminal,
): Promise<void> {
  const changes = await listChanges(api, run.id, limit, kind);
  terminal.result({ ...run, changes }, () => {
    describeRun(run, terminal);
    showChanges(changes, terminal);
    if (changes.next !== null)
      terminal.print(`There are more changes. Show them with rollcall runs ${run.id} --limit N.`);
  });
}

async function listChanges(api: Api, id: string, limit: number, kind?: Change['kind']): Promise<ChangePage> {
  const query = kind === undefined ? {} : { kind };
  return await api.list('/api/runs/{id}/changes', limit, { params: { path: { id }, query } });
}

function describeRun(run: Run, terminal: Terminal): void {
  const { id, dryRun, requestedBy, trigger, startedAt, finishedAt, progress, error } = run;
  const { completeness, notices, approves, server } = run;
  const seconds = finishedAt === null ? null : (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
  const kind = `${approves === null ? '' : `approval of ${approves}, `}${dryRun ? 'dry run, ' : ''}`;
  const end = seconds === null ? `${run.status}, ${run.stage}` : `${run.status} after ${seconds.toFixed(1)} s`;
  terminal.print(`${id}  ${kind}${end}`, styleOf(run));
  const origin = requestedBy === null ? 'started by the schedule' : `requested by ${requestedBy} (${trigger})`;
  const source = server === null ? '' : ` from ${server.identity}`;
  terminal.print(`${origin} at ${shortTime(startedAt)}, ${progress.read} entries read${source}`);
  if (error !== null) terminal.print([`${error.message} (${error.code})`, error.advice ?? ''].join('. ').trim(), 'red');
  for (const reason of completeness?.reasons ?? []) terminal.print(`incomplete read: ${reason}`, 'yellow');
  for (const notice of notices) terminal.print(notice, 'yellow');
  terminal.print(describeTotals(run).join(', ') || 'no users');
}

function describeTotals({ totals }: Run): string[] {
  return CHANGE_KINDS.filter((kind) => totals[kind] > 0).map((kind) => `${kind} ${totals[kind]}`);
}

function showChanges({ items }: ChangePage, terminal: Terminal): void {
  if (items.length === 0) return;
  terminal.print();
  terminal.table(
    ['change', 'user name', 'details'],
    items.map((change) => [change.kind, change.userName ?? '-', describeChange(change)]),
  );
}

function describeChange({ previousUserName, dn, fields = {}, reason, proposes }: Change): string {
  const parts = [
    ...(proposes === undefined ? [] : [`proposes ${proposes}`]),
    ...(reason === undefined ? [] : [reason]),
    ...(previousUserName === undefined ? [] : [`was ${previousUserName}`]),
    ...Object.entries(fields).map(([name, { from, to }]) => `${name}: ${compareValues(from, to)}`),
  ];
  return parts.join('; ') || (dn ?? '');
}

/** A line that proposes `link` also has the fields that stay the same. */
function compareValues(from: FieldValue, to: FieldValue): string {
  const [before, after] = [showValue(from), showValue(to)];
  return before === after ? `${after} (the same)` : `${before} -> ${after}`;
}

function showValue(value: FieldValue): string {
  const shown = [value ?? ''].flat().join(', ');
  return shown === '' ? '(none)' : shown;
}

/** Green for exit code 0, red for 1, yellow for 3. */
function styleOf(run: Run) {
  if (run.status === 'running') return 'bold';
  const exit = exitOf(run);
  return exit === EXIT.done ? 'green' : exit === EXIT.fault ? 'red' : 'yellow';
}

/** `2026-05-04 10:20:30Z` */
function shortTime(time: string): string {
  return time.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
}

/** Watches a run that was just started, or says how to. */
async function follow(api: Api, runId: string, watch: boolean | undefined, terminal: Terminal): Promise<ExitCode> {
  if (watch) return await watchRun(api, runId, DEFAULT_CHANGES, terminal);
  terminal.result({ runId }, () =>
    terminal.print(`Started run ${runId}. Follow it with rollcall runs ${runId} --watch.`),
  );
  return EXIT.done;
}

export const sync = defineCommand({
  name: 'sync',
  parameters: [],
  summary: 'start a synchronisation run',
  details: `
A dry run decides what to change and changes nothing. Ctrl+C stops the watching, not the run.
${WATCH_EXITS}`,
  options: { 'dry-run': { type: 'boolean', summary: 'only show what would change' }, watch: WATCH },
  examples: ['sync --dry-run --watch', 'sync --watch', 'sync'],
  async run({ options, api, terminal }) {
    const signedIn = await api();
    const body = { dryRun: options['dry-run'] ?? false };
    const { runId } = await signedIn.post('/api/sync', { body });
    return await follow(signedIn, runId, options.watch, terminal);
  },
});

export const runs = defineCommand({
  name: 'runs',
  parameters: ['[ID]'],
  summary: 'list runs, latest first, or show one with its changes',
  details: WATCH_EXITS,
  options: {
    kind: {
      type: 'string',
      choices: CHANGE_KINDS,
      value: 'KIND',
      summary: `with ID: only changes of this kind: ${CHANGE_KINDS.join(', ')}`,
    },
    status: {
      type: 'string',
      choices: RUN_STATUSES,
      value: 'STATUS',
      summary: `without ID: only runs with this status: ${RUN_STATUSES.join(', ')}`,
    },
    limit: LIMIT,
    watch: { ...WATCH, summary: `with ID: ${WATCH.summary}` },
  },
  examples: [
    'runs',
    'runs --status failed',
    'runs 20260504T102030000Z-1a2b3c4d',
    'runs 20260504T102030000Z-1a2b3c4d --kind conflict --json',
  ],
  async run({ parameters: [id], options: { kind, status, limit, watch }, api, terminal }) {
    if (id === undefined) {
      if (kind !== undefined || watch) throw new UsageError('--kind and --watch require a run ID');
      const query = status === undefined ? {} : { status };
      const page = await (
        await api()
      ).list('/api/runs', readCount('limit', limit, DEFAULT_RUNS), { params: { query } });
      terminal.result(page, () => showRuns(page, terminal));
      return EXIT.done;
    }
    if (status !== undefined) throw new UsageError('--status requires that no run ID is given');
    if (kind !== undefined && watch) throw new UsageError('--kind and --watch cannot be combined');
    const count = readCount('limit', limit, DEFAULT_CHANGES);
    const signedIn = await api();
    if (watch) return await watchRun(signedIn, id, count, terminal);
    const run = await signedIn.get('/api/runs/{id}', { params: { path: { id } } });
    await showRun(signedIn, run, { kind, limit: count }, terminal);
    return EXIT.done;
  },
});

function showRuns({ items, next }: RunPage, terminal: Terminal): void {
  if (items.length === 0) return terminal.print('There are no such runs.');
  terminal.table(
    ['id', 'started', 'status', 'requested by', 'users'],
    items.map((run): Cell[] => [
      run.id,
      shortTime(run.startedAt),
      { text: run.status, style: styleOf(run) },
      run.requestedBy ?? run.trigger,
      [...(run.dryRun ? ['dry run'] : []), ...describeTotals(run)].join(', '),
    ]),
  );
  if (next !== null) terminal.print('There are more runs. Show them with --limit N.');
}

export const runsCancel = defineCommand({
  name: 'runs cancel',
  parameters: ['ID'],
  summary: 'stop a run at its next step',
  details: 'Changes that the run has already made are kept.',
  options: {},
  examples: ['runs cancel 20260504T102030000Z-1a2b3c4d'],
  async run({ parameters: [id = ''], api, terminal }) {
    const answer = await (await api()).post('/api/runs/{id}/cancel', { params: { path: { id } } });
    terminal.result(answer, () => terminal.print(`Run ${id} will stop at its next step.`));
    return EXIT.done;
  },
});

export const runsApprove = defineCommand({
  name: 'runs approve',
  parameters: ['ID'],
  summary: 'approve lines that a run withheld',
  details: `
Lists the withheld lines that can be approved, with what each proposes, and asks for confirmation. Then starts a run
that checks each of them again and carries it out. A line that proposes link for somebody with another full name and
other e-mail addresses is approved only if --user names the user: it may be a newcomer with the name of a leaver.
${WATCH_EXITS}`,
  options: {
    proposes: {
      type: 'string',
      choices: PROPOSALS,
      value: 'KIND',
      summary: `only lines that propose this: ${PROPOSALS.join(', ')}`,
    },
    user: { type: 'string', multiple: true, value: 'USER', summary: 'only lines of this user, by user name or id' },
    yes: { type: 'boolean', summary: 'do not ask for confirmation' },
    watch: WATCH,
  },
  examples: [
    'runs approve 20260504T102030000Z-1a2b3c4d',
    'runs approve 20260504T102030000Z-1a2b3c4d --proposes remove --yes --watch',
  ],
  async run({ parameters: [id = ''], options: { proposes, user, yes, watch }, api, terminal }) {
    const signedIn = await api();
    const proposed = yes && !user ? [] : await readProposals(signedIn, id, proposes);
    const userIds = user && [...new Set(user.map((named) => idOf(named, proposed)))];
    const asked = { ...(proposes && { proposes }), ...(userIds && { userIds }) };
    if (!yes) {
      const lines = proposed.filter(({ userId }) => userIds === undefined || userIds.includes(userId ?? ''));
      for (const line of lines.slice(0, DEFAULT_CHANGES)) {
        terminal.note(`${line.userName ?? '-'} (${line.userId ?? '-'}): ${describeChange(line)}`);
      }
      if (lines.length > DEFAULT_CHANGES) terminal.note(`and ${lines.length - DEFAULT_CHANGES} more`);
      // Without such lines, the API refuses the approval and says why.
      if (lines.length > 0 && !(await terminal.confirm(`Approve ${countOf(lines)}?`))) {
        terminal.note('Nothing was changed.');
        return EXIT.refused;
      }
    }
    const { runId } = await signedIn.post('/api/runs/{id}/approve', { params: { path: { id } }, body: asked });
    return await follow(signedIn, runId, watch, terminal);
  },
});

/** The id of the user with this name in the lines; the text itself if no line has the name. */
function idOf(named: string, lines: readonly Change[]): string {
  const name = named.toLowerCase();
  return lines.find(({ userName }) => userName?.toLowerCase() === name)?.userId ?? named;
}

/** The withheld lines of a run that can be approved; `proposes` narrows them down to one kind. */
async function readProposals(api: Api, id: string, proposes: Change['proposes']): Promise<readonly Change[]> {
  const lines: Change[] = [];
  let next: string | null = null;
  do {
    const query = { kind: 'withheld', limit: LINES_TOGETHER, ...(next !== null && { next }) } as const;
    const page: ChangePage = await api.get('/api/runs/{id}/changes', { params: { path: { id }, query } });
    lines.push(...page.items);
    ({ next } = page);
  } while (next !== null);
  return lines.filter((line) => line.proposes !== undefined && (proposes === undefined || line.proposes === proposes));
}

/** `2 lines (1 remove, 1 link)` */
function countOf(lines: readonly Change[]): string {
  const counts = PROPOSALS.map((kind) => [kind, lines.filter(({ proposes }) => proposes === kind).length] as const);
  const parts = counts.filter(([, count]) => count > 0).map(([kind, count]) => `${count} ${kind}`);
  return `${lines.length} withheld ${lines.length === 1 ? 'line' : 'lines'} (${parts.join(', ')})`;
}
