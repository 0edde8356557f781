/** The combinations of context that `npm run templates` and the tests of the stack synthesize. */

/** One way to deploy: a name to print, and the context as `-c` gives it. */
export interface Combination {
  readonly name: string;
  readonly context: Readonly<Record<string, string>>;
}

/** A VPC as a deployer names it; with nothing else, the stack creates the endpoints that its subnets need. */
export const VPC = {
  vpcId: 'vpc-0123456789abcdef0',
  subnetIds: 'subnet-00000000000000001,subnet-00000000000000002',
  availabilityZones: 'eu-central-1a,eu-central-1b',
  routeTableIds: 'rtb-00000000000000001',
} as const;

const DYNAMODB = 'arn:aws:dynamodb:eu-central-1:123456789012';

/** Data of an earlier stack, or a restored backup. */
export const ADOPTED = {
  usersTableName: 'Rollcall-users-restored',
  usersTableStreamArn: `${DYNAMODB}:table/Rollcall-users-restored/stream/2026-12-01T00:00:00.000`,
  operationsTableName: 'Rollcall-operations-restored',
  operationsTableStreamArn: `${DYNAMODB}:table/Rollcall-operations-restored/stream/2026-12-01T00:00:01.000`,
  settingsSecretArn: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:DataSettings0A1B2C3D-AbCdEf',
} as const;

/** What a deployer may choose, each choice at least once, and the common ones together. */
export const COMBINATIONS: readonly Combination[] = [
  { name: 'default', context: {} },
  { name: 'stage', context: { stage: 'test' } },
  {
    name: 'alarms and logs',
    context: { alarmEmail: 'oncall@example.com', logRetentionDays: '365', logLevel: 'WARN' },
  },
  { name: 'deletion protection', context: { deletionProtection: 'true', authReservedConcurrency: '50' } },
  { name: 'proxy', context: { clientAddressHeader: 'x-forwarded-for' } },
  { name: 'adopted data', context: ADOPTED },
  {
    name: 'adopted users',
    context: { usersTableName: ADOPTED.usersTableName, usersTableStreamArn: ADOPTED.usersTableStreamArn },
  },
  { name: 'VPC with endpoints', context: { ...VPC, directoryPorts: '636' } },
  { name: 'VPC without endpoints', context: { ...VPC, vpcEndpoints: 'false' } },
  {
    name: 'VPC with some endpoints, dual-stack',
    context: {
      vpcId: VPC.vpcId,
      subnetIds: `${VPC.subnetIds},subnet-00000000000000003`,
      availabilityZones: `${VPC.availabilityZones},eu-central-1a`,
      vpcEndpoints: 'scheduler,lambda',
      ipv6: 'true',
    },
  },
  {
    name: 'everything',
    context: {
      ...VPC,
      ...ADOPTED,
      stage: 'production-2',
      alarmEmail: 'oncall@example.com',
      logLevel: 'ERROR',
      authReservedConcurrency: '100',
      clientAddressHeader: 'x-real-ip',
    },
  },
];
