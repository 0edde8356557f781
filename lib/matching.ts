/**
 * Who is who: ties the people of a read to the users that are stored. Works person by person while the directory is
 * still answering and keeps nothing of those whose user needs no change. Decides no change itself: that is plan.ts.
 *
 * The order in which people arrive does not matter: a user name or unique id that turns up twice refuses every entry that
 * has it, the ones already settled included.
 */
import type { Mapped, Person } from './mapping.ts';
import type { UserLink } from './ports.ts';
import type { Change } from './run.ts';

/** A person whose user is known by unique id but does not look like the person any more. */
export interface Changed {
  /** Of the stored user; another one than the person's when the person has a new user name. */
  readonly nameKey: string;
  readonly person: Person;
}

/** A person or user left alone because of a contradiction. */
export interface Contradiction {
  readonly nameKey: string;
  readonly directoryId: string;
  /** null: the entry looks as its user does, so the stored user tells the DN. */
  readonly person: Person | null;
  readonly reason: string;
}

export interface Matches {
  /** Entries read. */
  readonly read: number;
  /** Users tied to an entry of the directory. */
  readonly known: number;
  /** People whose user is as it should be. */
  readonly unchanged: number;
  readonly changed: readonly Changed[];
  /** People whose unique id no user has. */
  readonly fresh: readonly Person[];
  /** Name keys of users tied to an id that was not read. Means nothing without the proof of a complete read. */
  readonly missing: readonly string[];
  readonly contradictions: readonly Contradiction[];
  readonly skipped: readonly Change[];
  /** Whether a stored user has that name key. */
  isTaken(nameKey: string): boolean;
}

export interface Matching {
  add(mapped: Mapped): void;
  finish(): Matches;
}

type Seen = 'no' | 'unchanged' | 'changed' | 'skipped' | 'twin';

interface Known {
  readonly nameKey: string;
  readonly directoryId: string | null;
  readonly fingerprint: string | null;
  seen: Seen;
  nameClaimed: boolean;
}

export const SAME_NAME = 'another entry of the directory maps to the same user name; neither is taken';
export const SAME_ID = 'another entry of the directory has the same unique id; neither is taken';
const SAME_LINK =
  'two users are tied to the same entry of the directory; delete one of them or switch it to integrated authentication';

/** Starts the matching against every stored user. */
export async function startMatching(links: AsyncIterable<readonly UserLink[]>): Promise<Matching> {
  const byName = new Map<string, Known>();
  const byId = new Map<string, Known>();
  const contradictions: Contradiction[] = [];
  for await (const batch of links) {
    for (const { nameKey, directoryId, fingerprint } of batch) {
      const known: Known = { nameKey, directoryId, fingerprint, seen: 'no', nameClaimed: false };
      byName.set(nameKey, known);
      if (directoryId === null) continue;
      const twin = byId.get(directoryId);
      if (twin) {
        for (const user of [twin, known]) {
          user.seen = 'twin';
          contradictions.push({ nameKey: user.nameKey, directoryId, person: null, reason: SAME_LINK });
        }
      } else byId.set(directoryId, known);
    }
  }

  const changed: Changed[] = [];
  const fresh = new Map<string, Person>();
  const skipped: Change[] = [];
  const claimedNames = new Set<string>();
  const clashingNames = new Set<string>();
  const clashingIds = new Set<string>();
  // People who arrived with an id that somebody else had brought already.
  const surplus: Person[] = [];
  let read = 0;

  function claimName(nameKey: string): void {
    const owner = byName.get(nameKey);
    const claimed = owner ? owner.nameClaimed : claimedNames.has(nameKey);
    if (claimed) clashingNames.add(nameKey);
    else if (owner) owner.nameClaimed = true;
    else claimedNames.add(nameKey);
  }

  function addPerson(person: Person): void {
    claimName(person.nameKey);
    const known = byId.get(person.directoryId);
    if (known?.seen === 'twin') return;
    if (known ? known.seen !== 'no' : fresh.has(person.directoryId)) {
      clashingIds.add(person.directoryId);
      surplus.push(person);
    } else if (known === undefined) {
      fresh.set(person.directoryId, person);
    } else {
      known.seen = known.fingerprint === person.fingerprint ? 'unchanged' : 'changed';
      if (known.seen === 'changed') changed.push({ nameKey: known.nameKey, person });
    }
  }

  return {
    add(mapped) {
      read += 1;
      if ('person' in mapped) return addPerson(mapped.person);
      const { directoryId, dn, reason } = mapped.skipped;
      const known = directoryId === null ? undefined : byId.get(directoryId);
      if (known?.seen === 'no') known.seen = 'skipped';
      else if (known) clashingIds.add(known.directoryId!);
      skipped.push({ kind: 'skipped', userId: null, userName: null, directoryId, dn, reason });
    },

    finish() {
      const clash = (person: { nameKey: string; directoryId: string }): string | null => {
        if (clashingIds.has(person.directoryId)) return SAME_ID;
        return clashingNames.has(person.nameKey) ? SAME_NAME : null;
      };
      const keep = (person: Person): boolean => {
        const reason = clash(person);
        if (reason === null) return true;
        contradictions.push({ nameKey: person.nameKey, directoryId: person.directoryId, person, reason });
        return false;
      };
      surplus.forEach(keep);
      const settled = changed.filter(({ person }) => keep(person));
      const freshSettled = [...fresh.values()].filter(keep);

      let unchanged = 0;
      let known = 0;
      const missing: string[] = [];
      for (const user of byId.values()) {
        known += 1;
        if (user.seen === 'no') missing.push(user.nameKey);
        if (user.seen !== 'unchanged') continue;
        const directoryId = user.directoryId!;
        const reason = clash({ nameKey: user.nameKey, directoryId });
        if (reason === null) unchanged += 1;
        else contradictions.push({ nameKey: user.nameKey, directoryId, person: null, reason });
      }
      return {
        read,
        known,
        unchanged,
        changed: settled,
        fresh: freshSettled,
        missing,
        contradictions,
        skipped,
        isTaken: (nameKey) => byName.has(nameKey),
      };
    },
  };
}
