/** Locks a data folder for one program: two would share its databases and fire its schedule twice. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Stoppable } from './running.ts';

/**
 * Locks the folder; `stop` releases it. @throws Error with a sentence for the user, if another running program has it
 */
export async function lockFolder(folder: string): Promise<Stoppable> {
  const file = path.join(folder, 'process');
  const holder = Number(await readFile(file, 'utf8').catch(() => ''));
  if (holder > 0 && holder !== process.pid && isRunning(holder)) {
    throw new Error(`--data: the folder is in use by process ${holder}; stop that process or choose another folder`);
  }
  await writeFile(file, String(process.pid));
  return { stop: () => rm(file, { force: true }) };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
