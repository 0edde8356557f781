/**
 * Maps an entry of the directory to a person, by the mapping of the settings. Pure: takes one entry, returns one person
 * or the reason why there is none. Knows nothing of other entries. Which of several names stays, and in which order
 * addresses stay, depends on the stored user: `keepStoredNames` and `orderAddresses` settle that later.
 */
import { hash } from 'node:crypto';
import { attributeList } from '../settings/attribute-name.ts';
import type { MappingSettings, OptionSettings } from '../settings/settings.ts';
import { exceedAddressBytes, MAX_ADDRESS_BYTES } from '../user/email-address.ts';
import { userNameKey } from '../user/user-name.ts';
import type { Profile } from '../user/user.ts';
import { PROFILE_FIELDS } from '../user/user.ts';
import type { Entry } from './entry.ts';
import { attributesIn, cutAtCharacter, readEmailAddresses, readFullName, readUserNames } from './person-value.ts';
import type { EntryAddresses } from './person-value.ts';

/** A person as the directory has it now, in the form that sync stores. */
export interface Person extends Profile, EntryAddresses {
  readonly directoryId: string;
  readonly dn: string;
  readonly nameKey: string;
  /** Whether sync must disable the account because the directory marks it as disabled. */
  readonly disabled: boolean;
  /** The attribute, in lower case, that marks the account as disabled; null if none does. */
  readonly mark: string | null;
  /** The attributes, in lower case, that say something about the account's status, whatever they say. */
  readonly statusSeen: readonly string[];
  /** Whether an attribute that shows the status of every account is hidden, so that the status is unknown. */
  readonly statusUnknown: boolean;
  /** Further valid user names of the entry. A user who has one of them keeps it. */
  readonly otherUserNames: readonly string[];
  /** Values that were left out or changed, one clause each, for the line of this person; at most 5. */
  readonly notes: readonly string[];
  /**
   * Equal exactly if nothing changes that sync stores or tells. The order of an attribute's values, further user names
   * and `statusSeen` do not matter.
   */
  readonly fingerprint: string;
}

/** An entry that maps to no person, and why. It still counts as seen: its user is not missing. */
export interface Skipped {
  readonly directoryId: string | null;
  readonly dn: string;
  readonly reason: string;
  /** Whether sync must disable the account all the same, because the directory marks it as disabled. */
  readonly disabled: boolean;
  /** As in a person. */
  readonly mark: string | null;
  /** The key of the name that an entry without a readable id has all the same: nobody else can have it. */
  readonly nameKey?: string | null;
}

/** The result of mapping one entry. */
export type Mapped =
  | { readonly kind: 'person'; readonly person: Person }
  | { readonly kind: 'skipped'; readonly skipped: Skipped };

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

// Part of every fingerprint: raise it when the same entry maps to something different.
const FINGERPRINT_VERSION = 2;

// Enough to find the fault in the directory. A run keeps the notes of every person whom it changes.
const MAX_NOTES = 5;
const MAX_NOTE_LENGTH = 200;

const FEW_ADDRESSES = 8;
const NONE: readonly never[] = [];
// The notes of the entry that is being mapped. One list for all, because nearly every entry has none.
const notes: string[] = [];

/**
 * Maps one entry.
 *
 * @param disabledUsers how to treat entries that the directory marks as disabled: `disable` returns a person with that
 *   mark, `skip` leaves the entry (and an existing user) alone, `import` treats it like any other entry
 */
export function mapEntry(
  entry: Entry,
  mapping: MappingSettings,
  disabledUsers: OptionSettings['disabledUsers'] = 'import',
): Mapped {
  const isMarked = entry.mark !== null;
  const disabled = isMarked && disabledUsers === 'disable';
  const skip = (reason: string, nameKey: string | null = null): Mapped => {
    const { id: directoryId, dn, mark } = entry;
    const stands = { disabled: disabled && directoryId !== null, mark, nameKey };
    return { kind: 'skipped', skipped: { directoryId, dn, reason, ...stands } };
  };
  if (entry.unusable !== null) return skip(entry.unusable);
  if (entry.id === null) return skip('the entry has no unique id that the bind DN can read', nameKeyIn(entry, mapping));
  if (isMarked && disabledUsers === 'skip') return skip('the directory marks the account as disabled');

  notes.length = 0;
  const names = readUserNames(entry, mapping, notes);
  if (typeof names === 'string') return skip(names);
  const attributes = attributesIn(mapping);
  const fullName = readFullName(entry, attributes.fullName[0], notes);
  const { emailAddresses, primaryCandidates } = readEmailAddresses(entry, attributes.emailAddresses, notes);
  if (exceedAddressBytes(emailAddresses)) {
    return skip(`the entry has more than ${MAX_ADDRESS_BYTES / 1024} KB of e-mail addresses`);
  }
  const userName = names[0]!;
  const person: Mutable<Person> = {
    directoryId: entry.id,
    dn: entry.dn,
    userName,
    fullName,
    emailAddresses,
    nameKey: userNameKey(userName),
    disabled,
    mark: entry.mark,
    statusSeen: entry.statusSeen,
    statusUnknown: entry.statusUnknown,
    otherUserNames: names.length === 1 ? NONE : names.slice(1),
    primaryCandidates,
    notes: notes.length === 0 ? NONE : boundedNotes(),
    fingerprint: '',
  };
  person.fingerprint = fingerprintOf(person);
  return { kind: 'person', person };
}

function nameKeyIn(entry: Entry, mapping: MappingSettings): string | null {
  const names = readUserNames(entry, mapping, []);
  return typeof names === 'string' ? null : userNameKey(names[0]!);
}

/**
 * The person under the user name that its user already has, if the entry still has that name. An attribute is a set, so
 * a further value renames nobody.
 */
export function keepStoredNames(person: Person, stored: { readonly nameKey: string }): Person {
  if (person.otherUserNames.length === 0 || person.nameKey === stored.nameKey) return person;
  const kept = person.otherUserNames.find((name) => userNameKey(name) === stored.nameKey);
  if (kept === undefined) return person;
  const renamed: Mutable<Person> = {
    ...person,
    userName: kept,
    nameKey: stored.nameKey,
    otherUserNames: [person.userName, ...person.otherUserNames.filter((name) => name !== kept)],
  };
  renamed.fingerprint = fingerprintOf(renamed);
  return renamed;
}

/**
 * The person's addresses in the order in which they are stored; new ones follow. The first one is the primary address,
 * and stays so while it is among those that may be: the one that the directory names, else those of the first mapped
 * attribute that has any.
 * @param stored the addresses of the person's user
 */
export function orderAddresses(
  stored: readonly string[],
  { emailAddresses, primaryCandidates }: Pick<Person, 'emailAddresses' | 'primaryCandidates'>,
): readonly string[] {
  if (emailAddresses.length < 2) return emailAddresses;
  const current = new Map(emailAddresses.map((address) => [address.toLowerCase(), address]));
  // A key stays where it is first put: the stored order, then that of the entry.
  const keys = new Set([...stored.map((address) => address.toLowerCase()), ...current.keys()]);
  const ordered = [...keys].flatMap((key) => current.get(key) ?? []);
  const candidates = new Set(emailAddresses.slice(0, primaryCandidates));
  const primary = ordered.find((address) => candidates.has(address))!;
  return [primary, ...ordered.filter((address) => address !== primary)];
}

/** All attributes that the mapping needs, without duplicates. */
export function mappedAttributes(mapping: MappingSettings): readonly string[] {
  return [...new Set(PROFILE_FIELDS.flatMap((field) => attributeList(mapping[field])))];
}

function boundedNotes(): readonly string[] {
  return notes.slice(0, MAX_NOTES).map((note) => cutAtCharacter(note, MAX_NOTE_LENGTH));
}

// 96 bits are enough: only states of ONE person are compared, never people with each other.
function fingerprintOf(person: Person): string {
  const { emailAddresses, primaryCandidates, notes } = person;
  const state: unknown[] = [FINGERPRINT_VERSION, person.directoryId, person.dn];
  for (const field of PROFILE_FIELDS) if (field !== 'emailAddresses') state.push(person[field]);
  state.push(person.disabled, person.mark, person.statusUnknown);
  state.push(primaryCandidates, inSortOrder(emailAddresses, primaryCandidates));
  if (notes.length > 0) state.push(notes.toSorted());
  return hash('sha256', JSON.stringify(state), 'base64url').slice(0, 16);
}

/** Sorts the candidates for the primary address, and the others after them. */
function inSortOrder(addresses: readonly string[], candidates: number): readonly string[] {
  if (addresses.length < 2) return addresses;
  if (addresses.length > FEW_ADDRESSES) {
    return [...addresses.slice(0, candidates).sort(), ...addresses.slice(candidates).sort()];
  }
  // By insertion, because sort() takes a kilobyte for two addresses and this runs for every entry of the directory.
  const sorted = [...addresses];
  for (let end = 1; end < sorted.length; end += 1) {
    const address = sorted[end]!;
    const start = end < candidates ? 0 : candidates;
    let place = end;
    for (; place > start && address < sorted[place - 1]!; place -= 1) sorted[place] = sorted[place - 1]!;
    sorted[place] = address;
  }
  return sorted;
}
