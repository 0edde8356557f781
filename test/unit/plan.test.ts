import { describe, expect, test } from 'vitest';
import { decideMissing, removeUser } from '../../lib/sync/absence.ts';
import type { Removal } from '../../lib/sync/absence.ts';
import { planAgain } from '../../lib/sync/apply.ts';
import type { Matches } from '../../lib/sync/matching.ts';
import { countWrites, planChanges, settleNames, sortMatches } from '../../lib/sync/plan.ts';
import type { RemovalDecision } from '../../lib/sync/removal.ts';
import { tell } from '../../lib/sync/step.ts';
import { createUser, isTiedTo, planUser } from '../../lib/sync/user-step.ts';
import type { User } from '../../lib/user/user.ts';
import { aContext, aPerson, aUser, NOW } from '../support/people.ts';

const link = aUser().directory!;

const removal = (user: User, over: Partial<Removal> = {}): Removal => ({
  user,
  how: 'delete',
  cause: 'goneFromDirectory',
  person: null,
  approval: null,
  ...over,
});

test('gives a user under a key of former rules the key of today, without a word', () => {
  const person = aPerson('id-1', 'Anna Weber');
  const user = { ...aUser({ userName: 'Anna Weber', fullName: 'Person id-1' }), storedKey: 'anna  weber' };
  const known = { ...user, directory: { ...user.directory!, dn: person.dn } };
  const { change, write } = planUser(known, person, aContext());
  expect(change.kind).toBe('unchanged');
  expect(write).toMatchObject({ kind: 'rename', previous: { storedKey: 'anna  weber' } });
  expect(write?.kind === 'rename' && 'storedKey' in write.user).toBe(false);
});

describe('a user whose person is there', () => {
  const person = aPerson('id-1', 'anna', { dn: link.dn });
  const asIs = aUser({ fullName: 'Person id-1', fingerprint: person.fingerprint });

  test('is updated with what has changed, from and to', () => {
    const { change, write } = planUser({ ...asIs, fullName: 'Anna' }, person, aContext());
    expect(change).toMatchObject({ kind: 'updated', fields: { fullName: { from: 'Anna', to: 'Person id-1' } } });
    expect(Object.keys(change.fields!)).toEqual(['fullName']);
    expect(write).toMatchObject({ kind: 'update', user: { version: 2, fingerprint: person.fingerprint } });
  });

  test('keeps privileges, account id and creation time through a rename', () => {
    const renamed = aPerson('id-1', 'anna.weber', { dn: link.dn });
    const { change, write } = planUser({ ...asIs, privileges: ['login', 'export'] }, renamed, aContext());
    expect(change).toMatchObject({ kind: 'renamed', userName: 'anna.weber', previousUserName: 'anna' });
    expect(write).toMatchObject({ kind: 'rename', user: { id: 'account-1', privileges: ['login', 'export'] } });
  });

  test('counts as renamed when it has moved, and is updated in place when only the spelling of its name has changed', () => {
    const moved = planUser(asIs, aPerson('id-1', 'anna', { dn: 'uid=anna,ou=other,dc=example,dc=com' }), aContext());
    expect(moved.change).toMatchObject({ kind: 'renamed', fields: { 'directory.dn': { from: link.dn } } });
    expect(moved.change.previousUserName).toBeUndefined();
    const spelled = planUser(asIs, aPerson('id-1', 'Anna', { dn: link.dn }), aContext());
    expect(spelled).toMatchObject({
      change: { kind: 'renamed' },
      write: { kind: 'update', user: { userName: 'Anna' } },
    });
  });

  test('is disabled when the directory marks it so, and enabled when it does no longer', () => {
    const disabledPerson = aPerson('id-1', 'anna', { dn: link.dn, disabled: true });
    expect(planUser(asIs, disabledPerson, aContext())).toMatchObject({
      change: { kind: 'disabled', reason: expect.stringMatching(/marks the account as disabled/u) },
      write: { user: { disabledBy: 'sync' } },
    });
    const away = { ...asIs, disabledBy: 'sync' as const, directory: { ...link, mark: 'pwdaccountlockedtime' } };
    const unlocked = { ...person, statusSeen: ['pwdaccountlockedtime'] };
    expect(planUser(away, unlocked, aContext())).toMatchObject({
      change: { kind: 'enabled' },
      write: { user: { disabledBy: null } },
    });
  });

  test('stays disabled when an administrator has disabled it, whatever the directory says', () => {
    const step = planUser({ ...asIs, disabledBy: 'admin', fingerprint: null }, person, aContext());
    expect(step.change.kind).toBe('unchanged');
    expect(step.write).toMatchObject({ user: { disabledBy: 'admin' } });
  });

  test('is enabled under the same account when it returns', () => {
    const away = aUser({
      fullName: 'Person id-1',
      disabledBy: 'sync',
      directory: { ...link, missingSince: '2026-01-01T00:00:00.000Z' },
    });
    const { change, write } = planUser(away, person, aContext());
    expect(change).toMatchObject({ kind: 'enabled', userId: 'account-1' });
    expect(write).toMatchObject({ user: { disabledBy: null, directory: { missingSince: null } } });
  });
});

describe('a user whose person is missing', () => {
  const daysAgo = (days: number): string => new Date(NOW.getTime() - days * 86_400_000).toISOString();

  test('is marked at first sight and left alone from then on, when missing users are kept', () => {
    const decision = decideMissing(aUser(), aContext());
    expect(decision).toMatchObject({
      kind: 'mark',
      step: { change: { kind: 'updated' }, write: { user: { directory: { missingSince: NOW.toISOString() } } } },
    });
    const marked = aUser({ directory: { ...link, missingSince: daysAgo(400) } });
    expect(decideMissing(marked, aContext())).toEqual({ kind: 'nothing' });
  });

  test('is removed at once without a grace period, and only after it with one', () => {
    const at = (missingSince: string | null, gracePeriodDays: number): string =>
      decideMissing(
        aUser({ directory: { ...link, missingSince } }),
        aContext({ missingUsers: 'delete', gracePeriodDays }),
      ).kind;
    expect(at(null, 0)).toBe('overdue');
    expect(at(null, 7)).toBe('mark');
    expect(at(daysAgo(6.99), 7)).toBe('nothing');
    expect(at(daysAgo(7), 7)).toBe('overdue');
  });

  test('is not disabled a second time, nor is an administrator disabling changed', () => {
    const context = aContext({ missingUsers: 'disable' });
    const marked = { ...link, missingSince: daysAgo(1) };
    expect(decideMissing(aUser({ disabledBy: 'sync', directory: marked }), context).kind).toBe('nothing');
    expect(decideMissing(aUser({ disabledBy: 'admin', directory: marked }), context).kind).toBe('nothing');
  });

  test('is never touched when it has integrated authentication or no tie to the directory', () => {
    const context = aContext({ missingUsers: 'delete' });
    expect(decideMissing(aUser({ authentication: 'integrated' }), context).kind).toBe('nothing');
    expect(decideMissing(aUser({ directory: null }), context).kind).toBe('nothing');
  });

  test('keeps the day it was first missed when it is disabled', () => {
    const since = daysAgo(8);
    const user = aUser({ directory: { ...link, missingSince: since } });
    const step = removeUser(removal(user, { how: 'disable', cause: 'outOfScope' }), aContext());
    expect(step).toMatchObject({
      change: { kind: 'disabled', reason: 'outOfScope' },
      write: { user: { disabledBy: 'sync', directory: { missingSince: since } } },
    });
  });
});

describe('names', () => {
  const tied = (userName: string, id: string): User =>
    aUser({ id: `account-${id}`, userName, directory: { ...link, id, dn: `uid=${id},ou=people,dc=example,dc=com` } });
  const occupantsOf = (...users: User[]): Map<string, User> => new Map(users.map((user) => [user.userName, user]));
  const settle = (renames: { user: User; person: ReturnType<typeof aPerson> }[], leaving: string[], ...users: User[]) =>
    settleNames([], renames, new Set(leaving), occupantsOf(...users), aContext());
  const namesOf = (settled: ReturnType<typeof settleNames>): string[][] =>
    settled.renames.map((group) => group.map(({ change }) => `${change.previousUserName}>${change.userName}`));

  test('in a chain are freed before they are taken', () => {
    const [a, b, c] = [tied('a', '1'), tied('b', '2'), tied('c', '3')];
    const renames = [
      { user: a, person: aPerson('1', 'b') },
      { user: b, person: aPerson('2', 'c') },
      { user: c, person: aPerson('3', 'd') },
    ];
    const inOrder = [['c>d'], ['b>c'], ['a>b']];
    expect(namesOf(settle(renames, [], a, b, c))).toEqual(inOrder);
    expect(namesOf(settle(renames.toReversed(), [], a, b, c))).toEqual(inOrder);
  });

  test('that are swapped go together', () => {
    const [a, b] = [tied('a', '1'), tied('b', '2')];
    const swap = [
      { user: a, person: aPerson('1', 'b') },
      { user: b, person: aPerson('2', 'a') },
    ];
    expect(namesOf(settle(swap, [], a, b))).toEqual([['a>b', 'b>a']]);
  });

  test('that stay taken stop the rename and, behind it, the whole chain', () => {
    const [a, b] = [tied('a', '1'), tied('b', '2')];
    const manual = aUser({ id: 'manual', userName: 'c', authentication: 'integrated', directory: null });
    const settled = settle(
      [
        { user: a, person: aPerson('1', 'b') },
        { user: b, person: aPerson('2', 'c') },
      ],
      [],
      a,
      b,
      manual,
    );
    expect(settled.renames).toEqual([]);
    expect(settled.others.map(({ change }) => [change.kind, change.userName, change.reason])).toEqual([
      ['conflict', 'c', expect.stringMatching(/integrated authentication/u)],
      ['conflict', 'b', expect.stringMatching(/linked to another entry/u)],
    ]);
  });

  test('of users that are deleted in the same run are free', () => {
    const old = tied('anna', '1');
    const settled = settleNames([aPerson('2', 'anna')], [], new Set(['anna']), occupantsOf(old), aContext());
    expect(settled.creations).toHaveLength(1);
    const kept = settleNames([aPerson('2', 'anna')], [], new Set(), occupantsOf(old), aContext());
    expect(kept.others).toMatchObject([{ change: { kind: 'conflict', userId: 'account-1' } }]);
  });

  test('of users made by hand for the directory link the person to the user', () => {
    const manual = aUser({ directory: null, privileges: ['admin'] });
    const settled = settleNames([aPerson('id-9', 'ANNA')], [], new Set(), occupantsOf(manual), aContext());
    expect(settled.others).toMatchObject([
      {
        change: { kind: 'linked', userId: 'account-1' },
        write: { kind: 'update', user: { privileges: ['admin'], directory: { id: 'id-9' } } },
      },
    ]);
  });
});

describe('a lost race', () => {
  test('over a deletion leaves the user alone once an administrator has taken it out of the directory’s hands', () => {
    const user = aUser();
    const step = removeUser(removal(user), aContext({ missingUsers: 'delete' }));
    const switched = aUser({ authentication: 'integrated', directory: null, version: 2 });
    const again = planAgain(step, [switched], aContext({ missingUsers: 'delete' }));
    expect(again).toMatchObject({ write: null, change: { kind: 'conflict' } });
  });

  test('over an update keeps what the administrator has changed', () => {
    const step = planUser(aUser(), aPerson('id-1', 'anna'), aContext());
    const edited = aUser({ privileges: ['admin'], disabledBy: 'admin', version: 2 });
    const again = planAgain(step, [edited], aContext());
    expect(again.write).toMatchObject({ user: { privileges: ['admin'], disabledBy: 'admin', version: 3 } });
  });

  test('over a new name becomes a conflict when somebody else has that name by now', () => {
    const step = planUser(aUser(), aPerson('id-1', 'bert'), aContext());
    const bert = aUser({ id: 'other', userName: 'bert', directory: null });
    expect(planAgain(step, [aUser({ version: 2 }), bert], aContext())).toMatchObject({
      write: null,
      change: { kind: 'conflict', userId: 'account-1', userName: 'bert' },
    });
  });

  test('over a creation becomes a conflict when somebody made an integrated user of that name', () => {
    const person = aPerson('id-7', 'anna');
    const settled = settleNames([person], [], new Set(), new Map(), aContext());
    expect(settled.creations).toEqual([person]);
    const manual = aUser({ authentication: 'integrated', directory: null });
    const step = planAgain(createUser(person, aContext()), [manual], aContext());
    expect(step.change).toMatchObject({ kind: 'conflict', userId: manual.id });
  });
});

describe('a line tells why somebody is disabled', () => {
  const disabled = aPerson('id-1', 'anna', { dn: link.dn, disabled: true });
  const isMarked = { reason: expect.stringMatching(/disabled/u) as string };

  test('when it is created so, and not when it is created active', () => {
    expect(createUser(disabled, aContext())).toMatchObject({
      change: isMarked,
      write: { user: { disabledBy: 'sync' } },
    });
    const active = createUser(aPerson('id-1', 'anna'), aContext());
    expect(active.change).not.toHaveProperty('reason');
    expect(active.write).toMatchObject({ user: { disabledBy: null } });
  });

  test('only in the run that disables it', () => {
    expect(planUser(aUser(), disabled, aContext()).change).toMatchObject(isMarked);
    expect(planUser(aUser({ disabledBy: 'sync' }), disabled, aContext()).change).not.toHaveProperty('reason');
    expect(planUser(aUser({ disabledBy: 'admin' }), disabled, aContext()).change).not.toHaveProperty('reason');
    expect(planUser(aUser(), aPerson('id-1', 'anna'), aContext()).change).not.toHaveProperty('reason');
  });

  test('and has no fields where nothing has changed', () => {
    const person = aPerson('id-1', 'anna', { dn: link.dn });
    const { change } = planUser(aUser({ fullName: 'Person id-1' }), person, aContext());
    expect(change.kind).toBe('unchanged');
    expect(change).not.toHaveProperty('fields');
  });
});

test('linking somebody the directory disables leaves the disabling to the next run, but for users that sync had disabled', () => {
  const person = aPerson('id-1', 'anna', { disabled: true });
  const byHand = (disabledBy: User['disabledBy']): User => aUser({ directory: null, disabledBy });
  const linked = (user: User) => planUser(user, person, aContext()).write;

  expect(linked(byHand(null))).toMatchObject({ user: { disabledBy: null, fingerprint: null } });
  expect(linked(byHand('sync'))).toMatchObject({ user: { disabledBy: 'sync', fingerprint: person.fingerprint } });
  expect(linked(byHand('admin'))).toMatchObject({ user: { disabledBy: 'admin', fingerprint: person.fingerprint } });
});

test('a new name and a new status end the sessions of a user; a new address does not', () => {
  const endsSessions = (over: Partial<User>, attributes: Parameters<typeof aPerson>[2] = {}): boolean => {
    const { write } = planUser(aUser(over), aPerson('id-1', 'anna', { dn: link.dn, ...attributes }), aContext());
    return write?.kind !== 'delete' && write?.kind !== 'check' && write?.user.sessionsValidFrom !== undefined;
  };
  expect(endsSessions({})).toBe(false);
  expect(endsSessions({ userName: 'Anna' })).toBe(true);
  const absent = { ...link, missingSince: NOW.toISOString() };
  expect(endsSessions({ disabledBy: 'sync', directory: absent })).toBe(true);
  expect(endsSessions({}, { disabled: true })).toBe(true);
});

test('an id read from another attribute is another person', () => {
  const person = aPerson('id-1', 'anna');
  expect(isTiedTo(aUser(), person, aContext())).toBe(true);
  expect(isTiedTo(aUser({ directory: { ...link, idAttribute: 'employeenumber' } }), person, aContext())).toBe(false);
  expect(isTiedTo(aUser({ directory: { ...link, id: 'id-2' } }), person, aContext())).toBe(false);
});

test('a ring of 30 renames goes as one group; a longer one can’t, and each is on its own', () => {
  const ringOf = (size: number) =>
    Array.from({ length: size }, (_, index) => ({
      user: aUser({
        id: `account-${index}`,
        userName: `name${index}`,
        directory: { ...link, id: `id-${index}` },
      }),
      person: aPerson(`id-${index}`, `name${(index + 1) % size}`),
    }));
  const groupsOf = (size: number): number[] => {
    const ring = ringOf(size);
    const occupants = new Map(ring.map(({ user }) => [user.userName, user]));
    return settleNames([], ring, new Set(), occupants, aContext()).renames.map(({ length }) => length);
  };
  expect(groupsOf(2)).toEqual([2]);
  expect(groupsOf(30)).toEqual([30]);
  expect(groupsOf(31)).toEqual(Array.from({ length: 31 }, () => 1));
});

describe('the plan of a run', () => {
  const nothing: RemovalDecision = { removals: [], disabling: [], marks: [], spared: [], withheld: [], settled: 0 };
  const users = ['anna', 'bert', 'carl', 'dora'].map((userName, index) =>
    aUser({ id: `account-${index}`, userName, directory: { ...link, id: `id-${index}`, dn: `uid=${userName}` } }),
  );
  const [anna, bert, carl, dora] = users as [User, User, User, User];
  const stored = new Map(users.map((user) => [user.userName, user]));
  const of = (user: User, over: Parameters<typeof aPerson>[2] = {}, name = user.userName) =>
    aPerson(user.directory!.id, name, { dn: user.directory!.dn, ...over });
  const matchesOf = (over: Partial<Matches>): Matches => ({
    read: 4,
    unidentified: 0,
    known: 4,
    unchanged: 0,
    changed: [],
    fresh: [],
    missing: [],
    contradictions: [],
    claimed: new Set(),
    skipped: [],
    disabledById: [],
    reappeared: [],
    shown: { fullName: true, emailAddresses: true, status: new Set() },
    statusUnknown: 0,
    noted: { count: 0, first: null },
    isTaken: (nameKey) => stored.has(nameKey),
    ...over,
  });
  const changed = [
    { nameKey: 'anna', person: of(anna, { disabled: true }), disabledBySync: false },
    { nameKey: 'bert', person: of(bert, {}, 'bert.braun'), disabledBySync: false },
    { nameKey: 'carl', person: of(carl, { disabled: true }), disabledBySync: false },
    { nameKey: 'dora', person: of(dora), disabledBySync: false },
  ];

  test('sorts who would be disabled from who has another name and who only has other fields', () => {
    const all = new Map(stored).set('carl', { ...carl, disabledBy: 'admin' });
    const sorted = sortMatches(matchesOf({ changed }), all, aContext());

    expect(sorted.marked.map(({ user }) => user.userName)).toEqual(['anna']);
    expect(sorted.present.map(({ user }) => user.userName)).toEqual(['bert', 'carl']);
    expect(sorted.updates.map(({ nameKey }) => nameKey)).toEqual(['dora']);
  });

  test.each<[name: string, isMarked: boolean, directoryId: string, user: Partial<User>]>([
    ['its own', true, 'id-0', {}],
    ['its own in another letter case', true, 'ID-0', {}],
    ['another one', false, 'id-9', {}],
    ['its own, for a user disabled already', false, 'id-0', { disabledBy: 'admin' }],
    ['that of another attribute', false, 'id-0', { directory: { ...anna.directory!, idAttribute: 'employeenumber' } }],
  ])('disables by id alone where the id is %s: %s', (_name, isMarked, directoryId, over) => {
    const matches = matchesOf({ disabledById: [{ nameKey: 'anna', directoryId, mark: 'shadowexpire' }] });
    const user = { ...anna, ...over };
    const { marked } = sortMatches(matches, new Map([['anna', user]]), aContext());

    expect(marked).toEqual(isMarked ? [{ user, person: null, mark: 'shadowexpire' }] : []);
  });

  test('names the user that was linked to another entry meanwhile', () => {
    const other = new Map(stored).set('anna', { ...anna, directory: { ...link, id: 'id-9' } });
    const [conflict] = sortMatches(matchesOf({ changed }), other, aContext()).told;
    expect(conflict!.change).toMatchObject({ kind: 'conflict', userId: 'account-0' });
    const [unknown] = sortMatches(matchesOf({ changed }), new Map(), aContext()).told;
    expect(unknown!.change).toMatchObject({ kind: 'conflict', userId: null });
  });

  test('disables under the lease, updates who is disabled already without it, and frees the names of the deleted', () => {
    const context = aContext({ missingUsers: 'delete' });
    const admin = { ...carl, disabledBy: 'admin' as const };
    const matches = matchesOf({ changed, fresh: [aPerson('id-8', 'dora'), aPerson('id-9', 'emil')] });
    const sorted = sortMatches(matches, new Map(stored).set('carl', admin), context);
    const decided: RemovalDecision = {
      ...nothing,
      removals: [removeUser(removal(dora), context)],
      disabling: sorted.marked.map((each) => ({ ...each, counts: ['mark'], approvals: [] })),
      withheld: [tell({ kind: 'withheld', userId: null, userName: null, directoryId: null, dn: null })],
    };

    const plan = planChanges(matches.fresh, sorted, decided, [], stored, context);

    expect(plan.removals.map(({ change }) => [change.kind, change.userName])).toEqual([
      ['deleted', 'dora'],
      ['disabled', 'anna'],
    ]);
    expect(plan.renames.flat().map(({ change }) => change.userName)).toEqual(['bert.braun']);
    expect(plan.others.map(({ change, write }) => [change.kind, write !== null])).toEqual([
      ['withheld', false],
      ['updated', true],
    ]);
    expect(plan.creations.map(({ nameKey }) => nameKey)).toEqual(['dora', 'emil']);
    // Two removals, one rename, one update of a disabled user, two creations, and dora's other fields.
    expect(countWrites(plan)).toBe(2 + 1 + 1 + 2 + 1);
  });

  test('disabling somebody frees no name', () => {
    const context = aContext({ missingUsers: 'disable' });
    const matches = matchesOf({ fresh: [aPerson('id-8', 'dora')] });
    const disabling = removeUser(removal(dora, { how: 'disable' }), context);
    const plan = planChanges(
      matches.fresh,
      sortMatches(matches, stored, context),
      { ...nothing, removals: [disabling] },
      [],
      stored,
      context,
    );
    expect(plan.creations).toEqual([]);
    expect(plan.others.map(({ change }) => change.kind)).toEqual(['conflict']);
  });
});
