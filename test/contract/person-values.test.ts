/**
 * What the values of a directory become, from the entry on a server to the person: names of attributes, options,
 * several values, marks of accounts, aliases, bases. Real servers where one shows it, else scripted ones.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { ReadProof } from '../../lib/directory/directory.ts';
import type { Mapped } from '../../lib/directory/mapping.ts';
import { mapEntry } from '../../lib/directory/mapping.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { ROOT_BASE, type Settings } from '../../lib/settings/settings.ts';
import { type Slapd, startSlapd } from '../../local/slapd.ts';
import type { Attributes, FixtureEntry } from '../support/directory-server.ts';
import { toLdif } from '../support/directory-server.ts';
import { aSettings } from '../support/people.ts';
import { readAll } from '../support/read-all.ts';
import {
  OFFERS_PAGING,
  type Script,
  type ScriptedServer,
  startScriptedLdapServer,
} from '../support/scripted-ldap-server.ts';

interface Over {
  readonly scope?: Partial<Settings['scope']>;
  readonly mapping?: Partial<Settings['mapping']>;
  readonly connection?: Partial<Settings['connection']>;
}

interface ReadPeople {
  readonly mapped: readonly Mapped[];
  readonly proof: ReadProof;
}

/** Reads the people on a port and maps them. */
async function readPeople(port: number, { scope, mapping, connection }: Over = {}): Promise<ReadPeople> {
  const settings = aSettings({
    connection: { servers: [`127.0.0.1:${port}`], administrativeDn: '', ...connection },
    scope: scope ?? {},
    mapping: mapping ?? {},
  });
  const directory = openDirectory(settings, '', () => new Date('2026-05-04T10:00:00Z'));
  onTestFinished(() => directory.close());
  const { entries, proof } = await readAll(directory);
  return { mapped: entries.map((entry) => mapEntry(entry, settings.mapping, 'disable')), proof };
}

const COMPLETE: ReadProof = { complete: true, reasons: [] };

/** The only person of a read. */
function onlyPerson({ mapped }: ReadPeople): object {
  expect(mapped).toHaveLength(1);
  return mapped[0]!.kind === 'person' ? mapped[0]!.person : mapped[0]!.skipped;
}

/** Starts OpenLDAP for this file. */
function openLdap(suffix: string, entries: readonly FixtureEntry[]): () => number {
  let folder: string;
  let slapd: Slapd;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-values-'));
    slapd = await startSlapd({
      folder,
      suffix,
      rootDn: suffix === '' ? 'cn=admin' : `cn=admin,${suffix}`,
      ldif: toLdif(entries),
    });
  });
  afterAll(async () => {
    await slapd?.stop();
    await rm(folder, { recursive: true, force: true });
  });
  return () => slapd.ldapPort;
}

const BASE = 'dc=example,dc=com';

describe('on OpenLDAP', () => {
  const person = (uid: string, more: Attributes = {}): FixtureEntry => ({
    dn: `cn=${uid},ou=people,${BASE}`,
    attributes: { objectClass: ['inetOrgPerson'], cn: [uid], sn: [uid], uid: [uid], ...more },
  });
  const port = openLdap(BASE, [
    { dn: BASE, attributes: { objectClass: ['domain'], dc: ['example'] } },
    { dn: `ou=people,${BASE}`, attributes: { objectClass: ['organizationalUnit'], ou: ['people'] } },
    { dn: `ou=aliases,${BASE}`, attributes: { objectClass: ['organizationalUnit'], ou: ['aliases'] } },
    person('anna', {
      displayName: ['Anna Weber'],
      'displayName;lang-en': ['Ann Weaver'],
      mail: ['anna@example.com'],
      employeeNumber: ['E-1'],
    }),
    person('bert', { uid: ['zweber', 'aweber'], mail: ['b@x.test, c@x.test', 'Bert <d@x.test>', 'no address'] }),
    person('carl', { objectClass: ['inetOrgPerson', 'shadowAccount'], shadowExpire: ['1'] }),
    person('dora', { objectClass: ['inetOrgPerson', 'shadowAccount'], shadowExpire: ['0'] }),
    {
      dn: `uid=anna,ou=aliases,${BASE}`,
      attributes: {
        objectClass: ['alias', 'extensibleObject'],
        uid: ['anna'],
        aliasedObjectName: [`cn=anna,ou=people,${BASE}`],
      },
    },
  ]);
  const only = (uid: string): Over['scope'] & object => ({ filter: `(uid=${uid})`, baseDn: `ou=people,${BASE}` });

  test.each([
    ['the names that the server uses', 'uid', 'cn', 'mail', 'employeeNumber'],
    ['aliases', 'userid', 'commonName', 'rfc822Mailbox', 'employeeNumber'],
    ['OIDs', '0.9.2342.19200300.100.1.1', '2.5.4.3', '0.9.2342.19200300.100.1.3', '2.16.840.1.113730.3.1.3'],
    ['aliases in any letter case', 'USERID', 'COMMONNAME', 'RFC822MAILBOX', 'EMPLOYEENUMBER'],
  ])('attributes may be mapped by %s', async (_, userName, fullName, emailAddresses, uniqueId) => {
    const read = await readPeople(port(), {
      scope: only('anna'),
      mapping: { userName, fullName, emailAddresses, uniqueId },
    });

    expect(read.proof).toEqual(COMPLETE);
    expect(onlyPerson(read)).toMatchObject({
      userName: 'anna',
      fullName: 'anna',
      emailAddresses: ['anna@example.com'],
      directoryId: 'E-1',
    });
  });

  test('people are found again by a unique id that is mapped by its OID', async () => {
    const uniqueId = '2.16.840.1.113730.3.1.3';
    const settings = aSettings({
      connection: { servers: [`127.0.0.1:${port()}`], administrativeDn: '' },
      scope: only('anna'),
      mapping: { uniqueId },
    });
    const directory = openDirectory(settings, '', () => new Date());
    onTestFinished(() => directory.close());
    const reader = await directory.openReader();
    onTestFinished(() => reader.close());

    expect(await directory.findDn('E-1', uniqueId)).toBe(`cn=anna,ou=people,${BASE}`);
    expect([...(await reader.locate(['E-1', 'E-2'])).values()]).toEqual([
      { kind: 'present', dn: `cn=anna,ou=people,${BASE}`, inScope: true },
      { kind: 'gone' },
    ]);
  });

  test('one attribute may be mapped twice by two of its names', async () => {
    const mapping = { userName: 'uid', fullName: 'userid', emailAddresses: 'mail, rfc822Mailbox' };
    const read = await readPeople(port(), { scope: only('anna'), mapping });

    expect(onlyPerson(read)).toMatchObject({
      userName: 'anna',
      fullName: 'anna',
      emailAddresses: ['anna@example.com'],
    });
  });

  test('a value without a language tag wins, unless the mapping names the tag', async () => {
    const plain = await readPeople(port(), { scope: only('anna'), mapping: { fullName: 'displayName' } });
    const english = await readPeople(port(), { scope: only('anna'), mapping: { fullName: 'displayName;lang-en' } });

    expect(onlyPerson(plain)).toMatchObject({ fullName: 'Anna Weber' });
    expect(onlyPerson(english)).toMatchObject({ fullName: 'Ann Weaver' });
  });

  test('several user names are one and others, and addresses are read wherever they are', async () => {
    const read = await readPeople(port(), { scope: only('zweber') });

    expect(onlyPerson(read)).toMatchObject({ userName: 'aweber', otherUserNames: ['zweber'] });
    expect(onlyPerson(read)).toMatchObject({
      emailAddresses: ['b@x.test', 'c@x.test', 'd@x.test'],
      notes: [`mail: "no address" can't be read as an e-mail address`],
    });
  });

  test('the mark of an account is named, and shadowExpire 0 is none', async () => {
    expect(onlyPerson(await readPeople(port(), { scope: only('carl') }))).toMatchObject({
      disabled: true,
      mark: 'shadowexpire',
      statusSeen: ['shadowexpire'],
    });
    expect(onlyPerson(await readPeople(port(), { scope: only('dora') }))).toMatchObject({
      disabled: false,
      mark: null,
      statusSeen: ['shadowexpire'],
    });
  });

  test('an alias is skipped, with advice', async () => {
    const scope = { baseDn: `ou=aliases,${BASE}`, filter: '(uid=*)' };

    expect(onlyPerson(await readPeople(port(), { scope }))).toEqual({
      directoryId: expect.any(String) as string,
      dn: `uid=anna,ou=aliases,${BASE}`,
      reason: expect.stringMatching(
        /^the entry is an alias of "cn=anna,ou=people,.*", so nobody can log in with it; exclude aliases with /,
      ) as string,
      disabled: false,
      mark: null,
      nameKey: null,
    });
  });

  test('a filter may have several lines', async () => {
    const filter = '(&\n  (objectClass=inetOrgPerson)\n  (|\n    (uid=anna)\n    (uid=carl)\n  )\n)';

    expect((await readPeople(port(), { scope: { filter } })).mapped).toHaveLength(2);
  });
});

describe('a directory whose only naming context is the root', () => {
  const port = openLdap('', [
    { dn: 'o=acme', attributes: { objectClass: ['organization'], o: ['acme'] } },
    {
      dn: 'cn=anna,o=acme',
      attributes: { objectClass: ['inetOrgPerson'], cn: ['anna'], sn: ['anna'], uid: ['anna'] },
    },
  ]);

  test.each(['', ROOT_BASE, 'o=acme'])('is read with the base %j', async (baseDn) => {
    const read = await readPeople(port(), { scope: { baseDn, filter: '(uid=*)' } });

    expect(read.proof).toEqual(COMPLETE);
    expect(onlyPerson(read)).toMatchObject({ userName: 'anna', dn: 'cn=anna,o=acme' });
  });
});

async function scripted(script: Script): Promise<ScriptedServer> {
  const server = await startScriptedLdapServer(script);
  onTestFinished(() => server.stop());
  return server;
}

const GUID = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const ACTIVE_DIRECTORY: Attributes = {
  ...OFFERS_PAGING,
  vendorName: ['Samba Team'],
  supportedCapabilities: ['1.2.840.113556.1.4.800'],
};

/** A server whose people all have these attributes, and that answers searches for more values by `more`. */
function people(attributes: Attributes, more: Script['search'] = (_asked, reply) => reply.done()): Script {
  return {
    rootDse: ACTIVE_DIRECTORY,
    search(asked, reply) {
      if (asked.scope === 'base') return more(asked, reply);
      reply.entry(`CN=Anna,${BASE}`, { objectGUID: [GUID], uid: ['anna'], ...attributes });
      reply.done(asked.page === null ? {} : { cookie: '' });
    },
  };
}

describe('values that a server sends in ranges', () => {
  const addresses = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, index) => `smtp:a${from + index}@x.test`);
  const mapping = { emailAddresses: 'proxyAddresses' };
  const cut = { proxyAddresses: [], 'proxyAddresses;range=0-1': addresses(0, 2) };

  test('are read on to the last', async () => {
    const asked: string[] = [];
    const server = await scripted(
      people(cut, (search, reply) => {
        asked.push(`${search.baseDn} ${search.attributes.join()}`);
        const from = Number(/range=(\d+)/.exec(search.attributes[0]!)![1]);
        const end = from === 4 ? '*' : String(from + 1);
        reply.entry(search.baseDn, { [`proxyAddresses;range=${from}-${end}`]: addresses(from, from + 2) });
        reply.done();
      }),
    );

    const read = await readPeople(server.port, { mapping });

    expect(read.proof).toEqual(COMPLETE);
    expect(onlyPerson(read)).toMatchObject({
      userName: 'anna',
      emailAddresses: addresses(0, 6).map((address) => address.slice('smtp:'.length)),
    });
    expect(asked).toEqual([`CN=Anna,${BASE} proxyAddresses;range=2-*`, `CN=Anna,${BASE} proxyAddresses;range=4-*`]);
  });

  test('are all there where the range has no end', async () => {
    const server = await scripted(people({ 'proxyAddresses;Range=0-*': addresses(0, 3) }));

    expect(onlyPerson(await readPeople(server.port, { mapping }))).toMatchObject({
      emailAddresses: ['a0@x.test', 'a1@x.test', 'a2@x.test'],
    });
  });

  test.each<[string, NonNullable<Script['search']>, RegExp]>([
    ['refuses the others', (_asked, reply) => reply.done({ code: 50 }), /first 2 values.*insufficientAccessRights/],
    ['does not send the others', (_asked, reply) => reply.done(), /first 2 values.*did not send the others/],
    [
      'sends the same ones again',
      (_asked, reply) => {
        reply.entry(`CN=Anna,${BASE}`, { 'proxyAddresses;range=0-1': addresses(0, 2) });
        reply.done();
      },
      /same values of proxyAddresses twice/,
    ],
    [
      'never ends',
      ({ attributes }, reply) => {
        const from = Number(/range=(\d+)/.exec(attributes[0]!)![1]);
        reply.entry(`CN=Anna,${BASE}`, { [`proxyAddresses;range=${from}-${from}`]: ['smtp:a@x.test'] });
        reply.done();
      },
      /does not end the values of proxyAddresses/,
    ],
  ])('skip the person alone where the server %s', async (_, more, reason) => {
    const server = await scripted(people(cut, more));

    const read = await readPeople(server.port, { mapping });

    expect(read.proof).toEqual(COMPLETE);
    expect(onlyPerson(read)).toMatchObject({ reason: expect.stringMatching(reason) as string });
  });

  test('break the read off where the connection breaks, and nobody has half of them', async () => {
    const server = await scripted(people(cut, (_asked, reply) => reply.hangUp()));

    const read = await readPeople(server.port, { mapping });

    expect(read.proof).toMatchObject({ complete: false, brokeOff: true });
    expect(read.mapped).toMatchObject([{ kind: 'skipped' }]);
  });

  test('do not matter in attributes that are not mapped', async () => {
    const server = await scripted(people({ 'memberOf;range=0-1': ['a', 'b'] }, (_asked, reply) => reply.hangUp()));

    expect((await readPeople(server.port, { mapping })).proof).toEqual(COMPLETE);
  });
});

describe('the status of an account', () => {
  const statusOf = async (attributes: Attributes, rootDse = ACTIVE_DIRECTORY): Promise<object> => {
    const server = await scripted({ ...people(attributes), rootDse });
    return onlyPerson(await readPeople(server.port));
  };

  test('is unknown where a user of Active Directory has no userAccountControl', async () => {
    const user = { objectClass: ['top', 'person', 'organizationalPerson', 'User'] };

    expect(await statusOf(user)).toMatchObject({ statusUnknown: true, statusSeen: [], disabled: false });
    expect(await statusOf({ ...user, accountExpires: ['0'] })).toMatchObject({
      statusUnknown: true,
      statusSeen: ['accountexpires'],
    });
    expect(await statusOf({ ...user, userAccountControl: ['512'] })).toMatchObject({
      statusUnknown: false,
      statusSeen: ['useraccountcontrol'],
    });
    expect(await statusOf({ objectClass: ['top', 'person', 'contact'] })).toMatchObject({ statusUnknown: false });
  });

  test('is known without it on AD LDS, which has msDS-UserAccountDisabled', async () => {
    const user = { objectClass: ['top', 'person', 'organizationalPerson', 'user'] };
    const lds = { ...OFFERS_PAGING, vendorName: [], supportedCapabilities: ['1.2.840.113556.1.4.1851'] };

    expect(await statusOf(user, lds)).toMatchObject({ statusUnknown: false, mark: null });
    expect(await statusOf({ ...user, 'msDS-UserAccountDisabled': ['TRUE'] }, lds)).toMatchObject({
      disabled: true,
      mark: 'msds-useraccountdisabled',
    });
  });

  test('has the first mark of the list of the vendor, in whatever order they come', async () => {
    const disabled: Attributes = { userAccountControl: ['514'], accountExpires: ['133000000000000000'] };
    const reversed = Object.fromEntries(Object.entries(disabled).toReversed());

    for (const attributes of [disabled, reversed]) {
      expect(await statusOf(attributes)).toMatchObject({
        mark: 'useraccountcontrol',
        statusSeen: ['useraccountcontrol', 'accountexpires'],
      });
    }
  });

  test.each([
    ['Sun Microsystems, Inc.', { inetUserStatus: ['inactive'] }, 'inetuserstatus'],
    ['Oracle Directory Server', { orclIsEnabled: ['DISABLED'] }, 'orclisenabled'],
    ['OpenLDAP', { sambaAcctFlags: ['[UD         ]'] }, 'sambaacctflags'],
    ['OpenLDAP', { accountStatus: ['disabled'] }, 'accountstatus'],
    ['ForgeRock AS OpenDJ', { 'ds-pwp-account-disabled': ['true'] }, 'ds-pwp-account-disabled'],
    ['International Business Machines (IBM)', { 'ibm-pwdAccountLocked': ['true'] }, 'ibm-pwdaccountlocked'],
  ])('on a server of %s is told by %j', async (vendorName, attributes, mark) => {
    const ids = { entryUUID: ['1'], nsUniqueId: ['1'], 'ibm-entryUuid': ['1'], objectGUID: [] };

    expect(await statusOf({ ...ids, ...attributes }, { ...OFFERS_PAGING, vendorName: [vendorName] })).toMatchObject({
      disabled: true,
      mark,
    });
  });
});

describe('the names of attributes', () => {
  const schema = [
    "( 0.9.2342.19200300.100.1.1 NAME ( 'uid' 'userid' ) EQUALITY caseIgnoreMatch )",
    "( '2.5.4.3' NAME 'cn' SUP name )",
    "( 1.2.3.4 NAME 'nsAccountLock' )",
    'nonsense',
  ];
  const named = (attributes: Attributes, answers: Script['search']): Script => ({
    rootDse: { ...OFFERS_PAGING, vendorName: ['389 Project'], subschemaSubentry: ['cn=schema'] },
    search(asked, reply) {
      if (asked.baseDn === 'cn=schema') return answers!(asked, reply);
      reply.entry(`cn=anna,${BASE}`, { nsUniqueId: ['1'], ...attributes });
      reply.done(asked.page === null ? {} : { cookie: '' });
    },
  });
  const known: Script['search'] = (_asked, reply) => {
    reply.entry('cn=schema', { attributeTypes: schema });
    reply.done();
  };

  test('are those of the schema, whichever of them the server answers with', async () => {
    const asked: (readonly string[])[] = [];
    const script = named({ '0.9.2342.19200300.100.1.1': ['anna'], commonName: ['?'], '1.2.3.4': ['TRUE'] }, known);
    const server = await scripted({
      ...script,
      search(search, reply) {
        if (search.page !== null) asked.push(search.attributes);
        script.search!(search, reply);
      },
    });

    const read = await readPeople(server.port, { mapping: { userName: 'userid', fullName: '2.5.4.3;lang-de' } });

    expect(onlyPerson(read)).toMatchObject({ userName: 'anna', fullName: null, mark: 'nsaccountlock' });
    expect(asked[0]).toEqual(expect.arrayContaining(['uid', 'cn;lang-de', 'nsUniqueId', 'nsAccountLock']));
  });

  test.each<[string, Script['search']]>([
    ['refused', (_asked, reply) => reply.done({ code: 50 })],
    ['not there', (_asked, reply) => reply.done({ code: 32 })],
    ['empty', (_asked, reply) => reply.done()],
  ])('are those of the mapping where the schema is %s', async (_, answers) => {
    const server = await scripted(named({ uid: ['anna'] }, answers));

    expect(onlyPerson(await readPeople(server.port))).toMatchObject({ userName: 'anna' });
    expect(onlyPerson(await readPeople(server.port, { mapping: { userName: 'userid' } }))).toMatchObject({
      reason: expect.stringMatching(/has no userid/) as string,
    });
  });

  test('are asked of the schema once for a whole read', async () => {
    let questions = 0;
    const server = await scripted(
      named({ uid: ['anna'] }, (asked, reply) => {
        questions += 1;
        known(asked, reply);
      }),
    );

    await readPeople(server.port);

    expect(questions).toBe(1);
  });
});
