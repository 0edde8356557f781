/** The tables of the deployment on a local DynamoDB, made from the same names as the stack. */
import { CreateTableCommand } from '@aws-sdk/client-dynamodb';
import type { CreateTableCommandInput } from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { OPERATIONS_TABLE, USERS_TABLE } from '../../lib/aws/environment.ts';
import { connectUnchecked } from './dynamodb-connection.ts';
import { demandValidRequests } from './valid-requests.ts';

let made = 0;

/** A client that refuses to send a request that AWS would refuse. */
export function connect(endpoint: string): DynamoDBDocumentClient {
  return demandValidRequests('dynamodb', connectUnchecked(endpoint));
}

/**
 * Creates empty tables under names that no other test has. Streams slow down writes: ask for them only to read them.
 */
export async function createTables(
  client: DynamoDBDocumentClient,
  { streams = false }: { readonly streams?: boolean } = {},
): Promise<{ usersTable: string; operationsTable: string }> {
  made += 1;
  const names = { usersTable: `users-${process.pid}-${made}`, operationsTable: `operations-${process.pid}-${made}` };
  const { partitionKey, listIndex, listPartitionKey, listProjection, addressIndex, addressPartitionKey } = USERS_TABLE;
  const { administratorIndex, administratorPartitionKey } = USERS_TABLE;
  const users: CreateTableCommandInput = {
    TableName: names.usersTable,
    BillingMode: 'PAY_PER_REQUEST',
    AttributeDefinitions: [partitionKey, listPartitionKey, addressPartitionKey, administratorPartitionKey].map(text),
    KeySchema: [{ AttributeName: partitionKey, KeyType: 'HASH' }],
    GlobalSecondaryIndexes: [
      {
        IndexName: listIndex,
        KeySchema: [
          { AttributeName: listPartitionKey, KeyType: 'HASH' },
          { AttributeName: partitionKey, KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: [...listProjection] },
      },
      {
        IndexName: addressIndex,
        KeySchema: [
          { AttributeName: addressPartitionKey, KeyType: 'HASH' },
          { AttributeName: partitionKey, KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'KEYS_ONLY' },
      },
      {
        IndexName: administratorIndex,
        KeySchema: [
          { AttributeName: administratorPartitionKey, KeyType: 'HASH' },
          { AttributeName: partitionKey, KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'KEYS_ONLY' },
      },
    ],
  };
  const operations: CreateTableCommandInput = {
    TableName: names.operationsTable,
    BillingMode: 'PAY_PER_REQUEST',
    AttributeDefinitions: [text(OPERATIONS_TABLE.partitionKey), text(OPERATIONS_TABLE.sortKey)],
    KeySchema: [
      { AttributeName: OPERATIONS_TABLE.partitionKey, KeyType: 'HASH' },
      { AttributeName: OPERATIONS_TABLE.sortKey, KeyType: 'RANGE' },
    ],
  };
  const withStream = (StreamViewType: 'NEW_AND_OLD_IMAGES' | 'NEW_IMAGE') =>
    streams ? { StreamSpecification: { StreamEnabled: true, StreamViewType } } : {};
  await client.send(new CreateTableCommand({ ...users, ...withStream('NEW_AND_OLD_IMAGES') }));
  await client.send(new CreateTableCommand({ ...operations, ...withStream('NEW_IMAGE') }));
  return names;
}

function text(AttributeName: string) {
  return { AttributeName, AttributeType: 'S' as const };
}
