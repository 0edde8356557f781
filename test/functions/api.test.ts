import type { Context } from 'aws-lambda';
import { describe, expect, test } from 'vitest';
import type { ApiPorts } from '../../functions/api-handler.ts';
import { makeHandler, userPath } from '../../functions/api-handler.ts';
import { PROXY_SECRET_HEADER } from '../../lib/aws/environment.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import type { DirectoryTest } from '../../lib/directory/directory-test.ts';
import type { Directory } from '../../lib/directory/directory.ts';
import { invalidRequest, ServiceError } from '../../lib/errors.ts';
import { createLogin } from '../../lib/login/login.ts';
import { approvalScopeOf } from '../../lib/settings/approval-scope.ts';
import { batchesOf } from '../../lib/sync/batch.ts';
import type { Change as Line, Proposal, Run } from '../../lib/sync/run.ts';
import type { SyncRequest } from '../../lib/sync/sync-starter.ts';
import type { User } from '../../lib/user/user.ts';
import { apiEvent } from '../support/api-event.ts';
import { expectDescribed } from '../support/described.ts';
import { MemoryDirectory, unreachable } from '../support/memory-directory.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import type { MemoryStores } from '../support/memory-stores.ts';
import { anEntry, aUser, NOW } from '../support/people.ts';

const GENERATED = 'generated password';

const DOCUMENT = {
  connection: { servers: ['127.0.0.1'], administrativeDn: 'cn=reader,dc=example,dc=com', password: 'bind password' },
  mapping: { userName: 'uid', fullName: 'cn', emailAddresses: 'mail' },
  options: { schedule: { enabled: true, expression: 'rate(2 hours)', timeZone: 'Europe/Berlin' } },
};

interface Sent {
  readonly body?: unknown;
  /** Sent as is, instead of `body`. */
  readonly text?: string;
  readonly headers?: Record<string, string>;
  readonly cookies?: string[];
  readonly query?: string;
  readonly base64?: boolean;
  /** The address that the gateway was called from. */
  readonly sourceIp?: string;
  /** Time until the function's own time-out; unlimited by default. */
  readonly remainingMs?: number;
}

// oxlint-disable-next-line typescript/no-explicit-any -- To a caller, an answer is JSON of any shape.
type Json = any;

const failing = () => Promise.reject(new TypeError('uid=root has password hunter2'));
const hanging = () => new Promise<never>(() => {});
const away = () => Promise.reject(new ServiceError('storeUnavailable', 'no answer'));

type Change = (stores: MemoryStores) => Partial<ApiPorts>;

/** A withheld line about this user. */
function withheldLine(userId: string, proposes: Proposal, over: Partial<Line> = {}): Line {
  const { directory, userName } = aUser({ id: userId, userName: `name-of-${userId}` });
  const about = { userId, userName, directoryId: directory!.id, dn: directory!.dn };
  return { kind: 'withheld', ...about, reason: 'too many', proposes, ...over };
}

const WITHHELD = [withheldLine('b', 'remove', { userName: 'bob' }), withheldLine('c', 'remove', { userName: 'cyd' })];

const asIs: Change = () => ({});

/** Starts the API on stores in memory, with a clock that the test moves. */
async function startApi(change = asIs) {
  let time = NOW.getTime();
  const clock = { now: () => new Date(time) };
  const stores = createMemoryStores(clock);
  const directory = new MemoryDirectory();
  const tested: DirectoryTest = {
    ok: true,
    stages: [{ name: 'connect', ok: true, detail: 'connected', ms: 1 }],
    certificates: [],
    server: null,
    presets: null,
    warnings: [],
    count: 3,
    counted: 'all',
    sample: [],
  };
  const found = { test: tested, limitMs: 0, password: '', extent: '', closed: 0 };
  const openDirectory = (_settings: unknown, password: string): Directory => ({
    ...directory.open(),
    async test(limitMs, extent) {
      Object.assign(found, { limitMs, password, extent });
      return found.test;
    },
    async close() {
      found.closed += 1;
    },
  });
  const started: SyncRequest[] = [];
  const lines: { level: string; message: string; fields: Record<string, unknown> }[] = [];
  const ports: ApiPorts = {
    ...stores,
    openDirectory,
    login: createLogin({
      logins: stores.logins,
      directory: keepDirectory(stores.settings, openDirectory, clock),
      clock,
      pause: async () => {},
    }),
    startSync: async (request) => void started.push(request),
    readGeneratedPassword: async () => GENERATED,
    proxy: null,
    clock,
    logger: {
      info: (message, fields) => void lines.push({ level: 'info', message, fields }),
      error: (message, fields) => void lines.push({ level: 'error', message, fields }),
    },
    ...change(stores),
  };
  const handler = makeHandler(ports);

  async function send(method: string, path: string, sent: Sent = {}) {
    const text = sent.text ?? (sent.body === undefined ? undefined : JSON.stringify(sent.body));
    const event = apiEvent({
      ...sent,
      method,
      path,
      text,
      headers: { ...(text !== undefined && { 'content-type': 'application/json' }), ...sent.headers },
    });
    const { remainingMs } = sent;
    const context = (remainingMs === undefined ? {} : { getRemainingTimeInMillis: () => remainingMs }) as Context;
    const { statusCode, headers = {}, body, cookies = [] } = await handler(event, context);
    const parsed: Json = body === undefined ? undefined : JSON.parse(body);
    const answer = { status: statusCode, headers, cookies, body: parsed };
    expectDescribed(method, path, answer);
    return answer;
  }

  return {
    ports,
    stores,
    directory,
    found,
    started,
    lines,
    send,
    passSeconds: (seconds: number) => void (time += seconds * 1_000),
    create: async (over: Partial<User>) => {
      await stores.users.writeTogether([{ kind: 'create', user: aUser(over) }]);
    },
    /** Ends the active run as a run that has withheld lines. */
    async endRun(id: string, over: Partial<Run> = {}, withheld: readonly Line[] = WITHHELD) {
      const { run, fence } = (await stores.runs.takeUp(id))!;
      const created = { kind: 'created', userId: 'a', userName: 'ada', directoryId: 'i', dn: 'd' } as const;
      for (const lines of batchesOf([created, ...withheld])) await stores.journal.tell(fence, { lines });
      const totals = { ...run.totals, created: 1, withheld: withheld.length };
      const stored = (await stores.settings.read())!;
      const approvalScope = approvalScopeOf(stored.settings);
      const ended = { ...run, status: 'succeeded', stage: 'finished', totals, approvalScope } as const;
      await stores.runs.finish(fence, { ...ended, settingsVersion: stored.version, ...over });
    },
  };
}

/** Starts the API and signs in as the first administrator. */
async function startSignedIn(change = asIs) {
  const api = await startApi(change);
  const { body, cookies } = await api.send('POST', '/api/session', {
    body: { userName: 'admin', password: GENERATED },
  });
  const bearer = { authorization: `Bearer ${String(body.token)}` };
  return {
    ...api,
    token: body.token as string,
    cookie: cookies[0]!.split(';')[0]!,
    call: (method: string, path: string, sent: Sent = {}) =>
      api.send(method, path, { ...sent, headers: { ...bearer, ...sent.headers } }),
  };
}

async function startConfigured(change = asIs) {
  const api = await startSignedIn(change);
  await api.call('PUT', '/api/settings', { body: DOCUMENT });
  return api;
}

describe('a session', () => {
  test.each([
    ['POST', '/api/session', { userName: 'admin', password: GENERATED }, 200],
    ['PUT', '/api/session/password', { userName: 'ada', currentPassword: 'a', newPassword: 'another one' }, 401],
  ])('is reached only by way of the route that the gateway limits: %s %s', async (method, path, body, expected) => {
    const { ports } = await startApi();
    const call = async (over: object) => {
      const sent = { method, path, headers: { 'content-type': 'application/json' }, text: JSON.stringify(body) };
      return (await makeHandler(ports)(apiEvent({ ...sent, ...over }), {} as Context)).statusCode;
    };
    const elsewhere = 'ANY /api/{proxy+}';

    // The gateway decodes a path once, and the function once more.
    expect(await call({ path: path.replace('session', '%73ession'), routeKey: elsewhere })).toBe(404);
    expect(await call({ routeKey: elsewhere })).toBe(404);
    expect(await call({})).toBe(expected);
  });

  test('is open to who was there before, whatever strangers do elsewhere; what they forge counts for nothing', async () => {
    const api = await startApi();
    const handler = makeHandler(api.ports);
    const statusFrom = async (sourceIp: string, password: string, headers: Record<string, string> = {}) => {
      const text = JSON.stringify({ userName: 'admin', password });
      const sent = { method: 'POST', path: '/api/session', sourceIp, text };
      const event = apiEvent({ ...sent, headers: { 'content-type': 'application/json', ...headers } });
      return (await handler(event, {} as Context)).statusCode;
    };
    const [home, stranger] = ['2001:db8:1:2::1', '192.0.2.66'];
    const forged = { 'x-forwarded-for': home, [PROXY_SECRET_HEADER]: 'a guess' };

    expect(await statusFrom(home, GENERATED)).toBe(200);
    const guesses: (number | undefined)[] = [];
    for (let guess = 0; guess < 8; guess += 1) guesses.push(await statusFrom(stranger, `guess ${guess}`, forged));
    // Another address of the same network.
    const owner = await statusFrom('2001:db8:1:2:aaaa::7', GENERATED);
    const late = await statusFrom(stranger, GENERATED, forged);

    expect(guesses).toContain(429);
    expect(owner).toBe(200);
    expect(late).toBe(429);
  });

  test('is opened with the generated password on a fresh system, and shows who one is', async () => {
    const api = await startApi();

    const opened = await api.send('POST', '/api/session', { body: { userName: 'Admin', password: GENERATED } });

    expect(opened.status).toBe(200);
    expect(opened.body).toMatchObject({ expiresAt: '2026-05-04T18:00:00.000Z', user: { userName: 'admin' } });
    expect(JSON.stringify(opened.body)).not.toMatch(/argon2|fingerprint/);
    expect(opened.cookies).toEqual([
      `session=${opened.body.token}; Max-Age=28800; Path=/api; HttpOnly; SameSite=Strict; Secure`,
    ]);
    const who = await api.send('GET', '/api/session', { headers: { authorization: `Bearer ${opened.body.token}` } });
    expect(who.body).toEqual({ user: opened.body.user, expiresAt: opened.body.expiresAt });
  });

  test('has a cookie that browsers take without TLS where there is none', async () => {
    const api = await startApi();

    const { cookies } = await api.send('POST', '/api/session', {
      body: { userName: 'admin', password: GENERATED },
      headers: { 'x-forwarded-proto': 'http' },
    });

    expect(cookies[0]).not.toContain('Secure');
  });

  test('is refused in the same words for a wrong password, an unknown user, a disabled and an ordinary one', async () => {
    const api = await startSignedIn();
    for (const over of [
      { userName: 'anna' },
      { userName: 'dora', privileges: ['admin'], disabledBy: 'admin' },
    ] as const) {
      await api.create({ id: over.userName, ...over, authentication: 'integrated', directory: null });
      await api.call('PUT', `/api/users/${over.userName}/password`, { body: { password: 'long enough' } });
    }

    const answers = await Promise.all(
      [
        { userName: 'admin', password: 'wrong' },
        { userName: 'nobody', password: 'wrong' },
        { userName: 'no\u0000body', password: 'wrong' },
        { userName: 'admin', password: '' },
        { userName: 'anna', password: 'long enough' },
        { userName: 'dora', password: 'long enough' },
      ].map((body) => api.send('POST', '/api/session', { body })),
    );

    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 401]);
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(answers[0]!.body).toMatchObject({ code: 'notAuthenticated', status: 401 });
    expect(answers[0]!.headers).toMatchObject({ 'www-authenticate': 'Bearer' });
  });

  test('is throttled after repeated failures, and tells for how long', async () => {
    const api = await startSignedIn();

    let answer = await api.send('POST', '/api/session', { body: { userName: 'admin', password: 'wrong' } });
    for (let failures = 1; failures < 10 && answer.status === 401; failures += 1) {
      answer = await api.send('POST', '/api/session', { body: { userName: 'admin', password: 'wrong' } });
    }

    expect(answer).toMatchObject({ status: 429, body: { code: 'throttled' } });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  });

  test('is throttled by the attempts that failed elsewhere, except from an address that has signed in lately', async () => {
    const api = await startSignedIn();
    for (let failures = 0; failures < 6; failures += 1) await api.ports.login.logIn('admin', 'wrong');
    const body = { userName: 'admin', password: GENERATED };

    const elsewhere = await api.send('POST', '/api/session', { body, sourceIp: '192.0.2.7' });
    const known = await api.send('POST', '/api/session', { body });

    expect(elsewhere).toMatchObject({ status: 429, body: { code: 'throttled' } });
    expect(known.status).toBe(200);
  });

  test('is worth what the record of its user says at every call, whatever it was worth when it began', async () => {
    const api = await startSignedIn();
    await api.call('POST', '/api/users', { body: { userName: 'ada', privileges: ['admin'] } });
    await api.call('PUT', '/api/users/ada/password', { body: { password: 'long enough' } });
    const { token } = (await api.send('POST', '/api/session', { body: { userName: 'ada', password: 'long enough' } }))
      .body;
    const status = async () =>
      (await api.send('GET', '/api/users', { headers: { authorization: `Bearer ${String(token)}` } })).status;
    const before = await status();

    await api.call('PATCH', '/api/users/ada', { body: { privileges: ['login'] } });

    expect([before, await status()]).toEqual([200, 401]);
  });

  test('ends when its owner says so, and takes the cookie along', async () => {
    const api = await startSignedIn();

    const ended = await api.send('DELETE', '/api/session', { cookies: [api.cookie] });

    expect(ended.status).toBe(204);
    expect(ended.cookies[0]).toMatch(/^session=; Max-Age=0; Path=\/api;/);
    expect((await api.call('GET', '/api/session')).status).toBe(401);
  });

  test('ends by itself after eight hours', async () => {
    const api = await startSignedIn();

    api.passSeconds(8 * 60 * 60);

    expect((await api.call('GET', '/api/session')).status).toBe(401);
  });

  test('is needed for every other call, before anything is said about the body', async () => {
    const api = await startApi();
    const calls: [string, string][] = [
      ['GET', '/api/session'],
      ['GET', '/api/privileges'],
      ['GET', '/api/settings'],
      ['PUT', '/api/settings'],
      ['POST', '/api/settings/validate'],
      ['POST', '/api/settings/test'],
      ['POST', '/api/sync'],
      ['GET', '/api/runs'],
      ['GET', '/api/runs/x'],
      ['GET', '/api/runs/x/changes'],
      ['POST', '/api/runs/x/cancel'],
      ['POST', '/api/runs/x/approve'],
      ['GET', '/api/users'],
      ['POST', '/api/users'],
      ['POST', '/api/users/apply-default-privileges'],
      ['GET', '/api/users/x'],
      ['PATCH', '/api/users/x'],
      ['DELETE', '/api/users/x'],
      ['PUT', '/api/users/x/password'],
      ['POST', '/api/users/x/test-authentication'],
    ];

    const answers = await Promise.all(calls.map(([method, path]) => api.send(method, path, { text: '{' })));

    expect(answers.map(({ status }) => status)).toEqual(calls.map(() => 401));
  });

  test.each([
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['a sister site', { 'sec-fetch-site': 'same-site' }],
    ['another origin', { origin: 'https://evil.example' }],
    ['an opaque origin', { origin: 'null' }],
  ])('does not count by its cookie when the request comes from %s', async (_what, headers) => {
    const api = await startConfigured();
    const cookies = [api.cookie];

    const answer = await api.send('POST', '/api/sync', { headers, cookies });

    expect(answer.status).toBe(401);
    expect(api.started).toEqual([]);
  });

  test.each([
    { 'sec-fetch-site': 'same-origin', origin: 'https://behind-a-proxy.example' },
    { origin: 'https://rollcall.example' },
    {},
  ] as Record<string, string>[])('counts by its cookie for the console, as with %j', async (headers) => {
    const api = await startConfigured();

    const answer = await api.send('POST', '/api/sync', { headers, cookies: ['theme=dark', api.cookie] });

    expect(answer.status).toBe(202);
    expect(api.started[0]).toMatchObject({ trigger: 'console', requestedBy: 'admin' });
  });
});

describe('bad input', () => {
  test('broken JSON is told without quoting it', async () => {
    const api = await startApi();

    const answer = await api.send('POST', '/api/session', { text: '{"userName": "admin", "password": "hunter2"' });

    expect(answer).toMatchObject({ status: 400, body: { code: 'malformedJson', title: 'Bad Request' } });
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(JSON.stringify([answer.body, api.lines])).not.toContain('hunter2');
  });

  test('bytes that are no UTF-8 are no JSON', async () => {
    const api = await startApi();

    const answer = await api.send('POST', '/api/session', {
      text: Buffer.from([0x22, 0xff, 0x22]).toString('base64'),
      base64: true,
    });

    expect(answer.body.code).toBe('malformedJson');
  });

  test('a body that API Gateway hands over in base64 is read', async () => {
    const api = await startApi();
    const text = Buffer.from(JSON.stringify({ userName: 'admin', password: GENERATED })).toString('base64');

    expect((await api.send('POST', '/api/session', { text, base64: true })).status).toBe(200);
  });

  test('a megabyte is too much', async () => {
    const api = await startSignedIn();

    const answer = await api.call('POST', '/api/users', { body: { userName: 'x'.repeat(1024 * 1024) } });

    expect(answer).toMatchObject({ status: 413, body: { code: 'payloadTooLarge' } });
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/merge-patch+json', ''])(
    'a new user as "%s" is refused',
    async (type) => {
      const api = await startSignedIn();

      const answer = await api.call('POST', '/api/users', {
        body: { userName: 'ada' },
        headers: { 'content-type': type },
      });

      expect(answer).toMatchObject({ status: 415, body: { code: 'unsupportedMediaType' } });
    },
  );

  test('a missing body is told', async () => {
    const api = await startSignedIn();

    expect((await api.call('POST', '/api/users')).status).toBe(415);
    expect((await api.call('POST', '/api/users', { headers: { 'content-type': 'application/json' } })).status).toBe(
      400,
    );
  });

  test('all faults of a body are told at once, unknown fields among them', async () => {
    const api = await startSignedIn();

    const { status, body } = await api.call('POST', '/api/users', {
      body: { userName: 'a\u0007', privileges: ['admin', 'login'], isAdmin: true },
    });

    expect(status).toBe(422);
    expect(body.code).toBe('invalidRequest');
    expect(body.errors.map(({ path }: { path: string }) => path).toSorted()).toEqual([
      'isAdmin',
      'privileges',
      'userName',
    ]);
  });

  test.each(['[]', 'null', '"text"', '7'])('%s is no user, no settings, no sync', async (text) => {
    const api = await startConfigured();

    for (const [method, path] of [
      ['POST', '/api/users'],
      ['PATCH', '/api/users/admin'],
      ['PUT', '/api/settings'],
      ['POST', '/api/sync'],
    ] as const) {
      expect((await api.call(method, path, { text })).status).toBe(422);
    }
  });

  test('an unknown address is 404, a known one with another method 405 with what it takes', async () => {
    const api = await startSignedIn();

    expect((await api.call('GET', '/api/nothing')).body).toMatchObject({ status: 404, code: 'notFound' });
    expect((await api.call('GET', '/api/users/')).status).toBe(404);
    const answer = await api.call('PUT', '/api/users/ada');
    expect(answer).toMatchObject({ status: 405, body: { code: 'methodNotAllowed' } });
    expect(answer.headers['allow']).toBe('GET, PATCH, DELETE');
  });

  test.each(['/api/users/100%', '/api/users/%zz', '/api/users/%ff'])('%s has a malformed escape', async (path) => {
    const api = await startSignedIn();

    expect((await api.call('GET', path)).body).toMatchObject({ status: 400, code: 'malformedPath' });
  });

  test.each([
    ['/api/users', 'next=garbage', 'next'],
    ['/api/users', 'limit=0', 'limit'],
    ['/api/users', 'limit=many', 'limit'],
    ['/api/users', 'status=asleep', 'status'],
    ['/api/users', 'colour=green', 'colour'],
    ['/api/runs', 'next=garbage', 'next'],
    ['/api/runs', 'limit=101', 'limit'],
  ])('%s?%s is refused by the name of the parameter', async (path, query, name) => {
    const api = await startSignedIn();

    const { status, body } = await api.call('GET', path, { query });

    expect(status).toBe(422);
    expect(body.errors).toEqual([{ path: name, message: expect.any(String) }]);
  });

  test('an unexpected error tells its caller nothing, and the log where it was', async () => {
    const broken = await startSignedIn(({ users }) => ({ users: { ...users, list: failing } }));

    const answer = await broken.call('GET', '/api/users');

    expect(answer).toMatchObject({ status: 500, body: { code: 'internal', requestId: 'request-1' } });
    expect(JSON.stringify([answer.body, broken.lines])).not.toContain('hunter2');
    expect(broken.lines).toContainEqual({
      level: 'error',
      message: 'request failed',
      fields: expect.objectContaining({ errorType: 'TypeError', code: 'internal', requestId: 'request-1' }),
    });
  });
});

test('a call that takes too long is answered before the function’s time-out cuts it off', async () => {
  const api = await startSignedIn(({ users }) => ({ users: { ...users, list: hanging } }));

  const answer = await api.call('GET', '/api/users', { remainingMs: 1_020 });

  expect(answer).toMatchObject({ status: 503, body: { code: 'timeLimit' } });
});

test('every answer forbids caching, sniffing and framing', async () => {
  const api = await startSignedIn();

  for (const answer of [await api.call('GET', '/api/privileges'), await api.send('GET', '/api/nothing')]) {
    expect(answer.headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
    });
  }
});

describe('the validation of settings', () => {
  const CONNECTION = DOCUMENT.connection;
  const filter = '(uid=*';
  const certificates = { ...CONNECTION, encryption: 'ssl', ignoreCertificateWarnings: true };
  const elsewhere = { servers: ['elsewhere.example.com'], administrativeDn: CONNECTION.administrativeDn };

  test.each([
    ['nothing is wrong', DOCUMENT],
    ['nothing is there', {}],
    ['it is a list', []],
    ['it is null', null],
    ['the filter has a fault', { ...DOCUMENT, scope: { filter } }],
    ['a field is unknown', { ...DOCUMENT, colour: 'red' }],
    ['no certificate is checked', { ...DOCUMENT, connection: certificates }],
    [
      'the schedule is over',
      { ...DOCUMENT, options: { schedule: { enabled: true, expression: 'cron(0 0 1 1 ? 2000)' } } },
    ],
    ['the schedule has faults', { ...DOCUMENT, options: { schedule: { expression: 'rate(1 hours)', timeZone: 'X' } } }],
    ['the stored password would go elsewhere', { ...DOCUMENT, connection: elsewhere }],
  ])('says what saving would say and saves nothing, where %s', async (_case, body) => {
    const api = await startConfigured();
    const before = await api.stores.settings.read();

    const validated = await api.call('POST', '/api/settings/validate', { body });

    expect(validated.status).toBe(200);
    expect(await api.stores.settings.read()).toEqual(before);
    expect(JSON.stringify(validated.body)).not.toContain(CONNECTION.password);
    const saved = await api.call('PUT', '/api/settings', { body });
    expect(validated.body.faults).toEqual(saved.body.errors ?? []);
    if (saved.status !== 200) return;
    expect(validated.body.warnings).toEqual(saved.body.warnings);
    expect(validated.body.next).toEqual(saved.body.options.schedule.next);
  });

  test('shows the next runs whatever else is wrong', async () => {
    const api = await startConfigured();
    const schedule = { enabled: true, expression: 'cron(0 2 * * ? *)', timeZone: 'Europe/Berlin' };

    const { body } = await api.call('POST', '/api/settings/validate', { body: { options: { schedule } } });

    expect(body.faults.map(({ path }: { path: string }) => path)).toEqual(['connection', 'mapping']);
    expect(body.next).toHaveLength(5);
  });

  test('needs no settings to be saved before', async () => {
    const api = await startSignedIn();

    const { body } = await api.call('POST', '/api/settings/validate', { body: DOCUMENT });

    expect(body).toMatchObject({ faults: [], next: expect.any(Array) });
    expect(await api.stores.settings.read()).toBeNull();
  });
});

describe('settings', () => {
  test('are 404 until there are some', async () => {
    const api = await startSignedIn();

    expect((await api.call('GET', '/api/settings')).status).toBe(404);
  });

  test('are saved with their defaults, shown without the password, and move the schedule', async () => {
    const api = await startSignedIn();

    const saved = await api.call('PUT', '/api/settings', { body: DOCUMENT });
    const shown = await api.call('GET', '/api/settings');

    expect(saved.status).toBe(200);
    expect(shown.body).toEqual(saved.body);
    expect(shown.headers['etag']).toBe(saved.headers['etag']);
    expect(shown.body.connection).toMatchObject({ passwordSet: true, encryption: 'none' });
    expect(JSON.stringify(shown.body)).not.toContain('bind password');
    expect(await api.stores.schedule.read()).toMatchObject(DOCUMENT.options.schedule);
  });

  test('show when the next runs start, and can be sent back as they were shown', async () => {
    const api = await startConfigured();
    const { next } = (await api.call('GET', '/api/settings')).body.options.schedule;

    api.passSeconds(3 * 60 * 60);
    const { body: shown } = await api.call('GET', '/api/settings');
    const { body: saved } = await api.call('PUT', '/api/settings', { body: shown });

    expect(next).toEqual([12, 14, 16, 18, 20].map((hour) => `2026-05-04T${hour}:00:00.000Z`));
    expect(shown.options.schedule.next).toEqual([...next.slice(1), '2026-05-04T22:00:00.000Z']);
    expect(saved).toEqual(shown);
    expect(JSON.stringify((await api.stores.settings.read())!.settings)).not.toContain('next');
  });

  test('that are saved again unchanged make no new version, and still move the schedule', async () => {
    const api = await startConfigured();
    const first = await api.call('GET', '/api/settings');
    await api.stores.schedule.apply({ enabled: false, expression: 'rate(1 hour)', timeZone: 'UTC' });

    const same = await api.call('PUT', '/api/settings', { body: first.body });
    const password = { ...first.body.connection, password: 'bind password' };
    const typed = await api.call('PUT', '/api/settings', { body: { ...first.body, connection: password } });
    const other = { ...first.body.connection, password: 'another password' };
    const changed = await api.call('PUT', '/api/settings', { body: { ...first.body, connection: other } });

    expect([same, typed].map(({ headers }) => headers['etag'])).toEqual([first.headers['etag'], first.headers['etag']]);
    expect(changed.headers['etag']).not.toBe(first.headers['etag']);
    expect(await api.stores.schedule.read()).toMatchObject(DOCUMENT.options.schedule);
  });

  test('show no run to come where the schedule is disabled', async () => {
    const api = await startConfigured();
    const schedule = { ...DOCUMENT.options.schedule, enabled: false };

    const { body } = await api.call('PUT', '/api/settings', { body: { ...DOCUMENT, options: { schedule } } });

    expect(body.options.schedule).toEqual({ ...schedule, next: [] });
  });

  test('show the runs of the schedule that is at work, and a warning, where somebody else has moved it', async () => {
    const api = await startConfigured();
    await api.stores.schedule.apply({ enabled: false, expression: 'rate(1 hour)', timeZone: 'UTC' });

    const { body: moved } = await api.call('GET', '/api/settings');
    const { body: saved } = await api.call('PUT', '/api/settings', { body: moved });

    expect(moved.options.schedule).toEqual({ ...DOCUMENT.options.schedule, next: [] });
    expect(moved.warnings.join()).toMatch(/The schedule in effect differs from these settings/);
    expect(saved.options.schedule.next).toHaveLength(5);
    expect(saved.warnings.join()).not.toMatch(/schedule/);
  });

  test('are shown without the next runs when the scheduler can’t be asked', async () => {
    const api = await startConfigured(({ schedule }) => ({ schedule: { ...schedule, read: away } }));

    const { status, body } = await api.call('GET', '/api/settings');

    expect(status).toBe(200);
    expect(body.options.schedule).toEqual({ ...DOCUMENT.options.schedule, next: null });
  });

  test.each([
    [
      'whose expression the scheduler refuses',
      invalidRequest([{ path: 'options.schedule.expression', message: 'is refused' }]),
      'options.schedule.expression: is refused',
      'Change options.schedule and save the settings again.',
    ],
    [
      'for whose schedule the role is wrong',
      new ServiceError('storeUnavailable', 'the role', { advice: 'Deploy again.' }),
      'the role',
      'Rollcall tries again within five minutes. If the schedule stays as it is: Deploy again.',
    ],
  ])('%s are saved, and the answer says what to do', async (_what, fault, words, advice) => {
    const apply = () => Promise.reject(fault);
    const api = await startSignedIn(({ schedule }) => ({ schedule: { ...schedule, apply } }));

    const { status, body } = await api.call('PUT', '/api/settings', { body: DOCUMENT });

    expect([status, body.code]).toEqual([503, 'storeUnavailable']);
    expect(body.detail).toBe(`the settings are saved, but the schedule could not be updated: ${words}`);
    expect(body.advice).toBe(advice);
    expect((await api.stores.settings.read())?.settings.options.schedule).toEqual(DOCUMENT.options.schedule);
  });

  test('keep the password when it is left out, and lose it with the name it belongs to', async () => {
    const api = await startConfigured();
    const { body } = await api.call('GET', '/api/settings');

    await api.call('PUT', '/api/settings', { body });
    const kept = await api.stores.settings.read();
    await api.call('PUT', '/api/settings', { body: { ...body, connection: { servers: ['127.0.0.1'] } } });
    const dropped = await api.stores.settings.read();

    expect(kept!.password).toBe('bind password');
    expect(dropped!.password).toBe('');
  });

  test('with a name and no password are refused', async () => {
    const api = await startSignedIn();
    const { password: _left, ...connection } = DOCUMENT.connection;

    const { status, body } = await api.call('PUT', '/api/settings', { body: { ...DOCUMENT, connection } });

    expect(status).toBe(422);
    expect(body.errors).toEqual([{ path: 'connection.password', message: expect.stringMatching(/is required/) }]);
  });

  test('take the stored password nowhere new', async () => {
    const api = await startConfigured();
    const { body: shown } = await api.call('GET', '/api/settings');
    const elsewhere = { ...shown, connection: { ...shown.connection, servers: ['127.0.0.1', 'evil.example'] } };

    const refused = await api.call('PUT', '/api/settings', { body: elsewhere });
    const tried = await api.call('POST', '/api/settings/test', { body: elsewhere });

    expect(refused.status).toBe(422);
    expect(refused.body.errors).toEqual([
      { path: 'connection.password', message: expect.stringMatching(/^is required, because evil.example, port 389,/) },
    ]);
    expect((await api.stores.settings.read())!.settings.connection.servers).toEqual(['127.0.0.1']);
    expect(tried.status).toBe(200);
    expect(tried.body).toMatchObject({
      ok: false,
      stages: [{ name: 'connect' }, { name: 'passwordNeeded', ok: false }],
    });
    expect(api.found).toMatchObject({ password: '', extent: 'beforeBind' });
  });

  test('are not overwritten by who has seen older ones', async () => {
    const api = await startConfigured();
    const { headers } = await api.call('GET', '/api/settings');
    const etag = String(headers['etag']);

    const body = { ...DOCUMENT, options: { ...DOCUMENT.options, missingUsers: 'disable' } };
    const first = await api.call('PUT', '/api/settings', { body, headers: { 'if-match': etag } });
    const second = await api.call('PUT', '/api/settings', { body: DOCUMENT, headers: { 'if-match': etag } });
    const weak = await api.call('PUT', '/api/settings', {
      body: DOCUMENT,
      headers: { 'if-match': `W/${String(first.headers['etag'])}` },
    });

    expect([first.status, second.status, weak.status]).toEqual([200, 412, 412]);
    expect(second.body.code).toBe('versionMismatch');
  });

  test('with a malformed filter are refused with its position, and nothing is changed', async () => {
    const api = await startConfigured();

    const { status, body } = await api.call('PUT', '/api/settings', {
      body: { ...DOCUMENT, scope: { filter: '(&(uid=*)' } },
    });

    expect(status).toBe(422);
    expect(body.errors).toEqual([{ path: 'scope.filter', message: expect.stringMatching(/at position 9$/) }]);
    expect((await api.call('GET', '/api/settings')).body.scope.filter).toBe('');
  });

  test('are tested as stored, within the time the caller has, with the people they find', async () => {
    const api = await startConfigured();
    api.found.test = {
      ...api.found.test,
      sample: [
        anEntry('1', { uid: ['ada'], cn: ['Ada'], mail: ['ada@example.com'] }),
        anEntry('2', { uid: ['bob', 'robert'], cn: ['Bob'] }),
        anEntry('3', { cn: ['Nameless'] }),
      ],
    };

    const { status, body } = await api.call('POST', '/api/settings/test');

    expect(status).toBe(200);
    expect(body).toMatchObject({ ok: true, count: 3, counted: 'all', stages: [{ name: 'connect', ok: true }] });
    expect(body.sample[0]).toMatchObject({ userName: 'ada', fullName: 'Ada', emailAddresses: ['ada@example.com'] });
    expect(body.sample[2]).toMatchObject({ skipped: expect.stringContaining('no uid') });
    expect(body.warnings.join('\n')).toMatch(/1 of the first 3 would be skipped/);
    expect(body.warnings.join('\n')).toMatch(/1 of the first 3 have several values of uid/);
    expect(body.warnings.join('\n')).toMatch(/1 of the first 3 have no e-mail address in mail/);
    expect(api.found).toMatchObject({ password: 'bind password' });
    expect(api.found.limitMs).toBeLessThan(25_000);
    expect(api.found.closed).toBe(1);
  });

  test('are tested as sent, with the stored password where none is sent, and are not saved', async () => {
    const api = await startConfigured();
    const { body: shown } = await api.call('GET', '/api/settings');

    await api.call('POST', '/api/settings/test', { body: { ...shown, scope: { baseDn: 'dc=other' } } });

    expect(api.found.password).toBe('bind password');
    expect((await api.call('GET', '/api/settings')).body).toEqual(shown);
  });

  test('that find nobody are warned of', async () => {
    const api = await startConfigured();
    api.found.test = { ...api.found.test, count: 0 };

    const { body } = await api.call('POST', '/api/settings/test');

    expect(body.warnings.join('\n')).toMatch(/Nobody was found/);
  });

  test('can’t be tested where there are none', async () => {
    const api = await startSignedIn();

    expect((await api.call('POST', '/api/settings/test')).body).toMatchObject({ status: 409, code: 'notConfigured' });
  });
});

describe('a run', () => {
  test('is started, listed and shown', async () => {
    const api = await startConfigured();

    const answer = await api.call('POST', '/api/sync', { body: { dryRun: true } });
    const { runId } = answer.body;

    expect(answer.status).toBe(202);
    expect(answer.headers['location']).toBe(`/api/runs/${runId}`);
    expect(api.started).toEqual([{ runId, dryRun: true, trigger: 'api', requestedBy: 'admin' }]);
    const shown = await api.call('GET', `/api/runs/${runId}`);
    expect(shown.body).toMatchObject({ id: runId, dryRun: true, status: 'running', stage: 'queued', trigger: 'api' });
    expect((await api.call('GET', '/api/runs')).body).toEqual({ items: [shown.body], next: null });
  });

  test('is refused beside another one, by whose id it may be followed', async () => {
    const api = await startConfigured();
    const { body: first } = await api.call('POST', '/api/sync');

    const second = await api.call('POST', '/api/sync');

    expect(second.status).toBe(409);
    expect(second.body).toMatchObject({ code: 'runActive', runId: first.runId });
    expect((await api.call('GET', '/api/runs')).body.items).toHaveLength(1);
    expect(api.started).toHaveLength(1);
  });

  test('is refused while nothing is configured', async () => {
    const api = await startSignedIn();

    expect((await api.call('POST', '/api/sync')).body).toMatchObject({ status: 409, code: 'notConfigured' });
  });

  test('that can’t be carried out is told as failed and does not stay in the way', async () => {
    const api = await startConfigured(() => ({ startSync: () => Promise.reject(new Error('AccessDenied')) }));

    const answer = await api.call('POST', '/api/sync');

    expect(answer).toMatchObject({ status: 503, body: { code: 'storeUnavailable' } });
    const { items } = (await api.call('GET', '/api/runs')).body;
    expect(items).toMatchObject([{ status: 'failed', stage: 'finished', error: { code: 'storeUnavailable' } }]);
    expect(JSON.stringify(answer.body)).not.toContain('AccessDenied');
  });

  test('is cancelled once, and not when it is over', async () => {
    const api = await startConfigured();
    const { runId } = (await api.call('POST', '/api/sync')).body;

    expect((await api.call('POST', `/api/runs/${runId}/cancel`)).status).toBe(202);
    await api.endRun(runId);
    expect((await api.call('POST', `/api/runs/${runId}/cancel`)).body).toMatchObject({
      status: 409,
      code: 'runNotActive',
    });
  });

  test('shows its lines, by kind and page by page', async () => {
    const api = await startConfigured();
    const { runId } = (await api.call('POST', '/api/sync')).body;
    await api.endRun(runId);
    const path = `/api/runs/${runId}/changes`;

    const first = (await api.call('GET', path, { query: 'kind=withheld&limit=1' })).body;
    const second = (await api.call('GET', path, { query: `kind=withheld&limit=1&next=${first.next}` })).body;

    expect([first, second].flatMap(({ items }) => items).map(({ userName }: Json) => userName)).toEqual(['bob', 'cyd']);
    expect(second.next).toBeNull();
    expect((await api.call('GET', path)).body.items).toHaveLength(3);
    expect((await api.call('GET', path, { query: 'kind=odd' })).body.errors[0].path).toBe('kind');
    expect((await api.call('GET', path, { query: 'next=garbage' })).status).toBe(422);
  });

  test.each(['/api/runs/none', '/api/runs/none/changes', '/api/runs/a b', `/api/runs/${'x'.repeat(2_000)}`])(
    '%s is 404',
    async (path) => {
      const api = await startSignedIn();

      expect((await api.call('GET', path)).status).toBe(404);
    },
  );
});

describe('an approval', () => {
  /** Starts the API with a finished run that has withheld these lines. */
  async function startWithheld(lines: readonly Line[] = WITHHELD, over: Partial<Run> = {}, change = asIs) {
    const api = await startConfigured(change);
    const { runId } = (await api.call('POST', '/api/sync')).body;
    await api.endRun(runId, over, lines);
    return {
      ...api,
      runId: runId as string,
      approve: (body?: unknown) => api.call('POST', `/api/runs/${runId}/approve`, { body }),
      given: async () =>
        (await api.stores.approvals.list()).map(({ userId, proposes }) => `${proposes} ${userId}`).toSorted(),
    };
  }

  test('without a body covers all withheld lines, starts a run, and says who gave it', async () => {
    const api = await startWithheld();

    const approved = await api.approve();

    expect(approved.status).toBe(202);
    expect(approved.headers['location']).toBe(`/api/runs/${approved.body.runId}`);
    const run = (await api.call('GET', `/api/runs/${approved.body.runId}`)).body;
    expect(run).toMatchObject({ approves: api.runId, dryRun: false, trigger: 'api', requestedBy: 'admin' });
    expect(api.started.at(-1)).toMatchObject({ runId: run.id, dryRun: false });
    const { settings } = (await api.stores.settings.read())!;
    const about = { proposes: 'remove', directoryId: null, runId: api.runId, approvedBy: 'admin', done: false };
    const given = { ...about, approvedAt: NOW.toISOString(), approvalScope: approvalScopeOf(settings) };
    expect(await api.stores.approvals.list()).toEqual([
      { ...given, userId: 'b' },
      { ...given, userId: 'c' },
    ]);
  });

  test('is refused while its run is active, and for the same lines the second time', async () => {
    const api = await startWithheld();
    const first = await api.approve({ userIds: ['b'] });

    const beside = await api.approve({ userIds: ['c'] });
    await api.endRun(first.body.runId, {}, []);
    const again = await api.approve({ userIds: ['b'] });

    expect(beside.body).toMatchObject({ status: 409, code: 'runActive', runId: first.body.runId });
    expect(again.body).toMatchObject({
      status: 409,
      code: 'nothingWithheld',
      detail: expect.stringMatching(/already/),
    });
    // Neither leaves a run behind.
    expect((await api.call('GET', '/api/runs')).body.items).toHaveLength(2);
    expect((await api.call('POST', '/api/sync')).status).toBe(202);
  });

  test('is refused even after it was carried out', async () => {
    const api = await startWithheld();
    const { runId } = (await api.approve({ userIds: ['b'] })).body;
    const { fence } = (await api.stores.runs.takeUp(runId))!;
    await api.create({ id: 'b', userName: 'bob' });
    const previous = (await api.stores.users.get('bob'))!;
    const [approval] = await api.stores.approvals.list();
    const change = { ...withheldLine('b', 'remove'), kind: 'deleted' } as const;
    const write = { kind: 'delete', previous } as const;
    await api.stores.journal.write(fence, [[{ write, change, counts: ['approved'], approvals: [approval!] }]]);
    await api.stores.runs.finish(fence, { ...(await api.stores.runs.get(runId))!, status: 'succeeded' });

    const again = await api.approve({ userIds: ['b'] });

    expect(await api.stores.approvals.list()).toMatchObject([{ userId: 'b', done: true }]);
    expect(again.body).toMatchObject({ status: 409, code: 'nothingWithheld' });
  });

  test('to clear is stored with the fields that the line named', async () => {
    const fields = { emailAddresses: { from: ['a@example.test'], to: [] } };
    const api = await startWithheld([withheldLine('c', 'clear', { fields })]);
    await api.approve({});
    expect(await api.stores.approvals.list()).toMatchObject([{ proposes: 'clear', fields: ['emailAddresses'] }]);
  });

  test('may be given in parts: by proposal, by user, and then for the rest', async () => {
    const lines = [...WITHHELD, withheldLine('c', 'clear'), withheldLine('d', 'enable'), withheldLine('e', 'clear')];
    const api = await startWithheld(lines);
    const approve = async (body?: unknown): Promise<string[]> => {
      const before = await api.given();
      const { runId } = (await api.approve(body)).body;
      await api.endRun(runId, {}, []);
      return (await api.given()).filter((line) => !before.includes(line));
    };

    expect(await approve({ proposes: 'enable' })).toEqual(['enable d']);
    expect(await approve({ proposes: 'clear', userIds: ['c'] })).toEqual(['clear c']);
    expect(await approve({ userIds: ['c', 'e'] })).toEqual(['clear e', 'remove c']);
    expect(await approve({})).toEqual(['remove b']);
    expect((await api.approve({})).body.code).toBe('nothingWithheld');
  });

  test('keeps who gave the first of it when the rest is given', async () => {
    const api = await startWithheld();
    const { runId } = (await api.approve({ userIds: ['b'] })).body;
    await api.endRun(runId, {}, []);
    api.passSeconds(60);

    await api.approve();

    const [first, rest] = (await api.stores.approvals.list()).toSorted((a, b) => (a.userId < b.userId ? -1 : 1));
    expect(first).toMatchObject({ userId: 'b', approvedAt: NOW.toISOString() });
    expect(rest).toMatchObject({ userId: 'c', approvedAt: '2026-05-04T10:01:00.000Z' });
  });

  test('names every user without a line to approve by its place, and approves nothing', async () => {
    const plain = { ...withheldLine('f', 'remove'), kind: 'updated' } as const;
    const { proposes: _proposes, ...final } = withheldLine('g', 'remove');
    const api = await startWithheld([...WITHHELD, withheldLine('e', 'clear'), plain, final]);

    const refused = await api.approve({ proposes: 'remove', userIds: ['b', 'nobody', 'e', 'f', 'c', 'g', 'a', 'B'] });

    expect(refused.status).toBe(422);
    expect(refused.body).toMatchObject({ code: 'invalidRequest', detail: 'users without a line to approve: 6' });
    expect(refused.body.errors.map(({ path }: Json) => path)).toEqual(
      [1, 2, 3, 5, 6, 7].map((position) => `userIds.${position}`),
    );
    expect(await api.given()).toEqual([]);
    expect(api.started).toHaveLength(1);
  });

  test.each([
    [{ userIds: [] }, 'userIds', /at least one user; leave it out to approve all/],
    [{ userIds: ['b', 'c', 'b'] }, 'userIds.2', /twice/],
    [{ userIds: ['b', ''] }, 'userIds.1', /at least 1/],
    [{ userIds: ['b', 7] }, 'userIds.1', /must be text/],
    [{ userIds: ['x'.repeat(65)] }, 'userIds.0', /at most 64/],
    [{ userIds: 'b' }, 'userIds', /must be a list/],
    [{ userIds: null }, 'userIds', /must be a list/],
    [{ proposes: 'delete' }, 'proposes', /must be one of: remove, link, clear, enable/],
    [{ proposes: null }, 'proposes', /must be one of/],
    [{ userId: 'b' }, 'userId', /is unknown/],
    [[], '', /must be an object/],
    [null, '', /must be an object/],
  ])('is refused for the body %j', async (body, path, message) => {
    const api = await startWithheld();

    const refused = await api.call('POST', `/api/runs/${api.runId}/approve`, { text: JSON.stringify(body) });

    expect(refused.status).toBe(422);
    expect(refused.body.errors).toEqual([{ path, message: expect.stringMatching(message) }]);
    expect(await api.given()).toEqual([]);
  });

  test('covers ten thousand lines at once, named or not', async () => {
    const ids = Array.from(
      { length: 10_000 },
      (_, number) => `0b8f6c3e-0d4e-4b55-9f0a-${String(number).padStart(12, '0')}`,
    );
    const lines = ids.map((id) => withheldLine(id, 'remove'));
    const named = await startWithheld(lines);
    const unnamed = await startWithheld(lines);

    expect((await named.approve({ userIds: ids })).status).toBe(202);
    expect((await unnamed.approve()).status).toBe(202);

    expect(await named.given()).toEqual(ids.map((id) => `remove ${id}`));
    expect(await unnamed.given()).toEqual(await named.given());
  });

  test('takes 50,000 names, tells every unknown one of them, and refuses more', async () => {
    const api = await startWithheld();
    const ids = Array.from(
      { length: 50_001 },
      (_, number) => `0b8f6c3e-0d4e-4b55-9f0a-${String(number).padStart(12, '0')}`,
    );

    const unknown = await api.approve({ userIds: ids.slice(1) });
    const tooMany = await api.approve({ userIds: ids });
    const tooLong = await api.approve({ userIds: ids.map((id) => id.padEnd(100, '0')) });

    expect(unknown.status).toBe(422);
    expect(unknown.body.errors).toHaveLength(50_000);
    // A synchronous invocation answers with at most 6 MB.
    expect(JSON.stringify(JSON.stringify(unknown.body)).length).toBeLessThan(6_000_000);
    expect(tooMany.body.errors).toEqual([{ path: 'userIds', message: expect.stringMatching(/at most 50000/) }]);
    expect(tooLong.body).toMatchObject({
      status: 413,
      code: 'payloadTooLarge',
      detail: expect.stringMatching(/4096 KB/),
    });
  });

  test('of all lines leaves out links to somebody else by every sign; of a named user, it covers them', async () => {
    const link = (userId: string, fullName: Line['fields'], emailAddresses: Line['fields']): Line =>
      withheldLine(userId, 'link', {
        fields: {
          'directory.id': { from: `id-of-${userId}`, to: `new-id-of-${userId}` },
          'directory.dn': { from: 'uid=a,ou=old', to: 'uid=a,ou=new' },
          ...fullName,
          ...emailAddresses,
        },
      });
    const same = { fullName: { from: 'Anna Weber', to: 'Anna Weber' } };
    const other = { fullName: { from: 'Anna Weber', to: 'Anna Huber' } };
    const none = { emailAddresses: { from: [], to: [] } };
    const shared = { emailAddresses: { from: ['a@example.com', 'b@example.com'], to: ['B@example.com'] } };
    const api = await startWithheld([link('b', same, none), link('c', other, shared), link('d', other, none)]);

    await api.approve({ proposes: 'link' }).then(({ body }) => api.endRun(body.runId, {}, []));
    expect(await api.given()).toEqual(['link b', 'link c']);
    expect((await api.approve()).body.code).toBe('nothingWithheld');

    await api.approve({ userIds: ['d'] });
    expect(await api.given()).toEqual(['link b', 'link c', 'link d']);
    expect((await api.stores.approvals.list()).map(({ directoryId }) => directoryId)).toEqual([
      'new-id-of-b',
      'new-id-of-c',
      'new-id-of-d',
    ]);
  });

  test('of all lines, where only links to somebody else are left, asks for their names', async () => {
    const fields = { 'directory.id': { from: 'i', to: 'j' }, fullName: { from: 'A', to: 'B' } };
    const api = await startWithheld([withheldLine('b', 'link', { fields })]);

    const { body } = await api.approve();

    expect(body).toMatchObject({ status: 409, code: 'nothingWithheld', advice: expect.stringMatching(/userIds/) });
  });

  test.each([
    ['no line has that proposal', { proposes: 'link' }, WITHHELD, /proposes "link"/],
    [
      'no line has that proposal, whoever is named',
      { proposes: 'clear', userIds: ['b'] },
      WITHHELD,
      /proposes "clear"/,
    ],
    ['no line proposes anything', {}, [{ ...WITHHELD[0]!, proposes: undefined }], /can be approved/],
    ['the line to link does not say to what', {}, [withheldLine('b', 'link')], /can be approved/],
    ['the run has withheld nothing', {}, [], /withheld nothing/],
  ])('is refused where %s', async (_name, body, lines, detail) => {
    const told = lines.map(({ proposes, ...line }) => ({ ...line, ...(proposes && { proposes }) }));
    const api = await startWithheld(told);

    expect((await api.approve(body)).body).toMatchObject({
      status: 409,
      code: 'nothingWithheld',
      detail: expect.stringMatching(detail),
    });
    expect(api.started).toHaveLength(1);
  });

  test('is refused for a dry run, and for a run at work', async () => {
    const api = await startConfigured();
    const { runId: dry } = (await api.call('POST', '/api/sync', { body: { dryRun: true } })).body;
    const whileActive = await api.call('POST', `/api/runs/${dry}/approve`);
    await api.endRun(dry);

    const refused = await api.call('POST', `/api/runs/${dry}/approve`);

    expect(whileActive.body).toMatchObject({ status: 409, code: 'runActive', runId: dry });
    expect(refused.body).toMatchObject({ code: 'nothingWithheld', detail: expect.stringMatching(/dry run/) });
  });

  test('is refused for a run of an earlier version, with advice', async () => {
    const api = await startWithheld(WITHHELD, { approvalScope: null });

    const { body } = await api.approve();

    expect(body).toMatchObject({ code: 'nothingWithheld', advice: expect.stringMatching(/Start a new run/) });
  });

  test.each([
    ['scope', { scope: { filter: '(uid=a*)' } }],
    ['mapping.uniqueId', { mapping: { ...DOCUMENT.mapping, uniqueId: 'employeeNumber' } }],
    ['options.missingUsers', { options: { missingUsers: 'delete' } }],
  ])('is refused after %s has changed, and says so', async (name, changed) => {
    const api = await startWithheld();
    await api.call('PUT', '/api/settings', { body: { ...DOCUMENT, ...changed } });

    const { body } = await api.approve();

    expect(body).toMatchObject({ status: 409, code: 'nothingWithheld', advice: expect.stringMatching(/new run/) });
    expect(body.detail).toBe(`the settings have changed since this run: ${name}`);
    expect(api.started).toHaveLength(1);
  });

  test('survives a change of the schedule and of the removal limit', async () => {
    const api = await startWithheld();
    const options = { schedule: { enabled: false }, removalLimit: { percent: 1 }, gracePeriodDays: 9 };
    await api.call('PUT', '/api/settings', { body: { ...DOCUMENT, options } });

    expect((await api.approve()).status).toBe(202);
  });

  test('that can’t be stored starts nothing, and its run does not stay in the way', async () => {
    let broken = true;
    const api = await startWithheld(WITHHELD, {}, ({ approvals }) => ({
      approvals: { ...approvals, approve: (given) => (broken ? away() : approvals.approve(given)) },
    }));

    api.passSeconds(1);
    const failed = await api.approve();
    broken = false;

    expect(failed.body).toMatchObject({ status: 503, code: 'storeUnavailable' });
    expect((await api.call('GET', '/api/runs')).body.items).toMatchObject([
      { status: 'failed', approves: api.runId, error: { code: 'storeUnavailable' } },
      { id: api.runId },
    ]);
    expect(api.started).toHaveLength(1);
    expect((await api.approve()).status).toBe(202);
  });

  test('whose run can’t be started is kept for the next run, and says so', async () => {
    let broken = false;
    const api = await startWithheld(WITHHELD, {}, () => ({
      startSync: async () => (broken ? await away() : undefined),
    }));
    broken = true;

    const failed = await api.approve();

    expect(failed.body).toMatchObject({ status: 503, advice: expect.stringMatching(/approval is stored/) });
    expect(await api.given()).toEqual(['remove b', 'remove c']);
  });

  test('of many at the same moment is given once', async () => {
    const api = await startWithheld();

    const answers = await Promise.all(Array.from({ length: 8 }, () => api.approve()));

    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(7);
    expect(api.started).toHaveLength(2);
  });

  test('that loses the race to another one ends its run as cancelled, with the reason', async () => {
    let lists = 0;
    const api = await startWithheld(WITHHELD, {}, ({ approvals }) => ({
      approvals: {
        ...approvals,
        // Somebody else approves, and that run ends, after the first look and before the lease is taken.
        list: async () => ((lists += 1) === 1 ? [] : await approvals.list()),
      },
    }));
    const approvalScope = (await api.stores.runs.get(api.runId))!.approvalScope!;
    const given = {
      proposes: 'remove',
      directoryId: null,
      runId: api.runId,
      approvedBy: 'eve',
      approvalScope,
    } as const;
    const approvedAt = NOW.toISOString();
    await api.stores.approvals.approve(['b', 'c'].map((userId) => ({ ...given, userId, approvedAt })));

    api.passSeconds(1);
    const late = await api.approve();

    expect(late.body).toMatchObject({ status: 409, code: 'nothingWithheld' });
    const [ended] = (await api.call('GET', '/api/runs')).body.items;
    expect(ended).toMatchObject({ status: 'cancelled', stage: 'finished', error: { code: 'nothingWithheld' } });
    expect(await api.stores.approvals.list()).toMatchObject([{ approvedBy: 'eve' }, { approvedBy: 'eve' }]);
    expect((await api.call('POST', '/api/sync')).status).toBe(202);
  });
});

describe('users', () => {
  test('are created with a name alone, read, patched, renamed and deleted', async () => {
    const api = await startSignedIn();

    const created = await api.call('POST', '/api/users', { body: { userName: 'Ada' } });
    const patched = await api.call('PATCH', '/api/users/ADA', {
      text: JSON.stringify({ fullName: 'Ada L.', status: 'disabled' }),
      headers: { 'if-match': String(created.headers['etag']), 'content-type': 'application/merge-patch+json' },
    });
    const renamed = await api.call('PATCH', '/api/users/ada', { body: { userName: 'ada.lovelace' } });
    const stale = await api.call('DELETE', '/api/users/ada.lovelace', {
      headers: { 'if-match': String(created.headers['etag']) },
    });
    const deleted = await api.call('DELETE', '/api/users/ada.lovelace', {
      headers: { 'if-match': String(renamed.headers['etag']) },
    });

    expect(created).toMatchObject({ status: 201, headers: { etag: '"1"', location: '/api/users/Ada' } });
    expect(created.body).toMatchObject({ userName: 'Ada', authentication: 'integrated', privileges: ['login'] });
    expect(patched).toMatchObject({ status: 200, headers: { etag: '"2"' }, body: { status: 'disabled' } });
    expect(renamed.body).toMatchObject({ id: created.body.id, userName: 'ada.lovelace', fullName: 'Ada L.' });
    expect(stale).toMatchObject({ status: 412, body: { code: 'versionMismatch' } });
    expect(deleted.status).toBe(204);
    expect((await api.call('GET', '/api/users/ada.lovelace')).body).toMatchObject({ status: 404, code: 'notFound' });
  });

  test('never have the name of another one', async () => {
    const api = await startSignedIn();
    await api.create({ userName: 'anna' });

    const created = await api.call('POST', '/api/users', { body: { userName: 'ANNA' } });
    const renamed = await api.call('PATCH', '/api/users/anna', { body: { userName: 'admin' } });

    expect(created).toMatchObject({ status: 409, body: { code: 'userNameTaken' } });
    expect(renamed).toMatchObject({ status: 409, body: { code: 'userNameTaken' } });
  });

  test('are listed without secrets, searched and paged', async () => {
    const api = await startSignedIn();
    await api.create({ id: '1', userName: 'anna', emailAddresses: ['weber@example.com'] });
    await api.create({ id: '2', userName: 'annika', disabledBy: 'sync' });
    const names = async (query: string): Promise<string[]> =>
      (await api.call('GET', '/api/users', { query })).body.items.map(({ userName }: Json) => userName);

    const all = (await api.call('GET', '/api/users')).body;
    const page = (await api.call('GET', '/api/users', { query: 'limit=2' })).body;

    expect(all.items).toHaveLength(3);
    expect(JSON.stringify(all)).not.toMatch(/argon2|passwordHash|fingerprint/);
    expect(await names('search=AN')).toEqual(['anna', 'annika']);
    expect(await names('search=Weber%40example.com')).toEqual(['anna']);
    expect(await names('status=disabled')).toEqual(['annika']);
    expect(await names('authentication=integrated')).toEqual(['admin']);
    expect(await names(`limit=2&next=${encodeURIComponent(page.next)}`)).toEqual(['annika']);
  });

  test('have a way back in: the last administrator can’t be removed by anybody', async () => {
    const api = await startSignedIn();

    const answers = [
      await api.call('DELETE', '/api/users/admin'),
      await api.call('PATCH', '/api/users/admin', { body: { status: 'disabled' } }),
      await api.call('PATCH', '/api/users/admin', { body: { privileges: ['login'] } }),
    ];

    expect(answers.map(({ status, body }) => [status, body.code])).toEqual([
      [409, 'lastAdministrator'],
      [409, 'lastAdministrator'],
      [409, 'lastAdministrator'],
    ]);
  });

  test('get passwords that work at once, also after failed attempts', async () => {
    const api = await startSignedIn();
    await api.call('POST', '/api/users', { body: { userName: 'ada', privileges: ['admin'] } });
    for (let attempt = 0; attempt < 8; attempt += 1) {
      await api.send('POST', '/api/session', { body: { userName: 'ada', password: 'guess' } });
    }

    const set = await api.call('PUT', '/api/users/ada/password', { body: { password: 'long enough' } });
    const opened = await api.send('POST', '/api/session', { body: { userName: 'ada', password: 'long enough' } });

    expect(set.status).toBe(204);
    expect(opened.status).toBe(200);
  });

  test('of the directory get no password here', async () => {
    const api = await startSignedIn();
    await api.create({ userName: 'anna' });

    const answer = await api.call('PUT', '/api/users/anna/password', { body: { password: 'long enough' } });

    expect(answer).toMatchObject({ status: 409, body: { code: 'conflict', advice: expect.any(String) } });
  });

  test('are tested as a login would, without counting', async () => {
    const api = await startConfigured();
    await api.create({ userName: 'anna' });
    api.directory.people = [{ entry: anEntry('id-1', {}, { dn: 'uid=anna,dc=example,dc=com' }), password: 'right' }];
    const path = '/api/users/anna/test-authentication';

    const wrong = [];
    for (let attempt = 0; attempt < 8; attempt += 1) {
      wrong.push((await api.call('POST', path, { body: { password: 'wrong' } })).body);
    }
    const right = await api.call('POST', path, { body: { password: 'right' } });

    expect(new Set(wrong.map((body) => JSON.stringify(body)))).toEqual(
      new Set(['{"outcome":"rejected","reason":"invalidCredentials"}']),
    );
    expect(right).toMatchObject({ status: 200, body: { outcome: 'accepted', user: { userName: 'anna' } } });
    expect((await api.stores.logins.find('anna', null)).attempts.name).toBeNull();
    expect((await api.call('POST', '/api/users/nobody/test-authentication', { body: { password: 'x' } })).status).toBe(
      404,
    );
  });

  test('can’t be tested while the directory is away, which is no rejection', async () => {
    const api = await startConfigured();
    await api.create({ userName: 'anna' });
    api.directory.fault = unreachable();

    const answer = await api.call('POST', '/api/users/anna/test-authentication', { body: { password: 'right' } });

    expect(answer).toMatchObject({
      status: 503,
      body: { code: 'directoryUnavailable', detail: unreachable().message },
    });
    expect(JSON.stringify(api.lines)).not.toContain('right');
  });

  test('tells nobody who is not signed in which server is away, or why', async () => {
    const api = await startConfigured();
    await api.create({ userName: 'anna', privileges: ['admin'] });
    api.directory.fault = unreachable();

    const answer = await api.send('POST', '/api/session', { body: { userName: 'anna', password: 'right' } });

    expect(answer).toMatchObject({ status: 503, body: { detail: 'the directory does not answer' } });
    expect(answer.body).not.toHaveProperty('advice');
    expect(JSON.stringify(api.lines)).toContain(unreachable().message);
  });

  test.each([
    'ada',
    'ada.lovelace@example.org',
    'Ünal Öz',
    'a/b',
    'who?',
    '100%',
    '%41',
    '~ada',
    '.',
    '..',
    'a#b',
    'a+b',
  ])('are found at their address whatever their name: %s', async (userName) => {
    const api = await startSignedIn();

    const created = await api.call('POST', '/api/users', { body: { userName } });
    const found = await api.call('GET', String(created.headers['location']));

    expect(created.headers['location']).toBe(userPath(userName));
    expect(userPath(userName)).toMatch(/^\/api\/users\/[\w~.@-]+$/);
    expect(found.body.userName).toBe(userName);
  });

  test.each([
    ['as callers send it', '/api/users/%C3%9Cnal%20%C3%96z'],
    ['as API Gateway hands it over', '/api/users/Ünal Öz'],
  ])('are found by their name in the path %s', async (_how, path) => {
    const api = await startSignedIn();
    await api.call('POST', '/api/users', { body: { userName: 'Ünal Öz' } });

    expect((await api.call('GET', path)).body.userName).toBe('Ünal Öz');
  });

  test('a name that only looks like the encoded form of another one is that name itself', async () => {
    const api = await startSignedIn();
    for (const userName of ['victim', '~dmljdGlt']) await api.call('POST', '/api/users', { body: { userName } });

    expect((await api.call('GET', '/api/users/~dmljdGlt')).body.userName).toBe('~dmljdGlt');
    expect((await api.call('DELETE', '/api/users/~dmljdGlt')).status).toBe(204);
    expect((await api.call('DELETE', '/api/users/~dmljdGlt')).status).toBe(404);
    expect((await api.call('GET', '/api/users/victim')).status).toBe(200);
  });

  test.each(['/api/users/a%00b', '/api/users/%20', `/api/users/${'x'.repeat(3_000)}`, '/api/users/~_w'])(
    '%s is the address of nobody',
    async (path) => {
      const api = await startSignedIn();

      expect((await api.call('GET', path)).status).toBe(404);
    },
  );
});

describe('the own password', () => {
  const NEW = 'a better password';

  /** Starts the API with one integrated user beside the administrator. */
  async function startWithUser(over: Partial<User>) {
    const api = await startSignedIn();
    await api.create({ userName: 'ada', authentication: 'integrated', directory: null, ...over });
    await api.call('PUT', '/api/users/ada/password', { body: { password: 'long enough' } });
    const before = await api.stores.users.get('ada');
    return {
      ...api,
      change: (over: object = {}, sent: Sent = {}) =>
        api.send('PUT', '/api/session/password', {
          ...sent,
          body: { userName: 'ada', currentPassword: 'long enough', newPassword: NEW, ...over },
        }),
      isUntouched: async () => expect(await api.stores.users.get('ada')).toEqual(before),
    };
  }

  test('is changed without a session by users with the privilege, who have none', async () => {
    const api = await startWithUser({ privileges: ['login', 'changePassword'] });

    const { status, body, cookies } = await api.change();

    expect({ status, body, cookies }).toEqual({ status: 204, body: undefined, cookies: [] });
    const { id } = (await api.stores.users.get('ada'))!;
    expect(await api.ports.login.checkPassword('ada', NEW)).toMatchObject({ outcome: 'accepted' });
    expect(await api.ports.login.checkPassword('ada', 'long enough')).toMatchObject({ outcome: 'rejected' });
    expect(api.lines.at(-1)!.fields).toEqual({ action: 'PUT /api/session/password', by: id });
    expect(JSON.stringify(api.lines)).not.toMatch(/long enough|better/);
  });

  test.each([
    ['an unknown user', {}, { userName: 'nobody' }],
    ['no user name at all', {}, { userName: 'no\u0000body' }],
    ['a wrong password', {}, { currentPassword: 'a wrong password' }],
    ['an empty password', {}, { currentPassword: '' }],
    ['a disabled user', { disabledBy: 'admin' }, {}],
    ['a user that may not log in', { privileges: ['changePassword'] }, {}],
  ] as const)('is refused in the same words for %s', async (_who, over, body) => {
    const api = await startWithUser(over);

    const answer = await api.change(body);

    expect(answer.body).toEqual({
      type: 'about:blank',
      title: 'Unauthorized',
      status: 401,
      code: 'notAuthenticated',
      detail: 'wrong user name or password, or this user may not change the password here',
    });
    await api.isUntouched();
  });

  test('is refused without a session to who can’t change it here, in the words of a wrong password', async () => {
    const api = await startWithUser({});
    await api.call('PUT', '/api/settings', { body: DOCUMENT });
    await api.create({ id: 'account-2', userName: 'anna', privileges: ['login', 'changePassword'] });
    api.directory.people = [{ entry: anEntry('id-1', {}, { dn: 'uid=anna,dc=example,dc=com' }), password: 'right' }];

    const wrong = await api.change({ currentPassword: 'a wrong password' });
    const unprivileged = await api.change();
    const ofDirectory = await api.change({ userName: 'anna', currentPassword: 'right' });

    expect(wrong.status).toBe(401);
    expect(unprivileged.body).toEqual(wrong.body);
    expect(ofDirectory.body).toEqual(wrong.body);
    await api.isUntouched();
  });

  test('keeps the rules of passwords, whatever the old one', async () => {
    const api = await startWithUser({ privileges: ['login', 'changePassword'] });

    const { status, body } = await api.change({ newPassword: 'short', currentPassword: 'wrong' });

    expect(status).toBe(422);
    expect(body.errors).toEqual([{ path: 'newPassword', message: expect.stringMatching(/at least 8/) }]);
    await api.isUntouched();
  });

  test('can’t be guessed faster than a login, and a change forgets failed attempts', async () => {
    const api = await startWithUser({ privileges: ['login', 'changePassword'] });
    const guess = () => api.change({ currentPassword: 'guess' });

    let refused = await guess();
    for (let failures = 1; failures < 10 && refused.status === 401; failures += 1) refused = await guess();
    const early = await api.change();
    api.passSeconds(Number(refused.headers['retry-after']));
    const changed = await api.change();

    expect(refused).toMatchObject({ status: 429, body: { code: 'throttled' } });
    expect(early.status).toBe(429);
    expect(changed.status).toBe(204);
    expect((await api.stores.logins.find('ada', null)).attempts.name).toBeNull();
  });

  test('needs a user name or a session, and both only where they agree', async () => {
    const api = await startWithUser({ privileges: ['login', 'changePassword'] });
    const bearer = { authorization: `Bearer ${api.token}` };

    const nobody = await api.change({ userName: undefined });
    const expired = await api.change(
      { userName: undefined },
      { headers: { authorization: `Bearer ${'x'.repeat(43)}` } },
    );
    const elsewhere = await api.change(
      { userName: undefined, currentPassword: GENERATED },
      {
        cookies: [api.cookie],
        headers: { 'sec-fetch-site': 'cross-site' },
      },
    );
    const another = await api.change({}, { headers: bearer });
    const same = await api.change({ userName: 'ADMIN', currentPassword: GENERATED }, { headers: bearer });

    expect([nobody, expired, elsewhere].map(({ status }) => status)).toEqual([401, 401, 401]);
    expect(another.body).toMatchObject({ status: 422, errors: [{ path: 'userName' }] });
    expect(same.status).toBe(204);
    await api.isUntouched();
  });

  test.each([
    ['PUT', '/api/session/password', { currentPassword: GENERATED, newPassword: NEW }],
    ['PUT', '/api/users/admin/password', { password: NEW }],
  ])('%s %s ends every session but the one that calls, by token or by cookie', async (method, path, body) => {
    for (const by of ['token', 'cookie'] as const) {
      const api = await startSignedIn();
      const signIn = async (password: string) => {
        const opened = await api.send('POST', '/api/session', { body: { userName: 'admin', password } });
        return { authorization: `Bearer ${opened.body.token}` };
      };
      const stolen = await signIn(GENERATED);
      const uses = async (headers: Record<string, string>) =>
        (await api.send('GET', '/api/session', { headers })).status;
      api.passSeconds(60);

      const changed = await api.send(method, path, {
        body,
        ...(by === 'token' ? { headers: { authorization: `Bearer ${api.token}` } } : { cookies: [api.cookie] }),
      });

      expect(changed.status).toBe(204);
      expect(await uses(stolen)).toBe(401);
      expect(await uses({ authorization: `Bearer ${api.token}` })).toBe(200);
      expect(await uses(await signIn(NEW))).toBe(200);
    }
  });

  test('ends a session, too, that is opened with the old one at the same moment', async () => {
    let meanwhile: (() => Promise<unknown>) | null = null;
    const api = await startSignedIn(({ sessions }) => ({
      sessions: {
        ...sessions,
        async create(...session) {
          const act = meanwhile;
          meanwhile = null;
          await act?.();
          await sessions.create(...session);
        },
      },
    }));
    meanwhile = async () => {
      api.passSeconds(1);
      await api.call('PUT', '/api/users/admin/password', { body: { password: NEW } });
    };

    const opened = await api.send('POST', '/api/session', { body: { userName: 'admin', password: GENERATED } });

    const headers = { authorization: `Bearer ${opened.body.token}` };
    expect((await api.send('GET', '/api/session', { headers })).status).toBe(401);
    expect((await api.call('GET', '/api/session')).status).toBe(200);
  });
});

describe('default privileges', () => {
  const PATH = '/api/users/apply-default-privileges';

  async function startWithPeople() {
    const api = await startSignedIn();
    await api.call('PUT', '/api/settings', { body: { ...DOCUMENT, defaultPrivileges: ['login', 'export'] } });
    await api.create({ id: '1', userName: 'anna' });
    await api.create({ id: '2', userName: 'bob', privileges: ['admin'] });
    return api;
  }

  test('are given to people who have others, as a dry run has shown', async () => {
    const api = await startWithPeople();

    const dry = await api.call('POST', PATH, { body: { dryRun: true } });
    const before = await api.call('GET', '/api/users/anna');
    const real = await api.call('POST', PATH, { body: {}, headers: { 'if-match': String(dry.headers['etag']) } });
    const after = await api.call('GET', '/api/users/anna');

    expect(dry.status).toBe(200);
    expect(dry.headers['etag']).toBe((await api.call('GET', '/api/settings')).headers['etag']);
    expect(real.body).toEqual({ ...dry.body, dryRun: false });
    expect(real.body).toMatchObject({ totals: { changed: 1, unchanged: 0, kept: 1 }, next: null });
    expect(before.body.privileges).toEqual(['login']);
    expect(after.body).toMatchObject({ privileges: ['login', 'export'], version: 2 });
  });

  test('are not given by other settings than those that were shown', async () => {
    const api = await startWithPeople();
    const { headers } = await api.call('POST', PATH, { body: { dryRun: true } });
    await api.call('PUT', '/api/settings', { body: { ...DOCUMENT, defaultPrivileges: ['none'] } });

    const refused = await api.call('POST', PATH, { body: {}, headers: { 'if-match': String(headers['etag']) } });

    expect(refused.body).toMatchObject({ status: 412, code: 'versionMismatch' });
    expect((await api.stores.users.get('anna'))!.version).toBe(1);
  });

  test('need a body, so that nobody gives them by accident', async () => {
    const api = await startWithPeople();

    expect((await api.call('POST', PATH)).status).toBe(415);
  });

  test('leave their address to a user of that name', async () => {
    const api = await startSignedIn();
    const created = await api.call('POST', '/api/users', { body: { userName: 'apply-default-privileges' } });

    const shown = await api.call('GET', PATH);
    const refused = await api.call('PUT', PATH, { body: {} });
    const unconfigured = await api.call('POST', PATH, { body: {} });
    const deleted = await api.call('DELETE', PATH);

    expect(created.headers['location']).toBe(PATH);
    expect(shown.body).toEqual(created.body);
    expect(refused.status).toBe(405);
    expect(refused.headers['allow']).toBe('POST, GET, PATCH, DELETE');
    expect(unconfigured.body).toMatchObject({ status: 409, code: 'notConfigured' });
    expect(deleted.status).toBe(204);
  });
});

test('the catalogue of privileges is complete', async () => {
  const api = await startSignedIn();

  const { body } = await api.call('GET', '/api/privileges');

  expect(body.items).toHaveLength(9);
  expect(body.items[0]).toEqual({ name: 'none', description: expect.any(String), exclusive: true });
});

describe('health', () => {
  test('is told to everybody, its details to administrators', async () => {
    const api = await startSignedIn();

    expect(await api.send('GET', '/api/health')).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect((await api.send('GET', '/api/health')).body).toEqual({ status: 'ok' });
    expect((await api.call('GET', '/api/health')).body.checks).toEqual([
      { name: 'users', ok: true },
      { name: 'settings', ok: true },
    ]);
  });

  test('is degraded when a store is away', async () => {
    const api = await startApi(({ settings }) => ({ settings: { ...settings, read: away } }));

    expect(await api.send('GET', '/api/health')).toMatchObject({ status: 503, body: { status: 'degraded' } });
  });
});

test('who has changed what is logged by account, and nothing of the request', async () => {
  const api = await startSignedIn();

  await api.call('POST', '/api/users', { body: { userName: 'ada' } });
  await api.call('PUT', '/api/users/ada/password', { body: { password: 'hunter2 hunter2' } });
  await api.call('GET', '/api/users/ada');

  const { id } = (await api.stores.users.get('admin'))!;
  expect(api.lines).toEqual([
    { level: 'info', message: 'administration', fields: { action: 'POST /api/users', by: id } },
    { level: 'info', message: 'administration', fields: { action: 'PUT /api/users/{userName}/password', by: id } },
  ]);
});
