/**
 * The views of other servers, on pairs of real OpenLDAP servers with the same people: what the server that was read
 * hides or does not have yet, another one shows. Scripted servers and proxies stand for those that fail.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Directory, DirectoryReader, OtherView } from '../../lib/directory/directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import type { Resolve } from '../../lib/ldap/connection.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { type Slapd, startSlapd } from '../../local/slapd.ts';
import { startCountingProxy } from '../support/counting-proxy.ts';
import { type FixtureEntry, toLdif } from '../support/directory-server.ts';
import { aSettings } from '../support/people.ts';
import {
  OFFERS_PAGING,
  type Script,
  type ScriptedServer,
  startScriptedLdapServer,
} from '../support/scripted-ldap-server.ts';

const BASE = 'dc=example,dc=com';
const READER = `cn=reader,${BASE}`;
const PASSWORD = 'Reader Päss 1';
const CONNECT_SECONDS = 0.8;
/** More than the connect timeout of one server, and less than that of two. */
const ONE_TIMEOUT_MS = CONNECT_SECONDS * 1000 + 600;
const NOBODY_LISTENS = '127.0.0.1:1';
const NOBODY = '00000000-0000-4000-8000-0000000000ff';

/** Anna and Bert are in sales, the others in research. */
const UNITS: Readonly<Record<string, string>> = { anna: 'sales', bert: 'sales', carl: 'research', dora: 'research' };
const NAMES = Object.keys(UNITS);
const idOf = (name: string): string => `00000000-0000-4000-8000-00000000000${NAMES.indexOf(name) + 1}`;
const dnOf = (name: string): string => `uid=${name},ou=${UNITS[name]},${BASE}`;

const entry = (dn: string, attributes: FixtureEntry['attributes']): FixtureEntry => ({ dn, attributes });

const unit = (ou: string, below: string): FixtureEntry =>
  entry(`ou=${ou},${below}`, { objectClass: ['organizationalUnit'], ou: [ou] });

function person(name: string): FixtureEntry {
  const names = { uid: [name], cn: [name], sn: [name] };
  return entry(dnOf(name), { objectClass: ['inetOrgPerson'], ...names, entryUUID: [idOf(name)] });
}

function directoryOf(...names: readonly string[]): string {
  const services = { objectClass: ['organizationalRole', 'simpleSecurityObject'], cn: ['reader'] };
  return toLdif([
    entry(BASE, { objectClass: ['domain'], dc: ['example'] }),
    entry(READER, { ...services, userPassword: [PASSWORD] }),
    ...['sales', 'research', 'empty', 'units'].map((ou) => unit(ou, BASE)),
    unit('deeper', `ou=units,${BASE}`),
    ...names.map(person),
  ]);
}

const folders: string[] = [];
const running: Slapd[] = [];

async function start(options: Omit<Parameters<typeof startSlapd>[0], 'folder'>): Promise<Slapd> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-views-'));
  folders.push(folder);
  const slapd = await startSlapd({ ...options, folder });
  running.push(slapd);
  return slapd;
}

/** Shows everybody. */
let full: Slapd;
/** Does not have Bert and Dora yet. */
let stale: Slapd;
/** Hides research from the reader. */
let strict: Slapd;
/** Hides every unique id from the reader. */
let blind: Slapd;
/** Another directory, which does not know the reader. */
let foreign: Slapd;

beforeAll(async () => {
  const ldif = directoryOf(...NAMES);
  const hides = (what: string): string => `to ${what} by dn.exact="${READER}" none by * break`;
  const other = 'dc=other,dc=test';
  const suffix = entry(other, { objectClass: ['domain'], dc: ['other'] });
  [full, stale, strict, blind, foreign] = await Promise.all([
    start({ ldif }),
    start({ ldif: directoryOf('anna', 'carl') }),
    start({ ldif, access: [hides(`dn.subtree="ou=research,${BASE}"`)] }),
    start({ ldif, access: [hides('attrs=entryUUID')] }),
    start({ ldif: toLdif([suffix]), suffix: other }),
  ]);
});

afterAll(async () => {
  await Promise.all(running.map((slapd) => slapd.stop()));
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

async function scripted(script: Script): Promise<ScriptedServer> {
  const server = await startScriptedLdapServer(script);
  onTestFinished(() => server.stop());
  return server;
}

const at = (server: { readonly port: number } | Slapd): string =>
  `127.0.0.1:${'port' in server ? server.port : server.ldapPort}`;

function open(servers: readonly string[], resolve?: Resolve, filter = '(objectClass=inetOrgPerson)'): Directory {
  const settings = aSettings({
    connection: {
      servers,
      administrativeDn: READER,
      timeouts: { connectSeconds: CONNECT_SECONDS, operationSeconds: 1, loginSeconds: 2 },
    },
    scope: { baseDn: BASE, filter },
  });
  const directory = openDirectory(settings, PASSWORD, () => new Date(), resolve);
  onTestFinished(() => directory.close());
  return directory;
}

async function read(directory: Directory): Promise<DirectoryReader> {
  const reader = await directory.openReader();
  onTestFinished(() => reader.close());
  return reader;
}

/** The other views, their readers closed after the test. */
async function viewsOf(directory: Directory, reader: DirectoryReader): Promise<readonly OtherView[]> {
  const views = await directory.openOtherViews(reader);
  onTestFinished(async () => {
    for (const view of views) if (view.kind === 'open') await view.reader.close();
  });
  return views;
}

function onlyReader(views: readonly OtherView[]): DirectoryReader {
  expect(views).toEqual([{ kind: 'open', reader: expect.anything() as unknown }]);
  const [view] = views;
  if (view?.kind !== 'open') throw new Error('no view is open');
  return view.reader;
}

/** What a reader says of each person, in the order of NAMES: `gone`, `unproven`, or whether in scope. */
async function tellsOf(reader: DirectoryReader): Promise<string> {
  const places = await reader.locate(NAMES.map(idOf));
  const told = NAMES.map((name) => {
    const place = places.get(idOf(name))!;
    if (place.kind !== 'present') return place.kind;
    expect(place.dn).toBe(dnOf(name));
    return place.inScope ? 'in scope' : 'elsewhere';
  });
  return told.join(', ');
}

describe('another name in the settings', () => {
  test('shows people whom a stale server does not have yet', async () => {
    const directory = open([at(stale), at(full)]);
    const reader = await read(directory);

    const other = onlyReader(await viewsOf(directory, reader));

    expect(await tellsOf(reader)).toBe('in scope, gone, in scope, gone');
    expect(await tellsOf(other)).toBe('in scope, in scope, in scope, in scope');
    expect(other).toMatchObject({ server: at(full), baseDn: BASE, idAttribute: 'entryuuid' });
    expect(other.identity).toEqual({ name: at(full), identity: at(full) });
  });

  test('shows people whom an access rule of the first server hides', async () => {
    const directory = open([at(strict), at(full)]);
    const reader = await read(directory);

    const other = onlyReader(await viewsOf(directory, reader));

    expect(await tellsOf(reader)).toBe('in scope, in scope, gone, gone');
    expect(await tellsOf(other)).toBe('in scope, in scope, in scope, in scope');
  });

  test('says that somebody is gone where it does not have the person either', async () => {
    const directory = open([at(full), at(stale)]);

    const other = onlyReader(await viewsOf(directory, await read(directory)));

    expect(await other.locate([NOBODY])).toEqual(new Map([[NOBODY, { kind: 'gone' }]]));
  });

  test('proves nothing where the bind DN can read no unique id at all', async () => {
    const directory = open([at(full), at(blind)]);

    const other = onlyReader(await viewsOf(directory, await read(directory)));

    expect(await tellsOf(other)).toBe('unproven, unproven, unproven, unproven');
    expect((await other.locate([NOBODY])).get(NOBODY)).toEqual({
      kind: 'unproven',
      reason: `${at(blind)}: the bind DN can't read the entryuuid of any entry below ${BASE}`,
    });
  });

  test('says that a person is elsewhere where the base of the settings is missing there', async () => {
    const directory = open([at(stale), at(full)]);
    const reader = await read(directory);
    const [view] = await directory.openOtherViews({ ...reader, baseDn: `ou=missing,${BASE}` });
    if (view?.kind !== 'open') throw new Error('no view is open');
    onTestFinished(() => view.reader.close());

    expect(await tellsOf(view.reader)).toBe('elsewhere, elsewhere, elsewhere, elsewhere');
  });

  test('is left out if none of its naming contexts contains the base', async () => {
    const strangers = await scripted({ rootDse: { ...OFFERS_PAGING, namingContexts: ['dc=other', 'cn=config'] } });
    const directory = open([at(full), at(strangers), at(foreign)]);

    expect(await viewsOf(directory, await read(directory))).toEqual([]);
    await expect.poll(() => strangers.openSockets).toBe(0);
  });

  test('is told with the reason if it can not be asked, and none waits for another', async () => {
    const silent = await scripted({ raw: () => {} });
    const hangsUp = await scripted({ raw: (_data, reply) => reply.hangUp() });
    const refuses = await scripted({ bind: (_asked, reply) => reply.done({ code: 49 }) });
    const busy = await scripted({ search: () => {}, bind: (_asked, reply) => reply.done({ code: 51 }) });
    const names = [NOBODY_LISTENS, at(silent), at(hangsUp), at(refuses), at(busy)];
    const others = ['[2001:db8::1]:389', 'no-such-host.invalid'];
    const directory = open([...names, at(full), ...others, at(stale)]);
    const reader = await directory.openReader([...names]);
    onTestFinished(() => reader.close());
    const started = performance.now();

    const views = await viewsOf(directory, reader);

    expect(performance.now() - started).toBeLessThan(ONE_TIMEOUT_MS);
    const told = views.map((view) => (view.kind === 'open' ? view.reader.server : [view.server, view.reason]));
    const because = (reason: RegExp): unknown => expect.stringMatching(reason);
    expect(told).toEqual([
      [NOBODY_LISTENS, because(/nothing listens on this port/)],
      [at(silent), because(/no answer to a search within 0\.\d s/)],
      [at(hangsUp), because(/the server closed the connection/)],
      [at(refuses), because(/the bind with the bind DN returned invalidCredentials/)],
      [at(busy), because(/busy \(51\)/)],
      ['[2001:db8::1]:389', because(/^\[2001:db8::1\]:389: /)],
      ['no-such-host.invalid', because(/the host name does not resolve/)],
      at(stale),
    ]);
  });

  test('fails with a fault of the directory if it breaks in mid-look', async () => {
    const breaks = await scripted({ search: (_asked, reply) => reply.hangUp() });
    const directory = open([at(full), at(breaks)]);

    const other = onlyReader(await viewsOf(directory, await read(directory)));

    await expect(other.locate([idOf('anna')])).rejects.toThrow(ServiceError);
    await expect(other.locate([idOf('anna')])).rejects.toMatchObject({ code: 'connectionLost', retryable: true });
    await expect(other.judgeBranch(BASE)).rejects.toMatchObject({ code: 'connectionLost' });
  });

  test('costs nothing before it is asked for', async () => {
    const proxy = await startCountingProxy(full.ldapPort);
    onTestFinished(() => proxy.stop());
    const directory = open([at(full), at(proxy)]);
    const reader = await read(directory);

    for (const people = reader.readPeople(); !(await people.next()).done;);
    await reader.locate([NOBODY]);
    expect(proxy.connections).toBe(0);

    const other = onlyReader(await viewsOf(directory, reader));
    expect(proxy.connections).toBe(1);
    expect(other.requests).toBe(3);
  });
});

describe('another address behind the name that was read', () => {
  const NAME = 'ldap.example.test';
  const SECOND = '127.0.0.2';

  /** Resolves the name to addresses of this machine. */
  const resolveTo =
    (...addresses: readonly string[]): Resolve =>
    async () =>
      addresses.map((address) => ({ address, family: 4 }));

  /** Makes a server reachable at the port of the other one, on an address of its own. */
  async function bringBeside(port: number, beside: number, host = SECOND): Promise<void> {
    const proxy = await startCountingProxy(port, Infinity, { host, port: beside });
    onTestFinished(() => proxy.stop());
  }

  /** A server that calls itself so, and another one by another name on the second address. */
  async function scriptedPair(first: string, second: string): Promise<{ name: string; both: ScriptedServer[] }> {
    const [one, two] = [first, second].map((dsServiceName) => ({
      rootDse: { ...OFFERS_PAGING, dsServiceName: [dsServiceName] },
    }));
    const both = [await scripted(one!), await scripted(two!)];
    await bringBeside(both[1]!.port, both[0]!.port);
    return { name: `${NAME}:${both[0]!.port}`, both };
  }

  test('shows people whom the server that was read does not have yet', async () => {
    await bringBeside(full.ldapPort, stale.ldapPort);
    const name = `${NAME}:${stale.ldapPort}`;
    const directory = open([name], resolveTo('127.0.0.1', SECOND));
    const reader = await read(directory);

    const other = onlyReader(await viewsOf(directory, reader));

    expect(reader.identity).toEqual({ name, identity: `${name} 127.0.0.1:${stale.ldapPort}` });
    expect(other.identity).toEqual({ name, identity: `${name} ${SECOND}:${stale.ldapPort}` });
    expect(await tellsOf(reader)).toBe('in scope, gone, in scope, gone');
    expect(await tellsOf(other)).toBe('in scope, in scope, in scope, in scope');
  });

  test('is no other view if it can not be reached, and nobody waits longer than the connect timeout', async () => {
    const silent = await scripted({ raw: () => {} });
    await bringBeside(silent.port, full.ldapPort);
    const name = `${NAME}:${full.ldapPort}`;
    const directory = open([name], resolveTo('127.0.0.1', SECOND, '127.0.0.3', '2001:db8::1'));
    const reader = await read(directory);
    const started = performance.now();

    expect(await viewsOf(directory, reader)).toEqual([]);
    expect(performance.now() - started).toBeLessThan(ONE_TIMEOUT_MS);
  });

  test('is no other view if the same server answers there', async () => {
    const { name, both } = await scriptedPair('CN=DC1,DC=example', 'CN=DC1,DC=example');
    const directory = open([name], resolveTo('127.0.0.1', SECOND));
    const reader = await read(directory);

    expect(reader.identity).toEqual({ name, identity: 'CN=DC1,DC=example' });
    expect(await viewsOf(directory, reader)).toEqual([]);
    await expect.poll(() => both.map(({ openSockets }) => openSockets)).toEqual([1, 0]);

    const before = both[0]!.connections;
    const alone = open([name], resolveTo('127.0.0.1'));
    expect(await viewsOf(alone, await read(alone))).toEqual([]);
    expect(both[0]!.connections - before).toBe(1);
  });

  test('is another view if another server answers there', async () => {
    const { name } = await scriptedPair('CN=DC1,DC=example', 'CN=DC2,DC=example');
    const directory = open([name], resolveTo('127.0.0.1', SECOND));

    const other = onlyReader(await viewsOf(directory, await read(directory)));

    expect(other.identity).toEqual({ name, identity: 'CN=DC2,DC=example' });
  });

  test('stands for its name if the first address of another name does not answer', async () => {
    const silent = await scripted({ raw: () => {} });
    await bringBeside(full.ldapPort, silent.port);
    const name = `${NAME}:${silent.port}`;
    const directory = open([at(stale), name], async (server) => {
      const addresses = server.name === name ? ['127.0.0.1', SECOND] : ['127.0.0.1'];
      return addresses.map((address) => ({ address, family: 4 }));
    });

    const other = onlyReader(await viewsOf(directory, await read(directory)));

    expect(await tellsOf(other)).toBe('in scope, in scope, in scope, in scope');
    await expect.poll(() => silent.openSockets).toBe(0);
  });

  test('is closed again if it answers after another address of its name', async () => {
    const slow = await scripted({ bind: (_asked, reply) => void setTimeout(() => reply.done(), 600) });
    await bringBeside(full.ldapPort, slow.port);
    const name = `${NAME}:${slow.port}`;
    const directory = open([at(stale), name], async (server) => {
      const addresses = server.name === name ? ['127.0.0.1', SECOND] : ['127.0.0.1'];
      return addresses.map((address) => ({ address, family: 4 }));
    });

    const other = onlyReader(await viewsOf(directory, await read(directory)));

    expect(other.identity.identity).toBe(`${name} ${SECOND}:${slow.port}`);
    expect(slow.openSockets).toBe(1);
    await expect.poll(() => slow.requests).toEqual(['search', 'bind', 'search', 'unbind']);
    await expect.poll(() => slow.openSockets).toBe(0);
  });

  test('is the only one that is asked: the address in use is not connected again', async () => {
    const [one, two] = [await scripted({}), await scripted({})];
    await bringBeside(two.port, one.port);
    const name = `${NAME}:${one.port}`;
    for (const [addresses, connections] of [
      [['127.0.0.1'], [1, 0]],
      [
        ['127.0.0.1', SECOND],
        [2, 1],
      ],
    ] as const) {
      const directory = open([name], resolveTo(...addresses));
      expect(await viewsOf(directory, await read(directory))).toHaveLength(addresses.length - 1);
      expect([one.connections, two.connections]).toEqual(connections);
    }
  });

  test('is not sent a password that the first address of its name has refused', async () => {
    const refuse: Script = { bind: (_asked, reply) => reply.done({ code: 49 }) };
    const [one, two] = [await scripted(refuse), await scripted(refuse)];
    await bringBeside(two.port, one.port);
    const name = `${NAME}:${one.port}`;
    const directory = open([at(full), name], async (server) => {
      const addresses = server.name === name ? ['127.0.0.1', SECOND] : ['127.0.0.1'];
      return addresses.map((address) => ({ address, family: 4 }));
    });

    expect(await viewsOf(directory, await read(directory))).toMatchObject([{ kind: 'unreachable', server: name }]);
    expect([one.requests, two.requests]).toEqual([['search', 'bind', 'search'], []]);
  });
});

describe('a branch', () => {
  const judge = async (server: Slapd, dn: string): Promise<string> => (await read(open([at(server)]))).judgeBranch(dn);

  test.each([
    ['people who can be seen', () => full, `ou=research,${BASE}`, 'populated'],
    ['people further below', () => full, BASE, 'populated'],
    ['people whom an access rule hides', () => strict, `ou=research,${BASE}`, 'vanished'],
    ['nobody, which its entry says', () => full, `ou=empty,${BASE}`, 'empty'],
    ['nobody, because it is missing', () => full, `ou=nowhere,${BASE}`, 'vanished'],
    ['nobody but itself', () => full, dnOf('anna'), 'empty'],
    ['people, however its DN is spelled', () => full, `OU = Research, ${BASE}`, 'populated'],
    ['units without people', () => full, `ou=units,${BASE}`, 'vanished'],
  ] as const)('that holds %s is judged so', async (_what, server, dn, expected) => {
    expect(await judge(server(), dn)).toBe(expected);
  });

  test('is empty only if the bind DN can read that, as the recipe in docs/directories.md lets it', async () => {
    const to = (what: string, right: string): string => `to ${what} by dn.exact="${READER}" ${right} by * break`;
    const recipe = (attributes: string): string[] => [
      to(`dn.subtree="${BASE}" attrs=${attributes}`, 'read'),
      to(`dn.subtree="ou=research,${BASE}" attrs=uid,cn`, 'read'),
      to('*', 'none'),
    ];
    const ldif = directoryOf(...NAMES);
    const [judges, doubts] = await Promise.all([
      start({ ldif, access: recipe('entry,objectClass,entryUUID,hasSubordinates') }),
      start({ ldif, access: recipe('entry,objectClass,entryUUID') }),
    ]);

    expect(await judge(judges, `ou=empty,${BASE}`)).toBe('empty');
    expect(await judge(doubts, `ou=empty,${BASE}`)).toBe('vanished');
    expect(await judge(judges, `ou=research,${BASE}`)).toBe('populated');
    expect(await judge(judges, `ou=sales,${BASE}`)).toBe('vanished');
  });

  test('is judged by people where the settings have no filter, and units match too', async () => {
    const reader = await read(open([at(full)], undefined, ''));

    expect(await reader.judgeBranch(`ou=research,${BASE}`)).toBe('populated');
    expect(await reader.judgeBranch(`ou=units,${BASE}`)).toBe('vanished');
    expect(await reader.judgeBranch(`ou=empty,${BASE}`)).toBe('empty');
  });

  test('takes one request where people are seen, and two where not', async () => {
    const reader = await read(open([at(full)]));
    const asked = async (dn: string): Promise<number> => {
      const before = reader.requests;
      await reader.judgeBranch(dn);
      return reader.requests - before;
    };

    expect(await asked(`ou=research,${BASE}`)).toBe(1);
    expect(await asked(`ou=empty,${BASE}`)).toBe(2);
  });
});
