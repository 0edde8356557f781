/**
 * The short form of the fault bench: every fault at a few places. `npm run faults` tries every place. The second half
 * of this file checks that the bench would notice.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Baseline, choosePoints, drawBaseline, tryPoints } from './bench.ts';
import { REMOVED } from './cast.ts';
import { DIRECTORY_FAULTS } from './directory-fault.ts';
import { compare, describeRemains } from './picture.ts';
import { STORE_FAULTS } from './store-fault.ts';
import { openWorlds } from './world.ts';

const FAULTS = [...Object.keys(STORE_FAULTS), ...DIRECTORY_FAULTS];
const TABLE = [...Object.keys(STORE_FAULTS), 'SIGKILL', ...DIRECTORY_FAULTS, 'all'];

let opened: Awaited<ReturnType<typeof openWorlds>>;
let baseline: Baseline;

beforeAll(async () => {
  opened = await openWorlds(3);
  baseline = await drawBaseline(opened.worlds[0]!);
});

afterAll(() => opened?.close());

test('the run under test does everything that a run can do, and takes access away only where the cast says so', () => {
  const kinds = baseline.picture.written.concat(baseline.picture.told).map((line) => /"kind":"(\w+)"/u.exec(line)![1]);

  expect(new Set(kinds)).toEqual(
    new Set([
      'created',
      'updated',
      'renamed',
      'linked',
      'disabled',
      'enabled',
      'deleted',
      'conflict',
      'skipped',
      'withheld',
    ]),
  );
  expect(new Set(baseline.losses)).toEqual(REMOVED);
});

test(
  'whatever fails wherever, one clean run later nothing is lost, told twice or told wrongly',
  { timeout: 120_000 },
  async () => {
    const points = choosePoints(baseline, (fault) => (fault === 'SIGKILL' ? 0 : fault in STORE_FAULTS ? 2 : 1));

    const trials = await tryPoints(opened.worlds, baseline, points);

    const hit = trials.filter(({ isHit }) => isHit);
    expect(hit.filter(({ problems }) => problems.length > 0)).toEqual([]);
    expect(new Set(hit.map(({ point }) => point.fault))).toEqual(new Set(FAULTS));
  },
);

describe('the bench', () => {
  test('notices a run that did nothing', async () => {
    const [world] = opened.worlds as [(typeof opened.worlds)[number]];
    await world.reset();
    const nothing = describeRemains(await world.inspect(), baseline.atStart);

    const about = compare(baseline.picture, nothing).filter((sentence) => !sentence.startsWith(' '));

    expect(about.map((sentence) => sentence.split(':')[0])).toEqual([
      'users',
      'operations',
      'written',
      'told',
      'totals',
      'events',
    ]);
  });

  test('has its last table in docs/reliability.md, with every fault, and every one of them survived', () => {
    const rows = [
      ...readFileSync('docs/reliability.md', 'utf8').matchAll(/^\| (.+) \| (\d+) \| (\d+) \| (\d+) \|$/gmu),
    ];

    expect(rows.map(([, fault]) => fault)).toEqual(TABLE);
    expect(rows.filter(([, , , injected, survived]) => injected !== survived)).toEqual([]);
  });
});
