import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { applyDefaultPrivileges } from '../../lib/administration/default-privilege.ts';
import type { Privilege } from '../../lib/user/privilege.ts';
import type { UserStore } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aSettings, aUser, NOW } from '../support/people.ts';

const REAL = { dryRun: false } as const;
const DRY = { dryRun: true } as const;

interface Over {
  readonly defaultPrivileges?: readonly Privilege[];
  /** What another administrator does to each user just before it is written. */
  readonly meanwhile?: (user: User) => User | null;
  /** Time that passes with each look at the clock. */
  readonly lookMs?: number;
}

/** Stores with exactly these users, where login and export are the default privileges unless a test says otherwise. */
async function houseOf(
  people: readonly User[],
  { defaultPrivileges = ['login', 'export'], meanwhile, lookMs = 0 }: Over = {},
) {
  let time = NOW.getTime();
  const clock = { now: () => new Date((time += lookMs)) };
  const stores = createMemoryStores(clock);
  await stores.users.writeEach(people.map((user) => ({ kind: 'create', user })));
  const version = await stores.settings.write({ ...aSettings(), defaultPrivileges }, '', null);
  const users: UserStore = {
    ...stores.users,
    async writeEach(writes) {
      for (const write of writes) {
        const user = write.kind === 'update' && meanwhile ? meanwhile(write.previous) : null;
        if (write.kind === 'update' && user !== null) {
          await stores.users.writeEach([{ kind: 'update', user, previous: write.previous }]);
        }
      }
      return await stores.users.writeEach(writes);
    },
  };
  const ports = { ...stores, users, clock };
  return {
    ports,
    version: version!,
    stored: async () => (await stores.users.list({ limit: 200 })).items,
    writes: () => stores.users.writes - people.length,
    /** Makes as many calls as it takes. */
    async applyToAll(request: { readonly dryRun: boolean }) {
      const calls = [await applyDefaultPrivileges(ports, request, null)];
      for (let next = calls[0]!.next; next !== null; next = calls.at(-1)!.next) {
        calls.push(await applyDefaultPrivileges(ports, { ...request, next }, null));
      }
      return calls;
    },
  };
}

const numbered = (count: number, over: Partial<User> = {}): User[] =>
  Array.from({ length: count }, (_, at) => {
    const digits = String(at).padStart(4, '0');
    return aUser({ id: `account-${digits}`, userName: `user-${digits}`, ...over });
  });

test('people of the directory get them, integrated users and administrators stay as they are', async () => {
  const anna = aUser();
  const integrated = { authentication: 'integrated', directory: null } as const;
  const others = [
    aUser({ id: '2', userName: 'bob', privileges: ['admin'] }),
    aUser({ id: '3', userName: 'cyd', privileges: ['export', 'login'] }),
    aUser({ id: '4', userName: 'dora', ...integrated }),
  ];
  const { ports, version, stored } = await houseOf([anna, ...others]);

  const applied = await applyDefaultPrivileges(ports, REAL, version);

  expect(applied).toEqual({
    dryRun: false,
    settingsVersion: version,
    privileges: ['login', 'export'],
    totals: { changed: 1, unchanged: 1, kept: 1 },
    items: [{ userName: 'anna', from: ['login'], to: ['login', 'export'] }],
    next: null,
  });
  const at = NOW.toISOString();
  const changed = { ...anna, privileges: ['login', 'export'], sessionsValidFrom: at, updatedAt: at, version: 2 };
  expect(await stored()).toEqual([changed, ...others]);
});

test('a dry run tells exactly what the real one does and writes nothing, and a second real one finds nothing to do', async () => {
  const privileges = fc.constantFrom<readonly Privilege[]>(
    ['login'],
    ['none'],
    ['admin'],
    ['export', 'login'],
    ['delete'],
  );
  const person = fc.record({
    privileges,
    authentication: fc.constantFrom('directory', 'integrated'),
    disabledBy: fc.constantFrom(null, 'admin', 'sync'),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(person, { maxLength: 12 }),
      privileges.filter(([first]) => first !== 'admin'),
      async (people, defaultPrivileges) => {
        const all = people.map((over, at) => aUser({ id: `account-${at}`, userName: `user-${at}`, ...over }));
        const house = await houseOf(all, { defaultPrivileges });

        const [dry] = await house.applyToAll(DRY);
        const afterDry = await house.stored();
        const [real] = await house.applyToAll(REAL);
        const [again] = await house.applyToAll(REAL);

        expect(afterDry).toEqual(all.toSorted((a, b) => (a.userName < b.userName ? -1 : 1)));
        expect(real).toEqual({ ...dry, dryRun: false });
        expect(house.writes()).toBe(real!.totals.changed);
        expect(again!.totals).toEqual({
          ...real!.totals,
          changed: 0,
          unchanged: real!.totals.changed + real!.totals.unchanged,
        });
        for (const [position, user] of (await house.stored()).entries()) {
          const before = afterDry[position]!;
          const isMeant = before.authentication === 'directory' && !before.privileges.includes('admin');
          expect(user.privileges.toSorted()).toEqual((isMeant ? defaultPrivileges : before.privileges).toSorted());
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a call ends when its time is up, and the next one goes on where it has ended', async () => {
  // Twelve seconds pass with every page.
  const house = await houseOf(numbered(901), { lookMs: 6_000 });

  const calls = await house.applyToAll(REAL);

  expect(calls.map(({ totals }) => totals.changed)).toEqual([400, 400, 101]);
  expect(calls.map(({ items }) => items.length)).toEqual([100, 100, 100]);
  expect(calls[1]!.items[0]).toMatchObject({ userName: 'user-0400' });
  expect(house.writes()).toBe(901);
});

test('what others change meanwhile stays, and the user is decided again', async () => {
  const touched = new Set<string>();
  const { ports, stored } = await houseOf(numbered(4), {
    meanwhile(user) {
      if (touched.has(user.id)) return null;
      touched.add(user.id);
      const next = { ...user, fullName: 'New Name', version: user.version + 1 };
      if (user.userName === 'user-0001') return { ...next, privileges: ['admin'] };
      if (user.userName === 'user-0002') return { ...next, authentication: 'integrated', directory: null };
      return user.userName === 'user-0003' ? null : next;
    },
  });

  const { totals } = await applyDefaultPrivileges(ports, REAL, null);

  expect(totals).toEqual({ changed: 2, unchanged: 0, kept: 1 });
  expect((await stored()).map(({ fullName, privileges }) => [fullName, privileges])).toEqual([
    ['New Name', ['login', 'export']],
    ['New Name', ['admin']],
    ['New Name', ['login']],
    ['Anna Weber', ['login', 'export']],
  ]);
});

test('users that others never stop changing are told, and the rest is done', async () => {
  const { ports, stored } = await houseOf(numbered(2), {
    meanwhile: (user) => (user.userName === 'user-0000' ? { ...user, version: user.version + 1 } : null),
  });

  await expect(applyDefaultPrivileges(ports, REAL, null)).rejects.toMatchObject({ code: 'conflict', retryable: true });
  expect((await stored()).map(({ privileges }) => privileges)).toEqual([['login'], ['login', 'export']]);
});

test.each([
  ['make everybody an administrator', { defaultPrivileges: ['admin'] }, null, 'conflict'],
  ['go by settings that nobody has seen', {}, 'an earlier version', 'versionMismatch'],
] as const)('it does not %s, not even dry', async (_what, over, expectedVersion, code) => {
  const { ports, writes } = await houseOf([aUser()], over);

  for (const request of [REAL, DRY]) {
    await expect(applyDefaultPrivileges(ports, request, expectedVersion)).rejects.toMatchObject({ code });
  }
  expect(writes()).toBe(0);
});

test('it needs settings, and a position that it has given', async () => {
  const { ports } = await houseOf([]);
  const bare = createMemoryStores(ports.clock);

  await expect(applyDefaultPrivileges({ ...bare, clock: ports.clock }, REAL, null)).rejects.toMatchObject({
    code: 'notConfigured',
  });
  await expect(applyDefaultPrivileges(ports, { ...REAL, next: 'garbage' }, null)).rejects.toMatchObject({
    code: 'invalidRequest',
    faults: [{ path: 'next', message: expect.any(String) }],
  });
});
