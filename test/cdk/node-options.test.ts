/** What the Node options of the sync function do, tried with Node itself. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { SYNC_MEMORY_MB, syncNodeOptions } from '../../lib/aws/environment.ts';

// Keeps 40 MB of the objects that it makes, so that the nursery grows as far as it may.
const MEASURE = `
  const { getHeapSpaceStatistics, getHeapStatistics } = require('node:v8');
  let kept = [];
  let nursery = 0;
  for (let made = 0; made < 3e6; made += 1) {
    kept.push({ made });
    if (kept.length > 4e5) kept = [];
    if (made % 1e4 === 0) {
      nursery = Math.max(nursery, getHeapSpaceStatistics().find((each) => each.space_name === 'new_space').space_size);
    }
  }
  console.log(JSON.stringify({ nursery, heap: getHeapStatistics().heap_size_limit }));
`;
const MB = 1024 * 1024;

function measure(options: string): { readonly nursery: number; readonly heap: number } {
  const env = { ...process.env, NODE_OPTIONS: options };
  return JSON.parse(execFileSync(process.execPath, ['-e', MEASURE], { env, encoding: 'utf8' })) as never;
}

test('the nursery of the sync function stays small, and its heap has the size that Lambda would give it', () => {
  const { nursery, heap } = measure(syncNodeOptions(SYNC_MEMORY_MB));

  expect(nursery / MB).toBeLessThanOrEqual(2 * 16);
  expect(heap / MB).toBeGreaterThanOrEqual(1844);
  expect(heap / MB).toBeLessThan(SYNC_MEMORY_MB);
  expect(measure('').nursery / MB).toBeGreaterThan(2 * 16);
});
