/** Every rule by which a user may lose access, each on its own, and how `decideRemovals` joins them. */
import { describe, expect, test } from 'vitest';
import type { BranchState } from '../../lib/directory/directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import type { OptionSettings } from '../../lib/settings/settings.ts';
import type { Removal } from '../../lib/sync/absence.ts';
import { decideMissing, judgeSighting, markMissing, noticeNewAbsence, removeUser } from '../../lib/sync/absence.ts';
import { openGuard } from '../../lib/sync/guard.ts';
import { openApprovals } from '../../lib/sync/open-approvals.ts';
import type { RemovalInput } from '../../lib/sync/removal.ts';
import { decideRemovals } from '../../lib/sync/removal.ts';
import type { GuardCounter } from '../../lib/sync/run-journal.ts';
import type { Sighting } from '../../lib/sync/second-look.ts';
import type { PlanContext, Step } from '../../lib/sync/step.ts';
import type { User } from '../../lib/user/user.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aContext, anApproval, aPerson, aUser, NOW } from '../support/people.ts';

const DAY_MS = 86_400_000;
const link = aUser().directory!;

/** User number n, linked to an entry of its own, directly below the base. */
function numbered(number: number, over: Partial<User> = {}): User {
  const directory = { ...link, id: `id-${number}`, dn: `uid=user${number},dc=example,dc=com` };
  return aUser({ id: `account-${number}`, userName: `user${number}`, directory, ...over });
}

const users = (count: number, over: Partial<User> = {}): User[] =>
  Array.from({ length: count }, (_, number) => numbered(number, over));

const removal = (user: User, over: Partial<Removal> = {}): Removal => ({
  user,
  how: 'delete',
  cause: 'goneFromDirectory',
  person: null,
  approval: null,
  ...over,
});

const agoMs = (ms: number): string => new Date(NOW.getTime() - ms).toISOString();

const missingSince = (since: string | null): Partial<User> => ({ directory: { ...link, missingSince: since } });

const approvalFor = (user: User) => anApproval({ userId: user.id });

describe('a missing user', () => {
  const decide = (user: Partial<User>, context: Partial<PlanContext>): string => {
    const decision = decideMissing(aUser(user), aContext(context));
    return decision.kind === 'overdue' ? decision.how : decision.kind;
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

  test.each<[how: PlanContext['missingUsers'], since: string | null, expected: string]>([
    ['delete', null, 'mark'],
    ['disable', null, 'mark'],
    ['delete', NOW.toISOString(), 'delete'],
    ['disable', agoMs(1), 'disable'],
  ])('read from another server than last time, with %s, missing since %s: %s', (missingUsers, since, expected) => {
    expect(decide(missingSince(since), { missingUsers, sameServer: false })).toBe(expected);
  });

  test.each<[name: string, user: Partial<User>]>([
    ['integrated', { authentication: 'integrated', directory: null }],
    ['integrated, with a link left over', { authentication: 'integrated', ...missingSince(agoMs(400 * DAY_MS)) }],
    ['a directory user without a link', { directory: null }],
  ])('that is %s is left alone whatever the setting', (_name, user) => {
    for (const missingUsers of ['keep', 'disable', 'delete'] as const) {
      expect(decideMissing(aUser(user), aContext({ missingUsers }))).toEqual({ kind: 'nothing' });
    }
  });

  test('is marked by nothing but the time, and the next run compares the whole record', () => {
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
        counts: [],
        approvals: [],
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

describe('a removal that is carried out', () => {
  const user = aUser({
    fingerprint: 'as before',
    version: 7,
    updatedAt: agoMs(DAY_MS),
    sessionsValidFrom: agoMs(DAY_MS),
  });

  test('deletes the user as it was read', () => {
    expect(removeUser(removal(user), aContext())).toEqual({
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
      counts: ['absence'],
      approvals: [],
    });
  });

  test.each([
    ['missing for the first time', null],
    ['missing for long', agoMs(8 * DAY_MS)],
  ])('disables a user %s, ends its sessions and keeps everything else', (_name, since) => {
    const previous = { ...user, ...missingSince(since) };
    const now = NOW.toISOString();
    const step = removeUser(removal(previous, { how: 'disable', cause: 'outOfScope' }), aContext());
    const { change, write, person } = step;

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
    expect(step.counts).toEqual(['absence']);
  });

  test.each(['disable', 'delete'] as const)('by approval (%s) carries out the approval and is not counted', (how) => {
    const approval = approvalFor(user);
    const step = removeUser(removal(user, { how, approval }), aContext());

    expect([step.counts, step.approvals]).toEqual([['approved'], [approval]]);
  });
});

describe('a sighting of the second look', () => {
  const unknown: Sighting = { kind: 'unknown', reason: 'the second look failed: no answer' };
  const hidden: Sighting = { kind: 'doubted', reason: 'two could not be asked', found: false };
  const elsewhere: Sighting = { kind: 'doubted', reason: 'two still has the entry', found: true };

  test.each<[sighting: Sighting, unapproved: string, approved: string]>([
    [{ kind: 'gone' }, 'goneFromDirectory', 'goneFromDirectory'],
    [{ kind: 'outOfScope' }, 'outOfScope', 'outOfScope'],
    [{ kind: 'inScope' }, 'kept', 'kept'],
    [unknown, 'kept', 'kept'],
    [hidden, 'approvable', 'goneFromDirectory'],
    [elsewhere, 'approvable', 'goneFromDirectory'],
  ])('%o means %s, with an approval %s', (sighting, unapproved, approved) => {
    const user = aUser();
    for (const how of ['delete', 'disable'] as const) {
      const outcome = (approval: Removal['approval']): string => {
        const judged = judgeSighting({ user, how, approval }, sighting);
        expect(judged).toMatchObject({ user, how });
        if (!('reason' in judged)) return judged.cause;
        return judged.approvable ? 'approvable' : 'kept';
      };
      expect([outcome(null), outcome(approvalFor(user))]).toEqual([unapproved, approved]);
    }
  });
});

interface Decision {
  readonly input?: Partial<RemovalInput>;
  readonly context?: Partial<PlanContext>;
  readonly stored?: readonly User[];
  /** Where the second look sees somebody; by default nobody is seen anywhere. */
  readonly sighting?: (user: User) => Sighting;
  readonly judge?: (dn: string) => BranchState;
  readonly known?: number;
  readonly limit?: Partial<OptionSettings['removalLimit']>;
  readonly before?: Partial<Record<GuardCounter, number>>;
  readonly approved?: readonly User[];
}

/** As a withheld removal leaves the user: marked as missing, before anybody can approve. */
function noted(user: User): User {
  const { directory } = user;
  return { ...user, directory: directory && { ...directory, missingSince: directory.missingSince ?? agoMs(0) } };
}

/** Decides about this input. `told`: what the run looks up and shows on the way, in order. */
async function decide({
  input,
  context,
  stored = [],
  sighting = () => ({ kind: 'gone' }),
  judge = () => 'populated',
  known = 10_000,
  limit,
  before = {},
  approved = [],
}: Decision) {
  const told: string[] = [];
  const located: (readonly string[])[] = [];
  const notices: string[] = [];
  const { users: store } = createMemoryStores({ now: () => NOW });
  await store.writeEach(stored.map((user) => ({ kind: 'create', user })));
  const counts = { absence: 0, mark: 0, fullName: 0, emailAddresses: 0, enable: 0, approved: 0, ...before };
  const approvals = openApprovals(
    approved.map((user) => ({ ...approvalFor(user), done: false })),
    anApproval().approvalScope,
  );
  const deciding = decideRemovals(
    {
      marked: [],
      missing: [],
      claimed: new Set(),
      read: 10_000,
      baseDn: 'dc=example,dc=com',
      ...input,
      ...(input?.missing?.some(({ id }) => approved.some((user) => user.id === id)) === true && {
        missing: input.missing.map(noted),
      }),
    },
    {
      users: store,
      look: {
        find: async (looked) => {
          if (looked.length > 0) located.push(looked.map(({ id }) => id));
          return new Map(looked.map((user) => [user.id, sighting(user)]));
        },
      },
      judgeBranch: async (dn) => {
        told.push(`judge ${dn}`);
        return judge(dn);
      },
      guard: openGuard([{ hour: NOW.toISOString(), counts, known: 0 }], known, {
        percent: 100,
        atLeast: 0,
        windowHours: 24,
        ...limit,
      }),
      approvals,
      report: {
        stage: async (stage) => void told.push(`stage ${stage}`),
        notice: (sentence) => void notices.push(sentence),
      },
    },
    aContext({ missingUsers: 'delete', ...context }),
  );
  const decided = await deciding;
  return { ...decided, told, located, notices, ended: approvals.unused().map(({ userId }) => userId) };
}

const linesOf = (steps: readonly Step[]): string[] => steps.map(({ change }) => `${change.kind} ${change.userId}`);
const marked = (user: User) => ({
  user,
  person: aPerson(user.directory!.id, user.userName, { disabled: true }),
  mark: 'nsaccountlock',
});

describe('all decisions together', () => {
  test('have nothing to say about nobody', async () => {
    expect(await decide({})).toEqual({
      removals: [],
      disabling: [],
      marks: [],
      spared: [],
      withheld: [],
      settled: 0,
      told: [],
      located: [],
      notices: [],
      ended: [],
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
    expect(decided.located).toEqual([['account-1', 'account-4']]);
    expect(decided.told).toEqual(['stage verifying']);
  });

  test('disable a marked user without another look: its entry says so', async () => {
    const present = marked(numbered(1));
    const decided = await decide({ input: { marked: [present] } });

    expect(decided.disabling).toEqual([{ ...present, counts: ['mark'], approvals: [] }]);
    expect(decided).toMatchObject({ removals: [], withheld: [], told: [] });
  });

  test.each([
    { missing: 3, disabled: 2, gone: 0, disabling: 2, how: 'deleted' },
    { missing: 2, disabled: 3, gone: 2, disabling: 0, how: 'disabled' },
  ])('count $missing missing and $disabled marked users apart, against a limit of 2', async (row) => {
    const input = {
      missing: users(row.missing),
      marked: Array.from({ length: row.disabled }, (_, number) => marked(numbered(100 + number))),
    };
    const { removals, disabling, withheld, notices } = await decide({ input, known: 20, limit: { percent: 10 } });

    expect([removals.length, disabling.length]).toEqual([row.gone, row.disabling]);
    expect(withheld.map(({ change }) => [change.kind, change.proposes, change.reason])).toEqual(
      Array.from({ length: 3 }, () => [
        'withheld',
        'remove',
        expect.stringMatching(new RegExp(`^would be ${row.how}; 3 of 20 `)),
      ]),
    );
    expect(notices).toEqual([expect.stringMatching(/^3 .*3 of 20 .*limit is 2/)]);
  });

  test.each([
    ['absence', { missing: [numbered(1)] }],
    ['mark', { marked: [marked(numbered(1))] }],
  ] as const)('count what former runs have done of the kind %s, and of no other', async (kind, input) => {
    const limits = { known: 40, limit: { percent: 10 } };
    const full = await decide({ ...limits, input, before: { [kind]: 4 } });
    const others = { absence: 9, mark: 9, fullName: 9, emailAddresses: 9, enable: 9, approved: 9 };
    const free = await decide({ ...limits, input, before: { ...others, [kind]: 3 } });

    expect([full.withheld.length, free.withheld.length]).toEqual([1, 0]);
    expect(full.notices).toEqual([expect.stringContaining('after 4 in the last 24 hours')]);
  });

  test('mark a user that is withheld at its first absence, with the one line', async () => {
    const [first] = users(1);
    const decided = await decide({ input: { missing: [first!] }, limit: { percent: 0 } });

    expect(decided).toMatchObject({
      marks: [],
      withheld: [
        {
          change: { kind: 'withheld', proposes: 'remove', fields: { 'directory.missingSince': { from: null } } },
          write: { kind: 'update', previous: first, user: { directory: { missingSince: NOW.toISOString() } } },
        },
      ],
    });
  });

  test('let approved removals through, whatever the limit says, and withhold the others', async () => {
    const [zero, one, two] = users(3);
    const input = { missing: [zero!, one!, two!] };
    const decided = await decide({ input, known: 10, limit: { percent: 10 }, approved: [one!] });

    expect(linesOf(decided.removals)).toEqual(['deleted account-1']);
    expect(decided.removals[0]).toMatchObject({ counts: ['approved'], approvals: [{ userId: 'account-1' }] });
    expect(linesOf(decided.withheld)).toEqual(['withheld account-0', 'withheld account-2']);
    expect(decided.notices).toEqual([expect.stringMatching(/^2 .*2 of 10 /)]);
  });

  test.each<[name: string, over: Partial<Decision>]>([
    ['the grace period has become longer', { context: { gracePeriodDays: 7 } }],
    ['entries in a contradiction have the name', { input: { claimed: new Set(['user1']) } }],
    ['it is kept for another reason', { sighting: () => ({ kind: 'inScope' }) }],
  ])('end no approval of a user who is still missing, where %s', async (_name, { input, ...over }) => {
    const [user, present] = [numbered(1), numbered(2)];
    const decided = await decide({ ...over, input: { missing: [user], ...input }, approved: [user, present] });

    expect([decided.removals, decided.ended]).toEqual([[], ['account-2']]);
  });

  test('let approved disabling by a mark through, and count it nowhere', async () => {
    const user = numbered(1);
    const decided = await decide({ input: { marked: [marked(user)] }, limit: { percent: 0 }, approved: [user] });

    expect(decided.disabling).toMatchObject([{ user, counts: [], approvals: [{ userId: user.id }] }]);
  });

  test('look for nobody and remove nobody when the directory answers with nobody, unless approved', async () => {
    const [zero, one] = users(2);
    const input = { missing: [zero!, one!], read: 0 };
    const nobody = await decide({ input });
    const approved = await decide({ input, approved: [one!] });

    expect(linesOf(nobody.withheld)).toEqual(['withheld account-0', 'withheld account-1']);
    expect(nobody).toMatchObject({ removals: [], told: [], located: [], notices: [expect.stringMatching(/^2 /)] });
    expect(linesOf(approved.removals)).toEqual(['deleted account-1']);
    expect(linesOf(approved.withheld)).toEqual(['withheld account-0']);
    expect(approved.located).toEqual([['account-1']]);
  });

  test('need a single entry as a sign that the directory answers', async () => {
    expect((await decide({ input: { missing: users(2), read: 1 } })).removals).toHaveLength(2);
  });

  test('look for nobody where more are overdue than a look can take and the limit withholds them all', async () => {
    const within = await decide({ input: { missing: users(1_001) } });
    const above = await decide({ input: { missing: users(1_001) }, limit: { percent: 10 } });

    expect([within.removals.length, within.located.flat().length]).toEqual([1_001, 1_001]);
    expect([above.withheld.length, above.located]).toEqual([1_001, []]);
    expect(above.notices).toEqual([expect.stringMatching(/^1001 /)]);
  });

  test('do nothing about a missing user whose name entries in a contradiction have', async () => {
    const decided = await decide({ input: { missing: users(2), claimed: new Set(['user1']) } });

    expect(linesOf(decided.removals)).toEqual(['deleted account-0']);
    expect(decided).toMatchObject({ settled: 1, withheld: [], marks: [] });
    expect(decided.located).toEqual([['account-0']]);
  });

  test('ask for no id of another attribute, and withhold its user for good', async () => {
    const other = numbered(1, { directory: { ...numbered(1).directory!, idAttribute: 'employeenumber' } });
    const decided = await decide({ input: { missing: [numbered(0), other, numbered(2)] }, approved: [other] });

    expect(decided.located).toEqual([['account-0', 'account-2']]);
    expect(linesOf(decided.removals)).toEqual(['deleted account-0', 'deleted account-2']);
    expect(linesOf(decided.withheld)).toEqual(['withheld account-1']);
    expect(decided.withheld[0]!.change.reason).toMatch(/employeenumber.*entryuuid/);
    expect(decided.withheld[0]!.change).not.toHaveProperty('proposes');
  });

  test('give every sighting its reason, and propose a removal only where an approval would help', async () => {
    const sightings: Sighting[] = [
      { kind: 'gone' },
      { kind: 'outOfScope' },
      { kind: 'inScope' },
      { kind: 'unknown', reason: 'no answer' },
      { kind: 'doubted', reason: 'two is away', found: false },
    ];
    const decided = await decide({
      input: { missing: users(5) },
      sighting: ({ id }) => sightings[Number(id.split('-')[1])]!,
    });

    expect(decided.removals.map(({ change }) => change.reason)).toEqual(['goneFromDirectory', 'outOfScope']);
    expect(decided.withheld.map(({ change }) => [change.reason, change.proposes])).toEqual([
      [expect.stringContaining('in scope'), undefined],
      [expect.stringContaining('no answer'), undefined],
      [expect.stringContaining('two is away'), 'remove'],
    ]);
    // None of the withheld counts against the limit.
    expect(decided.removals.flatMap(({ counts }) => counts)).toEqual(['absence', 'absence']);
  });

  test('measure only those that are really absent by the limit', async () => {
    const decided = await decide({
      input: { missing: users(4) },
      known: 10,
      limit: { percent: 10 },
      sighting: ({ id }) => (id === 'account-0' ? { kind: 'gone' } : { kind: 'inScope' }),
    });

    expect(linesOf(decided.removals)).toEqual(['deleted account-0']);
    expect(decided.notices).toEqual([]);
  });

  test('hold the same rules in any order of the users', async () => {
    const missing = users(30);
    const { removals } = await decide({ input: { missing } });
    const reversed = await decide({ input: { missing: missing.toReversed() } });

    expect(linesOf(removals)).toEqual(missing.map(({ id }) => `deleted ${id}`));
    expect(linesOf(reversed.removals)).toEqual(linesOf(removals).toReversed());
  });
});

describe('a branch that nobody is left in', () => {
  const staff = (number: number): User =>
    numbered(number, { directory: { ...numbered(number).directory!, dn: `uid=${number},ou=staff,dc=example,dc=com` } });
  const missing = [staff(1), staff(2), staff(3)];

  test.each<[state: BranchState, kind: string]>([
    ['vanished', 'withheld'],
    ['empty', 'deleted'],
    ['populated', 'deleted'],
  ])('and is %s: the users are %s', async (state, kind) => {
    const { removals, withheld, notices } = await decide({ input: { missing }, judge: () => state });

    expect(linesOf([...removals, ...withheld])).toEqual(missing.map(({ id }) => `${kind} ${id}`));
    expect(notices).toEqual(kind === 'withheld' ? [expect.stringMatching(/^3 .*ou=staff,dc=example,dc=com/)] : []);
    expect(withheld.every(({ change }) => change.proposes === 'remove')).toBe(true);
  });

  test('loses only those whose removal is approved, also where too few are left to make a branch', async () => {
    const { removals, withheld } = await decide({
      input: { missing },
      judge: () => 'vanished',
      approved: [missing[0]!],
    });

    expect(linesOf(removals)).toEqual(['deleted account-1']);
    expect(linesOf(withheld)).toEqual(['withheld account-2', 'withheld account-3']);
  });

  test('is looked for among those found nowhere, not among those out of scope', async () => {
    const { removals, told } = await decide({
      input: { missing },
      judge: () => 'vanished',
      sighting: ({ id }) => ({ kind: id === 'account-3' ? 'outOfScope' : 'gone' }),
    });

    expect(removals).toHaveLength(3);
    expect(told).toEqual(['stage verifying']);
  });
});

describe('the last administrators in a run', () => {
  const admin = (number: number): User => numbered(number, { privileges: ['admin'] });

  test('are kept, missing or marked, and the others go', async () => {
    const input = { marked: [marked(admin(2))], missing: [admin(1), numbered(3)] };
    const decided = await decide({ input, stored: [admin(1), admin(2), numbered(3)] });

    expect(linesOf(decided.removals)).toEqual(['deleted account-3']);
    expect(linesOf(decided.withheld).sort()).toEqual(['withheld account-1', 'withheld account-2']);
    for (const { change } of decided.withheld) {
      expect(change).not.toHaveProperty('proposes');
      expect(change.reason).toMatch(/^would be (?:deleted|disabled); .*administrator/);
    }
    expect(decided).toMatchObject({ disabling: [], notices: { length: 1 } });
  });

  test('are kept although their removal was approved', async () => {
    const decided = await decide({ input: { missing: [admin(1)] }, stored: [admin(1)], approved: [admin(1)] });

    expect(decided.removals).toEqual([]);
    expect(linesOf(decided.withheld)).toEqual(['withheld account-1']);
  });

  const INTEGRATED = { authentication: 'integrated', directory: null } as const;

  test.each<[name: string, counts: boolean, over: Partial<User>]>([
    ['of the directory with an entry', true, {}],
    ['of the directory without an entry', false, { directory: null }],
    ['of the directory with a password but no entry', false, { directory: null, passwordHash: 'a hash' }],
    ['of the directory whose name is contested', false, { directory: { ...link, contestedBy: 'another' } }],
    ['with integrated authentication and a password', true, { ...INTEGRATED, passwordHash: 'a hash' }],
    ['with integrated authentication and no password', false, INTEGRATED],
    ['disabled by an administrator', false, { disabledBy: 'admin' }],
    ['disabled by a run', false, { disabledBy: 'sync' }],
    ['without the privilege', false, { privileges: ['login'] }],
  ])('may go if another one can sign in; one %s can: %s', async (_name, counts, over) => {
    const other = numbered(9, { privileges: ['admin'], ...over });
    const decided = await decide({ input: { missing: [admin(1), admin(2)] }, stored: [admin(1), admin(2), other] });

    expect(linesOf(decided.removals)).toEqual(counts ? ['deleted account-1', 'deleted account-2'] : []);
    expect(decided.notices).toHaveLength(counts ? 0 : 1);
  });

  test('are kept, and told to sign in, while the store knows of no other one', async () => {
    const { removals, notices } = await decide({ input: { missing: [admin(1)] }, stored: [] });

    expect(removals).toEqual([]);
    expect(notices).toEqual([expect.stringMatching(/no other administrator .* is known; sign in as one, or give /)]);
  });

  test('are not those that stay because the limit withholds them', async () => {
    const decided = await decide({
      input: { missing: [admin(1), admin(2)] },
      limit: { percent: 0 },
      approved: [admin(1)],
      stored: [admin(1), admin(2)],
    });

    expect(linesOf(decided.removals)).toEqual(['deleted account-1']);
    expect(linesOf(decided.withheld)).toEqual(['withheld account-2']);
    expect(decided.notices).toHaveLength(1);
  });

  test('are only looked up in the store when an administrator would go', async () => {
    const away = new ServiceError('storeUnavailable', 'no answer');
    const decideWith = (missing: readonly User[]) =>
      decideRemovals(
        { marked: [], missing, claimed: new Set(), read: 10, baseDn: 'dc=example,dc=com' },
        {
          users: { findKnownAdministrator: () => Promise.reject(away) },
          look: { find: async (looked) => new Map(looked.map(({ id }) => [id, { kind: 'gone' }])) },
          judgeBranch: async () => 'populated',
          guard: openGuard([], 10, { percent: 100, atLeast: 0, windowHours: 24 }),
          approvals: openApprovals([], ''),
          report: { stage: async () => {}, notice: () => {} },
        },
        aContext({ missingUsers: 'delete' }),
      );

    const disabled = numbered(2, { privileges: ['admin'], disabledBy: 'admin' });
    const { removals } = await decideWith([numbered(1), disabled]);
    expect(linesOf(removals)).toEqual(['deleted account-1', 'deleted account-2']);
    await expect(decideWith([admin(1)])).rejects.toBe(away);
  });
});

test.each([
  ['keep', 4, []],
  ['keep', 5, [expect.stringMatching(/^5 of 40 users are missing .* kept/)]],
  ['delete', 5, [expect.stringMatching(/deleted after 7 days/)]],
  ['disable', 5, [expect.stringMatching(/disabled after 7 days/)]],
] as const)('with %s, %i users missing for the first time, of 4 allowed: %o', (missingUsers, count, expected) => {
  const notices: string[] = [];
  const marks = users(count).map((user) => markMissing(user, aContext()));
  const report = { notice: (sentence: string) => void notices.push(sentence) };

  noticeNewAbsence(marks, { allowed: 4, known: 40 }, { missingUsers, gracePeriodDays: 7 }, report);

  expect(notices).toEqual(expected);
});
