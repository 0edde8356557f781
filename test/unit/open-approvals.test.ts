/** Which approvals hold in a run, for what, and which have ended. */
import { describe, expect, test } from 'vitest';
import type { StoredApproval } from '../../lib/sync/approval-store.ts';
import { openApprovals } from '../../lib/sync/open-approvals.ts';
import type { Proposal } from '../../lib/sync/run.ts';
import { PROPOSALS } from '../../lib/sync/run.ts';
import { anApproval, aUser, NOW } from '../support/people.ts';

const stored = (over: Partial<StoredApproval> = {}): StoredApproval => ({ ...anApproval(), done: false, ...over });
const SCOPE = anApproval().approvalScope;
const at = (ms: number): string => new Date(NOW.getTime() + ms).toISOString();
const missingSince = (since: string | null) => aUser({ directory: { ...aUser().directory!, missingSince: since } });

/** What a proposal is about besides the user. */
const WHAT: Partial<Record<Proposal, string>> = { link: 'id-9', clear: 'fullName' };
const aboutWhat = (proposes: Proposal): Partial<StoredApproval> =>
  ({ link: { directoryId: 'id-9' }, clear: { fields: ['fullName'] } } as Partial<Record<Proposal, object>>)[proposes] ??
  {};

describe('an approval', () => {
  test.each(PROPOSALS)('to %s covers that proposal of that user, and nothing else', (proposes) => {
    const what = WHAT[proposes] ?? null;
    const approval = stored({ proposes, ...aboutWhat(proposes) });
    const approvals = openApprovals([approval], SCOPE);

    expect(approvals.find(aUser(), proposes, what)).toBe(approval);
    expect(approvals.find(aUser({ id: 'account-2' }), proposes, what)).toBeNull();
    for (const other of PROPOSALS.filter((each) => each !== proposes)) {
      expect(approvals.find(aUser(), other, what)).toBeNull();
    }
  });

  test('to clear covers only the fields that the line named', () => {
    const approvals = openApprovals([stored({ proposes: 'clear', fields: ['fullName'] })], SCOPE);

    expect(approvals.find(aUser(), 'clear', 'emailAddresses')).toBeNull();
    expect(approvals.find(aUser(), 'clear')).toBeNull();
    expect(approvals.find(aUser(), 'clear', 'fullName')).not.toBeNull();
  });

  test('to link covers one entry only', () => {
    const approvals = openApprovals([stored({ proposes: 'link', directoryId: 'id-9' })], SCOPE);

    expect(approvals.find(aUser(), 'link', 'id-8')).toBeNull();
    expect(approvals.find(aUser(), 'link', null)).toBeNull();
    expect(approvals.find(aUser(), 'link', 'id-9')).not.toBeNull();
  });

  test.each<[since: string | null, proposes: Proposal, holds: boolean]>([
    [null, 'remove', true],
    [at(-1), 'remove', true],
    [at(0), 'remove', true],
    [at(1), 'remove', false],
    [at(1), 'clear', true],
    [at(1), 'enable', true],
  ])('of a user who is missing since %s, to %s: holds: %s', (since, proposes, holds) => {
    const approvals = openApprovals([stored({ proposes, ...aboutWhat(proposes) })], SCOPE);
    expect(approvals.find(missingSince(since), proposes, WHAT[proposes]) !== null).toBe(holds);
  });

  test.each<[name: string, over: Partial<StoredApproval>, outdated: number]>([
    ['that was carried out covers nothing', { done: true }, 0],
    ['of other settings covers nothing, and has ended', { approvalScope: 'another' }, 1],
    ['of other settings that was carried out is no more to end', { approvalScope: 'another', done: true }, 0],
  ])('%s', (_name, over, outdated) => {
    const approvals = openApprovals([stored(over)], SCOPE);

    expect(approvals.find(aUser(), 'remove')).toBeNull();
    expect(approvals.outdated).toHaveLength(outdated);
    expect(approvals.unused()).toEqual([]);
  });
});

test('approvals that no proposal has asked for have ended; those that were refused as well', () => {
  const asked = stored();
  const returned = stored({ userId: 'account-2' });
  const never = stored({ userId: 'account-3', proposes: 'clear' });
  const approvals = openApprovals([asked, returned, never], SCOPE);

  approvals.find(aUser(), 'remove');
  approvals.find(aUser({ ...missingSince(at(1)), id: 'account-2' }), 'remove');

  expect(approvals.unused()).toEqual([returned, never]);
});
