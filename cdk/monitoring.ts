/**
 * The alarm topic, the ways to make an alarm, and the product's own metrics by name. Every alarm links to its
 * article in docs/runbook.md. Knows nothing of what is watched.
 */
import { Aws, Duration, Stack } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  MathExpression,
  Metric,
  TreatMissingData,
  type CreateAlarmOptions,
  type IMetric,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import { METRICS, METRICS_NAMESPACE, type MetricName } from '../lib/aws/metrics.ts';

/** One alarm: its metric, its texts, and CloudWatch options that replace the defaults. */
export interface AlarmProps extends Partial<CreateAlarmOptions> {
  readonly metric: IMetric;
  /** One sentence that says what has happened. */
  readonly summary: string;
  /** Heading of the article in docs/runbook.md, as GitHub writes it in links. */
  readonly article: string;
}

/** The period of all metrics here: that of the watch. CloudWatch keeps it for 63 days. */
export const PERIOD = Duration.minutes(5);

/** The alarm topic and the product's own metrics. Make every alarm with `alarm` or `stateAlarm`. */
export class Monitoring extends Construct {
  readonly alarms: Alarm[] = [];
  private readonly topic: Topic;
  private readonly service: string;

  constructor(scope: Construct, id: string, { alarmEmail }: { readonly alarmEmail: string | undefined }) {
    super(scope, id);
    this.service = Stack.of(this).stackName;
    this.topic = new Topic(this, 'Alarms', { displayName: 'Rollcall alarms', enforceSSL: true });
    // The policy that demands TLS replaces SNS's own one, which lets the account's alarms publish.
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    this.topic.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [this.topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
      }),
    );
    if (alarmEmail !== undefined) this.topic.addSubscription(new EmailSubscription(alarmEmail));
  }

  /** One metric of this stack. */
  metric(name: MetricName, statistic: string): Metric {
    return new Metric({
      namespace: METRICS_NAMESPACE,
      metricName: METRICS[name].name,
      dimensionsMap: { service: this.service },
      statistic,
      period: PERIOD,
    });
  }

  /** A metric of this stack that has a further dimension: a line of a graph for each of its values. Not for alarms. */
  metricByDimension(name: MetricName, dimension: string, statistic: string): MathExpression {
    const metric = `MetricName="${METRICS[name].name}" service="${this.service}"`;
    const schema = `{${METRICS_NAMESPACE},service,${dimension}}`;
    return new MathExpression({
      expression: `SEARCH('${schema} ${metric}', '${statistic}', ${PERIOD.toSeconds()})`,
      label: `${METRICS[name].name} \${PROP('Dim.${dimension}')}`,
      period: PERIOD,
    });
  }

  /**
   * Makes an alarm. By default it goes off at one occurrence, and is over when none has followed for 15 minutes or
   * more: trouble that comes and goes is one alarm, and no message says in between that all is well. It notifies the
   * topic when it goes off and when it is over.
   */
  alarm(scope: Construct, id: string, { summary, article, ...props }: AlarmProps): Alarm {
    const alarm = new Alarm(scope, id, {
      threshold: 1,
      evaluationPeriods: 3,
      datapointsToAlarm: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      alarmDescription: `${summary} What to do: docs/runbook.md#${article}`,
      ...props,
    });
    const action = new SnsAction(this.topic);
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
    this.alarms.push(alarm);
    return alarm;
  }

  /**
   * Makes an alarm on a state that a function reports all the time: it is on for as long as the state lasts. While
   * nothing is reported, it stays as it is: other alarms tell when the report fails or stays away, and before a
   * directory is configured there is nothing to report.
   */
  stateAlarm(scope: Construct, id: string, props: AlarmProps): void {
    this.alarm(scope, id, {
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.IGNORE,
      ...props,
    });
  }
}
