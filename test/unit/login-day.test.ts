/** The short form of the simulated day: two hours. `npm run login-day` simulates a whole one. */
import { expect, test } from 'vitest';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { createLogin } from '../../lib/login/login.ts';
import { createSignIn } from '../../lib/login/sign-in.ts';
import { simulateDay } from '../bench/login-day.ts';
import { startHouse } from '../support/house.ts';

test.each([
  [1, 1],
  [1, 10_000],
  [50, 1],
  [50, 10_000],
])(
  'a stranger who guesses %i times a second from %i addresses has 5 tries in 15 minutes, and the owner gets in',
  { timeout: 60_000 },
  async (guessesASecond, addresses) => {
    const day = await simulateDay({ guessesASecond, addresses, hours: 2 });

    expect(day.guesses).toBe((2 * 3_600 + 60) * guessesASecond);
    expect(day.known).toEqual({ tried: 121, accepted: 121 });
    expect(day.fresh.tried).toBe(12);
    expect(day.mostInWindow).toBe(5);
    expect(day.reached).toBe(5 * 9);
    expect(day.minutesAfter).toBeGreaterThan(13);
    expect(day.minutesAfter).toBeLessThanOrEqual(15);
  },
);

test('an administrator signs in from a known address, however often strangers try the name', async () => {
  const house = await startHouse();
  const { users, logins, sessions, settings, clock } = house.ports;
  const directory = keepDirectory(settings, house.directory.open, clock);
  const login = createLogin({ logins, directory, clock, pause: async () => {} });
  const signIns = createSignIn({ users, sessions, login, readGeneratedPassword: async () => 'generated', clock });
  const throttled = { code: 'throttled' };
  expect(await signIns.signIn('admin', 'generated', '192.0.2.1')).not.toBeNull();

  for (let minute = 0; minute < 31; minute += 1) {
    for (let guess = 0; guess < 6; guess += 1, house.passSeconds(10)) {
      const guessed = signIns.signIn('ADMIN', 'guess', `198.51.100.${guess}`);
      if (minute % 15 === 0 && guess < 5) expect(await guessed).toBeNull();
      else await expect(guessed).rejects.toMatchObject(throttled);
    }
    if (minute % 5 > 0) continue;
    expect(await signIns.signIn('admin', 'generated', '192.0.2.1')).not.toBeNull();
    await expect(signIns.signIn('admin', 'generated', '203.0.113.5')).rejects.toMatchObject(throttled);
  }

  house.passSeconds(14 * 60);
  expect(await signIns.signIn('admin', 'generated', '203.0.113.5')).not.toBeNull();
});
