/**
 * Reads everybody in scope, page by page (RFC 2696), and says at the end whether that was really everybody. The proof is never
 * taken from the absence of an error: each thing that could have cut the answer short is looked at.
 */
import { PagedResultsControl } from 'ldapts';

import { ServiceError } from '../../errors.ts';
import type { Entry } from '../../directory/entry.ts';
import type { ReadProof } from '../../directory/directory.ts';
import type { Connection } from '../connection.ts';
import type { Answer } from '../conversation.ts';
import type { EntryReading } from '../entry.ts';
import { describeResult, LIMIT_RESULTS, RESULT, searchFault } from '../fault.ts';
import { leadsToNobody, type RootDse } from '../root-dse.ts';
import type { Scope } from '../scope.ts';
import { toSearchFilter } from '../search-filter.ts';

/**
 * Entries a page: the largest that Active Directory gives (MaxPageSize; asked for more, it gives as many) and that other
 * servers' limits usually allow. OpenLDAP refuses a page above its size.pr altogether: then half as many are asked for.
 */
const PAGE_SIZE = 1000;

/**
 * Entries a page for a server that has left a larger page unanswered: where its size limit is smaller than the page it is to
 * ignore the control (RFC 2696 section 3), and ApacheDS does. Then nothing tells whether it pages at all.
 */
const SMALL_PAGE_SIZE = 100;

/**
 * An empty page with a cookie is legal: the server may have looked through many entries that did not match or must not be shown.
 * So many in a row are none any more.
 */
const MAX_EMPTY_PAGES = 100;

const FIRST_PAGE = Buffer.alloc(0);

/** Results of a server that may not be well; another one may be. */
const UNWELL: ReadonlySet<number> = new Set([RESULT.busy, RESULT.unavailable]);

interface Page {
  readonly entries: Entry[];
  /** `fault`: no result came. */
  readonly end: Answer | ServiceError;
}

/**
 * Everybody in scope. The next page is asked for while the caller works on this one.
 * @throws ServiceError of a DirectoryFaultCode, before the first entry only
 */
export async function* readScope(
  connection: Connection,
  scope: Scope,
  rootDse: RootDse,
  reading: EntryReading,
  withinMs: () => number,
): AsyncGenerator<readonly Entry[], ReadProof, void> {
  let pageSize = PAGE_SIZE;

  async function ask(cookie: Buffer): Promise<Page> {
    const entries: Entry[] = [];
    const search = {
      baseDn: scope.baseDn,
      scope: scope.depth,
      filter: toSearchFilter(scope.filter),
      attributes: reading.attributes,
      page: { size: pageSize, cookie },
    };
    try {
      const end = await connection.search(search, withinMs(), (found) => entries.push(reading.read(found)));
      return { entries, end };
    } catch (error) {
      if (error instanceof ServiceError) return { entries, end: error };
      throw error;
    }
  }

  const reasons = new Set<string>();
  let brokeOff: boolean = false;
  let read = 0;
  let emptyPages = 0;
  let previousFirstDn: string | null = null;
  let first = true;
  let next: Promise<Page> | null = ask(FIRST_PAGE);
  while (next !== null) {
    const { entries, end }: Page = await next;
    next = null;
    if (first && entries.length === 0 && pageSize > 1 && isPageTooLarge(end)) {
      pageSize = Math.floor(pageSize / 2);
      next = ask(FIRST_PAGE);
      continue;
    }
    if (first && pageSize > SMALL_PAGE_SIZE && rootDse.paging && isUnpaged(end)) {
      pageSize = SMALL_PAGE_SIZE;
      next = ask(FIRST_PAGE);
      continue;
    }
    if (first && entries.length === 0) throwFault(end, connection.server, scope.baseDn);
    const firstDn = entries[0]?.dn ?? null;
    const repeated = firstDn !== null && firstDn === previousFirstDn;
    if (repeated) reasons.add('The server sent the same page twice.');
    else read += entries.length;
    emptyPages = entries.length === 0 ? emptyPages + 1 : 0;

    brokeOff = end instanceof ServiceError || UNWELL.has(end.status);
    if (end instanceof ServiceError) {
      reasons.add(`The read broke off after ${read} entries: ${end.message}.`);
    } else {
      for (const reference of end.references.filter((url) => !leadsToNobody(url, scope.depth, rootDse.vendor))) {
        reasons.add(`A part of the directory is on another server and was not read: ${reference}.`);
      }
      const cookie = cookieOf(end);
      if (end.status !== RESULT.success) {
        const result = describeResult(end.status, end.diagnostic);
        reasons.add(`The server ended the read after ${read} entries: ${result}. ${adviceFor(end)}`);
      } else if (cookie === null) {
        // Without the control in its answer a server has not paged. That is all there is, unless it says that it can page:
        // then it has left out what would have told us of more.
        if (rootDse.paging)
          reasons.add(
            'The server announces paged searches but ignored the paging control, so there may be more entries.',
          );
        else if (!first) reasons.add('The server stopped paging in the middle of the read.');
      } else if (cookie.length > 0) {
        if (emptyPages > MAX_EMPTY_PAGES) {
          reasons.add(`The server sent ${emptyPages} empty pages in a row and did not end the read.`);
        } else if (!repeated) {
          next = ask(cookie);
        }
      }
    }
    first = false;
    previousFirstDn = firstDn ?? previousFirstDn;
    if (entries.length > 0 && !repeated) yield entries;
    // V8 puts arrays that are made and grow like this one among the old objects, and every entry in it would stay with it until
    // the next large garbage collection: 60 MB of them at 200,000 people.
    entries.length = 0;
  }
  return { complete: reasons.size === 0, reasons: [...reasons], ...(brokeOff ? { brokeOff } : {}) };
}

/** OpenLDAP's "illegal pagedResults page size": not the other limits that have this result, which a smaller page would meet too. */
function isPageTooLarge(end: Answer | ServiceError): boolean {
  return 'status' in end && end.status === RESULT.adminLimitExceeded && /page ?size/i.test(end.diagnostic);
}

/** A success that says nothing of pages. */
function isUnpaged(end: Answer | ServiceError): boolean {
  return 'status' in end && end.status === RESULT.success && cookieOf(end) === null;
}

/** The cookie of an answer; empty at the end of the pages, null where the answer has no (readable) control. */
function cookieOf(answer: Answer): Buffer | null {
  const control = answer.controls.find((candidate) => candidate instanceof PagedResultsControl);
  return control?.value === undefined ? null : (control.value.cookie ?? FIRST_PAGE);
}

/** A limit without a single entry is the end of a read that has begun; everything else that brought nothing is a fault. */
function throwFault(end: Answer | ServiceError, server: string, baseDn: string): void {
  if (end instanceof ServiceError) throw end;
  if (end.status === RESULT.success || LIMIT_RESULTS.has(end.status)) return;
  throw searchFault(end.status, end.diagnostic, server, `the search below ${baseDn}`);
}

function adviceFor(end: Answer): string {
  return LIMIT_RESULTS.has(end.status)
    ? "Lift the server's limits for the bind DN, also for paged searches."
    : "Check the server's log.";
}
