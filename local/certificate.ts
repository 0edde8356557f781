/**
 * Makes certificates: an authority and a server certificate that it signed. For local directories and for tests;
 * discards the authority's key.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import forge from 'node-forge';

const DAY_MS = 86_400_000;

/** Options of the server certificate. */
export interface CertificateOptions {
  /** DNS names and IP addresses of the server. Default: localhost and the loopback addresses. */
  readonly names?: readonly string[];
  /** Validity of the server certificate. Default: from yesterday, for a year. */
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

/** All PEM. */
export interface Certificates {
  readonly caPem: string;
  readonly certificatePem: string;
  readonly keyPem: string;
}

/**
 * A new authority and a server certificate. Each call makes another authority: clients that trust an earlier one do not
 * trust this certificate.
 */
export function makeCertificates(options: CertificateOptions = {}): Certificates {
  const names = options.names ?? ['localhost', '127.0.0.1', '::1'];
  const notBefore = options.notBefore ?? new Date(Date.now() - DAY_MS);
  const notAfter = options.notAfter ?? new Date(Date.now() + 365 * DAY_MS);
  const authorityName = [{ name: 'commonName', value: 'Local Test Authority' }];
  const authority = newKeyPair();
  const server = newKeyPair();

  const caPem = sign({
    publicKey: authority.publicKey,
    subject: authorityName,
    issuer: authorityName,
    signingKey: authority.privateKey,
    notBefore: new Date(Math.min(notBefore.getTime(), Date.now() - DAY_MS)),
    notAfter: new Date(Date.now() + 365 * DAY_MS),
    extensions: [
      { name: 'basicConstraints', critical: true, cA: true },
      { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
      { name: 'subjectKeyIdentifier' },
    ],
  });
  const certificatePem = sign({
    publicKey: server.publicKey,
    subject: [{ name: 'commonName', value: names[0] ?? 'localhost' }],
    issuer: authorityName,
    signingKey: authority.privateKey,
    notBefore,
    notAfter,
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
      { name: 'extKeyUsage', serverAuth: true },
      // GeneralName choices of RFC 5280 section 4.2.1.6: 2 = DNS name, 7 = IP address.
      {
        name: 'subjectAltName',
        altNames: names.map((name) => (isIP(name) ? { type: 7, ip: name } : { type: 2, value: name })),
      },
    ],
  });
  return { caPem, certificatePem, keyPem: server.keyPem };
}

/**
 * Certificate and key as PKCS #12 (RFC 7292), for servers that need this format. `friendlyName`: the name of the entry.
 */
export function makeKeyStore({ certificatePem, keyPem }: Certificates, friendlyName: string, password: string): Buffer {
  const store = forge.pkcs12.toPkcs12Asn1(
    forge.pki.privateKeyFromPem(keyPem),
    [forge.pki.certificateFromPem(certificatePem)],
    password,
    { friendlyName, algorithm: '3des' },
  );
  return Buffer.from(forge.asn1.toDer(store).getBytes(), 'binary');
}

interface SigningRequest {
  readonly publicKey: forge.pki.PublicKey;
  readonly subject: forge.pki.CertificateField[];
  readonly issuer: forge.pki.CertificateField[];
  readonly signingKey: forge.pki.rsa.PrivateKey;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly object[];
}

function sign(request: SigningRequest): string {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = request.publicKey;
  // The first byte makes the number positive (RFC 5280 section 4.1.2.2).
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`;
  certificate.validity.notBefore = request.notBefore;
  certificate.validity.notAfter = request.notAfter;
  certificate.setSubject(request.subject);
  certificate.setIssuer(request.issuer);
  certificate.setExtensions([...request.extensions]);
  certificate.sign(request.signingKey, forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate);
}

function newKeyPair(): { publicKey: forge.pki.PublicKey; privateKey: forge.pki.rsa.PrivateKey; keyPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  return {
    publicKey: forge.pki.publicKeyFromPem(publicKey),
    privateKey: forge.pki.privateKeyFromPem(privateKey),
    keyPem: privateKey,
  };
}
