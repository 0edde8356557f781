import { beforeEach, describe, expect, test } from 'vitest';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import type { Directory, OpenDirectory } from '../../lib/directory/directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import { createLogin, withoutDomain } from '../../lib/login/login.ts';
import type { Login } from '../../lib/login/login.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import { hashPassword } from '../../lib/user/password.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import { unreachable } from '../support/memory-directory.ts';
import { anEntry, aUser } from '../support/people.ts';

const ANNA = 'uid=anna,ou=people,dc=example,dc=com';
let house: House;
let login: Login;

function logInWith(open: OpenDirectory, { ports } = house): Login {
  const { logins, settings, clock } = ports;
  return createLogin({ logins, directory: keepDirectory(settings, open, clock), clock, pause: async () => {} });
}

beforeEach(async () => {
  house = await startHouse();
  house.directory.people = [{ entry: anEntry('1', { uid: ['Anna'], cn: ['Anna'] }, { dn: ANNA }), password: 'right' }];
  await house.run();
  login = logInWith(house.directory.open);
});

/** Attempts that count against all unknown sources. */
async function failuresOf(userName: string): Promise<number> {
  return (await house.ports.logins.find(userName, null)).attempts.name?.attempts.length ?? 0;
}

const invalid = { outcome: 'rejected', reason: 'invalidCredentials' };

describe('a directory user', () => {
  test('gets in with the right password, in any letter case of the name, by one bind and one look at its DN', async () => {
    const outcome = await login.logIn('ANNA', 'right');
    expect(outcome).toMatchObject({ outcome: 'accepted', user: { userName: 'Anna', privileges: ['login'] } });
    expect(house.directory.calls).toMatchObject({ binds: [ANNA], findDn: 1 });
    expect(JSON.stringify(outcome)).not.toMatch(/right|fingerprint|passwordHash/u);
  });

  test('does not get in with a wrong password', async () => {
    expect(await login.logIn('anna', 'wrong')).toEqual(invalid);
  });

  test('never reaches the directory with an empty password or an impossible name', async () => {
    house.directory.fault = unreachable();
    for (const [name, password] of [
      ['anna', ''],
      ['', 'x'],
      ['an\u0000na', 'x'],
      ['anna', 'x'.repeat(1_025)],
    ] as const) {
      expect(await login.logIn(name, password)).toEqual(invalid);
    }
  });

  test('that has moved gets in under the DN its unique id leads to, and the DN is remembered', async () => {
    const moved = 'uid=anna.w,ou=people,dc=example,dc=com';
    house.directory.people = [{ entry: anEntry('1', { uid: ['Anna'] }, { dn: moved }), password: 'right' }];
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
    expect(house.directory.calls.binds).toEqual([ANNA, moved]);
    expect((await house.user('anna'))!.directory!.dn).toBe(moved);
    await login.logIn('anna', 'right');
    expect(house.directory.calls.binds).toEqual([ANNA, moved, moved]);
  });

  test('that has left does not let in who has its DN now', async () => {
    house.directory.people = [{ entry: anEntry('2', { uid: ['Anna'] }, { dn: ANNA }), password: 'newcomer' }];
    expect(await login.logIn('anna', 'newcomer')).toEqual(invalid);
    const renamed = 'uid=anna.old,ou=people,dc=example,dc=com';
    house.directory.people.push({ entry: anEntry('1', { uid: ['anna.old'] }, { dn: renamed }), password: 'right' });
    expect(await login.logIn('anna', 'newcomer')).toEqual(invalid);
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
  });

  test('whose name a new entry has taken is refused, with no bind as either and no failed attempt', async () => {
    house.directory.people = [{ entry: anEntry('2', { uid: ['Anna'] }, { dn: ANNA }), password: 'newcomer' }];
    await house.run();
    for (let attempt = 0; attempt < 20; attempt += 1) {
      for (const password of ['newcomer', 'right']) {
        expect(await login.logIn('anna', password)).toEqual({ outcome: 'rejected', reason: 'notPermitted' });
      }
    }
    expect(house.directory.calls.binds).not.toContain(ANNA);
    house.directory.people = [{ entry: anEntry('1', { uid: ['Anna'] }, { dn: ANNA }), password: 'right' }];
    await house.run();
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
  });

  test('whose id a second entry has too gets in under the stored DN', async () => {
    const other = anEntry('1', { uid: ['Carl'] }, { dn: 'uid=carl,ou=people,dc=example,dc=com' });
    house.directory.people.push({ entry: other, password: 'carl' });
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
    expect(await login.logIn('anna', 'carl')).toEqual(invalid);
  });

  test('is tried once only when the DN found is the one that is stored', async () => {
    await login.logIn('anna', 'wrong');
    expect(house.directory.calls.binds).toEqual([ANNA]);
  });
});

describe('who may not log in', () => {
  test('learns that it is disabled or lacks the privilege, after the same steps as a wrong password', async () => {
    await house.edit('anna', { disabledBy: 'admin' });
    expect(await login.logIn('anna', 'right')).toEqual({ outcome: 'rejected', reason: 'accountDisabled' });
    await house.edit('anna', { disabledBy: null, privileges: ['none'] });
    expect(await login.logIn('anna', 'right')).toEqual({ outcome: 'rejected', reason: 'notPermitted' });
    expect(house.directory.calls).toMatchObject({ binds: { length: 2 }, findDn: 2 });
    expect(house.directory.calls.binds).not.toContain(ANNA);
  });

  test('is unknown: a bind as nobody and a look-up of nobody, like a wrong password', async () => {
    expect(await login.logIn('nobody', 'right')).toEqual(invalid);
    expect(house.directory.calls).toMatchObject({ binds: [expect.stringMatching(/^cn=[0-9a-f-]{36},/u)], findDn: 1 });
  });
});

describe('an integrated user', () => {
  beforeEach(async () => {
    await house.create(
      aUser({
        id: 'own',
        userName: 'carl',
        authentication: 'integrated',
        directory: null,
        passwordHash: await hashPassword('right'),
      }),
    );
    await house.create(aUser({ id: 'none', userName: 'dora', authentication: 'integrated', directory: null }));
  });

  test('gets in with its own password, whether or not the directory can be reached', async () => {
    house.directory.fault = unreachable();
    expect(await login.logIn('carl', 'right')).toMatchObject({ outcome: 'accepted', user: { id: 'own' } });
    expect(await login.logIn('carl', 'wrong')).toEqual(invalid);
  });

  test('without a password can’t log in', async () => {
    expect(await login.logIn('dora', 'right')).toEqual(invalid);
  });
});

test('settings that are saved for the first time count at once', async () => {
  const bare = await startHouse({ configured: false });
  const directory = keepDirectory(bare.ports.settings, bare.directory.open, bare.ports.clock);
  expect(await directory.get()).toBeNull();
  await bare.configure();
  expect(await directory.get()).not.toBeNull();
});

describe('an outage', () => {
  test('is a fault and never a rejection, and counts as no attempt', async () => {
    house.directory.fault = unreachable();
    for (let attempt = 0; attempt < 20; attempt += 1) {
      await expect(login.logIn('anna', 'right')).rejects.toMatchObject({
        code: 'directoryUnavailable',
        retryable: true,
      });
    }
    house.directory.fault = null;
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
  });

  test('gives the attempt back that a name with failures had paid in advance', async () => {
    for (let attempt = 0; attempt < 4; attempt += 1) await login.logIn('anna', 'wrong');
    house.directory.fault = unreachable();
    for (let attempt = 0; attempt < 5; attempt += 1) await expect(login.logIn('anna', 'right')).rejects.toThrow();
    house.directory.fault = null;
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
  });

  test('that new settings have mended is over with the next login', async () => {
    const openMended = (settings: Settings): Directory => {
      if (settings.scope.baseDn === 'dc=new') house.directory.fault = null;
      return house.directory.open();
    };
    login = logInWith(openMended);
    await login.logIn('anna', 'right');
    house.directory.fault = unreachable();
    await expect(login.logIn('anna', 'right')).rejects.toMatchObject({ code: 'directoryUnavailable' });
    await house.configure({ scope: { baseDn: 'dc=new' } });
    house.passSeconds(6);
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
  });
});

describe.each([
  ['has lost its rights', () => void house.directory.hiddenAttributes.add('entryuuid')],
  ['is refused', () => void (house.directory.findDnFault = new ServiceError('bindRefused', 'its password is wrong'))],
  ['is down', () => void (house.directory.findDnFault = unreachable())],
])('while the reader of the directory %s', (_how, lose) => {
  beforeEach(lose);

  test('a right password gets in, because the person’s own connection shows whose it is', async () => {
    for (let attempt = 0; attempt < 10; attempt += 1) {
      expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
    }
  });

  test('a right password is a fault where people can’t read their own entry, and costs nothing', async () => {
    house.directory.hidesOwnEntries = true;
    for (let attempt = 0; attempt < 20; attempt += 1) {
      await expect(login.logIn('anna', 'right')).rejects.toMatchObject({ code: 'directoryUnavailable' });
    }
    expect(house.directory.calls.binds).toHaveLength(20);
    house.directory.hidesOwnEntries = false;
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
  });

  test.each(['anna', 'nobody'])(
    'guesses at %s are faults, never rejections, and reach the directory five times',
    async (name) => {
      for (let attempt = 0; attempt < 20; attempt += 1) {
        await expect(login.logIn(name, 'wrong')).rejects.toMatchObject({ code: 'directoryUnavailable' });
      }
      expect(house.directory.calls.binds).toHaveLength(5);
    },
  );
});

test('a reader is asked again with the settings of this moment, so that somebody who has moved gets in', async () => {
  house.directory.findDnFault = new ServiceError('bindRefused', 'the password of the reader is wrong');
  const moved = 'uid=anna.w,ou=people,dc=example,dc=com';
  login = logInWith((settings) => {
    if (settings.scope.baseDn === 'dc=new') house.directory.findDnFault = null;
    return house.directory.open();
  });
  house.directory.people = [{ entry: anEntry('1', { uid: ['Anna'] }, { dn: moved }), password: 'right' }];
  await expect(login.logIn('anna', 'right')).rejects.toMatchObject({ code: 'directoryUnavailable' });
  await house.configure({ scope: { baseDn: 'dc=new' } });
  house.passSeconds(6);
  expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
});

describe('a directory that takes passwords and does not answer', () => {
  beforeEach(() => {
    house.directory.silent = unreachable();
  });

  test('gets five in 15 minutes and no more: every login is a fault, and none is throttled', async () => {
    for (let attempt = 0; attempt < 12; attempt += 1) {
      await expect(login.logIn('anna', 'right')).rejects.toMatchObject({
        code: 'directoryUnavailable',
        retryable: true,
      });
    }
    expect(house.directory.calls.binds).toHaveLength(5);
    house.directory.silent = null;
    house.passSeconds(15 * 60);
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
  });

  test('gets a password once, whoever it belongs to', async () => {
    await house.edit('anna', { privileges: ['none'] });
    for (const name of ['anna', 'nobody']) await expect(login.logIn(name, 'x')).rejects.toThrow(ServiceError);
    expect(house.directory.calls.binds).toHaveLength(2);
  });
});

describe('failed attempts', () => {
  test('are free five times and then have to wait, with the right password too', async () => {
    for (let attempt = 0; attempt < 5; attempt += 1) expect(await login.logIn('anna', 'wrong')).toEqual(invalid);
    house.passSeconds(10);
    const refused = await login.logIn('anna', 'right');
    expect(refused).toMatchObject({ outcome: 'rejected', reason: 'throttled', retryAfterSeconds: 15 * 60 - 10 });
    const binds = house.directory.calls.binds.length;
    await login.logIn('anna', 'wrong');
    expect(house.directory.calls.binds).toHaveLength(binds);
    house.passSeconds(15 * 60 - 10);
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
    expect(await login.logIn('anna', 'wrong')).toEqual(invalid);
  });

  test('of strangers never hold up a source that the owner has logged in from', async () => {
    expect(await login.logIn('anna', 'right', 'home')).toMatchObject({ outcome: 'accepted' });
    const binds = house.directory.calls.binds.length;
    let owner = 0;
    for (let second = 1; second <= 3_600; second += 1) {
      house.passSeconds(1);
      await login.logIn('anna', `guess ${second}`, `stranger ${second % 100}`);
      if (second % 60 !== 0) continue;
      owner += 1;
      expect(await login.logIn('anna', 'right', 'home')).toMatchObject({ outcome: 'accepted' });
    }
    // Four windows of 15 minutes, and the beginning of a fifth.
    expect(house.directory.calls.binds.length - binds - owner).toBeLessThanOrEqual(25);
    expect(await login.logIn('anna', 'right', 'new')).toMatchObject({ reason: 'throttled' });
    house.passSeconds(15 * 60);
    expect(await login.logIn('anna', 'right', 'new')).toMatchObject({ outcome: 'accepted' });
  });

  test('of strangers leave a new source a chance within 15 minutes, also while others know the name', async () => {
    for (let attempt = 0; attempt < 50; attempt += 1) await login.logIn('anna', 'guess', 'stranger');
    expect(await login.logIn('anna', 'right')).toMatchObject({ reason: 'throttled' });
    house.passSeconds(15 * 60);
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
  });

  test('count for unknown names too, and are forgotten after 15 minutes', async () => {
    for (let attempt = 0; attempt < 5; attempt += 1) await login.logIn('nobody', 'x');
    expect(await login.logIn('nobody', 'x')).toMatchObject({ reason: 'throttled' });
    house.passSeconds(15 * 60);
    expect(await login.logIn('nobody', 'x')).toEqual(invalid);
  });

  test.each([0, 4])('in parallel, after %i others, reach the directory five times in all', async (earlier) => {
    for (let attempt = 0; attempt < earlier; attempt += 1) await login.logIn('anna', 'wrong');
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => login.logIn('anna', 'guess')));
    expect(house.directory.calls.binds).toHaveLength(5);
    const throttled = outcomes.filter((outcome) => 'reason' in outcome && outcome.reason === 'throttled');
    expect(throttled).toHaveLength(25 + earlier);
  });
});

test('checking a password counts nothing and is not throttled', async () => {
  for (let attempt = 0; attempt < 12; attempt += 1) expect(await login.checkPassword('anna', 'wrong')).toEqual(invalid);
  expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
});

describe('a name with a domain in front, where user names are sAMAccountName,', () => {
  beforeEach(async () => {
    await house.configure({ mapping: { userName: 'sAMAccountName' } });
  });

  test('means the user without it', async () => {
    expect(await login.logIn('EXAMPLE\\anna', 'right')).toMatchObject({
      outcome: 'accepted',
      user: { userName: 'Anna' },
    });
    expect(await login.checkPassword('example.test\\ANNA', 'right')).toMatchObject({ outcome: 'accepted' });
    expect(await login.logIn('EXAMPLE\\anna', 'wrong')).toEqual(invalid);
  });

  test('shares the count of failures with the name without it, so that other domains buy no further guesses', async () => {
    for (const domain of ['A', 'B', 'C', 'D', 'E']) await login.logIn(`${domain}\\anna`, 'wrong');
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'rejected', reason: 'throttled' });
    expect(await login.logIn('F\\anna', 'right')).toMatchObject({ outcome: 'rejected', reason: 'throttled' });
  });

  test('never means a user whose password is kept here', async () => {
    const passwordHash = await hashPassword('right');
    await house.create(
      aUser({ id: 'own', userName: 'carl', authentication: 'integrated', directory: null, passwordHash }),
    );
    expect(await login.logIn('EXAMPLE\\carl', 'right')).toEqual(invalid);
    expect(await login.logIn('carl', 'right')).toMatchObject({ outcome: 'accepted' });
  });

  test('means the user of exactly that name, if there is one', async () => {
    const passwordHash = await hashPassword('own');
    const own = { id: 'own', userName: 'EXAMPLE\\anna', authentication: 'integrated', directory: null } as const;
    await house.create(aUser({ ...own, passwordHash }));
    expect(await login.logIn('EXAMPLE\\anna', 'own')).toMatchObject({ outcome: 'accepted', user: { id: 'own' } });
    expect(await login.logIn('EXAMPLE\\anna', 'right')).toEqual(invalid);
  });

  test('is taken as it is where user names are another attribute', async () => {
    await house.configure({ mapping: { userName: 'userPrincipalName' } });
    house.passSeconds(61);
    expect(await login.logIn('EXAMPLE\\anna', 'right')).toEqual(invalid);
    expect(await login.logIn('anna@example.test', 'right')).toEqual(invalid);
  });
});

describe('the name without its domain', () => {
  test.each([
    ['sAMAccountName', 'EXAMPLE\\anna', 'anna'],
    ['samaccountname', 'EXAMPLE\\anna', 'anna'],
    ['sAMAccountName', ' example.test\\Anna Weber ', 'Anna Weber'],
    ['sAMAccountName', 'anna', null],
    ['sAMAccountName', 'anna@example.test', null],
    ['sAMAccountName', 'EXAMPLE\\anna@example.test', null],
    ['sAMAccountName', 'EXAMPLE\\', null],
    ['sAMAccountName', 'EXAMPLE\\ ', null],
    ['sAMAccountName', '\\anna', null],
    ['sAMAccountName', 'A\\B\\anna', null],
    ['sAMAccountName', 'a b\\anna', null],
    ['userPrincipalName', 'EXAMPLE\\anna', null],
    ['uid', 'EXAMPLE\\anna', null],
  ])('where user names are %s, of %j is %j', (userName, typed, name) => {
    expect(withoutDomain(typed, { userName })).toBe(name);
  });
});

describe('what is no answer', () => {
  test('a directory that takes longer than a login may is a fault, and the wait ends', async () => {
    await house.configure({
      connection: { timeouts: { connectSeconds: 5, operationSeconds: 10, loginSeconds: 0.05 } },
    });
    const silent = (): Directory => ({ ...house.directory.open(), verifyPassword: () => new Promise(() => {}) });
    const late = logInWith(silent);

    await expect(late.logIn('anna', 'right')).rejects.toMatchObject({
      code: 'directoryUnavailable',
      message: expect.stringMatching(/50 ms/u),
      retryable: true,
    });
  });

  test('without settings a directory user is a fault, and a name that nobody has is refused', async () => {
    const empty = await startHouse({ configured: false });
    await empty.create(aUser());
    const unset = logInWith(empty.directory.open, empty);

    await expect(unset.logIn('anna', 'right')).rejects.toMatchObject({ code: 'directoryUnavailable' });
    expect(await unset.logIn('nobody', 'right')).toEqual(invalid);
  });

  test.each(['find', 'writeAttempts'] as const)(
    'an outage of the store (%s) is its own fault, before any bind',
    async (method) => {
      const away = new ServiceError('storeUnavailable', 'DynamoDB gave no answer', { retryable: true });
      house.ports.logins[method] = async () => Promise.reject(away);
      for (const name of ['anna', 'nobody']) await expect(login.logIn(name, 'wrong')).rejects.toBe(away);
      expect(house.directory.calls.binds).toEqual([]);
    },
  );

  test('settings that can’t be read are the store’s fault, whoever logs in, and cost no attempt', async () => {
    const away = new ServiceError('storeUnavailable', 'Secrets Manager gave no answer', { retryable: true });
    house.ports.settings.read = async () => Promise.reject(away);
    const unread = logInWith(house.directory.open);
    for (const name of ['anna', 'nobody']) await expect(unread.logIn(name, 'wrong')).rejects.toBe(away);
    expect(await failuresOf('anna')).toBe(0);
  });

  test('a mistake in the code costs an attempt, because the password may have gone out', async () => {
    const mistake = new TypeError('a mistake in the code');
    const failing = (): Directory => ({
      ...house.directory.open(),
      verifyPassword: async () => Promise.reject(mistake),
    });
    await expect(logInWith(failing).logIn('anna', 'right')).rejects.toBe(mistake);
    expect(await failuresOf('anna')).toBe(1);
  });

  test('a second bind that fails is a fault: whoever has moved is neither in nor out', async () => {
    const moved = 'uid=anna.w,ou=people,dc=example,dc=com';
    house.directory.people = [{ entry: anEntry('1', { uid: ['Anna'] }, { dn: moved }), password: 'right' }];
    const open = house.directory.open();
    const failing = (): Directory => ({
      ...open,
      verifyPassword: async (dn, password) => {
        if (dn === moved) throw unreachable();
        return await open.verifyPassword(dn, password);
      },
    });
    const login = logInWith(failing);

    await expect(login.logIn('anna', 'right')).rejects.toMatchObject({ code: 'directoryUnavailable' });
  });
});

describe('what a refusal costs', () => {
  const refusing = (reason: 'passwordExpired' | 'accountLocked' | 'accountExpired'): Login => {
    const open = (): Directory => ({
      ...house.directory.open(),
      verifyPassword: async () => ({ kind: 'rejected', reason }),
    });
    return logInWith(open);
  };

  test('an expired password was the right one and costs nothing, also after failures', async () => {
    for (let attempt = 0; attempt < 3; attempt += 1) await refusing('passwordExpired').logIn('anna', 'right');
    expect(await failuresOf('anna')).toBe(0);
    await login.logIn('anna', 'wrong');
    await refusing('passwordExpired').logIn('anna', 'right');
    expect(await failuresOf('anna')).toBe(1);
  });

  test('a locked account counts, because the password may have been wrong', async () => {
    await refusing('accountLocked').logIn('anna', 'x');
    expect(await failuresOf('anna')).toBe(1);
  });

  test('an expired account counts, because some servers tell so whatever the password is', async () => {
    const guessed = refusing('accountExpired');
    for (let guess = 0; guess < 5; guess += 1) {
      expect(await guessed.logIn('anna', 'x')).toEqual({ outcome: 'rejected', reason: 'accountExpired' });
    }
    expect(await guessed.logIn('anna', 'x')).toMatchObject({ reason: 'throttled' });
  });

  test('the wait is told in seconds, rounded up', async () => {
    for (let attempt = 0; attempt < 5; attempt += 1) await login.logIn('anna', 'wrong');
    house.passSeconds(10.5);
    const refused = await login.logIn('anna', 'wrong');
    expect(refused).toMatchObject({ reason: 'throttled', retryAfterSeconds: 890 });
  });
});

test('a login asks for the settings again only after a fault', async () => {
  let reads = 0;
  const { settings, logins, clock } = house.ports;
  const counted = { ...settings, read: async () => ((reads += 1), settings.read()) };
  const counting = createLogin({
    logins,
    directory: keepDirectory(counted, house.directory.open, clock),
    clock,
    pause: async () => {},
  });
  await counting.logIn('anna', 'right');
  house.passSeconds(10);
  await counting.logIn('anna', 'wrong');
  expect(reads).toBe(1);
});

test('an accepted login carries what the directory says of the password', async () => {
  const [anna] = house.directory.people;
  house.directory.people = [{ ...anna!, passwordState: { passwordExpiresInSeconds: 86_400, graceLoginsLeft: 1 } }];
  const said = { outcome: 'accepted', passwordExpiresInSeconds: 86_400, graceLoginsLeft: 1 };
  expect(await login.logIn('anna', 'right')).toMatchObject(said);
  expect(await login.checkPassword('anna', 'right')).toMatchObject(said);
});

test('idle connections are tried beside the look at the store, and the bind waits for that', async () => {
  const steps: string[] = [];
  const usual = { ...house.ports.logins };
  house.ports.logins.find = async (...asked) => {
    steps.push('store');
    await new Promise((resolve) => setImmediate(resolve));
    return usual.find(...asked);
  };
  const watched = logInWith(() => ({
    ...house.directory.open(),
    async checkIdle() {
      steps.push('check');
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      steps.push('checked');
    },
    async verifyPassword() {
      steps.push('bind');
      return { kind: 'rejected', reason: 'invalidCredentials' };
    },
  }));
  await watched.logIn('anna', 'wrong');
  expect(steps).toEqual(['store', 'check', 'checked', 'bind']);
});

test('whoever has an integrated password does not wait for idle connections', async () => {
  const passwordHash = await hashPassword('right');
  await house.create(
    aUser({ id: 'own', userName: 'carl', authentication: 'integrated', directory: null, passwordHash }),
  );
  const stuck = logInWith(() => ({ ...house.directory.open(), checkIdle: () => new Promise(() => {}) }));
  expect(await stuck.logIn('carl', 'right')).toMatchObject({ outcome: 'accepted' });
});

test('a DN is remembered only for whoever gets in under it', async () => {
  const moved = 'uid=anna.w,ou=people,dc=example,dc=com';
  house.directory.people = [{ entry: anEntry('1', { uid: ['Anna'] }, { dn: moved }), password: 'right' }];
  expect(await login.logIn('anna', 'wrong')).toEqual(invalid);
  expect((await house.user('anna'))!.directory!.dn).toBe(ANNA);
});

test('checking a password refuses what can be none, without a bind', async () => {
  expect(await login.checkPassword('anna', '')).toEqual(invalid);
  expect(await login.checkPassword('an\u0000na', 'right')).toEqual(invalid);
  expect(house.directory.calls.binds).toEqual([]);
});

test('an integrated user without a password, and a name that nobody has, are refused like a wrong password', async () => {
  const empty = await startHouse({ configured: false });
  await empty.create(aUser({ authentication: 'integrated', directory: null }));
  const unset = logInWith(empty.directory.open, empty);
  expect(await unset.logIn('anna', 'x')).toEqual(invalid);
  expect(await unset.logIn('nobody', 'x')).toEqual(invalid);
});

test('a fault carries the advice of its cause', async () => {
  house.directory.fault = new ServiceError('connectionRefused', 'refused', { advice: 'Start it.', retryable: true });
  await expect(login.logIn('anna', 'right')).rejects.toMatchObject({ message: 'refused', advice: 'Start it.' });
  house.directory.fault = unreachable();
  await expect(login.logIn('anna', 'right')).rejects.toMatchObject({ advice: undefined });
});

test('a name that nobody has is bound below the base, or below the root where there is none', async () => {
  await login.logIn('nobody', 'x');
  await house.configure({ scope: { baseDn: '', filter: '', depth: 'subtree' } });
  await logInWith(house.directory.open).logIn('nobody', 'x');

  expect(house.directory.calls.binds).toEqual([
    expect.stringMatching(/^cn=[0-9a-f-]{36},dc=example,dc=com$/u),
    expect.stringMatching(/^cn=[0-9a-f-]{36}$/u),
  ]);
});

test.each([
  ['cn=Anna Weiss,dc=x', 'cn=Anna Weiß,dc=x'],
  ['cn=fin,dc=x', 'cn=ﬁn,dc=x'],
  ['cn=x²,dc=x', 'cn=x2,dc=x'],
  [String.raw`cn=\ff,dc=x`, String.raw`cn=\fe,dc=x`],
  [String.raw`cn=\#0402,dc=x`, 'cn=#0402,dc=x'],
])('whoever has the former DN %s does not get in as the person who is now at %s', async (former, now) => {
  const user = (await house.user('anna'))!;
  await house.edit('anna', { directory: { ...user.directory!, dn: former } });
  house.directory.people = [
    { entry: anEntry('1', { uid: ['Anna'] }, { dn: now }), password: 'right' },
    { entry: anEntry('9', { uid: ['stranger'] }, { dn: former }), password: 'of a stranger' },
  ];

  expect(await login.logIn('anna', 'of a stranger')).toEqual(invalid);
  expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
});
