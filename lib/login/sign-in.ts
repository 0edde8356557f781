/**
 * The sign-in of administrators: verifies a name and a password without revealing why they were refused, creates the
 * first administrator, and opens a session. Knows no HTTP.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import { hashPassword, isSameSecret } from '../user/password.ts';
import { userNameKey } from '../user/user-name.ts';
import type { UserStore } from '../user/user-store.ts';
import type { PublicUser, User } from '../user/user.ts';
import { isWayIn, NO_PROFILE } from '../user/user.ts';
import type { Login } from './login.ts';
import type { SessionStore, SessionToken } from './session.ts';
import { createSession } from './session.ts';

/** The user name of the first administrator, who is created by signing in. */
export const FIRST_ADMINISTRATOR = 'admin';

/**
 * Reads the password that the deployment generated for the first administrator. @throws ServiceError `storeUnavailable`
 */
export type ReadGeneratedPassword = () => Promise<string>;

/** The ports that a sign-in needs. */
export interface SignInPorts {
  readonly users: UserStore;
  readonly sessions: SessionStore;
  readonly login: Login;
  readonly readGeneratedPassword: ReadGeneratedPassword;
  readonly clock: Clock;
}

/** The sign-in, as a service. */
export interface SignIn {
  /**
   * Opens a session for an active administrator; null for everybody else, after the same steps, at an even time and at
   * the cost of an attempt, so that a stranger learns neither which names exist nor who is an administrator nor whether
   * the password was right.
   *
   * @throws ServiceError `throttled`; `directoryUnavailable`, with the reason only in its `cause`; `storeUnavailable`
   */
  signIn(
    userName: string,
    password: string,
    source?: string | null,
  ): Promise<(SessionToken & { readonly user: PublicUser }) | null>;
  /**
   * The user, if the password is right and the user `suits`; null otherwise, after the same steps and at an even time.
   * @throws as `signIn`
   */
  verifyPassword(
    userName: string,
    password: string,
    source: string | null,
    suits: (user: PublicUser) => boolean,
  ): Promise<PublicUser | null>;
}

/** Creates the sign-in on its ports. */
export function createSignIn(ports: SignInPorts): SignIn {
  const { users, sessions, login, clock } = ports;

  const verifyPassword: SignIn['verifyPassword'] = async (userName, password, source, suits) => {
    const began = clock.now();
    if (userNameKey(userName) === FIRST_ADMINISTRATOR) {
      await ensureFirstAdministrator(users, ports.readGeneratedPassword, password, began);
    }
    const result = await login.logIn(userName, password, source, began, suits).catch(hideDirectory);
    if (result.outcome === 'accepted') return result.user;
    if (result.reason !== 'throttled') return null;
    const { retryAfterSeconds = 1 } = result;
    throw new ServiceError('throttled', 'too many failed attempts', { retryAfterSeconds, retryable: true });
  };

  return {
    verifyPassword,
    async signIn(userName, password, source = null) {
      // Taken before the password is verified, so that a new password set meanwhile ends this session too.
      const now = clock.now();
      const isAdministrator = ({ privileges }: PublicUser): boolean => privileges.includes('admin');
      const user = await verifyPassword(userName, password, source, isAdministrator);
      return user && { ...(await createSession(sessions, user, now)), user };
    },
  };
}

/**
 * Removes the server and the reason, which are for the log; a stranger learns only that the directory is unavailable.
 */
function hideDirectory(cause: unknown): never {
  if (!(cause instanceof ServiceError) || cause.code !== 'directoryUnavailable') throw cause;
  throw new ServiceError('directoryUnavailable', 'the directory does not answer', { cause, retryable: true });
}

/**
 * Creates the first administrator if somebody signs in with the generated password, the user name is free, and no
 * administrator is able to sign in: on a new system, and as the way back in if none is left.
 *
 * @param password the password as typed; unless it is the generated one, nothing happens, at the cost of two small
 *   reads
 */
export async function ensureFirstAdministrator(
  users: UserStore,
  readGeneratedPassword: ReadGeneratedPassword,
  password: string,
  now: Date,
): Promise<void> {
  if ((await users.get(FIRST_ADMINISTRATOR)) !== null) return;
  if (!isSameSecret(password, await readGeneratedPassword())) return;
  if ((await users.findAdministrator(isWayIn)) !== null) return;
  const at = now.toISOString();
  const user: User = {
    id: randomUUID(),
    userName: FIRST_ADMINISTRATOR,
    ...NO_PROFILE,
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
  // A lost race means that somebody else has just created the user.
  await users.writeTogether([{ kind: 'create', user }]);
}
