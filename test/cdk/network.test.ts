/** Tests the network of a deployment in a VPC: who is in it, where they may connect to, and its endpoints. */
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { VPC_ENDPOINTS } from '../../cdk/context.ts';
import { synthesize } from './templates/check.ts';
import { VPC } from './templates/combination.ts';

interface Rule {
  readonly IpProtocol: string;
  readonly FromPort: number;
  readonly ToPort: number;
  readonly CidrIp?: string;
  readonly CidrIpv6?: string;
}

interface Endpoint {
  readonly VpcEndpointType: string;
  readonly ServiceName: unknown;
  readonly SubnetIds?: readonly string[];
}

type Properties = Readonly<Record<string, unknown>>;

function resourcesOf(type: string, context: Record<string, unknown>): [id: string, properties: Properties][] {
  return Object.entries(synthesize(context).template.Resources)
    .filter(([, { Type }]) => Type === type)
    .map(([id, { Properties = {} }]) => [id, Properties]);
}

function endpointsOf(context: Record<string, unknown>): Record<string, Endpoint> {
  return Object.fromEntries(
    resourcesOf('AWS::EC2::VPCEndpoint', context).map(([, properties]) => {
      const endpoint = properties as unknown as Endpoint;
      const service = /\.([a-z]+)"?\]*\}?$/.exec(JSON.stringify(endpoint.ServiceName))?.[1];
      return [String(service), endpoint];
    }),
  );
}

/** Where the functions may connect to: `tcp 443 IPv4` and so on. */
function egressOf(context: Record<string, unknown>): string[] {
  const groups = resourcesOf('AWS::EC2::SecurityGroup', context);
  const rules = groups.find(([id]) => id.startsWith('Functions'))![1].SecurityGroupEgress as readonly Rule[];
  return rules.map(({ IpProtocol, FromPort, ToPort, CidrIp, CidrIpv6 }) => {
    expect(FromPort).toBe(ToPort);
    expect(CidrIp ?? CidrIpv6).toBe(CidrIp === undefined ? '::/0' : '0.0.0.0/0');
    return `${IpProtocol} ${FromPort} ${CidrIp === undefined ? 'IPv6' : 'IPv4'}`;
  });
}

test('only the functions that talk to the directory are in the VPC', () => {
  for (const [id, { VpcConfig }] of resourcesOf('AWS::Lambda::Function', VPC)) {
    const inside = expect.objectContaining({ SubnetIds: VPC.subnetIds.split(','), Ipv6AllowedForDualStack: false });
    expect([id, VpcConfig]).toEqual([id, /^(?:Sync|Auth|Api)/.test(id) ? inside : undefined]);
  }
});

test('the functions may connect to AWS, DNS servers and the ports of the directory, and nobody to them', () => {
  const expected = ['tcp 443 IPv4', 'tcp 53 IPv4', 'udp 53 IPv4'];

  expect(egressOf(VPC).sort()).toEqual([...expected, 'tcp 389 IPv4', 'tcp 636 IPv4'].sort());
  expect(egressOf({ ...VPC, directoryPorts: '443,3269' }).sort()).toEqual([...expected, 'tcp 3269 IPv4'].sort());
  for (const [id, { SecurityGroupIngress }] of resourcesOf('AWS::EC2::SecurityGroup', VPC)) {
    expect([id, SecurityGroupIngress]).toEqual([id, undefined]);
  }
  // A rule that names a group is a resource of its own.
  const rules = resourcesOf('AWS::EC2::SecurityGroupIngress', VPC).map(([, rule]) => rule);
  expect(rules).toEqual([expect.objectContaining({ FromPort: 443, ToPort: 443, IpProtocol: 'tcp' })]);
  expect(JSON.stringify(rules.at(0)?.GroupId)).toContain('EndpointsSecurityGroup');
});

test('with ipv6 the functions may connect to the same ports by IPv6', () => {
  const rules = egressOf({ ...VPC, ipv6: 'true' });

  const portsBy = (version: string): string[] =>
    rules.filter((rule) => rule.endsWith(version)).map((rule) => rule.slice(0, -version.length));
  expect(portsBy('IPv6')).toEqual(portsBy('IPv4'));
  const inside = resourcesOf('AWS::Lambda::Function', { ...VPC, ipv6: 'true' }).filter(
    ([, { VpcConfig }]) => VpcConfig,
  );
  expect(inside).toHaveLength(3);
  for (const [, { VpcConfig }] of inside) expect(VpcConfig).toMatchObject({ Ipv6AllowedForDualStack: true });
});

test.each([
  [undefined, VPC_ENDPOINTS],
  ['true', VPC_ENDPOINTS],
  [true, VPC_ENDPOINTS],
  ['false', []],
  [false, []],
  ['none', []],
  ['scheduler,lambda', ['scheduler', 'lambda']],
  [
    ['Lambda', 'dynamodb'],
    ['lambda', 'dynamodb'],
  ],
  ['dynamodb', ['dynamodb']],
])('vpcEndpoints=%j creates the endpoints %j', (vpcEndpoints, expected) => {
  const endpoints = endpointsOf({ ...VPC, ...(vpcEndpoints !== undefined && { vpcEndpoints }) });

  expect(Object.keys(endpoints).sort()).toEqual([...expected].sort());
  for (const [name, { VpcEndpointType }] of Object.entries(endpoints)) {
    expect([name, VpcEndpointType]).toEqual([name, name === 'dynamodb' ? 'Gateway' : 'Interface']);
  }
});

test('without an interface endpoint there is no security group for one', () => {
  expect(resourcesOf('AWS::EC2::SecurityGroup', { ...VPC, vpcEndpoints: 'dynamodb' })).toHaveLength(1);
});

test('an interface endpoint is in one subnet of each zone, and the functions are in all subnets', () => {
  const context = {
    ...VPC,
    subnetIds: 'subnet-a1,subnet-b1,subnet-a2,subnet-b2',
    availabilityZones: 'eu-central-1a,eu-central-1b,eu-central-1a,eu-central-1b',
  };

  expect(endpointsOf(context).secretsmanager?.SubnetIds).toEqual(['subnet-a1', 'subnet-b1']);
  for (const [id, { VpcConfig }] of resourcesOf('AWS::Lambda::Function', context)) {
    if (VpcConfig !== undefined)
      expect([id, VpcConfig]).toEqual([id, expect.objectContaining({ SubnetIds: context.subnetIds.split(',') })]);
  }
});

test('the DynamoDB endpoint is in the route tables of the context', () => {
  Template.fromJSON(synthesize(VPC).template).hasResourceProperties('AWS::EC2::VPCEndpoint', {
    VpcEndpointType: 'Gateway',
    RouteTableIds: [VPC.routeTableIds],
  });
});

test.each([
  [{ ...VPC, vpcEndpoints: 's3' }, 'vpcEndpoints: must be true, none, or some of secretsmanager'],
  [{ ...VPC, vpcEndpoints: 'true,lambda' }, 'vpcEndpoints: must be '],
  [{ ...VPC, routeTableIds: '' }, 'routeTableIds: must name the route tables'],
  [{ ...VPC, availabilityZones: 'eu-central-1a' }, 'availabilityZones: must name the zone of each subnet'],
  [{ ...VPC, directoryPorts: 'ldap' }, 'directoryPorts: must be port numbers'],
  [{ ...VPC, ipv6: 'yes' }, 'ipv6: must be true or false'],
  [{ subnetIds: VPC.subnetIds, ipv6: 'true' }, 'vpcId: must be given with subnetIds, ipv6'],
])('the context %j is refused', (context, fault) => {
  expect(() => synthesize(context)).toThrow(`invalid context: ${fault}`);
});

test('route tables are needed for the DynamoDB endpoint alone', () => {
  expect(Object.keys(endpointsOf({ ...VPC, routeTableIds: '', vpcEndpoints: 'secretsmanager' }))).toEqual([
    'secretsmanager',
  ]);
});
