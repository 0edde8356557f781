/**
 * The removal guard: which users a run may disable or delete before a person has looked. Pure.
 */
import type { Removal } from './plan.ts';
import type { OptionSettings } from '../settings/settings.ts';

export interface GuardInput {
  readonly removals: readonly Removal[];
  /** Whether there is the proof that everybody in scope was read. */
  readonly complete: boolean;
  /** Users tied to an entry of the directory, without those that have been missing for long and are settled. */
  readonly known: number;
  /** Entries that the directory answered with. */
  readonly read: number;
  readonly limit: OptionSettings['removalLimit'];
  /** Account ids whose removal an administrator has approved. */
  readonly approved: ReadonlySet<string>;
}

export interface GuardDecision {
  readonly allowed: readonly Removal[];
  readonly withheld: readonly Removal[];
  /** Why some are withheld, as a sentence for an administrator; null when none are. */
  readonly reason: string | null;
}

/**
 * All removals or none, but for those that were approved one by one; none at all, approved or not, without a complete read
 * or when nobody was read.
 */
export function guardRemovals({ removals, complete, known, read, limit, approved }: GuardInput): GuardDecision {
  if (!complete && removals.length > 0) {
    return { allowed: [], withheld: removals, reason: 'not everybody in scope could be read' };
  }
  if (read === 0 && removals.length > 0) {
    return { allowed: [], withheld: removals, reason: 'the directory answered with nobody at all' };
  }
  const unapproved = removals.filter(({ user }) => !approved.has(user.id));
  const reason = withholdingReason(unapproved.length, known, limit);
  if (reason === null) return { allowed: removals, withheld: [], reason };
  return { allowed: removals.filter(({ user }) => approved.has(user.id)), withheld: unapproved, reason };
}

function withholdingReason(removals: number, known: number, limit: OptionSettings['removalLimit']): string | null {
  const allowed = Math.max(limit.atLeast, (known * limit.percent) / 100);
  if (removals <= allowed) return null;
  return (
    `${removals} of ${known} users would be disabled or deleted; ` +
    `the limit is ${Math.floor(allowed)} (${limit.percent} %, at least ${limit.atLeast})`
  );
}
