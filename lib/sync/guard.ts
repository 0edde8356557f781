/**
 * The guard: how many users may lose access, data or a mark within a window of hours. Pure: counts what the store
 * remembers and what a run wants, and decides for all of one kind together. Knows no user.
 */
import type { OptionSettings } from '../settings/settings.ts';
import type { GuardCounter, GuardHour } from './run-journal.ts';

/** The guard of one run. */
export interface Guard {
  /**
   * Why this many more changes of a kind must not be carried out, as a clause for an administrator; null if they may.
   */
  refusal(counter: GuardCounter, wanted: number): string | null;
  /** How many users a limit is a percentage of. */
  readonly known: number;
  /** How many changes of one kind may be carried out within the window. */
  readonly allowed: number;
}

const WHAT: Readonly<Record<Exclude<GuardCounter, 'approved'>, string>> = {
  absence: 'disabled or deleted for being absent',
  mark: 'disabled by a mark of the directory',
  fullName: 'left without their full name',
  emailAddresses: 'left without their e-mail addresses',
  enable: 'enabled because their mark is absent',
};

/**
 * Opens the guard.
 *
 * @param hours the guard's memory of the window, in order of time
 * @param knownNow directory users known in this run
 */
export function openGuard(hours: readonly GuardHour[], knownNow: number, limit: OptionSettings['removalLimit']): Guard {
  const known = Math.max(knownNow, mostKnown(hours));
  const allowed = Math.floor(Math.max(limit.atLeast, (known * limit.percent) / 100));
  return {
    known,
    allowed,
    refusal(counter, wanted) {
      if (counter === 'approved' || wanted === 0) return null;
      const before = hours.reduce((sum, { counts }) => sum + counts[counter], 0);
      if (before + wanted <= allowed) return null;
      return (
        `${wanted} of ${known} users would be ${WHAT[counter]}` +
        `${before > 0 ? `, after ${before} in the last ${limit.windowHours} hours` : ''}; ` +
        `the limit is ${allowed} within ${limit.windowHours} hours (${limit.percent} %, at least ${limit.atLeast})`
      );
    },
  };
}

/** The most users known at any time, without those that were removed by approval since. */
function mostKnown(hours: readonly GuardHour[]): number {
  let most = 0;
  let approvedSince = 0;
  for (const { known, counts } of hours.toReversed()) {
    approvedSince += counts.approved;
    most = Math.max(most, known - approvedSince);
  }
  return most;
}
