/**
 * The stack: data, functions, network and monitoring. A deployment chooses by context, given as
 * `cdk deploy -c name=value` or in cdk.context.json; everything else is set in the settings of the product.
 *
 * | context               | default | meaning |
 * |-----------------------|---------|---------|
 * | `stage`               | none    | deploys a stack of its own, `Rollcall-<stage>`, beside the others |
 * | `alarmEmail`          | none    | address that receives the alarms; its owner must confirm it once |
 * | `logRetentionDays`    | 30      | how long logs are kept; one of the periods that CloudWatch Logs offers |
 * | `logLevel`            | INFO    | DEBUG, INFO, WARN or ERROR |
 * | `deletionProtection`  | false   | whether DynamoDB refuses to delete the tables; not for a first deployment |
 * | `authReservedConcurrency` | none | concurrent logins that Lambda keeps free for the auth function; also its most |
 * | `clientAddressHeader` | none    | header in which a proxy in front of the API passes on the address of the client |
 * | `usersTableName`, `usersTableStreamArn` | none | use this table of users instead of creating one |
 * | `operationsTableName`, `operationsTableStreamArn` | none | use this table of operations instead of creating one |
 * | `settingsSecretArn`   | none    | use this secret with settings instead of creating one |
 * | `vpcId`               | none    | put the functions into this VPC, to reach a directory that is not public |
 * | `subnetIds`           | -       | with vpcId: private subnets, separated by commas |
 * | `availabilityZones`   | -       | with vpcId: the zones of these subnets, in the same order |
 * | `directoryPorts`      | 389,636 | with vpcId: ports that the functions may connect to, besides 443 and DNS |
 * | `vpcEndpoints`        | true    | with vpcId: endpoints to create, from VPC_ENDPOINTS; true = all, none = none |
 * | `routeTableIds`       | -       | with the DynamoDB endpoint: route tables of the subnets |
 * | `ipv6`                | false   | with vpcId: functions may also connect by IPv6; the subnets are dual-stack |
 */
import { type App, CfnOutput, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import type { Construct } from 'constructs';
import { PROXY_SECRET_HEADER } from '../lib/aws/environment.ts';
import { Api } from './api.ts';
import { Auth } from './auth.ts';
import { Console } from './console.ts';
import { readContext, type DeploymentContext } from './context.ts';
import { Dashboard } from './dashboard.ts';
import { Data } from './data.ts';
import { Events } from './events.ts';
import { Monitoring } from './monitoring.ts';
import { createNetwork } from './network.ts';
import { warnOfRegion } from './region.ts';
import { Sync } from './sync.ts';
import { Watch } from './watch.ts';

/** Properties of the stack. */
export interface RollcallStackProps extends StackProps {
  readonly context: DeploymentContext;
}

/** The whole product as one stack. */
export class RollcallStack extends Stack {
  constructor(scope: Construct, id: string, { context, ...props }: RollcallStackProps) {
    super(scope, id, props);
    const { alarmEmail, logRetention, logLevel, vpc, authReservedConcurrency, clientAddressHeader } = context;

    const network = vpc === undefined ? undefined : createNetwork(this, vpc);
    const monitoring = new Monitoring(this, 'Monitoring', { alarmEmail });
    const data = new Data(this, 'Data', context.data);
    const shared = { data, monitoring, defaults: { logRetention, logLevel, network } };
    const sync = new Sync(this, 'Sync', shared);
    const watch = new Watch(this, 'Watch', { ...shared, sync });
    const auth = new Auth(this, 'Auth', { ...shared, reservedConcurrency: authReservedConcurrency });
    const api = new Api(this, 'Api', { ...shared, sync, clientAddressHeader });
    const pages = new Console(this, 'Console', { ...shared, api });
    const events = new Events(this, 'Events', shared);
    new Dashboard(this, 'Dashboard', { data, sync, watch, auth, api, pages, events, monitoring });

    const output = (name: string, value: string, description: string) =>
      new CfnOutput(this, name, { value, description });
    output('ApiUrl', api.url, 'Address of the administration API.');
    output('AuthFunctionName', auth.handler.functionName, 'Function that the login service invokes.');
    output('AuthFunctionArn', auth.handler.functionArn, 'The login service needs lambda:InvokeFunction on this ARN.');
    output('SyncFunctionName', sync.handler.functionName, 'Function that runs the synchronisation.');
    output('EventBusName', events.bus.eventBusName, 'Event bus: rules on it receive the events.');
    output('UsersTableName', data.users.tableName, 'Table that holds the users.');
    output('OperationsTableName', data.operations.tableName, 'Table that holds runs, sessions and attempts.');
    output('SettingsSecretArn', data.settingsSecret.secretArn, 'Secret that holds the settings.');
    output('AdministratorSecretName', data.administratorSecret.secretName, 'Secret with the first password of admin.');
    if (api.proxySecret !== undefined) {
      output('ProxySecretName', api.proxySecret.secretName, `The proxy sends this secret in ${PROXY_SECRET_HEADER}.`);
    }
  }
}

/**
 * Adds the stack of a deployment to its app, named after the stage and checked against the AWS Solutions rules of
 * cdk-nag. A finding ends the synthesis, unless it is acknowledged next to its resource with a reason.
 * @throws ContextError that names every unknown context key and every invalid value
 */
export function addRollcall(app: App): RollcallStack {
  const context = readContext(app.node);
  const stack = new RollcallStack(app, context.stackName, {
    description: 'Takes the people of an LDAP directory into a user database and verifies their logins by LDAP bind.',
    context,
  });
  // The CDK's command line names the region here; the template itself fits every region.
  warnOfRegion(stack, process.env.CDK_DEFAULT_REGION);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return stack;
}
