/**
 * From an entry of the directory to the person it stands for, as the settings' mapping says. Pure: one entry in, one
 * person or the reason why not out. Knows nothing of other entries or of stored users.
 */
import { hash } from 'node:crypto';
import type { Entry } from './entry.ts';
import type { MappingSettings, OptionSettings } from '../settings/settings.ts';
import { exceedAddressBytes, MAX_ADDRESS_BYTES, parseUserName, userNameKey } from '../user/user.ts';

/** A person as the directory has it now, in the shape sync stores it. */
export interface Person {
  readonly directoryId: string;
  readonly dn: string;
  readonly userName: string;
  readonly nameKey: string;
  readonly fullName: string | null;
  readonly emailAddresses: readonly string[];
  /** Whether sync is to disable the account because the directory marks it so. */
  readonly disabled: boolean;
  /** Equal exactly when everything above is equal. */
  readonly fingerprint: string;
}

/** An entry that leads to no person, and why. It was seen all the same: its user is not missing. */
export interface Skipped {
  readonly directoryId: string | null;
  readonly dn: string;
  readonly reason: string;
}

export type Mapped = { readonly person: Person } | { readonly skipped: Skipped };

/** Longest full name kept, in UTF-16 code units; the rest is cut. */
const MAX_FULL_NAME_LENGTH = 512;

// Part of every fingerprint: raise it when mapping the same entry comes to mean something else.
const FINGERPRINT_VERSION = 1;

/**
 * Maps one entry.
 *
 * @param disabledUsers what to do with entries that the directory marks disabled: `disable` gives a person with that mark,
 *   `skip` leaves the entry (and a user it already has) alone, `import` takes it as any other
 */
export function mapEntry(
  entry: Entry,
  mapping: MappingSettings,
  disabledUsers: OptionSettings['disabledUsers'] = 'import',
): Mapped {
  const skip = (reason: string): Mapped => ({ skipped: { directoryId: entry.id, dn: entry.dn, reason } });
  if (entry.id === null) return skip('the entry has no unique id that the bind user can read');
  if (entry.disabled && disabledUsers === 'skip') return skip('the directory marks the account disabled');

  const names = namesIn(mapping);
  const raw = singleValue(entry, names.userName);
  if (raw === undefined) return skip(`the entry has no ${mapping.userName}, which is mapped to the user name`);
  const name = parseUserName(mapping.localPartOnly ? localPart(raw) : raw);
  if ('reason' in name) return skip(`${mapping.userName}: ${name.reason}`);

  const emailAddresses = collectAddresses(entry, names.emailAddresses);
  if (exceedAddressBytes(emailAddresses)) {
    return skip(`the entry has more than ${MAX_ADDRESS_BYTES / 1024} KB of e-mail addresses`);
  }
  const { userName } = name;
  const fullName = names.fullName === '' ? null : cleanFullName(singleValue(entry, names.fullName));
  const disabled = entry.disabled && disabledUsers === 'disable';
  const state = [FINGERPRINT_VERSION, entry.id, entry.dn, userName, fullName, emailAddresses, disabled];
  return {
    person: {
      directoryId: entry.id,
      dn: entry.dn,
      userName,
      nameKey: userNameKey(userName),
      fullName,
      emailAddresses,
      disabled,
      fingerprint: fingerprint(state),
    },
  };
}

interface MappedNames {
  readonly userName: string;
  readonly fullName: string;
  readonly emailAddresses: readonly string[];
}

// One mapping meets hundreds of thousands of entries.
const namesByMapping = new WeakMap<MappingSettings, MappedNames>();

/** The names of the mapped attributes as an entry has them. */
function namesIn(mapping: MappingSettings): MappedNames {
  let names = namesByMapping.get(mapping);
  if (names === undefined) {
    names = {
      userName: nameInEntry(mapping.userName),
      fullName: nameInEntry(mapping.fullName),
      emailAddresses: attributeList(mapping.emailAddresses).map(nameInEntry),
    };
    namesByMapping.set(mapping, names);
  }
  return names;
}

function nameInEntry(attribute: string): string {
  return attribute.split(';', 1)[0]!.toLowerCase();
}

/** The attribute names in a comma-separated setting. */
export function attributeList(setting: string): readonly string[] {
  return setting
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** Every attribute that the mapping needs, each once. */
export function mappedAttributes({ userName, fullName, emailAddresses }: MappingSettings): readonly string[] {
  return [...new Set(attributeList([userName, fullName, emailAddresses].join()))];
}

/** The values of an attribute, whatever the letter case and options it is named with. */
export function attributeValues(entry: Entry, attribute: string): readonly string[] {
  return entry.attributes[nameInEntry(attribute)] ?? [];
}

/**
 * One value of an attribute that should have one. LDAP keeps no order among values (RFC 4511, 4.1.7), and a user name
 * that depends on chance would rename people: the one in the entry's RDN wins, else the smallest.
 */
function singleValue(entry: Entry, name: string): string | undefined {
  const values = entry.attributes[name];
  if (values === undefined || values.length < 2) return values?.[0];
  const relativeName = relativeNameValues(entry.dn);
  return values.find((value) => relativeName.has(value.toLowerCase())) ?? values.toSorted()[0];
}

/** The values in the first RDN of a DN, unescaped (RFC 4514, 3), lower case. */
function relativeNameValues(dn: string): Set<string> {
  const rdn = /^(?:\\.|[^,\\])*/su.exec(dn)![0];
  const values = rdn.match(/(?:\\.|[^+\\])+/gsu) ?? [];
  return new Set(values.map((pair) => unescapeDnValue(pair.slice(pair.indexOf('=') + 1)).toLowerCase()));
}

function unescapeDnValue(text: string): string {
  return text.replaceAll(/(?:\\[0-9a-f]{2})+|\\(.)/giu, (escaped, character: string | undefined) =>
    character === undefined ? Buffer.from(escaped.replaceAll('\\', ''), 'hex').toString() : character,
  );
}

function localPart(name: string): string {
  const at = name.lastIndexOf('@');
  return at === -1 ? name : name.slice(0, at);
}

const NO_TEXT = /[\p{Cc}\p{Cs}\uFFFD]/u;

function cleanFullName(value: string | undefined): string | null {
  const text = value?.trim();
  if (text === undefined || text === '' || NO_TEXT.test(text)) return null;
  return text.slice(0, MAX_FULL_NAME_LENGTH).toWellFormed();
}

const ADDRESS = /^[^\s@]+(?:@[^\s@]+)+$/u;
const TYPED = /^(?<type>[a-z0-9-]+):(?<address>.*)$/iu;

/**
 * Addresses in the order of the attributes, `SMTP:` first wherever it stood, no duplicates. Values that are no address,
 * or of another type (`x500:`, `sip:`), are left out.
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
      if (!ADDRESS.test(address) || NO_TEXT.test(address)) continue;
      const key = address.toLowerCase();
      if (!found.has(key)) found.set(key, address);
      if (typed?.['type'] === 'SMTP') primary ??= key;
    }
  }
  if (primary === undefined) return [...found.values()];
  const first = found.get(primary)!;
  return [first, ...[...found.values()].filter((address) => address !== first)];
}

// 96 bits: two states of ONE person are compared, never people among each other.
function fingerprint(fields: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(fields), 'base64url').slice(0, 16);
}
