/** What happens to newcomers who have the user name of a missing user. */
import { describe, expect, test } from 'vitest';
import type { Person } from '../../lib/directory/mapping.ts';
import { decideMissing } from '../../lib/sync/absence.ts';
import type { Approval } from '../../lib/sync/approval-store.ts';
import { decideLinks, separateContested } from '../../lib/sync/link.ts';
import { openApprovals } from '../../lib/sync/open-approvals.ts';
import type { Sighting } from '../../lib/sync/second-look.ts';
import type { PlanContext } from '../../lib/sync/step.ts';
import type { DirectoryLink, User } from '../../lib/user/user.ts';
import { aContext, anApproval, aPerson, aUser, NOW } from '../support/people.ts';

const link = aUser().directory!;
const anna = aUser({ fullName: 'Anna Weber', emailAddresses: ['anna@example.test'], fingerprint: 'as before' });
const newcomer = aPerson('id-9', 'Anna', { dn: 'uid=anna,ou=new,dc=example,dc=com' });
const linked = (over: Partial<DirectoryLink>): User => ({ ...anna, directory: { ...link, ...over } });

describe('a newcomer is contested', () => {
  const found = (missing: User[], fresh: Person[] = [newcomer]): string[] =>
    separateContested(fresh, missing).contested.map(
      ({ user, newcomer: { directoryId } }) => `${user.id} ${directoryId}`,
    );

  test.each<[name: string, contested: string[], missing: User[]]>([
    ['by a missing user with its name, in any spelling', ['account-1 id-9'], [anna]],
    ['by nobody else', [], [{ ...anna, userName: 'bert' }]],
    ['never by an integrated user', [], [{ ...anna, authentication: 'integrated' }]],
    ['never by a user without a link', [], [{ ...anna, directory: null }]],
    ['by a user who is disabled, too', ['account-1 id-9'], [{ ...anna, disabledBy: 'admin' }]],
    ['by a user of another id attribute, too', ['account-1 id-9'], [linked({ idAttribute: 'employeenumber' })]],
  ])('%s', (_name, contested, missing) => {
    expect(found(missing)).toEqual(contested);
  });

  test('and both are left out of what happens to all others', () => {
    const bert = aUser({ id: 'account-2', userName: 'bert' });
    const carl = aPerson('id-8', 'carl');

    expect(separateContested([newcomer, carl], [anna, bert])).toEqual({
      contested: [{ user: anna, newcomer }],
      newcomers: [carl],
      absent: [bert],
    });
  });
});

interface Scene {
  readonly user?: User;
  readonly sighting?: Sighting;
  readonly approvals?: readonly Approval[];
  readonly context?: Partial<PlanContext>;
}

async function decide({ user = anna, sighting = { kind: 'gone' }, approvals = [], context }: Scene = {}) {
  const looked: string[] = [];
  const { steps, absent } = await decideLinks(
    [{ user, newcomer }],
    {
      look: {
        find: async (users) => {
          looked.push(...users.map(({ id }) => id));
          return new Map(users.map(({ id }) => [id, sighting]));
        },
      },
      approvals: openApprovals(
        approvals.map((approval) => ({ ...approval, done: false })),
        anApproval().approvalScope,
      ),
    },
    aContext(context),
  );
  return { ...steps[0]!, absent, looked };
}

const approved = (over: Partial<Approval> = {}): Approval =>
  anApproval({ proposes: 'link', directoryId: newcomer.directoryId, ...over });
const doubted = (found: boolean): Sighting => ({ kind: 'doubted', reason: 'two says so', found });
const unknown: Sighting = { kind: 'unknown', reason: 'no answer' };

describe('a contested user', () => {
  test.each<[sighting: Sighting, unapproved: string, approved: string]>([
    [{ kind: 'gone' }, 'withheld', 'linked'],
    [doubted(false), 'withheld', 'linked'],
    [unknown, 'withheld', 'withheld'],
    [{ kind: 'inScope' }, 'conflict', 'conflict'],
    [{ kind: 'outOfScope' }, 'conflict', 'conflict'],
    [doubted(true), 'conflict', 'linked'],
  ])('whose own entry is %o: %s, approved: %s', async (sighting, without, withApproval) => {
    expect((await decide({ sighting })).change.kind).toBe(without);
    expect((await decide({ sighting, approvals: [approved()] })).change.kind).toBe(withApproval);
  });

  test('is proposed for a link with all that an administrator compares, and can’t log in until then', async () => {
    const { change, write, counts, approvals } = await decide();

    expect(change).toMatchObject({ kind: 'withheld', proposes: 'link', userId: anna.id, directoryId: link.id });
    expect(change.fields).toEqual({
      'directory.id': { from: link.id, to: 'id-9' },
      'directory.dn': { from: link.dn, to: newcomer.dn },
      fullName: { from: 'Anna Weber', to: newcomer.fullName },
      emailAddresses: { from: ['anna@example.test'], to: [] },
      'directory.missingSince': { from: null, to: NOW.toISOString() },
    });
    expect(write).toEqual({
      kind: 'update',
      previous: anna,
      user: {
        ...anna,
        directory: { ...link, missingSince: NOW.toISOString(), contestedBy: 'id-9' },
        fingerprint: null,
        updatedAt: NOW.toISOString(),
        version: 2,
      },
    });
    expect([counts, approvals]).toEqual([[], []]);
  });

  test('is marked once, with the same line every time; another newcomer is another contest', async () => {
    const marked = linked({ missingSince: '2026-05-01T00:00:00.000Z', contestedBy: 'id-9' });
    const again = await decide({ user: marked });
    const other = await decide({ user: linked({ missingSince: '2026-05-01T00:00:00.000Z', contestedBy: 'id-7' }) });

    expect(again).toMatchObject({ change: { kind: 'withheld', proposes: 'link' }, write: null });
    expect(again.change.fields).toHaveProperty(['directory.id']);
    expect(other.write).toMatchObject({
      user: { directory: { contestedBy: 'id-9', missingSince: '2026-05-01T00:00:00.000Z' } },
    });
  });

  test('that is approved keeps the account, its history and its privileges under the new id', async () => {
    const user = {
      ...linked({ missingSince: NOW.toISOString(), contestedBy: 'id-9' }),
      privileges: ['export'] as const,
    };
    const approval = approved();
    const { change, write, approvals } = await decide({ user, approvals: [approval] });

    expect(change).toMatchObject({ kind: 'linked', userId: anna.id, directoryId: 'id-9' });
    expect(write).toMatchObject({
      kind: 'update',
      user: { id: anna.id, privileges: ['export'], createdAt: anna.createdAt, userName: 'Anna' },
    });
    expect(write?.kind === 'update' && write.user.directory).toEqual({
      id: 'id-9',
      idAttribute: 'entryuuid',
      dn: newcomer.dn,
      missingSince: null,
    });
    expect(approvals).toMatchObject([approval]);
  });

  test.each<[name: string, over: Partial<Approval>]>([
    ['another entry', { directoryId: 'id-7' }],
    ['another user', { userId: 'account-2' }],
    ['its removal', { proposes: 'remove', directoryId: null }],
    ['other settings', { approvalScope: 'another' }],
  ])('stays as it is where the approval is for %s', async (_name, over) => {
    expect((await decide({ approvals: [approved(over)] })).change.kind).toBe('withheld');
  });

  test.each([doubted(false), unknown])('tells the doubt: %o', async (sighting) => {
    expect((await decide({ sighting })).change.reason).toMatch(/two says so|no answer/);
  });

  test('that is linked by another attribute is not looked for, since nobody could be found', async () => {
    const user = linked({ idAttribute: 'employeenumber' });
    const proposed = await decide({ user });
    const done = await decide({ user, approvals: [approved()] });

    expect(proposed).toMatchObject({ change: { kind: 'withheld', proposes: 'link' }, looked: [] });
    expect(done).toMatchObject({ change: { kind: 'linked' }, looked: [] });
  });

  test('whose new entry is marked as disabled is linked now, and disabled by the next run under the guard', async () => {
    const { steps } = await decideLinks(
      [{ user: anna, newcomer: { ...newcomer, disabled: true } }],
      {
        look: { find: async () => new Map([[anna.id, { kind: 'gone' }]]) },
        approvals: openApprovals([{ ...approved(), done: false }], approved().approvalScope),
      },
      aContext(),
    );

    expect(steps[0]).toMatchObject({
      change: { kind: 'linked' },
      write: { user: { disabledBy: null, fingerprint: null } },
    });
  });

  test('is absent like all others once its own entry has been found, and contested no more', async () => {
    const contested = linked({ missingSince: NOW.toISOString(), contestedBy: 'id-9' });
    expect(await decide({ user: contested, sighting: doubted(true) })).toMatchObject({
      absent: [contested],
    });
    const decision = decideMissing(contested, aContext());
    const { write } = decision.kind === 'mark' ? decision.step : { write: null };
    expect(write?.kind === 'update' && write.user.directory).toEqual({ ...link, missingSince: NOW.toISOString() });
  });
});

test('of very many contested users only the first thousand are looked for, and those that are approved', async () => {
  const contested = Array.from({ length: 1_200 }, (_, number) => ({
    user: aUser({ id: `account-${number}`, userName: `user${number}` }),
    newcomer: aPerson(`new-${number}`, `user${number}`),
  }));
  const looked = new Set<string>();
  const last = { ...approved({ userId: 'account-1199', directoryId: 'new-1199' }), done: false };
  const { steps } = await decideLinks(
    contested,
    {
      look: {
        find: async (users) => {
          for (const { id } of users) looked.add(id);
          return new Map(users.map(({ id }) => [id, { kind: 'gone' }]));
        },
      },
      approvals: openApprovals([last], last.approvalScope),
    },
    aContext(),
  );

  expect([looked.size, looked.has('account-1199')]).toEqual([1_001, true]);
  expect(steps.map(({ change }) => change.kind).filter((kind) => kind === 'withheld')).toHaveLength(1_199);
  expect(steps.at(-1)!.change.kind).toBe('linked');
});
