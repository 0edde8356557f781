/**
 * Distinguished names in their string form: parses them, compares them, finds parents. Compares as servers do: ignores
 * letter case, and how a character is escaped. Reads no schema.
 *
 * @see RFC 4514 (string form), RFC 4518 (comparison of values)
 */

/**
 * One `type=value` of a relative name. `type` is in lower case, with the usual short name for an OID or a long name;
 * `value` is unescaped.
 */
export interface NamePart {
  readonly type: string;
  readonly value: string;
}

/** The parts of a relative name; several for a name such as `cn=a+uid=b`, and at least one. */
export type RelativeName = readonly NamePart[];

/** The entry's own relative name, then those of its ancestors; empty for the root of the tree. */
export type DistinguishedName = readonly RelativeName[];

// RFC 4514 section 3 lists these names; the OIDs and long names are those of RFC 4519.
const SHORT_NAMES: Readonly<Record<string, string>> = {
  '2.5.4.3': 'cn',
  commonname: 'cn',
  '2.5.4.6': 'c',
  countryname: 'c',
  '2.5.4.7': 'l',
  localityname: 'l',
  '2.5.4.8': 'st',
  stateorprovincename: 'st',
  '2.5.4.9': 'street',
  streetaddress: 'street',
  '2.5.4.10': 'o',
  organizationname: 'o',
  '2.5.4.11': 'ou',
  organizationalunitname: 'ou',
  '0.9.2342.19200300.100.1.1': 'uid',
  userid: 'uid',
  '0.9.2342.19200300.100.1.25': 'dc',
  domaincomponent: 'dc',
};

const TYPE = /[ \t]*([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)[ \t]*=/y;
const HEX_VALUE = /[ \t]*(#(?:[0-9A-Fa-f]{2})+)[ \t]*(?=[,+]|$)/y;
// A backslash escapes the next character, or two hexadecimal digits. "=" and "<" may be unescaped, because servers send
// them so.
const VALUE = /(?:[^"+,;<>\\\0]|\\[0-9A-Fa-f]{2}|\\[ "#+,;<=>\\])*/y;

/**
 * The parts of a DN, or null if the text is not a DN. Accepts white space around separators, because people write it.
 */
export function parseDistinguishedName(text: string): DistinguishedName | null {
  if (text.trim() === '') return [];
  const names: NamePart[][] = [[]];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found !== null) at += found[0].length;
    return found;
  };
  for (;;) {
    const type = take(TYPE)?.[1]?.toLowerCase();
    if (type === undefined) return null;
    const value = take(HEX_VALUE)?.[1]?.toLowerCase() ?? unescapeValue(take(VALUE)![0]);
    names.at(-1)!.push({ type: SHORT_NAMES[type] ?? type, value });
    const separator = text[at];
    if (separator === undefined) return names;
    if (separator !== '+' && separator !== ',') return null;
    if (separator !== '+') names.push([]);
    at += 1;
  }
}

function unescapeValue(escaped: string): string {
  // Unescaped white space around a value is not part of it.
  const trimmed = /^[ \t]*((?:\\.|[^\\])*?)[ \t]*$/s.exec(escaped)![1]!;
  return trimmed.replaceAll(/(?:\\[0-9A-Fa-f]{2})+|\\(.)/gs, (sequence, character: string | undefined) =>
    character === undefined ? Buffer.from(sequence.replaceAll('\\', ''), 'hex').toString() : character,
  );
}

/** Whether a text begins like a DN, with an attribute type and `=`. The server judges the rest. */
export function beginsAsDn(text: string): boolean {
  return /^\s*(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)\s*=/.test(text);
}

/** A key that is equal exactly for DNs of the same entry. A text that is not a DN is only trimmed and lowercased. */
export function dnKey(dn: string): string {
  const names = parseDistinguishedName(dn);
  return names === null ? dn.trim().toLowerCase() : names.map(nameKey).join(',');
}

function nameKey(name: RelativeName): string {
  const parts = name.map(({ type, value }) => `${type}=${escapeValue(valueKey(value))}`);
  return parts.toSorted().join('+');
}

function valueKey(value: string): string {
  return value.normalize('NFKC').trim().replaceAll(/\s+/gu, ' ').toUpperCase().toLowerCase();
}

function escapeValue(value: string): string {
  return value.replaceAll(/[\\,+=]/g, String.raw`\$&`);
}

/** Whether two texts are DNs of the same entry. */
export function isSameDn(one: string, other: string): boolean {
  return one === other || dnKey(one) === dnKey(other);
}

/** Whether `dn` is `ancestor` or below it. Every DN is at or below the root. */
export function isAtOrBelow(dn: string, ancestor: string): boolean {
  const above = parseDistinguishedName(ancestor);
  const below = parseDistinguishedName(dn);
  if (above === null || below === null) return isSameDn(dn, ancestor);
  if (above.length > below.length) return false;
  const tail = below.slice(below.length - above.length);
  return tail.every((name, position) => nameKey(name) === nameKey(above[position]!));
}

/**
 * The attribute types in the entry's own relative name, in lower case; empty for the root and for text that is not a
 * DN.
 */
export function ownTypes(dn: string): readonly string[] {
  return parseDistinguishedName(dn)?.[0]?.map(({ type }) => type) ?? [];
}

/** The values in the entry's own relative name, unescaped; empty for the root and for text that is not a DN. */
export function ownValues(dn: string): readonly string[] {
  return parseDistinguishedName(dn)?.[0]?.map(({ value }) => value) ?? [];
}

/** The DN one level up, in the spelling of `dn`; null for the root and for text that is not a DN. */
export function parentOf(dn: string): string | null {
  if (dn.trim() === '' || parseDistinguishedName(dn) === null) return null;
  const own = /^(?:\\[^]|[^,\\])*/.exec(dn)![0];
  return dn.slice(own.length + 1).trim();
}
