/**
 * The Directory port on OpenLDAP, in more depth than directory.test.ts: lookups, password checks, refused connections
 * and the settings test.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'ldapts';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Directory } from '../../lib/directory/directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import { makeCertificates } from '../../local/certificate.ts';
import { type Slapd, startSlapd } from '../../local/slapd.ts';
import { startCountingProxy } from '../support/counting-proxy.ts';
import { aSettings } from '../support/people.ts';
import { readAll } from '../support/read-all.ts';

const BASE = 'dc=example,dc=com';
const PEOPLE = `ou=people,${BASE}`;
const READER = `cn=reader,${BASE}`;
const READER_PASSWORD = 'reader-Päss';
/** More people than two pages of 1,000, and than the 500 entries that the server returns without paging. */
const CROWD = 2300;

const NOW = new Date('2026-05-04T10:00:00Z');

let folder: string;
let slapd: Slapd;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-directory-'));
  slapd = await startSlapd({
    folder,
    ldif: ldif(),
    limits: [`dn.exact="${READER}" size.soft=500 size.hard=500 size.pr=1000 size.prtotal=unlimited`],
    policyDn: `cn=default,${BASE}`,
  });
});

afterAll(async () => {
  await slapd?.stop();
  await rm(folder, { recursive: true, force: true });
});

function entry(dn: string, lines: readonly string[]): string {
  return [['dn', dn], ...lines.map((line) => line.split(/: (.*)/s))]
    .map(([name, value = '']) => `${name}:: ${Buffer.from(value).toString('base64')}`)
    .join('\n');
}

function ldif(): string {
  const person = (rdn: string, uid: string, ou: string, more: readonly string[] = []): string =>
    entry(`${rdn},ou=${ou},${BASE}`, [
      'objectClass: inetOrgPerson',
      `uid: ${uid}`,
      `cn: ${uid}`,
      `sn: ${uid}`,
      `mail: ${uid}@example.com`,
      `userPassword: password of ${uid}`,
      ...more,
    ]);
  return [
    entry(BASE, ['objectClass: domain', 'dc: example']),
    entry(READER, [
      'objectClass: organizationalRole',
      'objectClass: simpleSecurityObject',
      'cn: reader',
      `userPassword: ${READER_PASSWORD}`,
    ]),
    entry(`cn=default,${BASE}`, [
      'objectClass: device',
      'objectClass: pwdPolicy',
      'cn: default',
      'pwdAttribute: userPassword',
      'pwdLockout: TRUE',
      'pwdMustChange: TRUE',
      'pwdMaxAge: 86400',
    ]),
    ...['people', 'crowd', 'leavers', 'odd', 'nobody'].map((ou) =>
      entry(`ou=${ou},${BASE}`, ['objectClass: organizationalUnit', `ou: ${ou}`]),
    ),
    ...Array.from({ length: CROWD }, (_, index) => person(`uid=crowd${index}`, `crowd${index}`, 'crowd')),
    person('uid=anna', 'anna', 'people', ['employeeNumber: E-1']),
    person('uid=bert', 'bert', 'people', ['audio: the sound of bert']),
    person('uid=carla', 'carla', 'people', ['displayName;lang-fr: Carla en français', 'displayName: Carla']),
    person('uid=locked', 'locked', 'people', ['pwdAccountLockedTime: 000001010000Z']),
    person('uid=reset', 'reset', 'people', ['pwdReset: TRUE']),
    person('uid=expired', 'expired', 'people', ['pwdChangedTime: 20200101000000Z']),
    person('uid=leaver', 'leaver', 'leavers'),
    person('uid=nonames', 'nonames', 'odd'),
    person('cn=Müller\\, Jürgen', 'mueller', 'odd', ['cn: Müller, Jürgen']),
    person('cn=\\#1 \\+ \\"x\\"\\\\', 'hash', 'odd', ['cn: #1 + "x"\\']),
    person('cn=\\20spaced\\20', 'spaced', 'odd', ['cn:  spaced ']),
    person('uid=bytes', 'bytes', 'odd', ['labeledURI: http://example.com/b']),
  ].join('\n\n');
}

interface Over {
  readonly connection?: Partial<Settings['connection']>;
  readonly scope?: Partial<Settings['scope']>;
  readonly mapping?: Partial<Settings['mapping']>;
  readonly password?: string;
}

function open({ connection, scope, mapping, password = READER_PASSWORD }: Over = {}): Directory {
  const settings = aSettings({
    connection: { servers: [`127.0.0.1:${slapd.ldapPort}`], administrativeDn: READER, ...connection },
    scope: { baseDn: PEOPLE, filter: '(objectClass=inetOrgPerson)', ...scope },
    mapping: mapping ?? {},
  });
  const directory = openDirectory(settings, password, () => NOW);
  onTestFinished(() => directory.close());
  return directory;
}

async function idOf(uid: string): Promise<string> {
  const { entries } = await readAll(open({ scope: { baseDn: BASE, filter: `(uid=${uid})` } }));
  expect(entries).toHaveLength(1);
  return entries[0]!.id!;
}

async function asRoot(change: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ url: `ldap://127.0.0.1:${slapd.ldapPort}` });
  await client.bind(slapd.rootDn, slapd.rootPassword);
  await change(client);
  await client.unbind();
}

/** Renames or moves an entry, and moves it back after the test. */
async function moveEntry(from: string, to: string): Promise<void> {
  await asRoot((client) => client.modifyDN(from, to));
  onTestFinished(() => asRoot((client) => client.modifyDN(to, from)));
}

const refusal = (code: string): unknown => expect.objectContaining({ name: 'ServiceError', code });

describe('reading', () => {
  test('shows everybody, past the limits that hold without paging, and proves it', async () => {
    const { entries, proof, pages } = await readAll(open({ scope: { baseDn: `ou=crowd,${BASE}` } }));

    expect(proof).toEqual({ complete: true, reasons: [] });
    expect(pages).toBe(3);
    expect(new Set(entries.map(({ id }) => id)).size).toBe(CROWD);
    expect(entries[0]).toEqual({
      dn: `uid=crowd0,ou=crowd,${BASE}`,
      id: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/) as string,
      mark: null,
      statusSeen: [],
      statusUnknown: false,
      unusable: null,
      attributes: { uid: ['crowd0'], cn: ['crowd0'], mail: ['crowd0@example.com'] },
    });
  });

  test('tells when a limit of the server has cut it short, and keeps what came before', async () => {
    const directory = open({
      connection: { administrativeDn: `uid=anna,${PEOPLE}` },
      password: 'password of anna',
      scope: { baseDn: `ou=crowd,${BASE}` },
    });

    const { entries, proof } = await readAll(directory);

    expect(entries).toHaveLength(500);
    expect(proof).toEqual({
      complete: false,
      reasons: [expect.stringMatching(/after 500 entries: sizeLimitExceeded \(4\)/)],
    });
  });

  test('takes the base from the root DSE where the settings name none', async () => {
    const reader = await open({ scope: { baseDn: '' } }).openReader();
    onTestFinished(() => reader.close());

    expect(reader).toMatchObject({ baseDn: BASE, idAttribute: 'entryuuid', server: `127.0.0.1:${slapd.ldapPort}` });
  });

  test('goes one level deep where the settings say so', async () => {
    const below = await readAll(open({ scope: { baseDn: BASE, depth: 'oneLevel' } }));
    const inside = await readAll(open({ scope: { baseDn: PEOPLE, depth: 'oneLevel' } }));

    expect(below.entries).toEqual([]);
    expect(below.proof.complete).toBe(true);
    expect(inside.entries).toHaveLength(6);
  });

  test('spells names and values as the directory does', async () => {
    const { entries } = await readAll(
      open({ scope: { baseDn: `ou=odd,${BASE}` }, mapping: { userName: 'uid', fullName: 'cn' } }),
    );

    const byUid = new Map(entries.map((entry) => [entry.attributes.uid![0], entry]));
    expect(byUid.get('mueller')!.attributes.cn).toContain('Müller, Jürgen');
    expect(byUid.get('mueller')!.dn).toMatch(/^cn=M(ü|\\C3\\BC)ller(\\2C|\\,) J(ü|\\C3\\BC)rgen,/i);
    expect(byUid.get('hash')!.attributes.cn).toContain('#1 + "x"\\');
    expect(entries).toHaveLength(5);
  });

  test('finds what a filter with bytes beyond ASCII asks for', async () => {
    const { entries } = await readAll(
      open({ scope: { baseDn: BASE, filter: '(&(cn=M\\c3\\bcll*, Jürgen)(!(uid=bert)))' } }),
    );

    expect(entries.map(({ attributes }) => attributes.uid)).toEqual([['mueller']]);
  });

  test('takes mapped attributes without looking at letter case, options last', async () => {
    const { entries } = await readAll(
      open({ scope: { filter: '(uid=carla)' }, mapping: { userName: 'UID', fullName: 'DisplayName' } }),
    );

    expect(entries[0]!.attributes).toEqual({
      uid: ['carla'],
      displayname: ['Carla'],
      'displayname;lang-fr': ['Carla en français'],
      mail: ['carla@example.com'],
    });
  });

  test('marks as disabled whom an administrator has locked for good', async () => {
    const { entries } = await readAll(open());

    expect(entries.filter(({ mark }) => mark !== null).map(({ attributes }) => attributes.uid)).toEqual([['locked']]);
  });

  test('takes the unique id from the attribute of the settings, and from people only', async () => {
    const { entries } = await readAll(open({ scope: { filter: '' }, mapping: { uniqueId: 'employeeNumber' } }));

    expect(new Set(entries.map(({ id }) => id))).toEqual(new Set(['E-1', null]));
  });

  test('does not begin where nobody has the unique id of the settings', async () => {
    const directory = open({ mapping: { uniqueId: 'departmentNumber' } });

    await expect(directory.openReader()).rejects.toEqual(refusal('uniqueIdMissing'));
  });
});

describe('looking people up', () => {
  test('tells who is in scope, who is elsewhere and who is gone', async () => {
    const [anna, leaver] = [await idOf('anna'), await idOf('leaver')];
    const gone = '00000000-0000-0000-0000-000000000000';
    const reader = await open().openReader();
    onTestFinished(() => reader.close());

    const whereabouts = await reader.locate([anna, leaver, gone]);

    expect(whereabouts).toEqual(
      new Map<string, unknown>([
        [anna, { kind: 'present', dn: `uid=anna,${PEOPLE}`, inScope: true }],
        [leaver, { kind: 'present', dn: `uid=leaver,ou=leavers,${BASE}`, inScope: false }],
        [gone, { kind: 'gone' }],
      ]),
    );
  });

  test('answers for every one of many ids, in a few requests', async () => {
    const crowd = await readAll(open({ scope: { baseDn: `ou=crowd,${BASE}` } }));
    const ids = crowd.entries.slice(0, 250).map(({ id }) => id!);
    const reader = await open().openReader();
    onTestFinished(() => reader.close());
    const before = reader.requests;

    const whereabouts = await reader.locate(ids);

    expect([...whereabouts.keys()].sort()).toEqual([...ids].sort());
    expect([...whereabouts.values()].every((where) => where.kind === 'present' && !where.inScope)).toBe(true);
    expect(reader.requests - before).toBe(6);
  });

  test('keeps the id of somebody who is renamed and moved', async () => {
    const bert = await idOf('bert');
    await moveEntry(`uid=bert,${PEOPLE}`, `uid=bert-the-second,ou=leavers,${BASE}`);

    const dn = await open().findDn(bert, 'entryuuid');
    const reader = await open().openReader();
    const whereabouts = await reader.locate([bert]);
    await reader.close();

    expect(dn).toBe(`uid=bert-the-second,ou=leavers,${BASE}`);
    expect(whereabouts.get(bert)).toEqual({ kind: 'present', dn, inScope: false });
  });

  test('proves nothing from the silence of a server that can not compare the ids', async () => {
    // This attribute has no equality matching rule: a search for its exact value succeeds and finds nobody.
    const directory = open({ scope: { filter: '(uid=bert)' }, mapping: { uniqueId: 'audio' } });
    const reader = await directory.openReader();
    onTestFinished(() => reader.close());

    await expect(reader.locate(['some other sound'])).rejects.toEqual(refusal('readRefused'));
  });

  test('still has its proof when the entry it goes by is deleted in the meantime', async () => {
    const dns = ['first', 'second'].map((uid) => `uid=passing-${uid},ou=odd,${BASE}`);
    const add = (dn: string) =>
      asRoot((client) => client.add(dn, { objectClass: ['inetOrgPerson'], cn: 'x', sn: 'x' }));
    for (const dn of dns) await add(dn);
    onTestFinished(() => asRoot((client) => client.del(dns[1]!)));
    const second = await idOf('passing-second');
    const reader = await open({ scope: { baseDn: `ou=odd,${BASE}`, filter: '(uid=passing-*)' } }).openReader();
    onTestFinished(() => reader.close());
    await asRoot((client) => client.del(dns[0]!));

    const whereabouts = await reader.locate([second, '00000000-0000-0000-0000-000000000000']);

    expect([...whereabouts.values()]).toEqual([{ kind: 'present', dn: dns[1], inScope: true }, { kind: 'gone' }]);
  });

  test('works in a scope in which nobody is left, with an entry from anywhere in the naming context', async () => {
    const anna = await idOf('anna');
    const gone = '00000000-0000-0000-0000-000000000000';
    const elsewhere = { kind: 'present', dn: `uid=anna,${PEOPLE}`, inScope: false };

    for (const scope of [{ filter: '(uid=nobody at all)' }, { baseDn: `ou=nobody,${BASE}` }]) {
      const reader = await open({ scope }).openReader();
      onTestFinished(() => reader.close());

      const places = await reader.locate([anna, gone]);

      expect([...places.values()]).toEqual([elsewhere, { kind: 'gone' }]);
    }
  });

  test('works in such a scope by the attribute of the settings, where the vendor is unknown too', async () => {
    const scope = { filter: '(uid=nobody at all)' };
    const byNumber = await open({ scope, mapping: { uniqueId: 'employeeNumber' } }).openReader();
    const unknown = await open({ scope, connection: { vendor: 'unknown' } }).openReader();
    onTestFinished(async () => void (await Promise.all([byNumber.close(), unknown.close()])));

    expect(await byNumber.locate(['E-1', 'E-2'])).toEqual(
      new Map<string, unknown>([
        ['E-1', { kind: 'present', dn: `uid=anna,${PEOPLE}`, inScope: false }],
        ['E-2', { kind: 'gone' }],
      ]),
    );
    expect(unknown.idAttribute).toBe('entryuuid');
  });

  test('proves nothing where no entry of the whole naming context has the attribute', async () => {
    const reader = await open({
      scope: { filter: '(uid=nobody at all)' },
      mapping: { uniqueId: 'departmentNumber' },
    }).openReader();
    onTestFinished(() => reader.close());

    expect((await reader.locate(['7'])).get('7')).toEqual({
      kind: 'unproven',
      reason: `127.0.0.1:${slapd.ldapPort}: the bind DN can't read the departmentNumber of any entry below ${BASE}`,
    });
  });

  test('finds no DN for an id that is not there or can not be one', async () => {
    const directory = open();

    expect(await directory.findDn('00000000-0000-0000-0000-000000000000', 'entryuuid')).toBeNull();
    expect(await directory.findDn('not an id', 'objectguid')).toBeNull();
    expect(await directory.findDn('E-1', 'employeenumber')).toBe(`uid=anna,${PEOPLE}`);
  });
});

describe('unique ids that the directory compares without case', () => {
  const twins = ['uid=twin-1', 'uid=twin-2'].map((rdn) => `${rdn},ou=odd,${BASE}`);
  const byNumber = { scope: { baseDn: BASE }, mapping: { uniqueId: 'employeeNumber' } };

  async function addTwins(...numbers: readonly string[]): Promise<void> {
    for (const [index, employeeNumber] of numbers.entries()) {
      const attributes = { objectClass: ['inetOrgPerson'], cn: 'x', sn: 'x', employeeNumber };
      await asRoot((client) => client.add(twins[index]!, attributes));
      onTestFinished(() => asRoot((client) => client.del(twins[index]!)));
    }
  }

  async function locate(...ids: readonly string[]): Promise<unknown[]> {
    const reader = await open(byNumber).openReader();
    onTestFinished(() => reader.close());
    const places = await reader.locate(ids);
    expect([...places.keys()]).toEqual(ids);
    return [...places.values()].map((place) => (place.kind === 'present' ? place.dn : place.kind));
  }

  test('are found as the directory spells them now', async () => {
    await addTwins('AB  1');

    expect(await locate('ab 1', 'e-1', 'E-2')).toEqual([twins[0], `uid=anna,${PEOPLE}`, 'gone']);
    expect(await open(byNumber).findDn('ab 1', 'employeenumber')).toBe(twins[0]);
  });

  test('are found among more than one search takes', async () => {
    const many = Array.from({ length: 150 }, (_, index) => `X-${index}`);

    expect(await locate('e-1', ...many)).toEqual([`uid=anna,${PEOPLE}`, ...many.map(() => 'gone')]);
  });

  test('belong to those whose id they are exactly', async () => {
    await addTwins('AB1', 'ab1');

    expect(await locate('ab1', 'AB1', 'Ab1')).toEqual([twins[1], twins[0], 'gone']);
    expect(await open(byNumber).findDn('ab1', 'employeenumber')).toBe(twins[1]);
  });

  test('prove nothing where several people or several ids could be meant', async () => {
    await addTwins('AB1', 'aB1');

    expect(await locate('ab1', 'E-2')).toEqual(['unproven', 'gone']);
    expect(await open(byNumber).findDn('ab1', 'employeenumber')).toBeNull();
    expect(await locate('e-1', 'E-1', 'E-2')).toEqual(['gone', `uid=anna,${PEOPLE}`, 'gone']);
    expect(await locate('AB1', 'Ab1', 'ab1')).toEqual([twins[0], 'unproven', 'unproven']);
  });
});

describe('verifying a password', () => {
  test.each([
    ['the right one', 'anna', 'password of anna', { kind: 'accepted' }],
    ['a wrong one', 'anna', 'wrong', { kind: 'rejected', reason: 'invalidCredentials' }],
    ['an empty one', 'anna', '', { kind: 'rejected', reason: 'invalidCredentials' }],
    ['that of a DN that is not there', 'nobody', 'x', { kind: 'rejected', reason: 'invalidCredentials' }],
    ['that of a locked account', 'locked', 'password of locked', { kind: 'rejected', reason: 'accountLocked' }],
    ['one that has expired', 'expired', 'password of expired', { kind: 'rejected', reason: 'passwordExpired' }],
    ['one that must be changed', 'reset', 'password of reset', { kind: 'rejected', reason: 'passwordMustChange' }],
  ])('answers for %s', async (_what, uid, password, expected) => {
    expect(await open().verifyPassword(`uid=${uid},${PEOPLE}`, password)).toEqual(expected);
  });

  test.each(['', 'anna', 'EXTERNAL', 'PLAIN', 'anna@example.com'])(
    'never binds the name %j, which is no DN',
    async (name) => {
      const proxy = await startCountingProxy(slapd.ldapPort);
      onTestFinished(() => proxy.stop());
      const directory = open({ connection: { servers: [`127.0.0.1:${proxy.port}`] } });

      expect(await directory.verifyPassword(name, 'x')).toEqual({ kind: 'rejected', reason: 'invalidCredentials' });
      expect(proxy.connections).toBe(0);
    },
  );

  test('works for every spelling of a DN that a search returns', async () => {
    const directory = open({ scope: { baseDn: `ou=odd,${BASE}` } });
    const { entries } = await readAll(directory);

    const results = await Promise.all(
      entries.map(({ dn, attributes }) => directory.verifyPassword(dn, `password of ${attributes.uid![0]}`)),
    );

    expect(results).toEqual(entries.map(() => ({ kind: 'accepted' })));
  });

  test('keeps its connection for the next one, and replaces a broken one', async () => {
    const proxy = await startCountingProxy(slapd.ldapPort);
    onTestFinished(() => proxy.stop());
    const directory = open({ connection: { servers: [`127.0.0.1:${proxy.port}`] } });
    const verify = (password: string) => directory.verifyPassword(`uid=anna,${PEOPLE}`, password);

    await verify('password of anna');
    await verify('wrong');
    await verify('password of anna');
    expect(proxy.connections).toBe(1);

    proxy.dropConnections();
    expect(await verify('password of anna')).toEqual({ kind: 'accepted' });
    expect(proxy.connections).toBe(2);
  });

  test('gives every bind a connection of its own, and none is left after closing', async () => {
    const proxy = await startCountingProxy(slapd.ldapPort);
    onTestFinished(() => proxy.stop());
    const directory = open({ connection: { servers: [`127.0.0.1:${proxy.port}`] } });
    const uids = ['anna', 'bert', 'carla', 'nobody', 'anna', 'bert', 'carla', 'nobody'];

    const results = await Promise.all(
      uids.map((uid) => directory.verifyPassword(`uid=${uid},${PEOPLE}`, `password of ${uid}`)),
    );

    expect(results.map(({ kind }) => kind === 'accepted')).toEqual([true, true, true, false, true, true, true, false]);
    await directory.close();
    await expect.poll(() => proxy.openSockets).toBe(0);
  });
});

describe('connecting', () => {
  test.each(['tls', 'ssl'] as const)('with %s trusts the authority of the settings', async (encryption) => {
    const port = encryption === 'ssl' ? slapd.ldapsPort : slapd.ldapPort;
    const { entries, proof } = await readAll(
      open({ connection: { servers: [`localhost:${port}`], encryption, caCertificates: slapd.caPem } }),
    );

    expect(proof.complete).toBe(true);
    expect(entries).toHaveLength(6);
  });

  test.each(['tls', 'ssl'] as const)(
    'with %s refuses a certificate of an unknown authority, unless warnings are ignored',
    async (encryption) => {
      const port = encryption === 'ssl' ? slapd.ldapsPort : slapd.ldapPort;
      const connection = { servers: [`127.0.0.1:${port}`], encryption, caCertificates: makeCertificates().caPem };

      await expect(open({ connection }).openReader()).rejects.toEqual(refusal('certificateRefused'));
      const { proof } = await readAll(open({ connection: { ...connection, ignoreCertificateWarnings: true } }));
      expect(proof.complete).toBe(true);
    },
  );

  test.each([
    ['expired', { notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') }, /CERT_HAS_EXPIRED/],
    ['made for another name', { names: ['ldap.example.org'] }, /ERR_TLS_CERT_ALTNAME_INVALID/],
  ])('refuses a certificate that is %s', async (_what, options, message) => {
    const certificates = makeCertificates(options);
    const other = await mkdtemp(join(tmpdir(), 'rollcall-directory-'));
    const server = await startSlapd({ folder: other, ldif: ldif().split('\n\n')[0]!, certificates });
    onTestFinished(async () => {
      await server.stop();
      await rm(other, { recursive: true });
    });
    const directory = open({
      connection: { servers: [`127.0.0.1:${server.ldapPort}`], encryption: 'tls', caCertificates: certificates.caPem },
    });

    await expect(directory.openReader()).rejects.toMatchObject({
      code: 'certificateRefused',
      message: expect.stringMatching(message) as string,
    });
  });

  test('tells when the server takes passwords over encrypted connections only', async () => {
    const other = await mkdtemp(join(tmpdir(), 'rollcall-directory-'));
    const server = await startSlapd({ folder: other, ldif: ldif().split('\n\n')[0]!, requireEncryption: true });
    onTestFinished(async () => {
      await server.stop();
      await rm(other, { recursive: true });
    });
    const connection = { servers: [`127.0.0.1:${server.ldapPort}`], administrativeDn: server.rootDn };

    await expect(open({ connection, password: server.rootPassword }).openReader()).rejects.toEqual(
      refusal('encryptionRequired'),
    );
    await expect(open({ connection }).verifyPassword(`uid=anna,${PEOPLE}`, 'x')).rejects.toEqual(
      refusal('encryptionRequired'),
    );
  });

  test('tells a wrong password of the administrative DN, without asking the next server', async () => {
    const proxy = await startCountingProxy(slapd.ldapPort);
    onTestFinished(() => proxy.stop());
    const directory = open({
      connection: { servers: [`127.0.0.1:${proxy.port}`, `127.0.0.1:${proxy.port}`] },
      password: 'wrong-secret',
    });

    const error: unknown = await directory.openReader().catch((fault: unknown) => fault);

    expect(error).toEqual(refusal('bindRefused'));
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('wrong-secret');
    expect(proxy.connections).toBe(1);
  });

  test('binds anonymously where the settings name nobody, and never with a name and no password', async () => {
    const { entries } = await readAll(open({ connection: { administrativeDn: '' }, password: '' }));

    expect(entries).toHaveLength(6);
    await expect(open({ password: '' }).openReader()).rejects.toEqual(refusal('bindRefused'));
  });

  test.each([
    ['a base that is not there', { scope: { baseDn: `ou=nowhere,${BASE}` } }, 'baseNotFound'],
    ['a base that is no DN', { scope: { baseDn: 'nonsense' } }, 'baseNotFound'],
    ['a port where nothing listens', { connection: { servers: ['127.0.0.1:1'] } }, 'connectionRefused'],
    ['a name that does not resolve', { connection: { servers: ['ldap.invalid'] } }, 'hostNotFound'],
  ])('tells %s', async (_what, over, code) => {
    await expect(open(over).openReader()).rejects.toEqual(refusal(code));
  });

  test.each([
    ['LDAPS on the port for LDAP', 'ssl' as const, () => slapd.ldapPort],
    ['LDAP on the port for LDAPS', 'none' as const, () => slapd.ldapsPort],
  ])('tells %s at once', async (_what, encryption, port) => {
    const directory = open({ connection: { servers: [`127.0.0.1:${port()}`], encryption } });

    await expect(directory.openReader()).rejects.toMatchObject({
      code: expect.stringMatching(/^(notLdap|connectionLost)$/) as string,
    });
  });

  test('goes on to the second server when the first does not answer', async () => {
    const servers = ['127.0.0.1:1', `127.0.0.1:${slapd.ldapPort}`];
    const directory = open({ connection: { servers } });
    const reader = await directory.openReader();
    onTestFinished(() => reader.close());

    expect(reader.server).toBe(servers[1]);
    expect(await directory.verifyPassword(`uid=anna,${PEOPLE}`, 'password of anna')).toEqual({ kind: 'accepted' });
  });
});

describe('the staged check', () => {
  test('tells what it found, step by step', async () => {
    const directory = open({ connection: { encryption: 'tls', caCertificates: slapd.caPem } });

    const result = await directory.test(5000);

    expect(result.stages.map(({ name, ok }) => `${name} ${ok}`)).toEqual(
      ['nameResolution', 'connect', 'tls', 'bind', 'rootDse', 'base', 'attributes', 'filter'].map(
        (name) => `${name} true`,
      ),
    );
    expect(result).toMatchObject({ ok: true, count: 6, counted: 'all' });
    expect(result.sample).toHaveLength(5);
    const certificate = 'the certificate of localhost \\(names: localhost, .*\\), issued by Local Test Authority';
    expect(result.stages[2]!.detail).toMatch(new RegExp(`^StartTLS with ${certificate}, expires in \\d+ days$`));
    expect(result.stages[4]!.detail).toContain(
      'OpenLDAP; announces: paged searches, StartTLS, password policy control; ' +
        'unique id attribute: entryUUID; naming contexts: dc=example,dc=com',
    );
  });

  test('counts no further than its cap', async () => {
    const result = await open({ scope: { baseDn: `ou=crowd,${BASE}` } }).test(5000);

    expect(result).toMatchObject({ ok: true, count: 1000, counted: 'capped' });
  });

  test.each([
    ['connect', { connection: { servers: ['127.0.0.1:1'] } }, /127\.0\.0\.1:1: nothing listens on this port/],
    ['tls', { connection: { encryption: 'tls' as const } }, /certificate is not trusted.*caCertificates/],
    ['bind', { password: 'wrong' }, /invalidCredentials \(49\).*Check the bind DN/],
    ['base', { scope: { baseDn: `ou=nowhere,${BASE}` } }, /noSuchObject \(32\).*Check the base DN/],
    ['attributes', { mapping: { uniqueId: 'departmentNumber' } }, /no readable unique id \(departmentNumber\)/],
  ])('stops at %s with advice', async (name, over, detail) => {
    const result = await open(over).test(5000);

    expect(result).toMatchObject({ ok: false, count: null, counted: 'none', sample: [] });
    expect(result.stages.at(-1)).toMatchObject({ name, ok: false, detail: expect.stringMatching(detail) as string });
    expect(result.stages.slice(0, -1).every(({ ok }) => ok)).toBe(true);
  });

  test('tells why a server was passed over', async () => {
    const result = await open({ connection: { servers: ['127.0.0.1:1', `127.0.0.1:${slapd.ldapPort}`] } }).test(5000);

    expect(result.ok).toBe(true);
    expect(result.stages[0]!.detail).toMatch(/127\.0\.0\.1:1: nothing listens.*next server/);
  });
});
