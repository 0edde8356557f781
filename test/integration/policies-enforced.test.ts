/**
 * The gates before the local stand-ins: with real SDK clients, a call that the caller's role does not allow fails as on
 * AWS and reaches no stand-in.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateTableCommand, DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { GetScheduleCommand, SchedulerClient, UpdateScheduleCommand } from '@aws-sdk/client-scheduler';
import {
  GetSecretValueCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startDynamoDbGate } from '../../local/dynamodb-gate.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { readBody, type RequestHandler } from '../../local/http-api.ts';
import { createAuthority } from '../../local/policy-authority.ts';
import { createDynamoDbReader } from '../../local/policy-dynamodb.ts';
import { createCallerFinder, guard, JSON_FORM, REST_FORM, type RefusalForm } from '../../local/policy-gate.ts';
import {
  createLambdaReader,
  readEventBridge,
  readScheduler,
  readSecretsManager,
  type ServiceReader,
} from '../../local/policy-services.ts';
import { readPolicies } from '../../local/policy-template.ts';
import { createRunning, serve } from '../../local/running.ts';
import { LOCAL_REGION } from '../../local/template.ts';

const TABLE = {
  TableName: 'Operations',
  KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' as const }],
  AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' as const }],
  BillingMode: 'PAY_PER_REQUEST' as const,
};
const ACCOUNT = 'my-machine-1:000000000000';
const SCHEDULE = `arn:aws:scheduler:${ACCOUNT}:schedule/group/sync`;
const SCHEDULE_ROLE = 'arn:aws:iam::000000000000:role/ScheduleRole';

function gateOf(...statements: readonly object[]) {
  const properties = { Roles: ['AuthRole'], PolicyDocument: { Statement: statements } };
  return {
    findCaller: createCallerFinder([{ name: 'AuthFunction', role: 'AuthRole' }]),
    authority: createAuthority(
      readPolicies([
        { type: 'AWS::SecretsManager::Secret', name: 'Settings', arn: 'Settings', properties: {} },
        { type: 'AWS::IAM::Policy', name: 'AuthPolicy', arn: 'AuthPolicy', properties },
      ]),
    ),
  };
}

const gate = gateOf({
  Effect: 'Allow',
  Action: ['dynamodb:GetItem', 'dynamodb:PutItem'],
  Resource: `arn:aws:dynamodb:${ACCOUNT}:table/Operations`,
  Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['attempts#*'] } },
});
const read = createDynamoDbReader([{ create: TABLE }]);

function configure(endpoint: string, accessKeyId = 'AuthFunction') {
  return {
    region: LOCAL_REGION,
    endpoint,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey: 'local' },
  };
}

function connect(endpoint: string, accessKeyId?: string): DynamoDBClient {
  return new DynamoDBClient(configure(endpoint, accessKeyId));
}

const get = (pk: string) => new GetItemCommand({ TableName: 'Operations', Key: { pk: { S: pk } } });
const put = (pk: string, text: string) =>
  new PutItemCommand({ TableName: 'Operations', Item: { pk: { S: pk }, text: { S: text } } });

describe('the gate before DynamoDB', () => {
  const running = createRunning();
  const clients: DynamoDBClient[] = [];
  let auth: DynamoDBClient;
  let developer: DynamoDBClient;

  beforeAll(async () => {
    const server = await running.add(startDynamoDb());
    const { url } = await running.add(startDynamoDbGate({ ...gate, endpoint: server.endpoint, read }));
    clients.push((auth = connect(url)), (developer = connect(url, 'local')));
    await developer.send(new CreateTableCommand(TABLE));
  }, 60_000);

  afterAll(async () => {
    for (const client of clients) client.destroy();
    await running.stop();
  });

  test('passes what the role allows, also if it is large', async () => {
    const text = 'a'.repeat(390_000);
    await auth.send(put('attempts#ann', text));

    const { Item } = await auth.send(get('attempts#ann'));

    expect(Item?.text?.S).toBe(text);
  });

  test('refuses another item in the words of AWS', async () => {
    await developer.send(put('session#1', 'secret'));

    const refused = await auth.send(get('session#1')).catch((error: unknown) => error);

    expect(refused).toMatchObject({
      name: 'AccessDeniedException',
      message:
        'User: arn:aws:sts::000000000000:assumed-role/AuthRole/AuthFunction is not authorized to perform: ' +
        'dynamodb:GetItem on resource: arn:aws:dynamodb:my-machine-1:000000000000:table/Operations ' +
        'because no identity-based policy allows the dynamodb:GetItem action',
      $metadata: { httpStatusCode: 400 },
    });
  });

  test('lets no refused write through', async () => {
    await expect(auth.send(put('session#2', 'forged'))).rejects.toMatchObject({ name: 'AccessDeniedException' });

    expect((await developer.send(get('session#2'))).Item).toBeUndefined();
  });
});

test('the gate keeps one connection to the server, and a lost server is a lost connection', async () => {
  const connections = new Set<unknown>();
  const server: Server = createServer((request, response) => {
    connections.add(request.socket);
    request.resume();
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const running = createRunning();
  const { url } = await running.add(startDynamoDbGate({ ...gate, endpoint, read }));
  const client = connect(url);
  try {
    for (let count = 0; count < 5; count += 1) await client.send(get('attempts#ann'));
    const kept = connections.size;
    server.closeAllConnections();
    server.close();
    const lost = await client.send(get('attempts#ann')).catch((error: unknown) => error);

    expect(kept).toBe(1);
    expect(lost).toMatchObject({ $metadata: { attempts: 1 } });
    expect((lost as { $metadata: { httpStatusCode?: number } }).$metadata.httpStatusCode).toBeUndefined();
  } finally {
    client.destroy();
    await running.stop();
  }
});

describe('the gates before the other services', () => {
  const running = createRunning();
  afterAll(() => running.stop());

  /** A stand-in that answers everything, and the number of requests that it has got. */
  async function open(read: ServiceReader, form: RefusalForm, ...statements: readonly object[]) {
    let requests = 0;
    const handler: RequestHandler = async (request, response) => {
      requests += 1;
      await readBody(request, 1_000_000);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    };
    const { url } = await running.add(serve(guard(handler, { ...gateOf(...statements), read, form })));
    return { url, requests: () => requests };
  }

  const allow = (action: string, resource: string, more: object = {}) => ({
    Effect: 'Allow',
    Action: action,
    Resource: resource,
    ...more,
  });

  test('Secrets Manager tells reading from writing, and knows a secret by name and by ARN', async () => {
    const server = await open(readSecretsManager, JSON_FORM, allow('secretsmanager:GetSecretValue', 'Settings'));
    const client = new SecretsManagerClient(configure(server.url));
    const arn = `arn:aws:secretsmanager:${ACCOUNT}:secret:Settings-1a2b3c`;

    for (const SecretId of ['Settings', arn]) await client.send(new GetSecretValueCommand({ SecretId }));
    const other = await client.send(new GetSecretValueCommand({ SecretId: 'Administrator' })).catch((e: unknown) => e);
    const write = await client
      .send(new PutSecretValueCommand({ SecretId: 'Settings', SecretString: '{}' }))
      .catch((e: unknown) => e);

    const refused = { name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } };
    expect([other, write]).toMatchObject([refused, refused]);
    expect((write as Error).message).toContain('secretsmanager:PutSecretValue on resource: arn:aws:secretsmanager:');
    expect(server.requests()).toBe(2);
    client.destroy();
  });

  test('a schedule is updated only by somebody who may also pass on its role, to Scheduler', async () => {
    const pass = (service: string) =>
      allow('iam:PassRole', SCHEDULE_ROLE, { Condition: { StringEquals: { 'iam:PassedToService': service } } });
    const command = new UpdateScheduleCommand({
      Name: 'sync',
      GroupName: 'group',
      ScheduleExpression: 'rate(1 hour)',
      FlexibleTimeWindow: { Mode: 'OFF' },
      Target: { Arn: 'arn:aws:lambda:x', RoleArn: SCHEDULE_ROLE },
    });
    const update = async (...statements: readonly object[]) => {
      const server = await open(readScheduler, REST_FORM, allow('scheduler:UpdateSchedule', SCHEDULE), ...statements);
      const client = new SchedulerClient(configure(server.url));
      const answer = await client.send(command).catch((error: unknown) => error);
      client.destroy();
      return { answer, requests: server.requests() };
    };

    const refused = { name: 'AccessDeniedException', $metadata: { httpStatusCode: 403 } };
    expect(await update()).toMatchObject({ answer: refused, requests: 0 });
    expect(await update(pass('lambda.amazonaws.com'))).toMatchObject({ answer: refused, requests: 0 });
    expect(await update(pass('scheduler.amazonaws.com'))).toMatchObject({ requests: 1 });
  });

  test('a schedule is read by its group and name', async () => {
    const server = await open(readScheduler, REST_FORM, allow('scheduler:GetSchedule', SCHEDULE));
    const client = new SchedulerClient(configure(server.url));

    await client.send(new GetScheduleCommand({ GroupName: 'group', Name: 'sync' }));
    const other = client.send(new GetScheduleCommand({ Name: 'sync' }));

    await expect(other).rejects.toMatchObject({ name: 'AccessDeniedException' });
    client.destroy();
  });

  test('events go to the allowed bus alone, and one entry for another bus refuses them all', async () => {
    const bus = `arn:aws:events:${ACCOUNT}:event-bus/ours`;
    const server = await open(readEventBridge, JSON_FORM, allow('events:PutEvents', bus));
    const client = new EventBridgeClient(configure(server.url));
    const put = (...buses: readonly string[]) =>
      client.send(new PutEventsCommand({ Entries: buses.map((EventBusName) => ({ EventBusName })) }));

    await put('ours', bus);
    await expect(put('ours', 'default')).rejects.toMatchObject({ name: 'AccessDeniedException' });

    expect(server.requests()).toBe(1);
    client.destroy();
  });

  test('a function invokes only the function that it may, and callers outside of the stack invoke any', async () => {
    const define = (name: string) => ({
      name,
      alias: name.toLowerCase(),
      arn: `arn:aws:lambda:${ACCOUNT}:function:${name}`,
    });
    const read = createLambdaReader([define('Sync'), define('Api')]);
    const server = await open(read, REST_FORM, allow('lambda:InvokeFunction', define('Sync').arn));
    const client = new LambdaClient(configure(server.url));
    const path = '/2015-03-31/functions/Api/invocations';

    await client.send(new InvokeCommand({ FunctionName: 'sync' }));
    const other = await client.send(new InvokeCommand({ FunctionName: define('Api').arn })).catch((e: unknown) => e);
    const unsigned = await fetch(server.url + path, { method: 'POST', body: '{}' });

    expect(other).toMatchObject({ name: 'AccessDeniedException', $metadata: { httpStatusCode: 403 } });
    expect(unsigned.status).toBe(200);
    expect(server.requests()).toBe(2);
    client.destroy();
  });

  test('a request of an unknown form is refused, because nobody can say what it needs', async () => {
    const server = await open(readSecretsManager, JSON_FORM, allow('*', '*'));
    const client = new SecretsManagerClient(configure(server.url));

    const listed = client.send(new ListSecretsCommand({}));

    await expect(listed).rejects.toThrow('cannot tell what this request needs');
    expect(server.requests()).toBe(0);
    client.destroy();
  });
});
