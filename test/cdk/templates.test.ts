/** Tests that no combination of context gives a template that AWS would refuse, and that the checks find faults. */
import { expect, test } from 'vitest';
import {
  findTemplateFaults,
  QUOTAS,
  synthesize,
  type StackTemplate,
  type TemplateResource,
} from './templates/check.ts';
import { COMBINATIONS } from './templates/combination.ts';

test('there are enough combinations, and no two are the same', () => {
  expect(COMBINATIONS.length).toBeGreaterThanOrEqual(6);
  expect(new Set(COMBINATIONS.map(({ context }) => JSON.stringify(context))).size).toBe(COMBINATIONS.length);
});

test.each(COMBINATIONS)('$name: the template passes cdk-nag and the checks, without a warning', ({ context }) => {
  const { template, warnings } = synthesize(context);

  expect(Object.keys(template.Resources).length).toBeGreaterThan(50);
  expect([...findTemplateFaults(template), ...warnings]).toEqual([]);
});

function faultsWith(resource: TemplateResource, rest: Partial<StackTemplate> = {}): string[] {
  return findTemplateFaults({ Resources: { Planted: resource }, ...rest });
}

const policy = (statement: object): TemplateResource => ({
  Type: 'AWS::IAM::Policy',
  Properties: { Roles: ['Role'], PolicyDocument: { Statement: [{ Effect: 'Allow', ...statement }] } },
});

test.each([
  ['Ref', { Type: 'A', Properties: { Name: { Ref: 'Gone' } } }],
  ['Fn::GetAtt', { Type: 'A', Properties: { Names: [{ 'Fn::GetAtt': ['Gone', 'Arn'] }] } }],
  ['Fn::Sub', { Type: 'A', Properties: { Name: { 'Fn::Sub': '${AWS::Region}-${Gone.Arn}-${!Literal}' } } }],
  ['Fn::Sub with variables', { Type: 'A', Properties: { Name: { 'Fn::Sub': ['${a}', { a: { Ref: 'Gone' } }] } } }],
  ['DependsOn', { Type: 'A', DependsOn: ['Planted', 'Gone'] }],
])('a dangling %s is found', (_name, resource) => {
  expect(faultsWith(resource)).toEqual(['Planted refers to Gone, which does not exist']);
});

test('a dangling reference of an output is found', () => {
  expect(faultsWith({ Type: 'A' }, { Outputs: { Planted: { Value: { Ref: 'Gone' } } } })).toEqual([
    'Planted refers to Gone, which does not exist',
  ]);
});

test('a reference to a resource, a parameter or a pseudo parameter is none', () => {
  const Properties = { Names: [{ Ref: 'Planted' }, { Ref: 'Given' }, { Ref: 'AWS::Region' }] };
  expect(faultsWith({ Type: 'A', Properties }, { Parameters: { Given: {} } })).toEqual([]);
});

test.each([
  [policy({ Action: '*', Resource: 'arn' }), 'allows all actions'],
  [policy({ Action: ['s3:GetObject', 'dynamodb:*'], Resource: 'arn' }), 'allows all actions'],
  [policy({ Action: 'dynamodb:GetItem', Resource: '*' }), 'allows actions on all resources'],
  [policy({ Action: 'sns:Publish', Resource: 'arn', Principal: '*' }), 'lets in everybody'],
  [policy({ Action: 'sns:Publish', Resource: 'arn', Principal: { AWS: ['*'] } }), 'lets in everybody'],
  [{ Type: 'AWS::Lambda::Permission', Properties: { Principal: '*' } }, 'lets everybody invoke'],
  [{ Type: 'AWS::Lambda::Permission', Properties: { Principal: 'apigateway.amazonaws.com' } }, 'lets everybody invoke'],
  [{ Type: 'AWS::Lambda::Url' }, 'an address of its own'],
  [policy({ Action: 'a:b', Resource: 'x'.repeat(QUOTAS.rolePolicyCharacters) }), 'above the quota'],
  [
    { Type: 'AWS::Lambda::Function', Properties: { Environment: { LONG: 'x'.repeat(QUOTAS.environmentBytes) } } },
    'above the quota',
  ],
  [{ Type: 'A', Properties: { Text: 'x'.repeat(QUOTAS.templateBytes) } }, 'above the quota'],
])('a template with %j is refused: %s', (resource, fault) => {
  expect(faultsWith(resource)).toEqual([expect.stringContaining(fault)]);
});

test('too many resources and outputs are found', () => {
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_value, at) => [`N${at}`, { Type: 'A' }]));

  expect(findTemplateFaults({ Resources: many(501), Outputs: many(201) })).toEqual([
    'the resources: 501, above the quota of 500',
    'the outputs: 201, above the quota of 200',
  ]);
  expect(findTemplateFaults({ Resources: many(500), Outputs: many(200) })).toEqual([]);
});

test('a Deny for everybody is no open door', () => {
  expect(faultsWith(policy({ Effect: 'Deny', Principal: '*', Action: '*', Resource: '*' }))).toEqual([]);
});
