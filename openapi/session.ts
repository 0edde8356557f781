/** Describes the calls that sign in, sign out and change the caller's own password. */
import { credentials, passwordChange } from '../lib/administration/request-schema.ts';
import { SESSION_SECONDS } from '../lib/login/session.ts';
import * as answer from './answer.ts';
import { SIGNED_IN_COOKIE } from './call.ts';
import type { DescribedCalls } from './call.ts';
import * as example from './example.ts';

/** The calls under `/api/session`. */
export const SESSION_CALLS: DescribedCalls = {
  'POST /api/session': {
    id: 'signIn',
    tag: 'Session',
    summary: 'Sign in',
    description:
      `Opens a session of ${SESSION_SECONDS / 3_600} hours. ` +
      'Only active users with the privilege `admin` can sign in.',
    access: 'open',
    body: { schema: credentials, example: { userName: 'admin', password: 'correct horse battery staple' } },
    answers: {
      200: {
        description: 'The session. The token is also set as a cookie.',
        schema: answer.session,
        example: {
          token: 'Zk3hQw1qv0b8m2d5s7Xr9TtYyUuIiOoPpAaSsDdFfGg',
          expiresAt: '2026-05-04T18:00:00.000Z',
          user: example.administrator,
        },
        headers: SIGNED_IN_COOKIE,
      },
    },
    faults: ['notAuthenticated', 'throttled', 'directoryUnavailable'],
  },
  'GET /api/session': {
    id: 'whoAmI',
    tag: 'Session',
    summary: 'Show who is signed in',
    answers: {
      200: {
        description: 'The administrator who makes the call.',
        schema: answer.currentSession,
        example: { user: example.administrator, expiresAt: '2026-05-04T18:00:00.000Z' },
      },
    },
  },
  'DELETE /api/session': {
    id: 'signOut',
    tag: 'Session',
    summary: 'Sign out',
    description: 'Ends the session immediately and deletes the cookie. Without a session, the call does nothing.',
    access: 'anybody',
    answers: { 204: { description: 'The session has ended.', headers: SIGNED_IN_COOKIE } },
  },
  'PUT /api/session/password': {
    id: 'changeOwnPassword',
    tag: 'Session',
    summary: 'Change your own password',
    description:
      'For integrated users with the privilege `changePassword` or `admin`. The session identifies the user; without ' +
      'a session, `userName` does. The current password is verified as in a login, so the user also needs the ' +
      'privilege `login` or `admin`. Without a session, every failure to verify the user is the same 401. Ends all ' +
      'sessions of the user except the one that makes the call, which lasts as long as a new session.',
    access: 'anybody',
    body: { schema: passwordChange, example: example.passwordChange },
    answers: { 204: { description: 'The new password is in effect.' } },
    faults: ['notAuthenticated', 'notFound', 'conflict', 'throttled', 'directoryUnavailable'],
  },
};
