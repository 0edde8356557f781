/** When a run says that most of what it read led nowhere. */
import { expect, test } from 'vitest';
import type { Change } from '../../lib/sync/run.ts';
import { findWaste } from '../../lib/sync/waste.ts';
import type { User } from '../../lib/user/user.ts';
import { aPerson, aUser } from '../support/people.ts';

type Contradictions = Parameters<typeof findWaste>[0]['contradictions'];

const skip = (reason: string): Change => ({
  kind: 'skipped',
  userId: null,
  userName: null,
  directoryId: null,
  dn: 'cn=x',
  reason,
});
const skips = (count: number, reason = 'no uid'): Change[] => Array.from({ length: count }, () => skip(reason));
const waste = (
  read: number,
  skipped: readonly Change[],
  contradictions: Contradictions = [],
  stored: ReadonlyMap<string, User> = new Map(),
): string | null => findWaste({ read, skipped, contradictions }, stored);

test.each([
  [0, 0, null],
  [4, 2, null],
  [4, 3, /^3 of 4 entries could not be used\. .*: no uid\. /],
  [4, 4, /^None of the 4 entries could be used\. .*: no uid\. /],
  [1, 1, /^None of the 1 /],
])('of %i entries, %i are skipped', (read, skipped, expected) => {
  const notice = waste(read, skips(skipped));
  if (expected === null) expect(notice).toBeNull();
  else expect(notice).toMatch(expected);
});

test('the most frequent reason is told, wherever it stands', () => {
  const mixed = [...skips(1, 'rare'), ...skips(2, 'frequent'), ...skips(1, 'another')];
  expect(waste(4, mixed)).toContain('reason: frequent.');
  expect(waste(4, mixed.toReversed())).toContain('reason: frequent.');
});

/** The same people below two suffixes: both entries fresh, or one of them the stored user's own. */
function copies(count: number, isStored: boolean): readonly [Contradictions, Map<string, User>] {
  const stored = new Map<string, User>();
  const contradictions: Contradictions[number][] = [];
  for (let number = 0; number < count; number += 1) {
    const name = `user${number}`;
    const dns = ['ou=old', 'ou=new'].map((ou) => `uid=${name},ou=people,${ou},dc=example,dc=com`);
    const people = dns.map((dn, copy) => aPerson(`${name}-${copy}`, name, { dn }));
    stored.set(name, aUser({ userName: name, directory: { ...aUser().directory!, dn: dns[0]! } }));
    contradictions.push(
      { nameKey: name, person: isStored ? null : people[0]!, reason: 'same name' },
      { nameKey: name, person: people[1]!, reason: 'same name' },
    );
  }
  return [contradictions, stored];
}

test.each([true, false])(
  'a copy into a second tree is told by its two suffixes (the first is stored: %s)',
  (isStored) => {
    const [contradictions, stored] = copies(3, isStored);
    const notice = waste(6, [], contradictions, isStored ? stored : new Map());

    expect(notice).toMatch(/^None of the 6 /);
    expect(notice).toContain('below ou=new,dc=example,dc=com and below ou=old,dc=example,dc=com.');
    expect(notice).toContain('base DN');
  },
);

test('a few pairs among many other contradictions are no copy', () => {
  const [pairs] = copies(1, false);
  const single = Array.from({ length: 6 }, (_, number) => ({
    nameKey: `single${number}`,
    person: aPerson(`single${number}`, `single${number}`),
    reason: 'same id',
  }));

  expect(waste(8, [], [...pairs, ...single])).toContain('reason: same id.');
});
