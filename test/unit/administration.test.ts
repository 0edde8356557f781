import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseNewUser } from '../../lib/administration/user-schema.ts';
import { createAdministration } from '../../lib/administration/users.ts';
import { ServiceError } from '../../lib/errors.ts';
import { ensureFirstAdministrator } from '../../lib/login/sign-in.ts';
import { verifyPasswordHash } from '../../lib/user/password.ts';
import type { UserStore } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { isActiveAdministrator, toPublicUser } from '../../lib/user/user.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aUser, NOW } from '../support/people.ts';

const generated = async (): Promise<string> => 'generated password';

const clock = { now: () => NOW };

const INTEGRATED = { authentication: 'integrated', directory: null } as const;

/** An administration of exactly these users. The actions of `beforeWrite` run just before the next writes, one each. */
async function administrationOf(...people: User[]) {
  const { users: store, logins } = createMemoryStores(clock);
  for (const user of people) await store.writeTogether([{ kind: 'create', user }]);
  const hooks: (() => Promise<unknown>)[] = [];
  const users: UserStore = {
    ...store,
    async writeTogether(writes) {
      await hooks.shift()?.();
      return await store.writeTogether(writes);
    },
  };
  return {
    ...createAdministration(users, logins, clock),
    store,
    logins,
    beforeWrite: (...actions: (() => Promise<unknown>)[]) => void hooks.push(...actions),
  };
}

const admin = (id: string, userName: string): User =>
  aUser({ id, userName, privileges: ['admin'], ...INTEGRATED, passwordHash: 'a hash' });

/** The names of the active administrators. */
async function administratorsOf({ store }: { readonly store: UserStore }): Promise<string[]> {
  const { items } = await store.list({ limit: 200 });
  return items.filter(isActiveAdministrator).map(({ userName }) => userName);
}

function newUser(body: object) {
  const parsed = parseNewUser(body);
  if (parsed.kind === 'invalid') throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
}

test('a user created by hand is integrated, active, without a password', async () => {
  const house = await administrationOf();

  const created = await house.create(newUser({ userName: 'Ada' }));

  expect(await house.store.get('ada')).toEqual(created);
  expect(created).toMatchObject({ ...INTEGRATED, disabledBy: null, passwordHash: null, version: 1 });
});

test('a name that somebody has in other letter case is taken', async () => {
  const house = await administrationOf(aUser({ userName: 'Straße' }));

  await expect(house.create(newUser({ userName: 'STRASSE' }))).rejects.toMatchObject({ code: 'userNameTaken' });
});

test('a rename changes the name and keeps the account', async () => {
  const before = aUser({ userName: 'anna', privileges: ['login', 'export'] });
  const house = await administrationOf(before);

  const after = await house.patch('anna', { userName: 'Anna.Weber' }, null);

  const at = NOW.toISOString();
  expect(after).toEqual({ ...before, userName: 'Anna.Weber', updatedAt: at, sessionsValidFrom: at, version: 2 });
  expect(await house.store.get('anna')).toBeNull();
  expect(await house.store.get('anna.weber')).toEqual(after);
});

test('a rename to a taken name is refused and changes nothing', async () => {
  const house = await administrationOf(aUser({ userName: 'anna' }), aUser({ id: 'account-2', userName: 'berta' }));

  await expect(house.patch('anna', { userName: 'BERTA' }, null)).rejects.toMatchObject({ code: 'userNameTaken' });
  expect(await house.store.get('anna')).not.toBeNull();
});

test('another spelling of the same name is no rename', async () => {
  const house = await administrationOf(aUser({ userName: 'anna' }));

  expect((await house.patch('anna', { userName: 'ANNA' }, null)).userName).toBe('ANNA');
});

test('a patch that asks for what is there already writes nothing', async () => {
  const before = aUser({ fullName: 'Anna', emailAddresses: ['a@example.org'], fingerprint: 'f' });
  const house = await administrationOf(before);

  const after = await house.patch('anna', { fullName: 'Anna', emailAddresses: ['a@example.org'], status: 'active' }, 1);

  expect(after).toEqual(before);
  expect(house.store.writes).toBe(1);
});

test.each([
  { fullName: null },
  { emailAddresses: ['x@example.org'] },
  { userName: 'anne' },
  { status: 'disabled' },
] as const)('sync looks at the whole record again after %j', async (patch) => {
  const house = await administrationOf(aUser({ fingerprint: 'f' }));

  expect((await house.patch('anna', patch, null)).fingerprint).toBeNull();
});

test('other privileges are none of sync’s business', async () => {
  const house = await administrationOf(aUser({ fingerprint: 'f' }));

  expect((await house.patch('anna', { privileges: ['none'] }, null)).fingerprint).toBe('f');
});

test('a user that an administrator disables stays so by the administrator, even if sync was first', async () => {
  const house = await administrationOf(aUser({ disabledBy: 'sync' }));

  expect((await house.patch('anna', { status: 'disabled' }, null)).disabledBy).toBe('admin');
  expect((await house.patch('anna', { status: 'active' }, null)).disabledBy).toBeNull();
});

test('leaving the directory drops the link to it', async () => {
  const house = await administrationOf(aUser({ fingerprint: 'f' }));

  const after = await house.patch('anna', { authentication: 'integrated' }, null);

  expect(after).toMatchObject({ ...INTEGRATED, passwordHash: null, fingerprint: null });
});

test('whoever leaves the directory may be given a password at once', async () => {
  const house = await administrationOf(aUser());

  const after = await house.patch('anna', { authentication: 'integrated', password: 'correct horse' }, null);

  expect(after).toMatchObject({ authentication: 'integrated', directory: null, sessionsValidFrom: NOW.toISOString() });
  expect(after).not.toHaveProperty('password');
  expect(await verifyPasswordHash(after.passwordHash!, 'correct horse')).toBe(true);
});

test('going to the directory drops the password', async () => {
  const house = await administrationOf(aUser({ ...INTEGRATED, passwordHash: 'hash' }));

  const after = await house.patch('anna', { authentication: 'directory' }, null);

  expect(after).toMatchObject({ authentication: 'directory', directory: null, passwordHash: null });
});

test('a password is set for integrated users only, and ends their sessions', async () => {
  const house = await administrationOf(aUser({ ...INTEGRATED }), aUser({ id: 'account-2', userName: 'berta' }));

  await house.setPassword('anna', 'correct horse');

  const { passwordHash, sessionsValidFrom } = (await house.store.get('anna'))!;
  expect(await verifyPasswordHash(passwordHash!, 'correct horse')).toBe(true);
  expect(sessionsValidFrom).toBe(NOW.toISOString());
  await expect(house.setPassword('berta', 'correct horse')).rejects.toMatchObject({ code: 'conflict' });
});

test.each([
  ['with the privilege', aUser({ ...INTEGRATED, privileges: ['login', 'changePassword'] }), null],
  ['who is an administrator', aUser({ ...INTEGRATED, privileges: ['admin'] }), null],
  ['of the directory', aUser({ privileges: ['login', 'changePassword'] }), 'conflict'],
] as const)('whether a user %s may change the own password is decided', async (_who, user, code) => {
  const house = await administrationOf(user);

  const changing = house.changeOwnPassword(toPublicUser(user), 'correct horse');

  if (code === null) {
    const { passwordHash } = await changing;
    expect(await house.store.get('anna')).toMatchObject({ passwordHash, version: 2 });
    expect(await verifyPasswordHash(passwordHash!, 'correct horse')).toBe(true);
  } else {
    await expect(changing).rejects.toMatchObject({ code });
    expect(await house.store.get('anna')).toEqual(user);
  }
});

test.each([
  ['changed', (user: User): User => ({ ...user, passwordHash: 'set by an administrator', version: 2 })],
  ['replaced by another of the name', (user: User): User => ({ ...user, id: 'account-2' })],
])('a password that was verified opens no record that was %s meanwhile', async (_what, change) => {
  const user = aUser({ ...INTEGRATED, privileges: ['login', 'changePassword'] });
  const house = await administrationOf(user);
  const other = change(user);
  house.beforeWrite(async () => {
    await house.store.writeTogether([{ kind: 'delete', previous: user }]);
    await house.store.writeTogether([{ kind: 'create', user: other }]);
  });

  await expect(house.changeOwnPassword(toPublicUser(user), 'correct horse')).rejects.toMatchObject({
    code: 'conflict',
  });

  expect(await house.store.get('anna')).toEqual(other);
});

test('what an administrator has not seen is not changed', async () => {
  const house = await administrationOf(aUser({ version: 4 }));

  await expect(house.patch('anna', { fullName: 'x' }, 3)).rejects.toMatchObject({ code: 'versionMismatch' });
  await expect(house.remove('anna', 3)).rejects.toMatchObject({ code: 'versionMismatch' });
  await expect(house.remove('anna', Number.NaN)).rejects.toMatchObject({ code: 'versionMismatch' });
});

test('a change by somebody else in between is kept, and the patch applied to it', async () => {
  const house = await administrationOf(aUser());
  const previous = (await house.store.get('anna'))!;
  const changed = { ...previous, privileges: ['export'] as const, version: 2 };
  house.beforeWrite(() => house.store.writeTogether([{ kind: 'update', user: changed, previous }]));

  await house.patch('anna', { fullName: 'Anna B.' }, null);

  expect(await house.store.get('anna')).toMatchObject({ privileges: ['export'], fullName: 'Anna B.', version: 3 });
});

test('a change by somebody else in between is told where a version was expected', async () => {
  const house = await administrationOf(aUser());
  const previous = (await house.store.get('anna'))!;
  house.beforeWrite(() => house.store.writeTogether([{ kind: 'update', user: { ...previous, version: 2 }, previous }]));

  await expect(house.patch('anna', { fullName: 'x' }, 1)).rejects.toMatchObject({ code: 'versionMismatch' });
});

test('a user that others never stop changing is given up', async () => {
  const house = await administrationOf(aUser());
  const touch = async (): Promise<void> => {
    const previous = (await house.store.get('anna'))!;
    await house.store.writeTogether([
      { kind: 'update', user: { ...previous, version: previous.version + 1 }, previous },
    ]);
  };
  house.beforeWrite(...Array.from({ length: 10 }, () => touch));

  await expect(house.patch('anna', { fullName: 'x' }, null)).rejects.toMatchObject({
    code: 'conflict',
    retryable: true,
  });
});

test.each([
  ['deleted', (house: Awaited<ReturnType<typeof administrationOf>>) => house.remove('root', null)],
  ['disabled', (house) => house.patch('root', { status: 'disabled' }, null)],
  ['made an ordinary user', (house) => house.patch('root', { privileges: ['login'] }, null)],
  ['switched to the directory', (house) => house.patch('root', { authentication: 'directory' }, null)],
] as [string, (house: Awaited<ReturnType<typeof administrationOf>>) => Promise<unknown>][])(
  'the last active administrator can’t be %s, and the last but one can',
  async (_what, act) => {
    const former = { ...admin('account-2', 'former'), disabledBy: 'admin' as const };
    const alone = await administrationOf(admin('account-1', 'root'), former);
    const inCompany = await administrationOf(admin('account-1', 'root'), admin('account-2', 'other'));

    await expect(act(alone)).rejects.toMatchObject({ code: 'lastAdministrator' });
    await expect(act(inCompany)).resolves.not.toThrow();
    expect(await administratorsOf(alone)).toEqual(['root']);
  },
);

test.each([
  ['has no password', aUser({ id: 'account-2', userName: 'two', privileges: ['admin'], ...INTEGRATED })],
  [
    'is tied to no entry of the directory',
    aUser({ id: 'account-2', userName: 'two', privileges: ['admin'], directory: null }),
  ],
])('an administrator that %s is none to rely on, and one nevertheless', async (_what, second) => {
  const house = await administrationOf(admin('account-1', 'one'), second);

  await expect(house.remove('one', null)).rejects.toMatchObject({ code: 'lastAdministrator' });

  await house.patch('two', { fullName: 'Two' }, null);
  await house.remove('two', null);
  expect(await administratorsOf(house)).toEqual(['one']);
});

test('two administrators that remove each other at the same moment do not both succeed', async () => {
  const house = await administrationOf(admin('account-1', 'one'), admin('account-2', 'two'));
  const other = createAdministration(house.store, house.logins, clock);
  house.beforeWrite(() => other.remove('one', null));

  await expect(house.remove('two', null)).rejects.toMatchObject({ code: 'lastAdministrator' });

  expect(await administratorsOf(house)).toEqual(['two']);
});

test('whatever administrators do to each other at once, one of them is left', async () => {
  const names = ['a', 'b', 'c', 'd'];
  const act = fc.record({
    name: fc.constantFrom(...names),
    how: fc.constantFrom('delete', 'disable', 'demote', 'rename'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 12 }), async (acts) => {
      const house = await administrationOf(...names.map((name, at) => admin(`account-${at}`, name)));

      await Promise.allSettled(
        acts.map(({ name, how }) => {
          if (how === 'delete') return house.remove(name, null);
          if (how === 'disable') return house.patch(name, { status: 'disabled' }, null);
          if (how === 'demote') return house.patch(name, { privileges: ['login'] }, null);
          return house.patch(name, { userName: `${name}2` }, null);
        }),
      );

      expect(await administratorsOf(house)).not.toEqual([]);
    }),
  );
});

test('no first administrator is created, and nobody is looked for, with any other password', async () => {
  const { store } = await administrationOf(aUser());
  const blind = { ...store, findAdministrator: () => Promise.reject(new Error('a scan')) };

  await ensureFirstAdministrator(blind, generated, 'guess', NOW);

  expect(await store.get('admin')).toBeNull();
});

test('the first administrator is created once, with the generated password', async () => {
  const { store } = await administrationOf(aUser());

  await ensureFirstAdministrator(store, generated, 'generated password', NOW);
  await ensureFirstAdministrator(store, generated, 'generated password', NOW);

  const { passwordHash, ...user } = (await store.get('admin'))!;
  expect(user).toMatchObject({ privileges: ['admin'], authentication: 'integrated', version: 1 });
  expect(await verifyPasswordHash(passwordHash!, 'generated password')).toBe(true);
  expect(store.writes).toBe(2);
});

test.each([
  ['there is a user of that name, whatever its privileges', aUser({ userName: 'Admin' })],
  ['there is another administrator', admin('account-1', 'root')],
])('no first administrator is created where %s', async (_what, user) => {
  const { store } = await administrationOf(user);

  await ensureFirstAdministrator(store, generated, 'generated password', NOW);

  expect(store.writes).toBe(1);
});

describe('attempts to log in', () => {
  const tried = {
    revision: '1',
    attempts: [{ id: '1', at: 1 }],
    userId: 'account-1',
    known: { source: 1 },
    expiresAt: 2,
  };
  const own = (over: Partial<User> = {}): User => aUser({ ...INTEGRATED, passwordHash: 'a hash', ...over });

  async function houseWith(user: User) {
    const house = await administrationOf(user, admin('another', 'another'));
    await house.logins.writeAttempts(user.userName, null, tried);
    return { ...house, left: async () => (await house.logins.find(user.userName, null)).attempts.name };
  }

  test.each<[string, (house: Awaited<ReturnType<typeof houseWith>>) => Promise<unknown>]>([
    ['a password is set', (house) => house.setPassword('anna', 'a new password')],
    ['a password is patched', (house) => house.patch('anna', { password: 'a new password' }, null)],
    ['the user sets one', async (house) => house.changeOwnPassword(toPublicUser(await house.get('anna')), 'a new one')],
    ['the password moves to the directory', (house) => house.patch('anna', { authentication: 'directory' }, null)],
    ['the user is deleted', (house) => house.remove('anna', null)],
  ])('are forgotten, with the sources, when %s', async (_, change) => {
    const house = await houseWith(own());
    await change(house);
    expect(await house.left()).toBeNull();
  });

  test('that can’t be forgotten make no fault of a change that is done', async () => {
    const { store } = await houseWith(own());
    const away = new ServiceError('storeUnavailable', 'DynamoDB gave no answer', { retryable: true });
    const house = createAdministration(store, { forgetAttempts: async () => Promise.reject(away) }, clock);
    expect(await house.setPassword('anna', 'a new password')).toMatchObject({ version: 2 });
    await house.remove('anna', 2);
    expect(await store.get('anna')).toBeNull();
  });

  test('are kept when anything else changes, and when nothing is written', async () => {
    const house = await houseWith(own());
    await house.patch('anna', { fullName: 'Another' }, null);
    await house.patch('anna', { status: 'disabled' }, null);
    await expect(house.remove('anna', 1)).rejects.toMatchObject({ code: 'versionMismatch' });
    expect(await house.left()).toEqual(tried);
  });
});
