/** What is found wrong with a request: in each way in which one can be wrong, at each place where a value can stand. */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { QueryCommand } from '@aws-sdk/lib-dynamodb';
import { describe, expect, test } from 'vitest';
import { createDynamoDbClient } from '../../lib/aws/client.ts';
import { findFault, type ServiceModel, type ServiceName } from '../../local/service-model.ts';
import { LOCAL_CLIENT } from '../../local/template.ts';
import { demandValidRequests } from '../support/valid-requests.ts';

const FILE = path.join(import.meta.dirname, '../../local/service-models.json');
const models = JSON.parse(readFileSync(FILE, 'utf8')) as {
  readonly origin: string;
  readonly licence: string;
  readonly services: Readonly<Record<ServiceName, ServiceModel>>;
};

function ask(service: ServiceName, operation: string, input: unknown) {
  const prefix = models.services[service].targetPrefix;
  const body = Buffer.from(typeof input === 'string' ? input : JSON.stringify(input));
  return findFault(service, { method: 'POST', url: '/', headers: { 'x-amz-target': `${prefix}.${operation}` }, body });
}

const TARGET = {
  Arn: 'arn:aws:lambda:eu-central-1:123456789012:function:sync',
  RoleArn: 'arn:aws:iam::123456789012:role/r',
};
const SCHEDULE = { ScheduleExpression: 'rate(1 day)', FlexibleTimeWindow: { Mode: 'OFF' }, Target: TARGET };

function schedule(input: object, name = 'sync', method = 'POST') {
  return findFault('scheduler', {
    method,
    url: `/schedules/${name}`,
    headers: {},
    body: Buffer.from(JSON.stringify(input)),
  });
}

function invoke(headers: Readonly<Record<string, string>>, body = Buffer.from('{}'), query = '') {
  const url = `/2015-03-31/functions/sync/invocations${query}`;
  return findFault('lambda', { method: 'POST', url, headers, body });
}

const one = (text: string): object => ({
  type: 'ValidationException',
  message: `1 validation error detected: ${text}`,
});

const must = (at: string, constraint: string): string =>
  `Value at '${at}' failed to satisfy constraint: Member must ${constraint}`;
const isMissing = (at: string): string => `Value null at '${at}' failed to satisfy constraint: Member must not be null`;

describe('a wrong request', () => {
  test.each<[string, ServiceName, string, unknown, string]>([
    ['lacks a member', 'dynamodb', 'GetItem', { Key: {} }, isMissing('tableName')],
    ['has null for a member', 'dynamodb', 'GetItem', { TableName: null, Key: {} }, isMissing('tableName')],
    [
      'has a text that is too short',
      'dynamodb',
      'GetItem',
      { TableName: '', Key: {} },
      must('tableName', 'have length greater than or equal to 1'),
    ],
    [
      'has a text that is too long',
      'secretsmanager',
      'CreateSecret',
      { Name: 'n'.repeat(513) },
      must('name', 'have length less than or equal to 512'),
    ],
    [
      'has a number that is too small',
      'dynamodb',
      'Query',
      { TableName: 'Users', Limit: 0 },
      must('limit', 'have value greater than or equal to 1'),
    ],
    [
      'has a number that is too large',
      'dynamodb',
      'Scan',
      { TableName: 'Users', TotalSegments: 1_000_001 },
      must('totalSegments', 'have value less than or equal to 1000000'),
    ],
    [
      'has a list that is too long',
      'events',
      'PutEvents',
      { Entries: Array.from({ length: 11 }, () => ({})) },
      must('entries', 'have length less than or equal to 10'),
    ],
    [
      'has a map that is empty',
      'dynamodb',
      'BatchGetItem',
      { RequestItems: {} },
      must('requestItems', 'have length greater than or equal to 1'),
    ],
    [
      'has a blob that is too long',
      'secretsmanager',
      'CreateSecret',
      { Name: 'n', SecretBinary: Buffer.alloc(65_537).toString('base64') },
      must('secretBinary', 'have length less than or equal to 65536'),
    ],
    [
      'has a text that no pattern allows as a whole',
      'dynamodb',
      'Query',
      { TableName: 'Users', IndexName: 'by name' },
      must('indexName', 'satisfy regular expression pattern: [a-zA-Z0-9_.-]+'),
    ],
    [
      'has another word than the allowed ones',
      'dynamodb',
      'PutItem',
      { TableName: 'Users', Item: {}, ReturnItemCollectionMetrics: 'size' },
      must('returnItemCollectionMetrics', 'satisfy enum value set: [SIZE, NONE]'),
    ],
    [
      'has a member that AWS does not know',
      'secretsmanager',
      'GetSecretValue',
      { SecretId: 's', Stage: 'AWSCURRENT' },
      "'stage' is not in the service model, and AWS would ignore it",
    ],
    [
      'is wrong deep inside',
      'dynamodb',
      'TransactWriteItems',
      { TransactItems: [{ Put: { TableName: 'T', Item: {} } }, { Put: { Item: {} } }] },
      isMissing('transactItems.2.member.put.tableName'),
    ],
    [
      'is wrong inside a map',
      'dynamodb',
      'BatchWriteItem',
      { RequestItems: { Users: [] } },
      must('requestItems.Users.member', 'have length greater than or equal to 1'),
    ],
    [
      'has a wrong key in a map',
      'dynamodb',
      'PutItem',
      { TableName: 'T', Item: { ['k'.repeat(65_536)]: { S: 'x' } } },
      must('item.key', 'have length less than or equal to 65535'),
    ],
  ])('%s', (_how, service, operation, input, text) => {
    expect(ask(service, operation, input)).toEqual(one(text));
  });

  test('is told of all its faults at once', () => {
    expect(ask('secretsmanager', 'UpdateSecretVersionStage', { VersionStage: '' })?.message).toBe(
      "2 validation errors detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null; " +
        "Value at 'versionStage' failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
  });

  test.each<[string, unknown]>([
    ['a number for a text', { TableName: 1, Key: {} }],
    ['a text for a map', { TableName: 'T', Key: 'k' }],
    ['a text for a list', { TableName: 'T', Key: {}, AttributesToGet: 'a' }],
    ['a text for a boolean', { TableName: 'T', Key: {}, ConsistentRead: 'true' }],
    ['a list for a structure', { TableName: 'T', Key: { pk: [] } }],
    ['bytes that are no base64', { TableName: 'T', Key: { pk: { B: 'ü' } } }],
    ['null in a list', { TableName: 'T', Key: {}, AttributesToGet: [null] }],
    ['no JSON', '{'],
    ['a list', []],
    ['a text', '"GetItem"'],
  ])('has %s', (_how, input) => {
    expect(ask('dynamodb', 'GetItem', input)?.type).toBe('SerializationException');
  });

  test.each([
    ['a fraction', 1.5],
    ['a text', '1'],
    ['more than 31 bits', 2 ** 31],
  ])('has %s for a whole number', (_how, Limit) => {
    expect(ask('dynamodb', 'Query', { TableName: 'T', Limit })?.type).toBe('SerializationException');
  });

  test('has a text for a time', () => {
    expect(schedule({ ...SCHEDULE, StartDate: '2026-01-01' })?.type).toBe('SerializationException');
  });

  test('names an operation that is not in the fixture', () => {
    const { type, message } = ask('dynamodb', 'DeleteTable', { TableName: 'T' })!;

    expect(type).toBe('UnknownOperationException');
    expect(message).toContain('add it to local/trim-service-models.ts');
    expect(ask('dynamodb', 'toString', {})?.type).toBe('UnknownOperationException');
    expect(schedule({}, 'sync', 'PATCH')?.type).toBe('UnknownOperationException');
  });

  test('is refused without a word of what it says', () => {
    const secret = 'hunter2-'.repeat(9_000);
    const { message } = ask('secretsmanager', 'PutSecretValue', { SecretId: 's', SecretString: secret })!;

    expect(message).toContain("'secretString'");
    expect(message).not.toContain('hunter2');
  });
});

describe('in a REST protocol', () => {
  test('a member in the path is checked', () => {
    expect(schedule(SCHEDULE, 'n'.repeat(65))?.message).toContain("'name'");
    expect(schedule(SCHEDULE, 'a%20b')?.message).toContain("'name'");
    expect(schedule(SCHEDULE, '%E0%A4%A')?.message).toContain("'name'");
  });

  test('a member in the query is checked', () => {
    const get = (query: string) =>
      findFault('scheduler', { method: 'GET', url: `/schedules/sync?${query}`, headers: {}, body: Buffer.alloc(0) });

    expect(get('groupName=rollcall')).toBeNull();
    expect(get('groupName=roll%20call')?.message).toContain("'groupName'");
  });

  test('a member in a header is checked', () => {
    expect(invoke({ 'x-amz-invocation-type': 'Event' })).toBeNull();
    expect(invoke({ 'x-amz-invocation-type': 'event' })?.message).toContain("'invocationType'");
    expect(invoke({}, undefined, '?Qualifier=a%20b')?.message).toContain("'qualifier'");
  });

  test('a payload is taken as it is, also if it is large and no JSON', () => {
    expect(invoke({}, Buffer.alloc(6 * 1024 * 1024, 0xff))).toBeNull();
  });

  test('a member in the path is not read from the body', () => {
    expect(schedule({ ...SCHEDULE, Name: 'a name that no schedule may have' })).toBeNull();
  });
});

test('right requests pass', () => {
  const attempt = { pk: { S: '' }, list: { L: [{ M: { a: { NULL: true } } }] }, bytes: { B: 'AAE=' }, set: { SS: [] } };

  expect(ask('dynamodb', 'PutItem', { TableName: 'Users', Item: attempt, ReturnValues: 'ALL_OLD' })).toBeNull();
  expect(ask('events', 'PutEvents', { Entries: [{ Source: 's', Time: 1.5 }] })).toBeNull();
  expect(ask('secretsmanager', 'GetSecretValue', { SecretId: 's', VersionId: null })).toBeNull();
  expect(schedule({ ...SCHEDULE, StartDate: 1_800_000_000 })).toBeNull();
});

test('a client of the tests sends no request that AWS would refuse', async () => {
  let sent = 0;
  const handle = async () => {
    sent += 1;
    throw new Error('sent');
  };
  const client = demandValidRequests(
    'dynamodb',
    createDynamoDbClient({ ...LOCAL_CLIENT, maxAttempts: 1, requestHandler: { handle } as never }),
  );
  const query = (Limit: number) => client.send(new QueryCommand({ TableName: 'Users', Limit }));

  await expect(query(0)).rejects.toThrow();
  expect(sent).toBe(0);
  await expect(query(1)).rejects.toThrow();
  expect(sent).toBe(1);
});

describe('the fixture', () => {
  test('is small, and says where it comes from', () => {
    expect(statSync(FILE).size).toBeLessThan(150_000);
    expect(models.origin).toMatch(/^botocore \d+\.\d+\.\d+, /u);
    expect(models.licence).toMatch(/^Apache-2\.0/u);
  });

  test('refers to shapes that it has, and its patterns are regular expressions', () => {
    for (const { operations, shapes } of Object.values(models.services)) {
      const named = [
        ...Object.values(operations).map(({ input }) => input),
        ...Object.values(shapes).flatMap(({ members = {}, of, key }) => [
          ...Object.values(members).map(({ shape }) => shape),
          ...[of, key].filter((name) => name !== undefined),
        ]),
      ];
      expect(named.filter((name) => !(name in shapes))).toEqual([]);
      const patterns = Object.values(shapes).flatMap(({ pattern = [] }) => pattern);
      expect(() => patterns.map((pattern) => new RegExp(pattern, 'u'))).not.toThrow();
    }
  });
});
