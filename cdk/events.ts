/**
 * Events: the bus that others subscribe to, the function that fills it from the streams of the tables, its permissions,
 * the queue for changes that it has given up, and its alarms. Knows no subscribers.
 */
import { Duration } from 'aws-cdk-lib';
import { Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { EventBus } from 'aws-cdk-lib/aws-events';
import { EventSourceMapping, FilterCriteria, FilterRule, StartingPosition } from 'aws-cdk-lib/aws-lambda';
import { SqsDlq } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Construct } from 'constructs';
import { OPERATIONS_PREFIX, RUN_PARTITION } from '../lib/aws/environment.ts';
import { onlyPartitions, type Data } from './data.ts';
import { FailureQueue } from './failure-queue.ts';
import { ProductFunction, type FunctionDefaults } from './function.ts';
import type { Monitoring } from './monitoring.ts';

/** The parts of the stack that events work with. */
export interface EventsProps {
  readonly data: Data;
  readonly monitoring: Monitoring;
  readonly defaults: FunctionDefaults;
}

// Only users have a `listShard`; further addresses, which are in the same table, have none.
const IS_USER = { listShard: { S: FilterRule.exists() } };
const USERS = [{ NewImage: IS_USER }, { OldImage: IS_USER }];
// A run as stored at its end. Leaves out leases, sessions, attempts, lines and marks, and expired items, which have no
// new image.
const FINISHED_RUNS = [
  {
    Keys: { pk: { S: FilterRule.isEqual(RUN_PARTITION) } },
    NewImage: { stage: { S: FilterRule.isEqual('finished') } },
  },
];

/** A stream keeps its records for 24 hours. One hour before that, records that still fail are reported to the queue. */
const RETRIED_FOR = Duration.hours(23);

/** The event bus, the function that fills it, and its alarms. */
export class Events extends Construct {
  readonly handler: ProductFunction;
  readonly bus: EventBus;
  readonly failures: FailureQueue;

  constructor(scope: Construct, id: string, { data, monitoring, defaults }: EventsProps) {
    super(scope, id);
    this.bus = new EventBus(this, 'Bus', { description: 'Rollcall: changes to users, and finished runs.' });
    this.failures = new FailureQueue(this, 'Failures');

    this.handler = new ProductFunction(this, 'Function', {
      // It talks to no directory, so it needs no private network.
      defaults: { ...defaults, network: undefined },
      entry: 'events.ts',
      description: 'Rollcall: publishes changes to users, and finished runs, on the event bus.',
      timeout: Duration.minutes(1),
      environment: { operationsTable: data.operations.tableName, eventBus: this.bus.eventBusName },
    });
    this.handler.allow(['events:PutEvents'], [this.bus.eventBusArn]);
    // In the operations table it reads only rename marks; it knows users from the stream alone.
    this.handler.allow(
      ['dynamodb:BatchGetItem'],
      [data.operations.tableArn],
      onlyPartitions(`${OPERATIONS_PREFIX.renamed}*`),
    );
    this.follow('Users', data.users.tableStreamArn!, USERS);
    this.follow('Runs', data.operations.tableStreamArn!, FINISHED_RUNS);
    this.watch(monitoring);
  }

  /** @see https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html */
  private follow(id: string, streamArn: string, changes: readonly object[]): void {
    this.handler.allow(
      ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator', 'dynamodb:ListStreams'],
      [streamArn],
    );
    new EventSourceMapping(this, id, {
      target: this.handler,
      eventSourceArn: streamArn,
      startingPosition: StartingPosition.TRIM_HORIZON,
      batchSize: 100,
      filters: changes.map((dynamodb) => FilterCriteria.filter({ dynamodb })),
      bisectBatchOnError: true,
      reportBatchItemFailures: true,
      maxRecordAge: RETRIED_FOR,
      onFailure: new SqsDlq(this.failures),
    });
  }

  private watch(monitoring: Monitoring): void {
    monitoring.alarm(this, 'Late', {
      metric: this.handler.metric('IteratorAge', { statistic: Stats.MAXIMUM }),
      threshold: Duration.minutes(15).toMilliseconds(),
      summary: 'Changes to users or runs have been waiting for 15 minutes to become events.',
      article: 'events-are-late',
    });
    monitoring.alarm(this, 'GivenUp', {
      metric: this.failures.metricApproximateNumberOfMessagesVisible({ statistic: Stats.MAXIMUM }),
      summary: 'Changes to users or runs could not be turned into events and are no longer retried.',
      article: 'events-given-up',
    });
    monitoring.alarm(this, 'Throttled', {
      metric: this.handler.metricThrottles(),
      summary: 'Lambda has throttled the events function: events are delayed.',
      article: 'function-throttled',
    });
  }
}
