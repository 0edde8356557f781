/**
 * The fault bench: a run that does everything that a run can do meets one fault at one place; then one clean run
 * follows. What is left must equal what runs without a fault leave. Knows the product by world.ts alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DIRECTORY_FAULTS, type DirectoryFault, isResultCode } from './directory-fault.ts';
import { compare, describeRemains, findContradictions, findLosses, type Picture } from './picture.ts';
import { STORE_FAULTS, type StoreFault } from './store-fault.ts';
import type { Attempt, World } from './world.ts';

/** One place for one fault. */
export type Point =
  | { readonly of: 'store'; readonly fault: StoreFault; readonly at: number }
  | { readonly of: 'process'; readonly fault: 'SIGKILL'; readonly at: number }
  | { readonly of: 'directory'; readonly fault: DirectoryFault; readonly at: number };

/** The result of one point. Without problems, the product has survived the fault. */
export interface Trial {
  readonly point: Point;
  /** Whether the run came as far as the point. */
  readonly isHit: boolean;
  readonly problems: readonly string[];
}

/** The world without a fault. */
export interface Baseline {
  readonly picture: Picture;
  /** Names of the users who lose access. */
  readonly losses: readonly string[];
  /** Ids of users at the start. */
  readonly atStart: ReadonlySet<string>;
  /** How many places each fault has. */
  readonly places: ReadonlyMap<Point['fault'], number>;
}

/** Longer than a lease. */
const BETWEEN_RUNS_MS = 120_000;
/** In real time. */
const HUNG_MS = 60_000;

/** Performs two runs without a fault: the second finds nothing to do, like the clean run after a fault. */
export async function drawBaseline(world: World): Promise<Baseline> {
  await world.reset();
  const before = await world.readUsers();
  const atStart = new Set(before.flatMap(({ id }) => (typeof id === 'string' ? [id] : [])));
  const attempt = world.begin({});
  await endWell(attempt);
  const { all, answers } = world.directory.messages();
  world.passMs(BETWEEN_RUNS_MS);
  await endWell(world.begin({}));
  const remains = await world.inspect();
  const contradictions = findContradictions(remains);
  if (contradictions.length > 0) throw new Error(`without a fault: ${contradictions.join('; ')}`);
  const places = new Map<Point['fault'], number>();
  for (const [fault, befalls] of Object.entries(STORE_FAULTS) as [StoreFault, (operation: string) => boolean][]) {
    places.set(fault, attempt.process.operations.filter(befalls).length);
  }
  places.set('SIGKILL', attempt.process.operations.length);
  for (const fault of DIRECTORY_FAULTS) places.set(fault, isResultCode(fault) ? answers : all);
  const losses = findLosses(before, remains.users);
  return { picture: describeRemains(remains, atStart), losses, atStart, places };
}

async function endWell({ ended }: Attempt): Promise<void> {
  const run = await ended;
  if (run === null || run instanceof Error || run.status !== 'succeeded') {
    throw new Error(`a run without a fault did not succeed: ${run instanceof Error ? run.stack : JSON.stringify(run)}`);
  }
}

/** The points of every fault: all, or a few that are spread evenly. `reach`: how many places of a fault are tried. */
export function choosePoints({ places }: Baseline, reach: (fault: Point['fault']) => number): Point[] {
  return [...places].flatMap(([fault, count]) => {
    const tried = Math.min(count, reach(fault));
    return Array.from({ length: tried }, (_, index): Point => {
      const at = 1 + Math.floor((index * count) / tried);
      if (fault === 'SIGKILL') return { of: 'process', fault, at };
      return fault in STORE_FAULTS
        ? { of: 'store', fault: fault as StoreFault, at }
        : { of: 'directory', fault: fault as DirectoryFault, at };
    });
  });
}

/** Tries all points, one at a time in each world. Calls `tell` after each. */
export async function tryPoints(
  worlds: readonly World[],
  baseline: Baseline,
  points: readonly Point[],
  tell: (trial: Trial) => void = () => {},
): Promise<Trial[]> {
  const rest = points.values();
  const trials: Trial[] = [];
  await Promise.all(
    worlds.map(async (world) => {
      for (const point of rest) {
        const trial = await tryPoint(world, baseline, point);
        trials.push(trial);
        tell(trial);
      }
    }),
  );
  return trials;
}

async function tryPoint(world: World, baseline: Baseline, point: Point): Promise<Trial> {
  await world.reset();
  const before = await world.readUsers();
  const { isHit, problems } = await meet(world, point);
  const lost = findLosses(before, await world.readUsers()).filter((name) => !baseline.losses.includes(name));
  if (lost.length > 0) problems.push(`lost access: ${lost.join(', ')}`);

  world.passMs(BETWEEN_RUNS_MS);
  const clean = await world.begin({}).ended;
  if (clean === null || clean instanceof Error) problems.push(`the clean run: ${String(clean)}`);
  const remains = await world.inspect();
  problems.push(
    ...findContradictions(remains),
    ...compare(baseline.picture, describeRemains(remains, baseline.atStart)),
  );
  return { point, isHit, problems };
}

/** Performs the run that meets the fault, until nothing is left of it. */
async function meet(world: World, point: Point): Promise<{ isHit: boolean; problems: string[] }> {
  const problems: string[] = [];
  if (point.of === 'process') {
    const isHit = await world.runAndKill(point.at);
    world.directory.dropConnections();
    return { isHit, problems };
  }
  const attempt = world.begin({ [point.of]: point });
  const first = await Promise.race([
    attempt.ended.then(() => 'ended' as const),
    attempt.process.stopped.then(() => 'stopped' as const),
    sleep(HUNG_MS, 'hung' as const, { ref: false }),
  ]);
  const isHit = point.of === 'store' ? attempt.process.isHit() : world.directory.isHit();
  if (first === 'hung') problems.push('the run hangs');
  if (point.fault === 'stalled' && first === 'stopped') {
    world.passMs(BETWEEN_RUNS_MS);
    const other = await world.begin({}).ended;
    if (other === null || other instanceof Error) problems.push(`the run meanwhile: ${String(other)}`);
    attempt.process.resume();
    await attempt.ended;
  } else if (first !== 'ended') await end(world, attempt);
  return { isHit, problems };
}

/** Ends a process whose run does not end by itself. */
async function end(world: World, { process, ended }: Attempt): Promise<void> {
  process.bury();
  world.directory.dropConnections();
  await ended;
}

/** The table of the results as Markdown: `points` places in a run, `injected` faults that came, `survived` of these. */
export function drawTable({ places }: Baseline, trials: readonly Trial[]): string {
  const rows = [...places].flatMap(([fault, points]) => {
    const hit = trials.filter(({ point, isHit }) => point.fault === fault && isHit);
    const survived = hit.filter(({ problems }) => problems.length === 0).length;
    return hit.length === 0 ? [] : [[fault, points, hit.length, survived] as const];
  });
  const sum = (column: 1 | 2 | 3): number => rows.reduce((total, row) => total + row[column], 0);
  return [
    '| fault | points | injected | survived |',
    '|---|---:|---:|---:|',
    ...[...rows, ['all', sum(1), sum(2), sum(3)]].map((row) => `| ${row.join(' | ')} |`),
  ].join('\n');
}
