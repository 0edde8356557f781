/**
 * The login function. The login service invokes it with a user name and a password and gets an outcome, or a function
 * error if there is none; the error type is the fault's code (`DirectoryUnavailable`, `InvalidRequest`, ...).
 */
import { ServiceError } from '../lib/errors.ts';
import type { Login, LoginOutcome } from '../lib/login/login.ts';
import { functionError } from './function-error.ts';
import { recordLogin, recordMalformedLogin, recordUnexpected } from './telemetry.ts';

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
    const attempt = readEvent(event);
    if (attempt instanceof ServiceError) {
      recordMalformedLogin();
      throw functionError(attempt);
    }
    const { userName, password, source } = attempt;
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

interface Attempt {
  readonly userName: string;
  readonly password: string;
  /** null = none was given. */
  readonly source: string | null;
}

/**
 * What the login service has sent, or `invalidRequest`, without the input. Further fields are ignored. An empty
 * `source` says as little as none.
 */
function readEvent(event: unknown): Attempt | ServiceError {
  const { userName, password, source = '' } = (event ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof userName !== 'string' || typeof password !== 'string') {
    const message = 'the event must be {"userName": "...", "password": "...", "source": "..."}';
    return new ServiceError('invalidRequest', message);
  }
  if (typeof source !== 'string' || Array.from(source).length > MAX_SOURCE_LENGTH) {
    const message = `"source" must be a string of at most ${MAX_SOURCE_LENGTH} characters, or be left out`;
    return new ServiceError('invalidRequest', message);
  }
  return { userName, password, source: source === '' ? null : source };
}
