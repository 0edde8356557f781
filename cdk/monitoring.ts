/**
 * The alarm topic, the one way alarms are made, and the product's own metrics by name. Every alarm leads to its article in
 * docs/runbook.md. Knows nothing of what is watched.
 */
import { Duration } from 'aws-cdk-lib';
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
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import { METRICS, METRICS_NAMESPACE, METRICS_SERVICE } from '../lib/aws/environment.ts';

/** One metric of the product, in five-minute periods unless told otherwise. */
export function productMetric(name: keyof typeof METRICS, statistic: string, period = Duration.minutes(5)): Metric {
  return new Metric({
    namespace: METRICS_NAMESPACE,
    metricName: METRICS[name],
    dimensionsMap: { service: METRICS_SERVICE },
    statistic,
    period,
  });
}

/** The larger of two counts; one that nobody has reported counts as 0. */
export function largerOf(label: string, one: IMetric, other: IMetric): MathExpression {
  return new MathExpression({
    label,
    expression: 'MAX([FILL(one, 0), FILL(other, 0)])',
    usingMetrics: { one, other },
    period: Duration.minutes(5),
  });
}

export interface AlarmProps extends Partial<CreateAlarmOptions> {
  readonly metric: IMetric;
  /** What has happened, one sentence. */
  readonly summary: string;
  /** Heading of its article in docs/runbook.md, as GitHub writes it into links. */
  readonly article: string;
}

export class Monitoring extends Construct {
  readonly alarms: Alarm[] = [];
  private readonly topic: Topic;

  constructor(scope: Construct, id: string, { alarmEmail }: { readonly alarmEmail: string | undefined }) {
    super(scope, id);
    this.topic = new Topic(this, 'Alarms', { displayName: 'Rollcall alarms', enforceSSL: true });
    if (alarmEmail !== undefined) this.topic.addSubscription(new EmailSubscription(alarmEmail));
  }

  /** An alarm that goes off at one occurrence within a period and tells the topic, also when it is over. */
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
