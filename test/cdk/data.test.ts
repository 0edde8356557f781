/** Tests what becomes of the data: when a deployment fails, when the stack is deleted, and when data is adopted. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { USERS_TABLE } from '../../lib/aws/environment.ts';
import { synthesize, type TemplateResource } from './templates/check.ts';
import { ADOPTED } from './templates/combination.ts';

type Entry = readonly [string, TemplateResource];

function resources(context: Readonly<Record<string, unknown>>, type: string): Entry[] {
  return Object.entries(synthesize(context).template.Resources).filter(([, { Type }]) => Type === type);
}

const DATA = /^Data(?:Users|Operations|Settings)/;

test('a deleted stack leaves users, operations and settings, and a failed first deployment leaves nothing', () => {
  const all = Object.entries(synthesize({}).template.Resources);

  const kept = all.filter(([id]) => DATA.test(id));
  expect(kept).toHaveLength(3);
  for (const [, { DeletionPolicy, UpdateReplacePolicy }] of kept) {
    expect([DeletionPolicy, UpdateReplacePolicy]).toEqual(['RetainExceptOnCreate', 'Retain']);
  }
  // `Retain` would leave a resource behind even if its creation were rolled back.
  const others = all.filter(([id]) => !DATA.test(id)).map(([, { DeletionPolicy = 'Delete' }]) => DeletionPolicy);
  expect(new Set(others)).toEqual(new Set(['Delete']));
});

test('deletion protection, with which a rollback could not delete the tables, is on only where the deployer says so', () => {
  const protections = (context: Record<string, unknown>) =>
    resources(context, 'AWS::DynamoDB::Table').map(([, { Properties }]) => Properties?.DeletionProtectionEnabled);

  expect(protections({})).toEqual([false, false]);
  expect(protections({ deletionProtection: 'true' })).toEqual([true, true]);
  expect(protections({ deletionProtection: true })).toEqual([true, true]);
});

test('both tables can be restored to any second of the last 35 days', () => {
  for (const [, { Properties }] of resources({}, 'AWS::DynamoDB::Table')) {
    expect(Properties).toMatchObject({ PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true } });
  }
});

test('adopted data is not created, and every role, mapping and output names it instead of what would be', () => {
  const { template, text } = synthesize(ADOPTED);

  expect(Object.keys(template.Resources).filter((id) => DATA.test(id))).toEqual([]);
  const policies = JSON.stringify(Object.values(template.Resources).filter(({ Type }) => Type === 'AWS::IAM::Policy'));
  for (const index of [USERS_TABLE.listIndex, USERS_TABLE.addressIndex, USERS_TABLE.administratorIndex]) {
    expect(policies).toContain(`:table/${ADOPTED.usersTableName}/index/${index}`);
  }
  for (const name of [ADOPTED.usersTableName, ADOPTED.operationsTableName])
    expect(policies).toContain(`:table/${name}"`);
  for (const arn of [ADOPTED.usersTableStreamArn, ADOPTED.operationsTableStreamArn, ADOPTED.settingsSecretArn]) {
    expect(policies).toContain(`"${arn}"`);
  }
  const mappings = resources(ADOPTED, 'AWS::Lambda::EventSourceMapping');
  expect(mappings.map(([, { Properties }]) => Properties?.EventSourceArn)).toEqual([
    ADOPTED.usersTableStreamArn,
    ADOPTED.operationsTableStreamArn,
  ]);
  for (const name of [ADOPTED.usersTableName, ADOPTED.operationsTableName, ADOPTED.settingsSecretArn]) {
    expect(JSON.stringify(template.Outputs)).toContain(`"Value":"${name}"`);
  }
  expect(text).not.toMatch(/"Ref": ?"Data(?:Users|Operations|Settings)/);
});

test('adopted data has the same permissions as created data, for each role and action', () => {
  const permissions = (context: Record<string, unknown>): string[] =>
    resources(context, 'AWS::IAM::Policy')
      .flatMap(([id, { Properties }]) => {
        const policy = Properties?.PolicyDocument as { Statement: { Action: unknown; Condition?: unknown }[] };
        return policy.Statement.map(({ Action, Condition }) => JSON.stringify([id, Action, Condition]));
      })
      .sort();

  expect(permissions(ADOPTED)).toEqual(permissions({}));
});

test('each part can be adopted by itself', () => {
  const { usersTableName, usersTableStreamArn, settingsSecretArn } = ADOPTED;
  const created = (context: Record<string, unknown>): (string | undefined)[] =>
    Object.keys(synthesize(context).template.Resources).flatMap((id) => DATA.exec(id)?.[0] ?? []);

  expect(created({ usersTableName, usersTableStreamArn })).toEqual(['DataOperations', 'DataSettings']);
  expect(created({ settingsSecretArn })).toEqual(['DataUsers', 'DataOperations']);
});

test('the documents say what a restored table needs: its indexes, its stream and its TTL attribute', () => {
  const page = readFileSync(new URL('../../docs/deploying.md', import.meta.url), 'utf8');
  const [users, operations] = resources({}, 'AWS::DynamoDB::Table').map(([, { Properties = {} }]) => Properties);

  const indexes = users?.GlobalSecondaryIndexes as readonly { readonly IndexName: string }[];
  expect(indexes.length).toBeGreaterThanOrEqual(2);
  for (const { IndexName } of indexes) expect(page).toContain(`\`${IndexName}\``);
  for (const table of [users, operations]) {
    const stream = table?.StreamSpecification as { readonly StreamViewType: string };
    expect(page).toContain(`StreamEnabled=true,StreamViewType=${stream.StreamViewType}\n`);
  }
  const timeToLive = operations?.TimeToLiveSpecification as { readonly AttributeName: string };
  expect(page).toContain(`Enabled=true,AttributeName=${timeToLive.AttributeName}\n`);
});

test('the documented command adds the index of administrators as the template has it', () => {
  const page = readFileSync(new URL('../../docs/deploying.md', import.meta.url), 'utf8');
  const [users] = resources({}, 'AWS::DynamoDB::Table').map(([, { Properties = {} }]) => Properties);

  const updates = JSON.parse(/--global-secondary-index-updates '(.*?)'/su.exec(page)?.[1] ?? '') as {
    Create: object;
  }[];

  const indexes = users?.GlobalSecondaryIndexes as readonly { readonly IndexName: string }[];
  expect(updates.map(({ Create }) => Create)).toEqual(
    indexes.filter(({ IndexName }) => IndexName === USERS_TABLE.administratorIndex),
  );
});

test('a table without its stream is refused with the command that switches the stream on', () => {
  const { operationsTableName } = ADOPTED;
  expect(() => synthesize({ operationsTableName })).toThrow(
    `aws dynamodb update-table --table-name ${operationsTableName} ` +
      '--stream-specification StreamEnabled=true,StreamViewType=NEW_IMAGE',
  );
});
