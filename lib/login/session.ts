/**
 * Sessions of administrators: an opaque random token, of which only the hash is stored. Knows no cookies and no
 * headers.
 */
import { hash, randomBytes } from 'node:crypto';
import type { UserStore } from '../user/user-store.ts';
import type { User } from '../user/user.ts';

/** A session as stored. `expiresAt`: RFC 3339 UTC. */
export interface Session {
  readonly userId: string;
  readonly userName: string;
  readonly expiresAt: string;
}

/** The port to stored sessions. Every method may throw ServiceError `storeUnavailable`. */
export interface SessionStore {
  /** Stores a new session. `tokenHash` is never the token itself. */
  create(tokenHash: string, session: Session): Promise<void>;
  /** Replaces a session; a session that has ended meanwhile stays ended. */
  renew(tokenHash: string, session: Session): Promise<void>;
  get(tokenHash: string): Promise<Session | null>;
  delete(tokenHash: string): Promise<void>;
}

/** How long a session lasts, whether it is used or not. */
export const SESSION_SECONDS = 8 * 60 * 60;

const TOKEN_BYTES = 32;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

/** The caller's part of a session: 256 random bits as base64url, and the end of their validity (RFC 3339 UTC). */
export interface SessionToken {
  readonly token: string;
  readonly expiresAt: string;
}

/** Opens a session. The caller decides whether the user may have one; `readSession` checks it again at every call. */
export async function createSession(
  sessions: SessionStore,
  user: Pick<User, 'id' | 'userName'>,
  now: Date,
): Promise<SessionToken> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const session = beginSession(user, now);
  await sessions.create(tokenHash(token), session);
  return { token, expiresAt: session.expiresAt };
}

/**
 * Renews one session under the same token after a new password has ended all sessions of the user. A session that has
 * ended meanwhile stays ended.
 *
 * @param user as stored with the new password
 */
export async function renewSession(sessions: SessionStore, token: string, user: User): Promise<void> {
  await sessions.renew(tokenHash(token), beginSession(user, new Date(user.sessionsValidFrom!)));
}

/**
 * The administrator that a token belongs to, and when the session expires. null if the token is unknown or expired, or
 * if the user has been deleted, renamed or disabled, has a new password, or is no longer an administrator: each of
 * these ends the session at once, and for good.
 */
export async function readSession(
  { sessions, users }: { readonly sessions: SessionStore; readonly users: UserStore },
  token: string,
  now: Date,
): Promise<{ readonly user: User; readonly expiresAt: string } | null> {
  if (!TOKEN.test(token)) return null;
  const session = await sessions.get(tokenHash(token));
  // Stores delete expired records with a delay.
  if (session === null || Date.parse(session.expiresAt) <= now.getTime()) return null;
  const user = await users.get(session.userName);
  const begun = new Date(Date.parse(session.expiresAt) - SESSION_SECONDS * 1_000).toISOString();
  const valid =
    user?.id === session.userId &&
    user.disabledBy === null &&
    user.privileges.includes('admin') &&
    begun >= (user.sessionsValidFrom ?? '');
  return valid ? { user, expiresAt: session.expiresAt } : null;
}

/** Ends a session, if it exists. */
export async function endSession(sessions: SessionStore, token: string): Promise<void> {
  if (TOKEN.test(token)) await sessions.delete(tokenHash(token));
}

function beginSession({ id, userName }: Pick<User, 'id' | 'userName'>, begun: Date): Session {
  return { userId: id, userName, expiresAt: new Date(begun.getTime() + SESSION_SECONDS * 1_000).toISOString() };
}

// The token is random throughout, so one round of a plain hash is enough to keep it secret.
function tokenHash(token: string): string {
  return hash('sha256', token, 'base64url');
}
