import { beforeEach, describe, expect, test } from 'vitest';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import type { Directory } from '../../lib/directory/directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import { createLogin } from '../../lib/login/login.ts';
import type { Login, LoginOutcome } from '../../lib/login/login.ts';
import { createSession, endSession, readSession, SESSION_SECONDS } from '../../lib/login/session.ts';
import { createSignIn, FIRST_ADMINISTRATOR } from '../../lib/login/sign-in.ts';
import type { SignIn } from '../../lib/login/sign-in.ts';
import { hashPassword } from '../../lib/user/password.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import { unreachable } from '../support/memory-directory.ts';
import { anEntry, aUser } from '../support/people.ts';

const GENERATED = 'generated password';
const HASH = await hashPassword('right password');

let house: House;
let signIn: SignIn;

function signInWith(login: Login): SignIn {
  return createSignIn({ ...house.ports, login, readGeneratedPassword: async () => GENERATED });
}

beforeEach(async () => {
  house = await startHouse();
  // A reader that sees nobody would prove nothing about unknown names.
  house.directory.people = [{ entry: anEntry('9', { uid: ['zoe'] }) }];
  const { settings, logins, clock } = house.ports;
  const directory = keepDirectory(settings, house.directory.open, clock);
  signIn = signInWith(createLogin({ logins, directory, clock, pause: async () => {} }));
});

const anIntegrated = (over: Parameters<typeof aUser>[0]) =>
  aUser({ authentication: 'integrated', directory: null, passwordHash: HASH, ...over });

describe('the sign-in', () => {
  test('opens a session for an administrator, for as long as sessions last', async () => {
    await house.create(anIntegrated({ userName: 'ada', privileges: ['admin'] }));

    const session = (await signIn.signIn('ada', 'right password'))!;

    expect(session.user).toMatchObject({ userName: 'ada', privileges: ['admin'] });
    expect(SESSION_SECONDS).toBe(28_800);
    expect(Date.parse(session.expiresAt)).toBe(house.ports.clock.now().getTime() + 28_800_000);
    expect(await readSession(house.ports, session.token, house.ports.clock.now())).toMatchObject({
      user: { userName: 'ada' },
    });
  });

  test('gives one answer to everybody else: no such name, a wrong password, and no administrator', async () => {
    await house.create(anIntegrated({ userName: 'ada', privileges: ['admin'] }));
    await house.create(anIntegrated({ id: 'account-2', userName: 'bert' }));

    for (const [name, password] of [
      ['nobody', 'right password'],
      ['ada', 'wrong password'],
      ['bert', 'right password'],
    ] as const) {
      expect(await signIn.signIn(name, password)).toBeNull();
    }
  });

  test('during an outage of the directory is refused only for a password that is kept here', async () => {
    await house.create(anIntegrated({ userName: 'ada', privileges: ['admin'] }));
    await house.create(aUser({ id: 'account-2', userName: 'bert' }));
    house.directory.fault = unreachable();

    expect(await signIn.signIn('ada', 'wrong password')).toBeNull();
    for (const name of ['bert', 'nobody']) {
      await expect(signIn.signIn(name, 'wrong password')).rejects.toMatchObject({ code: 'directoryUnavailable' });
    }
  });

  test('verifies a password for whoever suits, and for nobody else', async () => {
    await house.create(anIntegrated({ userName: 'bert' }));
    const verify = (password: string, suits: boolean) => signIn.verifyPassword('bert', password, null, () => suits);

    expect(await verify('right password', true)).toMatchObject({ userName: 'bert' });
    expect(await verify('right password', false)).toBeNull();
    expect(await verify('wrong password', true)).toBeNull();
  });

  test.each<[whom: string, userName: string]>([
    ['nobody', 'nobody'],
    ['somebody who is no administrator', 'bert'],
    ['somebody without the privilege', 'carl'],
    ['a directory user', 'zoe'],
    ['a directory user whose password has expired', 'expired'],
    ['a directory user whose name a new entry has taken', 'contested'],
  ])('counts a right password like a wrong one, so that the count tells nothing: of %s', async (_, name) => {
    await house.create(anIntegrated({ id: 'account-2', userName: 'bert' }));
    await house.create(anIntegrated({ id: 'account-3', userName: 'carl', privileges: ['none'] }));
    house.directory.people = ['zoe', 'expired', 'contested'].map((uid) => ({
      entry: anEntry(uid, { uid: [uid] }, { dn: `uid=${uid},dc=example,dc=com` }),
      password: 'right password',
    }));
    await house.run();
    const { directory: link } = (await house.user('contested'))!;
    await house.edit('contested', { directory: { ...link!, contestedBy: '55' } });
    const { settings, logins, clock } = house.ports;
    const open = (): Directory => {
      const directory = house.directory.open();
      const verifyPassword: Directory['verifyPassword'] = async (dn, ...rest) =>
        dn.includes('expired')
          ? { kind: 'rejected', reason: 'passwordExpired' }
          : await directory.verifyPassword(dn, ...rest);
      return { ...directory, verifyPassword };
    };
    const directory = keepDirectory(settings, open, clock);
    signIn = signInWith(createLogin({ logins, directory, clock, pause: async () => {} }));

    for (let guess = 0; guess < 5; guess += 1) expect(await signIn.signIn(name, 'right password')).toBeNull();
    await expect(signIn.signIn(name, 'right password')).rejects.toMatchObject({ code: 'throttled' });
  });

  test.each(['ada', FIRST_ADMINISTRATOR])(
    'of %s from an address that has signed in lately always works, however often a stranger guesses',
    async (userName) => {
      await house.create(anIntegrated({ userName, privileges: ['admin'] }));
      expect(await signIn.signIn(userName, 'right password', '192.0.2.1')).not.toBeNull();
      for (let second = 1; second <= 1_200; second += 1) {
        house.passSeconds(1);
        await signIn.signIn(userName, 'guess', `198.51.100.${second % 200}`).catch(() => null);
        if (second % 60 === 0) expect(await signIn.signIn(userName, 'right password', '192.0.2.1')).not.toBeNull();
      }
      const elsewhere = () => signIn.signIn(userName, 'right password', '192.0.2.2');
      await expect(elsewhere()).rejects.toMatchObject({ code: 'throttled' });
      house.passSeconds(15 * 60);
      expect(await elsewhere()).not.toBeNull();
    },
    // Each guess that is let through hashes a password.
    60_000,
  );

  test('tells for how long a name is throttled', async () => {
    const outcomes: LoginOutcome[] = [
      { outcome: 'rejected', reason: 'throttled', retryAfterSeconds: 30 },
      { outcome: 'rejected', reason: 'throttled' },
    ];
    const throttled = signInWith({ logIn: async () => outcomes.shift()! } as Partial<Login> as Login);

    await expect(throttled.signIn('ada', 'x')).rejects.toMatchObject({ code: 'throttled', retryAfterSeconds: 30 });
    await expect(throttled.signIn('ada', 'x')).rejects.toMatchObject({
      code: 'throttled',
      retryAfterSeconds: 1,
      retryable: true,
    });
  });

  test('hides which server is down, and no other fault', async () => {
    const faults = [
      new ServiceError('directoryUnavailable', 'ldap1.internal: refused', { advice: 'Look at ldap1.' }),
      new ServiceError('storeUnavailable', 'DynamoDB: throttled'),
      new TypeError('a mistake in the code'),
    ];
    const failing = signInWith({ logIn: async () => Promise.reject(faults.shift()!) } as Partial<Login> as Login);

    const hidden = await failing.signIn('ada', 'x').catch((error: unknown) => error as ServiceError);
    expect(hidden).toMatchObject({ code: 'directoryUnavailable', retryable: true, advice: undefined });
    expect((hidden as ServiceError).message).not.toContain('ldap1');
    await expect(failing.signIn('ada', 'x')).rejects.toMatchObject({ code: 'storeUnavailable' });
    await expect(failing.signIn('ada', 'x')).rejects.toThrow(TypeError);
  });
});

describe('the first administrator', () => {
  test('is made by the generated password alone, under its own name alone', async () => {
    expect(await signIn.signIn('admin2', GENERATED)).toBeNull();
    expect(await signIn.signIn(FIRST_ADMINISTRATOR, 'another password')).toBeNull();
    expect(await house.users()).toEqual([]);

    expect(await signIn.signIn('ADMIN', GENERATED)).toMatchObject({ user: { userName: 'admin' } });
    expect(await house.user('admin')).toMatchObject({
      fullName: null,
      emailAddresses: [],
      authentication: 'integrated',
      privileges: ['admin'],
      version: 1,
    });
  });

  test('is not made where the name or the office is taken', async () => {
    await house.create(anIntegrated({ userName: 'admin', privileges: ['login'] }));
    expect(await signIn.signIn('admin', GENERATED)).toBeNull();

    house = await startHouse();
    await house.create(anIntegrated({ userName: 'ada', privileges: ['admin'] }));
    expect(await signIn.signIn('admin', GENERATED)).toBeNull();
    expect(await house.user('admin')).toBeNull();
  });

  test('is the way back in when the directory was reloaded and contests every administrator', async () => {
    const reloaded = (id: string): void => {
      house.directory.people = [{ entry: anEntry(id, { uid: ['ada'], cn: ['Ada'] }) }];
    };
    reloaded('old');
    await house.run();
    await house.edit('ada', { privileges: ['admin'] });
    expect(await signIn.signIn('admin', GENERATED)).toBeNull();

    reloaded('new');
    expect(await house.run()).toMatchObject({ totals: { withheld: 1 } });

    expect(await signIn.signIn('admin', GENERATED)).toMatchObject({ user: { userName: 'admin' } });
  });
});

test('a text that can be no token reaches no store', async () => {
  const sessions = {
    ...house.ports.sessions,
    get: async () => Promise.reject(new Error('was asked')),
    delete: async () => Promise.reject(new Error('was asked')),
  };
  const { token } = await createSession(house.ports.sessions, aUser(), house.ports.clock.now());

  for (const text of ['', 'x', `${token}=`, `x${token}`, `${token}x`, token.slice(1)]) {
    expect(await readSession({ ...house.ports, sessions }, text, house.ports.clock.now())).toBeNull();
    await endSession(sessions, text);
  }
  await expect(endSession(sessions, token)).rejects.toThrow('was asked');
});
