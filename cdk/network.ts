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
  type IVpc,
  type SubnetSelection,
} from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import type { VpcContext } from './context.ts';

/** The network that functions run in, named like a function's properties. */
export interface Network {
  readonly vpc: IVpc;
  readonly vpcSubnets: SubnetSelection;
  readonly securityGroups: readonly ISecurityGroup[] & ISecurityGroup[];
}

// The services that the API calls; sync and auth need only Secrets Manager. Logs and metrics leave by Lambda's own way.
const SERVICES = {
  SecretsManager: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
  Scheduler: new InterfaceVpcEndpointAwsService('scheduler'),
  Lambda: InterfaceVpcEndpointAwsService.LAMBDA,
};

/** Creates the security groups and, if wanted, the endpoints in the VPC of the context. Looks nothing up in AWS. */
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
  const functions = new SecurityGroup(scope, 'FunctionsSecurityGroup', {
    vpc,
    description: 'Rollcall: functions to directory servers and AWS',
    allowAllOutbound: false,
  });
  for (const port of new Set([443, ...context.directoryPorts])) {
    functions.addEgressRule(Peer.anyIpv4(), Port.tcp(port));
    functions.addEgressRule(Peer.anyIpv6(), Port.tcp(port));
  }

  if (context.vpcEndpoints) {
    const endpoints = new SecurityGroup(scope, 'EndpointsSecurityGroup', {
      vpc,
      description: 'Rollcall: endpoints of AWS for its functions',
      allowAllOutbound: false,
    });
    endpoints.addIngressRule(functions, Port.tcp(443));
    for (const [name, service] of Object.entries(SERVICES)) {
      new InterfaceVpcEndpoint(scope, `${name}Endpoint`, {
        vpc,
        service,
        subnets: { subnets: vpc.privateSubnets },
        securityGroups: [endpoints],
        open: false,
      });
    }
    if (context.routeTableIds.length > 0) {
      new CfnVPCEndpoint(scope, 'DynamoDbEndpoint', {
        vpcId: context.vpcId,
        vpcEndpointType: 'Gateway',
        serviceName: `com.amazonaws.${Aws.REGION}.dynamodb`,
        routeTableIds: [...context.routeTableIds],
      });
    }
  }
  return { vpc, vpcSubnets: { subnets: vpc.privateSubnets }, securityGroups: [functions] };
}
