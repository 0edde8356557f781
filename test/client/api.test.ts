/** The client against a server of ours that answers as each test says. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createApi, encodeUserName, formatEntityTag } from '../../client/api.ts';
import { Problem } from '../../client/problem.ts';
import { userPath } from '../../functions/api-handler.ts';

interface Received {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

let received: Received[] = [];
let answer: (response: ServerResponse, request: Received) => void;
let url: string;

const server = createServer((request, response) => void take(request, response));

async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url, headers } = request;
  const one = { method, url, headers, body: await text(request) };
  received.push(one);
  answer(response, one);
}

function answerJson(document: unknown, status = 200, headers: Record<string, string> = {}): void {
  answer = (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(document));
  };
}

/** The problem that a call ends with. */
async function problemOf(call: Promise<unknown>): Promise<Problem> {
  const error: unknown = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Problem);
  return error as Problem;
}

beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

beforeEach(() => {
  received = [];
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

describe('a call', () => {
  test('sends its document, the query and the token, and gives the document of the answer', async () => {
    answerJson({ runId: 'one' });
    const api = createApi({ url: `${url}/prefix`, token: 'secret' });

    expect(await api.post('/api/sync', { body: { dryRun: true } })).toEqual({ runId: 'one' });
    await api.get('/api/users', { params: { query: { search: 'a&b', limit: 5 } } });

    expect(received).toMatchObject([
      { method: 'POST', url: '/prefix/api/sync', body: '{"dryRun":true}' },
      { method: 'GET', url: '/prefix/api/users?search=a%26b&limit=5', body: '' },
    ]);
    expect(received.map(({ headers }) => headers.authorization)).toEqual(['Bearer secret', 'Bearer secret']);
    expect(received[0]!.headers['content-type']).toBe('application/json');
  });

  test('without a token sends no Authorization, and an answer without content is undefined', async () => {
    answer = (response) => response.writeHead(204).end();

    expect(await createApi({ url, token: null }).delete('/api/session')).toBeUndefined();
    expect(received[0]!.headers.authorization).toBeUndefined();
  });

  test('names users in paths as the API expects it', async () => {
    answerJson({});
    for (const userName of ['anna.weber', '..', 'a/b?c%20 ü~', '~x']) {
      await createApi({ url, token: null }).get('/api/users/{userName}', { params: { path: { userName } } });
    }
    await createApi({ url, token: null }).get('/api/runs/{id}', { params: { path: { id: 'a/{userName}$&' } } });

    expect(received.map((one) => one.url)).toEqual([
      '/api/users/anna.weber',
      '/api/users/~Li4',
      '/api/users/~YS9iP2MlMjAgw7x-',
      '/api/users/~fng',
      '/api/runs/a%2F%7BuserName%7D%24%26',
    ]);
  });

  test('reads the version of a document for If-Match', async () => {
    answerJson({ warnings: [] }, 200, { etag: '"v1"' });
    const api = createApi({ url, token: null });
    const { document, version } = await api.readVersioned('/api/settings');
    const header = { 'If-Match': formatEntityTag(version!) };
    await api.post('/api/users/apply-default-privileges', { body: {}, params: { header } });
    answerJson({});
    const unversioned = await api.readVersioned('/api/settings');

    expect({ document, version }).toEqual({ document: { warnings: [] }, version: 'v1' });
    expect(received[1]!.headers['if-match']).toBe('"v1"');
    expect(unversioned.version).toBeNull();
  });

  test('follows no redirection, which would take a password elsewhere', async () => {
    answer = (response) => response.writeHead(307, { location: '/elsewhere' }).end();
    const body = { userName: 'admin', password: 'secret' };
    const problem = await problemOf(createApi({ url, token: null }).post('/api/session', { body }));

    expect(problem.code).toBe('unreachable');
    expect(received.map((one) => one.url)).toEqual(['/api/session']);
  });
});

describe('a list', () => {
  const people = Array.from({ length: 250 }, (_, index) => ({ userName: `user-${index}` }));

  /** As the API pages: `next` is where the next page begins. */
  beforeEach(() => {
    answer = (response, request) => {
      const query = new URL(request.url!, url).searchParams;
      const from = Number(query.get('next') ?? 0);
      const end = from + Number(query.get('limit'));
      const next = end < people.length ? String(end) : null;
      response.end(JSON.stringify({ items: people.slice(from, end), next }));
    };
  });

  test('is read page by page up to the count, with the query on every page', async () => {
    const query = { status: 'active' } as const;
    const page = await createApi({ url, token: null }).list('/api/users', 120, { params: { query } });

    expect(page).toEqual({ items: people.slice(0, 120), next: '120' });
    expect(received.map((one) => one.url)).toEqual([
      '/api/users?status=active&limit=100',
      '/api/users?status=active&limit=20&next=100',
    ]);
  });

  test('ends where the API says so', async () => {
    const page = await createApi({ url, token: null }).list('/api/users', 1000);

    expect(page).toEqual({ items: people, next: null });
    expect(received).toHaveLength(3);
  });
});

describe('a problem', () => {
  test('tells what the problem document of the API tells', async () => {
    const told = {
      code: 'runActive',
      detail: 'a run is active',
      advice: 'Wait for it.',
      errors: [{ path: 'scope', message: 'is wrong' }],
      runId: 'one',
      requestId: 'two',
    };
    const document = { type: 'about:blank', title: 'Conflict', status: 409, ...told };
    answerJson(document, 409, { 'content-type': 'application/problem+json', 'retry-after': '30' });
    const problem = await problemOf(createApi({ url, token: null }).post('/api/sync', { body: {} }));

    expect(problem).toMatchObject({ status: 409, code: 'runActive', message: 'a run is active', retryable: false });
    expect(problem.document).toEqual({ ...told, retryAfterSeconds: 30 });
  });

  test.each([
    [429, true],
    [503, true],
    [404, false],
  ])('of status %d may pass by itself: %s', async (status, retryable) => {
    answerJson({ code: 'any', detail: 'any' }, status);

    expect(await problemOf(createApi({ url, token: null }).get('/api/health'))).toMatchObject({ status, retryable });
  });

  test.each([
    ['an answer of a gateway', 403, '{"message":"Forbidden"}'],
    ['an error without content', 502, ''],
    ['an error page', 500, '<html>'],
    ['a page of something else', 200, '<html>'],
  ])('names %s as such', async (_name, status, body) => {
    answer = (response) => response.writeHead(status).end(body);
    const problem = await problemOf(createApi({ url, token: null }).get('/api/health'));

    expect(problem).toMatchObject({ status, code: 'unexpectedAnswer' });
  });

  test('is unreachable where nothing listens', async () => {
    const problem = await problemOf(createApi({ url: 'http://127.0.0.1:1', token: null }).get('/api/health'));

    expect(problem).toMatchObject({ status: 0, code: 'unreachable', retryable: true });
    expect(problem.message).toMatch(/^http:\/\/127\.0\.0\.1:1 can't be reached: .+$/);
  });

  test.each([
    ['begins', () => {}],
    ['ends', (response: ServerResponse) => response.writeHead(200).write('{')],
  ])('is unreachable when no answer %s in time', async (_what, begin) => {
    answer = begin;
    const problem = await problemOf(createApi({ url, token: null, timeoutMs: 200 }).get('/api/health'));

    expect(problem).toMatchObject({
      status: 0,
      code: 'unreachable',
      message: `${url} did not answer within 0.2 seconds`,
    });
  });

  test('is none when the caller gives up', async () => {
    const controller = new AbortController();
    const reason = new Error('the caller gave up');
    answer = () => controller.abort(reason);
    const call = createApi({ url, token: null }).get('/api/health', { signal: controller.signal });

    await expect(call).rejects.toBe(reason);
  });
});

describe('a user name in a path', () => {
  test('is plain where that is safe, else readable from its base64url', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (userName) => {
        const segment = encodeUserName(userName);
        const decoded = segment.startsWith('~') ? Buffer.from(segment.slice(1), 'base64url').toString() : segment;
        expect(segment).toMatch(/^(?:~[A-Za-z0-9_-]+|[A-Za-z0-9@_-][A-Za-z0-9.@_-]*)$/);
        expect(decoded).toBe(userName);
        // The API takes this form alone for another name than the text itself.
        expect(`/api/users/${segment}`).toBe(userPath(userName));
      }),
    );
  });
});
