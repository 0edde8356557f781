/**
 * The login: turns a user name and a password into an outcome, or a fault if nobody can tell. Knows neither LDAP nor
 * DynamoDB. The password goes to the bind or the hash and nowhere else.
 *
 * Unknown, disabled and unprivileged users cost the same steps as a wrong password, with one hash at most, and every
 * refusal after a look at the password is given at an even time: neither tells which names exist nor where their
 * passwords are kept.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { CurrentDirectory } from '../directory/current-directory.ts';
import type { PasswordState, RejectionReason } from '../directory/directory.ts';
import { mapEntry } from '../directory/mapping.ts';
import { ServiceError } from '../errors.ts';
import { type MappingSettings, ROOT_BASE, type Settings } from '../settings/settings.ts';
import { DECOY_HASH, MAX_PASSWORD_BYTES, verifyPasswordHash } from '../user/password.ts';
import { mayLogIn } from '../user/privilege.ts';
import { parseUserName } from '../user/user-name.ts';
import type { DirectoryLink, PublicUser, User } from '../user/user.ts';
import { isContested, linkKey, nameKeyOf, toPublicUser } from '../user/user.ts';
import type { LoginAttempts, LoginStore } from './login-store.ts';
import { countsAsFailure, createThrottle, type Verdict } from './throttle.ts';
import { type Seek, type SoughtEntry, verifyInDirectory } from './verification.ts';

/**
 * The outcome of a login. `accepted` carries what the directory says of the password, if it says anything.
 * `retryAfterSeconds` comes with `throttled`.
 */
export type LoginOutcome =
  | ({ readonly outcome: 'accepted'; readonly user: PublicUser } & PasswordState)
  | { readonly outcome: 'rejected'; readonly reason: RejectionReason; readonly retryAfterSeconds?: number };

/** The login, as a service. */
export interface Login {
  /**
   * Verifies the password and counts failures. A refusal after a look at the password is given when the next 500 ms
   * since `began` are over; everything else at once.
   *
   * @param source where the attempt comes from, in the words of the caller: a source that the user has logged in from
   *   lately is not held up by what others do; null = nothing is known
   * @param began when the caller began to work on this attempt; default: now
   * @param suits for a caller who hides from strangers why somebody is refused: whom it lets in. Every refusal then
   *   counts as a guess, also with the right password; else the count would tell what the answer hides
   * @throws ServiceError `directoryUnavailable`, also after too many attempts without an answer; `storeUnavailable`
   */
  logIn(
    userName: string,
    password: string,
    source?: string | null,
    began?: Date,
    suits?: (user: PublicUser) => boolean,
  ): Promise<LoginOutcome>;
  /**
   * The outcome that logIn would return, at once and without reading or counting attempts. @throws ServiceError
   * `directoryUnavailable`, `storeUnavailable`
   */
  checkPassword(userName: string, password: string): Promise<LoginOutcome>;
}

/** The ports that a login needs. */
export interface LoginPorts {
  readonly logins: LoginStore;
  readonly directory: CurrentDirectory;
  readonly clock: Clock;
  /** Waits for so many milliseconds. */
  readonly pause: (ms: number) => Promise<void>;
}

/** Refusals are given at multiples of this time. */
const EVEN_TIME_MS = 500;

/** What a look at the password has shown, and what the attempt costs. */
type Judgement =
  | { readonly kind: 'outcome'; readonly outcome: LoginOutcome; readonly verdict: Verdict }
  | { readonly kind: 'fault'; readonly fault: ServiceError; readonly verdict: Verdict };

/** Creates the login on its ports. */
export function createLogin({ logins, directory, clock, pause }: LoginPorts): Login {
  const throttle = createThrottle({ logins, clock, newId: randomUUID });

  async function logIn(
    typed: string,
    password: string,
    source: string | null = null,
    began = clock.now(),
    suits?: (user: PublicUser) => boolean,
  ): Promise<LoginOutcome> {
    if (!isConceivable(typed, password)) return rejected('invalidCredentials');
    const warm = checkIdleConnections();
    const { userName, user, attempts } = await find(typed, source);
    // Nobody can tell whose password would be right, so none is tried and nothing is counted.
    if (user !== null && isContested(user) && suits === undefined) {
      await pauseBeforeRefusal(began);
      return rejected(standingOf(user)!);
    }
    const admission = await throttle.admit({ userName, user, source, found: attempts });
    if (admission.kind === 'throttled') return throttled(admission.waitMs);
    if (admission.kind === 'unavailable') throw silent();
    const judged = await judge(user, password, warm).catch(async (error: unknown) => {
      // Whatever has happened to the password before a mistake in the code: it may have been a guess.
      await admission.settle(error instanceof ServiceError ? 'notCounted' : 'unanswered');
      throw error;
    });
    const judgement = suits === undefined ? judged : hide(judged, suits);
    await admission.settle(judgement.verdict);
    if (judgement.kind === 'fault') throw judgement.fault;
    if (judgement.outcome.outcome === 'rejected') await pauseBeforeRefusal(began);
    return judgement.outcome;
  }

  async function pauseBeforeRefusal(began: Date): Promise<void> {
    const spent = (clock.now().getTime() - began.getTime()) % EVEN_TIME_MS;
    // Negative if the clock was set back in between.
    await pause(EVEN_TIME_MS - (spent < 0 ? spent + EVEN_TIME_MS : spent));
  }

  /** Runs beside the look at the store. Its faults are those of the login itself, which meets them again. */
  async function checkIdleConnections(): Promise<void> {
    try {
      await (await directory.get())?.directory.checkIdle();
    } catch {}
  }

  /**
   * The user, and the name under which attempts are counted. A user with the name exactly as typed comes first.
   * `DOMAIN\name` can only mean the directory user `name`, and shares its count: other domains in front give no further
   * guesses.
   */
  async function find(
    typed: string,
    source: string | null,
  ): Promise<{ userName: string; user: User | null; attempts: LoginAttempts }> {
    const exact = await logins.find(typed, source);
    if (exact.user !== null || !typed.includes('\\')) return { userName: typed, ...exact };
    const current = await directory.get();
    const userName = current && withoutDomain(typed, current.stored.settings.mapping);
    if (userName === null) return { userName: typed, ...exact };
    const { user, attempts } = await logins.find(userName, source);
    return { userName, user: user?.authentication === 'directory' ? user : null, attempts };
  }

  /** `warm`: when idle connections have been tried, which a bind waits for. */
  async function judge(user: User | null, password: string, warm: Promise<void>): Promise<Judgement> {
    const standing = standingOf(user);
    if (user?.authentication === 'integrated') {
      const isRight = await verifyHash(user.passwordHash, password);
      // The user's standing comes first: an administrator's decision is reported whatever the password was.
      return standing === null && isRight ? accepted(user) : refused(standing ?? 'invalidCredentials');
    }
    const current = await directory.get();
    if (current === null) {
      if (user !== null) return faulty(new ServiceError('directoryUnavailable', 'no directory is configured'));
      await verifyHash(null, password);
      return refused('invalidCredentials');
    }
    await warm;
    const seek = standing === null ? seekEntry(user!) : seekNobody();
    const verified = await verifyInDirectory(directory, current, seek, password);
    if (verified.kind === 'unknown') {
      const mayBeGuess = verified.sent === 'rejected' || verified.sent === 'unanswered';
      return faulty(verified.fault, mayBeGuess ? 'unanswered' : 'notCounted');
    }
    if (standing !== null) return refused(standing);
    if (verified.kind === 'rejected') return refused(verified.reason);
    const proven = await keepLink(user!, verified.sought);
    return proven === null ? refused('invalidCredentials') : accepted(proven, verified.state);
  }

  /**
   * Stores what the login has found out about the user's entry.
   * @returns null if the entry turns out to be another user's
   */
  async function keepLink(user: User, { id, idAttribute, dn }: SoughtEntry): Promise<User | null> {
    if (user.directory !== null) {
      if (dn !== user.directory.dn) await logins.rememberDn(user, dn);
      return user;
    }
    if (idAttribute === null) return null;
    const link: DirectoryLink = { id, idAttribute, dn, missingSince: null };
    await logins.linkUser(user, link);
    // Another login, or a run, may have linked the user to the same entry at the same moment.
    const { user: linked } = await logins.find(user.storedKey ?? user.userName, null);
    const isOwn = linked?.id === user.id && linked.directory !== null && linkKey(linked.directory) === linkKey(link);
    return isOwn && standingOf(linked) === null ? linked : null;
  }

  return {
    logIn,
    async checkPassword(typed, password) {
      if (!isConceivable(typed, password)) return rejected('invalidCredentials');
      const { user } = await find(typed, null);
      if (user !== null && isContested(user)) return rejected(standingOf(user)!);
      const judgement = await judge(user, password, checkIdleConnections());
      if (judgement.kind === 'fault') throw judgement.fault;
      return judgement.outcome;
    },
  };
}

/**
 * The user name of `DOMAIN\name`, the form that Windows shows, if user names are mapped from sAMAccountName; null for
 * any other form or attribute. An address is never cut: its part before the @ may be the sAMAccountName of somebody
 * else.
 * @see https://learn.microsoft.com/en-us/windows/win32/secauthn/user-name-formats
 */
export function withoutDomain(typed: string, { userName }: Pick<MappingSettings, 'userName'>): string | null {
  if (userName.toLowerCase() !== 'samaccountname') return null;
  const name = /^[^\\/@"[\]:;|=,+*?<>\s]+\\(?<name>[^\\@]+)$/u.exec(typed.trim())?.groups?.['name'];
  return name !== undefined && parseUserName(name).kind === 'userName' ? name : null;
}

/** The entry of a user who may log in. */
function seekEntry(user: User): Seek {
  const { directory, privileges } = user;
  if (directory !== null) return async () => directory;
  // Whoever can give a directory entry an administrator's name must not become one: only runs link administrators.
  return privileges.includes('admin') ? seekNobody() : seekByName(user);
}

/** An entry that exists in no directory, the same one however often it is sought. */
function seekNobody(id = randomUUID()): Seek {
  return async ({ stored }) => nobody(stored.settings, id);
}

/**
 * The entry that a run would link the user to, who was made by hand: the only one that maps to the user's name. Nobody
 * if there are several, or if the directory marks it as disabled.
 */
function seekByName(user: User): Seek {
  const nobodysId = randomUUID();
  return async ({ directory, stored: { settings } }) => {
    const { idAttribute, entries } = await directory.searchByName(user.userName);
    const namesakes = entries
      .map((entry) => mapEntry(entry, settings.mapping, settings.options.disabledUsers))
      .filter((mapped) => (mapped.kind === 'person' ? mapped.person : mapped.skipped).nameKey === nameKeyOf(user));
    const [only] = namesakes;
    if (namesakes.length > 1 || only?.kind !== 'person' || only.person.disabled) return nobody(settings, nobodysId);
    return { id: only.person.directoryId, idAttribute, dn: only.person.dn };
  };
}

function nobody({ scope: { baseDn } }: Settings, id: string): SoughtEntry {
  return { id, idAttribute: null, dn: baseDn === '' || baseDn === ROOT_BASE ? `cn=${id}` : `cn=${id},${baseDn}` };
}

/**
 * Whether the input can be a login at all. An empty password is refused because a bind with one succeeds (RFC 4513
 * section 5.1.2), and one with an unpaired surrogate because its bytes would be those of another password.
 */
function isConceivable(userName: string, password: string): boolean {
  return (
    password !== '' &&
    Buffer.byteLength(password) <= MAX_PASSWORD_BYTES &&
    password.isWellFormed() &&
    parseUserName(userName).kind === 'userName'
  );
}

function standingOf(user: User | null): RejectionReason | null {
  if (user === null) return 'invalidCredentials';
  if (user.disabledBy !== null) return 'accountDisabled';
  if (isContested(user)) return 'notPermitted';
  return mayLogIn(user.privileges) ? null : 'notPermitted';
}

/** Takes as long where there is no password as for a wrong one. */
async function verifyHash(hash: string | null, password: string): Promise<boolean> {
  const matches = await verifyPasswordHash(hash ?? DECOY_HASH, password);
  return matches && hash !== null;
}

function accepted(user: User, state: PasswordState = {}): Judgement {
  return { kind: 'outcome', outcome: { outcome: 'accepted', user: toPublicUser(user), ...state }, verdict: 'accepted' };
}

function refused(reason: RejectionReason): Judgement {
  return { kind: 'outcome', outcome: rejected(reason), verdict: countsAsFailure(reason) ? 'refused' : 'notCounted' };
}

/** The judgement for a caller who hides why somebody is refused. */
function hide(judgement: Judgement, suits: (user: PublicUser) => boolean): Judgement {
  if (judgement.kind === 'fault') return judgement;
  const { outcome } = judgement;
  if (outcome.outcome === 'rejected') return { ...judgement, verdict: 'refused' };
  return suits(outcome.user) ? judgement : { ...judgement, outcome: rejected('notPermitted'), verdict: 'refused' };
}

function faulty(cause: ServiceError, verdict: Verdict = 'notCounted'): Judgement {
  const { message, advice } = cause;
  const fault = new ServiceError('directoryUnavailable', message, {
    cause,
    retryable: true,
    ...(advice !== undefined && { advice }),
  });
  return { kind: 'fault', fault, verdict };
}

function rejected(reason: RejectionReason): LoginOutcome {
  return { outcome: 'rejected', reason };
}

function throttled(waitMs: number): LoginOutcome {
  return { outcome: 'rejected', reason: 'throttled', retryAfterSeconds: Math.ceil(waitMs / 1_000) };
}

function silent(): ServiceError {
  return new ServiceError(
    'directoryUnavailable',
    'the directory left too many logins with this user name unanswered; for up to 15 minutes no password is sent',
    {
      advice: 'Find out why the directory does not answer; the faults of the earlier logins name it.',
      retryable: true,
    },
  );
}
