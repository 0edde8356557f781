/**
 * The synchronisation: its function, the group and the role of the schedule that starts it, the queue of failed starts,
 * its permissions and its alarms. The schedule itself is made by the product, so no deployment can switch it off.
 */
import { Duration, Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { CfnScheduleGroup } from 'aws-cdk-lib/aws-scheduler';
import { Construct } from 'constructs';
import {
  APPROVAL_PARTITION,
  GUARD_PARTITION,
  LEASE_KEY,
  OPERATIONS_PREFIX,
  RUN_PARTITION,
  SCHEDULE_NAME,
  SYNC_MEMORY_MB,
  syncNodeOptions,
  USERS_TABLE,
  type EnvironmentName,
} from '../lib/aws/environment.ts';
import { onlyPartitions, type Data } from './data.ts';
import { FailureQueue } from './failure-queue.ts';
import { ProductFunction, type FunctionDefaults } from './function.ts';
import type { Monitoring } from './monitoring.ts';
import { ScheduleRole } from './schedule-role.ts';

/** The parts of the stack that the synchronisation works with. */
export interface SyncProps {
  readonly data: Data;
  readonly monitoring: Monitoring;
  readonly defaults: FunctionDefaults;
}

/** The sync function, the group of its schedule, and its alarms. */
export class Sync extends Construct {
  readonly handler: ProductFunction;
  /** The name of the group. */
  readonly scheduleGroup: string;
  private readonly scheduleRole: ScheduleRole;
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

    this.scheduleRole = new ScheduleRole(this, 'ScheduleRole', this.handler);
    this.scheduleRole.addToPolicy(
      new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [this.failures.queueArn] }),
    );

    this.scheduleGroup = new CfnScheduleGroup(this, 'ScheduleGroup').ref;

    this.addAlarms(monitoring);
  }

  /** The variables of a function that sets the schedule. */
  get scheduleEnvironment(): Partial<Record<EnvironmentName, string>> {
    return {
      scheduleGroup: this.scheduleGroup,
      scheduleRole: this.scheduleRole.roleArn,
      scheduleFailures: this.failures.queueArn,
      syncFunction: this.handler.functionArn,
    };
  }

  /** Permits a function to set the schedule, and to give it its role. */
  allowSchedule(handler: ProductFunction): void {
    const schedule = {
      service: 'scheduler',
      resource: 'schedule',
      resourceName: `${this.scheduleGroup}/${SCHEDULE_NAME}`,
    };
    handler.allow(
      ['scheduler:GetSchedule', 'scheduler:CreateSchedule', 'scheduler:UpdateSchedule'],
      [Stack.of(this).formatArn(schedule)],
    );
    handler.allow(['iam:PassRole'], [this.scheduleRole.roleArn], {
      StringEquals: { 'iam:PassedToService': 'scheduler.amazonaws.com' },
    });
  }

  private allowStores({ users, operations, settingsSecret }: Data): void {
    this.handler.allow(
      ['dynamodb:Query'],
      // The second: before an administrator is disabled or deleted, can another one sign in?
      [USERS_TABLE.listIndex, USERS_TABLE.administratorIndex].map((index) => `${users.tableArn}/index/${index}`),
    );
    this.handler.allow(
      [
        'dynamodb:BatchGetItem',
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

  private addAlarms(monitoring: Monitoring): void {
    monitoring.stateAlarm(this, 'RunsFail', {
      metric: monitoring.metric('consecutiveFailures', 'Maximum'),
      threshold: 2,
      summary: 'Two or more synchronisation runs in a row have failed.',
      article: 'synchronisation-fails',
    });
    monitoring.stateAlarm(this, 'RunOverdue', {
      metric: monitoring.metric('minutesOverdue', 'Maximum'),
      summary: 'No synchronisation run has succeeded for too long, by the schedule.',
      article: 'synchronisation-overdue',
    });
    monitoring.stateAlarm(this, 'LinesWaiting', {
      metric: monitoring.metric('linesWaiting', 'Maximum'),
      summary:
        'The last run has withheld changes, such as removals, links to new entries and emptied fields. An ' +
        'administrator has to decide.',
      article: 'changes-wait-for-a-decision',
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
