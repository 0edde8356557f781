/**
 * Matches the people of a read to the stored users. Works person by person while the directory is still answering, and
 * keeps nothing of people whose user needs no change. Decides no change: plan.ts does.
 *
 * The order in which people arrive does not matter: a user name or unique id that turns up twice refuses every entry
 * that has it, including entries that were matched before.
 */
import { keepStoredNames } from '../directory/mapping.ts';
import type { Mapped, Person } from '../directory/mapping.ts';
import type { UserLink } from '../user/user-store.ts';
import { foldId, linkKey } from '../user/user.ts';
import type { Change } from './run.ts';

/** A person whose user is known by unique id but no longer looks like the person. */
export interface Changed {
  /** The name key of the stored user; differs from the person's if the person has a new user name. */
  readonly nameKey: string;
  readonly person: Person;
  /** Whether sync has disabled the user, as far as the list of users says. */
  readonly disabledBySync: boolean;
}

/** A person or user left unchanged because the directory or the users contradict themselves. */
export interface Contradiction {
  readonly nameKey: string;
  /** null if the entry matches its user; the stored user has the DN then. */
  readonly person: Person | null;
  readonly reason: string;
}

/** A user whose entry is marked as disabled, although the entry can't be used otherwise. */
export interface DisabledById {
  readonly nameKey: string;
  readonly directoryId: string;
  /** The attribute, in lower case, that marks the account. */
  readonly mark: string | null;
}

/** What the read showed of the attributes that losses depend on. */
export interface ReadAttributes {
  readonly fullName: boolean;
  readonly emailAddresses: boolean;
  /** Status attributes, in lower case. */
  readonly status: ReadonlySet<string>;
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
  /** Name keys that people in contradictions have. */
  readonly claimed: ReadonlySet<string>;
  readonly skipped: readonly Change[];
  /** Users to disable by their unique id, because a conflict or a skip is about names only. */
  readonly disabledById: readonly DisabledById[];
  /** Name keys of users whose entry was seen, though it can't be used, and who may have been missing until now. */
  readonly reappeared: readonly string[];
  /** What the read showed of the attributes that losses depend on. */
  readonly shown: ReadAttributes;
  /** Entries whose status is unknown, because an attribute that every account has is hidden. */
  readonly statusUnknown: number;
  /** Entries with values that were left out or changed, and the first of them. */
  readonly noted: { readonly count: number; readonly first: Pick<Person, 'dn' | 'notes'> | null };
  /** Whether a stored user has this name key. */
  isTaken(nameKey: string): boolean;
}

function push<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
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
  /** Name keys of users whom sync has disabled. */
  const disabledBySync = new Set<string>();
  /** Name keys of the further users of a link. */
  const twins = new Map<string, string[]>();
  const contradictions: Contradiction[] = [];
  for await (const batch of links) {
    for (const { nameKey, linkKey: link, fingerprint, disabledBySync: isDisabled } of batch) {
      const known: Known = { nameKey, fingerprint, seen: 'no', nameClaimed: false };
      if (isDisabled) disabledBySync.add(nameKey);
      byName.set(nameKey, known);
      if (link === null) continue;
      const twin = byLink.get(link);
      if (twin) {
        push(twins, link, nameKey);
        for (const user of [twin, known]) {
          user.seen = 'twin';
          contradictions.push({ nameKey: user.nameKey, person: null, reason: SAME_LINK });
        }
      } else byLink.set(link, known);
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
  // People with several names whose user is not known before the read is over: it may have one of the other names.
  const undecided = new Set<Person>();
  const disabledById: DisabledById[] = [];
  /** Entries that were skipped and whose id, as it is spelled, belongs to no user. */
  const strangers: { readonly directoryId: string; readonly disabled: boolean; readonly mark: string | null }[] = [];
  const shown = { fullName: false, emailAddresses: false, status: new Set<string>() };
  let read = 0;
  let unidentified = 0;
  let statusUnknown = 0;
  let notedCount = 0;
  let notedFirst: Pick<Person, 'dn' | 'notes'> | null = null;

  function claimName(nameKey: string, owner = byName.get(nameKey)): void {
    const claimed = owner ? owner.nameClaimed : claimedNames.has(nameKey);
    if (claimed) clashingNames.add(nameKey);
    else if (owner) owner.nameClaimed = true;
    else claimedNames.add(nameKey);
  }

  function look(person: Person): void {
    if (person.fullName !== null) shown.fullName = true;
    if (person.emailAddresses.length > 0) shown.emailAddresses = true;
    for (const name of person.statusSeen) shown.status.add(name);
    if (person.statusUnknown) statusUnknown += 1;
    if (person.notes.length > 0) {
      notedCount += 1;
      notedFirst ??= person;
    }
  }

  function addChanged({ nameKey }: Known, person: Person): void {
    changed.push({ nameKey, person, disabledBySync: disabledBySync.has(nameKey) });
  }

  function addPerson(mapped: Person): void {
    look(mapped);
    const known = byLink.get(linkOf(mapped.directoryId));
    // A user keeps a name that is still among the entry's values, whichever comes first now.
    const person = known && mapped.otherUserNames.length > 0 ? keepStoredNames(mapped, known) : mapped;
    if (known === undefined && person.otherUserNames.length > 0) undecided.add(person);
    // Nearly everybody has the name of their user, which spares a search among all names.
    else claimName(person.nameKey, known?.nameKey === person.nameKey ? known : undefined);
    if (known?.seen === 'twin') {
      // Whichever of them is the person: the directory disables it.
      const all = [known.nameKey, ...(twins.get(linkOf(person.directoryId)) ?? [])];
      const { directoryId, mark, disabled } = person;
      if (disabled) for (const nameKey of all) disabledById.push({ nameKey, directoryId, mark });
      return;
    }
    if (known ? known.seen !== 'no' : fresh.has(person.directoryId)) {
      clashingIds.add(person.directoryId);
      surplus.push(person);
    } else if (known === undefined) {
      fresh.set(person.directoryId, person);
    } else {
      known.seen = known.fingerprint === person.fingerprint ? 'unchanged' : 'changed';
      if (known.seen === 'changed') addChanged(known, person);
    }
  }

  function seeSkipped(known: Known, { directoryId, disabled, mark }: (typeof strangers)[number]): void {
    known.seen = 'skipped';
    if (disabled) disabledById.push({ nameKey: known.nameKey, directoryId, mark });
  }

  /**
   * Matches ids that differ only in letter case: many directories compare the attribute without it. Only where exactly
   * one stored id and exactly one id of the read are the same without case, counting those that match exactly.
   */
  function matchFolded(): void {
    if (fresh.size === 0 && strangers.length === 0) return;
    const open = new Map<string, Known[]>();
    for (const [link, known] of byLink) {
      if (known.seen === 'no' && link.startsWith(`${idAttribute}:`)) push(open, foldId(link), known);
    }
    const arrived = new Map<string, (Person | (typeof strangers)[number])[]>();
    for (const each of [...fresh.values(), ...strangers]) push(arrived, foldId(linkOf(each.directoryId)), each);
    const pairs = [...arrived].filter(([fold, entries]) => entries.length === 1 && open.get(fold)?.length === 1);
    if (pairs.length === 0) return;
    const exact = new Set([...byLink].filter(([, { seen }]) => seen !== 'no').map(([link]) => foldId(link)));
    for (const [fold, [entry]] of pairs) {
      const known = open.get(fold)![0]!;
      if (exact.has(fold)) continue;
      const person = fresh.get(entry!.directoryId);
      if (person === undefined) {
        seeSkipped(known, entry!);
        continue;
      }
      fresh.delete(person.directoryId);
      const kept = undecided.delete(person) ? keepStoredNames(person, known) : person;
      if (kept.otherUserNames.length > 0) claimName(kept.nameKey);
      known.seen = 'changed';
      addChanged(known, kept);
    }
  }

  return {
    add(mapped) {
      read += 1;
      if (mapped.kind === 'person') return addPerson(mapped.person);
      const { directoryId, dn, reason, disabled, mark, nameKey = null } = mapped.skipped;
      if (directoryId === null) unidentified += 1;
      if (nameKey !== null) claimName(nameKey);
      const known = directoryId === null ? undefined : byLink.get(linkOf(directoryId));
      if (directoryId !== null) {
        if (known === undefined) strangers.push({ directoryId, disabled, mark });
        else if (known.seen === 'no') seeSkipped(known, { directoryId, disabled, mark });
        else clashingIds.add(directoryId);
      }
      skipped.push({ kind: 'skipped', userId: null, userName: null, directoryId, dn, reason });
    },

    finish() {
      for (const { directoryId } of strangers) if (fresh.has(directoryId)) clashingIds.add(directoryId);
      matchFolded();
      for (const { nameKey } of undecided) claimName(nameKey);
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
      const refused: string[] = [];
      const settled = changed.filter(({ nameKey, person }) => {
        if (keep(person)) return true;
        refused.push(nameKey);
        // The id of two entries says nothing about one of them.
        const { directoryId, mark } = person;
        if (person.disabled && !clashingIds.has(directoryId)) disabledById.push({ nameKey, directoryId, mark });
        return false;
      });
      const freshSettled = [...fresh.values()].filter(keep);

      const conflicting = new Set(refused);
      const isContradictory = clashingIds.size > 0 || clashingNames.size > 0;
      let unchanged = 0;
      let known = 0;
      const missing: string[] = [];
      const reappeared: string[] = [];
      for (const [link, user] of byLink) {
        known += 1;
        const isUnusable = user.seen === 'skipped' || conflicting.has(user.nameKey);
        if (isUnusable && user.fingerprint === null) reappeared.push(user.nameKey);
        if (user.seen === 'no') missing.push(user.nameKey);
        if (user.seen !== 'unchanged') continue;
        if (!isContradictory) {
          unchanged += 1;
          continue;
        }
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
        claimed: new Set(contradictions.flatMap(({ person }) => person?.nameKey ?? [])),
        skipped,
        disabledById: disabledById.filter(({ directoryId }) => !clashingIds.has(directoryId)),
        reappeared,
        shown,
        statusUnknown,
        noted: { count: notedCount, first: notedFirst },
        isTaken: (nameKey) => byName.has(nameKey),
      };
    },
  };
}
