/**
 * The way to a directory that is not public: an existing VPC, the ports that functions may connect to, and the
 * endpoints that reach AWS itself.
 */
import { Annotations, Aws } from 'aws-cdk-lib';
import {
  CfnVPCEndpoint,
  InterfaceVpcEndpoint,
  InterfaceVpcEndpointAwsService,
  Peer,
  Port,
  SecurityGroup,
  Vpc,
  type ISecurityGroup,
  type ISubnet,
  type IVpc,
  type SubnetSelection,
} from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import type { EndpointName, VpcContext } from './context.ts';

/**
 * The network that functions run in, named like a function's properties. Only those that talk to the directory need
 * it: sync, auth and api.
 */
export interface Network {
  readonly vpc: IVpc;
  readonly vpcSubnets: SubnetSelection;
  readonly securityGroups: readonly ISecurityGroup[] & ISecurityGroup[];
  readonly ipv6AllowedForDualStack: boolean;
}

// Sync and auth call DynamoDB and Secrets Manager; the API also calls the other two. Logs and metrics leave by Lambda's
// own way.
const INTERFACES: Readonly<Record<Exclude<EndpointName, 'dynamodb'>, readonly [string, string]>> = {
  secretsmanager: ['SecretsManagerEndpoint', 'secretsmanager'],
  scheduler: ['SchedulerEndpoint', 'scheduler'],
  lambda: ['LambdaEndpoint', 'lambda'],
};

/** Creates the security groups and the endpoints in the VPC of the context. Looks nothing up in AWS. */
export function createNetwork(scope: Construct, context: VpcContext): Network {
  const vpc = Vpc.fromVpcAttributes(scope, 'Vpc', {
    vpcId: context.vpcId,
    availabilityZones: [...context.availabilityZones],
    privateSubnetIds: [...context.subnetIds],
  });
  Annotations.of(vpc).acknowledgeWarning(
    '@aws-cdk/aws-ec2:noSubnetRouteTableId',
    'Only the DynamoDB endpoint needs route tables, and it has those of the context.',
  );
  const functions = createFunctionGroup(scope, vpc, context);
  createEndpoints(scope, vpc, functions, context);
  return {
    vpc,
    vpcSubnets: { subnets: vpc.privateSubnets },
    securityGroups: [functions],
    ipv6AllowedForDualStack: context.ipv6,
  };
}

/**
 * The group of the functions: out to AWS, to the directory and to DNS servers, and nothing in. The resolver of the VPC
 * needs no rule, but the DNS servers that a DHCP option set names do.
 * @see https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html
 */
function createFunctionGroup(scope: Construct, vpc: IVpc, { directoryPorts, ipv6 }: VpcContext): SecurityGroup {
  const group = new SecurityGroup(scope, 'FunctionsSecurityGroup', {
    vpc,
    description: 'Rollcall: functions to directory servers and AWS',
    allowAllOutbound: false,
  });
  const ports = [Port.udp(53), ...[...new Set([53, 443, ...directoryPorts])].map((port) => Port.tcp(port))];
  for (const port of ports) {
    group.addEgressRule(Peer.anyIpv4(), port);
    if (ipv6) group.addEgressRule(Peer.anyIpv6(), port);
  }
  return group;
}

function createEndpoints(scope: Construct, vpc: IVpc, functions: SecurityGroup, context: VpcContext): void {
  const interfaces = context.endpoints.filter((name) => name !== 'dynamodb');
  if (interfaces.length > 0) {
    const group = new SecurityGroup(scope, 'EndpointsSecurityGroup', {
      vpc,
      description: 'Rollcall: endpoints of AWS for its functions',
      allowAllOutbound: false,
    });
    group.addIngressRule(functions, Port.tcp(443));
    for (const name of interfaces) {
      const [id, service] = INTERFACES[name];
      new InterfaceVpcEndpoint(scope, id, {
        vpc,
        service: new InterfaceVpcEndpointAwsService(service),
        subnets: { subnets: oneSubnetPerZone(vpc) },
        securityGroups: [group],
        open: false,
      });
    }
  }
  if (context.endpoints.includes('dynamodb')) {
    new CfnVPCEndpoint(scope, 'DynamoDbEndpoint', {
      vpcId: context.vpcId,
      vpcEndpointType: 'Gateway',
      serviceName: `com.amazonaws.${Aws.REGION}.dynamodb`,
      routeTableIds: [...context.routeTableIds],
    });
  }
}

/**
 * The first subnet of each zone. AWS refuses an endpoint with two subnets of one zone, and every subnet of the VPC
 * reaches it all the same.
 * @see https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
 */
function oneSubnetPerZone({ privateSubnets }: IVpc): ISubnet[] {
  return privateSubnets.filter(
    ({ availabilityZone }, index) =>
      privateSubnets.findIndex((subnet) => subnet.availabilityZone === availabilityZone) === index,
  );
}
