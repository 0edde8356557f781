/** Folders that take long to make: made once per machine, kept in the project's cache, copied for every use. */
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '../../local/debian-package.ts';

const run = promisify(execFile);

const KEPT_MS = 7 * 86_400_000;

/**
 * Fills `target` with a copy of the folder that `make` fills.
 * @param name of the content, for people who look into the cache
 * @param madeOf everything that the content depends on: for the same values, `make` runs only once
 */
export async function copyPrepared(
  name: string,
  madeOf: readonly string[],
  make: (folder: string) => Promise<void>,
  target: string,
): Promise<void> {
  const all = join(cacheFolder(), 'prepared');
  const prepared = join(all, `${name}-${hash('sha256', JSON.stringify(madeOf)).slice(0, 16)}`);
  if (!existsSync(prepared)) {
    await mkdir(all, { recursive: true });
    const work = await mkdtemp(`${prepared}.`);
    try {
      await make(work);
      await rename(work, prepared).catch(() => {
        // Another process was faster, and its folder is the same.
      });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    await forget(all);
  }
  await utimes(prepared, new Date(), new Date());
  await mkdir(target, { recursive: true });
  // Databases are sparse files: as large as they may grow, but small on disk. Keep the copies sparse.
  await run('cp', ['-a', '--sparse=always', `${prepared}/.`, target]);
}

/** Removes folders that have not been used for long, for example because they now depend on other values. */
async function forget(all: string): Promise<void> {
  for (const name of await readdir(all)) {
    const path = join(all, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }));
    if (Date.now() - mtimeMs > KEPT_MS) await rm(path, { recursive: true, force: true });
  }
}
