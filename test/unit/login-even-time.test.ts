/** What the time of an answer tells: refusals cost the same steps, one hash at most, and come at even times. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import type { OpenDirectory } from '../../lib/directory/directory.ts';
import type { ServiceError } from '../../lib/errors.ts';
import { createLogin } from '../../lib/login/login.ts';
import type { Login } from '../../lib/login/login.ts';
import { createSignIn } from '../../lib/login/sign-in.ts';
import type { SignIn } from '../../lib/login/sign-in.ts';
import { hashPassword } from '../../lib/user/password.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import { unreachable } from '../support/memory-directory.ts';
import { anEntry, aUser } from '../support/people.ts';

const crypto = vi.hoisted(() => ({ hashes: 0 }));
vi.mock('node:crypto', async (load) => {
  const real = await load<{ readonly argon2: (...given: unknown[]) => void }>();
  const argon2 = (...given: unknown[]): void => {
    crypto.hashes += 1;
    real.argon2(...given);
  };
  return { ...real, argon2 };
});

const HASH = await hashPassword('right password');
/** How long the directory takes for a bind, in milliseconds. */
const BIND_MS = 18;

let house: House;
let login: Login;
let signIn: SignIn;
let pauses: number[];
/** Milliseconds on the clock since the test began, with the pauses. */
let spent: number;
let bindMs: number;

beforeEach(async () => {
  house = await startHouse();
  bindMs = BIND_MS;
  pauses = [];
  spent = 0;
  const pass = (ms: number): void => {
    spent += ms;
    house.passSeconds(ms / 1_000);
  };
  house.directory.people = [
    { entry: anEntry('1', { uid: ['anna'] }), password: 'right password' },
    { entry: anEntry('2', { uid: ['off'] }), password: 'right password' },
    { entry: anEntry('3', { uid: ['none'] }), password: 'right password' },
    { entry: anEntry('4', { uid: ['gone'] }), password: 'right password' },
    { entry: anEntry('5', { uid: ['contested'] }), password: 'right password' },
  ];
  await house.run();
  house.directory.people = house.directory.people.filter(({ entry }) => entry.id !== '4');
  await house.edit('off', { disabledBy: 'admin' });
  await house.edit('none', { privileges: ['none'] });
  const contested = (await house.user('contested'))!.directory!;
  await house.edit('contested', { directory: { ...contested, contestedBy: '55' } });
  const own = { authentication: 'integrated', directory: null } as const;
  await house.create(aUser({ ...own, id: 'own', userName: 'carl', passwordHash: HASH }));
  await house.create(aUser({ ...own, id: 'bare', userName: 'dora' }));
  await house.create(aUser({ ...own, id: 'ada', userName: 'ada', privileges: ['admin'], passwordHash: HASH }));
  await house.create(aUser({ id: 'hand', userName: 'hand', directory: null }));

  const open: OpenDirectory = (settings) => {
    const usual = house.directory.open(settings);
    return {
      ...usual,
      async verifyPassword(...attempt) {
        pass(bindMs);
        return usual.verifyPassword(...attempt);
      },
    };
  };
  const { logins, settings, clock } = house.ports;
  const pause = async (ms: number): Promise<void> => {
    pauses.push(ms);
    pass(ms);
  };
  login = createLogin({ logins, directory: keepDirectory(settings, open, clock), clock, pause });
  signIn = createSignIn({ ...house.ports, login, readGeneratedPassword: async () => 'generated password' });
  crypto.hashes = 0;
});

const REFUSED = ['nobody', 'anna', 'off', 'none', 'gone', 'hand', 'carl', 'dora'];

describe('a refusal after a look at the password', () => {
  test.each([
    [18, 500],
    [499, 500],
    [501, 1_000],
    [1_700, 2_000],
  ])('comes at the next multiple of 500 ms: a bind of %i ms after %i ms', async (ms, answerMs) => {
    bindMs = ms;
    expect(await login.logIn('anna', 'wrong')).toMatchObject({ outcome: 'rejected' });
    expect(spent).toBe(answerMs);
  });

  test.each([...REFUSED, 'contested'])('comes after 500 ms for %s, as for everybody else', async (name) => {
    expect(await login.logIn(name, 'wrong')).toMatchObject({ outcome: 'rejected' });
    expect(spent).toBe(500);
    expect(pauses).toHaveLength(1);
  });

  test('costs one bind and one look-up, or one hash, and never both', async () => {
    const costs: Record<string, unknown> = {};
    for (const name of REFUSED) {
      const { binds, findDn } = house.directory.calls;
      const before = { binds: binds.length, findDn };
      crypto.hashes = 0;
      await login.logIn(name, 'wrong');
      const now = house.directory.calls;
      costs[name] = [now.binds.length - before.binds, now.findDn - before.findDn, crypto.hashes];
    }
    expect(costs).toEqual({
      nobody: [1, 1, 0],
      anna: [1, 1, 0],
      off: [1, 1, 0],
      none: [1, 1, 0],
      gone: [1, 1, 0],
      hand: [1, 1, 0],
      carl: [0, 0, 1],
      dora: [0, 0, 1],
    });
  });

  test('costs one hash, whoever it is, where there is no directory', async () => {
    const bare = await startHouse({ configured: false });
    await bare.create(aUser({ userName: 'carl', authentication: 'integrated', directory: null, passwordHash: HASH }));
    const { logins, settings, clock } = bare.ports;
    const directory = keepDirectory(settings, bare.directory.open, clock);
    const alone = createLogin({ logins, directory, clock, pause: async () => {} });
    for (const name of ['nobody', 'carl']) {
      crypto.hashes = 0;
      expect(await alone.logIn(name, 'wrong')).toEqual({ outcome: 'rejected', reason: 'invalidCredentials' });
      expect(crypto.hashes).toBe(1);
    }
  });

  test('waits half a second at most, if the clock is set back meanwhile', async () => {
    bindMs = -3_600_018;
    await login.logIn('anna', 'wrong');
    expect(pauses).toEqual([18]);
  });
});

describe('what is answered at once', () => {
  test('an accepted login', async () => {
    await login.logIn('anna', 'right password');
    expect(pauses).toEqual([]);
  });

  test('what can be no login', async () => {
    await login.logIn('anna', '');
    await login.logIn('an\u0000na', 'x');
    expect(pauses).toEqual([]);
  });

  test('a throttled login', async () => {
    for (let attempt = 0; attempt < 5; attempt += 1) await login.logIn('anna', 'wrong');
    expect(await login.logIn('anna', 'wrong')).toMatchObject({ reason: 'throttled' });
    expect(pauses).toHaveLength(5);
  });

  const mishaps: readonly [name: string, happen: () => void][] = [
    ['every server is away', () => (house.directory.fault = unreachable())],
    ['no bind is answered', () => (house.directory.silent = unreachable())],
    ['the reader is away', () => (house.directory.findDnFault = unreachable())],
    ['the reader sees nobody', () => void house.directory.hiddenAttributes.add('entryuuid')],
  ];

  test.each(mishaps)('a fault, of equal cost for all whose password the directory has: %s', async (_name, happen) => {
    happen();
    const costs = new Map<string, unknown>();
    // Whoever is not tied yet is looked for by name first, and the reader fails already there.
    for (const name of REFUSED.filter((each) => !['hand', 'carl', 'dora'].includes(each))) {
      const { binds, findDn } = house.directory.calls;
      const before = { binds: binds.length, findDn };
      const fault = await login.logIn(name, 'wrong').catch((error: unknown) => error);
      const { code, message } = fault as ServiceError;
      const now = house.directory.calls;
      const kept = (await house.ports.logins.find(name, null)).attempts.name;
      const counted = kept?.attempts.map(({ verdict }) => verdict);
      costs.set(name, [code, message, now.binds.length - before.binds, now.findDn - before.findDn, counted]);
    }
    expect(costs.get('nobody')).toContain('directoryUnavailable');
    for (const [name, cost] of costs) expect([name, cost]).toEqual([name, costs.get('nobody')]);
    expect(pauses).toEqual([]);
  });

  test('a test by an administrator, which counts nothing', async () => {
    await login.checkPassword('anna', 'wrong');
    await login.checkPassword('contested', 'wrong');
    expect(pauses).toEqual([]);
  });
});

describe('a sign-in', () => {
  test.each<[name: string, password: string]>([
    ...REFUSED.map((name): [string, string] => [name, 'wrong']),
    // Right passwords, of people who are no administrators.
    ['anna', 'right password'],
    ['carl', 'right password'],
    // The first administrator is made by another password, which is read from somewhere else.
    ['admin', 'wrong'],
  ])('that is refused comes after 500 ms, with one hash at most: %s, %s', async (name, password) => {
    expect(await signIn.signIn(name, password)).toBeNull();
    expect(spent).toBe(500);
    expect(crypto.hashes).toBeLessThanOrEqual(1);
  });

  test('counts what it does before the login as time spent', async () => {
    const readGeneratedPassword = async (): Promise<string> => {
      house.passSeconds(0.03);
      spent += 30;
      return 'generated password';
    };
    signIn = createSignIn({ ...house.ports, login, readGeneratedPassword });
    expect(await signIn.signIn('admin', 'wrong')).toBeNull();
    expect(pauses).toEqual([500 - 30 - BIND_MS]);
  });

  test('of an administrator is answered at once', async () => {
    expect(await signIn.signIn('ada', 'right password')).not.toBeNull();
    expect(pauses).toEqual([]);
    expect(crypto.hashes).toBe(1);
  });
});
