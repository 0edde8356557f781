/** Tests what a synthesis says about costs, from the templates and over the process that the CDK starts. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { describeFixedCosts, listFixedCosts, MONTH_HOURS, PRICE } from '../../cdk/price.ts';
import { synthesize } from './templates/check.ts';
import { VPC } from './templates/combination.ts';

const ROOT = path.join(import.meta.dirname, '../..');

function dollarsOf(context: Record<string, unknown>, what: string): number | undefined {
  const costs = listFixedCosts(Object.values(synthesize(context).template.Resources));
  return costs.find((cost) => cost.what.startsWith(what))?.dollars;
}

test.each([
  [{}, undefined],
  [{ ...VPC, vpcEndpoints: 'none' }, undefined],
  [{ ...VPC, vpcEndpoints: 'dynamodb' }, undefined],
  [VPC, 3 * 2],
  [{ ...VPC, vpcEndpoints: 'scheduler,lambda' }, 2 * 2],
  [{ ...VPC, subnetIds: 'subnet-1,subnet-2,subnet-3', availabilityZones: 'a,b,a' }, 3 * 2],
])('the context %j pays for %s endpoints by the zone', (context, endpointZones) => {
  const expected = endpointZones === undefined ? undefined : endpointZones * PRICE.endpointHour * MONTH_HOURS;
  expect(dollarsOf(context, 'interface endpoints')).toBe(expected);
});

test('a secret more costs its price more', () => {
  const [without, withProxy] = [{}, { clientAddressHeader: 'x-real-ip' }].map((context) =>
    dollarsOf(context, 'secrets'),
  );
  expect(withProxy! - without!).toBeCloseTo(PRICE.secret);
});

test('an alarm is paid for each metric that it reads', () => {
  const simple = { Type: 'AWS::CloudWatch::Alarm', Properties: { MetricName: 'Throttles' } };
  const Metrics = [
    { Id: 'larger', Expression: 'MAX([one, other])' },
    ...['one', 'other'].map((Id) => ({ Id, MetricStat: {} })),
  ];
  const expression = { Type: 'AWS::CloudWatch::Alarm', Properties: { Metrics } };

  expect(listFixedCosts([simple, expression])).toContainEqual({
    what: 'metrics that alarms read: 3',
    dollars: 3 * PRICE.alarmMetric,
  });
});

test('the block tells every item, the sum, and what is extra', () => {
  const secret = { Type: 'AWS::SecretsManager::Secret' };
  const endpoint = {
    Type: 'AWS::EC2::VPCEndpoint',
    Properties: { VpcEndpointType: 'Interface', SubnetIds: ['one', 'two'] },
  };

  expect(describeFixedCosts('Rollcall-test', [secret, secret, endpoint]).split('\n')).toEqual([
    'Fixed costs of Rollcall-test a month (list prices of us-east-1, without free tier):',
    '  secrets: 2                                         $0.80',
    '  metrics that report every hour: 6                  $1.80',
    '  interface endpoints: 1, one for each zone: 2      $14.60',
    '  together                                          $17.20',
    expect.stringMatching(/^ {2}Use is extra: requests, .*, data through endpoints\.$/),
  ]);
});

test('the command line of the CDK is told the costs, and the local program is not', { timeout: 120_000 }, () => {
  const outdir = mkdtempSync(path.join(tmpdir(), 'rollcall-price-'));
  const run = (variables: Record<string, string>) => {
    const { CDK_CLI_VERSION: _, ...env } = process.env;
    return spawnSync(process.execPath, ['cdk/app.ts'], {
      cwd: ROOT,
      env: {
        ...env,
        CDK_OUTDIR: outdir,
        CDK_CONTEXT_JSON: JSON.stringify({ stage: 'test', 'aws:cdk:bundling-stacks': [] }),
        ...variables,
      },
      encoding: 'utf8',
    });
  };
  try {
    const told = run({ CDK_CLI_VERSION: '2.1148.1' });
    const silent = run({});

    expect([told.status, silent.status]).toEqual([0, 0]);
    expect(told.stderr).toMatch(/^Fixed costs of Rollcall-test a month[^]+ together +\$\d+\.\d\d\n/m);
    expect(silent.stderr).not.toContain('$');
    expect(readdirSync(outdir)).toContain('Rollcall-test.template.json');
  } finally {
    rmSync(outdir, { recursive: true });
  }
});

test('README and the page about networks tell the fixed costs of the templates', () => {
  const sumOf = (context: Record<string, unknown>): string =>
    listFixedCosts(Object.values(synthesize(context).template.Resources))
      .reduce((sum, { dollars }) => sum + dollars, 0)
      .toFixed(2);
  const [minimal, inVpc] = [sumOf({}), sumOf(VPC)];
  const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

  expect(read('README.md')).toContain(`| **minimal**: the directory is public | **${minimal}** |`);
  expect(read('README.md')).toContain(
    `| **in a private VPC** of two zones, with endpoints of its own | **${inVpc}** |`,
  );
  expect(read('docs/network.md')).toContain(`| no VPC: the directory is public | ${minimal} |`);
  expect(read('docs/network.md')).toContain(`| VPC with two zones, all endpoints created | ${inVpc} |`);
});
