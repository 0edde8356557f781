/**
 * The behaviours of the Directory port on every server: for each its name, a test on a running server, and the products
 * that can't show it, with the reason. docs/directories.md has the same as a table. Starts no server.
 */
import { randomUUID } from 'node:crypto';
import { Attribute, Change, Client, InsufficientAccessError } from 'ldapts';
import { expect, onTestFinished } from 'vitest';
import type { Directory, ReadProof } from '../../lib/directory/directory.ts';
import { mapEntry } from '../../lib/directory/mapping.ts';
import { attributeValues } from '../../lib/directory/person-value.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import { type Certificates, makeCertificates } from '../../local/certificate.ts';
import {
  asRoot,
  BASE_DN,
  type DirectoryServer,
  type DirectoryServerOptions,
  dnOf,
  type FixtureEntry,
  HIDDEN,
  type PersonFixture,
  type Product,
  SIZE_LIMIT,
} from '../support/directory-server.ts';
import { aSettings, MAPPING } from '../support/people.ts';
import { type Read, readAll } from '../support/read-all.ts';

/** One behaviour of the Directory port. */
export interface Behaviour {
  /** The name of the test, and of the row in docs/directories.md. */
  readonly name: string;
  /** The reason, for each product that can't show the behaviour. */
  readonly notApplicable?: Readonly<Partial<Record<Product, string>>>;
  /**
   * Tests the behaviour.
   * @param server loaded with `fixtureOf` its product
   * @param startAnother starts a second server of the same product, with the same people and other certificates
   */
  readonly show: (server: DirectoryServer, startAnother: StartAnother) => Promise<void>;
}

/** Starts a server with these certificates. */
export type StartAnother = (certificates: Certificates) => Promise<DirectoryServer>;

/** More people than a page of 1,000, and more than SIZE_LIMIT. */
const CROWD = 1100;
const PHOTO = Buffer.from('ffd8ffe000104a464946000101', 'hex');
// A real certificate, because servers check the values of this attribute.
const CERTIFICATE = Buffer.from(
  [
    'MIIBeTCCAR+gAwIBAgIUDCD08SjfeDHpeK7cD8nm5Xu1lXkwCgYIKoZIzj0EAwIwETEPMA0GA1UEAwwGdGFnZ2VkMCAXDTI2MTEyMzA1MjEx',
    'MVoYDzIxMjYxMDMwMDUyMTExWjARMQ8wDQYDVQQDDAZ0YWdnZWQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATOqD+lYzJ0RDEuKtwRg42j',
    'ejV7QUoWBUtVznicJcF+EhPDMCZqI1jH3Vge3KToZDuTiYwZOwQJs4fsGBHXw2LRo1MwUTAdBgNVHQ4EFgQU3/2EXayM0QqsidTOU/mZVNBR',
    'Zw4wHwYDVR0jBBgwFoAU3/2EXayM0QqsidTOU/mZVNBRZw4wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAK9j2mFrMCpopr',
    '3ybkeGXTkAKtwZweskn8cyVqVNfgPgIhALa8vMPukjGTdMVWFvEhbmplRZML9lBBEDVnUn6y2Vxy',
  ].join(''),
  'base64',
);

const ODD_NAMES = {
  utf8: ['Müller Jürgen', '山田 太郎', 'Ελένη'],
  planes: ['Zoë \u{1F600}', '\u{20BB7}野家'],
  separators: ['Weber, Anna', 'A + B', 'x=y; z', 'a < b > c'],
  quotes: ['Anna "the cat" Weber', "O'Brien", 'back\\slash', 'either/or'],
  edges: [' leading', 'trailing ', '#first'],
} as const;

const passwordOf = (userName: string): string => `Passwörd of ${userName} 1`;

const aPerson = (userName: string, below: string, over: Partial<PersonFixture> = {}): PersonFixture => ({
  cn: userName,
  userName,
  below,
  password: passwordOf(userName),
  ...over,
});

const PEOPLE: readonly PersonFixture[] = [
  aPerson('anna', 'ou=people', { attributes: { displayName: ['Anna Weber'] } }),
  aPerson('bert', 'ou=people'),
  aPerson('emil', 'ou=sales,ou=people'),
  aPerson('frida', 'ou=sales,ou=people'),
  aPerson('locked', 'ou=locked', { disabled: true }),
  aPerson('leaver', 'ou=leavers'),
  aPerson('secret', HIDDEN),
  aPerson('many', 'ou=values', { attributes: { departmentNumber: ['10', '20', '30'] } }),
  aPerson('bytes', 'ou=values', { attributes: { jpegPhoto: [PHOTO] } }),
  ...Object.entries(ODD_NAMES).flatMap(([kind, names]) =>
    names.map((cn, index) => aPerson(`${kind}${index}`, `ou=${kind}`, { cn })),
  ),
  aPerson('beside', 'ou=elsewhere'),
  ...Array.from({ length: CROWD }, (_, index) => ({
    cn: `crowd${index}`,
    userName: `crowd${index}`,
    below: 'ou=crowd',
  })),
];

const REFERENCE = 'ldap://other.example.com/ou=over-there,ou=elsewhere,dc=example,dc=com';

/** Entries that need the object classes of the RFCs. */
const ENTRIES: readonly FixtureEntry[] = [
  {
    dn: `ou=over-there,ou=elsewhere,${BASE_DN}`,
    attributes: { objectClass: ['referral', 'extensibleObject'], ou: ['over-there'], ref: [REFERENCE] },
  },
  {
    dn: `ou=aliases,${BASE_DN}`,
    attributes: { objectClass: ['organizationalUnit'], ou: ['aliases'] },
  },
  {
    dn: `cn=anna,ou=aliases,${BASE_DN}`,
    attributes: {
      objectClass: ['alias', 'extensibleObject'],
      cn: ['anna'],
      aliasedObjectName: [`cn=anna,ou=people,${BASE_DN}`],
    },
  },
  {
    dn: `cn=tagged,ou=values,${BASE_DN}`,
    attributes: {
      objectClass: ['person', 'organizationalPerson', 'inetOrgPerson'],
      cn: ['tagged'],
      sn: ['tagged'],
      uid: ['tagged'],
      displayName: ['Karla'],
      'userCertificate;binary': [CERTIFICATE],
    },
  },
  {
    dn: `cn=languages,ou=values,${BASE_DN}`,
    attributes: {
      objectClass: ['person', 'organizationalPerson', 'inetOrgPerson'],
      cn: ['languages'],
      sn: ['languages'],
      uid: ['languages'],
      title: ['Head of sales'],
      'title;lang-de': ['Leiterin Vertrieb'],
    },
  },
];

/** The people and entries for a server of this product. */
export function fixtureOf(product: Product): DirectoryServerOptions {
  return {
    people: PEOPLE.filter(({ below }) => product !== 'apacheds' || below !== 'ou=planes'),
    ...(product === 'samba' ? {} : { entries: ENTRIES }),
  };
}

interface Over {
  readonly connection?: Partial<Settings['connection']>;
  readonly scope?: Partial<Settings['scope']>;
  readonly mapping?: Partial<Settings['mapping']>;
  readonly password?: string;
}

/** The directory, read as the reader and without encryption unless `over` says otherwise. Closed after the test. */
function open(server: DirectoryServer, { connection, scope, mapping, password }: Over = {}): Directory {
  const settings = aSettings({
    connection: { servers: [`127.0.0.1:${server.ldapPort}`], administrativeDn: server.readerDn, ...connection },
    scope: { baseDn: `ou=people,${server.baseDn}`, filter: server.peopleFilter, ...scope },
    mapping: { userName: server.userNameAttribute, ...mapping },
  });
  const directory = openDirectory(settings, password ?? server.readerPassword, () => new Date());
  onTestFinished(() => directory.close());
  return directory;
}

const COMPLETE: ReadProof = { complete: true, reasons: [] };

const below = (server: DirectoryServer, unit: string): Partial<Settings['scope']> => ({
  baseDn: `${unit},${server.baseDn}`,
});

function userNames(server: DirectoryServer, { entries }: Read): string[] {
  return entries.map(({ attributes }) => attributes[server.userNameAttribute.toLowerCase()]?.[0] ?? '?').sort();
}

/** The full name of the only person of a read, by the mapping. */
function fullNameOf({ entries }: Read, fullName: string): string | null {
  const mapped = mapEntry(entries[0]!, { ...MAPPING, fullName });
  return mapped.kind === 'person' ? mapped.person.fullName : mapped.skipped.reason;
}

/** Settings for an encrypted connection that trusts the server's authority. */
function encrypted(
  server: DirectoryServer,
  encryption: 'tls' | 'ssl',
  host = '127.0.0.1',
): Over['connection'] & object {
  const port = encryption === 'ssl' ? server.ldapsPort : server.ldapPort;
  return { servers: [`${host}:${port}`], encryption, caCertificates: server.caPem };
}

/** Both kinds of encryption refuse the certificate with its reason, and accept it if warnings are ignored. */
async function expectRefused(
  server: DirectoryServer,
  reason: RegExp,
  over: Partial<Settings['connection']>,
  host?: string,
): Promise<void> {
  for (const encryption of ['tls', 'ssl'] as const) {
    const connection = { ...encrypted(server, encryption, host), ...over };
    await expect(open(server, { connection }).openReader()).rejects.toMatchObject({
      code: 'certificateRefused',
      message: expect.stringMatching(reason) as string,
    });
    const trusting = open(server, { connection: { ...connection, ignoreCertificateWarnings: true } });
    expect(userNames(server, await readAll(trusting))).toContain('anna');
  }
}

/** Reads people with unusual names, finds each again by its id, and logs each in with the DN that was read. */
async function expectOddNames(server: DirectoryServer, kind: keyof typeof ODD_NAMES): Promise<void> {
  const directory = open(server, { scope: below(server, `ou=${kind}`), mapping: { fullName: 'cn' } });
  const read = await readAll(directory);

  expect(read.proof).toEqual(COMPLETE);
  expect(new Set(read.entries.map(({ attributes }) => attributes.cn?.[0]))).toEqual(new Set(ODD_NAMES[kind]));
  expect(read.entries).toHaveLength(ODD_NAMES[kind].length);
  for (const { dn, id, attributes } of read.entries) {
    const userName = attributes[server.userNameAttribute.toLowerCase()]![0]!;
    expect(await directory.findDn(id!, server.idAttribute)).toBe(dn);
    expect(await directory.verifyPassword(dn, passwordOf(userName))).toEqual({ kind: 'accepted' });
    expect(await directory.verifyPassword(dn, 'something else')).toMatchObject({ reason: 'invalidCredentials' });
  }
}

/** A unique id that nobody has. */
function goneId({ idAttribute }: DirectoryServer): string {
  return idAttribute === 'nsUniqueId' ? '0-0-0-0' : '01234567-89ab-cdef-0123-456789abcdef';
}

async function setEmployeeNumber(server: DirectoryServer, dn: string, values: string[]): Promise<void> {
  const modification = new Attribute({ type: 'employeeNumber', values });
  await asRoot(server, (client) => client.modify(dn, new Change({ operation: 'replace', modification })));
}

const SAM_ACCOUNT_NAME_OID = '1.2.840.113556.1.4.221';
const MAIL_OID = '0.9.2342.19200300.100.1.3';
const ID_OIDS: Readonly<Record<DirectoryServer['idAttribute'], string>> = {
  entryUUID: '1.3.6.1.1.16.4',
  nsUniqueId: '2.16.840.1.113730.3.1.542',
  objectGUID: '1.2.840.113556.1.4.2',
};
const NO_OPTIONS = 'Active Directory has no attribute options';

/** Every behaviour, in the order of the table. */
export const BEHAVIOURS: readonly Behaviour[] = [
  {
    name: 'connects without encryption',
    async show(server) {
      const read = await readAll(open(server, { connection: { encryption: 'none' } }));

      expect(read.proof).toEqual(COMPLETE);
      expect(userNames(server, read)).toEqual(['anna', 'bert', 'emil', 'frida']);
    },
  },
  {
    name: 'connects by StartTLS and trusts a private authority through caCertificates',
    async show(server) {
      const read = await readAll(open(server, { connection: encrypted(server, 'tls') }));

      expect(userNames(server, read)).toEqual(['anna', 'bert', 'emil', 'frida']);
    },
  },
  {
    name: 'connects by LDAPS and trusts a private authority through caCertificates',
    async show(server) {
      const read = await readAll(open(server, { connection: encrypted(server, 'ssl') }));

      expect(userNames(server, read)).toEqual(['anna', 'bert', 'emil', 'frida']);
    },
  },
  {
    name: 'refuses a certificate of an unknown authority and says so',
    show: (server) =>
      expectRefused(server, /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN/, { caCertificates: '' }),
  },
  {
    name: 'refuses a certificate that has expired and says so',
    async show(_server, startAnother) {
      const expired = makeCertificates({
        names: ['127.0.0.1'],
        notBefore: new Date('2020-01-01'),
        notAfter: new Date('2021-01-01'),
      });
      const other = await startAnother(expired);
      onTestFinished(() => other.stop());

      await expectRefused(other, /CERT_HAS_EXPIRED/, {});
    },
  },
  {
    name: 'refuses a certificate that was made for another name and says so',
    show: (server) => expectRefused(server, /ERR_TLS_CERT_ALTNAME_INVALID/, {}, 'localhost'),
  },
  {
    name: 'accepts the right password and no other one',
    async show(server) {
      const directory = open(server);
      const dn = dnOf({ cn: 'anna', below: 'ou=people' }, server.baseDn);
      const nobody = dnOf({ cn: 'nobody', below: 'ou=people' }, server.baseDn);
      const refused = { kind: 'rejected', reason: 'invalidCredentials' };

      expect(await directory.verifyPassword(dn, passwordOf('anna'))).toEqual({ kind: 'accepted' });
      expect(await directory.verifyPassword(dn, passwordOf('bert'))).toEqual(refused);
      expect(await directory.verifyPassword(dn, '')).toEqual(refused);
      expect(await directory.verifyPassword(nobody, passwordOf('anna'))).toEqual(refused);
    },
  },
  {
    name: 'reads everybody page by page',
    async show(server) {
      // ApacheDS has one size limit for everybody but its administrator.
      const asAdministrator = { connection: { administrativeDn: server.rootDn }, password: server.rootPassword };
      const who = server.product === 'apacheds' ? asAdministrator : {};

      const read = await readAll(open(server, { ...who, scope: below(server, 'ou=crowd') }));

      expect(read.proof).toEqual(COMPLETE);
      expect(read.pages).toBe(2);
      expect(new Set(read.entries.map(({ id }) => id)).size).toBe(CROWD);
    },
  },
  {
    name: 'reads past a size limit that is lifted for the paged searches of its bind user',
    notApplicable: {
      samba: 'Samba enforces no size limit, whatever MaxPageSize says',
      apacheds: 'ApacheDS has one size limit for everybody but its administrator',
    },
    async show(server) {
      const client = new Client({ url: `ldap://127.0.0.1:${server.ldapPort}` });
      onTestFinished(() => client.unbind());
      await client.bind(server.readerDn, server.readerPassword);
      const unpaged = client.search(`ou=crowd,${server.baseDn}`, { filter: server.peopleFilter, attributes: ['cn'] });
      await expect(unpaged).rejects.toMatchObject({ code: 4 });

      const read = await readAll(open(server, { scope: below(server, 'ou=crowd') }));

      expect(read.proof).toEqual(COMPLETE);
      expect(read.entries).toHaveLength(CROWD);
    },
  },
  {
    name: 'tells when a size limit has cut the read short, and keeps what came before',
    notApplicable: { samba: 'Samba enforces no size limit' },
    async show(server) {
      const administrativeDn = dnOf({ cn: 'anna', below: 'ou=people' }, server.baseDn);
      const connection = { administrativeDn };

      const read = await readAll(
        open(server, { connection, password: passwordOf('anna'), scope: below(server, 'ou=crowd') }),
      );

      expect(read.proof.complete).toBe(false);
      expect(read.proof.reasons).toEqual([expect.stringMatching(/LimitExceeded \((4|11)\)/)]);
      expect(read.entries).toHaveLength(SIZE_LIMIT);
    },
  },
  {
    name: 'keeps the unique id of somebody who is renamed and moved',
    async show(server) {
      const [from, to] = [
        dnOf({ cn: 'bert', below: 'ou=people' }, server.baseDn),
        dnOf({ cn: 'bert the second', below: 'ou=leavers' }, server.baseDn),
      ];
      const before = await readAll(open(server));
      const { id } = before.entries.find(({ dn }) => dn.toLowerCase() === from.toLowerCase())!;
      await asRoot(server, (client) => client.modifyDN(from, to));
      onTestFinished(() => asRoot(server, (client) => client.modifyDN(to, from)));

      const reader = await open(server).openReader();
      onTestFinished(() => reader.close());
      const whereabouts = (await reader.locate([id!])).get(id!);

      expect(whereabouts).toEqual({
        kind: 'present',
        dn: expect.stringMatching(new RegExp(`^${to}$`, 'i')),
        inScope: false,
      });
      expect((await open(server).findDn(id!, server.idAttribute))?.toLowerCase()).toBe(to.toLowerCase());
    },
  },
  {
    name: 'proves that nobody has an id, by whatever attribute it has ids',
    async show(server) {
      expect(await open(server).findDn(randomUUID(), null)).toBeNull();
    },
  },
  {
    name: 'tells who is in scope, who is elsewhere and who is gone',
    async show(server) {
      const [anna] = (await readAll(open(server, { scope: { filter: '(cn=anna)' } }))).entries;
      const [leaver] = (await readAll(open(server, { scope: below(server, 'ou=leavers') }))).entries;
      const gone = goneId(server);
      const reader = await open(server).openReader();
      onTestFinished(() => reader.close());

      const whereabouts = await reader.locate([anna!.id!, leaver!.id!, gone]);

      expect([...whereabouts.values()]).toEqual([
        { kind: 'present', dn: anna!.dn, inScope: true },
        { kind: 'present', dn: leaver!.dn, inScope: false },
        { kind: 'gone' },
      ]);
    },
  },
  {
    name: 'looks people up although nobody is left in scope',
    async show(server) {
      const [anna] = (await readAll(open(server, { scope: { filter: '(cn=anna)' } }))).entries;
      const reader = await open(server, { scope: { filter: '(cn=nobody at all)' } }).openReader();
      onTestFinished(() => reader.close());

      const whereabouts = await reader.locate([anna!.id!, goneId(server)]);

      expect([...whereabouts.values()]).toEqual([{ kind: 'present', dn: anna!.dn, inScope: false }, { kind: 'gone' }]);
    },
  },
  {
    name: 'finds a unique id without case where the directory compares it so',
    async show(server) {
      const anna = dnOf({ cn: 'anna', below: 'ou=people' }, server.baseDn);
      await setEmployeeNumber(server, anna, ['AB1']);
      onTestFinished(() => setEmployeeNumber(server, anna, []));
      const mapping = { uniqueId: 'employeeNumber' };
      const reader = await open(server, { mapping }).openReader();
      onTestFinished(() => reader.close());

      const whereabouts = await reader.locate(['ab1', 'ab2']);

      expect([...whereabouts.values()]).toEqual([
        { kind: 'present', dn: expect.stringMatching(new RegExp(`^${anna}$`, 'i')) as string, inScope: true },
        { kind: 'gone' },
      ]);
      const found = await open(server, { mapping }).findDn('ab1', 'employeenumber');
      expect(found?.toLowerCase()).toBe(anna.toLowerCase());
    },
  },
  {
    name: 'tells a branch with people from one that its bind user can not see into',
    async show(server) {
      const reader = await open(server).openReader();
      onTestFinished(() => reader.close());

      expect(await reader.judgeBranch(`ou=people,${server.baseDn}`)).toBe('populated');
      expect(await reader.judgeBranch(`${HIDDEN},${server.baseDn}`)).toBe('vanished');
      expect(await reader.judgeBranch(`ou=nowhere,${server.baseDn}`)).toBe('vanished');
    },
  },
  {
    name: 'tells an empty branch by what its entry says',
    notApplicable: { samba: 'Active Directory does not say of an entry whether it has children' },
    async show(server) {
      const dn = `ou=emptied,${server.baseDn}`;
      await asRoot(server, (client) => client.add(dn, { objectClass: ['organizationalUnit'], ou: ['emptied'] }));
      onTestFinished(() => asRoot(server, (client) => client.del(dn)));
      const reader = await open(server).openReader();
      onTestFinished(() => reader.close());

      expect(await reader.judgeBranch(dn)).toBe('empty');
    },
  },
  {
    name: 'tells servers apart by their own name, else by the address in use',
    async show(server) {
      const ownName = 'CN=NTDS Settings,CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration';

      for (const connection of [encrypted(server, 'tls'), encrypted(server, 'ssl')]) {
        const reader = await open(server, { connection }).openReader();
        onTestFinished(() => reader.close());
        const name = connection.servers![0]!;
        // The 389 Directory Server of these tests calls itself localhost, as many do.
        const identity = server.product === 'samba' ? `${ownName},${server.baseDn}` : name;
        expect(reader.identity).toEqual({ name, identity });
      }
    },
  },
  {
    name: 'reads people in several units, and one level deep where the settings say so',
    async show(server) {
      const deep = await readAll(open(server, { scope: { depth: 'subtree' } }));
      const shallow = await readAll(open(server, { scope: { depth: 'oneLevel' } }));

      expect(userNames(server, deep)).toEqual(['anna', 'bert', 'emil', 'frida']);
      expect(userNames(server, shallow)).toEqual(['anna', 'bert']);
      expect(shallow.proof).toEqual(COMPLETE);
    },
  },
  { name: 'reads names in any script (UTF-8)', show: (server) => expectOddNames(server, 'utf8') },
  {
    name: 'reads names beyond the Basic Multilingual Plane (UTF-8 of four bytes)',
    notApplicable: { apacheds: 'ApacheDS refuses to add such an entry' },
    show: (server) => expectOddNames(server, 'planes'),
  },
  {
    name: 'reads names with commas, plus signs, equal signs and angle brackets',
    show: (server) => expectOddNames(server, 'separators'),
  },
  { name: 'reads names with quotes, slashes and backslashes', show: (server) => expectOddNames(server, 'quotes') },
  {
    name: 'reads names that begin or end with a space or begin with #',
    show: (server) => expectOddNames(server, 'edges'),
  },
  {
    name: 'reads every value of an attribute',
    async show(server) {
      const scope = { ...below(server, 'ou=values'), filter: '(cn=many)' };

      const { entries } = await readAll(open(server, { scope, mapping: { emailAddresses: 'mail,departmentNumber' } }));

      expect(entries[0]!.attributes.departmentnumber?.toSorted()).toEqual(['10', '20', '30']);
      expect(entries[0]!.attributes.mail).toEqual(['many@example.com']);
    },
  },
  {
    name: 'reads binary values: as text with replacement characters, and as hexadecimal digits where they are the unique id',
    async show(server) {
      const scope = { ...below(server, 'ou=values'), filter: '(cn=bytes)' };

      const { entries } = await readAll(
        open(server, { scope, mapping: { fullName: 'jpegPhoto', uniqueId: 'jpegPhoto' } }),
      );

      expect(entries).toHaveLength(1);
      expect(entries[0]).toMatchObject({
        id: PHOTO.toString('hex'),
        attributes: { jpegphoto: [PHOTO.toString('utf8')] },
      });
    },
  },
  {
    name: 'takes attribute names in any letter case',
    async show(server) {
      const mapping = {
        userName: server.userNameAttribute.toUpperCase(),
        fullName: 'dIsPlAyNaMe',
        uniqueId: server.idAttribute.toUpperCase(),
      };

      const { entries } = await readAll(open(server, { scope: { filter: '(CN=anna)' }, mapping }));

      expect(entries[0]).toMatchObject({
        id: expect.stringMatching(/^[0-9a-f-]{35,36}$/) as string,
        attributes: { [server.userNameAttribute.toLowerCase()]: ['anna'], displayname: ['Anna Weber'] },
      });
    },
  },
  {
    name: 'takes attributes by other names of the schema and by OIDs',
    async show(server) {
      const mapping = {
        ...(server.product === 'samba'
          ? { userName: SAM_ACCOUNT_NAME_OID, fullName: '2.5.4.3', emailAddresses: MAIL_OID }
          : { userName: 'userid', fullName: 'commonName', emailAddresses: MAIL_OID }),
        uniqueId: ID_OIDS[server.idAttribute],
      };
      const directory = open(server, { scope: { filter: '(cn=anna)' }, mapping });

      const { entries, proof } = await readAll(directory);

      expect(proof).toEqual(COMPLETE);
      expect(entries.map((entry) => mapEntry(entry, { ...MAPPING, ...mapping }))).toMatchObject([
        { person: { userName: 'anna', fullName: 'anna', emailAddresses: ['anna@example.com'] } },
      ]);
      expect(await directory.findDn(entries[0]!.id!, mapping.uniqueId)).toBe(entries[0]!.dn);
    },
  },
  {
    name: 'takes attributes with a language option (;lang-de)',
    notApplicable: { samba: NO_OPTIONS, apacheds: 'ApacheDS drops the option and keeps the value without it' },
    async show(server) {
      const scope = { ...below(server, 'ou=values'), filter: '(uid=languages)' };

      const plain = await readAll(open(server, { scope, mapping: { fullName: 'title' } }));
      const german = await readAll(open(server, { scope, mapping: { fullName: 'title;lang-de' } }));

      expect(plain.entries[0]!.attributes).toMatchObject({
        title: ['Head of sales'],
        'title;lang-de': ['Leiterin Vertrieb'],
      });
      expect(fullNameOf(plain, 'title')).toBe('Head of sales');
      expect(fullNameOf(german, 'title;lang-de')).toBe('Leiterin Vertrieb');
    },
  },
  {
    name: 'takes attributes with the option ;binary',
    notApplicable: { samba: NO_OPTIONS },
    async show(server) {
      const scope = { ...below(server, 'ou=values'), filter: '(uid=tagged)' };

      for (const fullName of ['userCertificate;binary', 'userCertificate']) {
        const { entries } = await readAll(open(server, { scope, mapping: { fullName } }));

        expect(attributeValues(entries[0]!, fullName)).toEqual([CERTIFICATE.toString('utf8')]);
      }
    },
  },
  {
    name: 'marks as disabled whom an administrator has locked',
    async show(server) {
      const locked = await readAll(open(server, { scope: below(server, 'ou=locked') }));
      const others = await readAll(open(server));

      expect(locked.entries.map(({ mark }) => mark !== null)).toEqual([true]);
      expect(others.entries.map(({ mark, statusUnknown }) => [mark, statusUnknown])).toEqual(
        Array.from({ length: 4 }, () => [null, false]),
      );
    },
  },
  {
    name: 'tells a base that is missing',
    async show(server) {
      const missing = open(server, { scope: below(server, 'ou=nowhere') });

      await expect(missing.openReader()).rejects.toMatchObject({
        code: 'baseNotFound',
        message: expect.stringMatching(/noSuchObject \(32\)/) as string,
      });
    },
  },
  {
    name: 'takes the base from the root DSE where the settings name none',
    notApplicable: { apacheds: 'ApacheDS shows several naming contexts and none as the default one' },
    async show(server) {
      const reader = await open(server, { scope: { baseDn: '' } }).openReader();
      onTestFinished(() => reader.close());

      expect(reader.baseDn.toLowerCase()).toBe(server.baseDn.toLowerCase());
      expect(reader.idAttribute).toBe(server.idAttribute.toLowerCase());
    },
  },
  {
    name: 'names a referral entry as a part of the directory that was not read',
    notApplicable: {
      samba: 'Active Directory has no referral entries; a reference to another domain takes a second domain',
    },
    async show(server) {
      const read = await readAll(open(server, { scope: below(server, 'ou=elsewhere') }));

      expect(userNames(server, read)).toEqual(['beside']);
      expect(read.proof).toMatchObject({ complete: false, onlyReferrals: true });
      expect(read.proof.reasons).toEqual([expect.stringContaining(`was not read: ${REFERENCE}`)]);
    },
  },
  {
    name: 'takes references to partitions that hold no people for no gap',
    notApplicable: {
      openldap: 'only Active Directory returns such references',
      ds389: 'only Active Directory returns such references',
      apacheds: 'only Active Directory returns such references',
    },
    async show(server) {
      const filter = `(&${server.peopleFilter}(!(cn=crowd*)))`;
      const client = new Client({ url: `ldap://127.0.0.1:${server.ldapPort}` });
      onTestFinished(() => client.unbind());
      await client.bind(server.readerDn, server.readerPassword);
      const { searchReferences } = await client.search(server.baseDn, { filter, attributes: ['cn'] });

      const read = await readAll(open(server, { scope: { baseDn: server.baseDn, filter } }));

      expect(searchReferences.join()).toMatch(/CN=Configuration,/i);
      expect(read.proof).toEqual(COMPLETE);
    },
  },
  {
    name: 'reads an alias entry as the entry it is and nobody twice',
    notApplicable: { samba: 'Active Directory has no alias entries' },
    async show(server) {
      const people = await readAll(open(server, { scope: below(server, 'ou=aliases') }));
      const everything = await readAll(open(server, { scope: { ...below(server, 'ou=aliases'), filter: '' } }));

      expect(people).toMatchObject({ entries: [], proof: COMPLETE });
      expect(everything.proof).toEqual(COMPLETE);
      expect(everything.entries.map(({ dn }) => dn.toLowerCase()).sort()).toEqual([
        `cn=anna,ou=aliases,${BASE_DN}`,
        `ou=aliases,${BASE_DN}`,
      ]);
      const unusable = everything.entries.flatMap((entry) => entry.unusable ?? []);
      expect(unusable).toEqual([expect.stringMatching(/^the entry is an alias of "cn=anna,ou=people,/i)]);
    },
  },
  {
    name: 'shows a bind user with few rights what it may see, and needs no right to write',
    async show(server) {
      const filter = `(&${server.peopleFilter}(|(cn=anna)(cn=secret)))`;
      const everywhere = { scope: { baseDn: server.baseDn, filter } };
      const asAdministrator = { connection: { administrativeDn: server.rootDn }, password: server.rootPassword };

      const seen = await readAll(open(server, everywhere));
      const all = await readAll(open(server, { ...everywhere, ...asAdministrator }));

      expect(userNames(server, seen)).toEqual(['anna']);
      expect(userNames(server, all)).toEqual(['anna', 'secret']);
      const client = new Client({ url: `ldap://127.0.0.1:${server.ldapPort}` });
      onTestFinished(() => client.unbind());
      await client.bind(server.readerDn, server.readerPassword);
      await expect(client.del(dnOf({ cn: 'anna', below: 'ou=people' }, server.baseDn))).rejects.toThrow(
        InsufficientAccessError,
      );
    },
  },
  {
    name: 'passes the staged check of settings',
    async show(server) {
      const result = await open(server, { connection: encrypted(server, 'tls') }).test(20_000);

      expect(result.stages.filter(({ ok }) => !ok)).toEqual([]);
      expect(result).toMatchObject({ ok: true, count: 4, counted: 'all' });
    },
  },
];
