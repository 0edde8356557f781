/**
 * The synchronisation: its function, the schedule that starts it, the queue of failed starts, its permissions and its
 * alarms.
 */
import { Aws, Duration } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { CfnSchedule, CfnScheduleGroup } from 'aws-cdk-lib/aws-scheduler';
import { Construct } from 'constructs';
import {
  APPROVAL_PARTITION,
  GUARD_PARTITION,
  LEASE_KEY,
  OPERATIONS_PREFIX,
  RUN_PARTITION,
  SYNC_MEMORY_MB,
  syncNodeOptions,
  USERS_TABLE,
} from '../lib/aws/environment.ts';
import { onlyPartitions, type Data } from './data.ts';
import { FailureQueue } from './failure-queue.ts';
import { ProductFunction, type FunctionDefaults } from './function.ts';
import { largerOf, productMetric, type Monitoring } from './monitoring.ts';

/** The parts of the stack that the synchronisation works with. */
export interface SyncProps {
  readonly data: Data;
  readonly monitoring: Monitoring;
  readonly defaults: FunctionDefaults;
}

/** The sync function, its schedule, and its alarms. */
export class Sync extends Construct {
  readonly handler: ProductFunction;
  readonly schedule: CfnSchedule;
  readonly scheduleRole: Role;
  readonly failures: FailureQueue;

  constructor(scope: Construct, id: string, { data, monitoring, defaults }: SyncProps) {
    super(scope, id);

    this.failures = new FailureQueue(this, 'Failures');

    this.handler = new ProductFunction(this, 'Function', {
      defaults,
      entry: 'sync.ts',
      description: 'Rollcall: carries out one synchronisation run.',
      timeout: Duration.minutes(15),
      memorySize: SYNC_MEMORY_MB,
      environment: {
        usersTable: data.users.tableName,
        operationsTable: data.operations.tableName,
        settingsSecret: data.settingsSecret.secretArn,
      },
      // A run that died is never repeated blindly: the next run plans from what is stored.
      retryAttempts: 0,
      maxEventAge: Duration.minutes(15),
      onFailure: new SqsDestination(this.failures),
    });
    this.handler.addEnvironment('NODE_OPTIONS', syncNodeOptions(SYNC_MEMORY_MB));
    this.allowStores(data);

    this.scheduleRole = new Role(this, 'ScheduleRole', {
      assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
      }),
    });
    this.scheduleRole.addToPolicy(
      new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [this.handler.functionArn] }),
    );
    this.scheduleRole.addToPolicy(
      new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [this.failures.queueArn] }),
    );

    // The API changes expression, time zone and state whenever settings are saved, so drift is normal here.
    // CloudFormation leaves the drift alone as long as this resource does not change. A deployment that changes the
    // resource turns the schedule off until settings are saved again; a warning in the settings and the alarm for
    // overdue runs say so.
    this.schedule = new CfnSchedule(this, 'Schedule', {
      groupName: new CfnScheduleGroup(this, 'ScheduleGroup').ref,
      description: 'Rollcall: starts the synchronisation. Change it in the settings of Rollcall.',
      state: 'DISABLED',
      scheduleExpression: 'rate(1 hour)',
      flexibleTimeWindow: { mode: 'OFF' },
      target: {
        arn: this.handler.functionArn,
        roleArn: this.scheduleRole.roleArn,
        input: JSON.stringify({ trigger: 'schedule' }),
        retryPolicy: { maximumRetryAttempts: 2, maximumEventAgeInSeconds: 3600 },
        deadLetterConfig: { arn: this.failures.queueArn },
      },
    });

    this.watch(monitoring);
  }

  private allowStores({ users, operations, settingsSecret }: Data): void {
    this.handler.allow(['dynamodb:Query'], [`${users.tableArn}/index/${USERS_TABLE.listIndex}`]);
    this.handler.allow(
      [
        'dynamodb:BatchGetItem',
        // Before an administrator is disabled or deleted: can another one sign in?
        'dynamodb:Scan',
        'dynamodb:PutItem',
        'dynamodb:DeleteItem',
        'dynamodb:PartiQLInsert',
        'dynamodb:PartiQLDelete',
      ],
      [users.tableArn],
    );
    // No session and no failed login.
    this.handler.allow(
      [
        'dynamodb:GetItem',
        'dynamodb:Query',
        'dynamodb:PutItem',
        'dynamodb:UpdateItem',
        'dynamodb:DeleteItem',
        'dynamodb:ConditionCheckItem',
      ],
      [operations.tableArn],
      onlyPartitions(
        RUN_PARTITION,
        LEASE_KEY.pk,
        GUARD_PARTITION,
        APPROVAL_PARTITION,
        `${OPERATIONS_PREFIX.fence}*`,
        `${OPERATIONS_PREFIX.changes}*`,
        `${OPERATIONS_PREFIX.link}*`,
        `${OPERATIONS_PREFIX.renamed}*`,
      ),
    );
    this.handler.allow(['secretsmanager:GetSecretValue'], [settingsSecret.secretArn]);
  }

  private watch(monitoring: Monitoring): void {
    monitoring.alarm(this, 'RunFailed', {
      metric: largerOf('failed runs', productMetric('runFailed', 'Sum'), this.handler.metricErrors()),
      summary: 'A synchronisation run has failed.',
      article: 'synchronisation-failed',
    });
    monitoring.alarm(this, 'ChangesWithheld', {
      metric: productMetric('withheld', 'Maximum'),
      summary:
        'A run has withheld changes, such as removals, links to new entries and emptied fields. An administrator has ' +
        'to decide.',
      article: 'changes-withheld',
    });
    monitoring.alarm(this, 'StartFailed', {
      metric: this.failures.metricApproximateNumberOfMessagesVisible({ statistic: 'Maximum' }),
      summary: 'A synchronisation run could not be started, or ended without a result.',
      article: 'failed-starts-in-the-queue',
    });
    monitoring.alarm(this, 'Throttled', {
      metric: this.handler.metricThrottles(),
      summary: 'Lambda has throttled the sync function: the start of a run was delayed.',
      article: 'function-throttled',
    });
  }
}
