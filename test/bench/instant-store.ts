/**
 * A user store that answers at once and keeps nothing, so that a run with it shows the product's own cost. Its links
 * come from a file with a line of JSON for each batch, which takes about as long to parse as an answer of DynamoDB. Its
 * users are made when a run asks for them.
 */
import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { RunJournal } from '../../lib/sync/run-journal.ts';
import type { UserLink, UserStore } from '../../lib/user/user-store.ts';
import { linkKey } from '../../lib/user/user.ts';
import type { Known } from './people.ts';
import { isFormer, numberOf, uidOf, userOf } from './people.ts';

const LINKS_TOGETHER = 1_000;

/** Writes the links of a store that is in the state `known`. */
export async function writeLinks(file: string, known: Known): Promise<void> {
  function* lines(): Generator<string> {
    for (let start = 0; start < known.users; start += LINKS_TOGETHER) {
      const links: UserLink[] = [];
      for (let number = start; number < Math.min(start + LINKS_TOGETHER, known.users); number += 1) {
        const { directory, fingerprint } = userOf(number, isFormer(number, known));
        links.push({ nameKey: uidOf(number), linkKey: linkKey(directory!), fingerprint });
      }
      yield `${JSON.stringify(links)}\n`;
    }
  }
  await writeFile(file, lines());
}

/** A journal that writes at once into such a store, and keeps no lines. */
export function openInstantJournal(journal: RunJournal, users: Pick<UserStore, 'writeEach'>): RunJournal {
  return {
    ...journal,
    async write(_fence, groups, _ordered, onWritten) {
      await users.writeEach(groups.flatMap((group) => group.map(({ write }) => write)));
      onWritten?.([...groups.keys()]);
      return groups.map(() => 'written');
    },
    tell: async () => {},
  };
}

/** Opens the store on that file. `writes`: users written so far. */
export function openInstantStore(linksFile: string, known: Known): UserStore & { readonly writes: number } {
  let writes = 0;
  const userAt = (nameKey: string) => {
    const number = numberOf(nameKey);
    return number < known.users ? userOf(number, isFormer(number, known)) : null;
  };
  return {
    get writes() {
      return writes;
    },
    async *readLinks() {
      const lines = createInterface({ input: createReadStream(linksFile) });
      for await (const line of lines) yield JSON.parse(line) as UserLink[];
    },
    async get(userName) {
      return userAt(userName);
    },
    async getMany(nameKeys) {
      const found = nameKeys.map((nameKey) => [nameKey, userAt(nameKey)] as const);
      return new Map(found.flatMap(([nameKey, user]) => (user === null ? [] : [[nameKey, user]])));
    },
    async list() {
      throw new Error('not supported: a run never lists users');
    },
    async findAdministrator() {
      return null;
    },
    async findKnownAdministrator() {
      return null;
    },
    async writeEach(all) {
      writes += all.length;
      return all.map(() => 'written');
    },
    async writeTogether(all) {
      writes += all.length;
      return 'written';
    },
  };
}
