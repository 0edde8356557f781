import { expect, test } from 'vitest';
import type { Session, SessionStore } from '../../lib/login/session.ts';
import { createSession, endSession, readSession, renewSession, SESSION_SECONDS } from '../../lib/login/session.ts';
import type { User } from '../../lib/user/user.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aUser, NOW } from '../support/people.ts';

const ROOT = aUser({ userName: 'root', privileges: ['admin'], authentication: 'integrated', directory: null });

async function house() {
  const { users, sessions } = createMemoryStores({ now: () => NOW });
  await users.writeTogether([{ kind: 'create', user: ROOT }]);
  return { users, sessions };
}

function later(seconds: number): Date {
  return new Date(NOW.getTime() + seconds * 1_000);
}

test('a session stands for its administrator until it expires', async () => {
  const stores = await house();

  const { token, expiresAt } = await createSession(stores.sessions, ROOT, NOW);

  expect(expiresAt).toBe(later(SESSION_SECONDS).toISOString());
  expect(await readSession(stores, token, later(SESSION_SECONDS - 1))).toEqual({ user: ROOT, expiresAt });
  expect(await readSession(stores, token, later(SESSION_SECONDS))).toBeNull();
});

test('the store never sees the token', async () => {
  const { sessions } = await house();
  const seen: [string, Session][] = [];
  const watched: SessionStore = { ...sessions, create: async (...session) => void seen.push(session) };

  const { token } = await createSession(watched, ROOT, NOW);

  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(JSON.stringify(seen)).not.toContain(token);
  expect(await readSession(await house(), seen[0]![0], NOW)).toBeNull();
});

test('an ended session is over, and ending it again changes nothing', async () => {
  const stores = await house();
  const { token } = await createSession(stores.sessions, ROOT, NOW);

  await endSession(stores.sessions, token);
  await endSession(stores.sessions, token);

  expect(await readSession(stores, token, NOW)).toBeNull();
});

test('after a new password only the session that is renewed goes on, for a whole session’s time', async () => {
  const stores = await house();
  const [{ token: mine }, { token: other }] = [
    await createSession(stores.sessions, ROOT, NOW),
    await createSession(stores.sessions, ROOT, NOW),
  ];
  const changed = { ...ROOT, sessionsValidFrom: later(60).toISOString(), version: 2 };
  await stores.users.writeTogether([{ kind: 'update', user: changed, previous: ROOT }]);

  await renewSession(stores.sessions, mine, changed);

  expect(await readSession(stores, other, later(60))).toBeNull();
  expect(await readSession(stores, mine, later(60 + SESSION_SECONDS - 1))).toMatchObject({ user: changed });
  expect(await readSession(stores, mine, later(60 + SESSION_SECONDS))).toBeNull();
});

test.each(['', 'x', 'A'.repeat(43), 'A'.repeat(44), '../'.repeat(14)])('%j is nobody’s token', async (token) => {
  expect(await readSession(await house(), token, NOW)).toBeNull();
});

test.each([
  ['disabled', { ...ROOT, disabledBy: 'admin', version: 2 }],
  ['no administrator any more', { ...ROOT, privileges: ['login'], version: 2 }],
  ['renamed', { ...ROOT, userName: 'toor', version: 2 }],
  ['given another password', { ...ROOT, sessionsValidFrom: later(1).toISOString(), version: 2 }],
  ['deleted', null],
  ['another account of that name', 'replaced'],
] as [string, User | null | 'replaced'][])('a session is over at once when its user is %s', async (_what, change) => {
  const stores = await house();
  const { token } = await createSession(stores.sessions, ROOT, NOW);

  if (change === null || change === 'replaced') await stores.users.writeTogether([{ kind: 'delete', previous: ROOT }]);
  else {
    const kind = change.userName === ROOT.userName ? 'update' : 'rename';
    await stores.users.writeTogether([{ kind, user: change, previous: ROOT }]);
  }
  if (change === 'replaced') await stores.users.writeTogether([{ kind: 'create', user: { ...ROOT, id: 'account-2' } }]);

  expect(await readSession(stores, token, NOW)).toBeNull();
});
