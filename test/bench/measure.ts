/** Runs work in processes of its own and reduces repetitions to one figure. Knows nothing of the work. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildSync } from 'esbuild';
import type { Job } from './job.ts';

const run = promisify(execFile);

const ROOT = join(import.meta.dirname, '../..');
const MOST_OUTPUT_BYTES = 64 * 1024 ** 2;

/** Runs a file of this project; gives the JSON in the last line of its output. */
export async function runJson<T>(file: string, args: readonly string[], options: readonly string[] = []): Promise<T> {
  const { stdout } = await run(process.execPath, [...options, file, ...args], { maxBuffer: MOST_OUTPUT_BYTES });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T;
}

/** Bundles everything into one ES module, built like the deployed functions. */
export function bundle(source: { readonly file: string } | { readonly text: string }, outfile: string): void {
  buildSync({
    ...('file' in source ? { entryPoints: [source.file] } : { stdin: { contents: source.text, resolveDir: ROOT } }),
    outfile,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'],
    alias: { '@aws-sdk/credential-provider-node': join(ROOT, 'lib/aws/environment-credentials.ts') },
  });
}

export type RunJob = <T>(job: Job) => Promise<T>;

/** Bundles the jobs into `folder`; gives the function that runs one. `options`: flags of Node, for profiles. */
export function prepareJobs(folder: string, options: readonly string[] = []): RunJob {
  const file = join(folder, 'job.mjs');
  bundle({ file: join(import.meta.dirname, 'job.ts') }, file);
  return (job) => runJson(file, [JSON.stringify(job)], options);
}

export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The median ratio of measurements that were taken in turns. */
export function ratioOf(ours: readonly number[], base: readonly number[]): number {
  return median(ours.map((value, index) => value / base[index]!));
}
