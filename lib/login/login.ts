/**
 * The login: turns a user name and a password into an outcome, or a fault if the directory does not answer. Knows
 * neither LDAP nor DynamoDB. The password goes to the bind or the hash and nowhere else.
 *
 * Unknown, disabled and unprivileged users cost the same steps as a wrong password, so that the response time reveals
 * nothing.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { within } from '../deadline.ts';
import type { CurrentDirectory } from '../directory/current-directory.ts';
import type { BindResult, Directory, RejectionReason } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import { type MappingSettings, ROOT_BASE } from '../settings/settings.ts';
import { DECOY_HASH, MAX_PASSWORD_BYTES, verifyPasswordHash } from '../user/password.ts';
import { mayLogIn } from '../user/privilege.ts';
import { parseUserName } from '../user/user-name.ts';
import type { DirectoryLink, PublicUser, User } from '../user/user.ts';
import { isContested, toPublicUser } from '../user/user.ts';
import type { LoginAttempts, LoginStore } from './login-store.ts';
import { countsAsFailure, createThrottle } from './throttle.ts';

/** The outcome of a login. `retryAfterSeconds` comes with `throttled`. */
export type LoginOutcome =
  | { readonly outcome: 'accepted'; readonly user: PublicUser }
  | { readonly outcome: 'rejected'; readonly reason: RejectionReason; readonly retryAfterSeconds?: number };

/** The login, as a service. */
export interface Login {
  /**
   * Verifies the password and counts failures.
   * @throws ServiceError `directoryUnavailable`, which never counts as a failed attempt
   */
  logIn(userName: string, password: string, source?: string | null): Promise<LoginOutcome>;
  /**
   * The outcome that logIn would return, without reading or counting attempts. @throws ServiceError
   * `directoryUnavailable`
   */
  checkPassword(userName: string, password: string): Promise<LoginOutcome>;
}

/** The ports that a login needs. */
export interface LoginPorts {
  readonly logins: LoginStore;
  readonly directory: CurrentDirectory;
  readonly clock: Clock;
}

/** Creates the login on its ports. */
export function createLogin({ logins, directory, clock }: LoginPorts): Login {
  const throttle = createThrottle({ logins, clock, newId: randomUUID });

  async function logIn(typed: string, password: string, source: string | null = null): Promise<LoginOutcome> {
    if (!isConceivable(typed, password)) return rejected('invalidCredentials');
    const { userName, user, attempts } = await find(typed, source);
    const admission = await throttle.admit({ userName, user, source, found: attempts });
    if (admission.kind === 'throttled') return throttled(admission.waitMs);
    if (admission.kind === 'unavailable') throw unavailable(null);
    try {
      const outcome = await verify(user, password);
      if (outcome.outcome === 'accepted') await admission.settle('accepted');
      else {
        const counts = countsAsFailure(outcome.reason) && (user === null || !isContested(user));
        await admission.settle(counts ? 'refused' : 'notCounted');
      }
      return outcome;
    } catch (error) {
      await admission.settle('notCounted');
      throw error;
    }
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

  async function verify(user: User | null, password: string): Promise<LoginOutcome> {
    const standing = standingOf(user);
    const result =
      user?.authentication === 'integrated' ? await verifyHash(user, password) : await bindAs(user, standing, password);
    // The user's standing comes first: an administrator's decision is reported whatever the password was.
    if (standing !== null) return rejected(standing);
    if (result.kind === 'rejected') return rejected(result.reason);
    if (result.kind === 'unanswered') throw result.fault;
    return { outcome: 'accepted', user: toPublicUser(user!) };
  }

  async function bindAs(user: User | null, standing: RejectionReason | null, password: string): Promise<BindResult> {
    const current = await directory.get();
    if (current === null) {
      if (user === null) return await verifyHash(null, password);
      throw new ServiceError('directoryUnavailable', 'no directory is configured');
    }
    const { connection, scope } = current.stored.settings;
    const link = (standing === null ? user?.directory : null) ?? decoyLink(scope.baseDn);
    const limitMs = connection.timeouts.loginSeconds * 1_000;
    const verifying = async (): Promise<BindResult> => {
      let verified = await verifyLink(current.directory, user, link, password);
      // The settings may have been corrected since they were read.
      const renewed = verified.fault !== null && (await directory.refresh()) ? await directory.get() : null;
      if (renewed !== null) verified = await verifyLink(renewed.directory, user, link, password);
      if (verified.result === null) throw unavailable(verified.fault);
      return verified.result;
    };
    return await within(verifying(), limitMs, () => tooLate(limitMs));
  }

  /**
   * Binds as the stored DN and, at the same time, looks up the person's current DN. The bind alone proves nothing: the
   * stored DN may now belong to somebody else. And most servers answer an unknown DN like a wrong password, so only the
   * unique id shows that a person has moved.
   */
  async function verifyLink(
    open: Directory,
    user: User | null,
    link: DirectoryLink,
    password: string,
  ): Promise<Verification> {
    const [bound, place] = await Promise.allSettled([
      open.verifyPassword(link.dn, password),
      open.findDn(link.id, link.idAttribute, link.dn),
    ]);
    if (bound.status === 'rejected') return { result: null, fault: faultOf(bound.reason) };
    const result = bound.value;
    if (result.kind === 'unanswered') return { result: null, fault: result.fault };
    // Nobody knows now whose DN this is. A rejection stands, because otherwise passwords could be guessed without a
    // count; an accepted bind does not.
    if (place.status === 'rejected')
      return { result: result.kind === 'accepted' ? null : result, fault: faultOf(place.reason) };
    const dn = place.value;
    if (user === null || dn === null) return { result: INVALID, fault: null };
    // Letter case alone: a server may keep apart what any other folding joins. A needless second bind does no harm.
    if (dn.toLowerCase() === link.dn.toLowerCase()) return { result, fault: null };
    try {
      const moved = await open.verifyPassword(dn, password);
      if (moved.kind === 'unanswered') return { result: null, fault: moved.fault };
      if (moved.kind === 'accepted') await logins.rememberDn(user, dn);
      return { result: moved, fault: null };
    } catch (error) {
      return { result: null, fault: faultOf(error) };
    }
  }

  return {
    logIn,
    async checkPassword(typed, password) {
      if (!isConceivable(typed, password)) return rejected('invalidCredentials');
      const { user } = await find(typed, null);
      return await verify(user, password);
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

interface Verification {
  /** null if there is no answer. */
  readonly result: BindResult | null;
  readonly fault: ServiceError | null;
}

const INVALID: BindResult = { kind: 'rejected', reason: 'invalidCredentials' };

/** @throws any error that is not a fault of the directory */
function faultOf(error: unknown): ServiceError {
  if (error instanceof ServiceError && error.code !== 'storeUnavailable') return error;
  throw error;
}

/**
 * Whether the input can be a login at all. An empty password is refused because a bind with one succeeds (RFC 4513
 * section 5.1.2).
 */
function isConceivable(userName: string, password: string): boolean {
  return (
    password !== '' && Buffer.byteLength(password) <= MAX_PASSWORD_BYTES && parseUserName(userName).kind === 'userName'
  );
}

function standingOf(user: User | null): RejectionReason | null {
  if (user === null) return 'invalidCredentials';
  if (user.disabledBy !== null) return 'accountDisabled';
  if (isContested(user)) return 'notPermitted';
  return mayLogIn(user.privileges) ? null : 'notPermitted';
}

/** Takes as long for a user without a password as for a wrong password. */
async function verifyHash(user: User | null, password: string): Promise<BindResult> {
  const matches = await verifyPasswordHash(user?.passwordHash ?? DECOY_HASH, password);
  return matches && user?.passwordHash ? { kind: 'accepted' } : INVALID;
}

/** A link to an entry that exists in no directory. */
function decoyLink(baseDn: string): DirectoryLink {
  const id = randomUUID();
  return {
    id,
    idAttribute: 'entryuuid',
    dn: baseDn === '' || baseDn === ROOT_BASE ? `cn=${id}` : `cn=${id},${baseDn}`,
    missingSince: null,
  };
}

function rejected(reason: RejectionReason): LoginOutcome {
  return { outcome: 'rejected', reason };
}

function throttled(waitMs: number): LoginOutcome {
  return { outcome: 'rejected', reason: 'throttled', retryAfterSeconds: Math.ceil(waitMs / 1_000) };
}

function tooLate(limitMs: number): ServiceError {
  return new ServiceError('directoryUnavailable', `the directory did not answer within ${limitMs} ms`, {
    retryable: true,
  });
}

function unavailable(cause: ServiceError | null): ServiceError {
  const { message, advice } = cause ?? { message: 'the directory did not answer', advice: undefined };
  return new ServiceError('directoryUnavailable', message, { cause, retryable: true, ...(advice && { advice }) });
}
