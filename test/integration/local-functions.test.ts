/**
 * The local stand-ins for Lambda and API Gateway, on real sockets and threads, with a function written for the purpose.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createFunctionHost, type FunctionHost, type InvocationResult } from '../../local/function-host.ts';
import { createHttpApi } from '../../local/http-api.ts';
import { createLambdaEndpoint, INVOKE_PATH } from '../../local/lambda-endpoint.ts';
import { LOCAL_CLIENT } from '../../local/template.ts';

const BUNDLE = `
import { appendFileSync, readFileSync } from 'node:fs';
let count = 0;
export const handler = async (event, context) => {
  count += 1;
  if (event.rawPath === '/api/answer') {
    return { statusCode: 201, headers: { 'x-one': '1' }, cookies: ['a=1', 'b=2'], body: 'ok' };
  }
  if (event.rawPath) return event;
  switch (event.do) {
    case 'count': return { count, name: context.functionName, left: context.getRemainingTimeInMillis() };
    case 'environment': return { ...process.env };
    case 'wait': await new Promise((resolve) => setTimeout(resolve, event.ms)); return { waited: event.ms };
    case 'meet': {
      appendFileSync(event.place, '.');
      while (readFileSync(event.place).length < event.people) await new Promise((resolve) => setTimeout(resolve, 10));
      return { met: event.people };
    }
    case 'throw': throw Object.assign(new Error('no directory'), { name: 'DirectoryUnavailable' });
    case 'exit': process.exit(3);
    case 'log': console.log('a line of the log'); return {};
  }
};`;

let folder: string;
let host: FunctionHost;
let server: Server;
let address: string;
let client: LambdaClient;
const eventResults: InvocationResult[] = [];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'rollcall-functions-'));
  const modulePath = path.join(folder, 'index.mjs');
  writeFileSync(modulePath, BUNDLE);
  const definition = {
    name: 'RealName',
    arn: 'arn:aws:lambda:my-machine-1:000000000000:function:RealName',
    alias: 'short',
    modulePath,
    exportName: 'handler',
    environment: { GIVEN: 'yes' },
    timeoutMs: 20_000,
    memoryMb: 64,
  };
  const hasty = { ...definition, name: 'HastyName', arn: `${definition.arn}2`, alias: 'hasty', timeoutMs: 3_000 };
  host = createFunctionHost([definition, hasty], { logFolder: path.join(folder, 'logs') });
  const lambda = createLambdaEndpoint([definition, hasty], host, (_name, result) => eventResults.push(result));
  const route = { routeKey: 'ANY /api/{proxy+}', functionName: 'RealName', sourceArn: 'arn:aws:execute-api:x' };
  const api = createHttpApi([route], host, () => true);
  server = createServer((request, response) => {
    const answer = INVOKE_PATH.test(request.url ?? '') ? lambda : api;
    void answer(request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  client = new LambdaClient({
    ...LOCAL_CLIENT,
    endpoint: address,
    maxAttempts: 1,
  });
});

afterAll(async () => {
  client.destroy();
  server.closeAllConnections();
  server.close();
  await host.stop();
  rmSync(folder, { recursive: true });
});

async function invoke(event: object, name = 'short', type: 'RequestResponse' | 'Event' | 'DryRun' = 'RequestResponse') {
  const answer = await client.send(
    new InvokeCommand({ FunctionName: name, InvocationType: type, Payload: JSON.stringify(event) }),
  );
  const text = answer.Payload?.transformToString() ?? '';
  return { ...answer, payload: text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>) };
}

test('a function is invoked by alias, name, partial and full ARN, and keeps its warm instance', async () => {
  const names = [
    'short',
    'RealName',
    '000000000000:function:RealName',
    'arn:aws:lambda:eu-central-1:000000000000:function:RealName',
  ];

  const counts: unknown[] = [];
  for (const name of names) counts.push((await invoke({ do: 'count' }, name)).payload);

  expect(counts).toMatchObject([1, 2, 3, 4].map((count) => ({ count, name: 'RealName' })));
  expect((counts[0] as { left: number }).left).toBeGreaterThan(0);
});

test('a function sees the environment it is given and not that of this process', async () => {
  const { payload } = await invoke({ do: 'environment' });

  expect(payload).toMatchObject({ GIVEN: 'yes', AWS_LAMBDA_FUNCTION_NAME: 'RealName' });
  expect(payload).not.toHaveProperty('HOME');
});

test('calls at the same time run side by side', async () => {
  const place = path.join(folder, 'meeting');
  const answers = await Promise.all(Array.from({ length: 4 }, () => invoke({ do: 'meet', place, people: 4 })));

  // Each of them waits until all of them have begun.
  expect(answers.map(({ payload }) => payload)).toEqual(Array.from({ length: 4 }, () => ({ met: 4 })));
});

test('an exception is a function error with its name, and the instance stays', async () => {
  const answer = await invoke({ do: 'throw' });

  expect(answer).toMatchObject({
    FunctionError: 'Unhandled',
    ExecutedVersion: '$LATEST',
    payload: { errorType: 'DirectoryUnavailable', errorMessage: 'no directory' },
  });
});

test('an invocation over its time is ended, and the next one finds a new instance', async () => {
  const answer = await invoke({ do: 'wait', ms: 60_000 }, 'hasty');
  const next = await invoke({ do: 'count' }, 'hasty');

  expect(answer.payload).toMatchObject({ errorType: 'Sandbox.Timedout' });
  expect(answer.payload?.errorMessage).toMatch(/Task timed out after 3\.00 seconds/);
  expect(next.payload).toMatchObject({ count: 1, name: 'HastyName' });
});

test('an instance that exits is a function error, and the next invocation finds a new one', async () => {
  const answer = await invoke({ do: 'exit' });
  const next = await invoke({ do: 'wait', ms: 1 });

  expect(answer.payload).toMatchObject({ errorType: 'Runtime.ExitError' });
  expect(next.payload).toEqual({ waited: 1 });
});

test('an asynchronous invocation is accepted at once and reported when it is over', async () => {
  const answer = await invoke({ do: 'wait', ms: 50 }, 'short', 'Event');
  const dry = await invoke({}, 'short', 'DryRun');

  expect(answer.StatusCode).toBe(202);
  expect(dry.StatusCode).toBe(204);
  await expect.poll(() => eventResults).toEqual([{ payload: '{"waited":50}' }]);
});

test('an unknown function and a body that is no JSON are refused as Lambda refuses them', async () => {
  const unknown = await invoke({}, 'nobody').catch((error: unknown) => error);
  const malformed = await fetch(`${address}/2015-03-31/functions/short/invocations`, { method: 'POST', body: '{' });

  expect(unknown).toMatchObject({ name: 'ResourceNotFoundException' });
  expect(malformed.status).toBe(400);
  expect(malformed.headers.get('x-amzn-errortype')).toBe('InvalidRequestContentException');
});

test('what a function writes goes to its log', async () => {
  await invoke({ do: 'log' });

  await expect
    .poll(() => readFileSync(path.join(folder, 'logs', 'RealName.log'), 'utf8'))
    .toContain('a line of the log');
});

test('a request becomes an event of payload format 2.0 with its path decoded', async () => {
  const response = await fetch(`${address}/api/users/M%C3%BCller%20A?kind=a&kind=b&x=%20`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', cookie: 'session=1; other=2', 'X-Custom': 'v' },
    body: '{"a":"ü"}',
  });

  expect(await response.json()).toMatchObject({
    version: '2.0',
    routeKey: 'ANY /api/{proxy+}',
    rawPath: '/api/users/Müller A',
    rawQueryString: 'kind=a&kind=b&x=%20',
    queryStringParameters: { kind: 'a,b', x: ' ' },
    pathParameters: { proxy: 'users/Müller A' },
    cookies: ['session=1', 'other=2'],
    headers: { 'x-custom': 'v', 'content-type': 'application/json', 'x-forwarded-proto': 'http' },
    requestContext: { http: { method: 'PATCH', path: '/api/users/Müller A', sourceIp: '127.0.0.1' } },
    body: '{"a":"ü"}',
    isBase64Encoded: false,
  });
});

test('a body that is not text comes as base64', async () => {
  const response = await fetch(`${address}/api/x`, { method: 'POST', body: new Uint8Array([0, 255]) });

  expect(await response.json()).toMatchObject({ body: 'AP8=', isBase64Encoded: true });
});

test('status, headers and cookies of an answer reach the caller', async () => {
  const response = await fetch(`${address}/api/answer`);

  expect([response.status, response.headers.get('x-one'), await response.text()]).toEqual([201, '1', 'ok']);
  expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
});

test('requests that no route or no gateway takes are refused as API Gateway refuses them', async () => {
  const unrouted = await fetch(`${address}/elsewhere`);
  const tooLong = await fetch(`${address}/api/x`, { method: 'POST', body: Buffer.alloc(10 * 1024 * 1024 + 1) });

  expect([unrouted.status, await unrouted.json()]).toEqual([404, { message: 'Not Found' }]);
  expect([tooLong.status, await tooLong.json()]).toEqual([413, { message: 'Request Too Long' }]);
});
