/**
 * Reduces an entry from a server to what Rollcall needs: the mapped attributes as text, the unique id, and the status of
 * the account. Runs for every person of the directory, so it remembers the role of each attribute name. Sends nothing
 * itself.
 */
import type { Attribute, SearchEntry } from 'ldapts';
import type { Entry } from '../directory/entry.ts';
import { mappedAttributes } from '../directory/mapping.ts';
import { descriptionKey, attributeOptions, attributeKey, hasOptions } from '../settings/attribute-name.ts';
import type { MappingSettings } from '../settings/settings.ts';
import { disablingRule } from './account-status.ts';
import { readUniqueId } from './unique-id.ts';
import type { VendorFacts } from './vendor.ts';

/** How entries are read with one mapping. */
export interface EntryReading {
  /** The attributes that a search must request. */
  readonly attributes: readonly string[];
  read(found: SearchEntry): Entry;
}

const NONE: readonly never[] = [];

interface Role {
  /** The names under which the values are kept; none for an attribute that is not mapped. */
  readonly key: string | null;
  readonly isId: boolean;
  /** The place among the status attributes; -1 for an attribute that is not one of them. */
  readonly status: number;
  readonly disables: ReturnType<typeof disablingRule>;
  readonly isObjectClass: boolean;
}

/**
 * Prepares the reading of entries.
 * @param facts the rules of the vendor
 * @param now the time that decides whether an account has expired
 */
export function makeEntryReading(
  mapping: MappingSettings,
  idAttribute: string,
  { statusAttributes, certainStatus }: Pick<VendorFacts, 'statusAttributes' | 'certainStatus'>,
  now: Date,
): EntryReading {
  const mapped = mappedAttributes(mapping).map((name) => ({
    type: attributeKey(name),
    options: attributeOptions(name),
  }));
  const statusNames = statusAttributes.map((name) => name.toLowerCase());
  const idKey = descriptionKey(idAttribute);
  const certain = certainStatus === null ? -1 : statusAttributes.indexOf(certainStatus.attribute);
  const certainClass = certainStatus?.objectClass.toLowerCase();
  const roles = new Map<string, Role>();
  // One list for all entries that show the same attributes.
  const seenLists = new Map<number, readonly string[]>();

  function roleOf(name: string): Role {
    let role = roles.get(name);
    if (role === undefined) {
      const type = attributeKey(name);
      const status = statusNames.indexOf(type);
      role = {
        key: mapped.some((one) => one.type === type && hasOptions(name, one.options)) ? descriptionKey(name) : null,
        isId: descriptionKey(name) === idKey,
        status,
        disables: status === -1 ? null : disablingRule(type),
        isObjectClass: certainStatus !== null && type === 'objectclass',
      };
      roles.set(name, role);
    }
    return role;
  }

  function seenList(seen: number): readonly string[] {
    let list = seenLists.get(seen);
    if (list === undefined) {
      list = statusNames.filter((_name, position) => (seen & (1 << position)) !== 0);
      seenLists.set(seen, list);
    }
    return list;
  }

  function read(found: SearchEntry): Entry {
    const attributes: Record<string, readonly string[]> = {};
    let id: string | null = null;
    let mark = statusNames.length;
    let seen = 0;
    let isCertainClass = false;
    for (const attribute of found.attributes) {
      if (attribute.values.length === 0) continue;
      const role = roleOf(attribute.type);
      if (role.isId) id = readUniqueId(idAttribute, attribute.parsedBuffers);
      if (role.disables !== null) {
        seen |= 1 << role.status;
        // The first of the vendor's list: servers send attributes in any order.
        if (role.status < mark && toText(attribute).some((value) => role.disables!(value, now))) mark = role.status;
      }
      if (role.isObjectClass) isCertainClass = toText(attribute).some((one) => one.toLowerCase() === certainClass);
      if (role.key !== null) {
        const before = attributes[role.key];
        attributes[role.key] = before === undefined ? toText(attribute) : [...before, ...toText(attribute)];
      }
    }
    return {
      dn: found.name,
      id,
      mark: mark === statusNames.length ? null : statusNames[mark]!,
      statusSeen: seen === 0 ? NONE : seenList(seen),
      statusUnknown: isCertainClass && (seen & (1 << certain)) === 0,
      unusable: null,
      attributes,
    };
  }

  const wanted = [...mappedAttributes(mapping), idAttribute, ...statusAttributes];
  if (certainStatus !== null) wanted.push('objectClass');
  return { attributes: [...new Map(wanted.map((name) => [name.toLowerCase(), name])).values()], read };
}

/** ldapts has decoded values that are UTF-8 and left all others as bytes. */
function toText({ values }: Attribute): string[] {
  return (values as readonly (string | Buffer)[]).map((value) =>
    typeof value === 'string' ? value : value.toString('utf8'),
  );
}
