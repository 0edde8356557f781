/**
 * Converts unique ids of entries: from the bytes of the attribute to the text that Rollcall stores, and back to the
 * bytes that a server compares. Two ids have the same text if and only if the directory considers them equal. Searches
 * nothing.
 */
import { isPrintable } from '../printable.ts';

/** The attributes that servers give every entry and never change, the most common first. */
export const ID_ATTRIBUTES = ['entryUUID', 'objectGUID', 'nsUniqueId', 'GUID', 'ipaUniqueID', 'ibm-entryUuid'] as const;

const TEXT_IDS: ReadonlySet<string> = new Set(['entryuuid', 'nsuniqueid', 'ipauniqueid', 'ibm-entryuuid']);

/**
 * The id as text; null if the attribute has no value, or several, because several values identify nothing.
 *
 * objectGUID (the first three groups are little-endian: MS-DTYP section 2.3.4.2) and eDirectory's GUID become UUID
 * text. The well-known text ids become lower case. Anything else becomes trimmed text or, if the bytes are not text,
 * hexadecimal digits.
 */
export function readUniqueId(idAttribute: string, values: readonly Uint8Array[]): string | null {
  const [bytes, second] = values;
  if (bytes === undefined || second !== undefined || bytes.length === 0) return null;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = idAttribute.toLowerCase();
  if (name === 'objectguid' && bytes.length === 16) return uuidText(swapGuid(buffer));
  if (name === 'guid' && bytes.length === 16) return uuidText(buffer);
  const text = buffer.toString('utf8');
  if (!isPrintable(text)) return buffer.toString('hex');
  const trimmed = text.trim();
  if (trimmed === '') return null;
  return TEXT_IDS.has(name) ? trimmed.toLowerCase() : trimmed;
}

/** An attribute of an entry that a search returned. */
interface Returned {
  readonly type: string;
  readonly parsedBuffers: readonly Uint8Array[];
}

/** The id of an entry from an answer to a search that requested this attribute. */
export function readEntryId(idAttribute: string, attributes: readonly Returned[]): string | null {
  return readUniqueId(idAttribute, idValues(idAttribute, attributes));
}

/**
 * The values of the id in an answer to a search that requested this attribute. A server may answer with another name of
 * the attribute than it was asked for; if it sent nothing else, that attribute is the one.
 */
export function idValues(idAttribute: string, attributes: readonly Returned[]): readonly Uint8Array[] {
  const name = idAttribute.toLowerCase();
  const [first, second] = attributes;
  const own = attributes.find(({ type }) => type.toLowerCase() === name) ?? (second === undefined ? first : undefined);
  return own?.parsedBuffers ?? [];
}

/**
 * The values to search for to find this id. Two if the text could be either text or hexadecimal digits; none if no
 * entry can have this id.
 */
export function uniqueIdValues(idAttribute: string, id: string): readonly Uint8Array[] {
  const name = idAttribute.toLowerCase();
  if (name === 'objectguid' || name === 'guid') {
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) return [];
    const bytes = Buffer.from(id.replaceAll('-', ''), 'hex');
    return [name === 'guid' ? bytes : swapGuid(bytes)];
  }
  const values = [Buffer.from(id)];
  if (!TEXT_IDS.has(name) && /^([0-9a-f]{2})+$/.test(id)) values.push(Buffer.from(id, 'hex'));
  return values;
}

function swapGuid(bytes: Buffer): Buffer {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return Buffer.from(order.map((position) => bytes[position]!));
}

function uuidText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
