/**
 * Logins: the function that the login service invokes, its permissions and its alarms. It has no URL; IAM decides who
 * may invoke it.
 */
import { Duration } from 'aws-cdk-lib';
import { MathExpression } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { OPERATIONS_PREFIX, USERS_TABLE } from '../lib/aws/environment.ts';
import { onlyAttributes, onlyPartitions, type Data } from './data.ts';
import { ProductFunction, type FunctionDefaults } from './function.ts';
import { PERIOD, type Monitoring } from './monitoring.ts';

/** The parts of the stack that logins work with. */
export interface AuthProps {
  readonly data: Data;
  readonly monitoring: Monitoring;
  readonly defaults: FunctionDefaults;
  /** Undefined: the function shares the concurrency of the account. */
  readonly reservedConcurrency: number | undefined;
}

/** The function that verifies logins, and its alarms. */
export class Auth extends Construct {
  readonly handler: ProductFunction;

  constructor(scope: Construct, id: string, { data, monitoring, defaults, reservedConcurrency }: AuthProps) {
    super(scope, id);
    this.handler = new ProductFunction(this, 'Function', {
      defaults,
      entry: 'auth.ts',
      description: 'Rollcall: verifies a user name and password.',
      timeout: Duration.seconds(20),
      ...(reservedConcurrency !== undefined && { reservedConcurrentExecutions: reservedConcurrency }),
      environment: {
        usersTable: data.users.tableName,
        operationsTable: data.operations.tableName,
        settingsSecret: data.settingsSecret.secretArn,
      },
    });

    // A login reads one user, stores a DN or a first link, and counts attempts. UpdateItem makes an item where there is
    // none, but without `id` it is nobody: a login can neither create nor delete a user, nor change whose record it is.
    // In the operations table it reaches no session, lease or run. It can claim a directory id, but not read or release
    // one; that it takes none from its owner is up to the condition in its code, which IAM can't demand.
    this.handler.allow(['dynamodb:BatchGetItem'], [data.users.tableArn]);
    this.handler.allow(['dynamodb:UpdateItem'], [data.users.tableArn], onlyAttributes(...USERS_TABLE.loginWrites));
    this.handler.allow(
      ['dynamodb:BatchGetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem'],
      [data.operations.tableArn],
      onlyPartitions(`${OPERATIONS_PREFIX.attempts}*`),
    );
    this.handler.allow(['dynamodb:PutItem'], [data.operations.tableArn], onlyPartitions(`${OPERATIONS_PREFIX.link}*`));
    this.handler.allow(['secretsmanager:GetSecretValue'], [data.settingsSecret.secretArn]);

    monitoring.alarm(this, 'Faults', {
      // Lambda's errors are the faults, the crashes and time-outs, which report nothing, and the malformed events,
      // which are no trouble of ours.
      metric: new MathExpression({
        label: 'faults',
        expression: 'MAX([FILL(faults, 0), FILL(errors, 0) - FILL(malformed, 0)])',
        usingMetrics: {
          faults: monitoring.metric('loginFault', 'Sum'),
          errors: this.handler.metricErrors(),
          malformed: monitoring.metric('loginMalformed', 'Sum'),
        },
        period: PERIOD,
      }),
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
