/**
 * What AWS's documentation says about requests and their answers, replayed against the stand-ins: they must be no
 * kinder than AWS. Every case names the page that says so.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startDynamoDbGate } from '../../local/dynamodb-gate.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { createEventBus } from '../../local/event-bus.ts';
import type { RequestHandler } from '../../local/http-api.ts';
import { createLambdaEndpoint } from '../../local/lambda-endpoint.ts';
import { createAuthority } from '../../local/policy-authority.ts';
import { createDynamoDbReader } from '../../local/policy-dynamodb.ts';
import { createCallerFinder } from '../../local/policy-gate.ts';
import { readPolicies } from '../../local/policy-template.ts';
import { createRunning, serve, type Stoppable } from '../../local/running.ts';
import { createScheduler } from '../../local/scheduler.ts';
import { createSecretsManager } from '../../local/secrets-manager.ts';
import type { ServiceName } from '../../local/service-model.ts';

/** With `operation`, a POST whose header names it; the body is JSON, or the text of `raw`. */
interface Request {
  readonly operation?: string;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object | { readonly raw: string };
}

interface Case {
  readonly name: string;
  readonly service: ServiceName;
  readonly source: string;
  readonly before?: readonly Request[];
  readonly request: Request;
  /** `body`: what the answer has, among other things. */
  readonly answer: { readonly status: number; readonly type?: string; readonly body?: object };
}

interface Repetition {
  readonly repeat: string | object;
  readonly times: number;
  /** The end of a text. */
  readonly then?: string;
}

const file = path.join(import.meta.dirname, '../fixtures/documented-answers.json');
// A long text or list stands there as what it repeats.
const cases = JSON.parse(readFileSync(file, 'utf8'), (_key, value: Partial<Repetition> | null) => {
  const { repeat, times, then = '' } = value ?? {};
  if (repeat === undefined || times === undefined) return value;
  return typeof repeat === 'string' ? repeat.repeat(times) + then : Array.from({ length: times }, () => repeat);
}) as readonly Case[];

const TARGETS: Readonly<Partial<Record<ServiceName, string>>> = {
  dynamodb: 'DynamoDB_20120810',
  events: 'AWSEvents',
  secretsmanager: 'secretsmanager',
};

const forFile = createRunning();
const forTest = createRunning();
let gateUrl: string;

beforeAll(async () => {
  const dynamoDb = await forFile.add(startDynamoDb());
  const gate = await forFile.add(
    startDynamoDbGate({
      endpoint: dynamoDb.endpoint,
      findCaller: createCallerFinder([]),
      authority: createAuthority(readPolicies([])),
      read: createDynamoDbReader([]),
    }),
  );
  gateUrl = gate.url;
});
afterEach(() => forTest.stop());
afterAll(() => forFile.stop());

/** A stand-in in which nothing has happened yet. */
async function start(service: ServiceName): Promise<string> {
  const serveIt = async (handler: RequestHandler): Promise<string> => (await forTest.add(serve(handler))).url;
  switch (service) {
    case 'dynamodb':
      return gateUrl;
    case 'events':
      return serveIt(createEventBus(['rollcall']).handle);
    case 'lambda': {
      const sync = { name: 'sync', alias: 'sync' };
      return serveIt(createLambdaEndpoint([sync], { invoke: async () => ({ payload: '{}' }) }, () => {}));
    }
    case 'scheduler': {
      const scheduler = createScheduler({ fire: () => {} });
      await forTest.add(Promise.resolve<Stoppable>(scheduler));
      return serveIt(scheduler.handle);
    }
    case 'secretsmanager':
      return serveIt(createSecretsManager());
    default:
      throw new Error(`there is no stand-in for ${String(service)}`);
  }
}

async function send(url: string, service: ServiceName, request: Request): Promise<Response> {
  const { operation, method = 'POST', path: at = '/', headers = {}, body } = request;
  const text = body !== undefined && 'raw' in body ? body.raw : JSON.stringify(body);
  return await fetch(url + at, {
    method,
    headers: { ...headers, ...(operation !== undefined && { 'x-amz-target': `${TARGETS[service]}.${operation}` }) },
    ...(text !== undefined && { body: text }),
  });
}

test('every stand-in has cases, and each of them names a page of AWS', () => {
  expect(new Set(cases.map(({ service }) => service)).size).toBe(5);
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  const strange = cases.filter(({ source }) => !/^https:\/\/docs\.aws\.amazon\.com\/.+\.html$/u.test(source));
  expect(strange).toEqual([]);
});

describe.each(['dynamodb', 'events', 'lambda', 'scheduler', 'secretsmanager'] as const)('%s', (service) => {
  test.each(cases.filter((each) => each.service === service))('$name ($source)', async ({ before = [], ...each }) => {
    const url = await start(service);
    for (const request of before) expect((await send(url, service, request)).status).toBe(200);

    const response = await send(url, service, each.request);
    const text = await response.text();

    expect({ status: response.status, text }).toMatchObject({ status: each.answer.status });
    expect(response.headers.get('x-amzn-errortype')).toBe(each.answer.type ?? null);
    if (each.answer.body !== undefined) expect(JSON.parse(text)).toMatchObject(each.answer.body);
  });
});
