/** The stored bind password goes nowhere new: the truth table of what needs it typed again. */
import { beforeAll, describe, expect, test } from 'vitest';
import { reasonsToRetype } from '../../lib/administration/stored-password.ts';
import type { PasswordRoute } from '../../lib/administration/stored-password.ts';

const STORED: PasswordRoute = {
  servers: ['ldap1.example.com', 'ldap2.example.com:1389'],
  encryption: 'tls',
  ignoreCertificateWarnings: false,
  caCertificates: '',
  administrativeDn: 'cn=Reader,ou=System,dc=example,dc=com',
};

type Change = Partial<PasswordRoute>;

function reasons(stored: Change, next: Change): readonly string[] {
  return reasonsToRetype({ ...STORED, ...stored }, { ...STORED, ...stored, ...next });
}

test.each<[string, Change, Change]>([
  ['nothing', {}, {}],
  ['the order of servers', {}, { servers: ['ldap2.example.com:1389', 'ldap1.example.com'] }],
  ['a server that is removed', {}, { servers: ['ldap2.example.com:1389'] }],
  ['a server that is named twice', {}, { servers: ['ldap1.example.com', 'ldap1.example.com:389'] }],
  ['the letter case of a host', {}, { servers: ['LDAP1.Example.COM'] }],
  ['white space around a server', { servers: [' ldap1.example.com '] }, { servers: ['ldap1.example.com'] }],
  ['the default port, spelled out, with tls', {}, { servers: ['ldap1.example.com:389'] }],
  ['the default port with leading zeros', {}, { servers: ['ldap1.example.com:00389'] }],
  ['the default port, left out', { servers: ['ldap1.example.com:389'] }, { servers: ['ldap1.example.com'] }],
  ['the default port with none', { encryption: 'none' }, { servers: ['ldap1.example.com:389'] }],
  ['the default port with ssl', { encryption: 'ssl' }, { servers: ['ldap1.example.com:636'] }],
  ['the spelling of IPv6', { servers: ['[2001:DB8:0:0::1]'] }, { servers: ['[2001:db8::1]:389'] }],
  ['an IPv4 address as IPv6', { servers: ['10.0.0.1'] }, { servers: ['[::ffff:10.0.0.1]'] }],
  ['none to tls: the same port, better protected', { encryption: 'none' }, { encryption: 'tls' }],
  [
    'none to ssl on a port that was in use',
    { encryption: 'none', servers: ['ldap1.example.com', 'ldap1.example.com:636'] },
    { encryption: 'ssl', servers: ['ldap1.example.com'] },
  ],
  ['ssl to tls on the same port', { encryption: 'ssl', servers: ['a:636'] }, { encryption: 'tls' }],
  ['tls to ssl on the same port', { encryption: 'tls', servers: ['a:636'] }, { encryption: 'ssl' }],
  ['ignoreCertificateWarnings, still set', { ignoreCertificateWarnings: true }, {}],
  ['ignoreCertificateWarnings, cleared', { ignoreCertificateWarnings: true }, { ignoreCertificateWarnings: false }],
  ['the letter case of the DN', {}, { administrativeDn: 'CN=reader,OU=system,DC=EXAMPLE,DC=com' }],
  ['white space in the DN', {}, { administrativeDn: ' cn = Reader , ou=System, dc=example , dc=com ' }],
  ['long names of types', {}, { administrativeDn: 'commonName=Reader,2.5.4.11=System,dc=example,dc=com' }],
  ['escapes in the DN', {}, { administrativeDn: String.raw`cn=\52eader,ou=S\79stem,dc=example,dc=com` }],
  ['the order of a multi-valued RDN', { administrativeDn: 'cn=a+uid=b,dc=c' }, { administrativeDn: 'uid=b+cn=a,dc=c' }],
  ['the letter case of a UPN', { administrativeDn: 'Reader@Example.com' }, { administrativeDn: 'reader@example.com' }],
  ['the DN, to none: no password is sent', {}, { administrativeDn: '' }],
  ['the DN, to none, and the server', {}, { administrativeDn: '', servers: ['evil.example'], encryption: 'none' }],
])('needs no password: %s', (_change, stored, next) => {
  expect(reasons(stored, next)).toEqual([]);
});

test.each<[string, Change, Change, readonly string[]]>([
  ['a further server', {}, { servers: [...STORED.servers, 'evil.example'] }, ['evil.example, port 389, is new']],
  ['another server', {}, { servers: ['evil.example'] }, ['evil.example, port 389, is new']],
  ['another port', {}, { servers: ['ldap1.example.com:1389'] }, ['ldap1.example.com, port 1389, is new']],
  ['the port that another server has', {}, { servers: ['ldap2.example.com'] }, ['ldap2.example.com, port 389, is new']],
  [
    'a host below the old one',
    {},
    { servers: ['ldap1.example.com.evil.example'] },
    [expect.stringContaining('is new')],
  ],
  ['a dot at the end', {}, { servers: ['ldap1.example.com.'] }, ['ldap1.example.com., port 389, is new']],
  ['the last label only', {}, { servers: ['ldap1'] }, ['ldap1, port 389, is new']],
  [
    'another IPv6 address',
    { servers: ['[2001:db8::1]'] },
    { servers: ['[2001:db8::2]'] },
    ['2001:db8::2, port 389, is new'],
  ],
  [
    'another zone',
    { servers: ['[fe80::1%eth0]'] },
    { servers: ['[fe80::1%eth1]'] },
    ['fe80::1%eth1, port 389, is new'],
  ],
  ['an address for the name', { servers: ['localhost'] }, { servers: ['127.0.0.1'] }, ['127.0.0.1, port 389, is new']],
  ['tls to none', {}, { encryption: 'none' }, ['the encryption is weaker']],
  [
    'ssl to none, same port',
    { encryption: 'ssl', servers: ['a:636'] },
    { encryption: 'none' },
    ['the encryption is weaker'],
  ],
  [
    'ssl to none',
    { encryption: 'ssl', servers: ['a'] },
    { encryption: 'none' },
    ['a, port 389, is new', 'the encryption is weaker'],
  ],
  ['tls to ssl: another port', { servers: ['a'] }, { encryption: 'ssl' }, ['a, port 636, is new']],
  ['ssl to tls: another port', { encryption: 'ssl', servers: ['a'] }, { encryption: 'tls' }, ['a, port 389, is new']],
  ['ssl, with the port of tls', { encryption: 'ssl', servers: ['a'] }, { servers: ['a:389'] }, ['a, port 389, is new']],
  ['any certificate', {}, { ignoreCertificateWarnings: true }, ['ignoreCertificateWarnings is set']],
  ['another DN', {}, { administrativeDn: 'cn=writer,ou=System,dc=example,dc=com' }, ['administrativeDn has changed']],
  ['the parent DN', {}, { administrativeDn: 'ou=System,dc=example,dc=com' }, ['administrativeDn has changed']],
  [
    'parts in another order',
    {},
    { administrativeDn: 'ou=System,cn=Reader,dc=example,dc=com' },
    ['administrativeDn has changed'],
  ],
  [
    'a comma in the value',
    { administrativeDn: 'cn=a,b=c' },
    { administrativeDn: String.raw`cn=a\,b=c` },
    ['administrativeDn has changed'],
  ],
  ['a UPN for the DN', {}, { administrativeDn: 'reader@example.com' }, ['administrativeDn has changed']],
  [
    'a DN where there was none',
    { administrativeDn: '' },
    { administrativeDn: 'cn=x' },
    ['administrativeDn has changed'],
  ],
  [
    'everything',
    {},
    {
      servers: ['evil.example:1'],
      encryption: 'none',
      ignoreCertificateWarnings: true,
      caCertificates: 'x',
      administrativeDn: 'cn=x',
    },
    [
      'evil.example, port 1, is new',
      'the encryption is weaker',
      'ignoreCertificateWarnings is set',
      'caCertificates has changed',
      'administrativeDn has changed',
    ],
  ],
])('needs the password: %s', (_change, stored, next, why) => {
  expect(reasons(stored, next)).toEqual(why);
});

test('a server that an earlier version has stored and this one refuses equals no other', () => {
  expect(reasons({ servers: ['ldap://a', 'a b'] }, { servers: ['a'] })).toEqual(['a, port 389, is new']);
});

describe('the certificates of authorities', () => {
  const pem = (body: string, kind = 'CERTIFICATE') => `-----BEGIN ${kind}-----\n${body}\n-----END ${kind}-----\n`;
  let one = '';
  let other = '';

  beforeAll(() => {
    const lines = (letter: string) => Array.from({ length: 4 }, (_, line) => letter.repeat(63) + line).join('\n');
    one = pem(lines('A'));
    other = pem(lines('B'));
  });

  test('may differ in white space only', () => {
    const bundle = one + other;
    const body = (pem: string) => /-----\n([^-]*)\n-----/.exec(pem)![1]!;
    for (const spelling of [
      bundle.replaceAll('\n', '\r\n'),
      `\n\n${bundle}\n\n`,
      bundle.replaceAll('\n', ' \n'),
      `${one}\n\n${other.trim()}`,
      pem(body(one).replaceAll('\n', '').replaceAll(/.{76}/g, '$&\n')) + other,
    ]) {
      expect(reasons({ caCertificates: bundle }, { caCertificates: spelling })).toEqual([]);
      expect(reasons({ caCertificates: spelling }, { caCertificates: bundle })).toEqual([]);
    }
  });

  test('may not change otherwise', () => {
    const bundle = one + other;
    for (const changed of [
      '',
      one,
      other + one,
      bundle + one,
      bundle.toLowerCase(),
      bundle.replace('A0', 'A1'),
      // A TLS library reads this kind of block too.
      bundle + pem('QUJD', 'TRUSTED CERTIFICATE'),
      bundle.replace('-----BEGIN', '# a note\n-----BEGIN'),
      bundle.replace('BEGIN CERTIFICATE', 'BEGINCERTIFICATE'),
    ]) {
      expect(reasons({ caCertificates: bundle }, { caCertificates: changed })).toEqual(['caCertificates has changed']);
    }
    expect(reasons({ caCertificates: '' }, { caCertificates: one })).toEqual(['caCertificates has changed']);
  });
});
