/** What AWS's services need to act for the stack, and what they are refused when a part of it is missing. */
import { expect, test } from 'vitest';
import { createAuthority } from '../../local/policy-authority.ts';
import { createServiceCalls } from '../../local/policy-service-calls.ts';
import { readPolicies } from '../../local/policy-template.ts';
import type { LocalFunction, ResolvedResource } from '../../local/template.ts';

const HERE = 'my-machine-1:000000000000';
const FUNCTION = `arn:aws:lambda:${HERE}:function:Sync`;
const QUEUE = `arn:aws:sqs:${HERE}:Failures`;
const ROLE = 'arn:aws:iam::000000000000:role/ScheduleRole';
const SOURCE = `arn:aws:execute-api:${HERE}:Http/$default/ANY/api/{proxy+}`;
const DUE = { arn: FUNCTION, roleArn: ROLE, input: '{}', deadLetterArn: QUEUE };

const allow = (Action: string | string[], Resource: string) => ({ Effect: 'Allow', Action, Resource });
const trust = (Service: string, Condition?: object) => ({
  Statement: { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service }, ...(Condition && { Condition }) },
});
const policy = (role: string, ...Statement: readonly object[]) => ({
  type: 'AWS::IAM::Policy',
  name: `${role}Policy`,
  properties: { Roles: [role], PolicyDocument: { Statement } },
});

/** Every permission that the services need, by a name under which a test can leave it out. */
const PARTS = {
  syncTrust: {
    type: 'AWS::IAM::Role',
    name: 'SyncRole',
    properties: { AssumeRolePolicyDocument: trust('lambda.amazonaws.com') },
  },
  log: policy('SyncRole', allow(['logs:CreateLogStream', 'logs:PutLogEvents'], `arn:aws:logs:${HERE}:log-group:Log:*`)),
  stream: policy('SyncRole', allow('dynamodb:*', `arn:aws:dynamodb:${HERE}:table/Users/stream/local`)),
  failedEvent: policy('SyncRole', allow('sqs:SendMessage', QUEUE)),
  scheduleTrust: {
    type: 'AWS::IAM::Role',
    name: 'ScheduleRole',
    properties: {
      AssumeRolePolicyDocument: trust('scheduler.amazonaws.com', {
        StringEquals: { 'aws:SourceAccount': '000000000000' },
      }),
    },
  },
  start: policy('ScheduleRole', allow('lambda:InvokeFunction', FUNCTION)),
  failedStart: policy('ScheduleRole', allow('sqs:SendMessage', QUEUE)),
  queue: { type: 'AWS::SQS::Queue', name: 'Failures', properties: {} },
  queuePolicy: {
    type: 'AWS::SQS::QueuePolicy',
    name: 'QueuePolicy',
    properties: {
      Queues: ['Failures'],
      PolicyDocument: {
        Statement: {
          Effect: 'Deny',
          Action: 'sqs:*',
          Principal: { AWS: '*' },
          Resource: QUEUE,
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        },
      },
    },
  },
  route: {
    type: 'AWS::Lambda::Permission',
    name: 'Permission',
    properties: {
      Action: 'lambda:InvokeFunction',
      FunctionName: FUNCTION,
      Principal: 'apigateway.amazonaws.com',
      SourceArn: `arn:aws:execute-api:${HERE}:Http/*/*/api/{proxy+}`,
    },
  },
} as const;

/** All questions, and which of them are refused without one of the parts. */
function refusedWithout(missing: keyof typeof PARTS | null, replaced: readonly object[] = []): string[] {
  const parts = Object.entries(PARTS)
    .filter(([name]) => name !== missing)
    .map(([, part]) => part);
  const resources = [...parts, ...replaced].map((part) => {
    const { type, name } = part as { type: string; name: string };
    const service = ({ 'AWS::IAM::Role': 'iam', 'AWS::SQS::Queue': 'sqs' } as Record<string, string>)[type];
    const place = service === 'iam' ? ':000000000000:role/' : `${HERE}:`;
    const arn = service === undefined ? name : `arn:aws:${service}:${place}${name}`;
    return { arn, ...part } as unknown as ResolvedResource;
  });
  const definition = { name: 'Sync', arn: FUNCTION, role: 'SyncRole', logGroup: 'Log' } as unknown as LocalFunction;
  const calls = createServiceCalls(createAuthority(readPolicies(resources)), [definition]);
  const answers = {
    role: calls.run('Sync').role,
    log: calls.run('Sync').log,
    route: calls.route({ routeKey: 'ANY /api/{proxy+}', functionName: 'Sync', sourceArn: SOURCE }),
    schedule: calls.schedule(DUE),
    failedStart: calls.failedStart(DUE),
    failedEvent: calls.failedEvent('Sync', QUEUE),
    stream: calls.stream('Sync', 'Users'),
  };
  return Object.entries(answers).flatMap(([name, refusal]) => (refusal === null ? [] : [name]));
}

test('with every part, the services may do all that they do for the stack', () => {
  expect(refusedWithout(null)).toEqual([]);
});

test.each([
  ['syncTrust', ['role']],
  ['log', ['log']],
  ['stream', ['stream']],
  ['failedEvent', ['failedEvent']],
  ['scheduleTrust', ['schedule']],
  ['start', ['schedule']],
  ['failedStart', ['failedStart']],
  ['route', ['route']],
] as const)('without %s, exactly what needs it is refused', (missing, refused) => {
  expect(refusedWithout(missing)).toEqual(refused);
});

test('a queue that denies everybody overrules the role', () => {
  const Statement = { Effect: 'Deny', Action: 'sqs:*', Principal: '*', Resource: QUEUE };
  const denial = {
    type: 'AWS::SQS::QueuePolicy',
    name: 'Denial',
    properties: { Queues: ['Failures'], PolicyDocument: { Statement } },
  };
  expect(refusedWithout(null, [denial])).toEqual(['failedStart', 'failedEvent']);
});
