/**
 * The alarm topic, the one way to make an alarm, and the product's own metrics by name. Every alarm links to its
 * article in docs/runbook.md. Knows nothing of what is watched.
 */
import { Aws, Duration } from 'aws-cdk-lib';
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
import { METRICS, METRICS_NAMESPACE, METRICS_SERVICE } from '../lib/aws/environment.ts';

/** One metric of the product, in periods of five minutes by default. */
export function productMetric(name: keyof typeof METRICS, statistic: string, period = Duration.minutes(5)): Metric {
  return new Metric({
    namespace: METRICS_NAMESPACE,
    metricName: METRICS[name],
    dimensionsMap: { service: METRICS_SERVICE },
    statistic,
    period,
  });
}

/** The larger of two counts; a count without data is 0. */
export function largerOf(label: string, one: IMetric, other: IMetric): MathExpression {
  return new MathExpression({
    label,
    expression: 'MAX([FILL(one, 0), FILL(other, 0)])',
    usingMetrics: { one, other },
    period: Duration.minutes(5),
  });
}

/** One alarm: its metric, its texts, and CloudWatch options that replace the defaults. */
export interface AlarmProps extends Partial<CreateAlarmOptions> {
  readonly metric: IMetric;
  /** One sentence that says what has happened. */
  readonly summary: string;
  /** Heading of the article in docs/runbook.md, as GitHub writes it in links. */
  readonly article: string;
}

/** The alarm topic. Make every alarm with `alarm`. */
export class Monitoring extends Construct {
  readonly alarms: Alarm[] = [];
  private readonly topic: Topic;

  constructor(scope: Construct, id: string, { alarmEmail }: { readonly alarmEmail: string | undefined }) {
    super(scope, id);
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

  /**
   * Makes an alarm that by default goes off at one occurrence within a period. It notifies the topic when it goes off
   * and when it is over.
   */
  alarm(scope: Construct, id: string, { summary, article, ...props }: AlarmProps): void {
    const alarm = new Alarm(scope, id, {
      threshold: 1,
      evaluationPeriods: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      alarmDescription: `${summary} What to do: docs/runbook.md#${article}`,
      ...props,
    });
    const action = new SnsAction(this.topic);
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
    this.alarms.push(alarm);
  }
}
