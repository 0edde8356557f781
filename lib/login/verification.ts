/**
 * Verifies a password in the directory, and proves whose entry answered: a bind alone shows only that the password fits
 * a DN, which may belong to somebody else by now. Knows no user, no count of attempts and no store.
 */
import { within } from '../deadline.ts';
import type { CurrentDirectory } from '../directory/current-directory.ts';
import type { BindResult, Directory, OwnEntry, PasswordState } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import type { StoredSettings } from '../settings/settings.ts';

/** The entry that a login is about. */
export interface SoughtEntry {
  readonly id: string;
  /** The attribute that `id` was read from, in lower case; null: the one that the directory itself uses. */
  readonly idAttribute: string | null;
  /** The DN under which the entry was last seen. */
  readonly dn: string;
}

/** A directory, and the settings that describe it. */
export interface DescribedDirectory {
  readonly directory: Directory;
  readonly stored: StoredSettings;
}

/** Chooses the entry to bind as. @throws ServiceError with a DirectoryFaultCode */
export type Seek = (current: DescribedDirectory) => Promise<SoughtEntry>;

/**
 * How far the password got. `accepted` and `rejected`: the last answer to it, for whatever DN. `unanswered`: a server
 * may have received it and gave no answer.
 */
export type Sent = 'nowhere' | BindResult['kind'];

type Rejection = Extract<BindResult, { kind: 'rejected' }>;

/** What is known of a password after the directory was asked. */
export type Verification =
  /** It is the password of the entry with the sought id. `sought.dn`: where that entry is now. */
  | { readonly kind: 'accepted'; readonly sought: SoughtEntry; readonly state: PasswordState }
  | Rejection
  /** Nobody can tell, also if the password was rejected for a DN that may not be the person's any more. */
  | { readonly kind: 'unknown'; readonly fault: ServiceError; readonly sent: Sent };

/** What the reader knows of the sought entry. */
type Place =
  | { readonly kind: 'found'; readonly dn: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'hidden'; readonly fault: ServiceError };

interface RejectedBind {
  readonly id: string;
  readonly dn: string;
  readonly rejection: Rejection;
  readonly by: DescribedDirectory;
}

const INVALID: Rejection = { kind: 'rejected', reason: 'invalidCredentials' };

/**
 * Verifies a password within the time limit of a login. It goes out once for each DN, and to a second DN only after the
 * first one was answered. If nobody can tell, the settings are read again, because they may have been corrected since.
 *
 * @param current the directory to ask first
 */
export async function verifyInDirectory(
  directory: CurrentDirectory,
  current: DescribedDirectory,
  seek: Seek,
  password: string,
): Promise<Verification> {
  const limitMs = current.stored.settings.connection.timeouts.loginSeconds * 1_000;
  const late = new ServiceError('directoryUnavailable', `the directory did not answer within ${limitMs} ms`, {
    retryable: true,
  });
  let isOver = false;
  let sent: Sent = 'nowhere';
  /** The first bind, if it was rejected: it is not repeated for the same entry. */
  let rejected: RejectedBind | null = null;

  const unknown = (fault: ServiceError): Verification => ({ kind: 'unknown', fault, sent });

  async function bind(
    open: Directory,
    dn: string,
    whenAccepted: (own: OwnEntry) => Promise<void> = async () => {},
  ): Promise<BindResult> {
    // The caller has been told how far the password got, and may have counted no attempt.
    if (isOver) throw late;
    const before = sent;
    sent = 'unanswered';
    try {
      const result = await open.verifyPassword(dn, password, async (own) => {
        sent = 'accepted';
        await whenAccepted(own);
      });
      sent = result.kind;
      return result;
    } catch (error) {
      sent = before;
      throw error;
    }
  }

  async function verify(described: DescribedDirectory): Promise<Verification> {
    try {
      return await verifyEntry(described, await seek(described));
    } catch (error) {
      return unknown(faultOf(error));
    }
  }

  async function verifyEntry(described: DescribedDirectory, sought: SoughtEntry): Promise<Verification> {
    const open = described.directory;
    // Most servers answer an unknown DN like a wrong password, so only the unique id shows that a person has moved.
    const looking = lookUp(open, sought);
    let ownId: string | null = null;
    const former = rejected?.id === sought.id ? rejected : null;
    const askedDn = former?.dn ?? sought.dn;
    const bound =
      former?.rejection ??
      (await bind(open, askedDn, async (own) => {
        if ((await looking).kind !== 'found') ownId = await readOwnId(own, sought);
      }));
    if (bound.kind === 'unanswered') return unknown(bound.fault);
    if (bound.kind === 'rejected') rejected = former ?? { id: sought.id, dn: askedDn, rejection: bound, by: described };
    const place = await looking;
    if (place.kind === 'found') {
      // Letter case alone: a server may keep apart what any other folding joins. A needless second bind does no harm.
      if (place.dn.toLowerCase() === askedDn.toLowerCase()) {
        return former === null || hasServersOf(described, former.by) ? judge(bound, sought) : unknown(replaced());
      }
      const second = await bind(open, place.dn);
      return second.kind === 'unanswered' ? unknown(second.fault) : judge(second, { ...sought, dn: place.dn });
    }
    if (bound.kind === 'accepted' && ownId === sought.id) return judge(bound, sought);
    if (place.kind === 'hidden') return unknown(place.fault);
    return bound.kind === 'accepted' && ownId === null ? unknown(unproven()) : INVALID;
  }

  async function verifyAgain(): Promise<Verification> {
    const first = await verify(current);
    if (first.kind !== 'unknown') return first;
    const renewed = await renew(directory);
    const mayAsk = sent === 'nowhere' || sent === 'rejected';
    return renewed !== null && mayAsk ? await verify(renewed) : first;
  }

  const endIt = (): ServiceError => {
    isOver = true;
    return late;
  };
  try {
    return await within(verifyAgain(), limitMs, endIt);
  } catch (error) {
    if (error !== late) throw error;
    return unknown(late);
  }
}

function judge(result: Exclude<BindResult, { kind: 'unanswered' }>, sought: SoughtEntry): Verification {
  if (result.kind === 'rejected') return result;
  const { kind, ...state } = result;
  return { kind, sought, state };
}

async function lookUp(open: Directory, { id, idAttribute, dn }: SoughtEntry): Promise<Place> {
  try {
    const found = await open.findDn(id, idAttribute, dn);
    return found === null ? { kind: 'absent' } : { kind: 'found', dn: found };
  } catch (error) {
    return { kind: 'hidden', fault: faultOf(error) };
  }
}

/** null if the person's connection does not tell. */
async function readOwnId(own: OwnEntry, { idAttribute }: SoughtEntry): Promise<string | null> {
  if (idAttribute === null) return null;
  try {
    return await own.readId(idAttribute);
  } catch (error) {
    faultOf(error);
    return null;
  }
}

/** The directory of other settings than before; null if they are the same, or can't be read. */
async function renew(directory: CurrentDirectory): Promise<DescribedDirectory | null> {
  try {
    return (await directory.refresh()) ? await directory.get() : null;
  } catch (error) {
    faultOf(error);
    return null;
  }
}

/** Whether the password may have been judged by a server of these settings. */
function hasServersOf({ stored }: DescribedDirectory, former: DescribedDirectory): boolean {
  const { servers } = stored.settings.connection;
  return former.stored.settings.connection.servers.every((server) => servers.includes(server));
}

function replaced(): ServiceError {
  return new ServiceError(
    'directoryUnavailable',
    'the server that refused the password may not be in the settings any more',
  );
}

function unproven(): ServiceError {
  return new ServiceError(
    'directoryUnavailable',
    'the directory accepts the password, but nothing shows whose entry it belongs to',
    { advice: 'Give the bind DN, or people for their own entry, the right to read the unique id.' },
  );
}

/** @throws any error that is not a fault */
function faultOf(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  throw error;
}
