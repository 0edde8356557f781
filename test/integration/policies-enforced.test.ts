/**
 * The gates before the local stand-ins: with real SDK clients, a call that the caller's role does not allow fails as on
 * AWS and reaches no stand-in.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateTableCommand, DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startDynamoDbGate } from '../../local/dynamodb-gate.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { createAuthority } from '../../local/policy-authority.ts';
import { createDynamoDbReader } from '../../local/policy-dynamodb.ts';
import { createCallerFinder } from '../../local/policy-gate.ts';
import { readPolicies } from '../../local/policy-template.ts';
import { createRunning } from '../../local/running.ts';
import { LOCAL_REGION } from '../../local/template.ts';

const TABLE = {
  TableName: 'Operations',
  KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' as const }],
  AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' as const }],
  BillingMode: 'PAY_PER_REQUEST' as const,
};
const STATEMENTS = [
  {
    Effect: 'Allow',
    Action: ['dynamodb:GetItem', 'dynamodb:PutItem'],
    Resource: 'arn:aws:dynamodb:local:000000000000:table/Operations',
    Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['attempts#*'] } },
  },
];
const gate = {
  findCaller: createCallerFinder([{ name: 'AuthFunction', role: 'AuthRole' }]),
  authority: createAuthority(
    readPolicies([
      {
        type: 'AWS::IAM::Policy',
        name: 'AuthPolicy',
        arn: 'AuthPolicy',
        properties: { Roles: ['AuthRole'], PolicyDocument: { Statement: STATEMENTS } },
      },
    ]),
  ),
};
const read = createDynamoDbReader([{ create: TABLE }]);

function connect(endpoint: string, accessKeyId = 'AuthFunction'): DynamoDBClient {
  return new DynamoDBClient({
    region: LOCAL_REGION,
    endpoint,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey: 'local' },
  });
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
        'dynamodb:GetItem on resource: arn:aws:dynamodb:local:000000000000:table/Operations ' +
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
