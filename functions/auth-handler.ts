/**
 * The login function. The login service invokes it with a user name and a password and gets an outcome, or a function
 * error if there is none; the error type is the fault's code (`DirectoryUnavailable`, `InvalidRequest`, ...).
 */
import { ServiceError } from '../lib/errors.ts';
import type { Login, LoginOutcome } from '../lib/login/login.ts';
import { functionError } from './function-error.ts';
import { recordLogin, recordUnexpected } from './telemetry.ts';

/** Longest `source`, in Unicode code points. */
const MAX_SOURCE_LENGTH = 128;

/** The ports that the login function needs. */
export interface AuthPorts {
  readonly login: Login;
  /** Milliseconds spent in binds since the last call; null if there was no bind. */
  readonly takeDirectoryMs: () => number | null;
}

/** Makes the handler of the login function. */
export function makeHandler({ login, takeDirectoryMs }: AuthPorts) {
  return async (event: unknown): Promise<LoginOutcome> => {
    const { userName, password, source } = readEvent(event);
    try {
      const outcome = await login.logIn(userName, password, source);
      recordLogin(userName, outcome, takeDirectoryMs());
      return outcome;
    } catch (error) {
      if (!(error instanceof ServiceError)) {
        recordUnexpected(error);
        throw functionError(new ServiceError('internal', 'an unexpected error; see the log of the auth function'));
      }
      recordLogin(userName, error, takeDirectoryMs());
      throw functionError(error);
    }
  };
}

/**
 * What the login service has sent. Further fields are ignored. An empty `source` says as little as none.
 * @throws FunctionError `InvalidRequest`, without the input
 */
function readEvent(event: unknown): { userName: string; password: string; source: string | null } {
  const fields = (event ?? {}) as {
    readonly userName?: unknown;
    readonly password?: unknown;
    readonly source?: unknown;
  };
  const { userName, password, source = '' } = fields;
  if (typeof userName !== 'string' || typeof password !== 'string') {
    throw functionError(
      new ServiceError('invalidRequest', 'the event must be {"userName": "...", "password": "...", "source": "..."}'),
    );
  }
  if (typeof source !== 'string' || Array.from(source).length > MAX_SOURCE_LENGTH) {
    const message = `"source" must be a string of at most ${MAX_SOURCE_LENGTH} characters, or be left out`;
    throw functionError(new ServiceError('invalidRequest', message));
  }
  return { userName, password, source: source === '' ? null : source };
}
