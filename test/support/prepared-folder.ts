/** Folders that take long to make: made once on this machine, kept in the project's cache, copied for every use. */
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { cacheFolder } from '../../local/debian-package.ts';

const run = promisify(execFile);

/**
 * Fills `target` with a copy of what `make` puts into a folder.
 * @param name of what is in it, for people who look into the cache
 * @param madeOf everything that decides what is in it: the same values bring the same folder again
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
        // Another process was first; what it made is the same.
      });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  await mkdir(target, { recursive: true });
  // Databases are files with holes in them: as large as they may grow, but not on the disk.
  await run('cp', ['-a', '--sparse=always', `${prepared}/.`, target]);
}
