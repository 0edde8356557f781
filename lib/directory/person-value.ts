/**
 * Reads the values that become a person's user names, full name and e-mail addresses from an entry of the directory.
 * Pure. Knows no stored user: which of several names stays, and in which order addresses stay, is settled later.
 */
import { ownValues } from '../distinguished-name.ts';
import { isPrintable, withoutControls } from '../printable.ts';
import {
  attributeKey,
  attributeList,
  attributeOptions,
  descriptionKey,
  hasOptions,
} from '../settings/attribute-name.ts';
import type { MappingSettings } from '../settings/settings.ts';
import { PLAIN_ADDRESS, readAddresses } from '../user/email-address.ts';
import { parseUserName, userNameKey } from '../user/user-name.ts';
import type { ProfileField } from '../user/user.ts';
import { MAX_FULL_NAME_LENGTH, PROFILE_FIELDS } from '../user/user.ts';
import type { Entry } from './entry.ts';

const MAX_QUOTED_LENGTH = 80;
const NONE: readonly never[] = [];

/** An attribute of the mapping. */
export interface MappedAttribute {
  /** As the settings spell it. */
  readonly name: string;
  /** The form that entries use. */
  readonly key: string;
}

/** The attributes of each field, in the order of the settings. */
export type MappedAttributes = Readonly<Record<ProfileField, readonly MappedAttribute[]>>;

// Cached: one mapping is applied to hundreds of thousands of entries.
const attributesByMapping = new WeakMap<MappingSettings, MappedAttributes>();

/** The attributes that the mapping names. */
export function attributesIn(mapping: MappingSettings): MappedAttributes {
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
 * @param notes gets a clause for each value that is left out
 */
export function readUserNames(entry: Entry, mapping: MappingSettings, notes: string[]): readonly string[] | string {
  const { userName: attribute, localPartOnly } = mapping;
  const { key } = attributesIn(mapping).userName[0]!;
  const values = entry.attributes[key] ?? NONE;
  // Nearly every entry has one good name.
  if (values.length === 1) {
    const parsed = parseUserName(localPartOnly ? localPart(values[0]!) : values[0]!);
    if (parsed.kind === 'userName') return [parsed.userName];
  }
  const faults: { readonly value: string; readonly reason: string }[] = [];
  const parse = (all: readonly string[]): readonly string[] => {
    const names = new Map<string, string>();
    for (const value of inOrder(all, entry.dn)) {
      const parsed = parseUserName(localPartOnly ? localPart(value) : value);
      if (parsed.kind === 'fault') faults.push({ value, reason: parsed.reason });
      else if (!names.has(userNameKey(parsed.userName))) names.set(userNameKey(parsed.userName), parsed.userName);
    }
    return [...names.values()];
  };
  const plain = parse(values);
  const names = plain.length > 0 ? plain : parse(taggedValues(entry, key));
  if (names.length === 0) {
    if (faults[0] !== undefined) return `${attribute}: ${faults[0].reason}`;
    return `the entry has no ${attribute}, which is mapped to the user name`;
  }
  for (const { value, reason } of faults) {
    if (value.trim() !== '') notes.push(`${attribute}: ${quote(value)} is left out: ${reason}`);
  }
  return names;
}

function localPart(name: string): string {
  const at = name.lastIndexOf('@');
  return at === -1 ? name : name.slice(0, at);
}

/**
 * The full name of an entry: the best value that is text, on one line and not too long; null if there is none.
 * @param notes gets a clause for each value that is left out or cut
 */
export function readFullName(entry: Entry, attribute: MappedAttribute | undefined, notes: string[]): string | null {
  if (attribute === undefined) return null;
  const { key, name } = attribute;
  const plain = entry.attributes[key];
  return (
    (plain === undefined ? null : cleanFullName(plain, entry.dn, name, notes)) ??
    cleanFullName(taggedValues(entry, key), entry.dn, name, notes)
  );
}

function cleanFullName(values: readonly string[], dn: string, attribute: string, notes: string[]): string | null {
  for (const value of inOrder(values, dn)) {
    const text = withoutBreaks(value);
    if (text === '') continue;
    if (!isPrintable(text)) {
      notes.push(`${attribute}: ${quote(value)} is not UTF-8 text`);
      continue;
    }
    if (text.length <= MAX_FULL_NAME_LENGTH) return text;
    notes.push(`${attribute}: ${quote(text)} is cut at ${MAX_FULL_NAME_LENGTH} characters`);
    return cutAtCharacter(text, MAX_FULL_NAME_LENGTH);
  }
  return null;
}

// Most names need no cleaning.
const BREAKS = /[\p{Cc}\p{Zl}\p{Zp}]+/gu;

function withoutBreaks(value: string): string {
  return (value.search(BREAKS) === -1 ? value : value.replaceAll(BREAKS, ' ')).trim();
}

/** The text up to a length in UTF-16 code units. What a reader takes for one character stays whole or goes. */
export function cutAtCharacter(text: string, length: number): string {
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

/** The addresses of an entry. */
export interface EntryAddresses {
  readonly emailAddresses: readonly string[];
  /**
   * How many addresses, from the front, the primary one may be chosen from: those that the directory itself calls
   * primary (`SMTP:` in proxyAddresses), else those of the first mapped attribute that has any.
   */
  readonly primaryCandidates: number;
}

/**
 * Addresses in the order of the attributes, but those with `SMTP:` first; no duplicates.
 * @param notes gets a clause for each value that can't be read as an address
 */
export function readEmailAddresses(
  entry: Entry,
  attributes: readonly MappedAttribute[],
  notes: string[],
): EntryAddresses {
  const found = new Map<string, string>();
  let marked: readonly string[] = NONE;
  let primaryCandidates = 0;
  const collect = (values: readonly string[], name: string): void => {
    const primary = collectAddresses(values, name, found, notes);
    if (primary.length > 0) marked = [...marked, ...primary];
    primaryCandidates ||= found.size;
  };
  for (const { key, name } of attributes) {
    collect(entry.attributes[key] ?? NONE, name);
    collect(taggedValues(entry, key), name);
  }
  const emailAddresses = [...found.values()];
  if (marked.length === 0) return { emailAddresses, primaryCandidates };
  const first = [...new Set(marked)].map((same) => found.get(same)!);
  const others = emailAddresses.filter((address) => !first.includes(address));
  return { emailAddresses: [...first, ...others], primaryCandidates: first.length };
}

/**
 * Adds the addresses in the values, and returns the keys of those that the directory calls primary.
 * @param found addresses by the form in which they are compared
 */
function collectAddresses(
  values: readonly string[],
  attribute: string,
  found: Map<string, string>,
  notes: string[],
): readonly string[] {
  let marked: string[] | undefined;
  for (const value of values) {
    // Most values are one address.
    if (PLAIN_ADDRESS.test(value)) {
      keepAddress(value, found);
      continue;
    }
    const { addresses, primary, unreadable } = readAddresses(value);
    for (const address of addresses) keepAddress(address, found);
    if (primary !== null) (marked ??= []).push(primary.toLowerCase());
    for (const text of unreadable) notes.push(`${attribute}: ${quote(text)} can't be read as an e-mail address`);
  }
  return marked ?? NONE;
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
