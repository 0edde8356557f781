/**
 * What keeps TLS from working is told by its cause and with what to do about it: real TLS servers with every flaw, and
 * OpenLDAP where only a real directory shows what it does.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { ServiceError } from '../../lib/errors.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { socketFault } from '../../lib/ldap/tls-fault.ts';
import type { ConnectionSettings } from '../../lib/settings/settings.ts';
import { type Slapd, startSlapd } from '../../local/slapd.ts';
import { type Issued, issue } from '../support/authority.ts';
import { aSettings } from '../support/people.ts';
import { OFFERS_PAGING, startScriptedLdapServer } from '../support/scripted-ldap-server.ts';

type Connection = Partial<ConnectionSettings>;

/** Lets the server offer what Rollcall refuses. */
const LAX = { ciphers: 'ALL:@SECLEVEL=0' };

let root: Issued;
let issuing: Issued;
/** Issued by the root. */
let good: Issued;

beforeAll(() => {
  root = issue({ commonName: 'Root', isAuthority: true });
  issuing = issue({ commonName: 'Issuing', isAuthority: true, issuer: root });
  good = issue({ commonName: 'good', issuer: root });
});

async function listen(server: Server, { port = 0, host = '127.0.0.1' } = {}): Promise<number> {
  await once(server.listen(port, host), 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** A directory behind TLS. */
async function serve(
  own: Issued | null,
  chain: readonly Issued[] = [],
  options: TlsOptions = {},
  at?: Parameters<typeof listen>[1],
): Promise<number> {
  const ldap = await startScriptedLdapServer({ rootDse: OFFERS_PAGING });
  onTestFinished(() => ldap.stop());
  const pem = own === null ? {} : { cert: [own, ...chain].map((one) => one.pem).join(''), key: own.keyPem };
  const server = createTlsServer({ ...pem, ...options }, (secured) => {
    const behind = connect(ldap.port, '127.0.0.1');
    behind.on('error', () => {}).pipe(secured);
    secured.on('error', () => behind.destroy()).pipe(behind);
  });
  server.on('tlsClientError', () => {});
  return await listen(server, at);
}

/** A server that has its own way with the first bytes of a client. */
async function scripted(onHello: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {}).once('data', () => onHello(socket));
  });
  return await listen(server);
}

function open(port: number, over: Connection, host = '127.0.0.1') {
  const connection = {
    servers: [`${host}:${port}`],
    administrativeDn: '',
    encryption: 'ssl' as const,
    caCertificates: root.pem,
    ...over,
  };
  return openDirectory(aSettings({ connection }), '', () => new Date());
}

interface Cause {
  readonly code: string;
  /** The words that name the cause. */
  readonly cause: RegExp;
  /** What to do about it. */
  readonly advice: RegExp;
  /** The stage of the settings test. Default: tls. */
  readonly stage?: 'tls' | 'bind';
}

/** A read fails with the cause and the advice, and the settings test says the same. */
async function expectCause(port: number, over: Connection, cause: Cause, host?: string): Promise<void> {
  const directory = open(port, over, host);
  onTestFinished(() => directory.close());
  const fault: unknown = await directory.openReader().then(
    () => null,
    (error: unknown) => error,
  );
  expect(fault).toBeInstanceOf(ServiceError);
  const { code, message, advice } = fault as ServiceError;
  expect({ code, message, advice }).toEqual({
    code: cause.code,
    message: expect.stringMatching(cause.cause) as string,
    advice: expect.stringMatching(cause.advice) as string,
  });
  expect(advice).not.toMatch(/firewall/u);
  const { ok, stages } = await directory.test(10_000);
  expect(ok).toBe(false);
  expect(stages.at(-1)).toMatchObject({ name: cause.stage ?? 'tls', ok: false, code });
  expect(stages.at(-1)!.detail).toMatch(cause.cause);
  expect(stages.at(-1)!.detail).toMatch(cause.advice);
}

async function expectUsable(port: number, over: Connection = {}, host?: string): Promise<void> {
  const directory = open(port, over, host);
  onTestFinished(() => directory.close());
  const reader = await directory.openReader();
  await reader.close();
}

const refused = (cause: RegExp, advice: RegExp): Cause => ({ code: 'certificateRefused', cause, advice });
const tlsRefused = (cause: RegExp, advice: RegExp): Cause => ({ code: 'tlsRefused', cause, advice });

const KEY_TOO_SHORT = refused(/EE certificate key too weak/u, /key is too short.*RSA key of at least 2048 bits/u);
const DIGEST_TOO_WEAK = refused(/digest algorithm too weak/u, /SHA-1 or MD5.*SHA-256/u);
const DEMANDS_CERTIFICATE = /demands a client certificate/u;
const DEMAND_NONE = /Rollcall has none, so configure the server not to demand it.*TLSVerifyClient/u;

describe('a certificate that is too weak', () => {
  test('an RSA key of 1024 bits', async () => {
    const port = await serve(issue({ issuer: root, bits: 1024 }), [], LAX);
    await expectCause(port, {}, KEY_TOO_SHORT);
  });

  test('an RSA key of 1024 bits in a certificate that signed itself', async () => {
    const own = issue({ bits: 1024 });
    await expectCause(await serve(own, [], LAX), { caCertificates: own.pem }, KEY_TOO_SHORT);
  });

  test('an authority with an RSA key of 1024 bits, which the bundle names', async () => {
    const weak = issue({ commonName: 'Small', isAuthority: true, bits: 1024 });
    const port = await serve(issue({ issuer: weak }), [], LAX);
    const advice = /key of its authority is too short/u;
    await expectCause(port, { caCertificates: weak.pem }, refused(/CA certificate key too weak/u, advice));
  });

  test.each(['sha1', 'md5'] as const)('a signature with %s', async (digest) => {
    await expectCause(await serve(issue({ issuer: root, digest }), [], LAX), {}, DIGEST_TOO_WEAK);
  });

  test('a signature with SHA-1 on an authority that the server sends', async () => {
    const old = issue({ isAuthority: true, issuer: root, digest: 'sha1' });
    await expectCause(await serve(issue({ issuer: old }), [old], LAX), {}, DIGEST_TOO_WEAK);
  });

  test('a signature with SHA-1 on the root itself does no harm', async () => {
    const old = issue({ isAuthority: true, digest: 'sha1' });
    await expectUsable(await serve(issue({ issuer: old })), { caCertificates: old.pem });
  });
});

describe('names', () => {
  test('an IP address only in the common name', async () => {
    const port = await serve(issue({ issuer: root, commonName: '127.0.0.1', names: [] }));
    const advice = /type IP address, never as the common name.*contains no such name\. Make one with 127\.0\.0\.1/u;
    await expectCause(port, {}, refused(/127\.0\.0\.1 is not in the cert's list/u, advice));
  });

  test('an IP address only in the common name, beside a DNS name', async () => {
    const port = await serve(issue({ issuer: root, commonName: '127.0.0.1', names: ['ldap.example.org'] }));
    const advice = /type IP address, never as the common name.*contains: ldap\.example\.org\./u;
    await expectCause(port, {}, refused(/ERR_TLS_CERT_ALTNAME_INVALID/u, advice));
  });

  test('another DNS name, and which ones there are', async () => {
    const port = await serve(issue({ issuer: root, names: ['ldap.example.org', '10.0.0.1'] }));
    const advice = /In the settings, write .*contains: ldap\.example\.org, 10\.0\.0\.1\./u;
    await expectCause(port, {}, refused(/localhost/u, advice), 'localhost');
  });

  test('no name at all', async () => {
    const port = await serve(issue({ issuer: root, commonName: 'x', names: [] }));
    await expectCause(port, {}, refused(/ERR_TLS_CERT_ALTNAME_INVALID/u, /contains no such name/u), 'localhost');
  });

  test('a DNS name in the common name counts where there is no other', async () => {
    await expectUsable(await serve(issue({ issuer: root, commonName: 'localhost', names: [] })), {}, 'localhost');
  });

  test('a server that has no certificate for the name that was asked for', async () => {
    // A fatal alert, unrecognized_name (RFC 6066 section 3).
    const port = await scripted((socket) => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 112])));
    const advice = /write the server with a name that it has a certificate for/u;
    await expectCause(port, {}, tlsRefused(/no certificate for this name/u, advice), 'localhost');
  });
});

describe('who signed it', () => {
  test('an authority that the system does not know', async () => {
    const advice = /Add the certificate of the authority that signed it.*caCertificates/u;
    const cause = refused(/UNABLE_TO_VERIFY_LEAF_SIGNATURE/u, advice);
    await expectCause(await serve(good), { caCertificates: '' }, cause);
    await expectCause(await serve(good, [root]), { caCertificates: '' }, refused(/SELF_SIGNED_CERT_IN_CHAIN/u, advice));
  });

  test('none of those in the bundle', async () => {
    const other = issue({ isAuthority: true });
    const cause = refused(/UNABLE_TO_VERIFY_LEAF_SIGNATURE/u, /None of the certificates in caCertificates signed it/u);
    await expectCause(await serve(good), { caCertificates: other.pem }, cause);
  });

  test('an authority of the right name with another key', async () => {
    const renewed = issue({ commonName: 'Root', isAuthority: true });
    const cause = refused(/CERT_SIGNATURE_FAILURE/u, /has the name of the one that signed it, but another key/u);
    await expectCause(await serve(good), { caCertificates: renewed.pem }, cause);
  });

  test('itself; then its own certificate in the bundle is right', async () => {
    const own = issue();
    const cause = refused(/DEPTH_ZERO_SELF_SIGNED_CERT/u, /signed its certificate itself\. Add this certificate/u);
    await expectCause(await serve(own), { caCertificates: '' }, cause);
    await expectUsable(await serve(own), { caCertificates: own.pem });
  });

  test('an issuing authority, and the bundle has only that one', async () => {
    const own = issue({ issuer: issuing });
    const advice = /Issuing in caCertificates counts only together with the one of its issuer, Root\. Add that/u;
    const cause = refused(/UNABLE_TO_GET_ISSUER_CERT/u, advice);
    for (const chain of [[], [issuing], [issuing, root]]) {
      await expectCause(await serve(own, chain), { caCertificates: issuing.pem }, cause);
    }
    await expectUsable(await serve(own), { caCertificates: issuing.pem + root.pem });
  });

  test('an issuing authority that the server does not send, and the bundle has only the root', async () => {
    const own = issue({ issuer: issuing });
    const advice = /Add the certificate of the authority that signed it, and of those above it/u;
    await expectCause(await serve(own), {}, refused(/UNABLE_TO_VERIFY_LEAF_SIGNATURE/u, advice));
    await expectUsable(await serve(own, [issuing]));
  });

  test('the bundle has the certificate of the server in place of its authority', async () => {
    const advice = /good in caCertificates is a server's.*Replace it with the one of its authority, Root\./u;
    const cause = refused(/UNABLE_TO_VERIFY_LEAF_SIGNATURE/u, advice);
    await expectCause(await serve(good), { caCertificates: good.pem }, cause);
  });

  test('somebody who is no authority', async () => {
    const own = issue({ issuer: good });
    const advice = /signed by an authority whose own certificate allows it to sign/u;
    await expectCause(await serve(own, [good]), {}, refused(/INVALID_PURPOSE/u, advice));
  });

  test('a certificate for clients only', async () => {
    const port = await serve(issue({ issuer: root, purpose: 'client' }));
    await expectCause(port, {}, refused(/INVALID_PURPOSE/u, /made for servers \(extended key usage serverAuth\)/u));
  });
});

describe('dates', () => {
  test('the certificate of the server has expired', async () => {
    const port = await serve(issue({ issuer: root, validFrom: -9, validTo: -2 }));
    await expectCause(port, {}, refused(/CERT_HAS_EXPIRED/u, /Renew the server's certificate/u));
  });

  test('an authority that the server sends has expired, and the settings test says which', async () => {
    const old = issue({ commonName: 'Old issuing', isAuthority: true, issuer: root, validFrom: -9, validTo: -2 });
    const port = await serve(issue({ issuer: old }), [old]);
    await expectCause(port, {}, refused(/CERT_HAS_EXPIRED/u, /or the one of its authority that the server sends/u));
    const { stages } = await open(port, {}).test(10_000);
    expect(stages.at(-1)!.detail).toMatch(/issued by Old issuing \(expired \d days ago\)/u);
  });

  test('an authority in the bundle has expired', async () => {
    const old = issue({ commonName: 'Old root', isAuthority: true, validFrom: -9, validTo: -2 });
    const port = await serve(issue({ issuer: old }));
    const advice = /Old root in caCertificates expired on \d{4}-\d\d-\d\d\. Replace it/u;
    await expectCause(port, { caCertificates: old.pem }, refused(/CERT_HAS_EXPIRED/u, advice));
    await expectUsable(await serve(good), { caCertificates: old.pem + root.pem });
  });

  test('the certificate of the server is not valid yet, or a clock is wrong', async () => {
    const port = await serve(issue({ issuer: root, validFrom: 2 }));
    await expectCause(port, {}, refused(/CERT_NOT_YET_VALID/u, /Wait until .*check the clocks/u));
  });

  test('an authority in the bundle is not valid yet', async () => {
    const young = issue({ commonName: 'Young', isAuthority: true, validFrom: 2 });
    const port = await serve(issue({ issuer: young }));
    const advice = /Young in caCertificates is valid only from \d{4}-/u;
    await expectCause(port, { caCertificates: young.pem }, refused(/CERT_NOT_YET_VALID/u, advice));
  });
});

describe('versions and ciphers', () => {
  const atMost11 = tlsRefused(/supports TLS 1\.1 at most/u, /Enable TLS 1\.2 or later on the server/u);

  test('TLS 1.1 at most, told by an alert', async () => {
    const options: TlsOptions = { ...LAX, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' };
    await expectCause(await serve(good, [], options), {}, atMost11);
  });

  test('TLS 1.1 at most, in the answer of a server that knows no newer one', async () => {
    const hello = Buffer.concat([Buffer.from([3, 2]), Buffer.alloc(32, 7), Buffer.from([0, 0, 0x2f, 0])]);
    const message = Buffer.concat([Buffer.from([2, 0, 0, hello.length]), hello]);
    const port = await scripted((socket) => {
      socket.write(Buffer.concat([Buffer.from([22, 3, 2, 0, message.length]), message]));
    });
    await expectCause(port, {}, atMost11);
  });

  test('no cipher in common', async () => {
    const options: TlsOptions = { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_CCM_SHA256' };
    const cause = tlsRefused(/accepts none of the TLS versions and ciphers offered/u, /ECDHE ciphers/u);
    await expectCause(await serve(good, [], options), {}, cause);
    await expectCause(await serve(null), {}, cause);
  });

  test('an alert that says nothing else', async () => {
    const port = await scripted((socket) => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 80])));
    await expectCause(port, {}, tlsRefused(/ended the TLS handshake with alert 80/u, /server's log/u));
  });
});

describe('a client certificate demanded', () => {
  const demand = (version: 'TLSv1.2' | 'TLSv1.3'): TlsOptions => ({
    requestCert: true,
    rejectUnauthorized: true,
    ca: root.pem,
    minVersion: version,
    maxVersion: version,
  });

  test('in the handshake of TLS 1.2', async () => {
    await expectCause(await serve(good, [], demand('TLSv1.2')), {}, tlsRefused(DEMANDS_CERTIFICATE, DEMAND_NONE));
  });

  test('after the handshake of TLS 1.3', async () => {
    const cause = { ...tlsRefused(DEMANDS_CERTIFICATE, DEMAND_NONE), stage: 'bind' as const };
    await expectCause(await serve(good, [], demand('TLSv1.3')), {}, cause);
  });
});

test('an alert in the midst of a session is a connection that broke, and worth another try', () => {
  const alert = 'SSL routines:ssl3_read_bytes:tlsv1 alert internal error: SSL alert number 80';
  const error = Object.assign(new Error(alert), { code: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR' });
  expect(socketFault(error, 'ldap', false, true)).toMatchObject({ code: 'connectionLost', retryable: true });
  expect(socketFault(error, 'ldap', true, true)).toMatchObject({ code: 'tlsRefused', retryable: false });
});

describe('a port of the other encryption', () => {
  test('TLS spoken to in plain: an alert in place of an answer', async () => {
    const port = await scripted((socket) => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 10])));
    await expectCause(
      port,
      { encryption: 'none', caCertificates: '' },
      { code: 'notLdap', cause: /expects TLS/u, advice: /Set encryption to "ssl"/u, stage: 'bind' },
    );
    await expectCause(
      port,
      { encryption: 'tls' },
      { code: 'notLdap', cause: /expects TLS/u, advice: /Set encryption to "ssl"/u },
    );
  });

  test('plain LDAP spoken to in TLS: a notice of disconnection in place of a handshake', async () => {
    // RFC 4511 section 4.4.1, with protocolError.
    const notice = Buffer.from('3024020100781f0a010204000400', 'hex');
    const port = await scripted((socket) => socket.end(notice));
    await expectCause(port, {}, { code: 'notLdap', cause: /does not speak TLS/u, advice: /LDAPS uses 636/u });
  });

  test('a server that never answers the handshake', async () => {
    const port = await scripted(() => {});
    const timeouts = { connectSeconds: 0.3, operationSeconds: 0.3, loginSeconds: 1 };
    const cause = /no end of the TLS handshake within 0\.\d s/u;
    await expectCause(port, { timeouts }, { code: 'connectionTimeout', cause, advice: /port is the one for LDAPS/u });
  });
});

describe('StartTLS that the server agreed to and does not carry out', () => {
  /** An ExtendedResponse with success (RFC 4511 section 4.12), and then this in answer to the hello. */
  async function agreed(onHello: (socket: Socket) => void): Promise<number> {
    return await scripted((socket) => {
      socket.write(Buffer.from('300c02010178070a010004000400', 'hex'));
      socket.once('data', () => onHello(socket));
    });
  }

  test('an alert', async () => {
    const port = await agreed((socket) => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 40])));
    const cause = tlsRefused(/accepts none of the TLS versions and ciphers offered/u, /ECDHE ciphers/u);
    await expectCause(port, { encryption: 'tls' }, cause);
  });

  test('a connection that is closed', async () => {
    const port = await agreed((socket) => socket.end());
    const { stages } = await open(port, { encryption: 'tls' }).test(10_000);
    expect(stages.at(-1)).toMatchObject({ name: 'tls', code: 'connectionLost' });
    expect(stages.at(-1)!.detail).toMatch(/after it had agreed to StartTLS.*Check the server's log, its certificate/u);
  });
});

test.each<[string, () => Issued, TlsOptions]>([
  ['an expired certificate', () => issue({ issuer: root, validFrom: -10, validTo: -1 }), {}],
  ['TLS 1.1 at most', () => good, { ...LAX, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' }],
])('%s at one address of a name leaves the other one', async (_what, own, options) => {
  const port = await serve(own(), [], options);
  await serve(good, [], {}, { port, host: '127.0.0.2' });
  const servers = [`localhost:${port}`];
  const settings = aSettings({ connection: { servers, encryption: 'ssl', caCertificates: root.pem } });
  const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
  const directory = openDirectory(
    settings,
    'secret',
    () => new Date(),
    async () => addresses,
  );
  onTestFinished(() => directory.close());

  expect(await directory.verifyPassword('uid=anna,dc=example,dc=com', 'x')).toEqual({ kind: 'accepted' });
  const reader = await directory.openReader();
  onTestFinished(() => reader.close());
  expect(reader.identity.identity).toContain('127.0.0.2');
});

test('a bundle counts with each of its certificates, whatever stands between them', async () => {
  const port = await serve(issue({ issuer: issuing }));
  const request = '-----BEGIN CERTIFICATE REQUEST-----\n!!\n-----END CERTIFICATE REQUEST-----\n';
  for (const between of ['', '# the root\n', '-----\n', request]) {
    await expectUsable(port, { caCertificates: `${request}${issuing.pem.trim()}${between}${root.pem}` });
  }
});

describe('OpenLDAP', () => {
  async function slapd(...lines: readonly string[]): Promise<Slapd> {
    const folder = await mkdtemp(join(tmpdir(), 'rollcall-tls-'));
    const ldif = 'dn: dc=example,dc=com\nobjectClass: domain\ndc: example\n';
    const server = await startSlapd({ folder, ldif, tls: lines });
    onTestFinished(async () => {
      await server.stop();
      await rm(folder, { recursive: true });
    });
    return server;
  }

  const plain = (port: number): Connection => ({ servers: [`127.0.0.1:${port}`], encryption: 'none' });

  async function failureOf(connection: Connection): Promise<{ stage: string; code: string; detail: string }> {
    const { stages } = await open(0, connection).test(10_000);
    const { name, code = '', detail } = stages.at(-1)!;
    return { stage: name, code, detail };
  }

  test.each([
    ['tls', 'TLS 1.3', 'bind'],
    ['ssl', 'TLS 1.3', 'bind'],
    ['tls', 'TLS 1.2', 'tls'],
    ['ssl', 'TLS 1.2', 'tls'],
  ] as const)('that demands a client certificate closes: by %s with %s', async (encryption, version, stage) => {
    const without13 = version === 'TLS 1.2' ? ['olcTLSCipherSuite: NORMAL:-VERS-TLS1.3'] : [];
    const server = await slapd('olcTLSVerifyClient: demand', ...without13);
    const port = encryption === 'ssl' ? server.ldapsPort : server.ldapPort;
    const connection = { servers: [`127.0.0.1:${port}`], encryption, caCertificates: server.caPem };

    expect(await failureOf(connection)).toEqual({
      stage,
      code: 'connectionLost',
      detail: expect.stringMatching(/It may demand a client certificate\. Rollcall has none/u) as string,
    });
  });

  test('with TLS 1.1 at most says so', async () => {
    const server = await slapd('olcTLSCipherSuite: NORMAL:-VERS-ALL:+VERS-TLS1.1');
    for (const [encryption, port] of [
      ['tls', server.ldapPort],
      ['ssl', server.ldapsPort],
    ] as const) {
      const connection = { servers: [`127.0.0.1:${port}`], encryption, caCertificates: server.caPem };
      expect(await failureOf(connection)).toEqual({
        stage: 'tls',
        code: 'tlsRefused',
        detail: expect.stringMatching(/TLS 1\.1 at most.*Enable TLS 1\.2/u) as string,
      });
    }
  });

  test('on the port of the other encryption closes, and the advice names the port', async () => {
    const server = await slapd();
    const other = { servers: [`127.0.0.1:${server.ldapPort}`], encryption: 'ssl', caCertificates: '' } as const;
    expect(await failureOf(other)).toEqual({
      stage: 'tls',
      code: 'connectionLost',
      detail: expect.stringMatching(/instead of answering the TLS handshake.*port is the one for LDAPS/u) as string,
    });
    expect(await failureOf({ ...plain(server.ldapsPort), caCertificates: '' })).toEqual({
      stage: 'bind',
      code: 'connectionLost',
      detail: expect.stringMatching(/before its first answer.*set encryption to "ssl"/u) as string,
    });
    expect(await failureOf({ ...other, servers: [`127.0.0.1:${server.ldapsPort}`], encryption: 'tls' })).toEqual({
      stage: 'tls',
      code: 'connectionLost',
      detail: expect.stringMatching(/before its first answer.*set encryption to "ssl"/u) as string,
    });
  });
});
