/** The guard's arithmetic: how many changes of a kind may be carried out, given what was done before. */
import { describe, expect, test } from 'vitest';
import { openGuard } from '../../lib/sync/guard.ts';
import { GUARD_COUNTERS } from '../../lib/sync/run-journal.ts';
import type { GuardCounter, GuardHour } from '../../lib/sync/run-journal.ts';

const NONE = { absence: 0, mark: 0, fullName: 0, emailAddresses: 0, enable: 0, approved: 0 };
const LIMITED = GUARD_COUNTERS.filter((counter) => counter !== 'approved');

let hours = 0;
const anHour = (known: number, counts: Partial<Record<GuardCounter, number>> = {}): GuardHour => ({
  hour: new Date(Date.UTC(2026, 4, 4, (hours += 1))).toISOString(),
  counts: { ...NONE, ...counts },
  known,
});

const limitOf = (percent: number, atLeast: number, windowHours = 24) => ({ percent, atLeast, windowHours });

describe('the limit', () => {
  test.each([
    { percent: 10, atLeast: 0, known: 40, most: 4 },
    { percent: 10, atLeast: 3, known: 40, most: 4 },
    { percent: 10, atLeast: 4, known: 40, most: 4 },
    { percent: 10, atLeast: 5, known: 40, most: 5 },
    { percent: 10, atLeast: 0, known: 49, most: 4 },
    { percent: 10, atLeast: 0, known: 50, most: 5 },
    { percent: 10, atLeast: 3, known: 21, most: 3 },
    { percent: 1, atLeast: 0, known: 99, most: 0 },
    { percent: 1, atLeast: 1, known: 99, most: 1 },
    { percent: 0, atLeast: 2, known: 1_000, most: 2 },
    { percent: 0, atLeast: 0, known: 1_000, most: 0 },
    { percent: 50, atLeast: 0, known: 0, most: 0 },
    { percent: 100, atLeast: 0, known: 100, most: 100 },
  ])('of $percent %, at least $atLeast, of $known users lets $most go and withholds one more', (row) => {
    const { percent, atLeast, known, most } = row;
    const guard = openGuard([], known, limitOf(percent, atLeast));

    expect([guard.allowed, guard.known]).toEqual([most, known]);
    expect(guard.refusal('absence', most)).toBeNull();
    const refusal = guard.refusal('absence', most + 1);
    for (const figure of [`${most + 1} of ${known} `, `limit is ${most} `, `${percent} %`, `at least ${atLeast}`]) {
      expect(refusal).toContain(figure);
    }
  });

  test.each(LIMITED)('of %s counts all hours of the window, and no other kind', (counter) => {
    const others = Object.fromEntries(GUARD_COUNTERS.filter((each) => each !== counter).map((each) => [each, 50]));
    const memory = [anHour(40, { ...others, [counter]: 1 }), anHour(0, { ...others, [counter]: 2 })];
    const guard = openGuard(memory, 40, limitOf(10, 3, 48));

    expect(guard.refusal(counter, 1)).toBeNull();
    expect(guard.refusal(counter, 2)).toMatch(
      /^2 of 40 .*after 3 in the last 48 hours; the limit is 4 within 48 hours/,
    );
  });

  test('is no limit for nobody, nor for what was approved', () => {
    const full = openGuard([anHour(10, { absence: 10 })], 10, limitOf(0, 0));

    expect(full.refusal('absence', 0)).toBeNull();
    expect(full.refusal('approved', 1_000)).toBeNull();
  });

  test('names each kind in words of its own', () => {
    const guard = openGuard([], 10, limitOf(0, 0));
    expect(new Set(LIMITED.map((counter) => guard.refusal(counter, 1))).size).toBe(LIMITED.length);
  });
});

describe('the number of users that the limit is a percentage of', () => {
  test.each<[name: string, memory: GuardHour[], now: number, known: number]>([
    ['is that of now where nothing is remembered', [], 70, 70],
    ['is the most within the window', [anHour(90), anHour(100), anHour(80)], 70, 100],
    ['is that of now where more have come', [anHour(90)], 120, 120],
    [
      'leaves out those removed by approval since',
      [anHour(100, { approved: 20 }), anHour(60, { approved: 10 })],
      60,
      70,
    ],
    ['keeps those removed by approval before', [anHour(100, { approved: 40 }), anHour(60)], 60, 60],
    ['keeps those that were removed within the limit', [anHour(100, { absence: 10 }), anHour(90)], 90, 100],
    ['is never less than now', [anHour(10, { approved: 50 })], 5, 5],
    ['ignores hours that nobody has counted in', [anHour(100), anHour(0, { absence: 3 })], 97, 100],
  ])('%s', (_name, memory, now, known) => {
    expect(openGuard(memory, now, limitOf(10, 3)).known).toBe(known);
  });
});
