/**
 * Says which withheld lines an approval of a whole run covers, what the approval of a line is, and what identifies a
 * proposal. Stores nothing and starts no run.
 */
import { addressKey } from '../user/email-address.ts';
import type { Approval } from './approval-store.ts';
import type { Change, FieldValue, Proposal } from './run.ts';

/**
 * Whether a line that proposes `link` seems to be about the same person: the full name, or at least one e-mail address,
 * is the same before and after. Otherwise a newcomer may have been given a leaver's user name, so an administrator has
 * to name the user.
 *
 * A line that proposes `link` has these `fields`, each with `from` and `to`, EVEN IF THEY ARE EQUAL:
 *
 * - `directory.id`: the unique id that the user is linked to, and the one of the newcomer (text);
 * - `directory.dn`: the DN of the user, and the one of the newcomer (text);
 * - `fullName`: the stored one, and the one of the newcomer (text or null);
 * - `emailAddresses`: the stored ones, and those of the newcomer (list of text).
 *
 * A missing field never agrees; nor do two empty ones. Letter case and repeated spaces do not matter.
 */
export function agreesByItself({ fields: { fullName, emailAddresses } = {} }: Change): boolean {
  return [fullName, emailAddresses].some((field) => field !== undefined && haveInCommon(field.from, field.to));
}

function haveInCommon(before: FieldValue, after: FieldValue): boolean {
  const keys = new Set(keysOf(before));
  return keysOf(after).some((key) => keys.has(key));
}

function keysOf(value: FieldValue): readonly string[] {
  return [value]
    .flat()
    .filter((text) => typeof text === 'string')
    .map((text) => addressKey(text.replaceAll(/\s+/gu, ' ')))
    .filter((key) => key !== '');
}

/** The directory id that a line proposes to link its user to; null if the line proposes something else. */
export function proposedLink({ proposes, fields = {} }: Change): string | null {
  const to = fields['directory.id']?.to;
  return proposes === 'link' && typeof to === 'string' ? to : null;
}

/** A withheld line that can be approved. */
export type ProposalLine = Change & { readonly userId: string; readonly proposes: Proposal };

/** The approval of a line. `given`: which run told it, and who approves it when. */
export function toApproval(
  line: ProposalLine,
  given: Pick<Approval, 'runId' | 'approvedBy' | 'approvedAt' | 'approvalScope'>,
): Approval {
  const { userId, proposes, fields = {} } = line;
  const cleared = proposes === 'clear' ? { fields: Object.keys(fields) } : {};
  return { userId, proposes, directoryId: proposedLink(line), ...cleared, ...given };
}

/** Identifies a proposal: a user has at most one of each kind, and one approval for each. */
export function proposalKey({ userId, proposes }: { readonly userId: string; readonly proposes: Proposal }): string {
  return `${proposes} ${userId}`;
}
