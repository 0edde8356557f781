/**
 * Provokes every answer that the description promises for every call, over HTTP on the local program with a real
 * directory. The last test lists the answers that can't be provoked here, with the reasons.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Run } from '../../lib/sync/run.ts';
import { startProgram, type Program } from '../../local/program.ts';
import { expectDescribed, OPERATIONS, operationAt } from '../support/described.ts';
import type { DirectoryServer } from '../support/directory-server.ts';
import { startOpenLdap } from '../support/openldap.ts';

const PASSWORD = 'first-password-of-the-test';
const MONA = 'a password of mona';
const DIRECTORY_PASSWORD = 'A-password-of-the-directory-1';
const JSON_TYPE = 'application/json';
const START_MS = 90_000;
const PEOPLE = Array.from({ length: 30 }, (_, number) => ({
  cn: `Person ${number}`,
  userName: `person${number}`,
  below: 'ou=people',
  password: DIRECTORY_PASSWORD,
}));

interface Sent {
  readonly body?: unknown;
  /** Sent as is, instead of `body`. */
  readonly text?: string;
  readonly type?: string;
  readonly ifMatch?: string;
  /** null = without a session. */
  readonly token?: string | null;
}

interface Received<T> {
  readonly status: number;
  readonly body: T;
  readonly etag: string;
}

const folder = mkdtempSync(join(tmpdir(), 'rollcall-contract-'));
const stopping = new AbortController();
const seen = new Set<string>();
let program: Program;
let directory: DirectoryServer;
let silent: Server;
const silentSockets: Socket[] = [];
let session = '';

beforeAll(async () => {
  silent = createServer((socket) => silentSockets.push(socket)).listen(0, '127.0.0.1');
  [program, directory] = await Promise.all([
    startProgram({ port: 0, dataFolder: folder, administratorPassword: PASSWORD, signal: stopping.signal }),
    startOpenLdap({ people: PEOPLE }),
  ]);
}, START_MS);

afterAll(async () => {
  stopping.abort();
  await Promise.all([program.stop(), directory.stop()]);
  for (const socket of silentSockets) socket.destroy();
  silent.close();
  rmSync(folder, { recursive: true });
});

/** Sends one call, checks its answer against the description and notes that this answer was seen. */
async function call<T = { code: string }>(method: string, path: string, sent: Sent = {}): Promise<Received<T>> {
  const { body, text, type = JSON_TYPE, ifMatch, token = session } = sent;
  const content = text ?? (body === undefined ? undefined : JSON.stringify(body));
  const response = await fetch(`${program.url}${path}`, {
    method,
    headers: {
      ...(content !== undefined && { 'content-type': type }),
      ...(ifMatch !== undefined && { 'if-match': ifMatch }),
      ...(token !== null && { authorization: `Bearer ${token}` }),
    },
    ...(content !== undefined && { body: content }),
  });
  const answer = await response.text();
  const received = answer === '' ? undefined : (JSON.parse(answer) as T);
  const pathname = path.split('?', 1)[0]!;
  expectDescribed(method, pathname, {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    cookies: response.headers.getSetCookie(),
    body: received,
  });
  seen.add(`${method} ${operationAt(method, pathname)?.path} ${response.status}`);
  return { status: response.status, body: received as T, etag: response.headers.get('etag') ?? '' };
}

/** Fails unless the API refuses the call with this status and code. */
async function expectRefused(
  status: number,
  code: string,
  method: string,
  path: string,
  sent: Sent = {},
): Promise<void> {
  const answer = await call(method, path, sent);
  expect([answer.status, answer.body.code], `${method} ${path}`).toEqual([status, code]);
}

async function expectDone<T>(status: number, method: string, path: string, sent: Sent = {}): Promise<Received<T>> {
  const answer = await call<T>(method, path, sent);
  expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBe(status);
  return answer;
}

async function signIn(userName = 'admin', password = PASSWORD): Promise<string> {
  return (await expectDone<{ token: string }>(200, 'POST', '/api/session', { body: { userName, password } })).body
    .token;
}

async function ended(runId: string): Promise<Run> {
  for (;;) {
    const { body } = await expectDone<Run>(200, 'GET', `/api/runs/${runId}`);
    if (body.status !== 'running') return body;
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
  }
}

async function synchronize(): Promise<Run> {
  return await ended((await expectDone<{ runId: string }>(202, 'POST', '/api/sync', { body: {} })).body.runId);
}

const settings = (over: { filter?: string; servers?: readonly string[] } = {}) => ({
  connection: {
    servers: over.servers ?? [`127.0.0.1:${directory.ldapPort}`],
    encryption: 'none',
    administrativeDn: directory.readerDn,
    password: directory.readerPassword,
    timeouts: { connectSeconds: 2, operationSeconds: 2, loginSeconds: 5 },
  },
  scope: { baseDn: directory.baseDn, filter: over.filter ?? '(uid=person*)' },
  mapping: { userName: 'uid', fullName: 'displayName', emailAddresses: 'mail' },
  options: { missingUsers: 'delete', gracePeriodDays: 0, removalLimit: { percent: 10, atLeast: 5 } },
});

/** An address that fits the template. */
const addressOf = (template: string): string =>
  template.replace('{id}', '20260504T100000000Z-00000000').replace('{userName}', 'mona');

test('what is open answers without a session, everything else not', async () => {
  await expectDone(200, 'GET', '/api/openapi.json', { token: null });
  await expectDone(200, 'GET', '/api/health', { token: null });
  for (const { method, path, open } of OPERATIONS) {
    if (!open) await expectRefused(401, 'notAuthenticated', method, addressOf(path), { token: null });
  }
  await expectRefused(401, 'notAuthenticated', 'POST', '/api/session', {
    body: { userName: 'admin', password: 'guessed' },
  });
  session = await signIn();
  await expectDone(200, 'GET', '/api/session');
  await expectDone(200, 'GET', '/api/health');
  await expectDone(200, 'GET', '/api/privileges');
});

test('nothing works on settings before there are any', async () => {
  await expectRefused(404, 'notFound', 'GET', '/api/settings');
  for (const path of ['/api/settings/test', '/api/sync', '/api/users/apply-default-privileges']) {
    await expectRefused(409, 'notConfigured', 'POST', path, path.endsWith('test') ? {} : { body: {} });
  }
});

test('whatever takes a body refuses what is none, with the reason', async () => {
  for (const { method, path: template, body, responses } of OPERATIONS) {
    const path = addressOf(template);
    if (body === null) continue;
    await expectRefused(400, 'malformedJson', method, path, { text: '{"' });
    await expectRefused(415, 'unsupportedMediaType', method, path, { text: '{}', type: 'text/plain' });
    const tooLong = template.endsWith('/approve') ? 4_300_000 : 300_000;
    await expectRefused(413, 'payloadTooLarge', method, path, { body: 'x'.repeat(tooLong) });
    if ('422' in responses) await expectRefused(422, 'invalidRequest', method, path, { body: { unheardOf: true } });
  }
  for (const path of ['/api/runs?limit=many', '/api/runs/x/changes?limit=0', '/api/users?status=asleep']) {
    await expectRefused(422, 'invalidRequest', 'GET', path);
  }
});

test('a path with a broken escape is told apart from one that leads nowhere', async () => {
  for (const { method, path } of OPERATIONS.filter(({ path: template }) => template.includes('{'))) {
    // The local program decodes the path once, like API Gateway.
    const sent = method === 'GET' ? {} : { body: {} };
    await expectRefused(400, 'malformedPath', method, path.replaceAll(/\{\w+\}/g, '%25E0'), sent);
  }
  await expectRefused(404, 'notFound', 'GET', '/api/nowhere');
  await expectRefused(405, 'methodNotAllowed', 'PATCH', '/api/settings');
});

test('settings are checked, tested, saved, guarded and shown', async () => {
  const checked = await expectDone<{ faults: object[] }>(200, 'POST', '/api/settings/validate', { body: { no: 1 } });
  expect(checked.body.faults).toHaveLength(3);
  const tried = await expectDone<{ ok: boolean }>(200, 'POST', '/api/settings/test', { body: settings() });
  expect(tried.body).toMatchObject({ ok: true, count: 30 });
  const { etag } = await expectDone(200, 'PUT', '/api/settings', { body: settings({ filter: '(uid=*)' }) });
  await expectDone(200, 'PUT', '/api/settings', { body: settings(), ifMatch: etag });
  await expectRefused(412, 'versionMismatch', 'PUT', '/api/settings', { body: settings(), ifMatch: etag });
  expect((await expectDone(200, 'GET', '/api/settings')).etag).not.toBe(etag);
});

test('a run is started, seen, and its withheld removals approved once', async () => {
  expect(await synchronize()).toMatchObject({ status: 'succeeded', totals: { created: 30 } });
  await expectDone(200, 'PUT', '/api/settings', { body: settings({ filter: '(uid=person1*)' }) });
  const { id, totals } = await synchronize();
  expect(totals).toMatchObject({ unchanged: 11, withheld: 19 });
  await expectDone(200, 'GET', '/api/runs');

  const changes = await expectDone<{ items: { userId: string }[] }>(
    200,
    'GET',
    `/api/runs/${id}/changes?kind=withheld`,
  );
  const userIds = changes.body.items.slice(0, 4).map(({ userId }) => userId);
  const approve = async (sent: object = {}): Promise<unknown> => {
    const { body } = await expectDone<{ runId: string }>(202, 'POST', `/api/runs/${id}/approve`, sent);
    return await ended(body.runId);
  };
  const part = { body: { proposes: 'remove', userIds } };
  expect(await approve(part)).toMatchObject({ approves: id, totals: { deleted: 4, withheld: 15 } });
  await expectRefused(409, 'nothingWithheld', 'POST', `/api/runs/${id}/approve`, part);
  expect(await approve()).toMatchObject({ approves: id, totals: { deleted: 15, withheld: 0 } });
  await expectRefused(409, 'nothingWithheld', 'POST', `/api/runs/${id}/approve`);
  await expectRefused(409, 'runNotActive', 'POST', `/api/runs/${id}/cancel`);
  for (const [method, what] of [
    ['GET', ''],
    ['GET', '/changes'],
    ['POST', '/cancel'],
    ['POST', '/approve'],
  ] as const) {
    await expectRefused(404, 'notFound', method, `/api/runs/nobody-knows${what}`);
  }
});

test('while one run is at work no other one starts, and it can be stopped', async () => {
  const deaf = settings({ servers: [`127.0.0.1:${(silent.address() as AddressInfo).port}`] });
  await expectDone(200, 'PUT', '/api/settings', { body: deaf });
  const { runId } = (await expectDone<{ runId: string }>(202, 'POST', '/api/sync')).body;
  const second = await call<{ code: string; runId: string }>('POST', '/api/sync');
  expect(second).toMatchObject({ status: 409, body: { code: 'runActive', runId } });
  await expectDone(202, 'POST', `/api/runs/${runId}/cancel`);
  expect(await ended(runId)).toMatchObject({ status: 'cancelled' });
  await expectDone(200, 'PUT', '/api/settings', { body: settings() });
});

test('users are created, changed, guarded and deleted', async () => {
  const { etag } = await expectDone(201, 'POST', '/api/users', { body: { userName: 'mona' } });
  await expectRefused(409, 'userNameTaken', 'POST', '/api/users', { body: { userName: 'MONA' } });
  await expectDone(200, 'GET', '/api/users/mona');
  await expectDone(200, 'GET', '/api/users?search=mo');
  await expectDone(200, 'PATCH', '/api/users/mona', { body: { fullName: 'Mona Lisa' }, ifMatch: etag });
  await expectRefused(412, 'versionMismatch', 'PATCH', '/api/users/mona', { body: { fullName: 'M' }, ifMatch: etag });
  await expectRefused(412, 'versionMismatch', 'DELETE', '/api/users/mona', { ifMatch: etag });
  await expectRefused(409, 'userNameTaken', 'PATCH', '/api/users/mona', { body: { userName: 'person1' } });
  await expectRefused(409, 'lastAdministrator', 'DELETE', '/api/users/admin');
  await expectDone(204, 'PUT', '/api/users/mona/password', { body: { password: MONA } });
  await expectRefused(409, 'conflict', 'PUT', '/api/users/person1/password', { body: { password: MONA } });
  const tried = await expectDone(200, 'POST', '/api/users/mona/test-authentication', { body: { password: MONA } });
  expect(tried.body).toMatchObject({ outcome: 'accepted' });
  await expectDone(204, 'DELETE', '/api/users/person19');
  for (const [method, what, body] of [
    ['GET', '', undefined],
    ['PATCH', '', {}],
    ['DELETE', '', undefined],
    ['PUT', '/password', { password: MONA }],
    ['POST', '/test-authentication', { password: MONA }],
  ] as const) {
    await expectRefused(404, 'notFound', method, `/api/users/person19${what}`, { body });
  }
});

test('default privileges are given to those who have others, once they have been looked at', async () => {
  const path = '/api/users/apply-default-privileges';
  await expectDone(200, 'PATCH', '/api/users/person1', { body: { privileges: ['login', 'export'] } });
  const { etag } = await expectDone(200, 'POST', path, { body: { dryRun: true } });
  const given = await expectDone(200, 'POST', path, { body: {}, ifMatch: etag });
  expect(given.body).toMatchObject({ items: [{ userName: 'person1', to: ['login'] }] });
  await expectDone(200, 'PUT', '/api/settings', { body: settings({ filter: '(uid=person2)' }) });
  await expectRefused(412, 'versionMismatch', 'POST', path, { body: {}, ifMatch: etag });
  await expectDone(200, 'PUT', '/api/settings', { body: settings() });
});

test('people change their own passwords, if they may, and wait after too many failures', async () => {
  const path = '/api/session/password';
  const own = { userName: 'mona', currentPassword: MONA, newPassword: 'the next password of mona' };
  await expectRefused(401, 'notAuthenticated', 'PUT', path, { token: null, body: own });
  await expectDone(200, 'PATCH', '/api/users/mona', { body: { privileges: ['login', 'changePassword'] } });
  await expectRefused(401, 'notAuthenticated', 'PUT', path, {
    token: null,
    body: { ...own, currentPassword: 'guessed' },
  });
  await expectDone(200, 'PATCH', '/api/users/person1', { body: { privileges: ['admin'] } });
  const token = await signIn('person1', DIRECTORY_PASSWORD);
  const kept = { currentPassword: DIRECTORY_PASSWORD, newPassword: own.newPassword };
  await expectRefused(409, 'conflict', 'PUT', path, { token, body: kept });
  await expectDone(204, 'PUT', path, { token: null, body: own });
  for (let failures = 0; failures < 5; failures += 1) await call('PUT', path, { token: null, body: own });
  await expectRefused(429, 'throttled', 'PUT', path, { token: null, body: own });
  await expectRefused(429, 'throttled', 'POST', '/api/session', { body: { userName: 'mona', password: 'guessed' } });
});

test('settings that are changed a hundred times within a day can be changed no more for now', async () => {
  const save = async (changes: number): Promise<number> =>
    (await call('PUT', '/api/settings', { body: settings({ filter: `(!(uid=${changes}))` }) })).status;
  let changes = 0;
  while (changes < 100 && (await save(changes)) === 200) changes += 1;

  await expectRefused(429, 'throttled', 'PUT', '/api/settings', { body: settings({ filter: '(uid=late)' }) });
});

test('a session ends when it is told to', async () => {
  await expectDone(204, 'DELETE', '/api/session');
  await expectRefused(401, 'notAuthenticated', 'GET', '/api/session');
  session = await signIn();
});

test('with its database gone every call says so, and none hangs', async () => {
  killDatabase();
  const bodies: Record<string, unknown> = {
    'PUT /api/session/password': { userName: 'mona', currentPassword: MONA, newPassword: 'another password' },
  };
  await Promise.all(
    OPERATIONS.filter(({ path }) => path !== '/api/openapi.json').map(async ({ method, path }) => {
      const body = bodies[`${method} ${path}`] ?? { userName: 'mona', password: MONA };
      const sent = method === 'GET' || method === 'DELETE' ? {} : { body };
      expect((await call(method, addressOf(path), sent)).status, `${method} ${path}`).toBe(503);
    }),
  );
});

test('nothing that is promised was left out', () => {
  const promised = OPERATIONS.flatMap(({ method, path, responses }) =>
    Object.keys(responses).map((status) => `${method} ${path} ${status}`),
  );
  const unreachable = [
    // Needs a fault of our own: test/functions/api.test.ts makes one.
    ...OPERATIONS.map(({ method, path }) => `${method} ${path} 500`),
    // This call reads nothing that could be missing.
    'GET /api/openapi.json 503',
    // Needs five other writers, each faster than this one: test/unit/administration.test.ts.
    'PUT /api/settings 409',
    // Needs somebody to delete the user between the check and the write: test/unit/administration.test.ts.
    'PUT /api/session/password 404',
  ];

  expect(promised.filter((each) => !seen.has(each) && !unreachable.includes(each))).toEqual([]);
});

/** Kills the process whose command line names the folder of this test, without warning. */
function killDatabase(): void {
  for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${id}/cmdline`, 'utf8').split('\0');
      if (command[0]?.endsWith('/dynoxide') && command.some((part) => part.startsWith(folder))) {
        process.kill(Number(id), 'SIGKILL');
      }
    } catch {
      // The process has ended meanwhile.
    }
  }
}
