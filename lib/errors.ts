/**
 * The faults of the system, each with a stable code. Expected outcomes (a wrong password, a lost race, a conflict) are
 * values, not faults. Knows nothing of HTTP: functions/http.ts has the only table from code to status.
 */

/**
 * Faults of a directory connection. Each one means "try again later or correct the settings", never "this person is
 * gone".
 */
export type DirectoryFaultCode =
  | 'hostNotFound'
  | 'connectionRefused'
  | 'connectionTimeout'
  | 'connectionLost'
  | 'notLdap'
  | 'startTlsRefused'
  | 'certificateRefused'
  | 'tlsRefused'
  | 'encryptionRequired'
  | 'bindRefused'
  | 'operationTimeout'
  | 'baseNotFound'
  | 'baseUnknown'
  | 'readRefused'
  | 'uniqueIdMissing'
  | 'directoryError';

/** Every code of a fault. Stable: callers may rely on it. */
export type ErrorCode =
  | DirectoryFaultCode
  | 'directoryUnavailable'
  | 'notConfigured'
  | 'invalidRequest'
  | 'malformedPath'
  | 'malformedJson'
  | 'unsupportedMediaType'
  | 'payloadTooLarge'
  | 'notAuthenticated'
  | 'throttled'
  | 'notFound'
  | 'methodNotAllowed'
  | 'conflict'
  | 'userNameTaken'
  | 'lastAdministrator'
  | 'versionMismatch'
  | 'runActive'
  | 'runNotActive'
  | 'nothingWithheld'
  | 'leaseLost'
  | 'timeLimit'
  | 'interrupted'
  | 'storeUnavailable'
  | 'internal';

/** One fault of an input: its place (a dotted path, with list positions as numbers) and how to correct it. */
export interface InputFault {
  readonly path: string;
  readonly message: string;
}

/** The optional parts of a fault. */
export interface ServiceErrorOptions {
  /** The library's error behind this one. Kept for stack traces; never shown to callers. */
  readonly cause?: unknown;
  /** Whether the same call may succeed later without any change by a person. Default false. */
  readonly retryable?: boolean;
  /** One sentence that tells an administrator what to do. */
  readonly advice?: string;
  /** All faults of a refused input. */
  readonly faults?: readonly InputFault[];
  /** For `runActive`: the run that holds the lease. */
  readonly runId?: string;
  /** For `throttled`: seconds until the next attempt is allowed. */
  readonly retryAfterSeconds?: number;
}

/** A fault with a stable code. The message never contains a password, a hash or a request body. */
export class ServiceError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly advice: string | undefined;
  readonly faults: readonly InputFault[];
  readonly runId: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, options: ServiceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ServiceError';
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.advice = options.advice;
    this.faults = options.faults ?? [];
    this.runId = options.runId;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** The fault that refuses an input, with all faults of the input at once. */
export function invalidRequest(faults: readonly InputFault[]): ServiceError {
  return new ServiceError(
    'invalidRequest',
    faults.map(({ path, message }) => (path === '' ? `the body ${message}` : `${path}: ${message}`)).join('; '),
    {
      faults,
    },
  );
}
