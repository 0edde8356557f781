/**
 * Decides whether a document may be used with the stored bind password, or whether the password has to be typed again,
 * so that nobody who edits the settings can send the stored one to a place that its owner has not chosen. Never sees
 * a password, and asks no server.
 */
import { dnKey } from '../distinguished-name.ts';
import { canonicalAddress } from '../ip-address.ts';
import { parseServerAddress } from '../settings/server-address.ts';
import type { ConnectionSettings } from '../settings/settings.ts';

/** What decides where a password goes, and how well it is protected on its way. */
export type PasswordRoute = Pick<
  ConnectionSettings,
  'servers' | 'encryption' | 'ignoreCertificateWarnings' | 'caCertificates' | 'administrativeDn'
>;

/** `ssl` protects as `tls` does: with `tls`, nothing is sent before StartTLS has succeeded. */
const PROTECTION: Readonly<Record<ConnectionSettings['encryption'], number>> = { none: 0, tls: 1, ssl: 1 };

/**
 * Why these settings need the bind password typed again, as clauses that follow "because"; empty if the stored one may
 * be used. What is equal in meaning is no change: other orders of servers, letter case of hosts, spellings of IP
 * addresses, default ports (RFC 4516 section 2), spellings of a DN (RFC 4514), white space in a PEM bundle (RFC 7468).
 * A host with a dot at its end is another one: the resolver may complete the name without it.
 */
export function reasonsToRetype(stored: PasswordRoute, next: PasswordRoute): readonly string[] {
  // Without a bind DN, no password is sent.
  if (next.administrativeDn === '') return [];
  const known = new Set(stored.servers.map((name) => endpointKey(name, stored.encryption)));
  const added = next.servers.filter((name) => !known.has(endpointKey(name, next.encryption)));
  const reasons = added.map((name) => `${describeServer(name, next.encryption)} is new`);
  if (PROTECTION[next.encryption] < PROTECTION[stored.encryption]) reasons.push('the encryption is weaker');
  if (next.ignoreCertificateWarnings && !stored.ignoreCertificateWarnings) {
    reasons.push('ignoreCertificateWarnings is set');
  }
  if (bundleKey(next.caCertificates) !== bundleKey(stored.caCertificates)) reasons.push('caCertificates has changed');
  if (dnKey(next.administrativeDn) !== dnKey(stored.administrativeDn)) reasons.push('administrativeDn has changed');
  return reasons;
}

function endpointKey(name: string, encryption: ConnectionSettings['encryption']): string {
  const parsed = parseServerAddress(name, encryption);
  // An earlier version may have stored what is refused today. Nothing that can be saved equals it.
  if (parsed.kind === 'fault') return name;
  const { host, port } = parsed.address;
  return `[${canonicalAddress(host) ?? host.toLowerCase()}]:${port}`;
}

function describeServer(name: string, encryption: ConnectionSettings['encryption']): string {
  const parsed = parseServerAddress(name, encryption);
  return parsed.kind === 'fault' ? name : `${parsed.address.host}, port ${parsed.address.port},`;
}

/**
 * The bundle without what does not matter: white space within a certificate, and the amount of it elsewhere. Everything
 * else counts, also text between the certificates, because TLS libraries read more kinds of blocks than we do.
 */
function bundleKey(bundle: string): string {
  return bundle
    .replaceAll(/(-----BEGIN [^-]+-----)([^-]*)(-----END [^-]+-----)/g, (_block, begin, body: string, end) =>
      [begin, body.replaceAll(/\s/g, ''), end].join(''),
    )
    .replaceAll(/\s+/g, ' ')
    .trim();
}
