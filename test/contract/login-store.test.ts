import { expect, test } from 'vitest';
import type { NameAttempts } from '../../lib/login/login-store.ts';
import { linkKey } from '../../lib/user/user.ts';
import type { DirectoryLink } from '../../lib/user/user.ts';
import { aUser } from '../support/people.ts';
import { describeOnEveryStore } from '../support/stores.ts';
import type { Stores } from '../support/stores.ts';

const DAY_MS = 24 * 60 * 60_000;

async function attemptsOf({ logins }: Stores, userName = 'anna'): Promise<NameAttempts | null> {
  return (await logins.find(userName, null)).attempts.name;
}

function someAttempts({ now }: Stores, revision = 'revision-1'): NameAttempts {
  const at = now().getTime();
  return {
    revision,
    attempts: [
      { id: 'one', at },
      { id: 'two', at: at + 1, source: 'a-hash', verdict: 'unanswered' },
    ],
    userId: 'account-1',
    known: { 'a-hash': at, '-_another': at - 1 },
    expiresAt: at + DAY_MS,
  };
}

const LINK: DirectoryLink = { idAttribute: 'entryuuid', id: '7:7', dn: 'uid=anna,ou=x', missingSince: null };
const byHand = (over: Parameters<typeof aUser>[0] = {}) => aUser({ directory: null, fingerprint: 'print', ...over });

describeOnEveryStore('the login store', (open) => {
  test('finds user, attempts at the name in any letter case, and refusals of the source', async () => {
    const stores = await open();
    const anna = aUser({ userName: 'Anna' });
    const attempts = someAttempts(stores);
    await stores.users.writeEach([{ kind: 'create', user: anna }]);
    await stores.logins.writeAttempts('ANNA', null, attempts);
    await stores.logins.countRefusal('192.0.2.1', 7, [], stores.now());

    expect(await stores.logins.find('anna', '192.0.2.1')).toEqual({
      user: anna,
      attempts: { name: attempts, source: { 7: 1 } },
    });
    expect(await stores.logins.find('nobody', '192.0.2.2')).toEqual({
      user: null,
      attempts: { name: null, source: {} },
    });
    expect((await stores.logins.find('anna', null)).attempts.source).toEqual({});
  });

  test('keeps a name apart from a source that is called the same', async () => {
    const stores = await open();
    await stores.logins.countRefusal('anna', 7, [], stores.now());
    await stores.logins.writeAttempts('anna', null, { ...someAttempts(stores), known: {}, attempts: [], userId: null });

    expect((await stores.logins.find('anna', 'anna')).attempts).toMatchObject({
      name: { attempts: [] },
      source: { 7: 1 },
    });
  });

  test('lets one of many write over the attempts that they have all read, also over none', async () => {
    const stores = await open();
    for (const previous of [null, 'the stored ones'] as const) {
      const read = previous && (await attemptsOf(stores));
      const next = [1, 2, 3, 4].map((each) => someAttempts(stores, `${previous}-${each}`));

      const results = await Promise.all(next.map((each) => stores.logins.writeAttempts('Anna', read, each)));

      expect(results.filter(Boolean)).toHaveLength(1);
      expect(await attemptsOf(stores)).toEqual(next[results.indexOf(true)]);
      expect(await stores.logins.writeAttempts('anna', read, someAttempts(stores, 'late'))).toBe(false);
    }
  });

  test('counts every refusal of a source, however many at once, and forgets the stale slots', async () => {
    const { logins, now } = await open();
    await logins.countRefusal('192.0.2.1', 3, [], now());

    await Promise.all(Array.from({ length: 12 }, () => logins.countRefusal('192.0.2.1', 7, ['3'], now())));

    expect((await logins.find('nobody', '192.0.2.1')).attempts.source).toEqual({ 7: 12 });
  });

  test('forgets the attempts at a name, so that what was read before can’t be written over', async () => {
    const stores = await open();
    await stores.logins.writeAttempts('anna', null, someAttempts(stores));
    const read = await attemptsOf(stores);

    await stores.logins.forgetAttempts({ userName: 'ANNA' });
    await stores.logins.forgetAttempts({ userName: 'nobody' });

    expect(await attemptsOf(stores)).toBeNull();
    expect(await stores.logins.writeAttempts('anna', read, someAttempts(stores, 'late'))).toBe(false);
    expect(await stores.logins.writeAttempts('anna', null, someAttempts(stores, 'new'))).toBe(true);
  });

  test('forgets attempts under the key of the record, where names had other rules when it was stored', async () => {
    const stores = await open();
    await stores.logins.writeAttempts('anna', null, someAttempts(stores));
    await stores.logins.forgetAttempts({ userName: 'another', storedKey: 'anna' });
    expect(await attemptsOf(stores)).toBeNull();
  });

  test('remembers a DN, has the next run look at the whole record, and gives way to a changed user', async () => {
    const stores = await open();
    const anna = aUser({ fingerprint: 'print' });
    await stores.users.writeEach([{ kind: 'create', user: anna }]);
    stores.passMs(5_000);

    await stores.logins.rememberDn(anna, 'uid=anna,ou=new');
    await stores.logins.rememberDn(anna, 'uid=anna,ou=late');
    await stores.logins.rememberDn(aUser({ userName: 'nobody' }), 'uid=nobody');

    expect(await stores.users.get('anna')).toEqual({
      ...anna,
      directory: { ...anna.directory, dn: 'uid=anna,ou=new' },
      fingerprint: null,
      updatedAt: stores.now().toISOString(),
      version: 2,
    });
    expect(await stores.users.get('nobody')).toBeNull();
  });

  test('remembers no DN for whoever has been given the name meanwhile, in the same version', async () => {
    const stores = await open();
    const anna = aUser();
    const newcomer = aUser({ id: 'newcomer', updatedAt: new Date(stores.now().getTime() + 1).toISOString() });
    await stores.users.writeEach([{ kind: 'create', user: newcomer }]);

    await stores.logins.rememberDn(anna, 'uid=anna,ou=new');

    expect(await stores.users.get('anna')).toEqual(newcomer);
  });

  test('links nobody who has been given the name meanwhile, in the same version', async () => {
    const stores = await open();
    const newcomer = byHand({ id: 'newcomer', updatedAt: new Date(stores.now().getTime() + 1).toISOString() });
    await stores.users.writeEach([{ kind: 'create', user: newcomer }]);

    expect(await stores.logins.linkUser(byHand(), LINK)).toBe('lostRace');

    expect(await stores.users.get('anna')).toEqual(newcomer);
    expect(await stores.logins.linkUser(newcomer, LINK)).toBe('written');
  });

  test('links a user who has no link, and leaves its other fields as they are', async () => {
    const stores = await open();
    const anna = byHand({ emailAddresses: ['a@example.com', 'b@example.com'], privileges: ['login', 'archive'] });
    await stores.users.writeEach([{ kind: 'create', user: anna }]);
    stores.passMs(5_000);

    expect(await stores.logins.linkUser(anna, LINK)).toBe('written');

    expect(await stores.users.get('anna')).toEqual({
      ...anna,
      directory: LINK,
      fingerprint: null,
      updatedAt: stores.now().toISOString(),
      version: 2,
    });
    for await (const links of stores.users.readLinks()) {
      expect(links).toEqual([{ nameKey: 'anna', linkKey: linkKey(LINK), fingerprint: null }]);
    }
  });

  test('links nobody to an id that somebody else owns, and whoever is linked owns the id', async () => {
    const stores = await open();
    const [anna, ben] = [byHand(), byHand({ id: 'account-2', userName: 'ben' })];
    const owner = aUser({ id: 'account-3', userName: 'owner', directory: LINK });
    await stores.users.writeEach([anna, ben, owner].map((user) => ({ kind: 'create', user })));

    expect(await stores.logins.linkUser(anna, LINK)).toBe('lostRace');
    expect(await stores.users.get('anna')).toEqual(anna);

    await stores.users.writeEach([{ kind: 'delete', previous: owner }]);
    expect(await stores.logins.linkUser(anna, LINK)).toBe('written');
    expect(await stores.logins.linkUser(ben, LINK)).toBe('lostRace');
    expect(await stores.users.writeEach([{ kind: 'create', user: owner }])).toEqual(['lostRace']);

    const linked = (await stores.users.get('anna'))!;
    expect(await stores.users.writeEach([{ kind: 'delete', previous: linked }])).toEqual(['written']);
    expect(await stores.logins.linkUser(ben, LINK)).toBe('written');
  });

  test('links one of many users who claim one id at once', async () => {
    const stores = await open();
    const users = [1, 2, 3, 4].map((each) => byHand({ id: `account-${each}`, userName: `user-${each}` }));
    await stores.users.writeEach(users.map((user) => ({ kind: 'create', user })));

    const results = await Promise.all(users.map((user) => stores.logins.linkUser(user, LINK)));

    expect(results.toSorted()).toEqual(['lostRace', 'lostRace', 'lostRace', 'written']);
  });

  test('links no user who has changed meanwhile, is gone, or has a link', async () => {
    const stores = await open();
    const anna = byHand();
    await stores.users.writeEach([{ kind: 'create', user: anna }]);
    const disabled = { ...anna, disabledBy: 'admin', version: 2 } as const;
    await stores.users.writeEach([{ kind: 'update', user: disabled, previous: anna }]);

    expect(await stores.logins.linkUser(anna, LINK)).toBe('lostRace');
    expect(await stores.logins.linkUser(byHand({ id: 'gone', userName: 'gone' }), LINK)).toBe('lostRace');
    expect(await stores.logins.linkUser(aUser(), LINK)).toBe('lostRace');

    expect(await stores.users.get('anna')).toEqual(disabled);
    expect(await stores.users.get('gone')).toBeNull();
    expect(await stores.logins.linkUser(disabled, LINK)).toBe('written');
  });
});
