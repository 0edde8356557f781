/** The bundle of trusted certificates is checked when it is saved: faults refuse it, and flaws are warnings. */
import { beforeAll, describe, expect, test } from 'vitest';
import { presentSettings } from '../../lib/administration/settings-presentation.ts';
import { parseSettings } from '../../lib/administration/settings-schema.ts';
import { testSettings } from '../../lib/administration/settings.ts';
import { certificatesIn, inspectBundle } from '../../lib/settings/ca-certificates.ts';
import { type Issued, issue } from '../support/authority.ts';
import { startHouse } from '../support/house.ts';

const DAY_MS = 86_400_000;

let root: Issued;
let issuing: Issued;
let server: Issued;

beforeAll(() => {
  root = issue({ commonName: 'Root', isAuthority: true });
  issuing = issue({ commonName: 'Issuing', isAuthority: true, issuer: root });
  server = issue({ commonName: 'ldap.example.org', issuer: issuing });
});

function documentWith(caCertificates: string, encryption = 'tls'): object {
  return { connection: { servers: ['ldap.example.org'], encryption, caCertificates }, mapping: { userName: 'uid' } };
}

function faultsIn(caCertificates: string, encryption?: string): readonly unknown[] {
  const parsed = parseSettings(documentWith(caCertificates, encryption));
  return parsed.kind === 'invalid' ? parsed.faults : [];
}

const because = (message: string): unknown[] => [{ path: 'connection.caCertificates', message }];

/** Kinds and sentences of what is found now, or in so many days. */
function found(bundle: string, inDays = 0): string[] {
  return inspectBundle(bundle, new Date(Date.now() + inDays * DAY_MS)).map(
    ({ kind, sentence }) => `${kind}: ${sentence}`,
  );
}

/** The same certificate, with a kind of key that nobody knows. */
function withUnknownKey({ pem }: Issued): string {
  const der = Buffer.from(pem.replaceAll(/-----.*?-----|\s/gu, ''), 'base64');
  // rsaEncryption, 1.2.840.113549.1.1.1
  const place = der.indexOf(Buffer.from('2a864886f70d010101', 'hex'));
  der[place + 8] = 0x7f;
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
}

describe('refused', () => {
  test('is what is no certificate', () => {
    const none = because('must contain a PEM certificate (-----BEGIN CERTIFICATE-----)');
    expect(faultsIn('MIIB')).toEqual(none);
    expect(faultsIn(root.pem.replaceAll('CERTIFICATE', 'CERTIFICATE REQUEST'))).toEqual(none);
  });

  test('is a certificate that can’t be read, by its place', () => {
    const second = because("certificate 2 of 2 can't be read; copy it again");
    expect(faultsIn(root.pem + issuing.pem.replace(/\n[^-].{8}/u, '\nAAAAAAAA'))).toEqual(second);
    expect(faultsIn(root.pem + issuing.pem.slice(0, 400))).toEqual(second);
    expect(faultsIn(root.pem + withUnknownKey(issuing))).toEqual(second);
    const first = because("certificate 1 of 2 can't be read; copy it again");
    expect(faultsIn(`${issuing.pem.slice(0, 400)}\n${root.pem}`)).toEqual(first);
  });

  test('is a private key, and the refusal does not repeat it', () => {
    for (const label of ['RSA PRIVATE KEY', 'PRIVATE KEY', 'ENCRYPTED PRIVATE KEY']) {
      const key = root.keyPem.replaceAll('RSA PRIVATE KEY', label);
      expect(faultsIn(root.pem + key)).toEqual(because('must not contain a private key; keep only certificates'));
    }
  });

  test('is a bundle without encryption', () => {
    expect(faultsIn(root.pem, 'none')).toEqual(
      because('needs encryption; set encryption to "tls" or "ssl", or leave this out'),
    );
  });
});

test('each certificate is found, whatever stands before, between and behind them', () => {
  const trusted = root.pem.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE');
  const request = issuing.pem.replaceAll('CERTIFICATE', 'CERTIFICATE REQUEST');
  const bundle = `${request}# ours\r\n${root.pem.trim()}${issuing.pem}-----\nsubject=x\n${trusted}the end`;
  expect(certificatesIn(bundle)).toEqual([root.pem.trim(), issuing.pem.trim(), trusted.trim()]);
  expect(faultsIn(bundle)).toEqual([]);
});

describe('warned of', () => {
  test('is nothing in a good bundle, in any order', () => {
    expect(found(root.pem + issuing.pem)).toEqual([]);
    expect(found(issuing.pem + root.pem)).toEqual([]);
    expect(found('')).toEqual([]);
  });

  test('is a certificate that has expired or will soon, from the first day on', () => {
    expect(found(root.pem, 334)).toEqual([]);
    expect(found(root.pem, 336)).toEqual([
      'expiresSoon: The certificate of Root in caCertificates expires in 28 days. Add the one that follows it.',
    ]);
    expect(found(root.pem, 366)).toEqual([
      expect.stringMatching(
        /^expired: The certificate of Root in caCertificates expired on \d{4}-\d\d-\d\d\. Replace/u,
      ),
    ]);
  });

  test('is a certificate that is not valid yet', () => {
    expect(found(root.pem, -2)).toEqual([
      expect.stringMatching(/^notYetValid: The certificate of Root in caCertificates is valid only from \d{4}-/u),
    ]);
  });

  test('is an authority without the one that issued it', () => {
    const missing = [
      'issuerMissing: The certificate of Issuing in caCertificates counts only together with the one of its issuer, ' +
        'Root. Add that, up to the root.',
    ];
    expect(found(issuing.pem)).toEqual(missing);
    const namesake = issue({ commonName: 'Root', isAuthority: true });
    expect(found(issuing.pem + namesake.pem)).toEqual(missing);
  });

  test('is the certificate of a server in place of its authority, unless the server signed it itself', () => {
    expect(found(server.pem + issuing.pem + root.pem)).toEqual([
      "notAuthority: The certificate of ldap.example.org in caCertificates is a server's, and trusts nobody. Replace " +
        'it with the one of its authority, Issuing.',
    ]);
    expect(found(issue().pem)).toEqual([]);
  });

  test('is a key that TLS refuses', () => {
    expect(found(issue({ commonName: 'Small', isAuthority: true, bits: 1024 }).pem)).toEqual([
      'weak: The certificate of Small in caCertificates has a key of 1024 bits, which TLS refuses. Use an authority ' +
        'with at least 2048.',
    ]);
  });
});

test('the warnings are in the answer to reading and saving settings, and in the settings test', async () => {
  const parsed = parseSettings(documentWith(issuing.pem));
  if (parsed.kind === 'invalid') throw new Error(JSON.stringify(parsed.faults));
  const { settings } = parsed.value;
  const missing = expect.stringMatching(/Issuing in caCertificates counts only together/u) as string;

  const stored = { settings, password: '', version: 'v1', notices: [] };
  expect(presentSettings(stored, null, new Date()).warnings).toEqual([missing]);
  const { ports } = await startHouse();
  const clock = { now: () => new Date() };
  const { warnings } = await testSettings({ ...ports, clock }, documentWith(issuing.pem));
  expect(warnings).toContainEqual(missing);
});
