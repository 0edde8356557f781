/** The policy language, by the rules of IAM's documentation. */
import { describe, expect, test } from 'vitest';
import { evaluate, readStatements, type Call, type RequestContext } from '../../local/policy-language.ts';

const TABLE = 'arn:aws:dynamodb:my-machine-1:000000000000:table/Operations';
const READ = { Effect: 'Allow', Action: 'dynamodb:GetItem', Resource: TABLE };

function decide(statements: readonly object[], call: Partial<Call> = {}) {
  return evaluate(readStatements({ Statement: statements }, 'of a test'), {
    action: 'dynamodb:GetItem',
    resource: TABLE,
    context: {},
    ...call,
  });
}

/** Whether one condition lets a request with this context pass. */
function holds(condition: object, context: RequestContext): boolean {
  return decide([{ ...READ, Condition: condition }], { context }) === 'allow';
}

describe('statements', () => {
  test('what no statement speaks of is denied', () => {
    expect(decide([])).toBe('implicitDeny');
    expect(decide([READ], { action: 'dynamodb:PutItem' })).toBe('implicitDeny');
    expect(decide([READ], { resource: `${TABLE}/index/list` })).toBe('implicitDeny');
    expect(decide([READ])).toBe('allow');
  });

  test('a Deny wins, wherever it stands', () => {
    const deny = { Effect: 'Deny', Action: 'dynamodb:*', Resource: '*' };
    expect(decide([deny, READ])).toBe('explicitDeny');
    expect(decide([READ, deny])).toBe('explicitDeny');
    expect(decide([READ, { ...deny, Action: 's3:*' }])).toBe('allow');
  });

  test('any action and any resource of a list will do, in any pairing', () => {
    const both = { ...READ, Action: ['dynamodb:Query', 'dynamodb:GetItem'], Resource: ['arn:aws:s3:::x', TABLE] };
    expect(decide([both])).toBe('allow');
    expect(decide([both], { action: 'dynamodb:Query', resource: 'arn:aws:s3:::x' })).toBe('allow');
  });

  test('wildcards stand for any text and for one character, and for nothing else that is special elsewhere', () => {
    const on = (pattern: string, resource: string) => decide([{ ...READ, Resource: pattern }], { resource });
    expect(on('arn:aws:s3:::a*c', 'arn:aws:s3:::a/b\n/c')).toBe('allow');
    expect(on('arn:aws:s3:::a?c', 'arn:aws:s3:::abc')).toBe('allow');
    expect(on('arn:aws:s3:::a?c', 'arn:aws:s3:::ac')).toBe('implicitDeny');
    expect(on('arn:aws:s3:::a.*', 'arn:aws:s3:::abc')).toBe('implicitDeny');
    expect(on('arn:aws:s3:::a*', 'xarn:aws:s3:::abc')).toBe('implicitDeny');
  });

  test('actions compare without regard to case, resources with it', () => {
    expect(decide([{ ...READ, Action: 'DynamoDB:getitem' }])).toBe('allow');
    expect(decide([{ ...READ, Resource: TABLE.toLowerCase() }])).toBe('implicitDeny');
  });
});

describe('conditions', () => {
  test('one value must match, and an absent key matches none', () => {
    const condition = { StringEquals: { 'iam:PassedToService': ['a', 'b'] } };
    expect(holds(condition, { 'iam:PassedToService': ['b'] })).toBe(true);
    expect(holds(condition, { 'iam:PassedToService': ['B'] })).toBe(false);
    expect(holds(condition, {})).toBe(false);
  });

  test('IfExists holds for an absent key, and tests a present one', () => {
    const condition = { StringEqualsIfExists: { 'dynamodb:Select': 'SPECIFIC_ATTRIBUTES' } };
    expect(holds(condition, {})).toBe(true);
    expect(holds(condition, { 'dynamodb:Select': ['SPECIFIC_ATTRIBUTES'] })).toBe(true);
    expect(holds(condition, { 'dynamodb:Select': ['ALL_ATTRIBUTES'] })).toBe(false);
  });

  test('every key of every operator must hold', () => {
    const condition = {
      StringEquals: { 'iam:PassedToService': 'a', 'aws:SourceAccount': '1' },
      ArnLike: { 'aws:SourceArn': 'arn:*/api/*' },
    };
    const context = { 'iam:PassedToService': ['a'], 'aws:SourceAccount': ['1'], 'aws:SourceArn': ['arn:x/api/y'] };
    expect(holds(condition, context)).toBe(true);
    for (const key of Object.keys(context)) expect(holds(condition, { ...context, [key]: ['z'] })).toBe(false);
  });

  test('ForAllValues holds if each value of the request is among the policy’s, and if the request has none', () => {
    const condition = { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['run', 'link#*'] } };
    expect(holds(condition, { 'dynamodb:LeadingKeys': ['run', 'link#a'] })).toBe(true);
    expect(holds(condition, { 'dynamodb:LeadingKeys': ['run', 'session#a'] })).toBe(false);
    expect(holds(condition, {})).toBe(true);
    const exact = { 'ForAllValues:StringEquals': { 'dynamodb:Attributes': ['nameKey', '*'] } };
    expect(holds(exact, { 'dynamodb:Attributes': ['nameKey'] })).toBe(true);
    expect(holds(exact, { 'dynamodb:Attributes': ['nameKey', 'id'] })).toBe(false);
  });

  test('ForAnyValue holds if one value of the request is among the policy’s, and not if the request has none', () => {
    const condition = { 'ForAnyValue:StringEquals': { 'dynamodb:EnclosingOperation': ['TransactWriteItems'] } };
    expect(holds(condition, { 'dynamodb:EnclosingOperation': ['TransactWriteItems'] })).toBe(true);
    expect(holds(condition, {})).toBe(false);
  });

  test('a Deny without TLS leaves requests with TLS alone', () => {
    const insecure = { ...READ, Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } };
    expect(decide([READ, insecure], { context: { 'aws:SecureTransport': ['false'] } })).toBe('explicitDeny');
    expect(decide([READ, insecure], { context: { 'aws:SecureTransport': ['true'] } })).toBe('allow');
  });
});

describe('policies of resources', () => {
  const document = {
    Statement: [
      { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'lambda.amazonaws.com' } },
      { Effect: 'Deny', Action: 'sqs:*', Resource: '*', Principal: { AWS: '*' } },
    ],
  };
  const ask = (action: string, principal: Parameters<typeof evaluate>[2]) =>
    evaluate(readStatements(document, 'of a test'), { action, resource: TABLE, context: {} }, principal);

  test('speak of the principals that they name', () => {
    expect(ask('sts:AssumeRole', { service: 'lambda.amazonaws.com' })).toBe('allow');
    expect(ask('sts:AssumeRole', { service: 'scheduler.amazonaws.com' })).toBe('implicitDeny');
    expect(ask('sqs:SendMessage', { arn: 'arn:aws:iam::000000000000:role/Any' })).toBe('explicitDeny');
  });
});

test.each([
  ['the element NotAction', { ...READ, NotAction: 'dynamodb:Scan' }],
  ['the operator StringNotEquals', { ...READ, Condition: { StringNotEquals: { 'aws:SourceArn': 'a' } } }],
  ['the condition key aws:SourceIp', { ...READ, Condition: { StringEquals: { 'aws:SourceIp': '10.0.0.1' } } }],
])('a policy with %s is refused instead of being misread', (what, statement) => {
  expect(() => readStatements({ Statement: [statement] }, 'of a test')).toThrow(`the policy of a test uses ${what},`);
});
