/**
 * Reduces an entry from a server to what Rollcall needs: the mapped attributes as text, the unique id, and the status
 * of the account. Runs for every person of the directory, so it remembers the role of each attribute name. Sends
 * nothing itself.
 */
import type { Entry } from '../directory/entry.ts';
import { mappedAttributes } from '../directory/mapping.ts';
import { attributeKey, attributeOptions, descriptionKey, hasOptions } from '../settings/attribute-name.ts';
import type { MappingSettings } from '../settings/settings.ts';
import { disablingRule } from './account-status.ts';
import type { RootDse } from './root-dse.ts';
import type { Schema } from './schema.ts';
import { readUniqueId } from './unique-id.ts';
import { VENDOR_FACTS } from './vendor.ts';

/** An attribute as a server sent it. */
export interface FoundAttribute {
  /** Name and options. */
  readonly type: string;
  /** Values that are UTF-8 as text, and all others as bytes. */
  readonly values: readonly (string | Buffer)[];
  readonly parsedBuffers: readonly Buffer[];
}

/** An entry as a server sent it. */
export interface FoundEntry {
  readonly name: string;
  readonly attributes: readonly FoundAttribute[];
}

/** How entries are read with one mapping. */
export interface EntryReading {
  /** The attributes that a search must request. */
  readonly attributes: readonly string[];
  read(found: FoundEntry): Entry;
  /** The entries read since the last call of which the server sent only the first values; reading/range.ts reads on. */
  takeCut(): readonly CutEntry[];
}

/** An entry of which the server sent only the first values. */
export interface CutEntry {
  readonly found: FoundEntry;
  readonly entry: Entry;
}

interface Role {
  /** The name under which the values are kept; null for an attribute that is not mapped. */
  readonly key: string | null;
  /** Further names, if the mapping calls the attribute by several. */
  readonly otherKeys: readonly string[];
  readonly isId: boolean;
  /** The place among the status attributes; -1 for an attribute that is not one of them. */
  readonly status: number;
  readonly disables: ReturnType<typeof disablingRule>;
  readonly special: 'objectClass' | 'alias' | 'cut' | null;
}

const NONE: readonly never[] = [];

/** The attribute of an alias entry that names the other entry (RFC 4512 section 2.6.2). */
const ALIAS_TARGET = 'aliasedObjectName';

/**
 * Prepares the reading of entries.
 * @param now the time that decides whether an account has expired
 */
export function makeEntryReading(
  mapping: MappingSettings,
  idAttribute: string,
  { vendor, certainStatus }: Pick<RootDse, 'vendor' | 'certainStatus'>,
  schema: Schema,
  now: Date,
): EntryReading {
  const { statusAttributes } = VENDOR_FACTS[vendor];
  const mapped = mappedAttributes(mapping);
  const wanted = [...mapped, idAttribute, ...statusAttributes];
  if (certainStatus !== null) wanted.push('objectClass');
  // Active Directory has no aliases.
  if (vendor !== 'activeDirectory') wanted.push(ALIAS_TARGET);

  const namesOf = new Map(wanted.map((name) => [name, schema.namesOf(name)]));
  const isNamed = (type: string, name: string): boolean => namesOf.get(name)?.includes(type) ?? false;
  const statusNames = statusAttributes.map((name) => name.toLowerCase());
  const certain = certainStatus === null ? -1 : statusAttributes.indexOf(certainStatus.attribute);
  const certainClass = certainStatus?.objectClass.toLowerCase();
  const roles = new Map<string, Role>();
  // One list for all entries that show the same attributes.
  const seenLists = new Map<number, readonly string[]>();
  let cut: CutEntry[] = [];

  function roleOf(name: string): Role {
    let role = roles.get(name);
    if (role === undefined) {
      role = findRole(name);
      roles.set(name, role);
    }
    return role;
  }

  function findRole(name: string): Role {
    const type = attributeKey(name);
    const whole = withoutRange(name);
    const status = statusAttributes.findIndex((one) => isNamed(type, one));
    // Under the name that the mapping uses, with the options that the server sent.
    const keys = mapped
      .filter((one) => isNamed(type, one) && hasOptions(whole, attributeOptions(one)))
      .map((one) => descriptionKey([attributeKey(one), ...attributeOptions(whole)].join(';')));
    const [key = null, ...otherKeys] = new Set(keys);
    const isCut = key !== null && rangeEnd(name) !== null;
    const isObjectClass = certainStatus !== null && isNamed(type, 'objectClass');
    const isAlias = !isObjectClass && isNamed(type, ALIAS_TARGET);
    return {
      key,
      otherKeys,
      isId: isNamed(type, idAttribute) && hasOptions(name, attributeOptions(idAttribute)),
      status,
      disables: status === -1 ? null : disablingRule(statusNames[status]!),
      special: isCut ? 'cut' : isObjectClass ? 'objectClass' : isAlias ? 'alias' : null,
    };
  }

  function seenList(seen: number): readonly string[] {
    let list = seenLists.get(seen);
    if (list === undefined) {
      list = statusNames.filter((_name, position) => (seen & (1 << position)) !== 0);
      seenLists.set(seen, list);
    }
    return list;
  }

  function read(found: FoundEntry): Entry {
    const attributes: Record<string, readonly string[]> = {};
    let id: string | null = null;
    let mark = statusNames.length;
    let seen = 0;
    let isCertainClass = false;
    let isCut = false;
    let unusable: string | null = null;
    for (const attribute of found.attributes) {
      if (attribute.values.length === 0) continue;
      const role = roleOf(attribute.type);
      if (role.isId) id = readUniqueId(idAttribute, attribute.parsedBuffers);
      if (role.disables !== null) {
        seen |= 1 << role.status;
        // The first of the vendor's list: servers send attributes in any order.
        if (role.status < mark && toText(attribute).some((value) => role.disables!(value, now))) mark = role.status;
      }
      if (role.key !== null) {
        const before = attributes[role.key];
        attributes[role.key] = before === undefined ? toText(attribute) : [...before, ...toText(attribute)];
        for (const key of role.otherKeys) attributes[key] = attributes[role.key]!;
      }
      if (role.special === null) continue;
      if (role.special === 'cut') isCut = true;
      else if (role.special === 'alias') unusable = aliasReason(toText(attribute)[0]!);
      else isCertainClass = toText(attribute).some((one) => one.toLowerCase() === certainClass);
    }
    const entry: Entry = {
      dn: found.name,
      id,
      mark: mark === statusNames.length ? null : statusNames[mark]!,
      statusSeen: seen === 0 ? NONE : seenList(seen),
      statusUnknown: isCertainClass && (seen & (1 << certain)) === 0,
      unusable,
      attributes,
    };
    if (isCut) cut.push({ found, entry });
    return entry;
  }

  return {
    attributes: [...new Map(wanted.map((name) => [name.toLowerCase(), schema.preferredName(name)])).values()],
    read,
    takeCut() {
      const taken = cut;
      cut = [];
      return taken;
    },
  };
}

function aliasReason(target: string): string {
  return (
    `the entry is an alias of "${target}", so nobody can log in with it; ` +
    'exclude aliases with (!(objectClass=alias)) in the filter, and choose a base above the entries themselves'
  );
}

const RANGE = /;range=(\d+)-(\d+|\*)/iu;

/** The name without the range that a server adds to the name of an attribute with many values. */
export function withoutRange(name: string): string {
  return name.includes('=') ? name.replace(RANGE, '') : name;
}

/**
 * The place of the first value that is still to come, if a server has sent only a range of an attribute's values; null
 * if these were the last.
 * @see MS-ADTS section 3.1.1.3.1.3.3
 */
export function rangeEnd(name: string): number | null {
  const last = name.includes('=') ? RANGE.exec(name)?.[2] : undefined;
  return last === undefined || last === '*' ? null : Number(last) + 1;
}

function toText({ values }: FoundAttribute): string[] {
  return values.map((value) => (typeof value === 'string' ? value : value.toString('utf8')));
}
