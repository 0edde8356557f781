/** How long failed attempts delay the next one. Pure: computes times from counts. Knows neither store nor password. */
import type { RejectionReason } from '../directory/directory.ts';
import type { Attempts } from './login-store.ts';

/** Fewer failures cause no delay; from this one on, the next attempt must wait. */
const FREE_FAILURES = 5;
const FIRST_DELAY_SECONDS = 30;
const MAX_DELAY_SECONDS = 15 * 60;

/** How long failures are remembered after the first one, in milliseconds. */
export const FAILURES_KEPT_MS = 60 * 60 * 1000;

/**
 * Seconds to wait after this many failures: 0 for up to four, then 30, 60, 120 ... 900. At most nine attempts fit into
 * 15 minutes, fewer than the ten after which directories commonly lock an account.
 */
export function delayAfter(failures: number): number {
  if (failures < FREE_FAILURES) return 0;
  return Math.min(FIRST_DELAY_SECONDS * 2 ** (failures - FREE_FAILURES), MAX_DELAY_SECONDS);
}

/** The attempts after one more failure. */
export function addFailure({ failures }: Attempts, now: Date): Attempts {
  const count = failures + 1;
  return { failures: count, blockedUntil: new Date(now.getTime() + delayAfter(count) * 1_000).toISOString() };
}

/**
 * Whether a rejection may have been a guess. An expired password, one that must be changed, or an expired account means
 * that the password was right.
 */
export function countsAsFailure(reason: RejectionReason): boolean {
  return reason !== 'passwordExpired' && reason !== 'passwordMustChange' && reason !== 'accountExpired';
}
