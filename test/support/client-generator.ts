/** The generator of client/schema.ts, installed by npm from client/package-lock.json. Knows no schema. */
import { execFile } from 'node:child_process';
import { cp, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { copyPrepared } from './prepared-folder.ts';

const run = promisify(execFile);

const CLIENT = path.join(import.meta.dirname, '../../client');
const PACKAGE_FILES = ['package.json', 'package-lock.json'];

/**
 * Fills `target` with client/'s package files and the tools that they name. npm installs them once on this machine;
 * after that they come from the cache.
 *
 * @throws Error with one line if npm can't install them
 */
export async function copyGenerator(target: string): Promise<void> {
  const madeOf = await Promise.all(PACKAGE_FILES.map((name) => readFile(path.join(CLIENT, name), 'utf8')));
  await copyPrepared('client-generator', madeOf, install, target);
}

async function install(folder: string): Promise<void> {
  for (const name of PACKAGE_FILES) await cp(path.join(CLIENT, name), path.join(folder, name));
  const options = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=1'];
  await run('npm', ['ci', ...options], { cwd: folder }).catch((error: Error & { stderr?: string }) => {
    const errors = [...(error.stderr ?? '').matchAll(/^npm error (?!code |errno |syscall )(.+)$/gm)];
    throw new Error(`npm could not install the tools of client/: ${errors[0]?.[1] ?? error.message}`, { cause: error });
  });
}
