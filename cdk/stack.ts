/**
 * The stack: data, the functions, their network and their monitoring. What a deployment may choose is context, given
 * as `cdk deploy -c name=value` or in cdk.context.json; everything else that can be set is in the product's own settings.
 *
 * | context               | default | meaning |
 * |-----------------------|---------|---------|
 * | `alarmEmail`          | none    | address that the alarm topic writes to (it must be confirmed once) |
 * | `syncIntervalMinutes` | 60      | how often a run is expected to succeed; 0 = no alarm for overdue runs |
 * | `logRetentionDays`    | 30      | how long logs are kept; one of the lengths CloudWatch Logs offers |
 * | `logLevel`            | INFO    | DEBUG, INFO, WARN or ERROR |
 * | `vpcId`               | none    | put the functions into this VPC, to reach a directory that is not public |
 * | `subnetIds`           | -       | with vpcId: private subnets, separated by commas |
 * | `availabilityZones`   | -       | with vpcId: the zones of these subnets, in their order |
 * | `directoryPorts`      | 389,636 | with vpcId: ports the functions may connect to, besides 443 |
 * | `vpcEndpoints`        | true    | with vpcId: create the endpoints that subnets without NAT need; false where they exist |
 * | `routeTableIds`       | -       | with vpcEndpoints: the subnets' route tables, for the gateway endpoint of DynamoDB |
 */
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
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

export class RollcallStack extends Stack {
  /** @throws Error that names every context value that can't be used */
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const { alarmEmail, syncIntervalMinutes, vpc, ...logging } = readContext(this.node);

    const network = vpc === undefined ? undefined : createNetwork(this, vpc);
    const monitoring = new Monitoring(this, 'Monitoring', { alarmEmail });
    const data = new Data(this, 'Data');
    const shared = { data, monitoring, defaults: { ...logging, network } };
    const sync = new Sync(this, 'Sync', { ...shared, intervalMinutes: syncIntervalMinutes });
    const auth = new Auth(this, 'Auth', shared);
    const api = new Api(this, 'Api', { ...shared, sync });
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
  }
}
