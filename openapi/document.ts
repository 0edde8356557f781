/**
 * The description of the administration API (OpenAPI 3.1), made of the schemas that validate requests, those of answers, and
 * the table from fault to status. Knows every call by its address; what calls do is in functions/api.ts.
 */
import { readFileSync } from 'node:fs';
import type * as z from 'zod';
import { createDocument } from 'zod-openapi';
import type { ZodOpenApiOperationObject, ZodOpenApiParameterObject, ZodOpenApiResponseObject } from 'zod-openapi';
import { MAX_BODY_BYTES } from '../functions/http.ts';
import type { ErrorCode } from '../lib/errors.ts';
import { PRIVILEGE_CATALOGUE } from '../lib/user/privilege.ts';
import {
  changeQuery,
  credentials,
  defaultPrivilegeRequest,
  passwordChange,
  runQuery,
  syncOptions,
  typedPassword,
  userQuery,
} from '../lib/administration/request-schema.ts';
import { SESSION_SECONDS } from '../lib/login/session.ts';
import { settings, triedSettings } from '../lib/administration/settings-schema.ts';
import { newPassword, newUser, userPatch } from '../lib/administration/user-schema.ts';
import * as answer from './answer.ts';
import { errorCode } from './code.ts';
import * as example from './example.ts';
import { problem, problemResponses } from './problem.ts';

/** A call, as far as it differs from the others. */
interface DescribedCall {
  readonly id: string;
  readonly tag: (typeof TAGS)[number]['name'];
  readonly summary: string;
  readonly description?: string;
  /** Who may call; default: administrators, that is, by token or cookie. `anybody`: a session makes a difference. */
  readonly access?: 'open' | 'anybody';
  readonly query?: z.ZodObject;
  readonly ifMatch?: true;
  readonly body?: {
    readonly schema: z.ZodObject;
    readonly example: unknown;
    readonly optional?: true;
    readonly mergePatch?: true;
  };
  readonly answers: Readonly<Record<number, DescribedAnswer>>;
  /** Besides those that follow from the rest. */
  readonly faults?: readonly ErrorCode[];
}

interface DescribedAnswer {
  readonly description: string;
  readonly schema?: z.ZodType | { readonly type: 'object' };
  readonly example?: unknown;
  readonly headers?: ZodOpenApiResponseObject['headers'];
}

const TAGS = [
  { name: 'Session', description: 'Signing in and out.' },
  { name: 'Settings', description: 'The directory, who of it becomes a user, and when.' },
  { name: 'Runs', description: 'Runs of the synchronisation, and what they did.' },
  { name: 'Users', description: 'The user database.' },
  { name: 'System', description: 'The system itself.' },
] as const;

const DESCRIPTION = `
JSON in UTF-8; times in RFC 3339, UTC; ids are opaque. Unknown fields and query parameters are refused.

**Faults** are problem documents (RFC 9457) with a stable \`code\`; a 422 names every fault of the input at once. Any call may
answer with a 500 or 503, and an address that takes other methods with \`methodNotAllowed\`, status 405.

**Lists** are \`{items, next}\`: pass \`next\` back as \`?next=\` for the next page, until it is null.

**Lost updates** are prevented by \`If-Match\` with the \`ETag\` of what was read; without it, the last writer wins.

**Names in paths** are percent-encoded. API Gateway decodes paths before they are looked at, which loses what \`/\`, \`?\` and
\`%\` were: write names with such characters as \`~\` and the base64url of their UTF-8, as \`Location\` of a created user does.

**Bodies** have at most ${MAX_BODY_BYTES / 1024} KB.
`;

const ETAG = { ETag: header('For `If-Match`.') };
const SIGNED_IN_COOKIE = { 'Set-Cookie': header('The cookie `session`: HttpOnly, SameSite=Strict.') };
const LOCATION = (of: string) => ({ Location: header(`Address of the ${of}.`) });

const IF_MATCH: ZodOpenApiParameterObject = {
  name: 'If-Match',
  in: 'header',
  description: 'Entity tag of what was read. What has another one by now is not touched.',
  schema: { type: 'string' },
};

const PATH_PARAMETERS: Readonly<Record<string, ZodOpenApiParameterObject>> = {
  userName: {
    name: 'userName',
    in: 'path',
    required: true,
    description: 'User name in any letter case, or `~` and the base64url of its UTF-8.',
    schema: { type: 'string' },
    example: 'anna.weber',
  },
  id: {
    name: 'id',
    in: 'path',
    required: true,
    description: 'Id of a run.',
    schema: { type: 'string' },
    example: example.run.id,
  },
};

const settingsAnswer: DescribedAnswer = {
  description: 'The settings.',
  schema: answer.shownSettings,
  example: example.shownSettings,
  headers: ETAG,
};

const CALLS: Readonly<Record<string, DescribedCall>> = {
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
      'For integrated users with the privilege `changePassword` or `admin`; the session tells who that is, or `userName` where ' +
      'there is none. The current password is verified as in a login, which takes the privilege to log in. Without a session ' +
      'everything but a change is one 401. Ends every session of the user but the one that calls, which lasts as long as a ' +
      'new one.',
    access: 'anybody',
    body: { schema: passwordChange, example: example.passwordChange },
    answers: { 204: { description: 'It counts from now on.' } },
    faults: ['notAuthenticated', 'notFound', 'conflict', 'throttled', 'directoryUnavailable'],
  },
  'GET /api/settings': {
    id: 'getSettings',
    tag: 'Settings',
    summary: 'Show the settings',
    answers: { 200: settingsAnswer },
    faults: ['notFound'],
  },
  'PUT /api/settings': {
    id: 'saveSettings',
    tag: 'Settings',
    summary: 'Replace the settings',
    description: 'Moves the schedule too. A password that is left out stays as it is stored.',
    ifMatch: true,
    body: { schema: settings, example: example.settingsDocument },
    answers: { 200: settingsAnswer },
    faults: ['conflict', 'versionMismatch'],
  },
  'POST /api/settings/test': {
    id: 'testSettings',
    tag: 'Settings',
    summary: 'Test settings',
    description:
      'Tries the settings in the body, or the stored ones where there is no body, stage by stage, and shows the first people ' +
      'they find. The user name need not be mapped yet. Changes nothing, and ends within 25 seconds.',
    body: { schema: triedSettings, example: example.settingsDocument, optional: true },
    answers: {
      200: { description: 'What was found.', schema: answer.settingsTest, example: example.settingsTest },
    },
    faults: ['notConfigured'],
  },
  'POST /api/sync': {
    id: 'startRun',
    tag: 'Runs',
    summary: 'Start a run',
    description: 'Without a body, a real one.',
    body: { schema: syncOptions, example: { dryRun: true }, optional: true },
    answers: { 202: startedRun('The run waits to be taken up.') },
    faults: ['notConfigured', 'runActive', 'leaseLost'],
  },
  'GET /api/runs': {
    id: 'listRuns',
    tag: 'Runs',
    summary: 'List runs, newest first',
    query: runQuery,
    answers: {
      200: { description: 'A page of runs.', schema: answer.runPage, example: { items: [example.run], next: null } },
    },
  },
  'GET /api/runs/{id}': {
    id: 'getRun',
    tag: 'Runs',
    summary: 'Show a run with its progress',
    answers: { 200: { description: 'The run.', schema: answer.run, example: example.run } },
    faults: ['notFound'],
  },
  'GET /api/runs/{id}/changes': {
    id: 'listChanges',
    tag: 'Runs',
    summary: 'List what a run did, a line per user',
    query: changeQuery,
    answers: {
      200: {
        description: 'A page of changes.',
        schema: answer.changePage,
        example: { items: [example.change], next: null },
      },
    },
    faults: ['notFound'],
  },
  'POST /api/runs/{id}/cancel': {
    id: 'cancelRun',
    tag: 'Runs',
    summary: 'Stop the active run at its next step',
    answers: {
      202: { description: 'It will stop.', schema: answer.startedRun, example: example.startedRun },
    },
    faults: ['notFound', 'runNotActive'],
  },
  'POST /api/runs/{id}/approve': {
    id: 'approveRun',
    tag: 'Runs',
    summary: 'Approve the removals that a run has withheld',
    description: 'Starts a run that looks for each of the users once more and removes those that are still missing.',
    answers: { 202: startedRun('The run that applies them waits to be taken up.') },
    faults: ['notFound', 'nothingWithheld', 'notConfigured', 'runActive', 'leaseLost'],
  },
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
      'For administrators who have changed their mind: a run gives them to users that it creates, and never again. Never ' +
      'touches integrated users and administrators; default privileges that are `admin` are refused. Works for about 20 ' +
      'seconds and tells in `next` where to go on. The `ETag` is that of the settings: with it in `If-Match`, what a dry run ' +
      'has shown is what is done.',
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
      'A JSON merge patch (RFC 7396): what is left out stays. Another `authentication` unties a user from its entry, or drops ' +
      'its password; the next run ties users of the directory by their name.',
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
  'GET /api/privileges': {
    id: 'listPrivileges',
    tag: 'System',
    summary: 'List the privileges there are',
    answers: {
      200: {
        description: 'All of them.',
        schema: answer.privilegePage,
        example: { items: PRIVILEGE_CATALOGUE, next: null },
      },
    },
  },
  'GET /api/health': {
    id: 'checkHealth',
    tag: 'System',
    summary: 'Whether the API works',
    access: 'anybody',
    answers: {
      200: { description: 'It does.', schema: answer.health, example: { status: 'ok' } },
      503: { description: 'It does not reach a store.', schema: answer.health, example: { status: 'degraded' } },
    },
  },
  'GET /api/openapi.json': {
    id: 'describeApi',
    tag: 'System',
    summary: 'This description',
    access: 'open',
    answers: { 200: { description: 'OpenAPI 3.1.', schema: { type: 'object' }, example: { openapi: '3.1.1' } } },
  },
};

/** The description as a value; it can be written as JSON or YAML as it stands. */
export function describeApi() {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const [address, call] of Object.entries(CALLS)) {
    const [method, path] = address.split(' ') as [string, string];
    paths[path] = { ...paths[path], [method.toLowerCase()]: describeCall(path, call) };
  }
  return createDocument({
    openapi: '3.1.1',
    info: {
      title: 'Rollcall administration API',
      version,
      description: DESCRIPTION.trim(),
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'Where this description was found.' }],
    tags: [...TAGS],
    security: [{ bearer: [] }, { cookie: [] }],
    paths,
    components: {
      schemas: {
        Settings: settings,
        TriedSettings: triedSettings,
        NewUser: newUser,
        UserPatch: userPatch,
        Problem: problem,
        ErrorCode: errorCode,
      },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'The token of a session.' },
        cookie: {
          type: 'apiKey',
          in: 'cookie',
          name: 'session',
          description: 'The cookie of a session. For anything but GET it counts only in requests of the same site.',
        },
      },
    },
  });
}

function describeCall(path: string, call: DescribedCall): ZodOpenApiOperationObject {
  const { id, tag, summary, description, access, query, ifMatch, body, answers, faults = [] } = call;
  const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
  const codes: ErrorCode[] = [...faults, 'internal', 'timeLimit'];
  if (id !== 'describeApi') codes.push('storeUnavailable');
  if (access === undefined) codes.push('notAuthenticated');
  if (names.length > 0) codes.push('malformedPath');
  if (query) codes.push('invalidRequest');
  if (body) codes.push('malformedJson', 'unsupportedMediaType', 'payloadTooLarge', 'invalidRequest');

  const responses: Record<string, ZodOpenApiResponseObject> = problemResponses(codes);
  for (const [status, answer] of Object.entries(answers)) {
    const { content } = responses[status] ?? {};
    responses[status] = {
      ...describeAnswer(answer),
      ...(content && { content: { ...contentOf(answer), ...content } }),
    };
  }
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(access === 'open' && { security: [] }),
    ...(access === 'anybody' && { security: [{}, { bearer: [] }, { cookie: [] }] }),
    parameters: [...names.map((name) => PATH_PARAMETERS[name]!), ...(ifMatch ? [IF_MATCH] : [])],
    ...(query && { requestParams: { query } }),
    ...(body && { requestBody: describeBody(body) }),
    responses,
  };
}

function describeBody({ schema, example, optional, mergePatch }: NonNullable<DescribedCall['body']>) {
  const content = { schema, example };
  return {
    required: optional !== true,
    content: {
      'application/json': content,
      ...(mergePatch && { 'application/merge-patch+json': content }),
    },
  };
}

function describeAnswer(answer: DescribedAnswer): ZodOpenApiResponseObject {
  const { description, schema, headers } = answer;
  return { description, ...(headers && { headers }), ...(schema && { content: contentOf(answer) }) };
}

function contentOf({ schema, example }: DescribedAnswer): NonNullable<ZodOpenApiResponseObject['content']> {
  return schema === undefined ? {} : { 'application/json': { schema, example } };
}

function startedRun(description: string): DescribedAnswer {
  return { description, schema: answer.startedRun, example: example.startedRun, headers: LOCATION('run') };
}

function userAnswer(): DescribedAnswer {
  return { description: 'The user as it is now.', schema: answer.user, example: example.person, headers: ETAG };
}

function header(description: string) {
  return { schema: { type: 'string' as const }, required: true, description };
}
