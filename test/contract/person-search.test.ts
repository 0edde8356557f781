/**
 * What a login asks of a directory, on OpenLDAP with access rules: where somebody is, by id and by user name, and whose
 * entry the person's own connection sees. A reader that is not allowed to see proves nothing.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Attribute, Change, Client } from 'ldapts';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Directory } from '../../lib/directory/directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import { type Slapd, startSlapd } from '../../local/slapd.ts';
import { toLdif } from '../support/directory-server.ts';
import { aSettings } from '../support/people.ts';
import { readAll } from '../support/read-all.ts';

const BASE = 'dc=example,dc=com';
const PEOPLE = `ou=people,${BASE}`;
const READER = `cn=reader,${BASE}`;
const SECRET = 'secret of the reader';
const ABSENT = '00000000-0000-0000-0000-000000000000';
const dnOf = (uid: string): string => `uid=${uid},${PEOPLE}`;

let folder: string;
let slapd: Slapd;

/** Whoever has one of these words as description may not see the people, their ids or their names. */
const RULES = [
  `to dn.children="${PEOPLE}" by set="user/description & [blind]" none by * break`,
  'to attrs=entryUUID by set="user/description & [without ids]" none by * break',
  'to attrs=uid by set="user/description & [without names]" none by * break',
  `to dn.exact="${dnOf('hidden')}" by dn.exact="${READER}" none by * break`,
];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-person-search-'));
  const person = (uid: string, more: Record<string, string[]> = {}, dn = dnOf(uid)) => ({
    dn,
    attributes: {
      objectClass: ['inetOrgPerson'],
      uid: [uid],
      cn: [uid],
      sn: [uid],
      mail: [`${uid}@example.com`],
      userPassword: [`password of ${uid}`],
      ...more,
    },
  });
  slapd = await startSlapd({
    folder,
    access: RULES,
    ldif: toLdif([
      { dn: BASE, attributes: { objectClass: ['domain'], dc: ['example'] } },
      {
        dn: READER,
        attributes: {
          objectClass: ['organizationalRole', 'simpleSecurityObject'],
          cn: ['reader'],
          userPassword: [SECRET],
        },
      },
      ...['people', 'leavers'].map((ou) => ({
        dn: `ou=${ou},${BASE}`,
        attributes: { objectClass: ['organizationalUnit'], ou: [ou] },
      })),
      ...['anna', 'annabel', 'hidden', 'a*b', 'twin'].map((uid) => person(uid)),
      person('secretive', { description: ['blind'] }),
      person('twin', {}, `cn=twin,${PEOPLE}`),
      person('leaver', {}, `uid=leaver,ou=leavers,${BASE}`),
      ...Array.from({ length: 11 }, (_, index) =>
        person('many', { cn: [`many${index}`] }, `cn=many${index},${PEOPLE}`),
      ),
    ]),
  });
});

afterAll(async () => {
  await slapd?.stop();
  await rm(folder, { recursive: true, force: true });
});

function open({ scope, mapping }: { [Section in 'scope' | 'mapping']?: Partial<Settings[Section]> } = {}): Directory {
  const settings = aSettings({
    connection: { servers: [`127.0.0.1:${slapd.ldapPort}`], administrativeDn: READER },
    scope: { baseDn: PEOPLE, filter: '(objectClass=inetOrgPerson)', ...scope },
    mapping: { uniqueId: 'entryUUID', ...mapping },
  });
  const directory = openDirectory(settings, SECRET, () => new Date());
  onTestFinished(() => directory.close());
  return directory;
}

/** Takes rights from the reader until the end of the test. */
async function take(right: string): Promise<() => Promise<void>> {
  const change = async (operation: 'add' | 'delete'): Promise<void> => {
    const client = new Client({ url: `ldap://127.0.0.1:${slapd.ldapPort}` });
    await client.bind(slapd.rootDn, slapd.rootPassword);
    const modification = new Attribute({ type: 'description', values: [right] });
    await client.modify(READER, new Change({ operation, modification }));
    await client.unbind();
  };
  let taken = true;
  const giveBack = async (): Promise<void> => {
    if (taken) await change('delete');
    taken = false;
  };
  await change('add');
  onTestFinished(giveBack);
  return giveBack;
}

async function idOf(uid: string): Promise<string> {
  const { entries } = await readAll(open({ scope: { filter: `(uid=${uid})` } }));
  return entries[0]!.id!;
}

describe('the DN of an id', () => {
  test.each(['blind', 'without ids'])(
    'is unknown while the reader is %s, though people can still bind',
    async (right) => {
      const id = await idOf('anna');
      const directory = open();
      expect(await directory.findDn(id, 'entryuuid')).toBe(dnOf('anna'));
      const giveBack = await take(right);

      await expect(directory.findDn(id, 'entryuuid')).rejects.toMatchObject({
        code: expect.stringMatching(/^(readRefused|uniqueIdMissing)$/u) as string,
      });
      await expect(directory.findDn(ABSENT, 'entryuuid')).rejects.toThrow();
      let ownId: string | null = null;
      const bound = await directory.verifyPassword(dnOf('anna'), 'password of anna', async (own) => {
        ownId = await own.readId('entryuuid');
      });
      expect(bound).toEqual({ kind: 'accepted' });
      expect(ownId).toBe(id);
      const { ok, stages } = await directory.test(5000);
      expect(ok).toBe(false);
      expect(stages.find((stage) => !stage.ok)).toMatchObject({ name: 'attributes' });

      await giveBack();
      expect(await directory.findDn(id, 'entryuuid')).toBe(dnOf('anna'));
      expect(await directory.findDn(ABSENT, 'entryuuid')).toBeNull();
      expect(await directory.test(5000)).toMatchObject({ ok: true });
    },
  );

  test('is none, proven, where only this person is missing for the reader', async () => {
    expect(await open().findDn(await idOfHidden(), 'entryuuid')).toBeNull();
  });

  test('is unknown where nobody is in scope, and found there outside of it', async () => {
    const directory = open({ scope: { filter: '(uid=nobody)' } });

    await expect(directory.findDn(ABSENT, 'entryuuid')).rejects.toMatchObject({ code: 'readRefused' });
    expect(await directory.findDn(await idOf('anna'), 'entryuuid')).toBe(dnOf('anna'));
  });
});

/** The hidden person's id as they read it themselves, because the reader can't. */
async function idOfHidden(): Promise<string> {
  let id: string | null = null;
  await open().verifyPassword(dnOf('hidden'), 'password of hidden', async (own) => {
    id = await own.readId('entryuuid');
  });
  return id!;
}

describe('the own entry', () => {
  test.each([
    ['of somebody who may read it', 'anna', 'entryUUID', true],
    ['of somebody who may not', 'secretive', 'entryUUID', false],
    ['by an attribute that it does not have', 'anna', 'objectGUID', false],
  ])('%s tells the id or null', async (_what, uid, attribute, isRead) => {
    const seen: (string | null)[] = [];
    const bound = await open().verifyPassword(dnOf(uid), `password of ${uid}`, async (own) => {
      seen.push(await own.readId(attribute));
    });

    expect(bound).toEqual({ kind: 'accepted' });
    expect(seen).toEqual([isRead ? await idOf(uid) : null]);
  });

  test('is not asked for after a wrong password', async () => {
    const called: string[] = [];
    const result = await open().verifyPassword(dnOf('anna'), 'wrong', async () => void called.push('called'));

    expect(result).toEqual({ kind: 'rejected', reason: 'invalidCredentials' });
    expect(called).toEqual([]);
  });
});

describe('the entries of a user name', () => {
  const namesOf = async (directory: Directory, userName: string): Promise<string[]> =>
    (await directory.searchByName(userName)).entries.map(({ dn }) => dn);

  test.each([
    ['one', 'anna', [dnOf('anna')]],
    ['one in another letter case', 'ANNA', [dnOf('anna')]],
    ['several', 'twin', [dnOf('twin'), `cn=twin,${PEOPLE}`]],
    ['none for a person out of scope', 'leaver', []],
    ['none for a pattern', 'ann*', []],
    ['one with a star in it', 'a*b', [dnOf('a*b')]],
    ['none for parts of a filter', 'anna)(uid=*', []],
  ])('are %s', async (_what, userName, dns) => {
    expect(await namesOf(open(), userName)).toEqual(dns);
  });

  test('carry what the mapping needs', async () => {
    expect(await open().searchByName('anna')).toMatchObject({
      idAttribute: 'entryuuid',
      entries: [{ id: await idOf('anna'), attributes: { uid: ['anna'], mail: ['anna@example.com'] } }],
    });
  });

  test('are those with the name before the @, where names are cut there', async () => {
    const directory = open({ mapping: { userName: 'mail', localPartOnly: true } });

    expect(await namesOf(directory, 'anna')).toEqual([dnOf('anna')]);
    expect(await namesOf(directory, 'ann')).toEqual([]);
  });

  test('are a fault if there are too many of them', async () => {
    await expect(open().searchByName('many')).rejects.toMatchObject({ code: 'readRefused' });
  });

  test.each(['blind', 'without names'])('are unknown while the reader is %s', async (right) => {
    await take(right);

    await expect(open().searchByName('anna')).rejects.toMatchObject({ code: 'readRefused' });
    await expect(open().searchByName('nobody')).rejects.toMatchObject({ code: 'readRefused' });
  });
});
