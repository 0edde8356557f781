/**
 * Reduces what a server sends for an entry to what was asked for: mapped attributes as text, the unique id, the disabled mark.
 * This runs once for each person of the directory, so names are looked up once and remembered.
 */
import type { Attribute, SearchEntry } from 'ldapts';

import { mappedAttributes } from '../directory/mapping.ts';
import { attributeKey } from '../settings/attribute-name.ts';
import type { Entry } from '../directory/entry.ts';
import type { MappingSettings } from '../settings/settings.ts';
import { disablingRule, type StatusAttribute } from './account-status.ts';
import { readUniqueId } from './unique-id.ts';

export interface EntryReading {
  /** What a search has to ask for. */
  readonly attributes: readonly string[];
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

/** `now`: the moment by which accounts are expired or not. */
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
        // The value without a language tag is the one the directory means when nobody asks for a language.
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

/** ldapts has decoded what is UTF-8 and left the bytes of what is not. */
function toText({ values }: Attribute): string[] {
  return (values as readonly (string | Buffer)[]).map((value) =>
    typeof value === 'string' ? value : value.toString('utf8'),
  );
}
