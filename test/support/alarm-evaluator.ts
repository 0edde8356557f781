/**
 * Evaluates CloudWatch alarms, as a template defines them, over data points: per period a statistic, then M out of N,
 * with missing data as the alarm treats it. Knows the statistics and the metric math that this product uses, and
 * refuses any other. Knows no particular alarm.
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
 */

/** One value of one metric. A dimension's value is text, or a reference of the template. */
export interface DataPoint {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, unknown>>;
  readonly value: number;
  /** Minutes since the beginning of the test. */
  readonly minute: number;
}

export type AlarmState = 'INSUFFICIENT_DATA' | 'OK' | 'ALARM';

interface MetricStat {
  readonly Metric: { readonly Namespace: string; readonly MetricName: string; readonly Dimensions?: Dimensions };
  readonly Period: number;
  readonly Stat: string;
}

type Dimensions = readonly { readonly Name: string; readonly Value: unknown }[];

/** The properties of an AWS::CloudWatch::Alarm. */
export interface AlarmDefinition {
  readonly Namespace?: string;
  readonly MetricName?: string;
  readonly Dimensions?: Dimensions;
  readonly Statistic?: string;
  readonly Period?: number;
  readonly Metrics?: readonly {
    readonly Id: string;
    readonly Expression?: string;
    readonly MetricStat?: MetricStat;
    readonly ReturnData?: boolean;
  }[];
  readonly Threshold: number;
  readonly ComparisonOperator: string;
  readonly EvaluationPeriods: number;
  readonly DatapointsToAlarm?: number;
  readonly TreatMissingData?: string;
}

/** The period of every alarm here, in minutes. */
export const PERIOD_MINUTES = 5;

/** Values from this many periods before count in place of missing ones, before these are treated as the alarm says. */
const LOOKED_BACK = 2;

/** The state of an alarm at the end of each period, up to and with the one that begins at minute `until`. */
export function evaluateAlarm(alarm: AlarmDefinition, points: readonly DataPoint[], until: number): AlarmState[] {
  const states: AlarmState[] = [];
  let state: AlarmState = 'INSUFFICIENT_DATA';
  for (let minute = 0; minute <= until; minute += PERIOD_MINUTES) {
    const starts = Array.from(
      { length: alarm.EvaluationPeriods + LOOKED_BACK },
      (_, back) => minute - back * PERIOD_MINUTES,
    );
    const real = starts
      .map((start) => valueOf(alarm, points, start))
      .filter((value) => value !== null)
      .slice(0, alarm.EvaluationPeriods)
      .map((value) => isBreaching(alarm, value));
    const instead =
      alarm.TreatMissingData === 'notBreaching' ? [false] : alarm.TreatMissingData === 'breaching' ? [true] : [];
    const known = [
      ...real,
      ...instead.flatMap((each) => Array<boolean>(alarm.EvaluationPeriods - real.length).fill(each)),
    ];
    const wanted = alarm.DatapointsToAlarm ?? alarm.EvaluationPeriods;
    if (known.length > 0) state = known.filter(Boolean).length >= wanted ? 'ALARM' : 'OK';
    else if (alarm.TreatMissingData !== 'ignore') state = 'INSUFFICIENT_DATA';
    states.push(state);
  }
  return states;
}

/** Whether the metrics of an alarm include this one. */
export function readsMetric(
  alarm: AlarmDefinition,
  { namespace, name, dimensions }: Omit<DataPoint, 'value' | 'minute'>,
) {
  return statsOf(alarm).some(
    ({ Metric }) =>
      Metric.Namespace === namespace && Metric.MetricName === name && isSame(Metric.Dimensions, dimensions),
  );
}

/** The metrics that an alarm reads. */
export function statsOf(alarm: AlarmDefinition): readonly MetricStat[] {
  if (alarm.Metrics !== undefined) return alarm.Metrics.flatMap(({ MetricStat: stat }) => stat ?? []);
  const { Namespace = '', MetricName = '', Dimensions = [], Statistic = '', Period = 0 } = alarm;
  return [{ Metric: { Namespace, MetricName, Dimensions }, Period, Stat: Statistic }];
}

function isBreaching({ ComparisonOperator, Threshold }: AlarmDefinition, value: number): boolean {
  if (ComparisonOperator === 'GreaterThanOrEqualToThreshold') return value >= Threshold;
  if (ComparisonOperator === 'LessThanThreshold') return value < Threshold;
  throw new TypeError(`this evaluator does not know ${ComparisonOperator}`);
}

function valueOf(alarm: AlarmDefinition, points: readonly DataPoint[], start: number): number | null {
  if (alarm.Metrics === undefined) return aggregate(statsOf(alarm)[0]!, points, start);
  const values = new Map(
    alarm.Metrics.flatMap(({ Id, MetricStat: stat }) => (stat ? [[Id, aggregate(stat, points, start)] as const] : [])),
  );
  const [result, ...more] = alarm.Metrics.filter(({ ReturnData = true }) => ReturnData);
  if (result?.Expression === undefined || more.length > 0) throw new TypeError('an alarm needs one expression');
  return calculate(result.Expression, values);
}

function aggregate({ Metric, Period, Stat }: MetricStat, points: readonly DataPoint[], start: number): number | null {
  if (Period !== PERIOD_MINUTES * 60) throw new TypeError(`this evaluator does not know periods of ${Period} s`);
  const values = points
    .filter(({ minute }) => minute >= start && minute < start + PERIOD_MINUTES)
    .filter(({ namespace, name }) => namespace === Metric.Namespace && name === Metric.MetricName)
    .filter(({ dimensions }) => isSame(Metric.Dimensions, dimensions))
    .map(({ value }) => value);
  if (values.length === 0) return null;
  if (Stat === 'Sum') return values.reduce((sum, value) => sum + value, 0);
  if (Stat === 'Maximum') return Math.max(...values);
  throw new TypeError(`this evaluator does not know the statistic ${Stat}`);
}

/** A metric is found only under exactly the dimensions with which it was reported. */
function isSame(wanted: Dimensions = [], dimensions: DataPoint['dimensions']): boolean {
  const text = (pairs: readonly (readonly [string, unknown])[]) =>
    JSON.stringify(pairs.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return text(wanted.map(({ Name, Value }) => [Name, Value] as const)) === text(Object.entries(dimensions));
}

/** `MAX([...])`, `FILL(metric, number)`, differences and names, as far as one period decides. */
function calculate(expression: string, values: ReadonlyMap<string, number | null>): number | null {
  const tokens = expression.match(/[A-Za-z_]\w*|\d+|[()[\],-]/gu) ?? [];
  let at = 0;
  const take = (token?: string): string => {
    const next = tokens[at++];
    if (next === undefined || (token !== undefined && next !== token)) throw new TypeError(`cannot read ${expression}`);
    return next;
  };
  const term = (): number | null => {
    const name = take();
    if (/^\d/u.test(name)) return Number(name);
    if (name === 'FILL') {
      take('(');
      const value = sum();
      take(',');
      const instead = term();
      take(')');
      return value ?? instead;
    }
    if (name === 'MAX') {
      take('(');
      take('[');
      const all = [sum()];
      while (tokens[at] === ',') {
        take();
        all.push(sum());
      }
      take(']');
      take(')');
      const known = all.filter((each) => each !== null);
      return known.length === 0 ? null : Math.max(...known);
    }
    if (!values.has(name)) throw new TypeError(`${expression} names the unknown metric ${name}`);
    return values.get(name) ?? null;
  };
  function sum(): number | null {
    let left = term();
    while (tokens[at] === '-') {
      take();
      const right = term();
      left = left === null || right === null ? null : left - right;
    }
    return left;
  }
  const result = sum();
  if (at !== tokens.length) throw new TypeError(`cannot read ${expression}`);
  return result;
}
