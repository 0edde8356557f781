/** Makes certificates with every flaw that a directory's certificate has in the field. Knows no server. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import forge from 'node-forge';

const DAY_MS = 86_400_000;

/** A certificate and its key, both PEM. */
export interface Issued {
  readonly pem: string;
  readonly keyPem: string;
  readonly commonName: string;
}

export interface CertificateWish {
  readonly commonName?: string;
  /** Default: itself. */
  readonly issuer?: Issued;
  readonly isAuthority?: boolean;
  /** Length of the RSA key. Default 2048. */
  readonly bits?: number;
  readonly digest?: 'sha256' | 'sha1' | 'md5';
  /** Days from now. Default: from yesterday, for a year. */
  readonly validFrom?: number;
  readonly validTo?: number;
  /** DNS names and IP addresses. Default for a server: localhost and 127.0.0.1. */
  readonly names?: readonly string[];
  readonly purpose?: 'server' | 'client';
}

let made = 0;

/** A new certificate with a key of its own. */
export function issue(wish: CertificateWish = {}): Issued {
  const { isAuthority = false, bits = 2048, digest = 'sha256', validFrom = -1, validTo = 365, issuer } = wish;
  const { names = ['localhost', '127.0.0.1'], purpose = 'server' } = wish;
  const commonName = wish.commonName ?? `${isAuthority ? 'Authority' : 'server'} ${(made += 1)}`;
  const { publicKey, privateKey: keyPem } = generateKeyPairSync('rsa', {
    modulusLength: bits,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = `01${randomBytes(8).toString('hex')}`;
  certificate.validity.notBefore = new Date(Date.now() + validFrom * DAY_MS);
  certificate.validity.notAfter = new Date(Date.now() + validTo * DAY_MS);
  certificate.setSubject([{ name: 'commonName', value: commonName }]);
  certificate.setIssuer([{ name: 'commonName', value: issuer?.commonName ?? commonName }]);
  const altNames = names.map((name) => (isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name }));
  certificate.setExtensions([
    { name: 'basicConstraints', critical: isAuthority, cA: isAuthority },
    ...(isAuthority
      ? [{ name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true }]
      : [
          { name: 'extKeyUsage', [`${purpose}Auth`]: true },
          ...(altNames.length === 0 ? [] : [{ name: 'subjectAltName', altNames }]),
        ]),
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(issuer?.keyPem ?? keyPem), forge.md[digest].create());
  return { pem: forge.pki.certificateToPem(certificate), keyPem, commonName };
}
