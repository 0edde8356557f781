/**
 * Reduces an entry from a server to what Rollcall needs: the mapped attributes as text, the unique id, and whether the
 * account is disabled. Runs for every person of the directory, so it remembers the role of each attribute name. Sends
 * nothing itself.
 */
import type { Attribute, SearchEntry } from 'ldapts';
import type { Entry } from '../directory/entry.ts';
import { mappedAttributes } from '../directory/mapping.ts';
import { attributeKey } from '../settings/attribute-name.ts';
import type { MappingSettings } from '../settings/settings.ts';
import { disablingRule, type StatusAttribute } from './account-status.ts';
import { readUniqueId } from './unique-id.ts';

/** How entries are read with one mapping. */
export interface EntryReading {
  /** The attributes that a search must request. */
  readonly attributes: readonly string[];
  /** Attribute names of the result are in lower case. */
  read(found: SearchEntry): Entry;
}

interface Role {
  /** In lower case, without options. */
  readonly name: string;
  readonly hasOptions: boolean;
  readonly mapped: boolean;
  readonly isId: boolean;
  readonly disables: ReturnType<typeof disablingRule>;
}

/**
 * Prepares the reading of entries.
 * @param now the time that decides whether an account has expired
 */
export function makeEntryReading(
  mapping: MappingSettings,
  idAttribute: string,
  statusAttributes: readonly StatusAttribute[],
  now: Date,
): EntryReading {
  const mapped = mappedAttributes(mapping);
  const mappedNames = new Set(mapped.map(attributeKey));
  const statusNames = new Set(statusAttributes.map((name) => name.toLowerCase()));
  const idName = idAttribute.toLowerCase();
  const roles = new Map<string, Role>();

  function roleOf(type: string): Role {
    let role = roles.get(type);
    if (role === undefined) {
      const name = attributeKey(type);
      role = {
        name,
        hasOptions: type.includes(';'),
        mapped: mappedNames.has(name),
        isId: type.toLowerCase() === idName,
        disables: statusNames.has(name) ? disablingRule(name) : null,
      };
      roles.set(type, role);
    }
    return role;
  }

  function read(found: SearchEntry): Entry {
    const attributes: Record<string, readonly string[]> = {};
    let id: string | null = null;
    let disabled = false;
    for (const attribute of found.attributes) {
      const role = roleOf(attribute.type);
      if (role.isId) id = readUniqueId(idName, attribute.parsedBuffers);
      if (role.disables !== null && !disabled) disabled = toText(attribute).some((value) => role.disables!(value, now));
      if (role.mapped && attribute.values.length > 0) {
        const before = attributes[role.name];
        // The value without a language tag is the directory's default, so it comes first.
        if (before === undefined) attributes[role.name] = toText(attribute);
        else
          attributes[role.name] = role.hasOptions
            ? [...before, ...toText(attribute)]
            : [...toText(attribute), ...before];
      }
    }
    return { dn: found.name, id, disabled, attributes };
  }

  const wanted = [...mapped, idAttribute, ...statusAttributes];
  return { attributes: [...new Map(wanted.map((name) => [name.toLowerCase(), name])).values()], read };
}

/** ldapts has decoded values that are UTF-8 and left all others as bytes. */
function toText({ values }: Attribute): string[] {
  return (values as readonly (string | Buffer)[]).map((value) =>
    typeof value === 'string' ? value : value.toString('utf8'),
  );
}
