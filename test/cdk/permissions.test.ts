/**
 * The synthesized policies against the calls that the suites have recorded: every call is allowed, and every permission
 * is needed by one. Runs nothing, so a permission that is lost or too much is noticed at once.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { CallShape } from '../../local/call-shapes.ts';
import { readStatements } from '../../local/policy-language.ts';
import { EXPLAINED, explain, readShapes } from './iam/recorded.ts';
import { listPermissions, reportPermissions } from './iam/report.ts';
import { toSimulations } from './iam/simulate.ts';
import { synthesizePolicies } from './iam/synthesize.ts';

const policies = synthesizePolicies();
const shapes = readShapes();
const { refused, unused } = reportPermissions(policies, shapes);

test('every recorded call is allowed', () => {
  expect(shapes.length).toBeGreaterThan(100);
  expect(refused).toEqual([]);
});

test('every permission is needed by a recorded call, or it is explained', () => {
  expect(unused.filter((permission) => explain(permission) === null)).toEqual([]);
});

test('every explanation explains a permission', () => {
  for (const { why } of EXPLAINED) expect(unused.map(explain)).toContain(why);
});

test('the documentation has the explanations and the number of recorded calls', () => {
  const page = readFileSync(new URL('../../docs/permissions.md', import.meta.url), 'utf8');
  for (const { why } of EXPLAINED) expect(page).toContain(`| ${why} |`);
  expect(page).toContain(`prints ${shapes.length} kinds of calls`);
});

test('without any one permission, a recorded call is refused', () => {
  const permissions = listPermissions(policies).filter(({ permission }) => explain(permission) === null);

  expect(permissions.length).toBeGreaterThan(100);
  for (const { permission, without } of permissions) {
    expect(reportPermissions(without, shapes).refused, JSON.stringify(permission)).not.toEqual([]);
  }
});

test('a needless action, resource and partition are found, and a call that nothing allows', () => {
  const table = 'arn:aws:dynamodb:my-machine-1:000000000000:table/Users';
  const document = {
    Statement: {
      Effect: 'Allow',
      Action: ['dynamodb:GetItem', 'dynamodb:Scan'],
      Resource: [table, `${table}/index/list`],
      Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['run', 'link#*'] } },
    },
  };
  const get = (key: string): CallShape => ({
    caller: 'Role',
    action: 'dynamodb:GetItem',
    resource: table,
    context: { 'dynamodb:LeadingKeys': [key] },
  });
  const roles = new Map([['Role', readStatements(document, 'of a test')]]);

  const report = reportPermissions({ roles, resources: new Map() }, [get('run'), get('session#x')]);

  expect(report.refused).toEqual([get('session#x')]);
  expect(report.unused.map(({ part }) => part)).toEqual([
    'dynamodb:Scan',
    `${table}/index/list`,
    'dynamodb:LeadingKeys link#*',
  ]);
});

test('the simulator of AWS is asked about every call of a role, in a region and an account that could be', () => {
  const simulations = toSimulations(policies, shapes);

  const ofRoles = shapes.filter(({ caller }) => policies.roles.has(caller));
  expect(simulations.flatMap(({ request }) => request.ActionNames)).toHaveLength(ofRoles.length);
  expect(JSON.stringify(simulations)).not.toContain(':my-machine-1:');
  const pass = simulations.find(({ request }) => request.ActionNames.includes('iam:PassRole'))!;
  expect(pass.request).toMatchObject({
    ResourceArns: ['arn:aws:iam::123456789012:role/SyncScheduleRole'],
    ContextEntries: [
      {
        ContextKeyName: 'iam:PassedToService',
        ContextKeyValues: ['scheduler.amazonaws.com'],
        ContextKeyType: 'string',
      },
    ],
  });
});
