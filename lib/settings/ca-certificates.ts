/**
 * The bundle of certificates that the settings trust instead of the system's: its parts, and what is wrong with them.
 * Knows no connection.
 */
import { X509Certificate } from 'node:crypto';
import { withoutControls } from '../printable.ts';

const DAY_MS = 86_400_000;
/** A certificate with fewer days left causes a warning. */
export const FEW_DAYS = 30;
/** OpenSSL's security level 2 refuses shorter RSA and DSA keys; NIST SP 800-131A disallows them. */
const SHORTEST_KEY_BITS = 2_048;

const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/u;
/** The labels that OpenSSL reads (PEM_read_bio_X509_AUX), up to the next one. */
const BEGINNING = /(?=-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----)/u;
const CERTIFICATE = /^-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----.*?-----END \1-----/su;

/** Something about one certificate of a bundle that keeps it from being of use, now or soon. */
export interface BundleFinding {
  readonly kind: 'expired' | 'notYetValid' | 'expiresSoon' | 'notAuthority' | 'issuerMissing' | 'weak';
  /** What is wrong and what to do, as whole sentences. */
  readonly sentence: string;
}

/**
 * The PEM certificates of a bundle, each by itself, without the text between them. OpenSSL stops reading a whole bundle
 * at the first thing that it can't read, and says nothing of what it leaves out.
 */
export function certificatesIn(bundle: string): readonly string[] {
  return blocksOf(bundle).flatMap((block) => CERTIFICATE.exec(block)?.[0] ?? []);
}

/** Why a bundle can't be used, worded to follow the name of the field; null if it can. */
export function bundleFault(bundle: string): string | null {
  if (PRIVATE_KEY.test(bundle)) return 'must not contain a private key; keep only certificates';
  const blocks = blocksOf(bundle);
  if (blocks.length === 0) return 'must contain a PEM certificate (-----BEGIN CERTIFICATE-----)';
  const broken = blocks.findIndex((block) => readCertificate(CERTIFICATE.exec(block)?.[0] ?? '') === null);
  return broken === -1 ? null : `certificate ${broken + 1} of ${blocks.length} can't be read; copy it again`;
}

/** What is wrong with the certificates of a bundle that can be read, in their order. */
export function inspectBundle(bundle: string, now: Date): readonly BundleFinding[] {
  const certificates = certificatesIn(bundle).flatMap((pem) => readCertificate(pem) ?? []);
  return certificates.flatMap((certificate) => inspect(certificate, certificates, now));
}

function inspect(certificate: X509Certificate, all: readonly X509Certificate[], now: Date): BundleFinding[] {
  const name = `The certificate of ${nameIn(certificate.subject)} in caCertificates`;
  const findings: BundleFinding[] = [];
  const find = (kind: BundleFinding['kind'], what: string): void => {
    findings.push({ kind, sentence: `${name} ${what}` });
  };
  const { validFromDate, validToDate, publicKey } = certificate;
  const daysLeft = Math.floor((validToDate.getTime() - now.getTime()) / DAY_MS);
  if (validToDate < now) find('expired', `expired on ${day(validToDate)}. Replace it with the present one.`);
  else if (validFromDate > now) find('notYetValid', `is valid only from ${day(validFromDate)}. Add the present one.`);
  else if (daysLeft < FEW_DAYS) find('expiresSoon', `expires in ${daysLeft} days. Add the one that follows it.`);
  const bits = publicKey.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < SHORTEST_KEY_BITS) {
    find('weak', `has a key of ${bits} bits, which TLS refuses. Use an authority with at least ${SHORTEST_KEY_BITS}.`);
  }
  // Trusted as what it is: the certificate of one server, or of an authority.
  if (isIssuedBy(certificate, certificate)) return findings;
  const issuer = nameIn(certificate.issuer);
  if (!certificate.ca) {
    find('notAuthority', `is a server's, and trusts nobody. Replace it with the one of its authority, ${issuer}.`);
  } else if (!all.some((other) => other !== certificate && isSubstitute(other, certificate))) {
    find('issuerMissing', `counts only together with the one of its issuer, ${issuer}. Add that, up to the root.`);
  }
  return findings;
}

/** Whether this is the issuer of the certificate, or the same authority, signed by somebody else. */
function isSubstitute(other: X509Certificate, certificate: X509Certificate): boolean {
  return (
    isIssuedBy(certificate, other) ||
    (other.subject === certificate.subject && other.publicKey.equals(certificate.publicKey))
  );
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.issuer === issuer.subject && certificate.verify(issuer.publicKey);
}

function blocksOf(bundle: string): readonly string[] {
  return bundle.split(BEGINNING).filter((part) => part.search(BEGINNING) === 0);
}

/** null also for a certificate whose kind of key OpenSSL does not know: then nothing can be verified with it. */
function readCertificate(pem: string): X509Certificate | null {
  try {
    const certificate = new X509Certificate(pem);
    return certificate.publicKey === undefined ? null : certificate;
  } catch {
    return null;
  }
}

/** The common name, else the whole name, of a subject as Node.js writes it: one part a line. */
function nameIn(subject: string | undefined): string {
  return withoutControls(/^CN=(.+)$/mu.exec(subject ?? '')?.[1] ?? subject ?? '') || 'no name';
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
