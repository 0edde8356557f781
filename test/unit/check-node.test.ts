/** The check of Node's version, which runs before everything else. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { transformSync } from 'esbuild';
import { afterAll, expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '../..');
const FILE = path.join(ROOT, 'check-node.cjs');
const { findNodeFault } = createRequire(import.meta.url)(FILE) as {
  readonly findNodeFault: (version: string) => string | null;
};

const folder = mkdtempSync(path.join(tmpdir(), 'rollcall-node-'));
afterAll(() => rmSync(folder, { recursive: true }));

const readJson = (file: string): unknown => JSON.parse(readFileSync(path.join(ROOT, file), 'utf8'));
const project = readJson('package.json') as {
  readonly engines: { readonly node: string };
  readonly scripts: Readonly<Record<string, string>>;
};

/** Runs a command line of cdk.json or package.json, in which Node says that it has this version. */
function runAs(version: string, command: string) {
  const pretend = path.join(folder, 'pretend.cjs');
  const versions = `Object.assign({}, process.versions, { node: '${version}' })`;
  writeFileSync(pretend, `Object.defineProperty(process, 'versions', { value: ${versions} });`);
  const [, ...args] = command.replace(/^exec /, '').split(' ');
  const result = spawnSync(process.execPath, ['--require', pretend, ...args], { cwd: ROOT, encoding: 'utf8' });
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

test('an old Node is told what is needed and what it is, in one line', () => {
  for (const version of ['0.12.18', '8.17.0', '18.20.8', '20.20.2', '23.11.1']) {
    const fault = findNodeFault(version);
    expect(fault).toMatch(/^Rollcall needs Node\.js 24 or later; this is [\d.]+\. Install it [^\n]+$/);
    expect(fault).toContain(`this is ${version}.`);
  }
});

test('Node 24 and later are new enough, also as a pre-release', () => {
  for (const version of ['24.0.0', '24.21.0', '25.0.0-nightly20261101', '100.1.0']) {
    expect(findNodeFault(version)).toBeNull();
  }
});

test('the oldest Node is the one that package.json names', () => {
  const oldest = /^>=(\d+)$/.exec(project.engines.node)?.[1];
  expect(findNodeFault(`${Number(oldest)}.0.0`)).toBeNull();
  expect(findNodeFault(`${Number(oldest) - 1}.99.0`)).not.toBeNull();
});

test('deploying, starting and testing with an old Node end with that line and nothing else', () => {
  const { scripts } = project;
  const commands = [
    (readJson('cdk.json') as { readonly app: string }).app,
    scripts.start!,
    scripts.test!.split(' && ')[0]!,
    scripts['test:all']!.split(' && ')[0]!,
  ];

  for (const command of commands) {
    expect(runAs('20.20.2', command)).toEqual({ status: 1, output: `${findNodeFault('20.20.2')}\n` });
  }
  expect(runAs('24.0.0', 'node check-node.cjs')).toEqual({ status: 0, output: '' });
});

test('the check is written in JavaScript that every Node understands', () => {
  const source = readFileSync(FILE, 'utf8');
  const [old, current] = ['es5', 'esnext'].map((target) => transformSync(source, { target, loader: 'js' }).code);
  // The compiler rewrites or refuses whatever is younger than ECMAScript 5.
  expect(old).toBe(current);
  expect(transformSync('let f = () => 1', { target: 'esnext' }).code).toContain('=>');
  expect(() => transformSync('let f = () => 1', { target: 'es5' })).toThrow(/es5/);
});
