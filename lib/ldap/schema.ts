/**
 * The names of attributes in the schema of a server (RFC 4512 section 4.2): a mapping may call an attribute by another
 * of its names, or by its OID, than the server does in its answers. Knows nothing else of a schema.
 */
import { attributeKey } from '../settings/attribute-name.ts';
import type { Connection } from './connection.ts';
import type { RootDse } from './root-dse.ts';
import { toSearchFilter } from './search-filter.ts';

/** What a server calls its attributes. */
export interface Schema {
  /** The names and the OID of an attribute, in lower case, without options; at least the given name. */
  namesOf(attribute: string): readonly string[];
  /** The attribute, with its options, under the name that the server prefers: the first one in the schema. */
  preferredName(attribute: string): string;
}

/** For a server whose schema can't be read: every attribute has the one name that it is called by. */
export const NO_SCHEMA: Schema = {
  namesOf: (attribute) => [attributeKey(attribute)],
  preferredName: (attribute) => attribute,
};

// RFC 4512 section 4.4: some servers show the attributes of a subschema only to a search with this filter.
const SUBSCHEMA = toSearchFilter({ kind: 'equal', attribute: 'objectClass', value: Buffer.from('subschema') });

/**
 * The schema that the root DSE points to. A schema that the bind DN may not read, or that is not there, counts as
 * unknown.
 * @throws ServiceError connectionLost, operationTimeout or notLdap, if the connection fails
 */
export async function readSchema(connection: Connection, { subschema }: RootDse, withinMs: number): Promise<Schema> {
  if (subschema === null) return NO_SCHEMA;
  const types = new Map<string, readonly string[]>();
  await connection.search(
    { baseDn: subschema, scope: 'base', filter: SUBSCHEMA, attributes: ['attributeTypes'] },
    withinMs,
    ({ attributes }) => {
      for (const definition of attributes.flatMap(({ values }) => values.map(String))) {
        const names = readNames(definition);
        for (const name of names) types.set(name.toLowerCase(), names);
      }
    },
  );
  const find = (attribute: string): readonly string[] | undefined => types.get(attributeKey(attribute));
  return {
    namesOf: (attribute) => find(attribute)?.map((name) => name.toLowerCase()) ?? NO_SCHEMA.namesOf(attribute),
    preferredName(attribute) {
      const preferred = find(attribute)?.[0];
      return preferred === undefined ? attribute : preferred + optionsOf(attribute);
    },
  };
}

/** The names of an attribute type, then its OID (RFC 4512 section 4.1.2). Active Directory quotes OIDs. */
function readNames(definition: string): string[] {
  const found = /^\s*\(\s*'?([^\s']+)'?(?:\s+NAME\s+(?:'([^']*)'|\(([^)]*)\)))?/iu.exec(definition);
  if (found === null) return [];
  const [, oid, name, list = ''] = found;
  const names = name === undefined ? [...list.matchAll(/'([^']*)'/gu)].map(([, one]) => one!) : [name];
  return [...names, oid!].filter((one) => one !== '');
}

function optionsOf(attribute: string): string {
  const semicolon = attribute.indexOf(';');
  return semicolon === -1 ? '' : attribute.slice(semicolon);
}
