/**
 * The sign-in of administrators: verifies a name and a password without telling strangers why they were refused, creates the first
 * administrator, and opens a session. Knows no HTTP.
 */
import { hash, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import { DECOY_HASH, hashPassword, verifyPasswordHash } from '../user/password.ts';
import type { UserStore } from '../user/user-store.ts';
import type { PublicUser, User } from '../user/user.ts';
import { isWayIn } from '../user/user.ts';
import { userNameKey } from '../user/user-name.ts';
import type { Login } from './login.ts';
import type { SessionStore, SessionToken } from './session.ts';
import { createSession } from './session.ts';

/** The user name of the administrator that exists before anybody has created one. */
export const FIRST_ADMINISTRATOR = 'admin';

/** The password that the deployment generated for the first administrator. @throws ServiceError `storeUnavailable` */
export type ReadGeneratedPassword = () => Promise<string>;

export interface SignInPorts {
  readonly users: UserStore;
  readonly sessions: SessionStore;
  readonly login: Login;
  readonly readGeneratedPassword: ReadGeneratedPassword;
  readonly clock: Clock;
}

export interface SignIn {
  /**
   * Opens a session for an active administrator; null for everybody else, after the same steps, so that a stranger learns
   * neither which names exist nor who is an administrator.
   *
   * @throws ServiceError `throttled`; `directoryUnavailable` without the reason, which is for the log; `storeUnavailable`
   */
  signIn(userName: string, password: string): Promise<(SessionToken & { readonly user: PublicUser }) | null>;
  /** The user, where this is their password; null for everything else, after the same steps. @throws as `signIn` */
  verifyPassword(userName: string, password: string): Promise<PublicUser | null>;
}

export function createSignIn(ports: SignInPorts): SignIn {
  const { users, sessions, login, clock } = ports;

  async function verifyPassword(userName: string, password: string): Promise<PublicUser | null> {
    if (userNameKey(userName) === FIRST_ADMINISTRATOR) {
      await ensureFirstAdministrator(users, ports.readGeneratedPassword, password, clock.now());
    }
    // A hash takes longer than a bind: without a second one, time would tell which passwords are kept here.
    const [result] = await Promise.all([
      login.logIn(userName, password).catch(hideDirectory),
      verifyPasswordHash(DECOY_HASH, password),
    ]);
    if (result.outcome === 'rejected' && result.reason === 'throttled') {
      const { retryAfterSeconds = 1 } = result;
      throw new ServiceError('throttled', 'too many failed attempts', { retryAfterSeconds, retryable: true });
    }
    return result.outcome === 'accepted' ? result.user : null;
  }

  return {
    verifyPassword,
    async signIn(userName, password) {
      // Before the password is looked at: a new one that is set meanwhile ends this session too.
      const now = clock.now();
      const user = await verifyPassword(userName, password);
      if (!user?.privileges.includes('admin')) return null;
      return { ...(await createSession(sessions, user, now)), user };
    },
  };
}

/** Which server does not answer, and why, is for the log; a stranger learns only that the directory is down. */
function hideDirectory(cause: unknown): never {
  if (!(cause instanceof ServiceError) || cause.code !== 'directoryUnavailable') throw cause;
  throw new ServiceError('directoryUnavailable', 'the directory does not answer', { cause, retryable: true });
}

/**
 * Creates the administrator that the generated password belongs to, when somebody signs in with it and there is neither a
 * user of that name nor any active administrator: on a fresh system, and as the way back in when there is none left.
 *
 * @param password what was typed; with any other than the generated one nothing happens, at the price of two small reads
 */
export async function ensureFirstAdministrator(
  users: UserStore,
  readGeneratedPassword: ReadGeneratedPassword,
  password: string,
  now: Date,
): Promise<void> {
  if ((await users.get(FIRST_ADMINISTRATOR)) !== null) return;
  const digest = (text: string): Buffer => hash('sha256', text, 'buffer');
  if (!timingSafeEqual(digest(password), digest(await readGeneratedPassword()))) return;
  if ((await users.listActiveAdministrators()).some(isWayIn)) return;
  const at = now.toISOString();
  const user: User = {
    id: randomUUID(),
    userName: FIRST_ADMINISTRATOR,
    fullName: null,
    emailAddresses: [],
    authentication: 'integrated',
    disabledBy: null,
    privileges: ['admin'],
    directory: null,
    passwordHash: await hashPassword(password),
    fingerprint: null,
    createdAt: at,
    updatedAt: at,
    version: 1,
  };
  // A lost race means that somebody else has created it just now.
  await users.writeTogether([{ kind: 'create', user }]);
}
