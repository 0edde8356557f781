/** How long failed attempts make the next one wait, and which rejections are failed attempts. */
import { expect, test } from 'vitest';
import type { RejectionReason } from '../../lib/directory/directory.ts';
import { addFailure, countsAsFailure, delayAfter } from '../../lib/login/throttle.ts';
import { NOW } from '../support/people.ts';

test.each([
  [0, 0],
  [1, 0],
  [4, 0],
  [5, 30],
  [6, 60],
  [7, 120],
  [8, 240],
  [9, 480],
  [10, 900],
  [11, 900],
  [10_000, 900],
])('after %i failures the next attempt waits %i seconds', (failures, seconds) => {
  expect(delayAfter(failures)).toBe(seconds);
});

test.each([
  [0, '2026-05-04T10:00:00.000Z'],
  [3, '2026-05-04T10:00:00.000Z'],
  [4, '2026-05-04T10:00:30.000Z'],
  [9, '2026-05-04T10:15:00.000Z'],
])('one more failure after %i blocks until %s, however long the former ones did', (failures, blockedUntil) => {
  for (const former of ['1970-01-01T00:00:00.000Z', '2026-05-04T12:00:00.000Z']) {
    expect(addFailure({ failures, blockedUntil: former }, NOW)).toEqual({ failures: failures + 1, blockedUntil });
  }
});

const COUNTS: Readonly<Record<Exclude<RejectionReason, 'throttled'>, boolean>> = {
  invalidCredentials: true,
  accountLocked: true,
  accountDisabled: true,
  notPermitted: true,
  passwordExpired: false,
  passwordMustChange: false,
  accountExpired: false,
};

test.each(Object.entries(COUNTS))('a rejection with %s counts as a failure: %s', (reason, counts) => {
  expect(countsAsFailure(reason as RejectionReason)).toBe(counts);
});
