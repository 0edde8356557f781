/**
 * A day in which a stranger guesses at one name while its owner logs in: `npm run login-day` prints how often the owner
 * got in, and how many guesses reached the directory. The clock is simulated, the login and the throttle are real, the
 * stores and the directory are in memory.
 */
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { createLogin } from '../../lib/login/login.ts';
import { startHouse } from '../support/house.ts';
import { anEntry } from '../support/people.ts';

/** Who guesses, and for how long. */
export interface Stranger {
  readonly guessesASecond: number;
  /** Addresses from which the guesses come, in turn. */
  readonly addresses: number;
  readonly hours: number;
}

/** How often the owner tried to log in with the right password, and how often that worked. */
export interface Share {
  readonly tried: number;
  readonly accepted: number;
}

/** What came of it. */
export interface LoginDay {
  readonly guesses: number;
  /** Guesses that the directory was asked about. */
  readonly reached: number;
  /** The most of them within any 15 minutes. */
  readonly mostInWindow: number;
  /** The owner's logins, one a minute, from a device that was used before the stranger came. */
  readonly known: Share;
  /** The owner's logins, one in ten minutes, each from a device that the name does not know. */
  readonly fresh: Share;
  /** Minutes until such a device gets in after the guessing has stopped, with a login a minute and at 15 minutes. */
  readonly minutesAfter: number;
}

const MINUTE_MS = 60_000;
const WINDOW_MS = 15 * MINUTE_MS;
const RIGHT = 'right';

/** Simulates the time with the stranger, and the time after it until the owner gets in from a new device. */
export async function simulateDay({ guessesASecond, addresses, hours }: Stranger): Promise<LoginDay> {
  const house = await startHouse();
  house.directory.people = [{ entry: anEntry('1', { uid: ['anna'] }), password: RIGHT }];
  await house.run();
  const start = house.ports.clock.now().getTime();
  let time = start;
  const clock = { now: () => new Date(time) };
  const reached: number[] = [];
  const directory = keepDirectory(
    house.ports.settings,
    () => {
      const open = house.directory.open();
      return {
        ...open,
        async verifyPassword(dn, password, whenAccepted) {
          if (password !== RIGHT) reached.push(time);
          return await open.verifyPassword(dn, password, whenAccepted);
        },
      };
    },
    clock,
  );
  const login = createLogin({ logins: house.ports.logins, directory, clock, pause: async () => {} });
  let devices = 0;
  const isIn = async (source: string): Promise<boolean> =>
    (await login.logIn('anna', RIGHT, source)).outcome === 'accepted';
  const known = { tried: 0, accepted: 0 };
  const fresh = { tried: 0, accepted: 0 };
  const logIn = async (share: { tried: number; accepted: number }, source: string): Promise<void> => {
    share.tried += 1;
    if (await isIn(source)) share.accepted += 1;
  };

  await isIn('desk');
  let guesses = 0;
  // A minute longer: the worst moment for the owner is when guesses have just used up the budget.
  for (let minute = 0; minute <= hours * 60; minute += 1) {
    const begin = start + minute * MINUTE_MS;
    // At another moment of every minute, so that no rhythm favours anybody.
    const turn = Math.floor((minute * 0.618 * 60 * guessesASecond) % (60 * guessesASecond));
    for (let guess = 0; guess < 60 * guessesASecond; guess += 1) {
      time = begin + (guess * 1_000) / guessesASecond;
      guesses += 1;
      await login.logIn('anna', 'guess', `stranger-${guesses % addresses}`);
      if (guess !== turn) continue;
      time += 500 / guessesASecond;
      await logIn(known, 'desk');
      if (minute % 10 === 5) await logIn(fresh, `device-${(devices += 1)}`);
    }
  }
  const stopped = time;
  while (!(await isIn('last device'))) time += MINUTE_MS;
  return {
    guesses,
    reached: reached.length,
    mostInWindow: mostWithin(reached, WINDOW_MS),
    known,
    fresh,
    minutesAfter: (time - stopped) / MINUTE_MS,
  };
}

/** The most of these times, which are in order, within any span of this length. */
function mostWithin(times: readonly number[], spanMs: number): number {
  let first = 0;
  return times.reduce((most, at, last) => {
    while (times[first]! <= at - spanMs) first += 1;
    return Math.max(most, last - first + 1);
  }, 0);
}

function percent({ tried, accepted }: Share): string {
  return `${((100 * accepted) / tried).toFixed(1)} % of ${tried}`;
}

async function printDays(): Promise<void> {
  console.log(
    '| stranger | addresses | guesses | reached the directory | most in 15 minutes | owner, known source | ' +
      'owner, new source | new source after it stops |',
  );
  console.log('|---|---|---|---|---|---|---|---|');
  for (const guessesASecond of [1, 50]) {
    for (const addresses of [1, 10_000]) {
      const day = await simulateDay({ guessesASecond, addresses, hours: 24 });
      const cells = [
        `${guessesASecond}/s`,
        addresses.toLocaleString('en'),
        day.guesses.toLocaleString('en'),
        day.reached,
        day.mostInWindow,
        percent(day.known),
        percent(day.fresh),
        `${day.minutesAfter} min`,
      ];
      console.log(`| ${cells.join(' | ')} |`);
      if (day.known.accepted < day.known.tried || day.mostInWindow > 5 || day.minutesAfter > 15) process.exitCode = 1;
    }
  }
}

if (import.meta.main) await printDays();
