/**
 * The long form of the fault bench: `npm run faults` tries every fault at every place and prints the table and what did
 * not survive. Real processes are killed at a few places only. `npm run faults -- FAULT [PLACE]` tries one fault, or
 * one point.
 */
import { choosePoints, drawBaseline, drawTable, tryPoints } from './bench.ts';
import { openWorlds } from './world.ts';

/** Faults cost mostly waiting. */
const WORLDS = 4;
const SHOWN = 3;
/** A real process takes half a second to start. */
const REAL_KILLS = 12;

const [onlyFault, onlyPlace] = process.argv.slice(2);
const opened = await openWorlds(WORLDS);
const { worlds } = opened;
try {
  const baseline = await drawBaseline(worlds[0]!);
  const points = choosePoints(baseline, (fault) =>
    fault === 'SIGKILL' ? REAL_KILLS : Number.POSITIVE_INFINITY,
  ).filter(
    ({ fault, at }) =>
      (onlyFault === undefined || fault === onlyFault) && (onlyPlace === undefined || at === Number(onlyPlace)),
  );
  if (points.length === 0) throw new Error(`there is no such fault or place: ${process.argv.slice(2).join(' ')}`);
  let done = 0;
  const shown = new Map<string, number>();
  const trials = await tryPoints(worlds, baseline, points, ({ point, isHit, problems }) => {
    done += 1;
    if (done % 100 === 0) console.error(`${done} of ${points.length}`);
    if (!isHit || problems.length === 0) return;
    const before = shown.get(point.fault) ?? 0;
    shown.set(point.fault, before + 1);
    if (before < SHOWN) console.error(`${point.fault} at ${point.at}:\n  ${problems.join('\n  ')}`);
  });
  console.log(drawTable(baseline, trials));
  if (trials.some(({ isHit, problems }) => isHit && problems.length > 0)) process.exitCode = 1;
} finally {
  await opened.close();
}
