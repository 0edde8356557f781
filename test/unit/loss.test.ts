/** What an update would lose, and which losses a run carries out. */
import { describe, expect, test } from 'vitest';
import type { Person } from '../../lib/directory/mapping.ts';
import type { MappingSettings } from '../../lib/settings/settings.ts';
import { openGuard } from '../../lib/sync/guard.ts';
import { decideLosses, lossesOf, mayLose, withheldLosses } from '../../lib/sync/loss.ts';
import type { Changed } from '../../lib/sync/matching.ts';
import { openApprovals } from '../../lib/sync/open-approvals.ts';
import type { GuardCounter } from '../../lib/sync/run-journal.ts';
import type { Loss, LossDecision } from '../../lib/sync/step.ts';
import { createUser, planPerson, planUser } from '../../lib/sync/user-step.ts';
import type { DirectoryLink, User } from '../../lib/user/user.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aContext, anApproval, aPerson, aUser, MAPPING, NOW } from '../support/people.ts';

const link = aUser().directory!;
const MARK = 'pwdaccountlockedtime';

const aFullUser = (over: Partial<User> = {}): User =>
  aUser({ fullName: 'Anna Weber', emailAddresses: ['anna@example.test'], ...over });
const aFullPerson = (over: Partial<Person> = {}): Person => ({
  ...aPerson('id-1', 'anna', { dn: link.dn }),
  fullName: 'Anna Weber',
  emailAddresses: ['anna@example.test'],
  ...over,
});
/** A user whom sync has disabled: by a mark, or by something else. */
const aDisabledUser = (directory: Partial<DirectoryLink> = { mark: MARK }, over: Partial<User> = {}): User =>
  aFullUser({ disabledBy: 'sync', directory: { ...link, ...directory }, ...over });
const context = aContext();

describe('a user loses', () => {
  test.each<[name: string, losses: Loss[], user: Partial<User>, person: Partial<Person>]>([
    ['nothing that stays', [], {}, {}],
    ['nothing that changes', [], {}, { fullName: 'Anna Braun', emailAddresses: ['braun@example.test'] }],
    [
      'nothing by one address of two',
      [],
      { emailAddresses: ['a@x.test', 'b@x.test'] },
      { emailAddresses: ['b@x.test'] },
    ],
    ['a full name', ['fullName'], {}, { fullName: null }],
    ['all addresses', ['emailAddresses'], {}, { emailAddresses: [] }],
    ['both', ['fullName', 'emailAddresses'], {}, { fullName: null, emailAddresses: [] }],
    ['nothing that it never had', [], { fullName: null, emailAddresses: [] }, { fullName: null, emailAddresses: [] }],
  ])('%s', (_name, losses, user, person) => {
    expect(lossesOf(aFullUser(user), aFullPerson(person), context)).toEqual(losses);
  });

  test.each<[emptied: 'fullName' | 'emailAddresses', other: Loss]>([
    ['fullName', 'emailAddresses'],
    ['emailAddresses', 'fullName'],
  ])('nothing by emptying the mapping of %s', (emptied, other) => {
    const mapping: MappingSettings = { ...MAPPING, [emptied]: '' };
    const nothing = aFullPerson({ fullName: null, emailAddresses: [] });

    expect(lossesOf(aFullUser(), nothing, aContext({ mapping }))).toEqual([other]);
    expect(planUser(aFullUser(), nothing, aContext({ mapping })).write).toMatchObject({
      user: { [emptied]: emptied === 'fullName' ? null : [] },
    });
  });

  test.each<[name: string, isLoss: boolean, user: User, person: Partial<Person>]>([
    ['whose mark is absent', true, aDisabledUser(), {}],
    ['whose mark is absent although another is shown', true, aDisabledUser(), { statusSeen: ['shadowexpire'] }],
    ['whose entry shows the attribute without the mark', false, aDisabledUser(), { statusSeen: [MARK] }],
    ['who is still marked', false, aDisabledUser(), { disabled: true, mark: MARK, statusSeen: [MARK] }],
    ['whose status is hidden: it stays anyway', false, aDisabledUser(), { statusUnknown: true }],
    ['with a mark that nobody noted', true, aDisabledUser({}), {}],
    ['with a mark that nobody noted, whose entry shows one', false, aDisabledUser({}), { statusSeen: [MARK] }],
    ['who was disabled for being missing', false, aDisabledUser({ missingSince: NOW.toISOString() }), {}],
    ['who was marked before it was missing', true, aDisabledUser({ missingSince: NOW.toISOString(), mark: MARK }), {}],
    ['whom an administrator disabled', false, aDisabledUser({ mark: MARK }, { disabledBy: 'admin' }), {}],
    ['who is active', false, aDisabledUser({}, { disabledBy: null }), {}],
  ])('its status, %s: %s', (_name, isLoss, user, person) => {
    expect(lossesOf(user, aFullPerson(person), context)).toEqual(isLoss ? ['enable'] : []);
  });
});

test.each<[mayBe: boolean, disabledBySync: boolean, person: Partial<Person>]>([
  [false, false, {}],
  [true, false, { fullName: null }],
  [true, false, { emailAddresses: [] }],
  [true, true, {}],
  [false, true, { disabled: true }],
])(
  'the stored record is looked at: %s, where sync has disabled the user: %s, and the person is %o',
  (mayBe, disabledBySync, over) => {
    const changed: Changed = { nameKey: 'anna', person: aFullPerson(over), disabledBySync };
    expect(mayLose(changed, context)).toBe(mayBe);
  },
);

interface Scene {
  /** How many users lose each thing. */
  readonly losing?: Partial<Record<Loss, number>>;
  /** Whether some other entry still shows the attribute. */
  readonly shown?: boolean;
  readonly known?: number;
  readonly before?: Partial<Record<GuardCounter, number>>;
  readonly approved?: readonly string[];
  /** Whether the users are known already, or their records have to be read. */
  readonly asUpdates?: boolean;
}

const TAKEN: Readonly<Record<Loss, Partial<Person>>> = {
  fullName: { fullName: null },
  emailAddresses: { emailAddresses: [] },
  enable: { disabled: false },
};

async function decide({ losing = {}, shown = true, known = 100, before, approved = [], asUpdates = false }: Scene) {
  const pairs = Object.entries(losing).flatMap(([loss, count]) =>
    Array.from({ length: count }, (_, number) => {
      const id = `${loss}-${number}`;
      const over = { id, userName: id.toLowerCase() };
      const user =
        loss === 'enable'
          ? aDisabledUser({ mark: MARK, id }, over)
          : aFullUser({ ...over, directory: { ...link, id } });
      const person = aFullPerson({
        directoryId: id,
        nameKey: user.userName,
        userName: user.userName,
        ...TAKEN[loss as Loss],
      });
      return { user, person };
    }),
  );
  const { users } = createMemoryStores({ now: () => NOW });
  if (asUpdates) await users.writeEach(pairs.map(({ user }) => ({ kind: 'create', user })));
  const updates = pairs.map(({ user, person }): Changed => ({
    nameKey: user.userName,
    person,
    disabledBySync: user.disabledBy === 'sync',
  }));
  const notices: string[] = [];
  const counts = { absence: 0, mark: 0, fullName: 0, emailAddresses: 0, enable: 0, approved: 0, ...before };
  const decision = await decideLosses(
    {
      pairs: asUpdates ? [] : pairs,
      updates: asUpdates ? updates : [],
      shown: { fullName: shown, emailAddresses: shown, status: new Set(shown ? [MARK] : []) },
    },
    {
      users,
      guard: openGuard([{ hour: NOW.toISOString(), counts, known: 0 }], known, {
        percent: 10,
        atLeast: 3,
        windowHours: 24,
      }),
      approvals: openApprovals(
        approved.map((userId) => {
          const loss = userId.split('-')[0] as Loss;
          const what = loss === 'enable' ? { proposes: loss } : { proposes: 'clear' as const, fields: [loss] };
          return { ...anApproval({ userId, ...what }), done: false };
        }),
        anApproval().approvalScope,
      ),
      report: { check: () => {}, notice: (sentence) => void notices.push(sentence) },
    },
    context,
  );
  return { ...decision, notices, pairs, stored: users };
}

const allowedOf = ({ allowed }: LossDecision): string[] => [...allowed.keys()];

describe.each(['fullName', 'emailAddresses', 'enable'] as const)('a run that would take away %s', (loss) => {
  test.each([false, true])(
    'carries it out up to the limit, and withholds all above it (read in batches: %s)',
    async (asUpdates) => {
      const within = await decide({ losing: { [loss]: 10 }, asUpdates });
      const above = await decide({ losing: { [loss]: 11 }, asUpdates });

      expect([within.allowed.size, within.notices, within.reasons]).toEqual([10, [], {}]);
      expect([...within.allowed.values()].every((losses) => losses.has(loss) && losses.size === 1)).toBe(true);
      expect(above.allowed.size).toBe(0);
      expect(above.reasons[loss]).toContain('11 of 100 ');
      expect(above.notices).toEqual([expect.stringMatching(/^11 users keep .*lost the right to read/)]);
    },
  );

  test('counts what former runs have taken, and nothing else', async () => {
    const others = { absence: 10, mark: 10, fullName: 10, emailAddresses: 10, enable: 10, approved: 10 };
    expect((await decide({ losing: { [loss]: 1 }, before: { ...others, [loss]: 9 } })).allowed.size).toBe(1);
    expect((await decide({ losing: { [loss]: 1 }, before: { [loss]: 10 } })).allowed.size).toBe(0);
  });

  test('is doubted where nobody shows it any more, however many the limit would let go', async () => {
    const hidden = await decide({ losing: { [loss]: 3 }, shown: false });

    expect(hidden.allowed.size).toBe(0);
    expect(hidden.notices).toEqual([expect.stringMatching(/^3 users keep .*no entry shows/)]);
    // The last mark of its kind may go as it should.
    const two = await decide({ losing: { [loss]: 2 }, shown: false });
    expect(two.allowed.size).toBe(loss === 'enable' ? 2 : 0);
    expect((await decide({ losing: { [loss]: 3 }, shown: true })).allowed.size).toBe(3);
  });

  test('doubts the others, where some of three are approved', async () => {
    const hidden = await decide({ losing: { [loss]: 3 }, shown: false, approved: [`${loss}-1`] });
    expect(allowedOf(hidden)).toEqual([`${loss}-1`]);
  });

  test('carries out what is approved, without counting it', async () => {
    const approved = [0, 5].map((number) => `${loss}-${number}`);
    const above = await decide({ losing: { [loss]: 13 }, approved });
    const within = await decide({ losing: { [loss]: 12 }, approved });

    expect(allowedOf(above)).toEqual(approved);
    expect(above.reasons[loss]).toContain('11 of 100 ');
    expect([...above.approvals].map(([id, [approval]]) => [id, approval!.userId])).toEqual(
      approved.map((id) => [id, id]),
    );
    expect(within.allowed.size).toBe(12);
  });
});

test('each kind is decided by itself', async () => {
  const decision = await decide({ losing: { fullName: 11, emailAddresses: 10, enable: 11 } });

  expect(Object.keys(decision.reasons)).toEqual(['fullName', 'enable']);
  expect(new Set(allowedOf(decision).map((id) => id.split('-')[0]))).toEqual(new Set(['emailAddresses']));
});

describe('the plan of a user', () => {
  const losesAll = aFullPerson({ fullName: null, emailAddresses: [], dn: 'uid=anna,ou=new,dc=example,dc=com' });
  const reasons = { fullName: 'too many names', emailAddresses: 'too many addresses', enable: 'too many' };
  const decided = (allowed: readonly Loss[], approvals: LossDecision['approvals'] = new Map()): LossDecision => ({
    allowed: new Map([['account-1', new Set(allowed)]]),
    approvals,
    reasons,
  });

  test('keeps what it must not lose, applies the rest, and looks at it again', () => {
    const steps = planPerson(aDisabledUser(), losesAll, aContext({ losses: decided([]) }));

    expect(steps.map(({ change }) => [change.kind, change.proposes])).toEqual([
      ['renamed', undefined],
      ['withheld', 'clear'],
      ['withheld', 'enable'],
    ]);
    expect(steps[0]!.write).toMatchObject({
      user: {
        fullName: 'Anna Weber',
        emailAddresses: ['anna@example.test'],
        disabledBy: 'sync',
        directory: { dn: losesAll.dn, mark: MARK },
        fingerprint: null,
      },
    });
    expect(steps[0]!.counts).toEqual([]);
    expect(steps[1]!.change).toMatchObject({
      reason: expect.stringContaining('too many names'),
      fields: { fullName: { from: 'Anna Weber', to: null }, emailAddresses: { from: ['anna@example.test'], to: [] } },
    });
    expect(steps[2]!.change.fields).toEqual({ disabledBy: { from: 'sync', to: null } });
    expect(steps.slice(1).every(({ write }) => write === null)).toBe(true);
  });

  test('is written once: a record that only keeps something needs no write in the next run', () => {
    const losses = decided([]);
    const [first] = planPerson(aDisabledUser(), losesAll, aContext({ losses }));
    const next = first!.write?.kind === 'update' ? first!.write.user : null;
    const again = planPerson(next!, losesAll, aContext({ losses }));

    expect(again.map(({ change, write }) => [change.kind, write])).toEqual([
      ['withheld', null],
      ['withheld', null],
    ]);
  });

  test('loses what it may, counts it, and is settled then', () => {
    const all: readonly Loss[] = ['fullName', 'emailAddresses', 'enable'];
    const steps = planPerson(aDisabledUser(), losesAll, aContext({ losses: decided(all) }));

    expect(steps).toHaveLength(1);
    expect(steps[0]).toMatchObject({ change: { kind: 'enabled' }, counts: all, approvals: [] });
    expect(steps[0]!.write).toMatchObject({
      user: { fullName: null, emailAddresses: [], disabledBy: null, fingerprint: losesAll.fingerprint },
    });
    expect(steps[0]!.write).not.toMatchObject({ user: { directory: { mark: MARK } } });
  });

  test('carries out an approval, and does not count what it covers', () => {
    const approval = anApproval({ proposes: 'clear', fields: ['emailAddresses'] });
    const losses = decided(['fullName', 'emailAddresses', 'enable'], new Map([['account-1', [approval]]]));
    const [step] = planPerson(aDisabledUser(), losesAll, aContext({ losses }));

    expect(step).toMatchObject({ counts: ['fullName', 'enable'], approvals: [approval] });
  });

  test('keeps the status of an entry that hides it, disabled or active', () => {
    const hidden = aFullPerson({ statusUnknown: true });
    const status = (user: User): unknown => {
      const { write } = planUser(user, hidden, aContext());
      return write?.kind === 'update' && [write.user.disabledBy, write.user.directory!.mark];
    };

    expect(status(aDisabledUser())).toEqual(['sync', MARK]);
    expect(status(aFullUser())).toEqual([null, undefined]);
    expect(status(aDisabledUser({ mark: MARK }, { disabledBy: 'admin' }))).toEqual(['admin', MARK]);
    expect(createUser(hidden, aContext()).write).toMatchObject({ user: { disabledBy: null } });
  });

  test('notes the mark that disables, and drops it with the mark', () => {
    const marked = aFullPerson({ disabled: true, mark: MARK, statusSeen: [MARK] });
    const unmarked = aFullPerson({ statusSeen: [MARK] });

    expect(createUser(marked, context).write).toMatchObject({ user: { directory: { mark: MARK } } });
    expect(planUser(aFullUser(), marked, context).write).toMatchObject({ user: { directory: { mark: MARK } } });
    expect(planUser(aDisabledUser(), unmarked, context).write).not.toMatchObject({
      user: { directory: { mark: MARK } },
    });
  });

  test('tells nothing of a loss that nobody has withheld', () => {
    const losses = { ...decided([]), reasons: {} };
    expect(withheldLosses(aDisabledUser(), ['fullName', 'enable'], aContext({ losses }))).toEqual([]);
  });
});
