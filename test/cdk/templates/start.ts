/**
 * `npm run templates`: synthesizes the stack for each combination of context, checks each template and has cfn-lint
 * look at it where that is installed. Ends with 1 if anything is wrong.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SUPPORTED_REGIONS } from '../../../cdk/region.ts';
import { findTemplateFaults, synthesize } from './check.ts';
import { COMBINATIONS } from './combination.ts';

/**
 * Findings of cfn-lint on these templates, for every supported region, so that each resource type exists in each.
 * @returns null where cfn-lint is not on the PATH
 */
function lint(files: readonly string[]): { readonly version: string; readonly findings: string } | null {
  const { status, stdout } = spawnSync('cfn-lint', ['--version'], { encoding: 'utf8' });
  if (status !== 0) return null;
  // The CDK writes each role as a dependency of its function, which the reference to the role says already (W3005).
  const args = [
    '--ignore-checks',
    'W3005',
    '--regions',
    ...SUPPORTED_REGIONS,
    '--format',
    'parseable',
    '--template',
    ...files,
  ];
  const result = spawnSync('cfn-lint', args, { encoding: 'utf8', maxBuffer: 1e8 });
  return { version: stdout.trim(), findings: `${result.stdout}${result.stderr}`.trim() };
}

const folder = mkdtempSync(path.join(tmpdir(), 'rollcall-templates-'));
try {
  let faults = 0;
  const files = COMBINATIONS.map(({ name, context }) => {
    const { stackName, template, text, warnings } = synthesize(context);
    const found = [...findTemplateFaults(template), ...warnings];
    faults += found.length;
    const size = `${Object.keys(template.Resources).length} resources, ${Math.ceil(text.length / 1000)} kB`;
    console.log(`${name}: ${stackName}, ${size}, ${found.length} faults`);
    for (const fault of found) console.log(`  ${fault}`);
    const file = path.join(folder, `${name.replaceAll(' ', '-')}.template.json`);
    writeFileSync(file, text);
    return file;
  });
  const linted = lint(files);
  if (linted === null) console.log('cfn-lint is not on the PATH, so it was not asked');
  else console.log(`${linted.version}: ${linted.findings === '' ? 'no findings' : `\n${linted.findings}`}`);
  process.exitCode = faults === 0 && (linted === null || linted.findings === '') ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}
