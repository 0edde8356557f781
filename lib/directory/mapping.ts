/**
 * Maps an entry of the directory to a person, by the mapping of the settings. Pure: takes one entry, returns one person
 * or the reason why there is none. Knows nothing of other entries. Which of several names stays, and in which order
 * addresses stay, depends on the stored user: `keepStoredNames` and `orderAddresses` settle that later.
 */
import { hash } from 'node:crypto';
import { ownValues } from '../distinguished-name.ts';
import { isPrintable, withoutControls } from '../printable.ts';
import {
  attributeKey,
  attributeList,
  attributeOptions,
  descriptionKey,
  hasOptions,
} from '../settings/attribute-name.ts';
import type { MappingSettings, OptionSettings } from '../settings/settings.ts';
import { EMAIL_ADDRESS, exceedAddressBytes, MAX_ADDRESS_BYTES, readAddresses } from '../user/email-address.ts';
import { parseUserName, userNameKey } from '../user/user-name.ts';
import type { Profile, ProfileField } from '../user/user.ts';
import { MAX_FULL_NAME_LENGTH, PROFILE_FIELDS } from '../user/user.ts';
import type { Entry } from './entry.ts';

/** A person as the directory has it now, in the form that sync stores. */
export interface Person extends Profile {
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
  /**
   * How many addresses, from the front, the primary one may be chosen from: those that the directory itself calls
   * primary (`SMTP:` in proxyAddresses), else those of the first mapped attribute that has any.
   */
  readonly primaryCandidates: number;
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
const MAX_QUOTED_LENGTH = 80;
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

  const attributes = attributesIn(mapping);
  notes.length = 0;
  const names = readUserNames(entry, attributes.userName[0]?.key, mapping);
  if (typeof names === 'string') return skip(names);
  const [userName] = names;

  const person: Mutable<Person> = {
    directoryId: entry.id,
    dn: entry.dn,
    userName: userName!,
    fullName: readFullName(entry, attributes.fullName[0]),
    emailAddresses: NONE,
    nameKey: userNameKey(userName!),
    disabled,
    mark: entry.mark,
    statusSeen: entry.statusSeen,
    statusUnknown: entry.statusUnknown,
    otherUserNames: names.length === 1 ? NONE : names.slice(1),
    primaryCandidates: 0,
    notes: NONE,
    fingerprint: '',
  };
  readEmailAddresses(person, entry, attributes.emailAddresses);
  if (exceedAddressBytes(person.emailAddresses)) {
    return skip(`the entry has more than ${MAX_ADDRESS_BYTES / 1024} KB of e-mail addresses`);
  }
  if (notes.length > 0) person.notes = boundedNotes();
  person.fingerprint = fingerprintOf(person);
  return { kind: 'person', person };
}

function nameKeyIn(entry: Entry, mapping: MappingSettings): string | null {
  const names = readUserNames(entry, attributesIn(mapping).userName[0]?.key, mapping);
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

interface MappedAttribute {
  /** As the settings spell it. */
  readonly name: string;
  /** The form that entries use. */
  readonly key: string;
}

type MappedAttributes = Readonly<Record<ProfileField, readonly MappedAttribute[]>>;

// Cached: one mapping is applied to hundreds of thousands of entries.
const attributesByMapping = new WeakMap<MappingSettings, MappedAttributes>();

function attributesIn(mapping: MappingSettings): MappedAttributes {
  let attributes = attributesByMapping.get(mapping);
  if (attributes === undefined) {
    const listed = (field: ProfileField): readonly MappedAttribute[] =>
      attributeList(mapping[field]).map((name) => ({ name, key: descriptionKey(name) }));
    attributes = Object.fromEntries(
      PROFILE_FIELDS.map((field) => [field, listed(field)]),
    ) as unknown as MappedAttributes;
    attributesByMapping.set(mapping, attributes);
  }
  return attributes;
}

/** All attributes that the mapping needs, without duplicates. */
export function mappedAttributes(mapping: MappingSettings): readonly string[] {
  return [...new Set(PROFILE_FIELDS.flatMap((field) => attributeList(mapping[field])))];
}

/** The values of an attribute, in any letter case; those without further options come first. */
export function attributeValues(entry: Entry, attribute: string): readonly string[] {
  const key = descriptionKey(attribute);
  return [...(entry.attributes[key] ?? []), ...taggedValues(entry, key)];
}

/** The values of an attribute that have more options than the mapping names, such as a language tag. */
function taggedValues({ attributes }: Entry, key: string): readonly string[] {
  let found: string[] | null = null;
  for (const name in attributes) {
    if (name === key || !name.includes(';') || attributeKey(name) !== attributeKey(key)) continue;
    if (hasOptions(name, attributeOptions(key))) (found ??= []).push(...(attributes[name] ?? []));
  }
  return found ?? NONE;
}

/**
 * The values of an attribute that should have only one, the best first. LDAP does not order values (RFC 4511 section
 * 4.1.7), and an arbitrary choice could rename people from run to run: prefer the value in the entry's RDN, then the
 * others in sort order.
 */
function inOrder(values: readonly string[], dn: string): readonly string[] {
  if (values.length < 2) return values;
  const own = new Set(ownValues(dn).map((value) => value.toLowerCase()));
  const isOwn = (value: string): boolean => own.has(value.toLowerCase());
  const sorted = values.toSorted();
  return [...sorted.filter(isOwn), ...sorted.filter((value) => !isOwn(value))];
}

/**
 * The user names of an entry, the best first; or the reason why it has none. A value with a language tag or another
 * option counts only where no value without one can be a user name.
 */
function readUserNames(
  entry: Entry,
  key: string | undefined,
  { userName: attribute, localPartOnly }: MappingSettings,
): readonly string[] | string {
  const [only, second] = (key === undefined ? undefined : entry.attributes[key]) ?? NONE;
  // Nearly every entry has one good name.
  if (only !== undefined && second === undefined) {
    const parsed = parseUserName(localPartOnly ? localPart(only) : only);
    if (parsed.kind === 'userName') return [parsed.userName];
  }
  const missing = `the entry has no ${attribute}, which is mapped to the user name`;
  if (key === undefined) return missing;
  const faults: { readonly value: string; readonly reason: string }[] = [];
  const parse = (values: readonly string[]): readonly string[] => {
    const names = new Map<string, string>();
    for (const value of inOrder(values, entry.dn)) {
      const parsed = parseUserName(localPartOnly ? localPart(value) : value);
      if (parsed.kind === 'fault') faults.push({ value, reason: parsed.reason });
      else if (!names.has(userNameKey(parsed.userName))) names.set(userNameKey(parsed.userName), parsed.userName);
    }
    return [...names.values()];
  };
  const plain = parse(entry.attributes[key] ?? NONE);
  const names = plain.length > 0 ? plain : parse(taggedValues(entry, key));
  if (names.length === 0) return faults[0] === undefined ? missing : `${attribute}: ${faults[0].reason}`;
  for (const { value, reason } of faults) {
    if (value.trim() !== '') notes.push(`${attribute}: ${quote(value)} is left out: ${reason}`);
  }
  return names;
}

function localPart(name: string): string {
  const at = name.lastIndexOf('@');
  return at === -1 ? name : name.slice(0, at);
}

function readFullName(entry: Entry, attribute: MappedAttribute | undefined): string | null {
  if (attribute === undefined) return null;
  const { key, name } = attribute;
  const clean = (values: readonly string[]): string | null => {
    for (const value of inOrder(values, entry.dn)) {
      const text = withoutBreaks(value);
      if (text === '') continue;
      if (!isPrintable(text)) {
        notes.push(`${name}: ${quote(value)} is not UTF-8 text`);
        continue;
      }
      if (text.length <= MAX_FULL_NAME_LENGTH) return text;
      notes.push(`${name}: ${quote(text)} is cut at ${MAX_FULL_NAME_LENGTH} characters`);
      return cutAtCharacter(text, MAX_FULL_NAME_LENGTH);
    }
    return null;
  };
  return clean(entry.attributes[key] ?? NONE) ?? clean(taggedValues(entry, key));
}

// Most names need no cleaning.
const BREAKS = /[\p{Cc}\p{Zl}\p{Zp}]+/gu;

function withoutBreaks(value: string): string {
  return (value.search(BREAKS) === -1 ? value : value.replaceAll(BREAKS, ' ')).trim();
}

/** The text up to a length in UTF-16 code units. What a reader takes for one character stays whole or goes. */
function cutAtCharacter(text: string, length: number): string {
  if (text.length <= length) return text;
  let end = 0;
  for (const { index } of new Intl.Segmenter().segment(text.slice(0, length + 1))) end = index;
  // A single character of that length: cut it between two code points.
  return (
    end === 0
      ? text
          .slice(0, length)
          .toWellFormed()
          .replace(/\uFFFD$/u, '')
      : text.slice(0, end)
  ).trim();
}

/** Addresses in the order of the attributes, but those with `SMTP:` first; no duplicates. */
function readEmailAddresses(person: Mutable<Person>, entry: Entry, attributes: readonly MappedAttribute[]): void {
  const found = new Map<string, string>();
  const marked = new Set<string>();
  for (const { key, name } of attributes) {
    const plain = entry.attributes[key];
    if (plain !== undefined) collectAddresses(plain, name, found, marked);
    person.primaryCandidates ||= found.size;
    const tagged = taggedValues(entry, key);
    if (tagged.length > 0) collectAddresses(tagged, name, found, marked);
    person.primaryCandidates ||= found.size;
  }
  if (found.size === 0) return;
  person.emailAddresses = [...found.values()];
  if (marked.size === 0) return;
  const first = [...marked].map((same) => found.get(same)!);
  person.emailAddresses = [...first, ...person.emailAddresses.filter((address) => !first.includes(address))];
  person.primaryCandidates = first.length;
}

/**
 * @param found addresses by the form in which they are compared
 * @param marked the keys of those that the directory calls primary
 */
function collectAddresses(
  values: readonly string[],
  attribute: string,
  found: Map<string, string>,
  marked: Set<string>,
): void {
  for (const value of values) {
    // Most values are one address.
    if (EMAIL_ADDRESS.test(value)) {
      keepAddress(value, found);
      continue;
    }
    const { addresses, primary, unreadable } = readAddresses(value);
    for (const address of addresses) keepAddress(address, found);
    if (primary !== null) marked.add(primary.toLowerCase());
    for (const text of unreadable) notes.push(`${attribute}: ${quote(text)} can't be read as an e-mail address`);
  }
}

/** Keeps the first of several spellings in sort order, because the order of values means nothing. */
function keepAddress(address: string, found: Map<string, string>): void {
  const same = address.toLowerCase();
  const before = found.get(same);
  if (before === undefined || address < before) found.set(same, address);
}

function quote(text: string): string {
  const clean = withoutControls(text);
  return `"${clean.length > MAX_QUOTED_LENGTH ? `${cutAtCharacter(clean, MAX_QUOTED_LENGTH)}…` : clean}"`;
}

function boundedNotes(): readonly string[] {
  return notes.slice(0, MAX_NOTES).map((note) => cutAtCharacter(note, MAX_NOTE_LENGTH));
}

// 96 bits are enough: only states of ONE person are compared, never people with each other. A list instead of spreads:
// this runs for every entry of the directory.
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
  const isSorted = addresses.every(
    (address, position) => position === 0 || position === candidates || address > addresses[position - 1]!,
  );
  if (isSorted) return addresses;
  return [...addresses.slice(0, candidates).sort(), ...addresses.slice(candidates).sort()];
}
