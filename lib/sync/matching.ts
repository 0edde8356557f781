/**
 * Matches the people of a read to the stored users. Works person by person while the directory is still answering, and
 * keeps nothing of people whose user needs no change. Decides no change: plan.ts does.
 *
 * The order in which people arrive does not matter: a user name or unique id that turns up twice refuses every entry
 * that has it, including entries that were matched before.
 */
import type { Mapped, Person } from '../directory/mapping.ts';
import type { UserLink } from '../user/user-store.ts';
import { linkKey } from '../user/user.ts';
import type { Change } from './run.ts';

/** A person whose user is known by unique id but no longer looks like the person. */
export interface Changed {
  /** The name key of the stored user; differs from the person's if the person has a new user name. */
  readonly nameKey: string;
  readonly person: Person;
}

/** A person or user left unchanged because the directory or the users contradict themselves. */
export interface Contradiction {
  readonly nameKey: string;
  /** null if the entry matches its user; the stored user has the DN then. */
  readonly person: Person | null;
  readonly reason: string;
}

/** The result of matching all people of a read. */
export interface Matches {
  /** Entries read. */
  readonly read: number;
  /** Entries read whose unique id is unknown: any of them may be any person. */
  readonly unidentified: number;
  /** Users linked to an entry of the directory. */
  readonly known: number;
  /** People whose user is up to date. */
  readonly unchanged: number;
  readonly changed: readonly Changed[];
  /** People whose unique id belongs to no user. */
  readonly fresh: readonly Person[];
  /** Name keys of users linked to an id that was not read. Meaningless without proof of a complete read. */
  readonly missing: readonly string[];
  readonly contradictions: readonly Contradiction[];
  readonly skipped: readonly Change[];
  /** Whether a stored user has this name key. */
  isTaken(nameKey: string): boolean;
}

/** Matches people one by one: `add` each entry of the read, then call `finish` once. */
export interface Matching {
  add(mapped: Mapped): void;
  finish(): Matches;
}

type Seen = 'no' | 'unchanged' | 'changed' | 'skipped' | 'twin';

interface Known {
  readonly nameKey: string;
  readonly fingerprint: string | null;
  seen: Seen;
  nameClaimed: boolean;
}

/** The reason of entries that map to the same user name. */
export const SAME_NAME = 'another entry maps to the same user name; neither is used';
/** The reason of entries with the same unique id. */
export const SAME_ID = 'another entry has the same unique id; neither is used';
/** The reason of users that are linked to the same entry. */
export const SAME_LINK =
  'two users are linked to the same entry; delete one of them or switch it to integrated authentication';

/**
 * Starts the matching against all stored users.
 *
 * @param idAttribute the attribute that people's unique ids are read from, in lower case; users linked by another
 *   attribute match nobody
 */
export async function startMatching(links: AsyncIterable<readonly UserLink[]>, idAttribute: string): Promise<Matching> {
  const linkOf = (id: string): string => linkKey({ idAttribute, id });
  const byName = new Map<string, Known>();
  const byLink = new Map<string, Known>();
  const contradictions: Contradiction[] = [];
  for await (const batch of links) {
    for (const { nameKey, linkKey, fingerprint } of batch) {
      const known: Known = { nameKey, fingerprint, seen: 'no', nameClaimed: false };
      byName.set(nameKey, known);
      if (linkKey === null) continue;
      const twin = byLink.get(linkKey);
      if (twin) {
        for (const user of [twin, known]) {
          user.seen = 'twin';
          contradictions.push({ nameKey: user.nameKey, person: null, reason: SAME_LINK });
        }
      } else byLink.set(linkKey, known);
    }
  }

  const changed: Changed[] = [];
  const fresh = new Map<string, Person>();
  const skipped: Change[] = [];
  const claimedNames = new Set<string>();
  const clashingNames = new Set<string>();
  const clashingIds = new Set<string>();
  // People who arrived with an id that another person had already.
  const surplus: Person[] = [];
  let read = 0;
  let unidentified = 0;

  function claimName(nameKey: string): void {
    const owner = byName.get(nameKey);
    const claimed = owner ? owner.nameClaimed : claimedNames.has(nameKey);
    if (claimed) clashingNames.add(nameKey);
    else if (owner) owner.nameClaimed = true;
    else claimedNames.add(nameKey);
  }

  function addPerson(person: Person): void {
    claimName(person.nameKey);
    const known = byLink.get(linkOf(person.directoryId));
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
      if (mapped.kind === 'person') return addPerson(mapped.person);
      const { directoryId, dn, reason } = mapped.skipped;
      if (directoryId === null) unidentified += 1;
      const known = directoryId === null ? undefined : byLink.get(linkOf(directoryId));
      if (known?.seen === 'no') known.seen = 'skipped';
      else if (known) clashingIds.add(directoryId!);
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
        contradictions.push({ nameKey: person.nameKey, person, reason });
        return false;
      };
      surplus.forEach(keep);
      const settled = changed.filter(({ person }) => keep(person));
      const freshSettled = [...fresh.values()].filter(keep);

      let unchanged = 0;
      let known = 0;
      const missing: string[] = [];
      for (const [link, user] of byLink) {
        known += 1;
        if (user.seen === 'no') missing.push(user.nameKey);
        if (user.seen !== 'unchanged') continue;
        // The user was seen under the attribute in use, so the rest of its link is the id.
        const reason = clash({ nameKey: user.nameKey, directoryId: link.slice(idAttribute.length + 1) });
        if (reason === null) unchanged += 1;
        else contradictions.push({ nameKey: user.nameKey, person: null, reason });
      }
      return {
        read,
        unidentified,
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
