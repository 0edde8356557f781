/** Tests what a deployment may give as context: its keys, its values, its stage. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { CONTEXT_KEYS } from '../../cdk/context-key.ts';
import { SUPPORTED_REGIONS } from '../../cdk/region.ts';
import { synthesize } from './templates/check.ts';
import { ADOPTED, COMBINATIONS } from './templates/combination.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

test.each([
  [{ authReservedConcurrency: 0 }, 'authReservedConcurrency'],
  [{ authReservedConcurrency: '2.5' }, 'authReservedConcurrency'],
  [{ authReservedConcurrency: 'many' }, 'authReservedConcurrency'],
  [{ clientAddressHeader: 'x forwarded for' }, 'clientAddressHeader'],
  [{ clientAddressHeader: 'X-Forwarded-For: 1' }, 'clientAddressHeader'],
  [{ clientAddressHeader: 'Forwarded' }, 'clientAddressHeader'],
  [{ clientAddressHeader: 'X-Rollcall-Proxy-Secret' }, 'clientAddressHeader'],
  [{ deletionProtection: 'yes' }, 'deletionProtection'],
  [{ stage: 'Test' }, 'stage'],
  [{ stage: '1st' }, 'stage'],
  [{ stage: 'test-' }, 'stage'],
  [{ stage: 'a.b' }, 'stage'],
  [{ stage: 'x'.repeat(21) }, 'stage'],
  [{ settingsSecretArn: 'DataSettings' }, 'settingsSecretArn'],
  [{ settingsSecretArn: ADOPTED.settingsSecretArn.slice(0, -7) }, 'settingsSecretArn'],
  [{ usersTableName: ADOPTED.usersTableName }, 'usersTableStreamArn'],
  [{ usersTableStreamArn: ADOPTED.usersTableStreamArn, usersTableName: 'Another' }, 'usersTableStreamArn'],
  [{ operationsTableName: 'o', operationsTableStreamArn: 'arn' }, 'operationsTableName'],
])('the context %j is refused', (context, name) => {
  expect(() => synthesize(context)).toThrow(new RegExp(`^invalid context: ${name}: must `));
});

test('invalid context is refused, with all faults at once', () => {
  const context = { alarmEmial: 'a@b', alarmEmail: 'nobody', logRetentionDays: 8, logLevel: 'loud', vpcId: 'vpc-1' };

  expect(() => synthesize(context)).toThrow(/alarmEmial.*alarmEmail.*logRetentionDays.*logLevel.*subnetIds/);
});

test('the app ends with the faults alone, without a stack trace', () => {
  const env = { ...process.env, CDK_CONTEXT_JSON: JSON.stringify({ alarmEmial: 'a@b', stage: 'T' }) };
  const { status, stderr } = spawnSync(process.execPath, ['cdk/app.ts'], { cwd: ROOT, env, encoding: 'utf8' });

  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringMatching(/^invalid context: alarmEmial: [^\n]+ alarmEmail\?; stage: must [^\n]+\n$/),
  });
});

test.each([
  ['alarmEmial', 'alarmEmail'],
  ['AlarmEmail', 'alarmEmail'],
  ['alarm-email', 'alarmEmail'],
  ['logRetention', 'logRetentionDays'],
  ['vpcid', 'vpcId'],
  ['subnets', 'subnetIds'],
  ['userTableName', 'usersTableName'],
  ['operationTableStreamArn', 'operationsTableStreamArn'],
  ['stages', 'stage'],
])('the misspelt key %s is refused, and %s is suggested', (key, name) => {
  expect(() => synthesize({ [key]: 'value' })).toThrow(`invalid context: ${key}: unknown, did you mean ${name}?`);
});

test('a key that resembles none of ours is refused with a list of those there are', () => {
  expect(() => synthesize({ environment: 'value' })).toThrow(
    /^invalid context: environment: unknown, the keys are stage, alarmEmail, /,
  );
});

test('a key of an earlier release is refused with what to do instead', () => {
  expect(() => synthesize({ syncIntervalMinutes: 60 })).toThrow(
    /^invalid context: syncIntervalMinutes: no longer needed, leave it out: .* follows the schedule in the settings$/,
  );
});

test('the keys of the CDK are its own', () => {
  const ofCdk = {
    '@aws-cdk/aws-iam:minimizePolicies': true,
    'aws:cdk:enable-path-metadata': true,
    'aws-cdk:enableDiffNoFail': true,
    'availability-zones:account=123456789012:region=eu-central-1': ['eu-central-1a'],
    'acknowledged-issue-numbers': [12345],
    'cdk-migrate': false,
  };
  expect(synthesize(ofCdk).stackName).toBe('Rollcall');
});

test('every key is in the documents, and at least one combination uses it', () => {
  const used = COMBINATIONS.flatMap(({ context }) => Object.keys(context));
  for (const key of CONTEXT_KEYS) {
    expect(read('cdk/stack.ts')).toContain(`\`${key}\``);
    expect(read('docs/deploying.md')).toContain(`\`${key}\``);
    expect(used).toContain(key);
  }
});

test('two stages stand side by side: no name of one is a name of the other', () => {
  const namesOf = (stage: string): string[] => {
    const { template } = synthesize({ stage });
    return Object.entries(template.Resources).flatMap(([id, { Properties = {} }]) =>
      Object.entries(Properties)
        // Names within a role, an API, a namespace or an e-mail. All others are names in the account.
        .filter(([name]) => name.endsWith('Name') && !/^(?:Policy|Stage|Metric|Display)Name$/.test(name))
        .map(([name, value]) => `${id} ${name} ${JSON.stringify(value)}`),
    );
  };
  const [one, other] = [namesOf('one'), namesOf('other')];

  expect(one.filter((name) => name.includes('Rollcall-one')).length).toBeGreaterThanOrEqual(2);
  // What refers to another resource is the name of that one.
  expect(one.filter((name) => other.includes(name) && !/ \{"(?:Ref|Fn::GetAtt)":/.test(name))).toEqual([]);
});

test('the access log has a name that API Gateway may write to without a line of its own, new for each stack', () => {
  const { template } = synthesize({ stage: 'test' });

  const stackId = { 'Fn::Select': [2, { 'Fn::Split': ['/', { Ref: 'AWS::StackId' }] }] };
  Template.fromJSON(template).hasResourceProperties('AWS::Logs::LogGroup', {
    LogGroupName: { 'Fn::Join': ['', ['/aws/vendedlogs/Rollcall-test/api-access-', stackId]] },
    RetentionInDays: 30,
  });
});

test('stacks and their APIs are named after the stage', () => {
  const { stackName, template } = synthesize({ stage: 'test' });

  expect(stackName).toBe('Rollcall-test');
  Template.fromJSON(template).hasResourceProperties('AWS::ApiGatewayV2::Api', { Name: 'Rollcall-test' });
});

test('a synthesis for a region without all services warns, and one for others or none does not', () => {
  const warningsIn = (region: string | undefined): readonly string[] => {
    const before = process.env.CDK_DEFAULT_REGION;
    try {
      if (region === undefined) delete process.env.CDK_DEFAULT_REGION;
      else process.env.CDK_DEFAULT_REGION = region;
      return synthesize({}).warnings;
    } finally {
      if (before === undefined) delete process.env.CDK_DEFAULT_REGION;
      else process.env.CDK_DEFAULT_REGION = before;
    }
  };

  expect(warningsIn('ap-east-2')).toEqual([expect.stringContaining('ap-east-2 is not among the regions')]);
  expect(warningsIn('eu-central-1')).toEqual([]);
  expect(warningsIn(undefined)).toEqual([]);
});

test('the documents list the supported regions', () => {
  const page = read('docs/deploying.md');
  expect([...page.matchAll(/^`[a-z]+-[^]+?\.$/gm)].join('').match(/(?<=`)[a-z0-9-]+(?=`)/g)).toEqual(SUPPORTED_REGIONS);
});
