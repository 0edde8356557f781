/**
 * The faults of the system, each with a stable code. Expected outcomes (a wrong password, a lost race, a conflict) are
 * values and never appear here. Knows nothing of HTTP: functions/http.ts holds the one table from code to status.
 */

/** Faults of a directory connection: every one of them means "ask again later or mend the settings", never "this person is gone". */
export type DirectoryFaultCode =
  | 'hostNotFound'
  | 'connectionRefused'
  | 'connectionTimeout'
  | 'connectionLost'
  | 'notLdap'
  | 'startTlsRefused'
  | 'certificateRefused'
  | 'encryptionRequired'
  | 'bindRefused'
  | 'operationTimeout'
  | 'baseNotFound'
  | 'baseUnknown'
  | 'readRefused'
  | 'uniqueIdMissing'
  | 'directoryError';

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

/** One fault of an input: where it is (dotted path, list positions as numbers) and what to do about it. */
export interface InputFault {
  readonly path: string;
  readonly message: string;
}

export interface ServiceErrorOptions {
  /** The foreign error this one translates. Kept for stack traces; never shown to callers. */
  readonly cause?: unknown;
  /** Whether the same call may succeed later without anybody changing anything. Default false. */
  readonly retryable?: boolean;
  /** What the reader can do about it, one sentence for an administrator. */
  readonly advice?: string;
  /** Every fault of a refused input. */
  readonly faults?: readonly InputFault[];
  /** For `runActive`: the run that holds the lease. */
  readonly runId?: string;
  /** For `throttled`: seconds until the next attempt is looked at. */
  readonly retryAfterSeconds?: number;
}

/** A fault with a stable code. The message never holds a password, a hash or a request body. */
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

/** The refusal of an input with all its faults at once. */
export function invalidRequest(faults: readonly InputFault[]): ServiceError {
  return new ServiceError(
    'invalidRequest',
    faults.map(({ path, message }) => (path === '' ? `the body ${message}` : `${path}: ${message}`)).join('; '),
    {
      faults,
    },
  );
}
