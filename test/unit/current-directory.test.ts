/** Settings in memory survive an absence of the store for an hour, and an outage holds up no login. */
import { beforeEach, expect, test } from 'vitest';
import { type CurrentDirectory, keepDirectory } from '../../lib/directory/current-directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import { createLogin } from '../../lib/login/login.ts';
import type { StoredSettings } from '../../lib/settings/settings.ts';
import { type House, startHouse } from '../support/house.ts';
import { unreachable } from '../support/memory-directory.ts';
import { anEntry } from '../support/people.ts';

const AWAY = new ServiceError('storeUnavailable', 'Secrets Manager request failed', { retryable: true });
const DAMAGED = new ServiceError('storeUnavailable', 'the secret has unexpected content');
const HOUR_S = 3_600;

let house: House;
let directory: CurrentDirectory;
let reads: number;
let opened: number;
let closed: number;
/** Answers the reads in place of the store, if it is set. */
let instead: (() => Promise<StoredSettings | null>) | null;

beforeEach(async () => {
  house = await startHouse();
  [reads, opened, closed, instead] = [0, 0, 0, null];
  const store = {
    ...house.ports.settings,
    read: async () => {
      reads += 1;
      return await (instead?.() ?? house.ports.settings.read());
    },
  };
  const open: typeof house.directory.open = (...args) => {
    opened += 1;
    const real = house.directory.open(...args);
    return { ...real, close: async () => void (closed += 1) };
  };
  directory = keepDirectory(store, open, house.ports.clock);
});

const away = async (): Promise<never> => await Promise.reject(AWAY);
const baseNow = async (): Promise<string> => (await directory.get())!.stored.settings.scope.baseDn;

test('logins go on for an hour while the store can’t be read, and are a fault after it', async () => {
  house.directory.people = [{ entry: anEntry('1', { uid: ['anna'] }), password: 'right' }];
  await house.run();
  const login = createLogin({ logins: house.ports.logins, directory, clock: house.ports.clock, pause: async () => {} });
  await login.logIn('anna', 'right');
  instead = away;

  for (let minute = 1; minute < 60; minute += 1) {
    house.passSeconds(60);
    expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
  }
  house.passSeconds(60);
  await expect(login.logIn('anna', 'right')).rejects.toBe(AWAY);
  instead = null;
  expect(await login.logIn('anna', 'right')).toMatchObject({ outcome: 'accepted' });
  expect(opened).toBe(1);
});

test('a damaged secret leaves the settings in memory alone, too', async () => {
  await directory.get();
  instead = async () => await Promise.reject(DAMAGED);
  house.passSeconds(HOUR_S - 1);
  expect(await directory.get()).not.toBeNull();
});

test('settings that were taken back count at once: that is an answer and no outage', async () => {
  await directory.get();
  instead = async () => null;
  house.passSeconds(60);
  expect(await directory.get()).toBeNull();
  expect(closed).toBe(1);
});

test('without settings in memory an absence is a fault, and each call asks again', async () => {
  instead = away;
  await expect(directory.get()).rejects.toBe(AWAY);
  await expect(directory.get()).rejects.toBe(AWAY);
  expect(reads).toBe(2);
  instead = null;
  expect(await directory.get()).not.toBeNull();
});

test('the hour begins anew with every read that succeeds', async () => {
  await directory.get();
  house.passSeconds(HOUR_S - 1);
  await directory.get();
  instead = away;
  house.passSeconds(HOUR_S - 1);
  expect(await directory.get()).not.toBeNull();
});

test('during an absence the store is asked at most once in five seconds', async () => {
  await directory.get();
  instead = away;
  house.passSeconds(60);
  for (let call = 0; call < 10; call += 1) {
    await directory.get();
    expect(await directory.refresh()).toBe(false);
  }
  expect(reads).toBe(2);
  house.passSeconds(5);
  await directory.get();
  expect(reads).toBe(3);
});

test('a refresh that can’t read is no fault of its own: the fault of the directory stays the answer', async () => {
  house.directory.people = [{ entry: anEntry('1', { uid: ['anna'] }), password: 'right' }];
  await house.run();
  const login = createLogin({ logins: house.ports.logins, directory, clock: house.ports.clock, pause: async () => {} });
  await login.logIn('anna', 'right');
  instead = away;
  house.directory.fault = unreachable();
  house.passSeconds(6);
  await expect(login.logIn('anna', 'right')).rejects.toMatchObject({
    code: 'directoryUnavailable',
    message: unreachable().message,
  });
  expect(reads).toBe(2);
});

test('a store that never answers holds up nobody for good, and its late answer counts', async () => {
  await directory.get();
  const late = Promise.withResolvers<StoredSettings | null>();
  instead = () => late.promise;
  house.passSeconds(60);
  const calls = await Promise.all([directory.get(), directory.get(), directory.refresh()]);
  expect(calls).toEqual([expect.anything(), expect.anything(), false]);
  expect(reads).toBe(2);

  await house.configure({ scope: { baseDn: 'dc=new' } });
  late.resolve(await house.ports.settings.read());
  await expect.poll(baseNow).toBe('dc=new');
  expect(reads).toBe(2);
});

test('calls that come together share one read and one directory', async () => {
  await Promise.all([directory.get(), directory.get(), directory.get()]);
  expect([reads, opened]).toEqual([1, 1]);
  await house.configure({ scope: { baseDn: 'dc=new' } });
  house.passSeconds(60);
  await Promise.all([directory.get(), directory.refresh(), directory.get()]);
  expect([reads, opened, closed]).toEqual([2, 2, 1]);
});

test('new settings count within a minute, also after the clock has jumped back', async () => {
  await directory.get();
  await house.configure({ scope: { baseDn: 'dc=one' } });
  house.passSeconds(59);
  expect(await baseNow()).toBe('dc=example,dc=com');
  house.passSeconds(1);
  expect(await baseNow()).toBe('dc=one');
  await house.configure({ scope: { baseDn: 'dc=two' } });
  house.passSeconds(-HOUR_S);
  expect(await baseNow()).toBe('dc=two');
});

test('an error that is no fault of the store is not hidden', async () => {
  await directory.get();
  instead = async () => await Promise.reject(new TypeError('a mistake of ours'));
  house.passSeconds(60);
  await expect(directory.get()).rejects.toThrow(TypeError);
});
