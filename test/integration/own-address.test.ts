/** Local servers answer to their own addresses, and to no page of another server. Over real sockets. */
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalServer, serve } from '../../local/running.ts';

let server: LocalServer;
let port: number;
let handled = 0;

beforeAll(async () => {
  server = await serve(async (_request, response) => {
    handled += 1;
    response.writeHead(200).end('served');
  });
  port = Number(new URL(server.url).port);
});

afterAll(() => server.stop());

/** Sends exactly these headers; `fetch` sets Host itself. */
async function ask(headers: Readonly<Record<string, string>>, method = 'POST') {
  const handledBefore = handled;
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  request({ host: '127.0.0.1', port, method, path: '/', headers, setHost: false }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    response.on('end', () => resolve({ status: response.statusCode!, text }));
  })
    .on('error', reject)
    .end();
  return { ...(await promise), reached: handled > handledBefore };
}

const SERVED = { status: 200, text: 'served', reached: true };

test.each(['127.0.0.1', 'localhost', '[::1]', 'LOCALHOST'])('the name %s is its own', async (name) => {
  expect(await ask({ host: `${name}:${port}` })).toEqual(SERVED);
});

test.each([
  ['a name that leads here', () => `rollcall.evil.example:${port}`],
  ['a name that ends like its own', () => `evil.localhost:${port}`],
  ['its name with another port', () => 'localhost:1'],
  ['its name without a port', () => 'localhost'],
  ['another address of this machine', () => `127.0.0.2:${port}`],
  ['nothing', () => ''],
])('%s is refused', async (_name, host) => {
  expect(await ask({ host: host() }, 'GET')).toEqual({
    status: 403,
    text: JSON.stringify({
      message: `This server answers to its own addresses only; use http://localhost:${port}.`,
    }),
    reached: false,
  });
});

test('its own pages may send requests', async () => {
  expect(await ask({ host: `localhost:${port}`, origin: `http://localhost:${port}` })).toEqual(SERVED);
  expect(await ask({ host: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}` })).toEqual(SERVED);
});

test.each([
  ['another site', () => 'https://evil.example'],
  ['another server on this machine', () => 'http://localhost:3000'],
  ['itself under another name', () => `http://127.0.0.1:${port}`],
  ['itself over another protocol', () => `https://localhost:${port}`],
  ['a sandbox, which has no origin', () => 'null'],
])('pages of %s may not', async (_whose, origin) => {
  expect(await ask({ host: `localhost:${port}`, origin: origin() })).toEqual({
    status: 403,
    text: JSON.stringify({ message: 'This server takes no requests from the pages of other servers.' }),
    reached: false,
  });
});
