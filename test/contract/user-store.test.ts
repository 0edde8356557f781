import { expect, test } from 'vitest';
import { encodeCursor } from '../../lib/cursor.ts';
import { compareNameKeys, userNameKey } from '../../lib/user/user-name.ts';
import type { UserLink, UserQuery, UserStore, UserWrite, WriteResult } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { linkKey } from '../../lib/user/user.ts';
import { aUser } from '../support/people.ts';
import { describeOnEveryStore } from '../support/stores.ts';

function named(userName: string, over: Partial<User> = {}): User {
  return aUser({ id: `id of ${userName}`, userName, ...over });
}

function next(user: User, over: Partial<User>): User {
  return { ...user, ...over, version: user.version + 1, updatedAt: '2026-05-05T00:00:00.000Z' };
}

const changed = (previous: User, over: Partial<User>) =>
  ({ kind: 'update', user: next(previous, over), previous }) as const;

/** Everybody whom both ways of looking for an administrator find, by name. */
async function administratorsOf(users: UserStore): Promise<User[]> {
  const found: User[][] = [];
  for (const find of ['findAdministrator', 'findKnownAdministrator'] as const) {
    const seen: User[] = [];
    expect(await users[find]((user) => seen.push(user) < 0)).toBeNull();
    found.push([...new Map(seen.map((user) => [user.id, user])).values()]);
  }
  const [all, known] = found.map((users) => users.sort((a, b) => (a.userName < b.userName ? -1 : 1)));
  expect(known).toEqual(all);
  return known!;
}

async function create(users: UserStore, ...all: readonly User[]): Promise<void> {
  const results = await users.writeEach(all.map((user) => ({ kind: 'create', user })));
  expect(new Set(results)).toEqual(new Set(all.length > 0 ? ['written'] : []));
}

async function listAll(users: UserStore, query: UserQuery): Promise<{ names: string[]; pages: number }> {
  const names: string[] = [];
  let cursor: string | null | undefined;
  let pages = 0;
  do {
    const page = await users.list({ ...query, ...(cursor != null && { next: cursor }) });
    expect(page.items.length).toBeLessThanOrEqual(query.limit);
    names.push(...page.items.map(({ userName }) => userName));
    cursor = page.next;
    pages += 1;
  } while (cursor !== null);
  return { names, pages };
}

async function names(users: UserStore, query: Partial<UserQuery> = {}): Promise<string[]> {
  return (await listAll(users, { limit: 50, ...query })).names;
}

/** Random numbers from 0 to 1, the same in every run of the test (Park and Miller's generator). */
function aRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

describeOnEveryStore('the user store', (open) => {
  test('gives back every field of a user as it was written', async () => {
    const { users } = await open();
    const full = named('Zoë Ängström 😀', {
      emailAddresses: ['zoe@example.com', 'Z@Example.com'],
      authentication: 'integrated',
      disabledBy: 'admin',
      privileges: ['login', 'archive'],
      passwordHash: '$argon2id$v=19$hash',
      fingerprint: 'print',
      directory: {
        id: 'd:1',
        idAttribute: 'objectguid',
        dn: 'cn=Zoë',
        missingSince: '2026-01-01T00:00:00.000Z',
        mark: 'useraccountcontrol',
        contestedBy: 'e:2',
      },
    });
    const bare = named('bare', { fullName: null, directory: null, privileges: ['none'] });

    await create(users, full, bare);

    expect(await users.get('zoë ängström 😀')).toEqual(full);
    expect(await users.get('BARE')).toEqual(bare);
    expect(await users.getMany([userNameKey('bare'), 'nobody', userNameKey('bare')])).toEqual(
      new Map([['bare', bare]]),
    );
  });

  test('forgets the mark and the contender of a directory link that has none any more', async () => {
    const { users } = await open();
    const link = aUser().directory!;
    const anna = named('anna', { directory: { ...link, mark: 'nsaccountlock', contestedBy: 'another id' } });
    await create(users, anna);

    expect(await users.writeEach([{ kind: 'update', user: next(anna, { directory: link }), previous: anna }])).toEqual([
      'written',
    ]);

    expect((await users.get('anna'))?.directory).toEqual(link);
  });

  test('finds nobody by a name that nobody can have', async () => {
    const { users } = await open();

    expect(await users.get('')).toBeNull();
    expect(await users.get('x'.repeat(5_000))).toBeNull();
    expect(await users.getMany([])).toEqual(new Map());
  });

  test('lets one of many concurrent creators of a name win', async () => {
    const { users } = await open();
    const rivals = Array.from({ length: 8 }, (_, rival) => named('Anna', { id: `rival ${rival}` }));

    const results = await Promise.all(rivals.map((user) => users.writeEach([{ kind: 'create', user }])));

    const winners = rivals.filter((_, rival) => results[rival]![0] === 'written');
    expect(winners).toHaveLength(1);
    expect(await users.get('anna')).toEqual(winners[0]);
  });

  test('updates and deletes only the record that was read', async () => {
    const { users } = await open();
    const [anna, ben, carl, dora] = ['anna', 'ben', 'carl', 'dora'].map((name) => named(name)) as [
      User,
      User,
      User,
      User,
    ];
    await create(users, anna, ben, carl);
    const newBen = next(ben, { fullName: 'Ben by an administrator', emailAddresses: ['ben@example.com'] });

    const first = await users.writeEach([
      { kind: 'update', user: newBen, previous: ben },
      { kind: 'delete', previous: anna },
    ]);
    const second = await users.writeEach([
      { kind: 'update', user: next(ben, { fullName: 'Ben by the past' }), previous: ben },
      { kind: 'delete', previous: anna },
      { kind: 'delete', previous: { ...carl, id: 'another account of that name' } },
      { kind: 'update', user: next(dora, {}), previous: dora },
      { kind: 'delete', previous: dora },
    ]);

    expect(first).toEqual(['written', 'written']);
    expect(second).toEqual(['lostRace', 'lostRace', 'lostRace', 'lostRace', 'lostRace']);
    expect(await users.get('ben')).toEqual(newBen);
    expect(await names(users)).toEqual(['ben', 'carl']);
  });

  test('carries out several writes of one user in their order', async () => {
    const { users } = await open();
    const anna = named('anna');
    const changed = next(anna, { fullName: 'changed' });

    const results = await users.writeEach([
      { kind: 'create', user: anna },
      { kind: 'update', user: changed, previous: anna },
      { kind: 'update', user: next(anna, { fullName: 'late' }), previous: anna },
      { kind: 'delete', previous: changed },
      { kind: 'create', user: named('anna', { id: 'a second account' }) },
    ]);

    expect(results).toEqual(['written', 'written', 'lostRace', 'written', 'written']);
    expect((await users.get('anna'))?.id).toBe('a second account');
  });

  test('lists hundreds of users page by page, in one order, each of them once', async () => {
    const { users } = await open();
    const scripts = ['a', 'Z', 'é', 'ß', 'Σ', '名', '\uFF21', '😀', '𝒳', "o'"];
    const people = Array.from({ length: 400 }, (_, index) => named(`${scripts[index % 10]}-${index}`));
    await create(users, ...people);
    const expected = people
      .map(({ userName }) => userNameKey(userName))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

    const { names: listed, pages } = await listAll(users, { limit: 26 });

    expect(listed.map(userNameKey)).toEqual(expected);
    expect([...expected].sort(compareNameKeys)).toEqual(expected);
    expect(pages).toBe(16);
  });

  test('goes on behind the last user of a page, whatever has come and gone before it', async () => {
    const { users } = await open();
    const people = ['b', 'd', 'f', 'h'].map((name) => named(name));
    await create(users, ...people);
    const first = await users.list({ limit: 2 });
    await create(users, named('a'), named('e'));
    await users.writeEach([{ kind: 'delete', previous: people[1]! }]);

    const second = await users.list({ limit: 2, next: first.next! });
    const third = await users.list({ limit: 2, next: second.next! });

    expect([first, second, third].map(({ items }) => items.map(({ userName }) => userName))).toEqual([
      ['b', 'd'],
      ['e', 'f'],
      ['h'],
    ]);
    expect(third.next).toBeNull();
  });

  test('ends a list that fills its last page exactly', async () => {
    const { users } = await open();
    await create(users, named('a'), named('b'));

    expect((await users.list({ limit: 2 })).next).toBeNull();
    expect((await users.list({ limit: 1 })).next).not.toBeNull();
    expect(await names((await open()).users)).toEqual([]);
  });

  test('searches by the beginning of a name and by a whole address, without case', async () => {
    const { users } = await open();
    await create(
      users,
      named('Anna', { emailAddresses: ['Anna.Weber@Example.com', 'aw@example.com'] }),
      named('anna.weber@example.com', { emailAddresses: ['anna.weber@example.com'] }),
      named('annabel', { emailAddresses: ['xanna.weber@example.com'] }),
      named('Ben', { emailAddresses: ['ANNA.weber@example.com'] }),
    );

    expect(await names(users, { search: ' ANNA' })).toEqual(['Anna', 'anna.weber@example.com', 'annabel']);
    expect(await names(users, { search: 'anna.WEBER@example.com' })).toEqual(['Anna', 'anna.weber@example.com', 'Ben']);
    expect(await names(users, { search: 'anna.weber@example.com', limit: 1 })).toHaveLength(3);
    expect(await names(users, { search: 'weber@example.com' })).toEqual([]);
    expect(await names(users, { search: 'x'.repeat(3_000) })).toEqual([]);
  });

  test('finds a user by each of many addresses, however long they are', async () => {
    const { users } = await open();
    const long = `${'ü'.repeat(400)}@example.com`;
    const many = Array.from({ length: 60 }, (_, index) => `${index}@example.com`);
    await create(users, named('Anna', { emailAddresses: [...many, long, `x${long}`] }), named('Ben'));

    for (const address of [many[0]!, many[1]!, many[59]!, long, `x${long}`.toUpperCase()]) {
      expect(await names(users, { search: address })).toEqual(['Anna']);
    }
    expect(await names(users, { search: `x${'ü'.repeat(400)}@example.org` })).toEqual([]);
    expect(await names(users, { search: '60@example.com' })).toEqual([]);
  });

  test.each(['each', 'together'] as const)('finds users by the addresses they have now (write %s)', async (way) => {
    const { users } = await open();
    const write = async (one: UserWrite): Promise<void> => {
      expect(way === 'each' ? await users.writeEach([one]) : [await users.writeTogether([one])]).toEqual(['written']);
    };
    const former = 'one two three'.split(' ').map((name) => `${name}@example.com`);
    const histories = [['two'], ['two', 'four'], ['one', 'two', 'three'], ['three', 'one'], [], ['four', 'three']];
    let anna = named('Anna', { emailAddresses: former });
    await write({ kind: 'create', user: anna });

    for (const kept of histories) {
      const emailAddresses = kept.map((name) => `${name}@example.com`);
      const user = next(anna, { emailAddresses });
      await write({ kind: 'update', user, previous: anna });
      anna = user;
      for (const name of ['one', 'two', 'three', 'four']) {
        const found = await names(users, { search: `${name}@EXAMPLE.com` });
        expect({ kept, name, found }).toEqual({ kept, name, found: kept.includes(name) ? ['Anna'] : [] });
      }
      expect(await users.get('anna')).toEqual(anna);
    }
    await write({ kind: 'delete', previous: anna });
    expect(await names(users, { search: 'three@example.com' })).toEqual([]);
  });

  test('finds renamed users, those who have swapped their names, and successors, under the names they have now', async () => {
    const { users } = await open();
    const anna = named('anna', { emailAddresses: ['a@example.com', 'both@example.com', 'a2@example.com'] });
    const ben = named('ben', { emailAddresses: ['b@example.com', 'both@example.com', 'b2@example.com'] });
    await create(users, anna, ben);
    const moved = next(anna, { userName: 'zoë' });

    await users.writeTogether([{ kind: 'rename', user: moved, previous: anna }]);
    expect(await names(users, { search: 'a2@example.com' })).toEqual(['zoë']);
    expect(await names(users, { search: 'both@example.com', limit: 1 })).toEqual(['ben', 'zoë']);

    const [first, second] = [next(moved, { userName: 'ben' }), next(ben, { userName: 'zoë' })];
    await users.writeTogether([
      { kind: 'rename', user: first, previous: moved },
      { kind: 'rename', user: second, previous: ben },
    ]);
    expect(await names(users, { search: 'a2@example.com' })).toEqual(['ben']);
    expect(await names(users, { search: 'b2@example.com' })).toEqual(['zoë']);

    const successor = { ...first, id: 'a successor', version: 1 };
    await users.writeEach([
      { kind: 'delete', previous: first },
      { kind: 'create', user: successor },
    ]);
    expect((await users.list({ search: 'a2@example.com', limit: 2 })).items).toEqual([successor]);
    expect(await names(users, { search: 'both@example.com', limit: 1 })).toEqual(['ben', 'zoë']);
  });

  test('finds nobody by an address that a lost race would have brought', async () => {
    const { users } = await open();
    const anna = named('anna', { emailAddresses: ['a@example.com', 'a2@example.com'] });
    await create(users, anna, named('ben'));
    const emailAddresses = ['c@example.com', 'd@example.com'];

    const results = [
      ...(await users.writeEach([
        { kind: 'create', user: named('anna', { id: 'a rival', emailAddresses }) },
        { kind: 'update', user: next(anna, { emailAddresses }), previous: next(anna, {}) },
      ])),
      await users.writeTogether([{ kind: 'create', user: named('ben', { id: 'a rival', emailAddresses }) }]),
      await users.writeTogether([
        { kind: 'rename', user: next(anna, { userName: 'ben', emailAddresses }), previous: anna },
      ]),
    ];

    expect(results).toEqual(['lostRace', 'lostRace', 'lostRace', 'lostRace']);
    expect(await names(users, { search: 'c@example.com' })).toEqual([]);
    expect(await names(users, { search: 'd@example.com' })).toEqual([]);
    expect(await names(users, { search: 'a2@example.com' })).toEqual(['anna']);
  });

  test('loses no address to writers that change, rename, delete and create the same users at once', async () => {
    const { users } = await open();
    const logins = ['a', 'b', 'c', 'd'];
    const pool = Array.from({ length: 6 }, (_, index) => `${index}@example.com`);
    const random = aRandom(20260504);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
    const someAddresses = (): string[] => pool.filter(() => random() < 0.5).sort(() => random() - 0.5);
    const writer = async (which: number): Promise<void> => {
      for (let round = 0; round < 10; round += 1) {
        const previous = await users.get(pick(logins));
        const over = { emailAddresses: someAddresses() };
        if (previous === null) {
          const user = named(pick(logins), { ...over, id: `account ${which}-${round}` });
          await users.writeEach([{ kind: 'create', user }]);
        } else if (random() < 0.1) await users.writeEach([{ kind: 'delete', previous }]);
        else if (random() < 0.6) await users.writeEach([{ kind: 'update', user: next(previous, over), previous }]);
        else {
          const userName = pick(logins.filter((name) => name !== previous.userName));
          await users.writeTogether([{ kind: 'rename', user: next(previous, { ...over, userName }), previous }]);
        }
      }
    };

    await Promise.all([0, 1, 2, 3].map(writer));

    const { items } = await users.list({ limit: 50 });
    expect(items.length).toBeGreaterThan(0);
    for (const search of pool) {
      const having = items.filter(({ emailAddresses }) => emailAddresses.includes(search));
      expect((await users.list({ search, limit: 50 })).items).toEqual(having);
    }
  });

  test('shows everybody who stays once, in order, while others come, go and change their names between the pages', async () => {
    const { users } = await open();
    const emailAddresses = ['own@example.com', 'shared@example.com'];
    const [staying, moving] = ['stays', 'moves'].map((what) =>
      Array.from({ length: 60 }, (_, index) => named(`${index}-${what}`, { emailAddresses })),
    ) as [User[], User[]];
    await create(users, ...staying, ...moving);
    const random = aRandom(7);
    const shown: string[] = [];
    const lists = [{ limit: 16 }, { limit: 16, search: 'SHARED@example.com' }];

    for (const query of lists) {
      shown.length = 0;
      let cursor: string | null | undefined;
      do {
        const page = await users.list({ ...query, ...(cursor != null && { next: cursor }) });
        shown.push(...page.items.map(({ userName }) => userNameKey(userName)));
        cursor = page.next;
        const [renamed, deleted] = [moving.shift()!, moving.shift()!];
        const user = next(renamed, { userName: `${Math.floor(random() * 60)}-renamed-${renamed.userName}` });
        await users.writeTogether([{ kind: 'rename', user, previous: renamed }]);
        await users.writeEach([{ kind: 'delete', previous: deleted }]);
        await create(users, named(`${Math.floor(random() * 60)}-new-${deleted.userName}`, { emailAddresses }));
      } while (cursor !== null);

      expect(shown).toEqual([...new Set(shown)].sort(compareNameKeys));
      expect(shown).toEqual(expect.arrayContaining(staying.map(({ userName }) => userName)));
    }
  });

  test('narrows lists by authentication and status', async () => {
    const { users } = await open();
    await create(
      users,
      named('a', { authentication: 'integrated', emailAddresses: ['a@example.com'] }),
      named('b', { disabledBy: 'sync', emailAddresses: ['a@example.com'] }),
      named('c', { disabledBy: 'admin', authentication: 'integrated' }),
      named('d'),
      ...Array.from({ length: 60 }, (_, index) => named(`e${index}`, { disabledBy: 'sync' })),
    );

    expect(await names(users, { authentication: 'integrated' })).toEqual(['a', 'c']);
    expect(await names(users, { status: 'active' })).toEqual(['a', 'd']);
    expect(await names(users, { status: 'disabled', authentication: 'integrated' })).toEqual(['c']);
    expect(await names(users, { status: 'disabled', limit: 7 })).toHaveLength(62);
    expect(await names(users, { search: 'a@example.com', status: 'disabled' })).toEqual(['b']);
  });

  test('goes on at any place of the list, also with another search', async () => {
    const { users } = await open();
    const emailAddresses = ['all@example.com'];
    await create(users, named('adam', { emailAddresses }), named('beth', { emailAddresses }));
    await create(users, named('zack', { emailAddresses }), named('zoe', { emailAddresses }));

    const byAddress = await listAll(users, { search: 'all@example.com', limit: 1 });
    const behindPrefix = await users.list({ search: 'beth', limit: 1, next: encodeCursor('users', 'zack') });
    const beforePrefix = await users.list({ search: 'zo', limit: 1, next: encodeCursor('users', 'adam') });

    expect(byAddress.names).toEqual(['adam', 'beth', 'zack', 'zoe']);
    expect(behindPrefix).toEqual({ items: [], next: null });
    expect(beforePrefix.items.map(({ userName }) => userName)).toEqual(['zoe']);
    expect(beforePrefix.next).toBeNull();
  });

  test('refuses a next that can be no place of a list', async () => {
    const { users } = await open();

    for (const place of ['', 'x'.repeat(2_000)]) {
      await expect(users.list({ limit: 1, next: encodeCursor('users', place) })).rejects.toMatchObject({
        code: 'invalidRequest',
      });
    }
  });

  test('refuses a next that it has not given', async () => {
    const { users } = await open();
    await create(users, named('a'), named('b'), named('c'));
    const { next: given } = await users.list({ limit: 1 });

    for (const tampered of ['', 'x', 'YWJj', `${given}A`, given!.slice(0, -2), `A${given!.slice(1)}`, '%%%']) {
      await expect(users.list({ limit: 1, next: tampered })).rejects.toMatchObject({
        code: 'invalidRequest',
        faults: [{ path: 'next' }],
      });
    }
  });

  test('reads the link of every user', async () => {
    const { users } = await open();
    const people = Array.from({ length: 300 }, (_, index) =>
      named(`user ${index}`, {
        fingerprint: index % 2 === 0 ? `print ${index}` : null,
        disabledBy: index % 5 === 0 ? 'sync' : index % 7 === 0 ? 'admin' : null,
        ...(index % 3 === 0 && { directory: null }),
        ...(index % 5 === 0 && { disabledBy: 'sync' }),
        ...(index % 7 === 0 && { disabledBy: 'admin' }),
      }),
    );
    await create(users, ...people);

    const links: UserLink[] = [];
    for await (const batch of users.readLinks()) links.push(...batch);

    expect(links.sort((a, b) => compareNameKeys(a.nameKey, b.nameKey))).toEqual(
      people
        .map(({ userName, directory, fingerprint, disabledBy }) => ({
          nameKey: userNameKey(userName),
          linkKey: directory && linkKey(directory),
          fingerprint,
          ...(disabledBy === 'sync' && { disabledBySync: true }),
        }))
        .sort((a, b) => compareNameKeys(a.nameKey, b.nameKey)),
    );
  });

  test('finds active administrators, and those only', async () => {
    const { users } = await open();
    const [anna, ben] = [named('anna', { privileges: ['admin'] }), named('ben', { privileges: ['admin'] })];
    await create(users, anna, ben, named('former', { privileges: ['admin'], disabledBy: 'admin' }), named('nobody'));

    expect(await administratorsOf(users)).toEqual([anna, ben]);
  });

  test.each<[how: string, write: (admin: User) => UserWrite, left: (admin: User) => User[]]>([
    ['deleted', (previous) => ({ kind: 'delete', previous }), () => []],
    ['disabled by an administrator', (admin) => changed(admin, { disabledBy: 'admin' }), () => []],
    ['disabled by a run', (admin) => changed(admin, { disabledBy: 'sync' }), () => []],
    ['demoted', (admin) => changed(admin, { privileges: ['login'] }), () => []],
    ['changed otherwise', (admin) => changed(admin, { fullName: 'A' }), (admin) => [next(admin, { fullName: 'A' })]],
    [
      'renamed',
      (admin) => ({ ...changed(admin, { userName: 'new' }), kind: 'rename' }),
      (admin) => [next(admin, { userName: 'new' })],
    ],
  ])('finds an administrator who is %s as far as that one still is one', async (_how, write, left) => {
    const { users } = await open();
    const [anna, ben] = [named('anna', { privileges: ['admin'] }), named('ben', { privileges: ['admin'] })];
    await create(users, anna, ben, named('nobody'));

    expect(await users.writeTogether([write(anna)])).toBe('written');

    expect(await administratorsOf(users)).toEqual(
      [ben, ...left(anna)].sort((a, b) => (a.userName < b.userName ? -1 : 1)),
    );
  });

  test.each<[how: string, former: Partial<User>]>([
    ['created', {}],
    ['enabled', { privileges: ['admin'], disabledBy: 'sync' }],
    ['promoted', { privileges: ['login'] }],
  ])('finds an administrator who has just been %s', async (how, former) => {
    const { users } = await open();
    const anna = named('anna', { privileges: ['admin'], ...former });
    await create(users, anna);
    if (how !== 'created') await users.writeEach([changed(anna, { privileges: ['admin'], disabledBy: null })]);

    expect(await administratorsOf(users)).toMatchObject([{ userName: 'anna', version: how === 'created' ? 1 : 2 }]);
  });

  test('lets two administrators who remove each other at once not both succeed', async () => {
    const { users } = await open();
    const [anna, ben] = [named('anna', { privileges: ['admin'] }), named('ben', { privileges: ['admin'] })];
    await create(users, anna, ben);
    const removal = async (previous: User): Promise<WriteResult> => {
      const other = await users.findAdministrator(({ id }) => id !== previous.id);
      // The other removal was over before this one looked: nobody is left to check, so nobody is removed.
      if (other === null) return 'lostRace';
      return await users.writeTogether([
        { kind: 'delete', previous },
        { kind: 'check', previous: other },
      ]);
    };

    const results = await Promise.all([removal(anna), removal(ben)]);

    expect(results).toContain('lostRace');
    expect(await administratorsOf(users)).not.toEqual([]);
  });

  // ---------------------------------------------------------------------------------------------- all or nothing

  test('writes all of a group or none of it', async () => {
    const { users } = await open();
    const [anna, ben] = [named('anna'), named('ben')];
    await create(users, anna, ben);
    const group = (previous: User): UserWrite[] => [
      { kind: 'create', user: named('carl') },
      { kind: 'update', user: next(anna, { fullName: 'A' }), previous: anna },
      { kind: 'delete', previous },
    ];

    expect(await users.writeTogether(group({ ...ben, version: 7 }))).toBe('lostRace');
    expect(await names(users)).toEqual(['anna', 'ben']);
    expect(await users.get('anna')).toEqual(anna);
    expect(await users.writeTogether(group(ben))).toBe('written');
    expect(await names(users)).toEqual(['anna', 'carl']);
    expect((await users.get('anna'))?.fullName).toBe('A');
    expect(await users.writeTogether([])).toBe('written');
  });

  test('renames to a free name and not to a taken one', async () => {
    const { users } = await open();
    const [anna, ben] = [named('anna'), named('ben')];
    await create(users, anna, ben);

    const taken = await users.writeTogether([
      { kind: 'rename', user: next(anna, { userName: 'Ben' }), previous: anna },
    ]);
    const free = await users.writeTogether([{ kind: 'rename', user: next(anna, { userName: 'Zoë' }), previous: anna }]);

    expect([taken, free]).toEqual(['lostRace', 'written']);
    expect(await names(users)).toEqual(['ben', 'Zoë']);
    expect(await users.get('ZOË')).toMatchObject({ id: anna.id, version: 2 });
    expect(await users.get('anna')).toBeNull();
  });

  test('swaps two names', async () => {
    const { users } = await open();
    const [anna, ben] = [named('anna'), named('ben')];
    await create(users, anna, ben);
    const swap: UserWrite[] = [
      { kind: 'rename', user: next(anna, { userName: 'ben' }), previous: anna },
      { kind: 'rename', user: next(ben, { userName: 'anna' }), previous: ben },
    ];

    expect(await users.writeTogether(swap)).toBe('written');
    expect((await users.get('anna'))?.id).toBe(ben.id);
    expect((await users.get('ben'))?.id).toBe(anna.id);
    expect(await users.writeTogether(swap)).toBe('lostRace');
  });

  test('moves a chain of names, whatever order it comes in', async () => {
    const { users } = await open();
    const people = ['a', 'b', 'c'].map((name) => named(name));
    await create(users, ...people);
    const chain = people.map((previous, index): UserWrite => ({
      kind: 'rename',
      user: next(previous, { userName: 'bcd'[index]! }),
      previous,
    }));

    expect(await users.writeTogether([chain[1]!, chain[0]!, chain[2]!])).toBe('written');
    expect(await names(users)).toEqual(['b', 'c', 'd']);
    expect((await users.get('d'))?.id).toBe('id of c');
  });

  test('gives the name of a deleted user to another one in the same group', async () => {
    const { users } = await open();
    const [anna, ben] = [named('anna'), named('ben')];
    await create(users, anna, ben);

    const result = await users.writeTogether([
      { kind: 'rename', user: next(ben, { userName: 'anna' }), previous: ben },
      { kind: 'delete', previous: anna },
    ]);

    expect(result).toBe('written');
    expect(await names(users)).toEqual(['anna']);
    expect((await users.get('anna'))?.id).toBe(ben.id);
  });

  test('refuses a group in which two users want one name', async () => {
    const { users } = await open();
    const anna = named('anna');
    await create(users, anna);

    const two = await users.writeTogether([
      { kind: 'create', user: named('x', { id: '1' }) },
      { kind: 'create', user: named('X', { id: '2' }) },
    ]);
    const kept = await users.writeTogether([
      { kind: 'check', previous: anna },
      { kind: 'create', user: named('anna', { id: '3' }) },
    ]);

    expect([two, kept]).toEqual(['lostRace', 'lostRace']);
    expect(await users.get('anna')).toEqual(anna);
    expect(await users.get('x')).toBeNull();
  });

  test('fails a group when a record that it only checks has changed', async () => {
    const { users } = await open();
    const [anna, ben] = [named('anna'), named('ben')];
    await create(users, anna, ben);
    const group: UserWrite[] = [
      { kind: 'delete', previous: anna },
      { kind: 'check', previous: ben },
    ];
    await users.writeEach([{ kind: 'update', user: next(ben, { disabledBy: 'admin' }), previous: ben }]);

    expect(await users.writeTogether(group)).toBe('lostRace');
    expect(await users.get('anna')).toEqual(anna);
    const current = (await users.get('ben'))!;
    expect(await users.writeTogether([group[0]!, { kind: 'check', previous: current }])).toBe('written');
    expect(await users.get('ben')).toEqual(current);
  });

  test('moves a ring of fifty names together', async () => {
    const { users } = await open();
    const people = Array.from({ length: 50 }, (_, index) => named(`user-${index}`));
    await create(users, ...people);

    const result = await users.writeTogether(
      people.map((previous, index) => ({
        kind: 'rename',
        user: next(previous, { userName: `user-${(index + 1) % 50}` }),
        previous,
      })),
    );

    expect(result).toBe('written');
    expect((await users.get('user-0'))?.id).toBe('id of user-49');
  });

  test('renames thirty-two users to free names together', async () => {
    const { users } = await open();
    const people = Array.from({ length: 32 }, (_, index) => named(`user-${index}`));
    await create(users, ...people);

    const result = await users.writeTogether(
      people.map((previous) => ({
        kind: 'rename',
        user: next(previous, { userName: `new ${previous.userName}` }),
        previous,
      })),
    );

    expect(result).toBe('written');
    expect(await names(users, { search: 'user-' })).toEqual([]);
    expect(await users.get('new user-31')).toMatchObject({ id: 'id of user-31', version: 2 });
  });
});
