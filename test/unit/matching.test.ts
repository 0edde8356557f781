import { describe, expect, test } from 'vitest';
import type { Mapped, Person } from '../../lib/directory/mapping.ts';
import { SAME_ID, SAME_NAME, startMatching } from '../../lib/sync/matching.ts';
import type { Matches } from '../../lib/sync/matching.ts';
import type { UserLink } from '../../lib/user/user-store.ts';
import { aPerson } from '../support/people.ts';

const anna = aPerson('id-1', 'anna');
const bert = aPerson('id-2', 'bert');

const person = (each: Person): Mapped => ({ kind: 'person', person: each });
const skipped = (directoryId: string | null): Mapped => ({
  kind: 'skipped',
  skipped: { directoryId, dn: `cn=${directoryId}`, reason: 'no user name', disabled: false },
});
const linkOf = ({ nameKey, directoryId, fingerprint }: Person): UserLink => ({
  nameKey,
  linkKey: `entryuuid:${directoryId}`,
  fingerprint,
  disabledBySync: false,
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
  const matches = await match([{ nameKey: 'root', linkKey: null, fingerprint: null, disabledBySync: false }], []);
  expect([matches.isTaken('root'), matches.isTaken('anna')]).toEqual([true, false]);
});
