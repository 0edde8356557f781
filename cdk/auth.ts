/** Logins: the function that the login service invokes, and its alarms. It has no address; who may invoke it is up to IAM. */
import { Duration } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { OPERATIONS_PREFIX } from '../lib/aws/environment.ts';
import type { Data } from './data.ts';
import { ProductFunction, type FunctionDefaults } from './function.ts';
import { largerOf, productMetric, type Monitoring } from './monitoring.ts';

export interface AuthProps {
  readonly data: Data;
  readonly monitoring: Monitoring;
  readonly defaults: FunctionDefaults;
}

export class Auth extends Construct {
  readonly handler: ProductFunction;

  constructor(scope: Construct, id: string, { data, monitoring, defaults }: AuthProps) {
    super(scope, id);
    this.handler = new ProductFunction(this, 'Function', {
      defaults,
      entry: 'auth.ts',
      description: 'Rollcall: verifies a user name and password.',
      timeout: Duration.seconds(20),
      environment: {
        usersTable: data.users.tableName,
        operationsTable: data.operations.tableName,
        settingsSecret: data.settingsSecret.secretArn,
      },
    });

    // A login reads one user, remembers a DN, counts attempts. It can't create or delete a user, and of the operations it
    // reaches the attempts alone: no session, no lease, no run.
    this.handler.allow(['dynamodb:BatchGetItem', 'dynamodb:UpdateItem'], [data.users.tableArn]);
    this.handler.allow(
      ['dynamodb:BatchGetItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem'],
      [data.operations.tableArn],
      { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [`${OPERATIONS_PREFIX.attempts}*`] } },
    );
    this.handler.allow(['secretsmanager:GetSecretValue'], [data.settingsSecret.secretArn]);

    monitoring.alarm(this, 'Faults', {
      metric: largerOf('faults', productMetric('loginFault', 'Sum'), this.handler.metricErrors()),
      threshold: 3,
      summary: 'Logins fail because the directory or a store does not answer.',
      article: 'logins-fail',
    });
    monitoring.alarm(this, 'Throttled', {
      metric: this.handler.metricThrottles(),
      summary: 'Lambda has throttled the auth function: some logins were not verified.',
      article: 'function-throttled',
    });
  }
}
