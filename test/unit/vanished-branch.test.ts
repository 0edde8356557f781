/** Which missing users are below a branch that has vanished from the bind DN's view. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BranchState } from '../../lib/directory/directory.ts';
import { isAtOrBelow, parentOf } from '../../lib/distinguished-name.ts';
import { findVanishedBranches } from '../../lib/sync/vanished-branch.ts';
import type { User } from '../../lib/user/user.ts';
import { aUser } from '../support/people.ts';

const BASE = 'dc=example,dc=com';
const at = (name: string, parent: string, missingSince: string | null = null): User =>
  aUser({ id: name, directory: { id: name, idAttribute: 'entryuuid', dn: `uid=${name},${parent}`, missingSince } });
const three = (parent: string, prefix = 'u'): User[] => [1, 2, 3].map((number) => at(`${prefix}${number}`, parent));

/** The branch of each user that is found, and the branches that were judged, in order. */
async function find(users: readonly User[], states: Readonly<Record<string, BranchState>>, baseDn = BASE) {
  const judged: string[] = [];
  const found = await findVanishedBranches(users, baseDn, async (dn) => {
    judged.push(dn);
    return states[dn] ?? 'populated';
  });
  return { found: Object.fromEntries(found), judged };
}

const STAFF = `ou=staff,${BASE}`;
const EAST = `ou=east,${STAFF}`;

describe('three users who are missed together', () => {
  test.each<[state: BranchState, found: Record<string, string>]>([
    ['vanished', { u1: STAFF, u2: STAFF, u3: STAFF }],
    ['empty', {}],
    ['populated', {}],
  ])('below one parent that is %s', async (state, expected) => {
    expect(await find(three(STAFF), { [STAFF]: state })).toEqual({ found: expected, judged: [STAFF] });
  });

  test('are not looked at where there are only two of them', async () => {
    expect(await find(three(STAFF).slice(1), { [STAFF]: 'vanished' })).toEqual({ found: {}, judged: [] });
  });

  test('are no branch directly below the base', async () => {
    expect(await find(three(BASE), { [BASE]: 'vanished' })).toEqual({ found: {}, judged: [] });
  });

  test('are three together where each has a parent of its own', async () => {
    const users = ['a', 'b', 'c'].map((name) => at(name, `ou=${name},${STAFF}`));
    expect(await find(users, { [STAFF]: 'vanished' })).toEqual({
      found: { a: STAFF, b: STAFF, c: STAFF },
      judged: [STAFF],
    });
  });

  test('are three only if they were first missed in the same run', async () => {
    const times = [null, '2026-05-01T00:00:00.000Z', '2026-05-02T00:00:00.000Z'];
    const apart = times.map((since, number) => at(`u${number}`, STAFF, since));
    const together = times.map((_, number) => at(`u${number}`, STAFF, times[1]));

    expect((await find(apart, { [STAFF]: 'vanished' })).found).toEqual({});
    expect(Object.keys((await find(together, { [STAFF]: 'vanished' })).found)).toHaveLength(3);
  });

  test('are one branch whatever spelling their DNs have', async () => {
    const users = [at('a', STAFF), at('b', `OU=Staff, DC=example,DC=com`), at('c', `ou=STAFF,${BASE}`)];
    expect(await find(users, { [STAFF]: 'vanished' })).toEqual({
      found: { a: STAFF, b: STAFF, c: STAFF },
      judged: [STAFF],
    });
  });

  test('stand for themselves where their parent is not below the base', async () => {
    const elsewhere = 'ou=former,dc=other,dc=com';
    expect(Object.values((await find(three(elsewhere), { [elsewhere]: 'vanished' })).found)).toHaveLength(3);
  });
});

describe('of several branches', () => {
  test('the highest counts in which nobody is left', async () => {
    const users = [...three(EAST), at('boss', STAFF)];
    const { found, judged } = await find(users, { [STAFF]: 'vanished', [EAST]: 'vanished' });

    expect(found).toEqual({ u1: STAFF, u2: STAFF, u3: STAFF, boss: STAFF });
    expect(judged).toEqual([STAFF]);
  });

  test('a lower one is looked at where people are left higher up', async () => {
    const users = [...three(EAST), at('boss', STAFF)];
    const { found, judged } = await find(users, { [EAST]: 'vanished' });

    expect(found).toEqual({ u1: EAST, u2: EAST, u3: EAST });
    expect(judged).toEqual([STAFF, EAST]);
  });

  test('nothing below an empty one is looked at', async () => {
    expect(await find(three(EAST), { [STAFF]: 'empty', [EAST]: 'vanished' })).toEqual({ found: {}, judged: [STAFF] });
  });

  test('each is judged once, for users first missed in different runs too', async () => {
    const later = three(STAFF, 'v').map((user) => ({
      ...user,
      directory: { ...user.directory!, missingSince: '2026-05-01T00:00:00.000Z' },
    }));
    const { found, judged } = await find([...three(STAFF), ...later], { [STAFF]: 'vanished' });

    expect(Object.keys(found)).toHaveLength(6);
    expect(judged).toEqual([STAFF]);
  });
});

/** The ancestors below the base, from the parent up. */
function ancestorsOf({ directory }: User): string[] {
  const path: string[] = [];
  for (let dn = parentOf(directory!.dn)!; dn !== BASE; dn = parentOf(dn)!) path.push(dn);
  return path;
}

test('for any users, in any order, the highest branch without anybody left and with three of them is found', async () => {
  const branch = fc
    .array(fc.constantFrom('a', 'b'), { maxLength: 3 })
    .map((path) => path.map((ou) => `ou=${ou},`).join(''));
  const people = fc.array(fc.tuple(branch, fc.constantFrom(null, '2026-05-01T00:00:00.000Z')), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(people, branch, async (given, left) => {
      const users = given.map(([path, since], number) => at(`u${number}`, `${path}${BASE}`, since));
      // One person is left: every branch above is populated.
      const someone = `uid=left,${left}${BASE}`;
      const judge = async (dn: string): Promise<BranchState> => (isAtOrBelow(someone, dn) ? 'populated' : 'vanished');
      const found = await findVanishedBranches(users, BASE, judge);
      const reversed = await findVanishedBranches(users.toReversed(), BASE, judge);

      expect(Object.fromEntries(reversed)).toEqual(Object.fromEntries(found));
      for (const user of users) {
        const together = users.filter(({ directory }) => directory!.missingSince === user.directory!.missingSince);
        const vanished = ancestorsOf(user).filter((dn) => {
          const below = together.filter(({ directory }) => isAtOrBelow(directory!.dn, dn));
          return below.length >= 3 && !isAtOrBelow(someone, dn);
        });
        expect(found.get(user.id)).toBe(vanished.at(-1));
      }
    }),
    { numRuns: 300 },
  );
});
