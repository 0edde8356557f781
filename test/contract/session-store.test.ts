import { expect, test } from 'vitest';
import { describeOnEveryStore } from '../support/stores.ts';

describeOnEveryStore('the session store', (open) => {
  test('gives a session to its token until it ends or expires', async () => {
    const { sessions, now, passMs } = await open();
    const session = { userId: 'id', userName: 'admin', expiresAt: new Date(now().getTime() + 1_500).toISOString() };
    await sessions.create('hash-1', session);
    await sessions.create('hash-2', session);

    expect(await sessions.get('hash-1')).toEqual(session);
    expect(await sessions.get('hash-3')).toBeNull();
    await sessions.delete('hash-1');
    await sessions.delete('hash-1');
    await sessions.renew('hash-1', session);
    expect(await sessions.get('hash-1')).toBeNull();
    passMs(1_499);
    expect(await sessions.get('hash-2')).toEqual(session);
    const renewed = { ...session, expiresAt: new Date(now().getTime() + 1_000).toISOString() };
    await sessions.renew('hash-2', renewed);
    passMs(1);
    expect(await sessions.get('hash-2')).toEqual(renewed);
    passMs(999);
    expect(await sessions.get('hash-2')).toBeNull();
  });
});
