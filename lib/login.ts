/**
 * The login: from user name and password to an outcome, or a fault when the directory gives no answer. Knows neither LDAP
 * nor DynamoDB. The password goes to the bind or the hash and nowhere else.
 *
 * Unknown, disabled and unprivileged users cost the caller the same steps as a wrong password, so that the time an answer
 * takes tells nothing.
 */
import { randomUUID } from 'node:crypto';
import type { CurrentDirectory } from './current-directory.ts';
import { ServiceError } from './errors.ts';
import { DECOY_HASH, MAX_PASSWORD_BYTES, verifyPasswordHash } from './password.ts';
import type { Attempts, BindResult, Clock, Directory, LoginStore, RejectionReason } from './ports.ts';
import { mayLogIn } from './privileges.ts';
import type { DirectoryLink, PublicUser, User } from './user.ts';
import { parseUserName, toPublicUser } from './user.ts';

export type LoginOutcome =
  | { readonly outcome: 'accepted'; readonly user: PublicUser }
  | { readonly outcome: 'rejected'; readonly reason: RejectionReason; readonly retryAfterSeconds?: number };

export interface Login {
  /**
   * Verifies and counts failures.
   * @throws ServiceError `directoryUnavailable`, which never counts as a failed attempt
   */
  logIn(userName: string, password: string): Promise<LoginOutcome>;
  /** What logIn would answer, without reading or counting attempts. @throws ServiceError `directoryUnavailable` */
  checkPassword(userName: string, password: string): Promise<LoginOutcome>;
}

export interface LoginPorts {
  readonly logins: LoginStore;
  readonly directory: CurrentDirectory;
  readonly clock: Clock;
}

/** Failures that cost nothing yet; from this one on the next attempt has to wait. */
const FREE_FAILURES = 5;
const FIRST_DELAY_SECONDS = 30;
const MAX_DELAY_SECONDS = 15 * 60;
/** Failures are forgotten this long after the first one. */
const MEMORY_MS = 60 * 60 * 1000;

/**
 * Seconds to wait after so many failures: 0 up to four, then 30, 60, 120 ... 900. Nine attempts fit into any quarter of
 * an hour, which stays below the ten that directories commonly lock an account at.
 */
export function delayAfter(failures: number): number {
  if (failures < FREE_FAILURES) return 0;
  return Math.min(FIRST_DELAY_SECONDS * 2 ** (failures - FREE_FAILURES), MAX_DELAY_SECONDS);
}

export function createLogin({ logins, directory, clock }: LoginPorts): Login {
  async function logIn(userName: string, password: string): Promise<LoginOutcome> {
    if (!isConceivable(userName, password)) return rejected('invalidCredentials');
    const { user, attempts } = await logins.find(userName);
    const waitMs = attempts === null ? 0 : Date.parse(attempts.blockedUntil) - clock.now().getTime();
    if (waitMs > 0) return throttled(waitMs);

    // A name with failures pays for its attempt in advance, so that parallel guesses cannot outrun the count.
    const claimed = attempts && nextAttempts(attempts, clock.now());
    if (attempts && claimed && !(await logins.setAttempts(userName, attempts, claimed))) return throttled(1_000);
    const giveBack = async (): Promise<void> => {
      if (attempts && claimed) await logins.setAttempts(userName, claimed, attempts);
    };
    try {
      const outcome = await verify(user, password);
      if (outcome.outcome === 'accepted') {
        if (attempts) await logins.clearAttempts(userName);
      } else if (countsAsFailure(outcome.reason)) {
        if (!claimed) await logins.countFailure(userName, new Date(clock.now().getTime() + MEMORY_MS));
      } else await giveBack();
      return outcome;
    } catch (error) {
      await giveBack();
      throw error;
    }
  }

  async function verify(user: User | null, password: string): Promise<LoginOutcome> {
    const standing = standingOf(user);
    const result =
      user?.authentication === 'integrated' ? await verifyHash(user, password) : await bindAs(user, standing, password);
    // In this order: what an administrator has decided is told whatever the password was.
    if (standing !== null) return rejected(standing);
    if (!result.accepted) return rejected(result.reason);
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
    return await within(limitMs, async () => {
      try {
        return await verifyLink(current.directory, user, link, password);
      } catch (error) {
        if (!(error instanceof ServiceError) || error.code === 'storeUnavailable') throw error;
        // The settings may have been mended since they were read.
        const renewed = (await directory.refresh()) ? await directory.get() : null;
        if (renewed === null) throw unavailable(error);
        return await verifyLink(renewed.directory, user, link, password).catch((again: unknown) => {
          throw unavailable(again);
        });
      }
    });
  }

  /** Binds as the DN that is stored or, where the person has moved since, as the one its unique id leads to. */
  async function verifyLink(
    open: Directory,
    user: User | null,
    link: DirectoryLink,
    password: string,
  ): Promise<BindResult> {
    const result = await open.verifyPassword(link.dn, password);
    // Most servers tell an unknown DN and a wrong password apart to nobody: only the unique id knows.
    if (result.accepted || result.reason !== 'invalidCredentials') return result;
    let dn: string | null;
    try {
      dn = await open.findDn(link.id, link.idAttribute);
    } catch (error) {
      if (!(error instanceof ServiceError) || error.retryable) throw error;
      // The reader is refused, perhaps because its new password has been saved meanwhile. If not, the bind has been answered
      // all the same: to call that an outage would let passwords be tried without a count.
      const renewed = (await directory.refresh()) ? await directory.get() : null;
      return renewed === null ? result : await verifyLink(renewed.directory, user, link, password);
    }
    if (user === null || dn === null || dn.toLowerCase() === link.dn.toLowerCase()) return result;
    const moved = await open.verifyPassword(dn, password);
    if (moved.accepted) await logins.rememberDn(user, dn);
    return moved;
  }

  return {
    logIn,
    async checkPassword(userName, password) {
      if (!isConceivable(userName, password)) return rejected('invalidCredentials');
      const { user } = await logins.find(userName);
      return await verify(user, password);
    },
  };
}

/** An empty password is refused here because a bind with one succeeds (RFC 4513, 5.1.2). */
function isConceivable(userName: string, password: string): boolean {
  return password !== '' && Buffer.byteLength(password) <= MAX_PASSWORD_BYTES && 'userName' in parseUserName(userName);
}

function standingOf(user: User | null): RejectionReason | null {
  if (user === null) return 'invalidCredentials';
  if (user.disabledBy !== null) return 'accountDisabled';
  return mayLogIn(user.privileges) ? null : 'notPermitted';
}

/** A user without a password costs as much as one with a wrong password. */
async function verifyHash(user: User | null, password: string): Promise<BindResult> {
  const matches = await verifyPasswordHash(user?.passwordHash ?? DECOY_HASH, password);
  return matches && user?.passwordHash ? { accepted: true } : { accepted: false, reason: 'invalidCredentials' };
}

/** An entry that no directory has. */
function decoyLink(baseDn: string): DirectoryLink {
  const id = randomUUID();
  return { id, idAttribute: 'entryuuid', dn: baseDn === '' ? `cn=${id}` : `cn=${id},${baseDn}`, missingSince: null };
}

function nextAttempts({ failures }: Attempts, now: Date): Attempts {
  const count = failures + 1;
  return { failures: count, blockedUntil: new Date(now.getTime() + delayAfter(count) * 1_000).toISOString() };
}

/** Guesses count. An expired password or a locked account is no guess, or one that the directory counts itself. */
function countsAsFailure(reason: RejectionReason): boolean {
  return reason !== 'passwordExpired' && reason !== 'passwordMustChange' && reason !== 'accountExpired';
}

function rejected(reason: RejectionReason): LoginOutcome {
  return { outcome: 'rejected', reason };
}

function throttled(waitMs: number): LoginOutcome {
  return { outcome: 'rejected', reason: 'throttled', retryAfterSeconds: Math.ceil(waitMs / 1_000) };
}

function unavailable(cause: unknown): unknown {
  if (!(cause instanceof ServiceError) || cause.code === 'storeUnavailable') return cause;
  const { message, advice } = cause;
  return new ServiceError('directoryUnavailable', message, { cause, retryable: true, ...(advice && { advice }) });
}

async function within<T>(limitMs: number, work: () => Promise<T>): Promise<T> {
  const { promise: limit, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new ServiceError('directoryUnavailable', `the directory took more than ${limitMs} ms`, { retryable: true }));
  }, limitMs);
  try {
    return await Promise.race([work(), limit]);
  } finally {
    clearTimeout(timer);
  }
}
