/** The short form of the simulated day: two hours. `npm run login-day` simulates a whole one. */
import { expect, test } from 'vitest';
import { simulateDay } from '../bench/login-day.ts';

test.each([
  [1, 1],
  [1, 10_000],
  [50, 1],
  [50, 10_000],
])(
  'a stranger who guesses %i times a second from %i addresses keeps nobody out of a known device, and tries 5 passwords in 15 minutes',
  { timeout: 60_000 },
  async (guessesASecond, addresses) => {
    const day = await simulateDay({ guessesASecond, addresses, hours: 2 });

    expect(day.guesses).toBe(2 * 3_600 * guessesASecond);
    expect(day.known).toEqual({ tried: 120, accepted: 120 });
    expect(day.fresh.tried).toBe(12);
    expect(day.mostInWindow).toBe(5);
    expect(day.reached).toBe(5 * 8);
    expect(day.minutesAfter).toBeLessThanOrEqual(15);
  },
);
