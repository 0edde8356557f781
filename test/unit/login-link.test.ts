/** Users made by hand for the directory, who are tied to their entry when they log in for the first time. */
import { beforeEach, describe, expect, test } from 'vitest';
import { createAdministration } from '../../lib/administration/users.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import type { Directory } from '../../lib/directory/directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import { createLogin } from '../../lib/login/login.ts';
import type { Login } from '../../lib/login/login.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import { unreachable } from '../support/memory-directory.ts';
import type { EntryOver } from '../support/people.ts';
import { anEntry, aUser } from '../support/people.ts';

const BERT = 'uid=bert,ou=people,dc=example,dc=com';
const INVALID = { outcome: 'rejected', reason: 'invalidCredentials' };
let house: House;
let login: Login;

beforeEach(async () => {
  house = await startHouse();
  house.directory.people = [aPerson('1', 'bert', { dn: BERT }), aPerson('9', 'zoe')];
  await house.create(aUser({ id: 'hand', userName: 'bert', directory: null }));
  login = logInWith();
});

function logInWith(over: (open: Directory) => Partial<Directory> = () => ({})): Login {
  const { logins, settings, clock } = house.ports;
  const open = () => ({ ...house.directory.open(), ...over(house.directory.open()) });
  return createLogin({ logins, directory: keepDirectory(settings, open, clock), clock, pause: async () => {} });
}

function aPerson(id: string, userName: string, over: EntryOver = {}) {
  return { entry: anEntry(id, { uid: [userName], cn: [userName] }, over), password: 'right' };
}

const linkOf = async (userName: string) => (await house.user(userName))!.directory;

describe('the first login of a user made by hand', () => {
  test('ties the user to the only entry that maps to the name, once the password is accepted', async () => {
    expect(await login.logIn('BERT', 'wrong')).toEqual(INVALID);
    expect(await linkOf('bert')).toBeNull();

    const outcome = await login.logIn('BERT', 'right');

    const link = { id: '1', idAttribute: 'entryuuid', dn: BERT, missingSince: null };
    expect(outcome).toMatchObject({ outcome: 'accepted', user: { id: 'hand', directory: { id: '1', dn: BERT } } });
    expect(await linkOf('bert')).toEqual(link);
    expect(house.directory.calls.searches).toBe(2);
  });

  test('is the last one that searches by name; the next run finds the user linked', async () => {
    await login.logIn('bert', 'right');
    expect(await login.logIn('bert', 'right')).toMatchObject({ outcome: 'accepted' });
    expect(house.directory.calls.searches).toBe(1);
    const run = await house.run();
    expect(run).toMatchObject({ status: 'succeeded', totals: { linked: 0, conflict: 0 } });
  });

  test('works when an administrator tests the password', async () => {
    expect(await login.checkPassword('bert', 'wrong')).toEqual(INVALID);
    expect(await login.checkPassword('bert', 'right')).toMatchObject({ outcome: 'accepted' });
    expect(await linkOf('bert')).toMatchObject({ id: '1' });
  });

  test('works after an administrator has switched the user to the directory', async () => {
    const { users, logins, clock } = house.ports;
    const administration = createAdministration(users, logins, clock);
    await administration.patch('bert', { authentication: 'integrated', password: 'of the archive' }, null);
    expect(await login.logIn('bert', 'of the archive')).toMatchObject({ outcome: 'accepted' });
    await administration.patch('bert', { authentication: 'directory' }, null);
    expect(await login.logIn('bert', 'of the archive')).toEqual(INVALID);
    expect(await login.logIn('bert', 'right')).toMatchObject({ outcome: 'accepted', user: { id: 'hand' } });
  });

  test('twice at the same moment lets both in, with one link', async () => {
    const outcomes = await Promise.all([login.logIn('bert', 'right'), login.logIn('bert', 'right')]);
    expect(outcomes).toMatchObject([{ outcome: 'accepted' }, { outcome: 'accepted' }]);
    expect(await linkOf('bert')).toMatchObject({ id: '1' });
  });
});

describe('nobody is tied, and the password is refused like a wrong one, after a bind as nobody,', () => {
  const expectRefused = async (userName = 'bert'): Promise<void> => {
    expect(await login.logIn(userName, 'right')).toEqual(INVALID);
    expect(house.directory.calls.binds).toEqual([expect.stringMatching(/^cn=[0-9a-f-]{36},/u)]);
    expect(await linkOf(userName)).toBeNull();
  };

  test('where no entry has the name', async () => {
    house.directory.people = [aPerson('9', 'zoe')];
    await expectRefused();
  });

  test('where two entries have the name', async () => {
    house.directory.people.push(aPerson('2', 'Bert'));
    await expectRefused();
  });

  test('where a second entry has the name and no id that can be read', async () => {
    house.directory.people.push(aPerson('2', 'bert', { id: null }));
    await expectRefused();
  });

  test('where the name is a further value of somebody else', async () => {
    house.directory.people = [{ entry: anEntry('3', { uid: ['albert', 'bert'] }), password: 'right' }];
    await expectRefused();
  });

  test('where the entry is out of scope', async () => {
    house.directory.people[0] = { ...house.directory.people[0]!, inScope: false };
    await expectRefused();
  });

  test.each(['disable', 'skip'] as const)(
    'where the directory marks the entry as disabled (%s)',
    async (disabledUsers) => {
      await house.configure({ options: { disabledUsers } });
      house.directory.people[0] = aPerson('1', 'bert', { dn: BERT, disabled: true });
      await expectRefused();
    },
  );

  test('where the user is an administrator: only runs tie those', async () => {
    await house.edit('bert', { privileges: ['admin'] });
    await expectRefused();
    await house.run();
    expect(await login.logIn('bert', 'right')).toMatchObject({ outcome: 'accepted' });
  });

  test('where the user is disabled or may not log in', async () => {
    await house.edit('bert', { privileges: ['none'] });
    expect(await login.logIn('bert', 'right')).toEqual({ outcome: 'rejected', reason: 'notPermitted' });
    expect(house.directory.calls.searches).toBe(0);
    expect(await linkOf('bert')).toBeNull();
  });
});

test('an entry that is another user’s ties nobody, although its password is right', async () => {
  await house.create(
    aUser({ id: 'owner', userName: 'owner', directory: { ...aUser().directory!, id: '1', dn: BERT } }),
  );
  expect(await login.logIn('bert', 'right')).toEqual(INVALID);
  expect(await linkOf('bert')).toBeNull();
});

test('a user who is disabled while the password is verified is neither tied nor let in', async () => {
  login = logInWith((open) => ({
    async verifyPassword(...attempt) {
      await house.edit('bert', { disabledBy: 'admin' });
      return open.verifyPassword(...attempt);
    },
  }));
  expect(await login.logIn('bert', 'right')).toEqual(INVALID);
  expect(await linkOf('bert')).toBeNull();
});

test('a user whom somebody else ties and disables at that moment is not let in', async () => {
  login = logInWith((open) => ({
    async verifyPassword(...attempt) {
      const directory = { id: '1', idAttribute: 'entryuuid', dn: BERT, missingSince: null };
      await house.edit('bert', { directory, disabledBy: 'admin' });
      return open.verifyPassword(...attempt);
    },
  }));
  expect(await login.logIn('bert', 'right')).toEqual(INVALID);
});

test('an entry that moves between the search and the bind is tied where it is', async () => {
  const moved = 'uid=bert,ou=former,dc=example,dc=com';
  login = logInWith((open) => ({
    async searchByName(userName) {
      const found = await open.searchByName(userName);
      house.directory.people[0] = aPerson('1', 'bert', { dn: moved });
      return found;
    },
  }));
  expect(await login.logIn('bert', 'right')).toMatchObject({ outcome: 'accepted' });
  expect(await linkOf('bert')).toMatchObject({ id: '1', dn: moved });
});

test('while the reader is away, it is a fault and costs no attempt', async () => {
  house.directory.findDnFault = unreachable();
  for (let attempt = 0; attempt < 10; attempt += 1) {
    await expect(login.logIn('bert', 'right')).rejects.toMatchObject({ code: 'directoryUnavailable' });
  }
  house.directory.findDnFault = null;
  expect(await login.logIn('bert', 'right')).toMatchObject({ outcome: 'accepted' });
});

test('while the store takes no link, it is the store’s fault, and costs no attempt', async () => {
  const away = new ServiceError('storeUnavailable', 'no answer');
  const mended = { ...house.ports.logins };
  house.ports.logins.linkUser = async () => Promise.reject(away);
  for (let attempt = 0; attempt < 10; attempt += 1) await expect(login.logIn('bert', 'right')).rejects.toBe(away);
  Object.assign(house.ports.logins, mended);
  expect(await login.logIn('bert', 'right')).toMatchObject({ outcome: 'accepted' });
});
