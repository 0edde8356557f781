/**
 * Reads on where a server has sent only the first values of an attribute (`proxyAddresses;range=0-1499`), as Active
 * Directory does above its MaxValRange. Decides nothing about users.
 * @see MS-ADTS section 3.1.1.3.1.3.3
 */
import type { Entry } from '../../directory/entry.ts';
import type { Connection } from '../connection.ts';
import { type EntryReading, type FoundAttribute, type FoundEntry, rangeEnd, withoutRange } from '../entry.ts';
import { describeResult, RESULT } from '../fault.ts';
import { EVERYBODY } from '../scope.ts';
import { toSearchFilter } from '../search-filter.ts';

/** More ranges than this are an endless list: at 1,500 values each, far above what one user may have. */
const MAX_RANGES = 100;

/**
 * Completes the entries of a page whose values were cut: one search for each further range. An entry whose values can't
 * be read to their end stays in the page as unusable, because half of the values would look like a change.
 * @throws ServiceError if the connection fails; the entries that are not complete yet are unusable then
 */
export async function readOn(
  connection: Connection,
  reading: EntryReading,
  entries: Entry[],
  withinMs: () => number,
): Promise<void> {
  const cut = reading.takeCut().map(({ found, entry }) => ({ found, position: entries.indexOf(entry) }));
  for (const { position } of cut) {
    const entry = entries[position]!;
    entries[position] = { ...entry, unusable: entry.unusable ?? 'the server did not send all values of the entry' };
  }
  for (const { found, position } of cut) {
    const whole = await readWhole(connection, found, withinMs);
    if (typeof whole === 'string') entries[position] = { ...entries[position]!, unusable: whole };
    else entries[position] = reading.read(whole);
  }
}

/** The entry with all values; the reason, if they can't be read. */
async function readWhole(
  connection: Connection,
  found: FoundEntry,
  withinMs: () => number,
): Promise<FoundEntry | string> {
  const attributes: FoundAttribute[] = [];
  for (const attribute of found.attributes) {
    const type = withoutRange(attribute.type);
    const values = [...attribute.parsedBuffers];
    for (let next = rangeEnd(attribute.type), ranges = 1; next !== null; ranges += 1) {
      if (ranges > MAX_RANGES) return `the server does not end the values of ${type}`;
      const more = await readRange(connection, found.name, `${type};range=${next}-*`, withinMs());
      if (typeof more === 'string') return `the server sent only the first ${next} values of ${type}: ${more}`;
      values.push(...more.parsedBuffers);
      const end = rangeEnd(more.type);
      if (end !== null && end <= next) return `the server sent the same values of ${type} twice`;
      next = end;
    }
    attributes.push({ type, values, parsedBuffers: values });
  }
  return { name: found.name, attributes };
}

async function readRange(
  connection: Connection,
  dn: string,
  wanted: string,
  withinMs: number,
): Promise<FoundAttribute | string> {
  const found: FoundAttribute[] = [];
  const { status, diagnostic } = await connection.search(
    { baseDn: dn, scope: 'base', filter: toSearchFilter(EVERYBODY), attributes: [wanted] },
    withinMs,
    (entry) => found.push(...entry.attributes.filter(({ type }) => type.includes('='))),
  );
  if (status !== RESULT.success) return describeResult(status, diagnostic);
  return found[0] ?? 'it did not send the others';
}
