/**
 * Translates failures of TLS into faults that name the cause and what to do: certificates, versions, alerts, and ports
 * of the other encryption. Knows the words of Node.js and OpenSSL; opens no connection.
 */
import { isIP } from 'node:net';
import { ServiceError } from '../errors.ts';
import { withoutControls } from '../printable.ts';
import { type BundleFinding, inspectBundle } from '../settings/ca-certificates.ts';
import type { ConnectionSettings } from '../settings/settings.ts';
import { errorCode, messageOf, networkFault, notLdap, seconds } from './fault.ts';

/** A handshake that failed. */
export interface FailedHandshake {
  readonly settings: Pick<ConnectionSettings, 'encryption' | 'caCertificates'>;
  /** The bytes that came from the server since the handshake began. */
  readonly received: number;
}

// How the codes of OpenSSL's verification (X509_verify_cert_error_string) and of Node's name check (node:tls) begin.
// Node.js calls all that it has no name for UNSPECIFIED, among them keys and signatures that are too weak.
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
  'UNSPECIFIED',
];

/**
 * The fault for an error of a TLS handshake: certificateRefused, tlsRefused, notLdap or connectionLost. A ServiceError
 * is returned unchanged.
 */
export function tlsFault(error: unknown, server: string, handshake: FailedHandshake): ServiceError {
  if (error instanceof ServiceError) return error;
  const code = errorCode(error);
  if (CERTIFICATE_FAULTS.some((prefix) => code.startsWith(prefix))) {
    const what = `${code}: ${withoutHint(messageOf(error))}`;
    return new ServiceError('certificateRefused', `${server}: its certificate is not trusted (${what})`, {
      cause: error,
      advice: certificateAdvice(code, error, handshake.settings.caCertificates),
    });
  }
  if (isOpenSslError(code)) return openSslFault(error, server, isAgreed(handshake));
  return closedInHandshake(server, code || messageOf(error), handshake, error);
}

/**
 * The fault for an error of a socket that LDAP is spoken on. In TLS 1.3 a server refuses a client after the client's
 * handshake has ended (RFC 8446 section 4.4.2.4). A ServiceError is returned unchanged.
 * @param isUnheard whether nothing has come from the server, beside TLS
 */
export function socketFault(error: unknown, server: string, isUnheard: boolean, isEncrypted: boolean): ServiceError {
  const code = errorCode(error);
  if (isUnheard && isOpenSslError(code)) return openSslFault(error, server, true);
  if (isUnheard && (code === 'ECONNRESET' || code === 'EPIPE')) return closedUnheard(server, isEncrypted, error);
  return networkFault(error, server);
}

/** The server accepted the connection but did not finish the TLS handshake in time. Retryable. */
export function handshakeTimeout(server: string, ms: number): ServiceError {
  return new ServiceError('connectionTimeout', `${server}: no end of the TLS handshake within ${seconds(ms)}`, {
    retryable: true,
    advice:
      'The server accepts connections but does not finish the TLS handshake. Check that the port is the one for ' +
      'LDAPS (usually 636) or supports StartTLS (usually 389), and the load of the server.',
  });
}

/** The server closed the connection before it answered anything. `isEncrypted`: whether TLS was in use. Retryable. */
export function closedUnheard(server: string, isEncrypted: boolean, cause?: unknown): ServiceError {
  return new ServiceError('connectionLost', `${server}: the server closed the connection before its first answer`, {
    cause,
    retryable: true,
    advice: isEncrypted
      ? `Check the server's log. It may demand a client certificate. ${NO_CLIENT_CERTIFICATE}`
      : "Check the server's log and the firewalls on the way. If the port is the one for LDAPS (usually 636), set " +
        'encryption to "ssl".',
  });
}

/** The fault for the first bytes of a server, if they are no LDAP (RFC 4511 section 4.1.1: a SEQUENCE); else null. */
export function firstBytesFault(data: Uint8Array, server: string): ServiceError | null {
  if (data[0] === 0x30) return null;
  // A record of TLS: an alert (21) or a handshake (22), version 3.x (RFC 8446 section 5.1).
  if ((data[0] === 21 || data[0] === 22) && data[1] === 3) {
    return new ServiceError('notLdap', `${server}: the service on this port expects TLS`, {
      advice: 'Set encryption to "ssl", or enter the port for LDAP and StartTLS (usually 389).',
    });
  }
  return notLdap(server, 'the service on this port does not speak LDAP');
}

const NO_CLIENT_CERTIFICATE =
  'Rollcall has none, so configure the server not to demand it (OpenLDAP: TLSVerifyClient never or try; 389 ' +
  'Directory Server: nsSSLClientAuth allowed).';

const STRONGER =
  'Enable TLS 1.2 or later on the server, with ECDHE ciphers; Rollcall refuses older versions and weak ciphers.';

/** Alerts of TLS (RFC 8446 section 6.2). */
const ALERT = { handshakeFailure: 40, protocolVersion: 70, insufficientSecurity: 71, unrecognizedName: 112 } as const;

/** no_certificate, bad, unsupported, revoked, expired, unknown, unknown_ca, access_denied, certificate_required. */
const CLIENT_CERTIFICATE_ALERTS: ReadonlySet<number> = new Set([41, 42, 43, 44, 45, 46, 48, 49, 116]);

/**
 * Whether the server had sent more than an alert, that is, its hello and its certificate: then it had agreed to a
 * version and a cipher, and what it missed is a certificate of the client's.
 */
function isAgreed({ received }: FailedHandshake): boolean {
  return received > ALERT_BYTES;
}

/** A record with an alert (RFC 8446 sections 5.1 and 6): 5 bytes of header, level, description. */
const ALERT_BYTES = 7;

function isOpenSslError(code: string): boolean {
  return code.startsWith('ERR_SSL_') || code === 'EPROTO';
}

/**
 * By OpenSSL's words, because Node.js changes the codes made of them from version to version.
 * @param hasAgreed whether the server had agreed to a version and a cipher
 */
function openSslFault(error: unknown, server: string, hasAgreed: boolean): ServiceError {
  const message = messageOf(error);
  const code = errorCode(error);
  const refused = (what: string, advice: string): ServiceError =>
    new ServiceError('tlsRefused', `${server}: ${what} (${code})`, { cause: error, advice });

  const alert = /SSL alert number (\d+)/u.exec(message)?.[1];
  if (alert !== undefined) {
    const number = Number(alert);
    if (CLIENT_CERTIFICATE_ALERTS.has(number) || (number === ALERT.handshakeFailure && hasAgreed)) {
      return refused('the server demands a client certificate', NO_CLIENT_CERTIFICATE);
    }
    switch (number) {
      case ALERT.handshakeFailure:
      case ALERT.insufficientSecurity:
        return refused('the server accepts none of the TLS versions and ciphers offered', STRONGER);
      case ALERT.protocolVersion:
        return refused('the server supports TLS 1.1 at most', STRONGER);
      case ALERT.unrecognizedName:
        return refused(
          'the server has no certificate for this name',
          'In the settings, write the server with a name that it has a certificate for.',
        );
      default:
        return refused(`the server ended the TLS handshake with alert ${alert}`, "Check the server's log.");
    }
  }
  if (/wrong version number|packet length too long|http request/iu.test(message)) {
    return notLdap(server, `the service on this port does not speak TLS (${code})`, error);
  }
  if (/unsupported protocol|version too low/iu.test(message)) {
    return refused('the server supports TLS 1.1 at most', STRONGER);
  }
  if (/too small|too weak|legacy|signature type|signature algorithm/iu.test(message)) {
    return refused('the server uses cryptography that is too weak', STRONGER);
  }
  return refused('the TLS handshake failed', "Check the server's log and its TLS settings.");
}

/** The server, or something on the way, closed the connection in the handshake without saying why. */
function closedInHandshake(server: string, code: string, handshake: FailedHandshake, cause: unknown): ServiceError {
  const [what, advice] = isAgreed(handshake)
    ? [
        'after it had sent its certificate',
        `Check the server's log. It may demand a client certificate. ${NO_CLIENT_CERTIFICATE}`,
      ]
    : handshake.settings.encryption === 'ssl'
      ? [
          'instead of answering the TLS handshake',
          'Check that the port is the one for LDAPS (usually 636), and that the server has a certificate: without ' +
            'one, Active Directory closes such connections. Then check the firewalls on the way.',
        ]
      : [
          'after it had agreed to StartTLS',
          "Check the server's log, its certificate and its TLS settings. Then check the firewalls on the way.",
        ];
  return new ServiceError('connectionLost', `${server}: the server closed the connection ${what} (${code})`, {
    cause,
    retryable: true,
    advice,
  });
}

/** Node.js appends a command line option for itself, which an administrator can't use. */
function withoutHint(message: string): string {
  return message.replace(/; if the root CA is installed locally.*$/s, '').trim();
}

function certificateAdvice(code: string, error: unknown, bundle: string): string {
  const findings = inspectBundle(bundle, new Date());
  const found = (kind: BundleFinding['kind']): string[] =>
    findings.filter((one) => one.kind === kind).map(({ sentence }) => sentence);
  const say = (...sentences: readonly string[]): string => sentences.join(' ');

  switch (code) {
    case 'CERT_HAS_EXPIRED': {
      const expired = found('expired');
      return expired.length > 0
        ? say(...expired, "Renew the server's certificate if it has expired, too.")
        : "Renew the server's certificate, or the one of its authority that the server sends with it. If both are " +
            'valid, check the clocks.';
    }
    case 'CERT_NOT_YET_VALID':
      return say(
        ...found('notYetValid'),
        "Wait until the server's certificate is valid, or replace it. If it should be valid, check the clocks.",
      );
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
    case 'HOSTNAME_MISMATCH':
      return nameAdvice(error as NameMismatch);
    case 'INVALID_PURPOSE':
      return say(
        ...found('notAuthority'),
        'Give the server a certificate that is made for servers (extended key usage serverAuth), signed by an ' +
          'authority whose own certificate allows it to sign.',
      );
    case 'INVALID_CA':
    case 'PATH_LENGTH_EXCEEDED':
      return 'An authority in the chain may not sign this certificate. Have it signed by one that may.';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return (
        'The server has signed its certificate itself. Add this certificate to caCertificates in the settings, or ' +
        'give the server one that an authority has signed.'
      );
    case 'CERT_SIGNATURE_FAILURE':
      return (
        'The authority in caCertificates has the name of the one that signed it, but another key. Replace it with ' +
        'the certificate that the authority uses now.'
      );
    case 'UNABLE_TO_GET_ISSUER_CERT': {
      const missing = found('issuerMissing');
      if (missing.length > 0) return say(...missing);
      return 'Add the certificates of all authorities above it, up to the root, to caCertificates in the settings.';
    }
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return say(
        ...(bundle === '' ? [] : ['None of the certificates in caCertificates signed it.', ...found('notAuthority')]),
        'Add the certificate of the authority that signed it, and of those above it, to caCertificates in the ' +
          'settings.',
      );
    default:
      return weaknessAdvice(messageOf(error)) ?? "Replace the server's certificate, or have its authority look at it.";
  }
}

/** OpenSSL's security level 2 (SSL_CTX_set_security_level): no RSA key below 2048 bits, no SHA-1 and no MD5. */
function weaknessAdvice(message: string): string | null {
  if (/digest algorithm too weak/iu.test(message)) {
    return (
      'It, or the certificate of an authority below the root, is signed with SHA-1 or MD5. Have it signed anew, ' +
      'with SHA-256.'
    );
  }
  if (!/key too weak/iu.test(message)) return null;
  return message.startsWith('CA ')
    ? 'The key of its authority is too short. Use an authority with an RSA key of at least 2048 bits, or with ECDSA.'
    : 'Its key is too short. Make a new one with an RSA key of at least 2048 bits, or with ECDSA.';
}

/** What Node.js adds to the error of its name check. */
interface NameMismatch {
  readonly host?: string;
  readonly cert?: { readonly subjectaltname?: string };
}

function nameAdvice({ host = '', cert }: NameMismatch): string {
  const names = [...(cert?.subjectaltname ?? '').matchAll(/(?:DNS|IP Address):([^,\s]+)/gu)].map(([, name]) => name!);
  const shown = withoutControls(names.join(', '));
  const rule =
    isIP(host) === 0
      ? ''
      : 'An IP address counts only as a subject alternative name of type IP address, never as the common name. ';
  return shown === ''
    ? `${rule}The certificate contains no such name. Make one with ${host} as subject alternative name.`
    : `${rule}In the settings, write the server with a name that its certificate contains: ${shown}.`;
}
