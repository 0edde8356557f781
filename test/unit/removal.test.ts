/** Every rule by which a user may lose access, each on its own, and how `decideRemovals` joins them. */
import { describe, expect, test } from 'vitest';
import type { Whereabouts } from '../../lib/directory/directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import type { MissingDecision, Removal, RemovalInput, RemovalPorts } from '../../lib/sync/removal.ts';
import {
  decideMissing,
  decideRemovals,
  guardRemovals,
  judgePlace,
  lastAdministrators,
  removeUser,
} from '../../lib/sync/removal.ts';
import type { PlanContext, Step } from '../../lib/sync/step.ts';
import type { User } from '../../lib/user/user.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aContext, aPerson, aUser, NOW } from '../support/people.ts';

const DAY_MS = 86_400_000;
const link = aUser().directory!;

/** User number n, tied to an entry of its own. */
function numbered(number: number, over: Partial<User> = {}): User {
  const directory = { ...link, id: `id-${number}`, dn: `uid=user${number},dc=example,dc=com` };
  return aUser({ id: `account-${number}`, userName: `user${number}`, directory, ...over });
}

const users = (count: number, over: Partial<User> = {}): User[] =>
  Array.from({ length: count }, (_, number) => numbered(number, over));

const removal = (user: User, how: Removal['how'] = 'delete'): Removal => ({ user, how, person: null });

const agoMs = (ms: number): string => new Date(NOW.getTime() - ms).toISOString();

const missingSince = (since: string | null): Partial<User> => ({ directory: { ...link, missingSince: since } });

describe('a missing user', () => {
  const decide = (user: Partial<User>, context: Partial<PlanContext>): string => {
    const decision = decideMissing(aUser(user), aContext(context));
    return decision.kind === 'remove' ? decision.removal.how : decision.kind;
  };

  test.each<[how: PlanContext['missingUsers'], disabledBy: User['disabledBy'], first: string, later: string]>([
    ['keep', null, 'mark', 'nothing'],
    ['keep', 'sync', 'mark', 'nothing'],
    ['keep', 'admin', 'mark', 'nothing'],
    ['disable', null, 'disable', 'disable'],
    ['disable', 'sync', 'mark', 'nothing'],
    ['disable', 'admin', 'mark', 'nothing'],
    ['delete', null, 'delete', 'delete'],
    ['delete', 'sync', 'delete', 'delete'],
    ['delete', 'admin', 'delete', 'delete'],
  ])('with the setting %s, disabled by %s: first %s, later %s', (missingUsers, disabledBy, first, later) => {
    expect(decide({ disabledBy }, { missingUsers })).toBe(first);
    expect(decide({ disabledBy, ...missingSince(agoMs(400 * DAY_MS)) }, { missingUsers })).toBe(later);
  });

  test.each([
    [0, null, 'delete'],
    [0, NOW.toISOString(), 'delete'],
    [1, null, 'mark'],
    [1, NOW.toISOString(), 'nothing'],
    [1, agoMs(DAY_MS - 1), 'nothing'],
    [1, agoMs(DAY_MS), 'delete'],
    [1, agoMs(DAY_MS + 1), 'delete'],
    [30, agoMs(30 * DAY_MS - 1), 'nothing'],
    [30, agoMs(30 * DAY_MS), 'delete'],
    [1, agoMs(-DAY_MS), 'nothing'],
  ])('with a grace period of %i day(s), missing since %s: %s', (gracePeriodDays, since, expected) => {
    expect(decide(missingSince(since), { missingUsers: 'delete', gracePeriodDays })).toBe(expected);
  });

  test.each<[name: string, user: Partial<User>]>([
    ['integrated', { authentication: 'integrated', directory: null }],
    ['integrated, with a tie left over', { authentication: 'integrated', ...missingSince(agoMs(400 * DAY_MS)) }],
    ['a directory user without a tie', { directory: null }],
  ])('that is %s is left alone whatever the setting', (_name, user) => {
    for (const missingUsers of ['keep', 'disable', 'delete'] as const) {
      expect(decideMissing(aUser(user), aContext({ missingUsers }))).toEqual({ kind: 'nothing' });
    }
  });

  test('is handed on for removal as it is', () => {
    const user = aUser(missingSince(agoMs(DAY_MS)));

    expect(decideMissing(user, aContext({ missingUsers: 'delete' }))).toEqual<MissingDecision>({
      kind: 'remove',
      removal: { user, how: 'delete', person: null },
    });
  });

  test('is marked by nothing but the time and a look at the whole record next time', () => {
    const user = aUser({ fingerprint: 'as before', version: 4, updatedAt: agoMs(DAY_MS), privileges: ['export'] });
    const decision = decideMissing(user, aContext({ missingUsers: 'keep' }));

    expect(decision).toMatchObject({
      kind: 'mark',
      step: {
        change: {
          kind: 'updated',
          userId: user.id,
          fields: { 'directory.missingSince': { from: null, to: NOW.toISOString() } },
        },
        person: null,
      },
    });
    expect(decision.kind === 'mark' && decision.step.write).toEqual({
      kind: 'update',
      previous: user,
      user: {
        ...user,
        directory: { ...link, missingSince: NOW.toISOString() },
        fingerprint: null,
        updatedAt: NOW.toISOString(),
        version: 5,
      },
    });
  });
});

describe('the limit', () => {
  const guard = (count: number, over: Partial<Parameters<typeof guardRemovals>[0]> = {}) =>
    guardRemovals({
      removals: users(count).map((user) => removal(user)),
      complete: true,
      known: 100,
      read: 100,
      limit: { percent: 10, atLeast: 0 },
      approved: new Set(),
      ...over,
    });

  test.each([
    { percent: 10, atLeast: 0, known: 40, most: 4 },
    { percent: 10, atLeast: 3, known: 40, most: 4 },
    { percent: 10, atLeast: 4, known: 40, most: 4 },
    { percent: 10, atLeast: 5, known: 40, most: 5 },
    { percent: 10, atLeast: 0, known: 49, most: 4 },
    { percent: 10, atLeast: 0, known: 50, most: 5 },
    { percent: 1, atLeast: 0, known: 99, most: 0 },
    { percent: 1, atLeast: 1, known: 99, most: 1 },
    { percent: 0, atLeast: 2, known: 1_000, most: 2 },
    { percent: 0, atLeast: 0, known: 1_000, most: 0 },
    { percent: 50, atLeast: 0, known: 0, most: 0 },
  ])('of $percent %, at least $atLeast, of $known users lets $most go and withholds one more', (row) => {
    const { percent, atLeast, known, most } = row;
    const atLimit = guard(most, { known, limit: { percent, atLeast } });
    const above = guard(most + 1, { known, limit: { percent, atLeast } });

    expect(atLimit).toMatchObject({ allowed: { length: most }, withheld: [], reason: null });
    expect(above).toMatchObject({ allowed: [], withheld: { length: most + 1 } });
    for (const figure of [`${most + 1} of ${known} `, `${most} (`, `${percent} %`, `${atLeast})`]) {
      expect(above.reason).toContain(figure);
    }
  });

  test('of 100 % lets everybody go', () => {
    expect(guard(100, { limit: { percent: 100, atLeast: 0 } }).allowed).toHaveLength(100);
  });

  test('gives back the removals themselves, in their order', () => {
    const removals = [3, 1, 2].map((number) => removal(numbered(number)));

    expect(guard(0, { removals }).allowed).toEqual(removals);
    expect(guard(0, { removals, known: 1 }).withheld).toEqual(removals);
  });

  const approvalOf = (...numbers: number[]): ReadonlySet<string> =>
    new Set(numbers.map((number) => `account-${number}`));

  test('does not count removals that were approved', () => {
    expect(guard(12, { approved: approvalOf(4, 7) })).toMatchObject({ allowed: { length: 12 }, reason: null });
  });

  test('withholds only the others when too many of them were not approved', () => {
    const { allowed, withheld, reason } = guard(13, { approved: approvalOf(7, 4) });

    expect(allowed.map(({ user }) => user.id)).toEqual(['account-4', 'account-7']);
    expect(withheld.map(({ user }) => user.id)).toEqual(
      users(13)
        .map(({ id }) => id)
        .filter((id) => id !== 'account-4' && id !== 'account-7'),
    );
    expect(reason).toContain('11 of 100 ');
  });

  test('is not raised by approvals of users that are not to be removed', () => {
    expect(guard(11, { approved: approvalOf(50, 51, 52) })).toMatchObject({ allowed: [], withheld: { length: 11 } });
  });

  test.each([
    ['the read was not complete', { complete: false }],
    ['the directory answered with nobody', { read: 0 }],
  ])('lets nobody go, approved or not, when %s', (_name, over) => {
    const generous = { limit: { percent: 100, atLeast: 100 }, approved: approvalOf(0, 1) };
    const { allowed, withheld, reason } = guard(2, { ...generous, ...over });

    expect([allowed, withheld.length]).toEqual([[], 2]);
    expect(reason).not.toBeNull();
    expect(reason).not.toBe(guard(11).reason);
    expect(guard(0, { ...generous, ...over })).toEqual({ allowed: [], withheld: [], reason: null });
  });

  test('needs a single entry as a sign that the directory answers', () => {
    expect(guard(10, { read: 1 })).toMatchObject({ allowed: { length: 10 }, reason: null });
  });

  test('is explained by the missing proof rather than by an empty answer', () => {
    expect(guard(1, { complete: false, read: 0 }).reason).toBe(guard(1, { complete: false }).reason);
    expect(guard(1, { complete: false }).reason).not.toBe(guard(1, { read: 0 }).reason);
  });
});

describe('the last administrators', () => {
  const admin = (id: string, over: Partial<User> = {}): User => aUser({ id, privileges: ['admin'], ...over });
  const INTEGRATED = { authentication: 'integrated', directory: null } as const;
  const kept = (leaving: User[], administrators: User[]): string[] =>
    [
      ...lastAdministrators(
        leaving.map((user) => removal(user)),
        administrators,
      ),
    ].sort();

  test('are all that would leave, when nobody else is left', () => {
    const [a, b] = [admin('a'), admin('b')];

    expect(kept([a], [a])).toEqual(['a']);
    expect(kept([a, b], [a, b])).toEqual(['a', 'b']);
  });

  test('are none as long as one administrator stays', () => {
    const [a, b, c] = [admin('a'), admin('b'), admin('c')];

    expect(kept([a, b], [a, b, c])).toEqual([]);
    expect(kept([], [a])).toEqual([]);
  });

  test('are administrators only: others leave with them', () => {
    const a = admin('a');

    expect(kept([a, aUser({ id: 'other' })], [a])).toEqual(['a']);
    expect(kept([aUser({ id: 'other' })], [])).toEqual([]);
  });

  test.each<[name: string, counts: boolean, user: User]>([
    ['of the directory with an entry', true, admin('b')],
    ['of the directory without an entry', false, admin('b', { directory: null })],
    ['of the directory with a password but no entry', false, admin('b', { directory: null, passwordHash: 'a hash' })],
    ['with integrated authentication and a password', true, admin('b', { ...INTEGRATED, passwordHash: 'a hash' })],
    ['with integrated authentication and no password', false, admin('b', INTEGRATED)],
    ['disabled by an administrator', false, admin('b', { disabledBy: 'admin' })],
    ['disabled by a run', false, admin('b', { disabledBy: 'sync' })],
    ['without the privilege', false, admin('b', { privileges: ['login'] })],
  ])('an administrator %s can sign in: %s', (_name, counts, other) => {
    const a = admin('a');

    expect(kept([a], [a, other])).toEqual(counts ? [] : ['a']);
    expect(kept([other], [other])).toEqual(counts ? ['b'] : []);
  });
});

describe('a removal that is carried out', () => {
  const user = aUser({
    fingerprint: 'as before',
    version: 7,
    updatedAt: agoMs(DAY_MS),
    sessionsValidFrom: agoMs(DAY_MS),
  });

  test('deletes the user as it was read', () => {
    expect(removeUser(removal(user, 'delete'), 'goneFromDirectory', aContext())).toEqual({
      change: {
        kind: 'deleted',
        userId: user.id,
        userName: user.userName,
        directoryId: link.id,
        dn: link.dn,
        reason: 'goneFromDirectory',
      },
      write: { kind: 'delete', previous: user },
      person: null,
    });
  });

  test.each([
    ['missing for the first time', null],
    ['missing for long', agoMs(8 * DAY_MS)],
  ])('disables a user %s, ends its sessions and keeps everything else', (_name, since) => {
    const previous = { ...user, ...missingSince(since) };
    const now = NOW.toISOString();
    const { change, write, person } = removeUser(removal(previous, 'disable'), 'outOfScope', aContext());

    expect(write).toEqual({
      kind: 'update',
      previous,
      user: {
        ...user,
        disabledBy: 'sync',
        directory: { ...link, missingSince: since ?? now },
        fingerprint: null,
        updatedAt: now,
        version: 8,
        sessionsValidFrom: now,
      },
    });
    expect(change).toMatchObject({ kind: 'disabled', userId: user.id, reason: 'outOfScope' });
    expect(change.fields).toEqual({
      disabledBy: { from: null, to: 'sync' },
      ...(since === null && { 'directory.missingSince': { from: null, to: now } }),
    });
    expect(person).toBeNull();
  });
});

describe('the second look', () => {
  const inScope = { kind: 'present', dn: 'uid=elsewhere,dc=example,dc=com', inScope: true } as const;
  const gone = { kind: 'gone' } as const;

  test.each<[name: string, outcome: string, place: Whereabouts | undefined]>([
    ['nowhere', 'goneFromDirectory', gone],
    ['out of scope', 'outOfScope', { ...inScope, inScope: false }],
    ['in scope', 'withheld', inScope],
    ['unknown, because there was no answer', 'withheld', undefined],
  ])('at an entry that is %s: %s', (_name, outcome, place) => {
    for (const [how, kind] of [
      ['delete', 'deleted'],
      ['disable', 'disabled'],
    ] as const) {
      const { change, write } = judgePlace(removal(aUser(), how), place, aContext());

      if (outcome === 'withheld') {
        expect([change.kind, write]).toEqual(['withheld', null]);
        expect(change.reason).toMatch(new RegExp(`^would be ${how}d; .`));
      } else {
        expect([change.kind, change.reason]).toEqual([kind, outcome]);
        expect(write).not.toBeNull();
      }
    }
  });

  test('gives each withheld removal a reason of its own', () => {
    const other = aUser({ directory: { ...link, idAttribute: 'employeenumber' } });
    const steps = [
      judgePlace(removal(aUser()), inScope, aContext()),
      judgePlace(removal(aUser()), undefined, aContext()),
      judgePlace(removal(other), gone, aContext()),
    ];

    expect(new Set(steps.map(({ change }) => change.reason)).size).toBe(3);
  });

  test('proves nothing about a user that is tied by another attribute', () => {
    const user = aUser({ directory: { ...link, idAttribute: 'employeenumber' } });
    for (const place of [gone, { ...inScope, inScope: false }, inScope, undefined]) {
      const { change, write } = judgePlace(removal(user), place, aContext());

      expect([change.kind, write]).toEqual(['withheld', null]);
      expect(change.reason).toContain('employeenumber');
    }
  });
});

interface Decision {
  readonly input?: Partial<RemovalInput>;
  readonly context?: Partial<PlanContext>;
  readonly stored?: readonly User[];
  readonly locate?: RemovalPorts['locate'];
  readonly check?: () => void;
}

const allGone: RemovalPorts['locate'] = async (ids) => new Map(ids.map((id) => [id, { kind: 'gone' }]));

/** Decides about this input; `told` is what the run reports and looks up on the way, in order. */
async function decide({ input, context, stored = [], locate = allGone, check = () => {} }: Decision) {
  const told: string[] = [];
  const located: (readonly string[])[] = [];
  const notices: string[] = [];
  const { users: store } = createMemoryStores({ now: () => NOW });
  await store.writeEach(stored.map((user) => ({ kind: 'create', user })));
  const deciding = decideRemovals(
    {
      marked: [],
      missing: [],
      complete: true,
      known: 10_000,
      read: 10_000,
      limit: { percent: 100, atLeast: 0 },
      approved: new Set(),
      ...input,
    },
    {
      users: store,
      locate: async (ids) => {
        told.push(`locate ${ids.length}`);
        located.push(ids);
        return await locate(ids);
      },
      report: {
        stage: async (stage) => void told.push(`stage ${stage}`),
        check: () => {
          told.push('check');
          check();
        },
        notice: (sentence) => void notices.push(sentence),
        incomplete: (reason) => void told.push(`incomplete: ${reason}`),
      },
    },
    aContext({ missingUsers: 'delete', ...context }),
  );
  return { ...(await deciding), told, located, notices };
}

const linesOf = (steps: readonly Step[]): string[] => steps.map(({ change }) => `${change.kind} ${change.userId}`);

describe('all decisions together', () => {
  test('have nothing to say about nobody', async () => {
    expect(await decide({})).toEqual({
      removals: [],
      disabling: [],
      marks: [],
      withheld: [],
      settled: 0,
      told: [],
      located: [],
      notices: [],
    });
  });

  test('send each missing user its own way, and look only for those that are to go', async () => {
    const since = (number: number, days: number): User =>
      numbered(number, { directory: { ...numbered(number).directory!, missingSince: agoMs(days * DAY_MS) } });
    const missing = [since(1, 9), numbered(2), since(3, 6), since(4, 7), numbered(5, { authentication: 'integrated' })];
    const decided = await decide({ input: { missing }, context: { gracePeriodDays: 7 } });

    expect(linesOf(decided.removals)).toEqual(['deleted account-1', 'deleted account-4']);
    expect(linesOf(decided.marks)).toEqual(['updated account-2']);
    expect(decided).toMatchObject({ settled: 2, withheld: [], disabling: [], notices: [] });
    expect(decided.located).toEqual([['id-1', 'id-4']]);
    expect(decided.told).toEqual(['stage verifying', 'locate 2', 'check']);
  });

  test('disable a marked user without another look: its entry says so', async () => {
    const present = { user: numbered(1), person: aPerson('id-1', 'user1', { disabled: true }) };
    const decided = await decide({ input: { marked: [present] } });

    expect(decided).toMatchObject({ disabling: [present], removals: [], withheld: [], told: [] });
  });

  test('count marked and missing users against one limit, and withhold both', async () => {
    const marked = [{ user: numbered(1), person: aPerson('id-1', 'user1', { disabled: true }) }];
    const input = { marked, missing: [numbered(2)], known: 10, limit: { percent: 10, atLeast: 0 } };
    const { removals, disabling, withheld, notices, told } = await decide({ input });

    expect([removals, disabling, told]).toEqual([[], [], []]);
    expect(withheld.map(({ change, write }) => [change.kind, change.userId, write])).toEqual([
      ['withheld', 'account-1', null],
      ['withheld', 'account-2', null],
    ]);
    expect(withheld[0]!.change.reason).toMatch(/^would be disabled; 2 of 10 /);
    expect(withheld[1]!.change.reason).toMatch(/^would be deleted; 2 of 10 /);
    expect(notices).toEqual([expect.stringMatching(/^2 .*2 of 10 /)]);
  });

  test('measure the limit by the users that can still be removed', async () => {
    const settled = Array.from({ length: 10 }, (_, number) => numbered(100 + number, { disabledBy: 'sync' as const }));
    const withSettled = (count: number) =>
      decide({
        input: {
          missing: [
            ...settled.map((user) => ({ ...user, directory: { ...user.directory!, missingSince: agoMs(DAY_MS) } })),
            ...users(count),
          ],
          known: 20,
          limit: { percent: 10, atLeast: 0 },
        },
        context: { missingUsers: 'disable' },
      });

    expect(linesOf((await withSettled(1)).removals)).toEqual(['disabled account-0']);
    const above = await withSettled(2);
    expect(above).toMatchObject({ removals: [], withheld: { length: 2 }, settled: 10 });
    expect(above.notices).toEqual([expect.stringContaining('2 of 10 ')]);
  });

  test('let approved removals through and withhold the others', async () => {
    const approved = new Set(['account-1']);
    const input = { missing: users(3), known: 10, limit: { percent: 10, atLeast: 0 }, approved };
    const { removals, withheld, located } = await decide({ input });

    expect(linesOf(removals)).toEqual(['deleted account-1']);
    expect(linesOf(withheld)).toEqual(['withheld account-0', 'withheld account-2']);
    expect(located).toEqual([['id-1']]);
  });

  test.each([
    ['without the proof of a complete read', { complete: false }],
    ['when the directory answers with nobody', { read: 0 }],
  ])('look for nobody and remove nobody %s', async (_name, over) => {
    const input = { missing: users(2), approved: new Set(['account-0', 'account-1']), ...over };
    const decided = await decide({ input });

    expect(linesOf(decided.withheld)).toEqual(['withheld account-0', 'withheld account-1']);
    expect(decided).toMatchObject({ removals: [], told: [], notices: { length: 1 } });
  });

  test('let the same rules hold in any order of the users', async () => {
    const missing = users(30);
    const { removals } = await decide({ input: { missing } });
    const reversed = await decide({ input: { missing: missing.toReversed() } });

    expect(linesOf(removals)).toEqual(missing.map(({ id }) => `deleted ${id}`));
    expect(linesOf(reversed.removals)).toEqual(linesOf(removals).toReversed());
  });
});

describe('the last administrators in a run', () => {
  const admin = (number: number): User => numbered(number, { privileges: ['admin'] });

  test('are kept, missing or marked, and the others go', async () => {
    const marked = [{ user: admin(2), person: aPerson('id-2', 'user2', { disabled: true }) }];
    const input = { marked, missing: [admin(1), numbered(3)] };
    const decided = await decide({ input, stored: [admin(1), admin(2), numbered(3)] });

    expect(linesOf(decided.removals)).toEqual(['deleted account-3']);
    expect(linesOf(decided.withheld).sort()).toEqual(['withheld account-1', 'withheld account-2']);
    for (const { change, write } of decided.withheld) {
      expect(write).toBeNull();
      expect(change.reason).toMatch(/^would be (?:deleted|disabled); .*administrator/);
    }
    expect(decided).toMatchObject({ disabling: [], located: [['id-3']], notices: { length: 1 } });
  });

  test('may go once another one can sign in', async () => {
    const other = numbered(9, { privileges: ['admin'], passwordHash: 'a hash', authentication: 'integrated' });
    const decided = await decide({ input: { missing: [admin(1)] }, stored: [admin(1), other] });

    expect(linesOf(decided.removals)).toEqual(['deleted account-1']);
    expect(decided.notices).toEqual([]);
  });

  test('are not those that stay because the limit withholds them', async () => {
    const input = {
      missing: [admin(1), admin(2)],
      known: 10,
      limit: { percent: 0, atLeast: 0 },
      approved: new Set(['account-1']),
    };
    const decided = await decide({ input, stored: [admin(1), admin(2)] });

    expect(linesOf(decided.removals)).toEqual(['deleted account-1']);
    expect(linesOf(decided.withheld)).toEqual(['withheld account-2']);
    expect(decided.notices).toHaveLength(1);
  });

  test('are only looked up in the store when an administrator would go', async () => {
    const input: RemovalInput = {
      marked: [],
      missing: [numbered(1), numbered(2, { privileges: ['admin'], disabledBy: 'admin' })],
      complete: true,
      known: 10,
      read: 10,
      limit: { percent: 100, atLeast: 0 },
      approved: new Set(),
    };
    const away = new ServiceError('storeUnavailable', 'no answer');
    const report = { stage: async () => {}, check: () => {}, notice: () => {}, incomplete: () => {} };
    const ports = { users: { listActiveAdministrators: () => Promise.reject(away) }, locate: allGone, report };
    const context = aContext({ missingUsers: 'delete' });

    const { removals } = await decideRemovals(input, ports, context);
    expect(linesOf(removals)).toEqual(['deleted account-1', 'deleted account-2']);
    const withOne = decideRemovals({ ...input, missing: [admin(1)] }, ports, context);
    await expect(withOne).rejects.toBe(away);
  });
});

describe('the second look in a run', () => {
  test('asks in batches and decides about each user by its own place', async () => {
    const places: Whereabouts[] = [
      { kind: 'gone' },
      { kind: 'present', dn: 'uid=a,dc=example,dc=com', inScope: false },
      { kind: 'present', dn: 'uid=b,dc=example,dc=com', inScope: true },
    ];
    const decided = await decide({
      input: { missing: users(1_001) },
      locate: async (ids) => new Map(ids.map((id) => [id, places[Number(id.slice(3)) % 3]!])),
    });

    expect(decided.told.join(', ')).toBe('stage verifying, locate 500, check, locate 500, check, locate 1, check');
    expect(decided.removals).toHaveLength(668);
    expect(decided.removals.slice(0, 3).map(({ change }) => [change.userId, change.reason])).toEqual([
      ['account-0', 'goneFromDirectory'],
      ['account-1', 'outOfScope'],
      ['account-3', 'goneFromDirectory'],
    ]);
    expect(decided.withheld).toHaveLength(333);
    expect(linesOf(decided.withheld).slice(0, 2)).toEqual(['withheld account-2', 'withheld account-5']);
    expect(decided.notices).toEqual([]);
  });

  test('that fails in its second batch withholds that one and all that follow, and asks no more', async () => {
    let asked = 0;
    const decided = await decide({
      input: { missing: users(1_501) },
      locate: async (ids) => {
        asked += 1;
        if (asked === 2) throw new ServiceError('connectionLost', 'the server hung up');
        return await allGone(ids);
      },
    });

    expect(linesOf(decided.removals)).toEqual(users(500).map(({ id }) => `deleted ${id}`));
    expect(linesOf(decided.withheld)).toEqual(
      users(1_501)
        .slice(500)
        .map(({ id }) => `withheld ${id}`),
    );
    expect(decided.told.join(', ')).toMatch(
      /^stage verifying, locate 500, check, locate 500, incomplete: [^,]*the server hung up, check, check, check$/,
    );
  });

  test('withholds a user that the answer leaves out', async () => {
    const locate: RemovalPorts['locate'] = async () => new Map([['id-1', { kind: 'gone' }]]);
    const decided = await decide({ input: { missing: users(3) }, locate });

    expect(linesOf(decided.removals)).toEqual(['deleted account-1']);
    expect(linesOf(decided.withheld)).toEqual(['withheld account-0', 'withheld account-2']);
  });

  test('asks for no id of another attribute, and withholds its user even if that id is gone', async () => {
    const other = numbered(1, { directory: { ...numbered(1).directory!, idAttribute: 'employeenumber' } });
    const locate: RemovalPorts['locate'] = async () => await allGone(['id-0', 'id-1', 'id-2']);
    const decided = await decide({ input: { missing: [numbered(0), other, numbered(2)] }, locate });

    expect(decided.located).toEqual([['id-0', 'id-2']]);
    expect(linesOf(decided.removals)).toEqual(['deleted account-0', 'deleted account-2']);
    expect(linesOf(decided.withheld)).toEqual(['withheld account-1']);
  });

  test('lets errors through that are no fault of the directory', async () => {
    const broken = new TypeError('x is undefined');

    await expect(decide({ input: { missing: users(1) }, locate: () => Promise.reject(broken) })).rejects.toBe(broken);
  });

  test('ends between two batches when the run is to end', async () => {
    const ended = new ServiceError('timeLimit', 'the time is over');
    let asked = 0;
    const deciding = decide({
      input: { missing: users(1_000) },
      locate: async (ids) => {
        asked += 1;
        return await allGone(ids);
      },
      check: () => {
        throw ended;
      },
    });

    await expect(deciding).rejects.toBe(ended);
    expect(asked).toBe(1);
  });
});
