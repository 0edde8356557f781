/**
 * The stack: data, functions, network and monitoring. A deployment chooses by context, given as
 * `cdk deploy -c name=value` or in cdk.context.json; everything else is set in the settings of the product.
 *
 * | context               | default | meaning |
 * |-----------------------|---------|---------|
 * | `alarmEmail`          | none    | address that receives the alarms; its owner must confirm it once |
 * | `syncIntervalMinutes` | 60      | how often a run is expected to succeed; 0 = no alarm for overdue runs |
 * | `logRetentionDays`    | 30      | how long logs are kept; one of the periods that CloudWatch Logs offers |
 * | `logLevel`            | INFO    | DEBUG, INFO, WARN or ERROR |
 * | `authReservedConcurrency` | none | concurrent logins that Lambda keeps free for the auth function; also its most |
 * | `clientAddressHeader` | none    | header in which a proxy in front of the API passes on the address of the client |
 * | `vpcId`               | none    | put the functions into this VPC, to reach a directory that is not public |
 * | `subnetIds`           | -       | with vpcId: private subnets, separated by commas |
 * | `availabilityZones`   | -       | with vpcId: the zones of these subnets, in the same order |
 * | `directoryPorts`      | 389,636 | with vpcId: ports that the functions may connect to, besides 443 |
 * | `vpcEndpoints`        | true    | with vpcId: create the endpoints for subnets without NAT; false if they exist |
 * | `routeTableIds`       | -       | with vpcEndpoints: route tables of the subnets, for the DynamoDB endpoint |
 */
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { PROXY_SECRET_HEADER } from '../lib/aws/environment.ts';
import { Api } from './api.ts';
import { Auth } from './auth.ts';
import { Console } from './console.ts';
import { readContext } from './context.ts';
import { Dashboard } from './dashboard.ts';
import { Data } from './data.ts';
import { Events } from './events.ts';
import { Monitoring } from './monitoring.ts';
import { createNetwork } from './network.ts';
import { Sync } from './sync.ts';
import { Watch } from './watch.ts';

/** The whole product as one stack. */
export class RollcallStack extends Stack {
  /** @throws Error that names every invalid context value */
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const { alarmEmail, syncIntervalMinutes, vpc, authReservedConcurrency, clientAddressHeader, ...logging } =
      readContext(this.node);

    const network = vpc === undefined ? undefined : createNetwork(this, vpc);
    const monitoring = new Monitoring(this, 'Monitoring', { alarmEmail });
    const data = new Data(this, 'Data');
    const shared = { data, monitoring, defaults: { ...logging, network } };
    const sync = new Sync(this, 'Sync', { ...shared, intervalMinutes: syncIntervalMinutes });
    new Watch(this, 'Watch', { ...shared, sync });
    const auth = new Auth(this, 'Auth', { ...shared, reservedConcurrency: authReservedConcurrency });
    const api = new Api(this, 'Api', { ...shared, sync, clientAddressHeader });
    const pages = new Console(this, 'Console', { ...shared, api });
    const events = new Events(this, 'Events', shared);
    new Dashboard(this, 'Dashboard', { data, sync, auth, api, pages, events, monitoring });

    const output = (name: string, value: string, description: string) =>
      new CfnOutput(this, name, { value, description });
    output('ApiUrl', api.url, 'Address of the administration API.');
    output('AuthFunctionName', auth.handler.functionName, 'Function that the login service invokes.');
    output('AuthFunctionArn', auth.handler.functionArn, 'The login service needs lambda:InvokeFunction on this ARN.');
    output('SyncFunctionName', sync.handler.functionName, 'Function that runs the synchronisation.');
    output('EventBusName', events.bus.eventBusName, 'Event bus: rules on it receive the events.');
    output('UsersTableName', data.users.tableName, 'Table that holds the users.');
    output('AdministratorSecretName', data.administratorSecret.secretName, 'Secret with the first password of admin.');
    if (api.proxySecret !== undefined) {
      output('ProxySecretName', api.proxySecret.secretName, `The proxy sends this secret in ${PROXY_SECRET_HEADER}.`);
    }
  }
}
