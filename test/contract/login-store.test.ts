import { expect, test } from 'vitest';
import type { Attempts } from '../../lib/login/login-store.ts';
import { aUser } from '../support/people.ts';
import { describeOnEveryStore } from '../support/stores.ts';
import type { Stores } from '../support/stores.ts';

const HOUR_MS = 60 * 60_000;

async function attemptsOf({ logins }: Stores, userName = 'anna'): Promise<Attempts | null> {
  return (await logins.find(userName)).attempts;
}

function inAnHour({ now }: Stores): Date {
  return new Date(now().getTime() + HOUR_MS);
}

describeOnEveryStore('the login store', (open) => {
  test('finds user and attempts by name in any letter case', async () => {
    const stores = await open();
    const anna = aUser({ userName: 'Anna' });
    await stores.users.writeEach([{ type: 'create', user: anna }]);
    await stores.logins.countFailure('ANNA', inAnHour(stores));

    const found = await stores.logins.find('anna');

    expect(found.user).toEqual(anna);
    expect(found.attempts?.failures).toBe(1);
    expect(await stores.logins.find('nobody')).toEqual({ user: null, attempts: null });
  });

  test('counts every failure of many at once, also for a name that nobody has', async () => {
    const stores = await open();

    const counts = await Promise.all(
      Array.from({ length: 12 }, () => stores.logins.countFailure('nobody', inAnHour(stores))),
    );

    expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
    expect((await attemptsOf(stores, 'nobody'))?.failures).toBe(12);
  });

  test('blocks nobody by counting', async () => {
    const stores = await open();

    await stores.logins.countFailure('anna', inAnHour(stores));

    const { blockedUntil } = (await attemptsOf(stores))!;
    expect(Date.parse(blockedUntil)).toBeLessThan(stores.now().getTime());
  });

  test('forgets failures an hour after the first of them, and then counts from one', async () => {
    const stores = await open();
    await stores.logins.countFailure('anna', inAnHour(stores));
    stores.passMs(HOUR_MS / 2);
    await stores.logins.countFailure('anna', inAnHour(stores));
    expect((await attemptsOf(stores))?.failures).toBe(2);

    stores.passMs(HOUR_MS / 2 + 1_000);

    expect(await attemptsOf(stores)).toBeNull();
    expect(await stores.logins.countFailure('anna', inAnHour(stores))).toBe(1);
    expect((await attemptsOf(stores))?.failures).toBe(1);
  });

  test('lets one of many set the attempts they have all read', async () => {
    const stores = await open();
    await stores.logins.countFailure('anna', inAnHour(stores));
    const read = (await attemptsOf(stores))!;
    const next = (seconds: number): Attempts => ({
      failures: 2,
      blockedUntil: new Date(stores.now().getTime() + seconds * 1_000).toISOString(),
    });

    const results = await Promise.all([1, 2, 3, 4].map((each) => stores.logins.setAttempts('Anna', read, next(each))));

    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await attemptsOf(stores)).toEqual(next(results.indexOf(true) + 1));
    expect(await stores.logins.setAttempts('anna', read, next(9))).toBe(false);
  });

  test('sets no attempts that have expired, and clears them', async () => {
    const stores = await open();
    await stores.logins.countFailure('anna', inAnHour(stores));
    const stale = (await attemptsOf(stores))!;
    stores.passMs(2 * HOUR_MS);
    expect(await stores.logins.setAttempts('anna', stale, { ...stale, failures: 2 })).toBe(false);
    await stores.logins.countFailure('anna', inAnHour(stores));
    await stores.logins.clearAttempts('ANNA');
    await stores.logins.clearAttempts('anna');
    expect(await attemptsOf(stores)).toBeNull();
  });

  test('remembers a DN, has the next run look at the whole record, and gives way to a changed user', async () => {
    const stores = await open();
    const anna = aUser({ fingerprint: 'print' });
    await stores.users.writeEach([{ type: 'create', user: anna }]);
    stores.passMs(5_000);

    await stores.logins.rememberDn(anna, 'uid=anna,ou=new');
    await stores.logins.rememberDn(anna, 'uid=anna,ou=late');
    await stores.logins.rememberDn(aUser({ userName: 'nobody' }), 'uid=nobody');

    expect(await stores.users.get('anna')).toEqual({
      ...anna,
      directory: { ...anna.directory, dn: 'uid=anna,ou=new' },
      fingerprint: null,
      updatedAt: stores.now().toISOString(),
      version: 2,
    });
    expect(await stores.users.get('nobody')).toBeNull();
  });
});
