/** Describes the calls that sign in and out and change the own password. */
import { credentials, passwordChange } from '../lib/administration/request-schema.ts';
import { SESSION_SECONDS } from '../lib/login/session.ts';
import * as answer from './answer.ts';
import { SIGNED_IN_COOKIE } from './call.ts';
import type { DescribedCalls } from './call.ts';
import * as example from './example.ts';

export const SESSION_CALLS: DescribedCalls = {
  'POST /api/session': {
    id: 'signIn',
    tag: 'Session',
    summary: 'Sign in',
    description: `Opens a session of ${SESSION_SECONDS / 3_600} hours. Only active users with the privilege \`admin\` get one.`,
    access: 'open',
    body: { schema: credentials, example: { userName: 'admin', password: 'correct horse battery staple' } },
    answers: {
      200: {
        description: 'The session, also as cookie.',
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
    summary: 'Who am I',
    answers: {
      200: {
        description: 'The administrator that calls.',
        schema: answer.currentSession,
        example: { user: example.administrator, expiresAt: '2026-05-04T18:00:00.000Z' },
      },
    },
  },
  'DELETE /api/session': {
    id: 'signOut',
    tag: 'Session',
    summary: 'Sign out',
    description: 'Ends the session at once, and takes the cookie back. Without a session there is nothing to end.',
    access: 'anybody',
    answers: { 204: { description: 'There is no session any more.', headers: SIGNED_IN_COOKIE } },
  },
  'PUT /api/session/password': {
    id: 'changeOwnPassword',
    tag: 'Session',
    summary: 'Change the own password',
    description:
      'For integrated users with the privilege `changePassword` or `admin`; the session tells who that is, or ' +
      '`userName` where there is none. The current password is verified as in a login, which takes the privilege to ' +
      'log in. Without a session everything but a change is one 401. Ends every session of the user but the one that ' +
      'calls, which lasts as long as a new one.',
    access: 'anybody',
    body: { schema: passwordChange, example: example.passwordChange },
    answers: { 204: { description: 'It counts from now on.' } },
    faults: ['notAuthenticated', 'notFound', 'conflict', 'throttled', 'directoryUnavailable'],
  },
};
