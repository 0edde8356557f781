/**
 * Whose entry a password belongs to, on real OpenLDAP servers with the same people: the usual one, and others whose
 * access rules hide ids from the reader, or from everybody.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { createLogin } from '../../lib/login/login.ts';
import type { Login } from '../../lib/login/login.ts';
import { type Slapd, startSlapd } from '../../local/slapd.ts';
import { type FixtureEntry, toLdif } from '../support/directory-server.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import { startLdapMeter } from '../support/ldap-meter.ts';
import { aUser } from '../support/people.ts';

const BASE = 'dc=example,dc=com';
const READER = `cn=reader,${BASE}`;
/** House saves every setting with this password of the bind DN. */
const READER_PASSWORD = 'secret';
const INVALID = { outcome: 'rejected', reason: 'invalidCredentials' };
const FAULT = { code: 'directoryUnavailable' };

const NAMES = ['anna', 'bert', 'carl'];
const idOf = (name: string): string => `00000000-0000-4000-8000-00000000000${NAMES.indexOf(name) + 1}`;
const dnOf = (name: string): string => `uid=${name},${BASE}`;

function person(name: string, over: FixtureEntry['attributes'] = {}): FixtureEntry {
  const names = { uid: [name], cn: [name], sn: [name] };
  const attributes = {
    objectClass: ['inetOrgPerson'],
    ...names,
    userPassword: [`of ${name}`],
    entryUUID: [idOf(name)],
  };
  return { dn: dnOf(name), attributes: { ...attributes, ...over } };
}

function ldifOf(people: readonly FixtureEntry[]): string {
  const services = { objectClass: ['organizationalRole', 'simpleSecurityObject'], cn: ['reader'] };
  return toLdif([
    { dn: BASE, attributes: { objectClass: ['domain'], dc: ['example'] } },
    { dn: READER, attributes: { ...services, userPassword: [READER_PASSWORD] } },
    ...people,
  ]);
}

const folders: string[] = [];
const running: Slapd[] = [];

async function start(people: readonly FixtureEntry[], access: readonly string[] = []): Promise<Slapd> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-proof-'));
  folders.push(folder);
  const slapd = await startSlapd({ ldif: ldifOf(people), access, folder });
  running.push(slapd);
  return slapd;
}

/** Shows everybody. */
let full: Slapd;
/** The reader sees no id any more; people see their own. */
let blind: Slapd;
/** Nobody sees an id. */
let mute: Slapd;
/** Anna's DN belongs to a stranger, and the reader sees no id. */
let taken: Slapd;

beforeAll(async () => {
  const people = NAMES.map((name) => person(name));
  const stranger = person('anna', { entryUUID: ['00000000-0000-4000-8000-0000000000ff'] });
  const toReader = `to attrs=entryUUID by dn.exact="${READER}" none by * break`;
  [full, blind, mute, taken] = await Promise.all([
    start(people),
    start(people, [toReader]),
    start(people, ['to attrs=entryUUID by * none']),
    start([stranger, person('bert')], [toReader]),
  ]);
});

afterAll(async () => {
  await Promise.all(running.map((slapd) => slapd.stop()));
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

let house: House;

beforeEach(async () => {
  house = await startHouse({ openDirectory: (...given) => openDirectory(...given, () => new Date()) });
  await use(full);
  await house.create(aUser({ id: 'hand', userName: 'carl', directory: null }));
  expect(await house.run()).toMatchObject({ status: 'succeeded', totals: { created: 2, linked: 1 } });
});

/** The login on this server, whose settings are the current ones from now on. */
async function use(slapd: Pick<Slapd, 'ldapPort'>): Promise<Login> {
  await house.configure({
    connection: { servers: [`127.0.0.1:${slapd.ldapPort}`], administrativeDn: READER },
    scope: { filter: '(objectClass=inetOrgPerson)' },
  });
  const { logins, settings, clock, openDirectory: open } = house.ports;
  const directory = keepDirectory(settings, open, clock);
  onTestFinished(async () => (await directory.get())?.directory.close());
  return createLogin({ logins, directory, clock, pause: async () => {} });
}

describe('a reader that has lost the right to read ids', () => {
  test('makes no right password wrong: the person’s own connection shows whose it is', async () => {
    const login = await use(blind);
    for (let attempt = 0; attempt < 8; attempt += 1) {
      expect(await login.logIn('anna', 'of anna')).toMatchObject({ outcome: 'accepted', user: { userName: 'anna' } });
    }
  });

  test.each(['anna', 'nobody'])('makes no refusal of a guess at %s, and lets five of them through', async (name) => {
    const login = await use(blind);
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await expect(login.logIn(name, 'wrong')).rejects.toMatchObject({
        ...FAULT,
        cause: { code: expect.stringMatching(/^(?:readRefused|uniqueIdMissing)$/u) },
      });
    }
    const late = { ...FAULT, message: expect.stringMatching(/too many logins with this user name unanswered/u) };
    await expect(login.logIn(name, 'wrong')).rejects.toMatchObject(late);
  });

  test('lets nobody in as the person whose DN they have now', async () => {
    const login = await use(taken);
    await expect(login.logIn('anna', 'of anna')).rejects.toMatchObject(FAULT);
    expect(await login.logIn('bert', 'of bert')).toMatchObject({ outcome: 'accepted' });
  });
});

test('where nobody may read ids, a right password is a fault as often as it comes, and no failed attempt', async () => {
  const login = await use(mute);
  for (let attempt = 0; attempt < 8; attempt += 1) {
    await expect(login.logIn('anna', 'of anna')).rejects.toMatchObject(FAULT);
  }
  const mended = await use(full);
  expect(await mended.logIn('anna', 'of anna')).toMatchObject({ outcome: 'accepted' });
  expect(await mended.logIn('anna', 'wrong')).toEqual(INVALID);
  expect(await mended.logIn('nobody', 'wrong')).toEqual(INVALID);
});

describe('a user made by hand', () => {
  beforeEach(async () => {
    await house.edit('carl', { directory: null, fingerprint: null });
  });

  test('is tied at the first login, and the next run finds nothing to do', async () => {
    const login = await use(full);
    expect(await login.logIn('Carl', 'wrong')).toEqual(INVALID);
    expect(await login.logIn('Carl', 'of carl')).toMatchObject({ outcome: 'accepted', user: { id: 'hand' } });
    const linked = await house.user('carl');
    expect(linked!.directory).toMatchObject({ id: idOf('carl'), idAttribute: 'entryuuid', dn: dnOf('carl') });
    expect(await house.run()).toMatchObject({ status: 'succeeded', totals: { linked: 0, conflict: 0, created: 0 } });
    expect((await house.user('carl'))!.directory).toEqual(linked!.directory);
  });

  test('is not tied by a reader that can’t read ids: that is a fault', async () => {
    const login = await use(blind);
    await expect(login.logIn('carl', 'of carl')).rejects.toMatchObject(FAULT);
    expect((await house.user('carl'))!.directory).toBeNull();
  });
});

test('a password that is no text never stands for the one that its bytes would spell', async () => {
  const slapd = await start([person('anna', { userPassword: ['of anna \uFFFD'] }), person('bert')]);
  const login = await use(slapd);
  expect(await login.logIn('anna', 'of anna \uD83D')).toEqual(INVALID);
  expect(await login.logIn('anna', 'of anna \uFFFD')).toMatchObject({ outcome: 'accepted' });
});

test('a refusal takes as many requests, and so as long on a slow network, whether the name exists or not', async () => {
  const meter = await startLdapMeter(full.ldapPort);
  onTestFinished(() => meter.stop());
  const login = await use({ ldapPort: meter.port });
  await login.logIn('bert', 'of bert');
  const counts: Record<string, number> = {};
  for (const name of ['anna', 'nobody', 'Anna', 'no.one']) {
    const before = meter.requests;
    expect(await login.logIn(name, 'wrong')).toEqual(INVALID);
    counts[name] = meter.requests - before;
  }
  // A bind, and the search for its entry.
  expect(counts).toEqual({ anna: 2, nobody: 2, Anna: 2, 'no.one': 2 });
});
