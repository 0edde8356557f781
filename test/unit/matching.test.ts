import { describe, expect, test } from 'vitest';
import type { Mapped, Person } from '../../lib/directory/mapping.ts';
import { SAME_ID, SAME_NAME, startMatching } from '../../lib/sync/matching.ts';
import type { Matches } from '../../lib/sync/matching.ts';
import type { UserLink } from '../../lib/user/user-store.ts';
import { aPerson } from '../support/people.ts';

const anna = aPerson('id-1', 'anna');
const bert = aPerson('id-2', 'bert');

const person = (each: Person): Mapped => ({ kind: 'person', person: each });
const skipped = (directoryId: string | null, disabled = false): Mapped => ({
  kind: 'skipped',
  skipped: {
    directoryId,
    dn: `cn=${directoryId}`,
    reason: 'no user name',
    disabled,
    mark: disabled ? 'nsaccountlock' : null,
  },
});
const linkOf = ({ nameKey, directoryId, fingerprint }: Person): UserLink => ({
  nameKey,
  linkKey: `entryuuid:${directoryId}`,
  fingerprint,
});

async function match(links: readonly UserLink[], read: readonly Mapped[]): Promise<Matches> {
  async function* stored() {
    for (const link of links) yield [link];
  }
  const matching = await startMatching(stored(), 'entryuuid');
  for (const each of read) matching.add(each);
  return matching.finish();
}

describe('a person is', () => {
  test('unchanged where its user has its fingerprint, changed where it has another one, fresh where there is none', async () => {
    const renamed = aPerson('id-2', 'bert.braun');
    const carl = aPerson('id-3', 'carl');
    const matches = await match([linkOf(anna), linkOf(bert)], [person(anna), person(renamed), person(carl)]);

    expect(matches).toMatchObject({
      read: 3,
      known: 2,
      unchanged: 1,
      changed: [{ nameKey: 'bert', person: renamed }],
      fresh: [carl],
      missing: [],
      contradictions: [],
    });
  });

  test('nobody’s where the id was read from another attribute', async () => {
    const byNumber = { ...linkOf(anna), linkKey: 'employeenumber:id-1' };
    expect(await match([byNumber], [person(anna)])).toMatchObject({ fresh: [anna], missing: ['anna'] });
  });
});

describe('an entry that is skipped', () => {
  test('keeps its user from being missing', async () => {
    const matches = await match([linkOf(anna), linkOf(bert)], [skipped('id-1')]);
    expect(matches).toMatchObject({ read: 1, unidentified: 0, missing: ['bert'], unchanged: 0 });
    expect(matches.skipped).toEqual([
      { kind: 'skipped', userId: null, userName: null, directoryId: 'id-1', dn: 'cn=id-1', reason: 'no user name' },
    ]);
  });

  test('counts as anybody where its id can’t be read', async () => {
    expect(await match([linkOf(anna)], [skipped(null), skipped(null)])).toMatchObject({
      unidentified: 2,
      missing: ['anna'],
      skipped: [{ directoryId: null }, { directoryId: null }],
    });
  });

  test.each([
    ['before', [skipped('id-1'), person(anna)]],
    ['behind', [person(anna), skipped('id-1')]],
  ])('makes a contradiction with a person of the same id %s it, and neither is taken', async (_where, read) => {
    const matches = await match([linkOf(anna)], read);
    expect(matches).toMatchObject({ unchanged: 0, changed: [], missing: [] });
    expect(matches.contradictions).toMatchObject([{ nameKey: 'anna', reason: SAME_ID }]);
  });

  test('of an id that nobody has is only told', async () => {
    expect(await match([], [skipped('id-9')])).toMatchObject({ contradictions: [], missing: [], known: 0 });
  });
});

describe('a name or an id that comes twice', () => {
  const twin = aPerson('id-9', 'ANNA');

  test.each([
    ['known first', [person(anna), person(twin)]],
    ['known last', [person(twin), person(anna)]],
  ])('refuses both entries of one name: %s', async (_order, read) => {
    const matches = await match([linkOf(anna)], read);
    expect(matches).toMatchObject({ unchanged: 0, fresh: [], missing: [] });
    expect(matches.contradictions.map(({ reason }) => reason)).toEqual([SAME_NAME, SAME_NAME]);
  });

  test('refuses three newcomers of one name, each of them', async () => {
    const many = ['id-7', 'id-8', 'id-9'].map((id) => person(aPerson(id, 'dora')));
    const matches = await match([], many);
    expect(matches.fresh).toEqual([]);
    expect(matches.contradictions).toHaveLength(3);
  });

  test('refuses every entry of an id that holds a colon, and no other', async () => {
    const odd = aPerson('a:b', 'odd');
    const other = aPerson('b', 'other');
    const matches = await match([linkOf(odd), linkOf(other)], [person(odd), person(odd), person(other)]);
    expect(matches.contradictions.map(({ reason }) => reason)).toEqual([SAME_ID, SAME_ID]);
    expect(matches.unchanged).toBe(1);
  });
});

test('a name is taken when a user has it, tied to the directory or not', async () => {
  const matches = await match([{ nameKey: 'root', linkKey: null, fingerprint: null }], []);
  expect([matches.isTaken('root'), matches.isTaken('anna')]).toEqual([true, false]);
});

describe('an id in another letter case', () => {
  const lower = aPerson('ab1', 'anna');
  const upper = aPerson('AB1', 'anna');

  test('is the same where one user and one entry have it', async () => {
    expect(await match([linkOf(lower)], [person(upper)])).toMatchObject({
      changed: [{ nameKey: 'anna', person: upper }],
      fresh: [],
      missing: [],
      contradictions: [],
    });
  });

  test.each<[name: string, links: UserLink[], read: Mapped[], fresh: number, missing: number]>([
    ['two entries', [linkOf(aPerson('Ab1', 'anna'))], [person(lower), person(aPerson('AB1', 'bert'))], 2, 1],
    ['two users', [linkOf(lower), linkOf(aPerson('AB1', 'bert'))], [person(aPerson('Ab1', 'carl'))], 1, 2],
    ['an entry that matches exactly', [linkOf(lower)], [person(lower), person(aPerson('AB1', 'bert'))], 1, 0],
    [
      'a user that matches exactly',
      [linkOf(lower), linkOf(aPerson('AB1', 'bert'))],
      [person(aPerson('AB1', 'bert'))],
      0,
      1,
    ],
    [
      'a user and an entry that match exactly',
      [linkOf(lower), linkOf(aPerson('AB1', 'bert'))],
      [person(aPerson('AB1', 'bert')), person(aPerson('Ab1', 'carl'))],
      1,
      1,
    ],
    ['an entry that can’t be used', [linkOf(aPerson('Ab1', 'anna'))], [person(lower), skipped('AB1')], 1, 1],
    ['another attribute', [{ ...linkOf(lower), linkKey: 'employeenumber:ab1' }], [person(upper)], 1, 1],
  ])('is another one beside %s', async (_name, links, read, fresh, missing) => {
    for (const order of [read, read.toReversed()]) {
      const matches = await match(links, order);
      expect([matches.fresh.length, matches.missing.length, matches.changed]).toEqual([fresh, missing, []]);
    }
  });

  test('of an entry that can’t be used keeps the user from being missing, and disables it', async () => {
    expect(await match([linkOf(lower)], [skipped('AB1')])).toMatchObject({ missing: [], disabledById: [] });
    expect(await match([linkOf(lower)], [skipped('AB1', true)])).toMatchObject({
      missing: [],
      disabledById: [{ nameKey: 'anna', directoryId: 'AB1', mark: 'nsaccountlock' }],
    });
  });
});

describe('a user whose entry is marked as disabled is disabled by its id', () => {
  const off = aPerson('id-1', 'anna', { disabled: true });
  const twin = person(aPerson('id-9', 'ANNA'));
  const disabledById = [{ nameKey: 'anna', directoryId: 'id-1', mark: 'nsaccountlock' }];

  test.each<[name: string, read: Mapped[], expected: unknown[]]>([
    ['where its name is in conflict', [person(off), twin], disabledById],
    ['where it has no usable name', [skipped('id-1', true)], disabledById],
    ['once, where all is well: its own line says so', [person(off)], []],
    ['only where it is marked', [person({ ...off, disabled: false }), twin], []],
    ['only where it is skipped for another reason', [skipped('id-1')], []],
    ['never where two entries have the id', [person(off), person(off)], []],
    ['never where two entries have the id and one is skipped', [skipped('id-1', true), person(anna)], []],
    ['never where two skipped entries have the id', [skipped('id-1', true), skipped('id-1', true)], []],
  ])('%s', async (_name, read, expected) => {
    for (const order of [read, read.toReversed()]) {
      expect((await match([linkOf(anna)], order)).disabledById).toEqual(expected);
    }
  });
});

test('names that entries in a contradiction have are claimed', async () => {
  const renamed = aPerson('id-1', 'carl');
  const matches = await match([linkOf(anna), linkOf(bert)], [person(renamed), person(aPerson('id-8', 'CARL'))]);

  expect([...matches.claimed]).toEqual(['carl']);
  expect(matches.missing).toEqual(['bert']);
});

test('what any entry shows is shown, and what entries hide is counted', async () => {
  const full = { ...anna, emailAddresses: ['a@x.test'], statusSeen: ['nsaccountlock'] };
  const hidden = { ...bert, fullName: null, statusUnknown: true, notes: ['mail: "x" is no address'] };
  const matches = await match([], [person(full), person(hidden)]);

  expect(matches.shown).toEqual({ fullName: true, emailAddresses: true, status: new Set(['nsaccountlock']) });
  expect(matches).toMatchObject({ statusUnknown: 1, noted: { count: 1, first: hidden } });
  expect((await match([], [person(hidden)])).shown).toEqual({
    fullName: false,
    emailAddresses: false,
    status: new Set(),
  });
});
