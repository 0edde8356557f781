/** Describes the calls about users. */
import { defaultPrivilegeRequest, typedPassword, userQuery } from '../lib/administration/request-schema.ts';
import { newPassword, newUser, userPatch } from '../lib/administration/user-schema.ts';
import * as answer from './answer.ts';
import { ETAG, LOCATION } from './call.ts';
import type { DescribedAnswer, DescribedCalls } from './call.ts';
import * as example from './example.ts';

export const USER_CALLS: DescribedCalls = {
  'GET /api/users': {
    id: 'listUsers',
    tag: 'Users',
    summary: 'List users, by name',
    query: userQuery,
    answers: {
      200: {
        description: 'A page of users.',
        schema: answer.userPage,
        example: { items: [example.person], next: null },
      },
    },
  },
  'POST /api/users': {
    id: 'createUser',
    tag: 'Users',
    summary: 'Create a user by hand',
    description: 'Only the user name is required. To log in, an integrated user needs a password.',
    body: { schema: newUser, example: example.newPerson },
    answers: {
      201: {
        description: 'The new user.',
        schema: answer.user,
        example: example.createdPerson,
        headers: { ...ETAG, ...LOCATION('user') },
      },
    },
    faults: ['userNameTaken'],
  },
  'POST /api/users/apply-default-privileges': {
    id: 'applyDefaultPrivileges',
    tag: 'Users',
    summary: 'Give the default privileges to people of the directory who have others',
    description:
      'For administrators who have changed their mind: a run gives them to users that it creates, and never again. ' +
      'Never touches integrated users and administrators; default privileges that are `admin` are refused. Works for ' +
      'about 20 seconds and tells in `next` where to go on. The `ETag` is that of the settings: with it in ' +
      '`If-Match`, what a dry run has shown is what is done.',
    ifMatch: true,
    body: { schema: defaultPrivilegeRequest, example: { dryRun: true } },
    answers: {
      200: {
        description: 'What was done or, in a dry run, would be.',
        schema: answer.appliedPrivileges,
        example: example.appliedPrivileges,
        headers: ETAG,
      },
    },
    faults: ['notConfigured', 'conflict', 'versionMismatch'],
  },
  'GET /api/users/{userName}': {
    id: 'getUser',
    tag: 'Users',
    summary: 'Show a user',
    answers: { 200: userAnswer() },
    faults: ['notFound'],
  },
  'PATCH /api/users/{userName}': {
    id: 'changeUser',
    tag: 'Users',
    summary: 'Change or rename a user',
    description:
      'A JSON merge patch (RFC 7396): what is left out stays. Another `authentication` unties a user from its entry, ' +
      'or drops its password; the next run ties users of the directory by their name.',
    ifMatch: true,
    body: { schema: userPatch, example: { fullName: 'Anna Weber', status: 'active' }, mergePatch: true },
    answers: { 200: userAnswer() },
    faults: ['notFound', 'userNameTaken', 'lastAdministrator', 'conflict', 'versionMismatch'],
  },
  'DELETE /api/users/{userName}': {
    id: 'deleteUser',
    tag: 'Users',
    summary: 'Delete a user',
    ifMatch: true,
    answers: { 204: { description: 'There is no such user any more.' } },
    faults: ['notFound', 'lastAdministrator', 'conflict', 'versionMismatch'],
  },
  'PUT /api/users/{userName}/password': {
    id: 'setPassword',
    tag: 'Users',
    summary: 'Set the password of an integrated user',
    description: 'Ends every session of the user but the one that calls.',
    body: { schema: newPassword, example: { password: 'correct horse battery staple' } },
    answers: { 204: { description: 'It counts from now on, and failed attempts are forgotten.' } },
    faults: ['notFound', 'conflict'],
  },
  'POST /api/users/{userName}/test-authentication': {
    id: 'testAuthentication',
    tag: 'Users',
    summary: 'Try what a login would answer',
    description: 'Neither reads nor counts failed attempts.',
    body: { schema: typedPassword, example: { password: 'correct horse battery staple' } },
    answers: {
      200: {
        description: 'What the login comes to.',
        schema: answer.loginOutcome,
        example: { outcome: 'accepted', user: example.person },
      },
    },
    faults: ['notFound', 'directoryUnavailable'],
  },
};

function userAnswer(): DescribedAnswer {
  return { description: 'The user as it is now.', schema: answer.user, example: example.person, headers: ETAG };
}
