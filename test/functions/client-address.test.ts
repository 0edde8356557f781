/** Where a call comes from: what a client can write into a header counts for nothing without the proxy's secret. */
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';
import { expect, onTestFinished, test } from 'vitest';
import type { ReadSource, TrustedProxy } from '../../functions/client-address.ts';
import { createSourceReader } from '../../functions/client-address.ts';
import { serveRoutes } from '../../functions/http.ts';
import { PASSWORD_ROUTES, PROXY_SECRET_HEADER } from '../../lib/aws/environment.ts';
import { readProxySecret } from '../../lib/aws/settings-store.ts';
import { ServiceError } from '../../lib/errors.ts';
import type { SentRequest } from '../support/api-event.ts';
import { apiEvent } from '../support/api-event.ts';
import { NOW } from '../support/people.ts';
import { startSecrets } from '../support/secrets.ts';

const SECRET = 'a secret of the proxy and of nobody else';
const PEER = '198.51.100.9';
const FORWARDED = 'x-forwarded-for';

/** A proxy whose secret a test may change or make unreadable, and a clock. */
function startProxy(addressHeader = FORWARDED) {
  const state = { secret: SECRET as string | null, reads: 0, ms: NOW.getTime() };
  const proxy: TrustedProxy = {
    addressHeader,
    async readSecret() {
      state.reads += 1;
      if (state.secret === null) throw new ServiceError('storeUnavailable', 'Secrets Manager does not answer');
      return state.secret;
    },
  };
  const clock = { now: () => new Date(state.ms) };
  return { state, read: createSourceReader(proxy, clock), without: createSourceReader(null, clock) };
}

/** The source of a request, read through the router from a real event. */
async function sourceOf(read: ReadSource, request: Partial<SentRequest>): Promise<unknown> {
  const handler = serveRoutes(
    [{ method: 'GET', path: '/', handle: async (call) => ({ status: 200, body: await read(call) }) }],
    { info: () => {}, error: () => {} },
  );
  const event: APIGatewayProxyEventV2 = apiEvent({ method: 'GET', path: '/', sourceIp: PEER, ...request });
  const { body } = await handler(event, {} as Context);
  return JSON.parse(body!);
}

const from = (address: string, secret?: string, header = FORWARDED): Partial<SentRequest> => ({
  headers: { [header]: address, ...(secret !== undefined && { [PROXY_SECRET_HEADER]: secret }) },
});

test.each([
  ['IPv4', '192.0.2.7', '192.0.2.7'],
  ['IPv4 with a port, as API Gateway gives it with mutual TLS', '192.0.2.7:51234', '192.0.2.7'],
  ['IPv4 as IPv6', '::ffff:192.0.2.7', '192.0.2.7'],
  ['IPv6', '2001:DB8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['IPv6 with a port', '[2001:db8:1:2::6]:51234', '2001:db8:1:2::/64'],
  ['nothing', '', null],
  ['no address', 'unknown', null],
])('without a proxy, the peer is the source: %s', async (_kind, sourceIp, source) => {
  expect(await sourceOf(startProxy().without, { sourceIp })).toBe(source);
});

test('without a proxy in the deployment, no header counts, not even beside a secret', async () => {
  const { without, state } = startProxy();

  expect(await sourceOf(without, from('192.0.2.7', SECRET))).toBe(PEER);
  expect(await sourceOf(without, from('192.0.2.7', ''))).toBe(PEER);
  expect(state.reads).toBe(0);
});

test.each([
  ['no secret', undefined],
  ['an empty secret', ''],
  ['a wrong secret', 'a guess'],
  ['a wrong secret of the same length', `${SECRET.slice(0, -1)}E`],
  ['a secret that goes on', `${SECRET}x`],
  ['the right secret in capitals', SECRET.toUpperCase()],
  ['the right secret among several', `${SECRET}, a guess`],
  ['the right secret twice', `${SECRET},${SECRET}`],
])('the header of the client counts for nothing with %s', async (_case, secret) => {
  const { read } = startProxy();

  expect(await sourceOf(read, from('192.0.2.7', secret))).toBe(PEER);
  expect(await sourceOf(read, from('192.0.2.7', SECRET))).toBe('192.0.2.7');
  expect(await sourceOf(read, from('192.0.2.7', secret))).toBe(PEER);
});

test.each([
  ['one address', '192.0.2.7', '192.0.2.7'],
  ['what a client forged is further left', '203.0.113.1, 192.0.2.7', '192.0.2.7'],
  ['many that a client forged', `${'203.0.113.1, '.repeat(50)}192.0.2.7`, '192.0.2.7'],
  ['the proxy at the end, where API Gateway adds its peer', `203.0.113.1, 192.0.2.7, ${PEER}`, '192.0.2.7'],
  ['the peer alone', PEER, PEER],
  ['the peer twice: the proxy itself is the client', `${PEER}, ${PEER}`, PEER],
  ['two headers, joined by API Gateway', '203.0.113.1,192.0.2.7', '192.0.2.7'],
  ['white space', ' \t203.0.113.1 ,\t192.0.2.7 ', '192.0.2.7'],
  ['a port', '192.0.2.7:51234', '192.0.2.7'],
  ['IPv6', '203.0.113.1, 2001:db8:1:2::7', '2001:db8:1:2::/64'],
  ['IPv6 in brackets with a port', '[2001:db8:1:2::7]:443', '2001:db8:1:2::/64'],
  ['IPv6 in full with a port and no brackets', '2001:db8:1:2:3:4:5:6:51234', '2001:db8:1:2::/64'],
  ['IPv4 as IPv6', '::ffff:192.0.2.7', '192.0.2.7'],
  ['nothing', '', PEER],
  ['no address at the end', '192.0.2.7, unknown', PEER],
  ['a comma at the end', '192.0.2.7,', PEER],
  ['a very long text', 'x'.repeat(8_000), PEER],
])('behind the proxy, the last hop that it has seen is the source: %s', async (_case, list, source) => {
  expect(await sourceOf(startProxy().read, from(list, SECRET))).toBe(source);
});

test('a proxy may use a header of its own, and then the usual one counts for nothing', async () => {
  const { read } = startProxy('cf-connecting-ip');

  expect(await sourceOf(read, from('192.0.2.7', SECRET, 'cf-connecting-ip'))).toBe('192.0.2.7');
  expect(await sourceOf(read, from('192.0.2.7', SECRET))).toBe(PEER);
});

test.each([
  ['192.0.2.7:51234', '192.0.2.7'],
  ['2001:db8::3:4:5:6:4321', '2001:db8::/64'],
  ['2001:db8:1:2::7:51234', '2001:db8:1:2::/64'],
  ['[2001:db8::3:4:5:6]:4321', '2001:db8::/64'],
])('CloudFront’s header ends with a port: %s', async (value, source) => {
  const header = 'cloudfront-viewer-address';
  expect(await sourceOf(startProxy(header).read, from(value, SECRET, header))).toBe(source);
});

test('the secret is read at most once a minute, whatever strangers send, and never for calls without one', async () => {
  const { read, state } = startProxy();

  await sourceOf(read, from('192.0.2.7'));
  expect(state.reads).toBe(0);
  for (let guess = 0; guess < 50; guess += 1) await sourceOf(read, from('192.0.2.7', `guess ${guess}`));
  expect(state.reads).toBe(1);
  state.ms += 60_000;
  await sourceOf(read, from('192.0.2.7', 'a guess'));
  expect(state.reads).toBe(2);
  // A clock that is set back does not keep the secret for ever.
  state.ms -= 3_600_000;
  await sourceOf(read, from('192.0.2.7', 'a guess'));
  expect(state.reads).toBe(3);
});

test('a new secret counts within a minute, and the old one no longer', async () => {
  const { read, state } = startProxy();
  await sourceOf(read, from('192.0.2.7', SECRET));

  state.secret = 'another secret';
  state.ms += 60_000;

  expect(await sourceOf(read, from('192.0.2.7', SECRET))).toBe(PEER);
  expect(await sourceOf(read, from('192.0.2.7', 'another secret'))).toBe('192.0.2.7');
});

test('while the secret can’t be read, the known one counts; without one, the peer does', async () => {
  const known = startProxy();
  await sourceOf(known.read, from('192.0.2.7', SECRET));
  known.state.secret = null;
  known.state.ms += 60_000;
  const fresh = startProxy();
  fresh.state.secret = null;

  expect(await sourceOf(known.read, from('192.0.2.7', SECRET))).toBe('192.0.2.7');
  expect(await sourceOf(known.read, from('192.0.2.7', 'a guess'))).toBe(PEER);
  expect(await sourceOf(fresh.read, from('192.0.2.7', SECRET))).toBe(PEER);
});

test('the secret is the whole text of the secret in Secrets Manager, and an empty one proves nothing', async () => {
  const [filled, empty] = [await startSecrets(SECRET), await startSecrets(' ')];
  onTestFinished(async () => void (await Promise.all([filled.stop(), empty.stop()])));

  expect(await readProxySecret(filled.client, filled.secretId)).toBe(SECRET);
  await expect(readProxySecret(empty.client, empty.secretId)).rejects.toMatchObject({ code: 'storeUnavailable' });
});

test.each(PASSWORD_ROUTES)('%s is answered only by way of its own route', async (routeKey) => {
  const [method, path] = routeKey.split(' ') as ['POST' | 'PUT', string];
  const handler = serveRoutes([{ method, path, handle: async () => ({ status: 204 }), isLimited: true }], {
    info: () => {},
    error: () => {},
  });
  const statusOf = async (sent: string, by: string) =>
    (await handler(apiEvent({ method, path: sent, routeKey: by }), {} as Context)).statusCode;

  expect(await statusOf(path, routeKey)).toBe(204);
  // The gateway decodes a path once, and the function once more.
  expect(await statusOf(path.replace('s', '%73'), 'ANY /api/{proxy+}')).toBe(404);
  expect(await statusOf(path, 'ANY /api/{proxy+}')).toBe(404);
  expect(await statusOf(path, '$default')).toBe(404);
});
