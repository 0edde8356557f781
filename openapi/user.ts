/** Describes the calls about users. Their schemas are in lib/administration/user-schema.ts and answer.ts. */
import { defaultPrivilegeRequest, typedPassword, userQuery } from '../lib/administration/request-schema.ts';
import { newPassword, newUser, userPatch } from '../lib/administration/user-schema.ts';
import * as answer from './answer.ts';
import { ETAG, LOCATION } from './call.ts';
import type { DescribedAnswer, DescribedCalls } from './call.ts';
import * as example from './example.ts';

/** The calls under `/api/users`. */
export const USER_CALLS: DescribedCalls = {
  'GET /api/users': {
    id: 'listUsers',
    tag: 'Users',
    summary: 'List users in the order of their names',
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
    description:
      'Only the user name is required. An integrated user needs a password to log in; set it with a separate call.',
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
    summary: 'Give the default privileges to directory users who have others',
    description:
      'A run gives the default privileges only to users that it creates; this call gives them to existing directory ' +
      'users. It leaves integrated users and administrators alone, and is refused if the default privilege is ' +
      '`admin`. It works for about 20 seconds; if there is more to do, `next` says where to continue. The `ETag` ' +
      'is that of the settings: send it as `If-Match` to apply the same privileges as a dry run showed.',
    ifMatch: true,
    body: { schema: defaultPrivilegeRequest, example: { dryRun: true } },
    answers: {
      200: {
        description: 'What the call did or, in a dry run, would do.',
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
      'Takes a JSON merge patch (RFC 7396): fields that you leave out stay unchanged. Changing `authentication` to ' +
      '`integrated` removes the link to the directory entry; changing it to `directory` deletes the password, and ' +
      'the next run links the user to the entry with the same user name.',
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
    answers: { 204: { description: 'The user is deleted.' } },
    faults: ['notFound', 'lastAdministrator', 'conflict', 'versionMismatch'],
  },
  'PUT /api/users/{userName}/password': {
    id: 'setPassword',
    tag: 'Users',
    summary: 'Set the password of an integrated user',
    description: 'Ends all sessions of the user except the one that makes the call.',
    body: { schema: newPassword, example: { password: 'correct horse battery staple' } },
    answers: { 204: { description: 'The new password is in effect, and failed attempts are forgotten.' } },
    faults: ['notFound', 'conflict'],
  },
  'POST /api/users/{userName}/test-authentication': {
    id: 'testAuthentication',
    tag: 'Users',
    summary: 'Show what a login would answer',
    description:
      'Ignores failed attempts and counts none. If the password is right, keeps what a login keeps: the new DN of an ' +
      'entry that has moved, and the link of a user who was made by hand to the only entry with that name.',
    body: { schema: typedPassword, example: { password: 'correct horse battery staple' } },
    answers: {
      200: {
        description: 'The outcome of the login.',
        schema: answer.loginOutcome,
        example: { outcome: 'accepted', user: example.person },
      },
    },
    faults: ['notFound', 'directoryUnavailable'],
  },
};

function userAnswer(): DescribedAnswer {
  return { description: 'The user after the call.', schema: answer.user, example: example.person, headers: ETAG };
}
