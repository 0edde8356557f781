/**
 * The function that serves the pages, on files made here; local-program.test.ts checks that the real ones are there.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeHandler } from '../../functions/console-handler.ts';
import type { HttpHandler } from '../../functions/http.ts';
import { apiEvent } from '../support/api-event.ts';
import { faultsOf } from '../support/described.ts';

const SOURCES = path.join(import.meta.dirname, '../../console/docs');
const HTML = '<!doctype html><title>People</title>';
let folder: string;
let handler: HttpHandler;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'rollcall-pages-'));
  mkdirSync(path.join(folder, 'docs'));
  writeFileSync(path.join(folder, 'docs/index.html.gz'), gzipSync(HTML));
  writeFileSync(path.join(folder, 'docs/page.js.gz'), gzipSync('let people;'));
  writeFileSync(path.join(folder, 'secret.js.gz'), gzipSync('let secret;'));
  handler = makeHandler({ folder, logger: { info: () => {}, error: () => {} } });
});

afterAll(() => rmSync(folder, { recursive: true }));

async function get(at: string, headers: Record<string, string> = {}, method = 'GET') {
  const context = { getRemainingTimeInMillis: () => 10_000 } as Context;
  const answer: APIGatewayProxyStructuredResultV2 = await handler(apiEvent({ method, path: at, headers }), context);
  const bytes = Buffer.from(answer.body ?? '', answer.isBase64Encoded ? 'base64' : 'utf8');
  return { status: answer.statusCode, headers: answer.headers ?? {}, bytes };
}

test.each(['gzip, deflate, br, zstd', 'br;q=1.0, GZIP;q=0.8', 'deflate,gzip'])(
  'a file comes as it lies there to %s',
  async (accepted) => {
    const { status, headers, bytes } = await get('/api/docs', { 'accept-encoding': accepted });

    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'content-encoding': 'gzip', 'content-type': 'text/html; charset=utf-8' });
    expect(gunzipSync(bytes).toString()).toBe(HTML);
  },
);

test.each([
  {},
  { 'accept-encoding': 'identity' },
  { 'accept-encoding': 'gzip;q=0, br' },
  { 'accept-encoding': 'x-gzip' },
])('a file is unpacked for who does not read gzip: %j', async (headers) => {
  const answer = await get('/api/docs', headers);

  expect(answer.headers).not.toHaveProperty('content-encoding');
  expect(answer.headers).toMatchObject({ vary: 'accept-encoding' });
  expect(answer.bytes.toString()).toBe(HTML);
});

test('a page may load from where it came from alone, and nobody may frame it', async () => {
  const { headers } = await get('/api/docs/page.js');

  expect(headers).toMatchObject({
    'cache-control': 'no-cache',
    'content-type': 'text/javascript; charset=utf-8',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  });
  const policy = String(headers['content-security-policy']).split('; ');
  expect(policy).toEqual(expect.arrayContaining(["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"]));
  expect(policy.join(' ')).not.toMatch(/unsafe|http|\*/);
});

test('what the caller has already is not sent again, packed or not, until it is another', async () => {
  const { headers } = await get('/api/docs/page.js');
  const etag = String(headers['etag']);

  const answers = await Promise.all(
    [etag, `"other", ${etag}`, '*', '"other"'].map((tags) =>
      get('/api/docs/page.js', { 'if-none-match': tags, 'accept-encoding': 'gzip' }),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual([304, 304, 304, 200]);
  expect(answers[0]!.bytes).toHaveLength(0);
  expect(answers[0]!.headers).toMatchObject({ etag, 'cache-control': 'no-cache' });
  expect((await get('/api/docs')).headers['etag']).not.toBe(etag);
});

test.each([
  '/api/docs/nothing.js',
  '/api/docs/page.js.gz',
  '/api/docs/../secret.js',
  '/api/docs/..%2Fsecret.js',
  '/api/docs/%2e%2e%2fsecret.js',
  '/api/docs/..\\secret.js',
  '/api/docs/page.js/',
  '/api/docs/',
  '/api/docs/__proto__',
  '/api/docs/.',
  '/api/docs/page.js%00',
])('there is nothing at %s', async (at) => {
  const { status, headers, bytes } = await get(at);

  expect([status, headers['content-type']]).toEqual([404, 'application/problem+json']);
  expect(faultsOf('#/components/schemas/Problem', JSON.parse(bytes.toString()))).toEqual([]);
});

test('pages are only read', async () => {
  const { status, headers } = await get('/api/docs', {}, 'POST');

  expect([status, headers['allow']]).toEqual([405, 'GET']);
});

test('no page of ours names another site', () => {
  const files = readdirSync(SOURCES);

  expect(files).toContain('index.html');
  for (const name of files) expect(readFileSync(path.join(SOURCES, name), 'utf8')).not.toMatch(/\bhttps?:|["'(]\/\//);
});
