/** What requests to DynamoDB ask of IAM: actions, resources and condition keys. */
import { expect, test } from 'vitest';
import { createDynamoDbReader, tableArn } from '../../local/policy-dynamodb.ts';

const read = createDynamoDbReader([
  {
    create: {
      TableName: 'Users',
      KeySchema: [{ AttributeName: 'nameKey', KeyType: 'HASH' }],
      AttributeDefinitions: [],
      GlobalSecondaryIndexes: [
        {
          IndexName: 'list',
          KeySchema: [
            { AttributeName: 'listShard', KeyType: 'HASH' },
            { AttributeName: 'nameKey', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      ],
    },
  },
  {
    create: {
      TableName: 'Operations',
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
      AttributeDefinitions: [],
    },
  },
]);

/** The calls as lines: action, table, and condition keys without their prefix. */
function summarize(operation: string, input: object) {
  return read(operation, input)?.map(({ action, resource, context }) => ({
    call: `${action} ${resource.replace(tableArn(''), '')}`,
    ...Object.fromEntries(Object.entries(context).map(([key, values]) => [key.split(':')[1], values.join(' ')])),
  }));
}

test('a read of a whole item names its key and no attribute', () => {
  expect(summarize('GetItem', { TableName: 'Users', Key: { nameKey: { S: 'ann' } } })).toEqual([
    { call: 'dynamodb:GetItem Users', LeadingKeys: 'ann', Select: 'ALL_ATTRIBUTES' },
  ]);
});

test('an update names every attribute that it sets, tests or removes, and no part of a path, value or function', () => {
  const input = {
    TableName: 'Operations',
    Key: { pk: { S: 'lease' }, sk: { S: 'sync' } },
    UpdateExpression: 'SET #token = #token + :one, stage = if_not_exists(stage, :s), a.b = :x REMOVE runId ADD n :one',
    ConditionExpression: 'attribute_not_exists(pk) OR (#map.#inner BETWEEN :a AND :b AND size (held) > :c)',
    ExpressionAttributeNames: { '#token': 'token', '#map': 'map', '#inner': 'inner' },
    ReturnValues: 'UPDATED_NEW',
  };
  expect(summarize('UpdateItem', input)).toEqual([
    {
      call: 'dynamodb:UpdateItem Operations',
      LeadingKeys: 'lease',
      Attributes: 'a held map n pk runId sk stage token',
      ReturnValues: 'UPDATED_NEW',
    },
  ]);
});

test('a query works on the table or on the index, whose own partition key is the leading key', () => {
  const query = (more: object) => summarize('Query', { ExpressionAttributeValues: { ':k': { S: '3' } }, ...more })![0];
  expect(query({ TableName: 'Users', IndexName: 'list', KeyConditionExpression: 'nameKey > :n AND listShard = :k' }))
    // In any order of the conditions.
    .toMatchObject({ call: 'dynamodb:Query Users/index/list', LeadingKeys: '3', Select: 'ALL_PROJECTED_ATTRIBUTES' });
  expect(
    query({
      TableName: 'Operations',
      KeyConditionExpression: '#p = :k',
      ExpressionAttributeNames: { '#p': 'pk' },
      ProjectionExpression: 'sk',
    }),
  ).toEqual({
    call: 'dynamodb:Query Operations',
    LeadingKeys: '3',
    Attributes: 'pk sk',
    Select: 'SPECIFIC_ATTRIBUTES',
  });
});

test('a scan has no leading key, so a condition on leading keys cannot limit it', () => {
  expect(summarize('Scan', { TableName: 'Users' })).toEqual([
    { call: 'dynamodb:Scan Users', Select: 'ALL_ATTRIBUTES' },
  ]);
});

test('a batch needs its own action on each table, for all keys in it', () => {
  const Keys = ['b', 'a', 'b'].map((pk, index) => ({ pk: { S: pk }, sk: { S: String(index) } }));
  expect(
    summarize('BatchGetItem', { RequestItems: { Users: { Keys: [{ nameKey: { S: 'ann' } }] }, Operations: { Keys } } }),
  ).toEqual([
    { call: 'dynamodb:BatchGetItem Users', LeadingKeys: 'ann', Select: 'ALL_ATTRIBUTES' },
    { call: 'dynamodb:BatchGetItem Operations', LeadingKeys: 'a b', Select: 'ALL_ATTRIBUTES' },
  ]);
  const writes = [
    { PutRequest: { Item: { pk: { S: 'p' }, sk: { S: 's' }, note: { S: '' } } } },
    { DeleteRequest: { Key: { pk: { S: 'd' }, sk: { S: 's' } } } },
  ];
  expect(summarize('BatchWriteItem', { RequestItems: { Operations: writes } })).toEqual([
    { call: 'dynamodb:BatchWriteItem Operations', LeadingKeys: 'd p', Attributes: 'note pk sk' },
  ]);
});

test('a transaction needs what its parts need, each for its own item', () => {
  const Key = { nameKey: { S: 'ann' } };
  const TransactItems = [
    { Put: { TableName: 'Users', Item: { ...Key, id: { S: '1' } } } },
    { Update: { TableName: 'Users', Key, UpdateExpression: 'SET dn = :dn' } },
    { Delete: { TableName: 'Operations', Key: { pk: { S: 'link#1' }, sk: { S: 'user' } } } },
    { ConditionCheck: { TableName: 'Users', Key, ConditionExpression: 'id = :id' } },
  ];
  expect(summarize('TransactWriteItems', { TransactItems })).toEqual(
    [
      { call: 'dynamodb:PutItem Users', LeadingKeys: 'ann', Attributes: 'id nameKey' },
      { call: 'dynamodb:UpdateItem Users', LeadingKeys: 'ann', Attributes: 'dn nameKey' },
      { call: 'dynamodb:DeleteItem Operations', LeadingKeys: 'link#1', Attributes: 'pk sk' },
      { call: 'dynamodb:ConditionCheckItem Users', LeadingKeys: 'ann', Attributes: 'id nameKey' },
    ].map((call) => ({ ...call, EnclosingOperation: 'TransactWriteItems' })),
  );
});

test('each PartiQL statement needs the action of its verb', () => {
  const [key, version] = [{ S: 'ann' }, { N: '2' }];
  const Statements = [
    { Statement: `INSERT INTO "Users" VALUE {'nameKey': ?, 'version': ?}`, Parameters: [key, version] },
    { Statement: 'DELETE FROM "Users" WHERE "nameKey" = ? AND "version" <= ?', Parameters: [key, version] },
  ];
  expect(summarize('BatchExecuteStatement', { Statements })).toEqual([
    { call: 'dynamodb:PartiQLInsert Users', LeadingKeys: 'ann', Attributes: 'nameKey version' },
    { call: 'dynamodb:PartiQLDelete Users', LeadingKeys: 'ann', Attributes: 'nameKey version' },
  ]);
});

test.each([
  ['an unknown operation', 'UpdateTable', { TableName: 'Users' }],
  ['a statement of another kind', 'BatchExecuteStatement', { Statements: [{ Statement: 'SELECT * FROM "Users"' }] }],
  [
    'a statement with a value in its text',
    'BatchExecuteStatement',
    {
      Statements: [
        {
          Statement: `DELETE FROM "Users" WHERE "nameKey" = 'ann' OR "version" = ?`,
          Parameters: [{ N: '1' }, { N: '2' }],
        },
      ],
    },
  ],
  [
    'a statement that reaches more than one key',
    'BatchExecuteStatement',
    {
      Statements: [
        { Statement: 'DELETE FROM "Users" WHERE "nameKey" = ? OR "version" = ?', Parameters: [{ S: 'a' }, { N: '2' }] },
      ],
    },
  ],
])('%s is not guessed at', (_what, operation, input) => {
  expect(read(operation, input)).toBeNull();
});
