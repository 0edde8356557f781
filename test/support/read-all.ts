/** Reads everybody through the Directory port, with the proof. Knows no server. */
import type { Directory, ReadProof } from '../../lib/directory/directory.ts';
import type { Entry } from '../../lib/directory/entry.ts';

export interface Read {
  readonly entries: readonly Entry[];
  readonly proof: ReadProof;
  readonly pages: number;
}

export async function readAll(directory: Directory): Promise<Read> {
  const reader = await directory.openReader();
  const entries: Entry[] = [];
  try {
    const people = reader.readPeople();
    for (let pages = 0; ; pages += 1) {
      const step = await people.next();
      if (step.done) return { entries, proof: step.value, pages };
      entries.push(...step.value);
    }
  } finally {
    await reader.close();
  }
}
