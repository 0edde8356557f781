/**
 * `npm run iam`: prints the recorded calls that the policies refuse, and the permissions that no recorded call needs.
 * `--record` first runs the suites that use the whole program and records their calls anew; `--simulate` asks AWS's own
 * simulator.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { CallShape } from '../../../local/call-shapes.ts';
import { EXPLAINED, explain, readShapes, SHAPES_FILE, SUITES } from './recorded.ts';
import { reportPermissions } from './report.ts';
import { simulate } from './simulate.ts';
import { synthesizePolicies } from './synthesize.ts';

/** Runs the suites and keeps what they have called; leaves the fixture alone if one fails. */
function record(): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'rollcall-shapes-'));
  try {
    const { status } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...SUITES], {
      env: { ...process.env, ROLLCALL_CALL_SHAPES: folder },
      stdio: 'inherit',
    });
    if (status !== 0) throw new Error('a suite failed, so nothing was recorded');
    const lines = readdirSync(folder).flatMap((file) => readFileSync(path.join(folder, file), 'utf8').split('\n'));
    const shapes = [...new Set(lines)].filter((line) => line !== '').sort(byText);
    writeFileSync(SHAPES_FILE, `[\n${shapes.join(',\n')}\n]\n`);
    console.log(`${shapes.length} kinds of calls recorded`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** By code units, so that the order is the same everywhere. */
function byText(one: string, other: string): number {
  return one < other ? -1 : 1;
}

const format = ({ caller, action, resource, context }: CallShape): string =>
  `${caller}  ${action}  ${resource}  ${JSON.stringify(context)}`;

const { values } = parseArgs({ options: { record: { type: 'boolean' }, simulate: { type: 'boolean' } } });
if (values.record) record();
const policies = synthesizePolicies();
const shapes = readShapes();
const { refused, unused } = reportPermissions(policies, shapes);
const unexplained = unused.filter((permission) => explain(permission) === null);

console.log(`${shapes.length} kinds of calls`);
console.log(`\ncalls made but not allowed: ${refused.length || 'none'}`);
for (const shape of refused) console.log(`  ${format(shape)}`);
console.log(`\npermissions that no recorded call needs, without an explanation: ${unexplained.length || 'none'}`);
for (const { owner, statement, part } of unexplained) console.log(`  ${owner}  ${part}  (${statement})`);
console.log(`\npermissions that no recorded call needs, explained:`);
for (const { why, ...which } of EXPLAINED) {
  const count = unused.filter((permission) => explain(permission) === why).length;
  console.log(`  ${count} x ${which.owner.source} ${which.part.source}: ${why}`);
}
let failed = refused.length + unexplained.length > 0;
if (values.simulate) failed = simulate(policies, shapes) || failed;
process.exitCode = failed ? 1 : 0;
