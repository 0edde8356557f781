/** The state of a stand-in: one JSON document, in memory or in a file that only its owner can read. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The state and how to save it. */
export interface KeptState<T> {
  /** Change it in place, then call `save`. */
  readonly document: T;
  readonly save: () => void;
}

/** Opens the state; in memory if `folder` is undefined. @throws Error if the file can't be read or is not JSON */
export function openState<T>(folder: string | undefined, name: string, empty: T): KeptState<T> {
  if (folder === undefined) return { document: empty, save: () => {} };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, name);
  const document = readState(file) ?? empty;
  return {
    document,
    save() {
      // Written beside the old file and then moved over it: a crash leaves one of the two, complete.
      writeFileSync(`${file}.new`, JSON.stringify(document), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };

  function readState(from: string): T | null {
    let text: string;
    try {
      text = readFileSync(from, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new Error(`${from} is damaged: remove it, or restore it from a backup`);
    }
  }
}
