/**
 * The watch: its function, the schedule of the deployment that starts it every five minutes, its permissions and its
 * alarm. It keeps the schedule of the synchronisation as the settings say, and reports how the synchronisation does.
 */
import { Duration } from 'aws-cdk-lib';
import { ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { CfnSchedule } from 'aws-cdk-lib/aws-scheduler';
import { Construct } from 'constructs';
import { LEASE_KEY, OPERATIONS_PREFIX, RUN_PARTITION } from '../lib/aws/environment.ts';
import { onlyPartitions, type Data } from './data.ts';
import { ProductFunction, type FunctionDefaults } from './function.ts';
import { PERIOD, type Monitoring } from './monitoring.ts';
import { ScheduleRole } from './schedule-role.ts';
import type { Sync } from './sync.ts';

/** The parts of the stack that the watch works with. */
export interface WatchProps {
  readonly data: Data;
  readonly monitoring: Monitoring;
  readonly defaults: FunctionDefaults;
  readonly sync: Sync;
}

/** The watch function, its schedule, and its alarm. */
export class Watch extends Construct {
  readonly handler: ProductFunction;

  constructor(scope: Construct, id: string, { data, monitoring, defaults, sync }: WatchProps) {
    super(scope, id);
    this.handler = new ProductFunction(this, 'Function', {
      // It talks to no directory, so it needs no private network.
      defaults: { ...defaults, network: undefined },
      entry: 'watch.ts',
      description: 'Rollcall: keeps the schedule as the settings say, and reports the health of the synchronisation.',
      timeout: Duration.seconds(30),
      memorySize: 256,
      environment: {
        operationsTable: data.operations.tableName,
        settingsSecret: data.settingsSecret.secretArn,
        ...sync.scheduleEnvironment,
      },
      // The next watch does what this one could not.
      retryAttempts: 0,
      maxEventAge: PERIOD,
    });
    this.handler.allow(['secretsmanager:GetSecretValue'], [data.settingsSecret.secretArn]);
    this.handler.allow(
      ['dynamodb:GetItem', 'dynamodb:Query'],
      [data.operations.tableArn],
      onlyPartitions(RUN_PARTITION, LEASE_KEY.pk, `${OPERATIONS_PREFIX.changes}*`),
    );
    sync.allowSchedule(this.handler);
    const schedule = this.start();

    monitoring.alarm(this, 'Fails', {
      metric: this.handler.metricErrors(),
      evaluationPeriods: 3,
      datapointsToAlarm: 3,
      treatMissingData: TreatMissingData.IGNORE,
      summary:
        'The watch has failed three times in a row: the schedule may differ from the settings, or nobody sees ' +
        'whether runs are overdue.',
      article: 'watch-fails',
    });

    // Lambda reports nothing of a function that nobody invokes. By the dependency, the first invocation, which comes at
    // once, is there before the alarm.
    monitoring
      .alarm(this, 'Silent', {
        metric: this.handler.metricInvocations(),
        evaluationPeriods: 3,
        datapointsToAlarm: 3,
        comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
        treatMissingData: TreatMissingData.BREACHING,
        summary: 'The watch no longer runs: nobody sees whether runs are overdue, and alarms stay as they are.',
        article: 'watch-is-silent',
      })
      .node.addDependency(schedule);
  }

  private start(): CfnSchedule {
    // In the default group, so that the watch goes on if somebody deletes the group of the synchronisation.
    return new CfnSchedule(this, 'Schedule', {
      description: 'Rollcall: starts the watch.',
      state: 'ENABLED',
      scheduleExpression: `rate(${PERIOD.toMinutes()} minutes)`,
      flexibleTimeWindow: { mode: 'OFF' },
      target: {
        arn: this.handler.functionArn,
        roleArn: new ScheduleRole(this, 'ScheduleRole', this.handler).roleArn,
        retryPolicy: { maximumRetryAttempts: 0 },
      },
    });
  }
}
