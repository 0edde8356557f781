/**
 * Translates the errors of sockets, and LDAP result codes, into faults that an administrator understands. Knows no
 * passwords: callers never pass text that contains one.
 */
import type { RejectionReason } from '../directory/directory.ts';
import { type DirectoryFaultCode, ServiceError } from '../errors.ts';
import { withoutControls } from '../printable.ts';

/** The result codes that Rollcall distinguishes (RFC 4511 section 4.1.9). */
export const RESULT = {
  success: 0,
  operationsError: 1,
  protocolError: 2,
  timeLimitExceeded: 3,
  sizeLimitExceeded: 4,
  strongerAuthRequired: 8,
  referral: 10,
  adminLimitExceeded: 11,
  unavailableCriticalExtension: 12,
  confidentialityRequired: 13,
  noSuchAttribute: 16,
  constraintViolation: 19,
  noSuchObject: 32,
  invalidDnSyntax: 34,
  inappropriateAuthentication: 48,
  invalidCredentials: 49,
  insufficientAccessRights: 50,
  busy: 51,
  unavailable: 52,
  unwillingToPerform: 53,
  loopDetect: 54,
  other: 80,
} as const;

/** A search that ends with one of these results has returned only a part of the entries. */
export const LIMIT_RESULTS: ReadonlySet<number> = new Set([
  RESULT.timeLimitExceeded,
  RESULT.sizeLimitExceeded,
  RESULT.adminLimitExceeded,
]);

const RESULT_NAMES = new Map<number, string>(Object.entries(RESULT).map(([name, code]) => [code, name]));

/** A result code with its name and the server's diagnostic message, for example `busy (51): too many connections`. */
export function describeResult(status: number, diagnostic: string): string {
  const name = RESULT_NAMES.get(status);
  const code = name === undefined ? `result code ${status}` : `${name} (${status})`;
  // AD ends its diagnostics with a NUL and a line feed.
  const words = withoutControls(diagnostic);
  return words === '' ? code : `${code}: ${words}`;
}

/** The results that say more of the server that sent them than of the request: another server may do better. */
const TROUBLE: ReadonlySet<number> = new Set([
  RESULT.operationsError,
  RESULT.protocolError,
  RESULT.timeLimitExceeded,
  RESULT.adminLimitExceeded,
  RESULT.unavailableCriticalExtension,
  RESULT.busy,
  RESULT.unavailable,
  RESULT.unwillingToPerform,
  RESULT.loopDetect,
  RESULT.other,
]);

/** The fault of a result in TROUBLE. */
class ServerTrouble extends ServiceError {}

/**
 * Whether another server of the same directory may succeed. A refused bind or an unknown base fails on every server,
 * and trying a wrong password on each of them would lock the account.
 */
export function isServerFault(error: unknown): error is ServiceError {
  if (!(error instanceof ServiceError)) return false;
  return error.retryable || error instanceof ServerTrouble || SERVER_FAULTS.has(error.code);
}

const SERVER_FAULTS: ReadonlySet<string> = new Set<DirectoryFaultCode>([
  'hostNotFound',
  'connectionRefused',
  'notLdap',
  'startTlsRefused',
  'certificateRefused',
  'tlsRefused',
]);

/** The connection ended. `what`: what happened, without the server's name. Retryable. */
export function connectionLost(server: string, what: string, cause?: unknown): ServiceError {
  return new ServiceError('connectionLost', `${server}: ${what}`, {
    cause,
    retryable: true,
    advice: "Check the server's log and the firewalls on the way, and that the port matches the encryption.",
  });
}

/** A request was not answered in time. `doing`: the request, for example "a search". Retryable. */
export function operationTimeout(server: string, doing: string, ms: number): ServiceError {
  return new ServiceError('operationTimeout', `${server}: no answer to ${doing} within ${seconds(ms)}`, {
    retryable: true,
    advice: 'The server accepts connections but answers too late or not at all. Check its load, or raise the time-out.',
  });
}

/** No TCP connection in time. Retryable. */
export function connectionTimeout(server: string, ms: number): ServiceError {
  return new ServiceError('connectionTimeout', `${server}: no connection within ${seconds(ms)}`, {
    retryable: true,
    advice: 'Check host and port, and that routing, security groups and firewalls let Rollcall reach the server.',
  });
}

/** The service on the port does not speak LDAP, or not with this encryption. `what`: what happened. */
export function notLdap(server: string, what: string, cause?: unknown): ServiceError {
  return new ServiceError('notLdap', `${server}: ${what}`, {
    cause,
    advice: 'Check the port: LDAP and StartTLS use 389, LDAPS uses 636. Check that the port matches the encryption.',
  });
}

/** A time for a message, such as `0.5 s`. */
export function seconds(ms: number): string {
  return `${Math.max(0, Math.round(ms / 100) / 10)} s`;
}

/** The fault for an error of name resolution or of a socket; a ServiceError is returned unchanged. */
export function networkFault(error: unknown, server: string): ServiceError {
  if (error instanceof ServiceError) return error;
  const code = errorCode(error);
  const cause = error;
  if (code === 'ENOTFOUND' || code.startsWith('EAI_') || code === 'ENODATA') {
    return new ServiceError('hostNotFound', `${server}: the host name does not resolve (${code})`, {
      cause,
      retryable: code === 'EAI_AGAIN',
      advice: 'Check the spelling of the host name, and that it resolves in the network that Rollcall runs in.',
    });
  }
  if (code === 'ECONNREFUSED') {
    return new ServiceError('connectionRefused', `${server}: nothing listens on this port (${code})`, {
      cause,
      retryable: true,
      advice: 'Check the port, and that the LDAP server is running.',
    });
  }
  if (code === 'ETIMEDOUT' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || code === 'EADDRNOTAVAIL') {
    return new ServiceError('connectionTimeout', `${server}: the address can't be reached (${code})`, {
      cause,
      retryable: true,
      advice: 'Check host and port, and that routing, security groups and firewalls let Rollcall reach the server.',
    });
  }
  return connectionLost(server, `the connection broke (${code || messageOf(error)})`, cause);
}

const BIND_ADVICE: Readonly<Partial<Record<RejectionReason, string>>> = {
  passwordExpired:
    'The password of the bind DN has expired. Set a new one, and exempt the account from password expiry.',
  passwordMustChange:
    'The server demands a new password for the bind DN. Change the password, then enter it in the settings.',
  accountLocked: 'The account of the bind DN is locked. Unlock it, and find out who tries wrong passwords for it.',
  accountDisabled: 'The account of the bind DN is disabled. Enable it, or enter another bind DN.',
  accountExpired: 'The account of the bind DN has expired. Extend it, or enter another bind DN.',
};

/**
 * The fault for a bind with the bind DN that was not accepted: bindRefused, encryptionRequired or directoryError.
 * @param reason what the server says about the account, if it says anything
 */
export function administratorBindFault(
  status: number,
  diagnostic: string,
  reason: RejectionReason | null,
  server: string,
): ServiceError {
  const what = `${server}: the bind with the bind DN returned ${describeResult(status, diagnostic)}`;
  switch (status) {
    case RESULT.success:
    case RESULT.invalidCredentials:
    case RESULT.noSuchObject:
    case RESULT.invalidDnSyntax:
    case RESULT.inappropriateAuthentication:
    case RESULT.noSuchAttribute:
    case RESULT.constraintViolation:
    case RESULT.insufficientAccessRights:
      return bindRefused(what, reason);
    case RESULT.unwillingToPerform:
      // Only the message can blame the account. Without one, the server is in trouble.
      return reason === null ? resultFault(status, what) : bindRefused(what, reason);
    default:
      return resultFault(status, what);
  }
}

function bindRefused(what: string, reason: RejectionReason | null): ServiceError {
  return new ServiceError('bindRefused', what, {
    advice:
      (reason && BIND_ADVICE[reason]) ??
      'Check the bind DN and its password, and whether the account is locked or has expired.',
  });
}

/**
 * The fault for a search without success: baseNotFound, readRefused, encryptionRequired or directoryError.
 * @param searched for example "the search below dc=example,dc=com"
 */
export function searchFault(status: number, diagnostic: string, server: string, searched: string): ServiceError {
  const what = `${server}: ${searched} returned ${describeResult(status, diagnostic)}`;
  switch (status) {
    case RESULT.noSuchObject:
    case RESULT.invalidDnSyntax:
      return new ServiceError('baseNotFound', what, {
        advice:
          'Check the base DN and the right of the bind DN to read it: without that right, servers hide the entry.',
      });
    case RESULT.referral:
      return new ServiceError('baseNotFound', what, {
        advice: 'This server does not hold the base DN. Enter the server that does.',
      });
    case RESULT.insufficientAccessRights:
    case RESULT.operationsError:
    case RESULT.sizeLimitExceeded:
    case RESULT.timeLimitExceeded:
    case RESULT.adminLimitExceeded:
      return new (TROUBLE.has(status) ? ServerTrouble : ServiceError)('readRefused', what, {
        advice: 'Give the bind DN the right to read the base, and limits high enough to read all of it.',
      });
    default:
      return resultFault(status, what);
  }
}

function resultFault(status: number, what: string): ServiceError {
  if (status === RESULT.confidentialityRequired || status === RESULT.strongerAuthRequired) {
    return encryptionRequired(what);
  }
  return directoryError(what, status);
}

/** The server refuses a bind without encryption. */
export function encryptionRequired(what: string): ServiceError {
  return new ServiceError('encryptionRequired', what, {
    advice: 'The server accepts passwords over encrypted connections only. Choose StartTLS or LDAPS.',
  });
}

/**
 * Any other result that is a fault of the server. Retryable only for `busy` and `unavailable`.
 * @param movesOn whether another server may do better; default: by the result
 */
export function directoryError(what: string, status: number, movesOn = TROUBLE.has(status)): ServiceError {
  return new (movesOn ? ServerTrouble : ServiceError)('directoryError', what, {
    retryable: status === RESULT.busy || status === RESULT.unavailable,
    advice: "Look up the result code and the message in the server's documentation, and check the server's log.",
  });
}

/** The code of an error of Node.js; empty if it has none. */
export function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

/** The message of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
