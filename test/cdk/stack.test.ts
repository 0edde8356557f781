/** Tests the template that the stack synthesizes. Skips bundling: the tests of the local program run the bundles. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { afterAll, expect, test } from 'vitest';
import { addRollcall } from '../../cdk/stack.ts';
import { ENVIRONMENT, OPERATIONS_PREFIX, PASSWORD_ROUTES, USERS_TABLE } from '../../lib/aws/environment.ts';
import { evaluate, readStatements } from '../../local/policy-language.ts';

interface Statement {
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string[]>>>>;
}

interface Resource {
  readonly Properties: Readonly<Record<string, unknown>>;
}

const folder = mkdtempSync(path.join(tmpdir(), 'rollcall-cdk-'));
afterAll(() => rmSync(folder, { recursive: true }));

function synthesize(context: Record<string, unknown> = {}): Template {
  const outdir = mkdtempSync(path.join(folder, 'cdk.out-'));
  const app = new App({
    outdir,
    context: { 'aws:cdk:bundling-stacks': [], '@aws-cdk/core:validateAgainstDefaultRules': true, ...context },
  });
  const stack = addRollcall(app);
  app.synth();
  return Template.fromStack(stack);
}

/** As deployed without any context. */
const template = synthesize();

function properties(template: Template, type: string): Readonly<Record<string, unknown>>[] {
  return Object.values(template.findResources(type) as Record<string, Resource>).map((resource) => resource.Properties);
}

/** The statements of the role of one construct, such as `Auth`. */
function statements(template: Template, construct: string): Statement[] {
  return Object.entries(template.findResources('AWS::IAM::Policy') as Record<string, Resource>)
    .filter(([id]) => id.startsWith(construct))
    .flatMap(([, { Properties }]) => (Properties.PolicyDocument as { Statement: Statement[] }).Statement);
}

function actions(template: Template, construct: string, resource: string): string[] {
  return statements(template, construct)
    .filter((statement) => JSON.stringify(statement.Resource).includes(resource))
    .flatMap((statement) => statement.Action);
}

test('the users can be restored to any second, and are found by list, by address and as administrators', () => {
  template.hasResource('AWS::DynamoDB::Table', {
    Properties: {
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      KeySchema: [{ AttributeName: 'nameKey', KeyType: 'HASH' }],
      GlobalSecondaryIndexes: [
        {
          IndexName: 'list',
          KeySchema: [
            { AttributeName: 'listShard', KeyType: 'HASH' },
            { AttributeName: 'nameKey', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: USERS_TABLE.listProjection },
        },
        {
          IndexName: 'address',
          KeySchema: [
            { AttributeName: 'addressKey', KeyType: 'HASH' },
            { AttributeName: 'nameKey', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
        {
          IndexName: 'administrator',
          KeySchema: [
            { AttributeName: 'administrator', KeyType: 'HASH' },
            { AttributeName: 'nameKey', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      ],
    },
  });
});

test('settings begin as the empty document and the first password is generated', () => {
  template.hasResourceProperties('AWS::SecretsManager::Secret', { SecretString: '{}' });
  template.hasResourceProperties('AWS::SecretsManager::Secret', {
    GenerateSecretString: {
      GenerateStringKey: 'password',
      PasswordLength: 32,
      SecretStringTemplate: '{"userName":"admin"}',
    },
  });
});

test('every function runs Node 24 on ARM, logs JSON into a group of its own that forgets', () => {
  const weekly = synthesize({ logRetentionDays: '7' });

  const functions = properties(weekly, 'AWS::Lambda::Function');
  const groups = functions.map(({ LoggingConfig }) => (LoggingConfig as { LogGroup: { Ref: string } }).LogGroup.Ref);
  expect(functions).toHaveLength(6);
  expect(new Set(groups).size).toBe(6);
  for (const properties of functions) {
    expect(properties).toMatchObject({
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      LoggingConfig: { LogFormat: 'JSON' },
    });
  }
  weekly.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 7 });
});

test('every function has a bundle of its own, with everything in it and its handler exported', () => {
  const bundled = synthesize({ 'aws:cdk:bundling-stacks': ['**'] });

  const keys = properties(bundled, 'AWS::Lambda::Function').map(({ Code }) => (Code as { S3Key: string }).S3Key);
  const bundles = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('index.mjs'),
  );
  expect(new Set(keys).size).toBe(6);
  expect(bundles).toHaveLength(6);
  for (const bundle of bundles.map((name) => readFileSync(path.join(folder, name), 'utf8'))) {
    const imports = [...bundle.matchAll(/\bfrom\s*"([\w@/:.-]+)"/g)].map((match) => match[1] ?? '');
    expect(imports.filter((name) => !isBuiltin(name))).toEqual([]);
    // A boolean, because a failure would print the whole bundle.
    expect(/export\s*\{[^}]*\bas handler\b/.test(bundle)).toBe(true);
  }
});

test('every function is told only names that its code reads', () => {
  const known = [...Object.values(ENVIRONMENT), 'POWERTOOLS_SERVICE_NAME', 'NODE_OPTIONS'];
  for (const { Environment } of properties(template, 'AWS::Lambda::Function')) {
    expect(known).toEqual(expect.arrayContaining(Object.keys((Environment as { Variables: object }).Variables)));
  }
});

test('no role has a managed policy, a wildcard action or a wildcard resource', () => {
  for (const role of properties(template, 'AWS::IAM::Role')) expect(role).not.toHaveProperty('ManagedPolicyArns');
  for (const { Action, Resource } of ['Sync', 'Watch', 'Auth', 'Api', 'Console', 'Events'].flatMap((name) =>
    statements(template, name),
  )) {
    expect(JSON.stringify([Action, Resource])).not.toContain('*');
  }
});

test('a login can neither make nor delete a user, and may change of one only what a login changes', () => {
  const ofUsers = statements(template, 'Auth').filter(({ Resource }) => JSON.stringify(Resource).includes('DataUsers'));
  expect(ofUsers.map(({ Action, Condition }) => [Action, Condition])).toEqual([
    ['dynamodb:BatchGetItem', undefined],
    [
      'dynamodb:UpdateItem',
      {
        'ForAllValues:StringEquals': {
          'dynamodb:Attributes': ['nameKey', 'linkKey', 'dn', 'missingSince', 'fingerprint', 'updatedAt', 'version'],
        },
      },
    ],
  ]);
});

test('a login counts attempts and claims directory ids, and reaches nothing else of the operations', () => {
  const ofOperations = statements(template, 'Auth').filter(({ Resource }) =>
    JSON.stringify(Resource).includes('DataOperations'),
  );
  const only = (prefix: string) => ({ 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [`${prefix}*`] } });
  expect(ofOperations.map(({ Action, Condition }) => [Action, Condition])).toEqual([
    [['dynamodb:BatchGetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem'], only('attempts#')],
    ['dynamodb:PutItem', only('link#')],
  ]);
});

test('runs and administrators look for another administrator in an index, and only the API may scan the users', () => {
  const all = ['Sync', 'Auth', 'Api', 'Events', 'Watch', 'Console'];
  const readers = all.filter((name) =>
    JSON.stringify(statements(template, name)).includes(`/index/${USERS_TABLE.administratorIndex}`),
  );

  expect(readers).toEqual(['Sync', 'Api']);
  expect(all.filter((name) => JSON.stringify(statements(template, name)).includes('dynamodb:Scan'))).toEqual(['Api']);
});

test('whoever writes users writes the items of their addresses, and only the API searches by address', () => {
  const readers = ['Sync', 'Auth', 'Api'].filter((name) =>
    JSON.stringify(statements(template, name)).includes(`/index/${USERS_TABLE.addressIndex}`),
  );
  expect(readers).toEqual(['Api']);
  for (const name of ['Sync', 'Api']) {
    expect(actions(template, name, 'DataUsers')).toEqual(
      expect.arrayContaining(['Insert', 'Delete'].map((kind) => `dynamodb:PartiQL${kind}`)),
    );
    expect(actions(template, name, 'DataUsers')).toContain('dynamodb:PutItem');
  }
});

test('a transaction that writes users may do all that it consists of, in these partitions and no others', () => {
  const partitionsOf = (name: string, action: string): string[] =>
    statements(template, name)
      .filter(({ Action, Resource }) => {
        return [Action].flat().includes(action) && /"DataOperations\w+","Arn"/.test(JSON.stringify(Resource));
      })
      .flatMap(({ Condition }) => Condition?.['ForAllValues:StringLike']?.['dynamodb:LeadingKeys'] ?? [])
      .sort();
  const written = ['changes#*', 'lease', 'lease#*', 'link#*', 'renamed#*', 'run'];
  for (const action of ['PutItem', 'DeleteItem', 'UpdateItem', 'ConditionCheckItem', 'GetItem', 'Query']) {
    expect(partitionsOf('Sync', `dynamodb:${action}`)).toEqual([...written, 'approval', 'guard'].sort());
  }
  for (const action of ['PutItem', 'DeleteItem', 'UpdateItem', 'GetItem', 'Query']) {
    expect(partitionsOf('Api', `dynamodb:${action}`)).toEqual(
      [...written, 'approval', 'attempts#*', 'session#*', 'settings'].sort(),
    );
  }
  expect(partitionsOf('Api', 'dynamodb:BatchWriteItem')).toEqual(['approval']);
  for (const name of ['Sync', 'Api']) {
    expect(actions(template, name, 'DataUsers')).toEqual(
      expect.arrayContaining(['dynamodb:PutItem', 'dynamodb:DeleteItem']),
    );
  }
  // Only the API checks a user that it does not write: another administrator.
  expect(actions(template, 'Api', 'DataUsers')).toContain('dynamodb:ConditionCheckItem');
  expect(actions(template, 'Sync', 'DataUsers')).not.toContain('dynamodb:ConditionCheckItem');
});

test('events come from users and finished runs alone, are retried as long as the stream lasts, and then kept', () => {
  const streams = properties(template, 'AWS::DynamoDB::Table').map(({ StreamSpecification }) => StreamSpecification);
  const mappings = properties(template, 'AWS::Lambda::EventSourceMapping');

  expect(streams).toEqual([{ StreamViewType: 'NEW_AND_OLD_IMAGES' }, { StreamViewType: 'NEW_IMAGE' }]);
  expect(mappings).toHaveLength(2);
  for (const mapping of mappings) {
    expect(mapping).toMatchObject({
      BisectBatchOnFunctionError: true,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      MaximumRecordAgeInSeconds: 23 * 60 * 60,
      DestinationConfig: {
        OnFailure: { Destination: { 'Fn::GetAtt': [expect.stringMatching(/^EventsFailures/), 'Arn'] } },
      },
      StartingPosition: 'TRIM_HORIZON',
    });
    expect(mapping).not.toHaveProperty('MaximumRetryAttempts');
  }
  const patterns = mappings.map(({ FilterCriteria }) =>
    (FilterCriteria as { Filters: { Pattern: string }[] }).Filters.map(({ Pattern }) => JSON.parse(Pattern) as unknown),
  );
  const isUser = { listShard: { S: [{ exists: true }] } };
  expect(patterns).toEqual([
    [{ dynamodb: { NewImage: isUser } }, { dynamodb: { OldImage: isUser } }],
    [
      {
        dynamodb: {
          Keys: { pk: { S: ['run'] } },
          NewImage: { stage: { S: ['finished'] } },
        },
      },
    ],
  ]);
});

test('the events function reads streams and rename marks, and writes only to the bus and its queue', () => {
  expect(actions(template, 'Events', 'EventsBus')).toEqual(['events:PutEvents']);
  expect(actions(template, 'Events', 'EventsFailures')).toContain('sqs:SendMessage');
  expect(statements(template, 'Events')).toContainEqual({
    Effect: 'Allow',
    Action: 'dynamodb:BatchGetItem',
    Resource: { 'Fn::GetAtt': [expect.stringMatching(/^DataOperations/), 'Arn'] },
    Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [`${OPERATIONS_PREFIX.renamed}*`] } },
  });
  const rest = statements(template, 'Events').filter(({ Resource }) => JSON.stringify(Resource).includes('StreamArn'));
  for (const { Action } of rest)
    expect([Action].flat().every((action) => /Stream|Records|Shard/.test(action))).toBe(true);
  expect(actions(template, 'Events', 'DataUsers')).toEqual(rest[0]?.Action);
  expect(actions(template, 'Events', 'DataSettings')).toEqual([]);
});

test('only the API reads the first password, writes settings and starts runs', () => {
  for (const name of ['Sync', 'Watch', 'Auth']) {
    expect(actions(template, name, 'DataAdministrator')).toEqual([]);
    expect(actions(template, name, 'DataSettings')).toEqual(['secretsmanager:GetSecretValue']);
  }
  expect(actions(template, 'Watch', 'SyncFunction')).toEqual([]);
  expect(actions(template, 'Auth', 'SyncFunction')).toEqual([]);
  expect(actions(template, 'Api', 'SyncFunction')).toContain('lambda:InvokeFunction');
});

test('the API and the watch set the schedule named sync, pass on its role to Scheduler, and nobody else does', () => {
  const ofSchedules = (name: string) =>
    statements(template, name).filter(({ Action }) => /scheduler:|iam:/.test(JSON.stringify(Action)));

  for (const name of ['Api', 'Watch']) {
    const [schedule, role, ...others] = ofSchedules(name);
    expect(schedule?.Action).toEqual(['Get', 'Create', 'Update'].map((act) => `scheduler:${act}Schedule`));
    expect(JSON.stringify(schedule?.Resource)).toMatch(/:schedule\/",\{"Ref":"SyncScheduleGroup\w*"\},"\/sync"\]\]\}$/);
    expect(role).toMatchObject({
      Action: 'iam:PassRole',
      Resource: { 'Fn::GetAtt': [expect.stringMatching(/^SyncScheduleRole/), 'Arn'] },
      Condition: { StringEquals: { 'iam:PassedToService': 'scheduler.amazonaws.com' } },
    });
    expect(others).toEqual([]);
  }
  for (const name of ['Sync', 'Auth', 'Console', 'Events']) expect(ofSchedules(name)).toEqual([]);
});

test('the pages have addresses of their own, and their function may write its log and nothing else', () => {
  expect(statements(template, 'Console').map(({ Action }) => Action)).toEqual([
    ['logs:CreateLogStream', 'logs:PutLogEvents'],
  ]);
  for (const RouteKey of ['ANY /api/docs', 'ANY /api/docs/{file}']) {
    template.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey });
  }
});

test('a deployment owns the schedule of the watch, and of the synchronisation only the group', () => {
  template.resourceCountIs('AWS::Scheduler::ScheduleGroup', 1);
  template.resourceCountIs('AWS::Scheduler::Schedule', 1);
  template.hasResourceProperties('AWS::Scheduler::Schedule', {
    State: 'ENABLED',
    ScheduleExpression: 'rate(5 minutes)',
    FlexibleTimeWindow: { Mode: 'OFF' },
    Target: {
      Arn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^WatchFunction'), 'Arn'] },
      RoleArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^WatchScheduleRole'), 'Arn'] },
      RetryPolicy: { MaximumRetryAttempts: 0 },
    },
  });
  expect(actions(template, 'WatchScheduleRole', 'WatchFunction')).toEqual(['lambda:InvokeFunction']);
});

test('the watch reads runs, and is told to ring after it has failed for a quarter of an hour', () => {
  const reads = statements(template, 'Watch').filter(({ Action }) => JSON.stringify(Action).includes('dynamodb:'));
  expect(reads).toEqual([
    {
      Effect: 'Allow',
      Action: ['dynamodb:GetItem', 'dynamodb:Query'],
      Resource: { 'Fn::GetAtt': [expect.stringMatching(/^DataOperations/), 'Arn'] },
      Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['run', 'lease', 'changes#*'] } },
    },
  ]);
  template.hasResourceProperties('AWS::CloudWatch::Alarm', {
    MetricName: 'Errors',
    Dimensions: [{ Name: 'FunctionName', Value: { Ref: Match.stringLikeRegexp('^WatchFunction') } }],
    Period: 300,
    EvaluationPeriods: 3,
    Threshold: 1,
  });
});

test('a start that fails is kept', () => {
  expect(actions(template, 'SyncScheduleRole', 'SyncFailures')).toEqual(['sqs:SendMessage']);
  template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
    MaximumRetryAttempts: 0,
    DestinationConfig: { OnFailure: Match.anyValue() },
  });
});

test('the API is throttled and its log holds no query string', () => {
  template.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey: 'ANY /api/{proxy+}' });
  template.hasResourceProperties('AWS::ApiGatewayV2::Integration', { PayloadFormatVersion: '2.0' });
  template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
    DefaultRouteSettings: { ThrottlingRateLimit: 25, ThrottlingBurstLimit: 50 },
    AccessLogSettings: { Format: Match.not(Match.stringLikeRegexp('query|header|body')) },
  });
});

test('each route that takes a password has a limit of its own, below that of the API, and the rest goes on', () => {
  const ids = PASSWORD_ROUTES.map((RouteKey) => {
    const [id, ...others] = Object.keys(
      template.findResources('AWS::ApiGatewayV2::Route', { Properties: { RouteKey } }),
    );
    expect(others).toEqual([]);
    return id;
  });
  const limit = { ThrottlingRateLimit: 10, ThrottlingBurstLimit: 20, DetailedMetricsEnabled: false };

  template.hasResource('AWS::ApiGatewayV2::Stage', {
    // Without the routes, the stage could not be created.
    DependsOn: Match.arrayWith(ids.toSorted()),
    Properties: {
      RouteSettings: Object.fromEntries(PASSWORD_ROUTES.map((key) => [key, limit])),
      DefaultRouteSettings: { ThrottlingRateLimit: 25, ThrottlingBurstLimit: 50, DetailedMetricsEnabled: false },
    },
  });
});

test('concurrency is reserved for logins only where the deployment says so', () => {
  const reservedOf = (template: Template) =>
    Object.entries(template.findResources('AWS::Lambda::Function') as Record<string, Resource>)
      .filter(([, { Properties }]) => Properties.ReservedConcurrentExecutions !== undefined)
      .map(([id, { Properties }]) => [id.replace(/Function.*/, ''), Properties.ReservedConcurrentExecutions]);

  expect(reservedOf(template)).toEqual([]);
  expect(reservedOf(synthesize({ authReservedConcurrency: '50' }))).toEqual([['Auth', 50]]);
});

test('a header of the client counts only where the deployment names it, beside a generated secret of the proxy', () => {
  const behind = synthesize({ clientAddressHeader: ' X-Forwarded-For ' });
  const variables = (template: Template) =>
    Object.values(template.findResources('AWS::Lambda::Function') as Record<string, Resource>)
      .map(({ Properties }) => (Properties.Environment as { Variables: object }).Variables)
      .filter((variables) => ENVIRONMENT.clientAddressHeader in variables || ENVIRONMENT.proxySecret in variables);

  expect(variables(template)).toEqual([]);
  expect(variables(behind)).toEqual([
    expect.objectContaining({
      [ENVIRONMENT.clientAddressHeader]: 'x-forwarded-for',
      [ENVIRONMENT.proxySecret]: { Ref: expect.stringMatching(/^ApiProxySecret/) },
      [ENVIRONMENT.scheduleGroup]: expect.anything(),
    }),
  ]);
  behind.hasResourceProperties('AWS::SecretsManager::Secret', {
    GenerateSecretString: { PasswordLength: 48, ExcludePunctuation: true },
  });
  behind.hasOutput('ProxySecretName', {});
  expect(actions(behind, 'Api', 'ApiProxySecret')).toEqual(['secretsmanager:GetSecretValue']);
  for (const name of ['Auth', 'Sync', 'Watch', 'Console', 'Events']) {
    expect(actions(behind, name, 'ApiProxySecret')).toEqual([]);
  }
});

test('the topic takes what the alarms of this account publish over TLS, and nothing else', () => {
  const [{ PolicyDocument } = { PolicyDocument: undefined }] = properties(template, 'AWS::SNS::TopicPolicy');
  const [topicId] = Object.keys(template.findResources('AWS::SNS::Topic'));
  const readable = JSON.stringify(PolicyDocument).replaceAll(/\{"Ref":"([^"]+)"\}/g, '"$1"');
  const statements = readStatements(JSON.parse(readable), 'of the topic');
  const publish = (over: Readonly<Record<string, readonly string[]>> = {}, service = 'cloudwatch.amazonaws.com') => {
    const context = { 'aws:SecureTransport': ['true'], 'aws:SourceAccount': ['AWS::AccountId'], ...over };
    return evaluate(statements, { action: 'sns:Publish', resource: topicId ?? '', context }, { service });
  };

  expect(publish()).toBe('allow');
  expect(publish({ 'aws:SourceAccount': ['another'] })).toBe('implicitDeny');
  expect(publish({ 'aws:SecureTransport': ['false'] })).toBe('explicitDeny');
  expect(publish({}, 'events.amazonaws.com')).toBe('implicitDeny');
});

test('an alarm address is subscribed when one is given', () => {
  template.resourceCountIs('AWS::SNS::Subscription', 0);
  synthesize({ alarmEmail: 'oncall@example.com' }).hasResourceProperties('AWS::SNS::Subscription', {
    Endpoint: 'oncall@example.com',
  });
});
