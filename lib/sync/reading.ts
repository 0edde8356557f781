/**
 * Reads everybody from the directory and matches them to the stored users. If a server fails in mid-read, the next one
 * is read from the beginning and the first result is dropped, because two servers need not agree.
 */
import type { Directory, DirectoryReader, ReadProof } from '../directory/directory.ts';
import { mapEntry } from '../directory/mapping.ts';
import { ServiceError } from '../errors.ts';
import type { Settings } from '../settings/settings.ts';
import type { UserStore } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { batchesOf } from './batch.ts';
import { startMatching } from './matching.ts';
import type { Matches } from './matching.ts';
import { needsDecision } from './plan.ts';
import type { Report } from './report.ts';

/** The result of reading everybody. The caller closes `reader`. */
export interface Reading {
  /** The reader of the server that all matches come from. */
  readonly reader: DirectoryReader;
  readonly matches: Matches;
  /** Whether it is proven that everybody in scope was read, each with a unique id. */
  readonly complete: boolean;
  /** Whether the read shows who owns a name: it was not cut short, though entries behind referrals may be missing. */
  readonly ownsNames: boolean;
}

type Read = Pick<Reading, 'matches'> & { readonly proof: ReadProof };

const NOBODY_FOUND =
  'The search found nobody. Check the base DN, the filter, and the rights of the bind DN to read the entries.';

function unidentifiedReason(count: number, idAttribute: string): string {
  return (
    `Entries whose ${idAttribute} the bind DN can't read: ${count}. Any of them may be a missing person, ` +
    'so nobody is removed. Let the bind DN read the attribute, or exclude such entries with the filter.'
  );
}

/**
 * Reads and matches the people of one server. If every server fails in mid-read, returns the incomplete result of the
 * last one.
 * @throws ServiceError with a DirectoryFaultCode if no read could begin
 */
export async function readEverybody(
  directory: Directory,
  users: UserStore,
  settings: Settings,
  report: Report,
): Promise<Reading> {
  const failed: string[] = [];
  let reader = await directory.openReader();
  try {
    for (;;) {
      const read = await readFrom(reader, users, settings, report);
      const fault = read instanceof ServiceError ? `${read.message}.` : brokenOff(read.proof);
      if (fault !== null) {
        failed.push(reader.server);
        const next = await openNext(directory, failed, settings, report);
        if (next !== null) {
          await reader.close();
          report.readAgain(`${fault} Everybody was read again, from ${next.server}.`);
          reader = next;
          continue;
        }
      }
      if (read instanceof ServiceError) throw read;
      const ownsNames = read.proof.complete || read.proof.onlyReferrals === true;
      return { reader, matches: read.matches, complete: reportRead(read, reader, report), ownsNames };
    }
  } catch (error) {
    await reader.close();
    throw error;
  }
}

/** Reports whether the read is complete, and returns it. */
function reportRead({ matches, proof }: Read, { idAttribute }: DirectoryReader, report: Report): boolean {
  const { read, unidentified, noted, statusUnknown } = matches;
  report.completeness(proof);
  if (read === 0) report.notice(NOBODY_FOUND);
  if (noted.first !== null) {
    const { dn, notes } = noted.first;
    report.notice(
      `Entries with values that can't be used as they are: ${noted.count}. The first is ${dn}: ${notes[0]}.`,
    );
  }
  if (statusUnknown > 0) {
    report.notice(
      `Entries that hide whether the account is disabled: ${statusUnknown}. Their users keep their status, and ` +
        'new ones are created active. ' +
        'Let the bind DN read the attribute.',
    );
  }
  if (unidentified > 0) report.incomplete(unidentifiedReason(unidentified, idAttribute));
  return proof.complete && unidentified === 0;
}

function brokenOff(proof: ReadProof): string | null {
  return proof.brokeOff === true ? proof.reasons.join(' ') : null;
}

/** Returns a fault if the server failed before its first page. */
async function readFrom(
  reader: DirectoryReader,
  users: UserStore,
  { mapping, options }: Settings,
  report: Report,
): Promise<Read | ServiceError> {
  const matching = await startMatching(users.readLinks(), reader.idAttribute);
  const pages = reader.readPeople();
  let page: Awaited<ReturnType<typeof pages.next>>;
  try {
    page = await pages.next();
  } catch (error) {
    if (error instanceof ServiceError && error.retryable) return error;
    throw error;
  }
  while (page.done !== true) {
    for (const entry of page.value) matching.add(mapEntry(entry, mapping, options.disabledUsers));
    report.read(page.value.length);
    page = await pages.next();
  }
  return { matches: matching.finish(), proof: page.value };
}

/** Opens a reader on a server that has not failed yet; null if there is none, or none that can be read. */
async function openNext(
  directory: Directory,
  failed: readonly string[],
  { connection }: Settings,
  report: Report,
): Promise<DirectoryReader | null> {
  if (connection.servers.every((server) => failed.includes(server))) return null;
  try {
    return await directory.openReader(failed);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    report.notice(`No other server could be read: ${error.message}.`);
    return null;
  }
}

/**
 * The stored users, by name key, that a plan needs: those with entries that are marked as disabled or have another
 * name, those whose names are wanted, those in contradictions and, after a complete read, the missing ones.
 */
export async function readTouchedUsers(
  users: UserStore,
  matches: Matches,
  complete: boolean,
  report: Report,
): Promise<ReadonlyMap<string, User>> {
  const special = matches.changed.filter(needsDecision);
  const contradicted = matches.contradictions.filter(({ person }) => person === null);
  const disabled = matches.disabledById;
  const wanted = [...matches.fresh, ...special.map(({ person }) => person)].map(({ nameKey }) => nameKey);
  const nameKeys = new Set([
    ...[...special, ...contradicted, ...disabled].map(({ nameKey }) => nameKey),
    ...matches.reappeared,
    ...(complete ? matches.missing : []),
    ...wanted.filter((nameKey) => matches.isTaken(nameKey)),
  ]);
  const touched = new Map<string, User>();
  for (const batch of batchesOf([...nameKeys])) {
    for (const [nameKey, user] of await users.getMany(batch)) touched.set(nameKey, user);
    report.check();
  }
  return touched;
}
