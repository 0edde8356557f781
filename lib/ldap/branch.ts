/** Judges one branch of the directory: whether nobody is there, or nobody can be seen. Knows no users. */
import type { BranchState } from '../directory/directory.ts';
import { dnKey } from '../distinguished-name.ts';
import type { Filter } from '../settings/filter.ts';
import type { Connection } from './connection.ts';
import { RESULT, searchFault } from './fault.ts';
import { EVERYBODY } from './scope.ts';
import { toSearchFilter } from './search-filter.ts';

/** The entry itself may match as well, and is no proof of anybody below it. */
const TWO_ENTRIES = 2;

/** Results of a search for an entry that is missing, hidden, or on another server. */
const SEES_NOTHING: ReadonlySet<number> = new Set([
  RESULT.success,
  RESULT.noSuchObject,
  RESULT.referral,
  RESULT.insufficientAccessRights,
]);

/**
 * Looks below the entry with this DN, and at the entry itself if nobody is there.
 * @param people matches the people to look for
 * @throws ServiceError with a DirectoryFaultCode
 */
export async function judgeBranch(
  connection: Connection,
  dn: string,
  people: Filter,
  withinMs: () => number,
): Promise<BranchState> {
  const own = dnKey(dn);
  let populated = false;
  const below = { baseDn: dn, scope: 'sub', filter: toSearchFilter(people), attributes: ['1.1'] } as const;
  const search = await connection.search({ ...below, sizeLimit: TWO_ENTRIES }, withinMs(), (entry) => {
    populated ||= dnKey(entry.name) !== own;
  });
  if (populated) return 'populated';
  if (!SEES_NOTHING.has(search.status)) {
    throw searchFault(search.status, search.diagnostic, connection.server, `the search below ${dn}`);
  }

  // X.501 (hasSubordinates) and draft-boreham-numsubordinates. Servers count children whom the bind DN can't see.
  let childless = false;
  const itself = { baseDn: dn, scope: 'base', filter: toSearchFilter(EVERYBODY) } as const;
  const attributes = ['hasSubordinates', 'numSubordinates'];
  const look = await connection.search({ ...itself, attributes }, withinMs(), (entry) => {
    const values = new Map(entry.attributes.map((one) => [one.type.toLowerCase(), String(one.values[0])]));
    childless = /^false$/i.test(values.get('hassubordinates') ?? '') || values.get('numsubordinates') === '0';
  });
  if (!SEES_NOTHING.has(look.status)) {
    throw searchFault(look.status, look.diagnostic, connection.server, `the search for ${dn}`);
  }
  return childless ? 'empty' : 'vanished';
}
