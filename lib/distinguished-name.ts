/**
 * Distinguished names in their string form: parses them, compares them, finds parents. Reads leniently what servers
 * send, and strictly what people type. Ignores letter case, white space and escapes in comparisons, which some servers
 * do not: never decide by it who gets in.
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
  /** Whether the value is `#` and the hexadecimal digits of its BER encoding, as it was written. */
  readonly encoded: boolean;
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

// Servers also write "OID." in front, and underscores.
const TYPE = /[ \t]*(?:OID\.)?([A-Za-z0-9][A-Za-z0-9._-]*)[ \t]*=/iy;
const ENCODED = /[ \t]*(#(?:[0-9A-Fa-f]{2})+)[ \t]*(?=[,+]|$)/y;
// RFC 1779, which some servers still write.
const QUOTED = /[ \t]*"((?:[^"\\]|\\[^])*)"[ \t]*(?=[,+]|$)/y;
// Up to the next separator. A backslash takes the next character along, whatever it is.
const VALUE = /(?:[^,+\\]|\\[^])*/y;

/** The parts of a DN as a server may write it, or null if the text is not a DN. */
export function parseDistinguishedName(text: string): DistinguishedName | null {
  if (text.trim() === '') return [];
  const names: RelativeName[] = [];
  for (let at = 0; ;) {
    const own = readRelativeName(text, at);
    if (own === null) return null;
    names.push(own.name);
    if (own.end === text.length) return names;
    at = own.end + 1;
  }
}

/** The relative name at a place of the text, and where it ends: at a comma or at the end of the text. */
function readRelativeName(text: string, start: number): { name: RelativeName; end: number } | null {
  let at = start;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found !== null) at += found[0].length;
    return found?.[1] ?? found?.[0];
  };
  const name: NamePart[] = [];
  for (;;) {
    const type = take(TYPE)?.toLowerCase();
    if (type === undefined) return null;
    const encoded = take(ENCODED)?.toLowerCase();
    const value = encoded ?? unescapeValue(take(QUOTED) ?? trimValue(take(VALUE)!));
    name.push({ type: SHORT_NAMES[type] ?? type, value, encoded: encoded !== undefined });
    if (text[at] !== '+') break;
    at += 1;
  }
  return at === text.length || text[at] === ',' ? { name, end: at } : null;
}

/** Unescaped white space around a value is not part of it. */
function trimValue(escaped: string): string {
  return /^[ \t]*((?:\\.|[^\\])*?)[ \t]*$/s.exec(escaped)?.[1] ?? escaped;
}

/** Bytes that are not UTF-8 stay as they are written: two of them must not become one. */
function unescapeValue(escaped: string): string {
  return escaped.replaceAll(/(?:\\[0-9A-Fa-f]{2})+|\\(.)/gs, (sequence, character: string | undefined) => {
    if (character !== undefined) return character;
    const text = Buffer.from(sequence.replaceAll('\\', ''), 'hex').toString();
    return text.includes('\uFFFD') ? sequence.toLowerCase() : text;
  });
}

// RFC 4514 section 3, with white space around the parts.
const STRICT_VALUE = String.raw`(?:[^"+,;<>\\\0]|\\[0-9A-Fa-f]{2}|\\[ "#+,;<=>\\])*`;
const STRICT_PART = String.raw`\s*(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)\s*=${STRICT_VALUE}`;
const STRICT_DN = new RegExp(String.raw`^${STRICT_PART}(?:[+,]${STRICT_PART})*$`);

/** Whether a text that a person has typed is a DN: special characters have to be escaped. */
export function isDistinguishedName(text: string): boolean {
  return STRICT_DN.test(text);
}

/** Whether a text begins like a DN, with an attribute type and `=`. The server judges the rest. */
export function beginsAsDn(text: string): boolean {
  return /^\s*[A-Za-z0-9][A-Za-z0-9._-]*\s*=/.test(text);
}

/**
 * A key that is equal for DNs that differ only in letter case, white space, escapes, the order of parts, or in how a
 * type is named. A text that is not a DN is only trimmed and lowercased.
 */
export function dnKey(dn: string): string {
  const names = parseDistinguishedName(dn);
  return names === null ? dn.trim().toLowerCase() : names.map(nameKey).join(',');
}

function nameKey(name: RelativeName): string {
  const parts = name.map(({ type, value, encoded }) => `${type}=${encoded ? value : escapeValue(valueKey(value))}`);
  return parts.toSorted().join('+');
}

function valueKey(value: string): string {
  return value.trim().replaceAll(/\s+/gu, ' ').toLowerCase();
}

function escapeValue(value: string): string {
  return value.replaceAll(/[\\,+=#]/g, String.raw`\$&`);
}

/** Whether `dn` is `ancestor` or below it. Every DN is at or below the root. */
export function isAtOrBelow(dn: string, ancestor: string): boolean {
  const above = parseDistinguishedName(ancestor);
  const below = parseDistinguishedName(dn);
  if (above === null || below === null) return dnKey(dn) === dnKey(ancestor);
  if (above.length > below.length) return false;
  const tail = below.slice(below.length - above.length);
  return tail.every((name, position) => nameKey(name) === nameKey(above[position]!));
}

/** The attribute types in the entry's own relative name, in lower case; empty if the text does not begin like a DN. */
export function ownTypes(dn: string): readonly string[] {
  return readRelativeName(dn, 0)?.name.map(({ type }) => type) ?? [];
}

/** The values in the entry's own relative name, unescaped; empty if the text does not begin like a DN. */
export function ownValues(dn: string): readonly string[] {
  return readRelativeName(dn, 0)?.name.map(({ value }) => value) ?? [];
}

/** The DN one level up, in the spelling of `dn`; null for the root and for text that is not a DN. */
export function parentOf(dn: string): string | null {
  const own = readRelativeName(dn, 0);
  return own === null ? null : dn.slice(own.end + 1).trim();
}
