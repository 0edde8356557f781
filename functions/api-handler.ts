/** The administration API: a table from address to use case. Decides who may call; lib/ does the work. */
import { applyDefaultPrivileges } from '../lib/administration/default-privilege.ts';
import type { Parsed } from '../lib/administration/input.ts';
import {
  parseApprovalRequest,
  parseChangeQuery,
  parseCredentials,
  parseDefaultPrivilegeRequest,
  parsePasswordChange,
  parseRunQuery,
  parseSyncOptions,
  parseTypedPassword,
  parseUserQuery,
} from '../lib/administration/request-schema.ts';
import { approveRun, cancelRun, getRun, startRun } from '../lib/administration/runs.ts';
import { presentSettings } from '../lib/administration/settings-presentation.ts';
import { readSettings, saveSettings, testSettings, validateSettings } from '../lib/administration/settings.ts';
import type { SettingsInEffect } from '../lib/administration/settings.ts';
import { parseNewPassword, parseNewUser, parseUserPatch } from '../lib/administration/user-schema.ts';
import { createAdministration } from '../lib/administration/users.ts';
import type { Clock } from '../lib/clock.ts';
import type { OpenDirectory } from '../lib/directory/directory.ts';
import { invalidRequest, ServiceError } from '../lib/errors.ts';
import type { LoginStore } from '../lib/login/login-store.ts';
import type { Login } from '../lib/login/login.ts';
import type { SessionStore } from '../lib/login/session.ts';
import { endSession, readSession, renewSession, SESSION_SECONDS } from '../lib/login/session.ts';
import { createSignIn, FIRST_ADMINISTRATOR } from '../lib/login/sign-in.ts';
import type { ReadGeneratedPassword } from '../lib/login/sign-in.ts';
import type { ScheduleStore, SettingsStore } from '../lib/settings/settings-store.ts';
import type { ApprovalStore } from '../lib/sync/approval-store.ts';
import type { RunStore } from '../lib/sync/run-store.ts';
import type { Run, RunTrigger } from '../lib/sync/run.ts';
import type { StartSync } from '../lib/sync/sync-starter.ts';
import { mayChangePassword, PRIVILEGE_CATALOGUE } from '../lib/user/privilege.ts';
import { parseUserName, userNameKey } from '../lib/user/user-name.ts';
import type { UserStore } from '../lib/user/user-store.ts';
import type { PublicUser, User } from '../lib/user/user.ts';
import { toPublicUser } from '../lib/user/user.ts';
import { createSourceReader } from './client-address.ts';
import type { TrustedProxy } from './client-address.ts';
import { MAX_LIST_BODY_BYTES, serveRoutes } from './http.ts';
import type { Answer, Call, HttpHandler, Logger, Route } from './http.ts';
import description from './openapi.json' with { type: 'json' };

/** The ports that the API needs. */
export interface ApiPorts {
  readonly users: UserStore;
  readonly logins: LoginStore;
  readonly runs: RunStore;
  readonly approvals: ApprovalStore;
  readonly settings: SettingsStore;
  readonly sessions: SessionStore;
  readonly schedule: ScheduleStore;
  readonly openDirectory: OpenDirectory;
  readonly login: Login;
  readonly startSync: StartSync;
  readonly readGeneratedPassword: ReadGeneratedPassword;
  /** The proxy in front of API Gateway; null = none. */
  readonly proxy: TrustedProxy | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The calling administrator, identified by the token of an API client or the cookie of the console. */
interface Caller {
  readonly user: User;
  readonly token: string;
  readonly expiresAt: string;
  readonly trigger: Extract<RunTrigger, 'api' | 'console'>;
}

const SESSION_COOKIE = 'session';

/** Makes the handler of the administration API. */
export function makeHandler(ports: ApiPorts): HttpHandler {
  const { users, runs, settings, sessions, login, clock, logger } = ports;
  const administration = createAdministration(users, ports.logins, clock);
  const signIns = createSignIn(ports);
  const readSource = createSourceReader(ports.proxy, clock);

  async function readCaller(call: Call, safe: boolean): Promise<Caller | null> {
    const token = tokenOf(call, safe);
    if (token === null) return null;
    const session = await readSession(ports, token, clock.now());
    return session && { ...session, token, trigger: call.bearerToken === null ? 'console' : 'api' };
  }

  /** A route for administrators. Any other caller learns nothing, not even the faults of the body. */
  function forAdministrators(
    method: Route['method'],
    path: string,
    handle: (call: Call, caller: Caller) => Promise<Answer>,
  ): Route {
    const safe = method === 'GET';
    return {
      method,
      path,
      async handle(call) {
        const caller = await readCaller(call, safe);
        if (caller === null) throw new ServiceError('notAuthenticated', 'sign in as an administrator first');
        const answer = await handle(call, caller);
        if (!safe) logger.info('administration', { action: `${method} ${path}`, by: caller.user.id });
        return answer;
      },
    };
  }

  async function signIn(call: Call): Promise<Answer> {
    const { userName, password } = valid(parseCredentials(call.json()));
    const session = await signIns.signIn(userName, password, await readSource(call));
    if (session === null) {
      throw new ServiceError('notAuthenticated', 'wrong user name or password');
    }
    return { status: 200, body: session, cookies: [sessionCookie(session.token, SESSION_SECONDS, call.https)] };
  }

  /** A new password ends all sessions of its user, except the session that set it. */
  async function keepSession(caller: Caller | null, changed: User): Promise<void> {
    if (caller?.user.id !== changed.id) return;
    try {
      await renewSession(sessions, caller.token, changed);
    } catch (error) {
      // The password is set. If the session is lost, its user signs in with the new password.
      if (!(error instanceof ServiceError)) throw error;
    }
  }

  /** Works without a session, because only administrators have one. Always requires the old password. */
  async function changeOwnPassword(call: Call): Promise<Answer> {
    const typed = valid(parsePasswordChange(call.json()));
    const caller = await readCaller(call, false);
    const userName = caller?.user.userName ?? typed.userName;
    if (userName === undefined) {
      throw new ServiceError('notAuthenticated', 'sign in first, or name the user in "userName"');
    }
    if (typed.userName !== undefined && userNameKey(typed.userName) !== userNameKey(userName)) {
      throw invalidRequest([{ path: 'userName', message: 'must be the signed-in user; leave it out' }]);
    }
    // Without a session, a correct password that can't be changed here is not confirmed, because it may be valid
    // elsewhere.
    const suits = ({ authentication, privileges }: PublicUser): boolean =>
      (caller !== null || authentication === 'integrated') && mayChangePassword(privileges);
    const user = await signIns.verifyPassword(userName, typed.currentPassword, await readSource(call), suits);
    if (user === null) {
      throw new ServiceError(
        'notAuthenticated',
        'wrong user name or password, or this user may not change the password here',
      );
    }
    const changed = await administration.changeOwnPassword(user, typed.newPassword);
    await keepSession(caller, changed);
    logger.info('administration', { action: 'PUT /api/session/password', by: changed.id });
    return { status: 204 };
  }

  async function signOut(call: Call): Promise<Answer> {
    const token = tokenOf(call, false);
    if (token !== null) await endSession(sessions, token);
    return { status: 204, cookies: [sessionCookie('', 0, call.https)] };
  }

  async function health(call: Call): Promise<Answer> {
    const checks = await Promise.all([
      check('users', async () => void (await users.get(FIRST_ADMINISTRATOR))),
      check('settings', async () => void (await settings.read())),
    ]);
    const healthy = checks.every(({ ok }) => ok);
    // Without the users table, nobody can be identified as an administrator.
    const caller = healthy ? await readCaller(call, true) : null;
    const status = healthy ? 'ok' : 'degraded';
    return { status: healthy ? 200 : 503, body: caller ? { status, checks } : { status } };
  }

  return serveRoutes(
    [
      { method: 'POST', path: '/api/session', handle: signIn, isLimited: true },
      { method: 'DELETE', path: '/api/session', handle: signOut },
      { method: 'PUT', path: '/api/session/password', handle: changeOwnPassword, isLimited: true },
      { method: 'GET', path: '/api/health', handle: health },
      // Open to everybody: it describes the API and reveals nothing about this deployment.
      { method: 'GET', path: '/api/openapi.json', handle: async () => ({ status: 200, body: description }) },
      forAdministrators('GET', '/api/session', async (_call, { user, expiresAt }) => ({
        status: 200,
        body: { user: toPublicUser(user), expiresAt },
      })),
      forAdministrators('GET', '/api/privileges', async () => ({
        status: 200,
        body: { items: PRIVILEGE_CATALOGUE, next: null },
      })),

      forAdministrators('GET', '/api/settings', async () => {
        const shown = await readSettings(ports);
        if (shown === null) throw new ServiceError('notFound', 'no settings are saved yet');
        return settingsAnswer(shown, clock.now());
      }),
      forAdministrators('PUT', '/api/settings', async (call) =>
        settingsAnswer(await saveSettings(ports, call.json(), call.ifMatch), clock.now()),
      ),
      forAdministrators('POST', '/api/settings/validate', async (call) => ({
        status: 200,
        body: await validateSettings(ports, call.json()),
      })),
      forAdministrators('POST', '/api/settings/test', async (call) => ({
        status: 200,
        body: await testSettings(ports, call.optionalJson()),
      })),

      forAdministrators('POST', '/api/sync', async (call, { user, trigger }) => {
        const { dryRun } = valid(parseSyncOptions(call.optionalJson()));
        return runAnswer(await startRun(ports, { dryRun, trigger, requestedBy: user.userName, approves: null }));
      }),
      forAdministrators('GET', '/api/runs', async (call) => {
        return { status: 200, body: await runs.list(valid(parseRunQuery(call.query))) };
      }),
      forAdministrators('GET', '/api/runs/{id}', async ({ params }) => ({
        status: 200,
        body: await getRun(runs, runIdOf(params)),
      })),
      forAdministrators('GET', '/api/runs/{id}/changes', async (call) => {
        const query = valid(parseChangeQuery(call.query));
        const { id } = await getRun(runs, runIdOf(call.params));
        return { status: 200, body: await runs.listChanges(id, query) };
      }),
      forAdministrators('POST', '/api/runs/{id}/cancel', async ({ params }) => {
        const id = runIdOf(params);
        await cancelRun(runs, id);
        return { status: 202, body: { runId: id } };
      }),
      forAdministrators('POST', '/api/runs/{id}/approve', async (call, { user, trigger }) => {
        const asked = valid(parseApprovalRequest(call.optionalJson(MAX_LIST_BODY_BYTES)));
        const request = { trigger, requestedBy: user.userName };
        return runAnswer(await approveRun(ports, runIdOf(call.params), asked, request));
      }),

      forAdministrators('GET', '/api/users', async (call) => {
        const query = valid(parseUserQuery(call.query));
        const page = await users.list(query);
        return { status: 200, body: { items: page.items.map(toPublicUser), next: page.next } };
      }),
      forAdministrators('POST', '/api/users', async (call) => {
        const user = await administration.create(valid(parseNewUser(call.json())));
        return userAnswer(user, 201, { location: userPath(user.userName) });
      }),
      forAdministrators('POST', '/api/users/apply-default-privileges', async (call) => {
        const request = valid(parseDefaultPrivilegeRequest(call.json()));
        const body = await applyDefaultPrivileges(ports, request, call.ifMatch);
        return { status: 200, body, headers: { etag: `"${body.settingsVersion}"` } };
      }),
      forAdministrators('GET', '/api/users/{userName}', async ({ params }) =>
        userAnswer(await administration.get(userNameOf(params)), 200),
      ),
      forAdministrators('PATCH', '/api/users/{userName}', async (call) => {
        const patch = valid(parseUserPatch(call.json()));
        return userAnswer(await administration.patch(userNameOf(call.params), patch, versionOf(call)), 200);
      }),
      forAdministrators('DELETE', '/api/users/{userName}', async (call) => {
        await administration.remove(userNameOf(call.params), versionOf(call));
        return { status: 204 };
      }),
      forAdministrators('PUT', '/api/users/{userName}/password', async (call, caller) => {
        const userName = userNameOf(call.params);
        const { password } = valid(parseNewPassword(call.json()));
        await keepSession(caller, await administration.setPassword(userName, password));
        return { status: 204 };
      }),
      forAdministrators('POST', '/api/users/{userName}/test-authentication', async (call) => {
        const typed = valid(parseTypedPassword(call.json()));
        const { userName } = await administration.get(userNameOf(call.params));
        return { status: 200, body: await login.checkPassword(userName, typed.password) };
      }),
    ],
    logger,
  );
}

/**
 * The address of a user. API Gateway's HTTP APIs decode the path before the function gets it, so escaped `/`, `?` and
 * `%` are lost. Names with any character but letters, digits and `.@_-` are therefore written as `~` and the base64url
 * of their UTF-8.
 */
export function userPath(userName: string): string {
  const isPlain = /^[A-Za-z0-9@_-][A-Za-z0-9.@_-]*$/.test(userName);
  return `/api/users/${isPlain ? userName : `~${Buffer.from(userName).toString('base64url')}`}`;
}

/**
 * The user name in a path. Only the form that `userPath` writes is decoded; any other text is the name itself.
 * Otherwise the deletion of a user named `~dmljdGlt` would delete `victim`. A text that can't be a user name is not
 * found.
 */
function userNameOf({ userName: part = '' }: Call['params']): string {
  const decoded = part.startsWith('~') ? Buffer.from(part.slice(1), 'base64url').toString() : part;
  const text = userPath(decoded) === `/api/users/${part}` ? decoded : part;
  const parsed = parseUserName(text);
  if (parsed.kind === 'userName') return parsed.userName;
  throw new ServiceError('notFound', 'there is no user of this name');
}

function runIdOf({ id = '' }: Call['params']): string {
  if (/^[\w-]{1,64}$/.test(id)) return id;
  throw new ServiceError('notFound', 'there is no run of this id');
}

/** The version in `If-Match`; NaN, which equals no version, if it is not a number. */
function versionOf({ ifMatch }: Call): number | null {
  return ifMatch === null ? null : /^\d+$/.test(ifMatch) ? Number(ifMatch) : Number.NaN;
}

/**
 * The token of a call. Browsers send a cookie with requests of any site, so it counts only if another site can't have
 * caused the request.
 */
function tokenOf(call: Call, safe: boolean): string | null {
  return call.bearerToken ?? (safe || call.sameOrigin ? call.cookie(SESSION_COOKIE) : null);
}

function sessionCookie(token: string, maxAgeSeconds: number, https: boolean): string {
  const attributes = `Max-Age=${maxAgeSeconds}; Path=/api; HttpOnly; SameSite=Strict`;
  return `${SESSION_COOKIE}=${token}; ${attributes}${https ? '; Secure' : ''}`;
}

function settingsAnswer({ stored, schedule }: SettingsInEffect, now: Date): Answer {
  return { status: 200, body: presentSettings(stored, schedule, now), headers: { etag: `"${stored.version}"` } };
}

function userAnswer(user: User, status: number, headers: Record<string, string> = {}): Answer {
  return { status, body: toPublicUser(user), headers: { etag: `"${user.version}"`, ...headers } };
}

function runAnswer({ id }: Run): Answer {
  return { status: 202, body: { runId: id }, headers: { location: `/api/runs/${id}` } };
}

function valid<T>(parsed: Parsed<T>): T {
  if (parsed.kind === 'invalid') throw invalidRequest(parsed.faults);
  return parsed.value;
}

async function check(name: string, reach: () => Promise<void>): Promise<{ name: string; ok: boolean; code?: string }> {
  try {
    await reach();
    return { name, ok: true };
  } catch (error) {
    return { name, ok: false, code: error instanceof ServiceError ? error.code : 'internal' };
  }
}
