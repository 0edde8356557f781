/**
 * Maps an entry of the directory to a person, by the mapping of the settings. Pure: takes one entry, returns one person
 * or the reason why there is none. Knows nothing of other entries or of stored users.
 */
import { hash } from 'node:crypto';
import { ownValues } from '../distinguished-name.ts';
import { isPrintable } from '../printable.ts';
import { attributeKey, attributeList } from '../settings/attribute-name.ts';
import type { MappingSettings, OptionSettings } from '../settings/settings.ts';
import { EMAIL_ADDRESS } from '../user/email-address.ts';
import { exceedAddressBytes, MAX_ADDRESS_BYTES } from '../user/email-address.ts';
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
  /** Whether the directory itself says which address is the primary one (`SMTP:` in proxyAddresses). */
  readonly hasPrimaryAddress: boolean;
  /** What was left out or changed on the way in, one clause each, for the line of this person. */
  readonly notes: readonly string[];
  /** Equal exactly if everything above is equal. */
  readonly fingerprint: string;
}

/** An entry that maps to no person, and why. It still counts as seen: its user is not missing. */
export interface Skipped {
  readonly directoryId: string | null;
  readonly dn: string;
  readonly reason: string;
  /** Whether sync must disable the account all the same, because the directory marks it as disabled. */
  readonly disabled: boolean;
}

/** The result of mapping one entry. */
export type Mapped =
  | { readonly kind: 'person'; readonly person: Person }
  | { readonly kind: 'skipped'; readonly skipped: Skipped };

// Part of every fingerprint: raise it when the same entry maps to something different.
const FINGERPRINT_VERSION = 1;

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
  const skip = (reason: string): Mapped => ({
    kind: 'skipped',
    skipped: {
      directoryId: entry.id,
      dn: entry.dn,
      reason,
      disabled: entry.disabled && disabledUsers === 'disable',
    },
  });
  if (entry.id === null) return skip('the entry has no unique id that the bind DN can read');
  if (entry.disabled && disabledUsers === 'skip') return skip('the directory marks the account as disabled');

  const names = namesIn(mapping);
  const raw = singleValue(entry, names.userName[0]);
  if (raw === undefined) return skip(`the entry has no ${mapping.userName}, which is mapped to the user name`);
  const name = parseUserName(mapping.localPartOnly ? localPart(raw) : raw);
  if (name.kind === 'fault') return skip(`${mapping.userName}: ${name.reason}`);

  const emailAddresses = collectAddresses(entry, names.emailAddresses);
  if (exceedAddressBytes(emailAddresses)) {
    return skip(`the entry has more than ${MAX_ADDRESS_BYTES / 1024} KB of e-mail addresses`);
  }
  const { userName } = name;
  const fullName = cleanFullName(singleValue(entry, names.fullName[0]));
  const disabled = entry.disabled && disabledUsers === 'disable';
  const profile: Profile = { userName, fullName, emailAddresses };
  // A loop instead of spreads: this runs for every entry of the directory.
  const state: unknown[] = [FINGERPRINT_VERSION, entry.id, entry.dn];
  for (const field of PROFILE_FIELDS) state.push(profile[field]);
  state.push(disabled);
  return {
    kind: 'person',
    person: {
      directoryId: entry.id,
      dn: entry.dn,
      ...profile,
      nameKey: userNameKey(userName),
      disabled,
      mark: null,
      statusSeen: [],
      statusUnknown: false,
      otherUserNames: [],
      hasPrimaryAddress: false,
      notes: [],
      fingerprint: fingerprint(state),
    },
  };
}

type MappedNames = Readonly<Record<ProfileField, readonly string[]>>;

// Cached: one mapping is applied to hundreds of thousands of entries.
const namesByMapping = new WeakMap<MappingSettings, MappedNames>();

/** The names of the mapped attributes, in the form that entries use. */
function namesIn(mapping: MappingSettings): MappedNames {
  let names = namesByMapping.get(mapping);
  if (names === undefined) {
    names = Object.fromEntries(
      PROFILE_FIELDS.map((field) => [field, attributeList(mapping[field]).map(attributeKey)]),
    ) as unknown as MappedNames;
    namesByMapping.set(mapping, names);
  }
  return names;
}

/** All attributes that the mapping needs, without duplicates. */
export function mappedAttributes(mapping: MappingSettings): readonly string[] {
  return [...new Set(PROFILE_FIELDS.flatMap((field) => attributeList(mapping[field])))];
}

/** The values of an attribute, in any letter case and with any options in its name. */
export function attributeValues(entry: Entry, attribute: string): readonly string[] {
  return entry.attributes[attributeKey(attribute)] ?? [];
}

/**
 * One value of an attribute that should have only one. LDAP does not order values (RFC 4511 section 4.1.7), and an
 * arbitrary choice could rename people from run to run: prefer the value in the entry's RDN, else the smallest.
 */
function singleValue(entry: Entry, name: string | undefined): string | undefined {
  const values = name === undefined ? undefined : entry.attributes[name];
  if (values === undefined || values.length < 2) return values?.[0];
  const own = new Set(ownValues(entry.dn).map((value) => value.toLowerCase()));
  return values.find((value) => own.has(value.toLowerCase())) ?? values.toSorted()[0];
}

function localPart(name: string): string {
  const at = name.lastIndexOf('@');
  return at === -1 ? name : name.slice(0, at);
}

function cleanFullName(value: string | undefined): string | null {
  const text = value?.trim();
  if (text === undefined || text === '' || !isPrintable(text)) return null;
  return text.slice(0, MAX_FULL_NAME_LENGTH).toWellFormed();
}

const TYPED = /^(?<type>[a-z0-9-]+):(?<address>.*)$/iu;

/**
 * Addresses in the order of the attributes, but the one with `SMTP:` first; no duplicates. Leaves out values that are
 * not addresses, or have another type (`x500:`, `sip:`).
 * @see https://learn.microsoft.com/en-us/windows/win32/adschema/a-proxyaddresses
 */
function collectAddresses(entry: Entry, names: readonly string[]): string[] {
  const found = new Map<string, string>();
  let primary: string | undefined;
  for (const name of names) {
    for (const value of entry.attributes[name] ?? []) {
      const typed = value.includes(':') ? TYPED.exec(value)?.groups : undefined;
      if (typed && typed['type']!.toLowerCase() !== 'smtp') continue;
      const address = (typed ? typed['address']! : value).trim();
      if (!EMAIL_ADDRESS.test(address)) continue;
      const key = address.toLowerCase();
      if (!found.has(key)) found.set(key, address);
      if (typed?.['type'] === 'SMTP') primary ??= key;
    }
  }
  if (primary === undefined) return [...found.values()];
  const first = found.get(primary)!;
  return [first, ...[...found.values()].filter((address) => address !== first)];
}

export function keepStoredNames(person: Person, _stored: { readonly nameKey: string }): Person {
  return person;
}

export function orderAddresses(_stored: readonly string[], { emailAddresses }: Person): readonly string[] {
  return emailAddresses;
}

// 96 bits are enough: only states of ONE person are compared, never people with each other.
function fingerprint(fields: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(fields), 'base64url').slice(0, 16);
}
