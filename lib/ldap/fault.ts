/**
 * Translates what sockets, TLS and LDAP result codes report into the faults of this system, in words for an administrator.
 * Knows nothing of passwords: no text that comes in here may hold one.
 */
import { withoutControls } from '../printable.ts';
import { type DirectoryFaultCode, ServiceError } from '../errors.ts';
import type { RejectionReason } from '../directory/directory.ts';

/** Result codes of RFC 4511 section 4.1.9 that this system tells apart. */
export const RESULT = {
  success: 0,
  operationsError: 1,
  timeLimitExceeded: 3,
  sizeLimitExceeded: 4,
  strongerAuthRequired: 8,
  referral: 10,
  adminLimitExceeded: 11,
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
} as const;

/** A search that ends with one of these has shown a part of what there is. */
export const LIMIT_RESULTS: ReadonlySet<number> = new Set([
  RESULT.timeLimitExceeded,
  RESULT.sizeLimitExceeded,
  RESULT.adminLimitExceeded,
]);

const RESULT_NAMES = new Map<number, string>(Object.entries(RESULT).map(([name, code]) => [code, name]));

/** A result code as people look it up, with the server's own words where it has any. */
export function describeResult(status: number, diagnostic: string): string {
  const name = RESULT_NAMES.get(status);
  const code = name === undefined ? `result code ${status}` : `${name} (${status})`;
  // AD ends its diagnostics with a NUL and a line feed.
  const words = withoutControls(diagnostic);
  return words === '' ? code : `${code}: ${words}`;
}

/**
 * Whether another server of the same directory may do better. A refused bind or an unknown base is the same everywhere, and
 * trying the same wrong password on every server would lock the account out.
 */
export function isServerFault(error: unknown): error is ServiceError {
  if (!(error instanceof ServiceError)) return false;
  return error.retryable || SERVER_FAULTS.has(error.code);
}

const SERVER_FAULTS: ReadonlySet<string> = new Set<DirectoryFaultCode>([
  'hostNotFound',
  'connectionRefused',
  'notLdap',
  'startTlsRefused',
  'certificateRefused',
]);

export function connectionLost(server: string, what: string, cause?: unknown): ServiceError {
  return new ServiceError('connectionLost', `${server}: ${what}`, {
    cause,
    retryable: true,
    advice: "Check the server's log and the firewalls on the way, and that the port matches the encryption.",
  });
}

export function operationTimeout(server: string, doing: string, ms: number): ServiceError {
  return new ServiceError('operationTimeout', `${server}: no answer to ${doing} within ${seconds(ms)}`, {
    retryable: true,
    advice: 'The server accepts connections but answers too late or not at all. Check its load, or raise the time-out.',
  });
}

export function connectionTimeout(server: string, ms: number): ServiceError {
  return new ServiceError('connectionTimeout', `${server}: no connection within ${seconds(ms)}`, {
    retryable: true,
    advice: 'Check host and port, and that routing, security groups and firewalls let Rollcall reach the server.',
  });
}

export function notLdap(server: string, what: string, cause?: unknown): ServiceError {
  return new ServiceError('notLdap', `${server}: ${what}`, {
    cause,
    advice: 'Check the port: LDAP and StartTLS use 389, LDAPS uses 636. Check that the port matches the encryption.',
  });
}

function seconds(ms: number): string {
  return `${Math.max(0, Math.round(ms / 100) / 10)} s`;
}

/** What went wrong while a name was resolved or a connection was made. */
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

// What OpenSSL's verification and Node's check of the name report (X509_verify_cert_error_string; node:tls).
const CERTIFICATE_FAULTS: readonly string[] = [
  'CERT_',
  'UNABLE_TO_',
  'DEPTH_ZERO_',
  'SELF_SIGNED_',
  'CRL_',
  'ERROR_IN_CERT_',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'HOSTNAME_MISMATCH',
  'PATH_LENGTH_',
  'ERR_TLS_CERT_',
];

/** What went wrong in a TLS handshake. */
export function tlsFault(error: unknown, server: string): ServiceError {
  if (error instanceof ServiceError) return error;
  const code = errorCode(error);
  if (CERTIFICATE_FAULTS.some((prefix) => code.startsWith(prefix))) {
    return new ServiceError(
      'certificateRefused',
      `${server}: its certificate is not trusted (${code}: ${withoutHint(messageOf(error))})`,
      {
        cause: error,
        advice: certificateAdvice(code),
      },
    );
  }
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO') {
    return notLdap(server, `the TLS handshake failed (${code})`, error);
  }
  return connectionLost(server, `the connection ended during the TLS handshake (${code || messageOf(error)})`, error);
}

/** Node.js adds what to start it with, which is no advice for an administrator. */
function withoutHint(message: string): string {
  return message.replace(/; if the root CA is installed locally.*$/s, '');
}

function certificateAdvice(code: string): string {
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return "Renew the server's certificate. If it is valid, check the clocks.";
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID' || code === 'HOSTNAME_MISMATCH') {
    return 'In the settings, write the server with a name that its certificate contains.';
  }
  return 'Add the certificate of the authority that signed it to caCertificates in the settings.';
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
 * What a bind as the administrative DN that was not accepted means.
 * @param reason what the server says of the account, if it says anything
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
    case RESULT.unwillingToPerform:
      return new ServiceError('bindRefused', what, {
        advice:
          (reason && BIND_ADVICE[reason]) ??
          'Check the bind DN and its password, and whether the account is locked or has expired.',
      });
    default:
      return resultFault(status, what);
  }
}

/** What a search that was not successful means. `searched`: for example "the search below dc=example,dc=com". */
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
      return new ServiceError('readRefused', what, {
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

export function encryptionRequired(what: string): ServiceError {
  return new ServiceError('encryptionRequired', what, {
    advice: 'The server accepts passwords over encrypted connections only. Choose StartTLS or LDAPS.',
  });
}

/** A result that stands for trouble of the server. Only `busy` and `unavailable` are worth asking again. */
export function directoryError(what: string, status: number): ServiceError {
  return new ServiceError('directoryError', what, {
    retryable: status === RESULT.busy || status === RESULT.unavailable,
    advice: "Look up the result code and the message in the server's documentation, and check the server's log.",
  });
}

function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
