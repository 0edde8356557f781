/**
 * Finds entries by unique id and matches the answers to the ids that were asked for, as the directory compares them.
 * Draws no conclusion from an id that was not found.
 */
import type { Filter } from '../settings/filter.ts';
import type { Connection } from './connection.ts';
import { directoryError, RESULT, searchFault } from './fault.ts';
import type { SearchArea } from './scope.ts';
import { toSearchFilter } from './search-filter.ts';
import { idValues, readUniqueId, uniqueIdValues } from './unique-id.ts';

/** An entry that a search by id returned. */
export interface Holder {
  readonly dn: string;
  /** null if the entry was returned without a readable id. */
  readonly id: string | null;
  /** The id without case and insignificant space; null for an id of bytes, which is always compared exactly. */
  readonly folded: string | null;
}

const NONE: ReadonlySet<string> = new Set();

/** The answers to a search by id. An id that is neither `found` nor `ambiguous` was not found. */
export interface Matched {
  /** By id as asked. Several entries may have the same id. */
  readonly found: ReadonlyMap<string, readonly Holder[]>;
  /** Ids as asked that match an entry only without case, and not unambiguously. */
  readonly ambiguous: ReadonlySet<string>;
  /** DNs of entries that match none of the ids: the directory compares ids in yet another way. */
  readonly strangers: ReadonlySet<string>;
}

/**
 * The entries of this part of the directory that have one of these ids, as the directory compares them.
 * @throws ServiceError with a DirectoryFaultCode, unless the server returns success; directoryError for an id that this
 *   attribute can't hold, because not finding it would prove nothing
 */
export async function searchIds(
  connection: Connection,
  ids: readonly string[],
  { baseDn, depth, filter }: SearchArea,
  idAttribute: string,
  withinMs: number,
): Promise<readonly Holder[]> {
  const holders: Holder[] = [];
  const wanted = anyOf(ids, idAttribute, connection.server);
  const { status, diagnostic } = await connection.search(
    {
      baseDn,
      scope: depth,
      filter: toSearchFilter(filter === null ? wanted : { kind: 'and', filters: [filter, wanted] }),
      attributes: [idAttribute],
    },
    withinMs,
    (entry) => {
      const values = idValues(idAttribute, entry.attributes);
      const id = readUniqueId(idAttribute, values);
      holders.push({ dn: entry.name, id, folded: id !== null && isText(id, values) ? foldText(id) : null });
    },
  );
  if (status !== RESULT.success) {
    throw searchFault(
      status,
      diagnostic,
      connection.server,
      `the search by ${idAttribute} below ${baseDn || 'the root'}`,
    );
  }
  return holders;
}

/**
 * Matches exactly and, for what is left, without case: many attributes are compared so (caseIgnoreMatch, RFC 4517
 * section 4.2.11), and a directory then returns AB1 to those who ask for ab1.
 * @param others ids that were asked for beside these: their entries are no strangers
 */
export function matchIds(
  ids: readonly string[],
  holders: readonly Holder[],
  others: ReadonlySet<string> = NONE,
): Matched {
  const found = new Map<string, readonly Holder[]>();
  const ambiguous = new Set<string>();
  const asked = new Set(ids);
  const byFold = Map.groupBy(asked, foldText);
  const foldedOthers = new Set([...others].map(foldText));
  const rest: Holder[] = [];
  // Several searches may have returned the same entry.
  for (const holder of new Map(holders.map((one) => [one.dn, one])).values()) {
    if (holder.id !== null && asked.has(holder.id)) found.set(holder.id, [...(found.get(holder.id) ?? []), holder]);
    else rest.push(holder);
  }
  const strangers = new Set<string>();
  for (const [folded, alike] of Map.groupBy(rest, (holder) => holder.folded)) {
    const candidates = folded === null ? [] : (byFold.get(folded) ?? []);
    const free = candidates.filter((id) => !found.has(id));
    if (candidates.length === 0) {
      const isKnown = ({ id }: Holder): boolean => id !== null && (others.has(id) || foldedOthers.has(foldText(id)));
      for (const holder of alike) if (!isKnown(holder)) strangers.add(holder.dn);
    } else if (free.length === 1 && alike.length === 1) found.set(free[0]!, alike);
    else for (const id of free) ambiguous.add(id);
  }
  return { found, ambiguous, strangers };
}

function anyOf(ids: readonly string[], attribute: string, server: string): Filter {
  const filters = ids.flatMap((id) => {
    const values = uniqueIdValues(attribute, id);
    if (values.length === 0)
      throw directoryError(`${server}: "${id}" is not a valid value of ${attribute}`, RESULT.success);
    return values.map((value): Filter => ({ kind: 'equal', attribute, value }));
  });
  return { kind: 'or', filters };
}

/** Whether the id is the text of the value, and neither a GUID nor hexadecimal digits that stand for bytes. */
function isText(id: string, [value]: readonly Uint8Array[]): boolean {
  return Buffer.from(value!).toString('utf8').trim().toLowerCase() === id.toLowerCase();
}

/** As a directory prepares text before it compares without case (RFC 4518): NFKC, lower case, single spaces. */
function foldText(id: string): string {
  return id.normalize('NFKC').toLowerCase().trim().replaceAll(/\s+/gu, ' ');
}
