/** A kept table of an earlier release of the local program gets what it lacks, on both local DynamoDBs. */
import {
  CreateTableCommand,
  DescribeTableCommand,
  PutItemCommand,
  QueryCommand,
  DynamoDBClient,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OPERATIONS_TABLE, USERS_TABLE } from '../../lib/aws/environment.ts';
import type { DynamoDbKind, LocalDynamoDb } from '../../local/dynamodb.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { provideTable } from '../../local/provision.ts';
import { LOCAL_CLIENT } from '../../local/template.ts';
import { demandValidRequests } from '../support/valid-requests.ts';

const attributes = (...names: string[]) =>
  names.map((AttributeName) => ({ AttributeName, AttributeType: 'S' as const }));
const KEYS = [{ AttributeName: USERS_TABLE.partitionKey, KeyType: 'HASH' as const }];
const indexOn = (AttributeName: string) => ({
  IndexName: `by-${AttributeName}`,
  KeySchema: [
    { AttributeName, KeyType: 'HASH' as const },
    { ...KEYS[0]!, KeyType: 'RANGE' as const },
  ],
  Projection: { ProjectionType: 'KEYS_ONLY' as const },
});
const FORMER = {
  BillingMode: 'PAY_PER_REQUEST' as const,
  AttributeDefinitions: attributes(USERS_TABLE.partitionKey, 'first'),
  KeySchema: KEYS,
  GlobalSecondaryIndexes: [indexOn('first')],
};
const TODAY = {
  ...FORMER,
  AttributeDefinitions: attributes(USERS_TABLE.partitionKey, 'first', 'second', 'third'),
  GlobalSecondaryIndexes: ['first', 'second', 'third'].map(indexOn),
};

describe.each<DynamoDbKind>(['dynoxide', 'dynamodb-local'])('on %s', (kind) => {
  let server: LocalDynamoDb;
  let client: DynamoDBClient;
  beforeAll(async () => {
    server = await startDynamoDb({ kind });
    client = demandValidRequests('dynamodb', new DynamoDBClient({ ...LOCAL_CLIENT, endpoint: server.endpoint }));
  });
  afterAll(async () => {
    client?.destroy();
    await server?.stop();
  });

  async function describeTable(TableName: string) {
    const { Table } = await client.send(new DescribeTableCommand({ TableName }));
    return {
      stream: Table?.StreamSpecification?.StreamViewType,
      indexes: Table?.GlobalSecondaryIndexes?.map(({ IndexName }) => IndexName).sort(),
    };
  }

  test('a table gets indexes and a stream, its items are in the indexes, and a second time changes nothing', async () => {
    const TableName = 'kept';
    await client.send(new CreateTableCommand({ TableName, ...FORMER }));
    await client.send(
      new PutItemCommand({ TableName, Item: { [USERS_TABLE.partitionKey]: { S: 'anna' }, third: { S: 'x' } } }),
    );
    const create = {
      TableName,
      ...TODAY,
      StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' as const },
    };

    for (let start = 0; start < 2; start += 1) {
      await provideTable(client, { create, timeToLive: OPERATIONS_TABLE.ttl });

      expect(await describeTable(TableName)).toEqual({
        stream: 'NEW_AND_OLD_IMAGES',
        indexes: ['by-first', 'by-second', 'by-third'],
      });
      const found = await client.send(
        new QueryCommand({
          TableName,
          IndexName: 'by-third',
          KeyConditionExpression: 'third = :x',
          ExpressionAttributeValues: { ':x': { S: 'x' } },
        }),
      );
      expect(found.Items).toEqual([{ [USERS_TABLE.partitionKey]: { S: 'anna' }, third: { S: 'x' } }]);
    }
  });

  test('a table that is not there is created as a whole', async () => {
    await provideTable(client, { create: { TableName: 'created', ...TODAY }, timeToLive: undefined });

    expect(await describeTable('created')).toEqual({
      stream: undefined,
      indexes: ['by-first', 'by-second', 'by-third'],
    });
  });
});
