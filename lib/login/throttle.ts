/** How long failed attempts make the next one wait. Pure: counts and times in, times out. Knows neither store nor password. */
import type { RejectionReason } from '../directory/directory.ts';
import type { Attempts } from './login-store.ts';

/** Failures that cost nothing yet; from this one on the next attempt has to wait. */
const FREE_FAILURES = 5;
const FIRST_DELAY_SECONDS = 30;
const MAX_DELAY_SECONDS = 15 * 60;

/** Failures are forgotten this long after the first one, in milliseconds. */
export const FAILURES_KEPT_MS = 60 * 60 * 1000;

/**
 * Seconds to wait after so many failures: 0 up to four, then 30, 60, 120 ... 900. At most nine attempts fit into 15 minutes,
 * which stays below the ten that directories commonly lock an account at.
 */
export function delayAfter(failures: number): number {
  if (failures < FREE_FAILURES) return 0;
  return Math.min(FIRST_DELAY_SECONDS * 2 ** (failures - FREE_FAILURES), MAX_DELAY_SECONDS);
}

/** The attempts as they stand once one more has failed. */
export function addFailure({ failures }: Attempts, now: Date): Attempts {
  const count = failures + 1;
  return { failures: count, blockedUntil: new Date(now.getTime() + delayAfter(count) * 1_000).toISOString() };
}

/** Whether a rejection may have been a guess. An expired password or account means that the password was right. */
export function countsAsFailure(reason: RejectionReason): boolean {
  return reason !== 'passwordExpired' && reason !== 'passwordMustChange' && reason !== 'accountExpired';
}
