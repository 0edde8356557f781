/**
 * List prices of AWS, and what the resources of a template cost a month before anybody uses them. Imports nothing, so
 * that the costs in docs/benchmarks.md are computed from the same table. Knows no region but us-east-1, and no free
 * tier.
 */

/**
 * us-east-1, dollars, as noted on 2026-12-01. Check them before relying on them.
 * @see https://aws.amazon.com/dynamodb/pricing/on-demand/
 * @see https://aws.amazon.com/lambda/pricing/
 * @see https://aws.amazon.com/eventbridge/pricing/
 * @see https://aws.amazon.com/cloudwatch/pricing/
 * @see https://aws.amazon.com/secrets-manager/pricing/
 * @see https://aws.amazon.com/privatelink/pricing/
 * @see https://aws.amazon.com/vpc/pricing/
 * @see https://aws.amazon.com/vpn/pricing/
 * @see https://aws.amazon.com/route53/pricing/
 */
export const PRICE = {
  readUnit: 0.125 / 1e6,
  writeUnit: 0.625 / 1e6,
  storedGb: 0.25,
  recoverableGb: 0.2,
  armGbSecond: 0.0000133334,
  invocation: 0.2 / 1e6,
  event: 1 / 1e6,
  scheduledStart: 1 / 1e6,
  logGb: 0.5,
  secret: 0.4,
  secretCall: 0.05 / 10_000,
  /** Each metric that an alarm reads. */
  alarmMetric: 0.1,
  metric: 0.3,
  dashboard: 3,
  /** An interface endpoint, in each zone. A gateway endpoint is free. */
  endpointHour: 0.01,
  endpointGb: 0.01,
  natGatewayHour: 0.045,
  natGatewayGb: 0.045,
  vpnConnectionHour: 0.05,
  hostedZone: 0.5,
  /** Each address of a Route 53 Resolver endpoint, which has at least two. */
  resolverAddressHour: 0.125,
} as const;

/** Hours in the month of these figures. */
export const MONTH_HOURS = 730;

/**
 * Custom metrics that report in every hour of operation, whatever happens: people read, duration and result of the
 * hourly run, and the three gauges of the watch. CloudWatch bills a metric for the hours in which it reports.
 */
export const HOURLY_METRICS = 6;

/** One item of the bill, in dollars a month. */
export interface CostLine {
  readonly what: string;
  readonly dollars: number;
}

/** A resource of a template, as far as it has a price. */
export interface PricedResource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
}

/** What these resources cost a month before they are used. Leaves out what costs nothing. */
export function listFixedCosts(resources: readonly PricedResource[]): CostLine[] {
  const ofType = (type: string): Readonly<Record<string, unknown>>[] =>
    resources.filter(({ Type }) => Type === type).map(({ Properties = {} }) => Properties);
  const secrets = ofType('AWS::SecretsManager::Secret').length;
  const dashboards = ofType('AWS::CloudWatch::Dashboard').length;
  const alarmMetrics = ofType('AWS::CloudWatch::Alarm').reduce((sum, alarm) => sum + countAlarmMetrics(alarm), 0);
  const zonesOfEach = ofType('AWS::EC2::VPCEndpoint')
    .filter(({ VpcEndpointType }) => VpcEndpointType === 'Interface')
    .map(({ SubnetIds }) => (SubnetIds as readonly unknown[]).length);
  const inZones = zonesOfEach.reduce((sum, count) => sum + count, 0);
  return [
    { what: `secrets: ${secrets}`, dollars: secrets * PRICE.secret },
    { what: `metrics that alarms read: ${alarmMetrics}`, dollars: alarmMetrics * PRICE.alarmMetric },
    { what: `metrics that report every hour: ${HOURLY_METRICS}`, dollars: HOURLY_METRICS * PRICE.metric },
    { what: `dashboards: ${dashboards}`, dollars: dashboards * PRICE.dashboard },
    {
      what: `interface endpoints: ${zonesOfEach.length}, one for each zone: ${inZones}`,
      dollars: inZones * PRICE.endpointHour * MONTH_HOURS,
    },
  ].filter(({ dollars }) => dollars > 0);
}

/** Dollars a month for all of these. */
export function sumCosts(costs: readonly CostLine[]): number {
  return costs.reduce((sum, { dollars }) => sum + dollars, 0);
}

/** An alarm on an expression is billed for each metric that the expression reads. */
function countAlarmMetrics({ Metrics }: Readonly<Record<string, unknown>>): number {
  if (Metrics === undefined) return 1;
  return (Metrics as readonly { readonly MetricStat?: object }[]).filter(({ MetricStat }) => MetricStat).length;
}

/** The fixed costs of these resources as a block of text for a terminal, and what else costs money. */
export function describeFixedCosts(stackName: string, resources: readonly PricedResource[]): string {
  const costs = listFixedCosts(resources);
  const line = (what: string, dollars: number): string => `  ${what.padEnd(48)}${`$${dollars.toFixed(2)}`.padStart(8)}`;
  return [
    `Fixed costs of ${stackName} a month (list prices of us-east-1, without free tier):`,
    ...costs.map(({ what, dollars }) => line(what, dollars)),
    line('together', sumCosts(costs)),
    `  Use is extra: requests, storage, logs, events, secret calls, further metrics at $${PRICE.metric.toFixed(2)}` +
      (resources.some(({ Type }) => Type === 'AWS::EC2::VPCEndpoint') ? ', data through endpoints.' : '.'),
  ].join('\n');
}
