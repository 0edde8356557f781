/**
 * Reads everybody in scope, page by page (RFC 2696), and says at the end whether that was really everybody. Absence of
 * an error is no proof: it checks each way in which a server can cut an answer short. Decides nothing about users.
 */
import { PagedResultsControl } from 'ldapts';
import type { ReadProof } from '../../directory/directory.ts';
import type { Entry } from '../../directory/entry.ts';
import { ServiceError } from '../../errors.ts';
import type { Connection } from '../connection.ts';
import type { Answer } from '../conversation.ts';
import type { EntryReading } from '../entry.ts';
import { describeResult, LIMIT_RESULTS, RESULT, searchFault } from '../fault.ts';
import { leadsToNobody, type RootDse } from '../root-dse.ts';
import type { Scope } from '../scope.ts';
import { toSearchFilter } from '../search-filter.ts';
import { readOn } from './range.ts';

/**
 * Entries per page. Active Directory returns no larger pages (MaxPageSize), and the limits of other servers usually
 * allow this size. OpenLDAP refuses a page larger than its size.pr; then the size is halved.
 */
const PAGE_SIZE = 1000;

/**
 * Entries per page for a server that ignored the paging control of a larger page. A server ignores the control if the
 * page is not smaller than its size limit (RFC 2696 section 3; ApacheDS does). Its answer then does not show whether it
 * supports paging.
 */
const SMALL_PAGE_SIZE = 100;

/**
 * An empty page with a cookie is legal: the server may have examined many entries that do not match or may not be read.
 * More than this number in a row is treated as an endless loop.
 */
const MAX_EMPTY_PAGES = 100;

const FIRST_PAGE = Buffer.alloc(0);

interface Page {
  readonly entries: Entry[];
  /** A ServiceError if no result arrived. */
  readonly end: Answer | ServiceError;
}

/**
 * Everybody in scope. Requests the next page while the caller works on this one, and clears a page when the caller asks
 * for the next.
 * @throws ServiceError with a DirectoryFaultCode, only before the first entry
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
      await readOn(connection, reading, entries, withinMs);
      return { entries, end };
    } catch (error) {
      if (error instanceof ServiceError) return { entries, end: error };
      throw error;
    }
  }

  const reasons = new Set<string>();
  const unread = new Set<string>();
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

    // Any result but a limit may be trouble with this server alone, for example a cookie that it has forgotten.
    brokeOff = end instanceof ServiceError || (end.status !== RESULT.success && !LIMIT_RESULTS.has(end.status));
    if (end instanceof ServiceError) {
      reasons.add(`The read broke off after ${read} entries: ${end.message}.`);
    } else {
      for (const reference of end.references.filter((url) => !leadsToNobody(url, scope.depth, rootDse.vendor))) {
        unread.add(`A part of the directory is on another server and was not read: ${reference}.`);
      }
      const cookie = cookieOf(end);
      if (end.status !== RESULT.success) {
        const result = describeResult(end.status, end.diagnostic);
        reasons.add(`The server ended the read after ${read} entries: ${result}. ${adviceFor(end)}`);
      } else if (cookie === null) {
        // An answer without the paging control contains everything. But a server that announces paging should have sent
        // the control; without it, there may be more entries.
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
    // V8 promotes arrays that grow like this one to the old generation, and their entries would stay in memory until
    // the next major garbage collection: 60 MB of them at 200,000 people.
    entries.length = 0;
  }
  return {
    complete: reasons.size === 0 && unread.size === 0,
    reasons: [...unread, ...reasons],
    ...(brokeOff ? { brokeOff } : {}),
    ...(unread.size > 0 && reasons.size === 0 ? { onlyReferrals: true } : {}),
  };
}

/** Whether OpenLDAP refused the page size. Other limits have the same result code, but smaller pages would not help. */
function isPageTooLarge(end: Answer | ServiceError): boolean {
  return 'status' in end && end.status === RESULT.adminLimitExceeded && /page ?size/i.test(end.diagnostic);
}

/** Whether the search succeeded without an answer to the paging control. */
function isUnpaged(end: Answer | ServiceError): boolean {
  return 'status' in end && end.status === RESULT.success && cookieOf(end) === null;
}

/** The cookie of an answer; empty after the last page, null if the answer has no readable paging control. */
function cookieOf(answer: Answer): Buffer | null {
  const control = answer.controls.find((candidate) => candidate instanceof PagedResultsControl);
  return control?.value === undefined ? null : (control.value.cookie ?? FIRST_PAGE);
}

/** Throws for a first page without entries, except after success or a limit: those end a read that has begun. */
function throwFault(end: Answer | ServiceError, server: string, baseDn: string): void {
  if (end instanceof ServiceError) throw end;
  if (end.status === RESULT.success || LIMIT_RESULTS.has(end.status)) return;
  throw searchFault(end.status, end.diagnostic, server, `the search below ${baseDn || 'the root'}`);
}

function adviceFor(end: Answer): string {
  return LIMIT_RESULTS.has(end.status)
    ? "Lift the server's limits for the bind DN, also for paged searches."
    : "Check the server's log.";
}
