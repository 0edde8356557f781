/**
 * Every alarm of the template over data points of real lines: the product's metrics as its functions print them, and
 * AWS's own under the dimensions that AWS documents. An alarm without a scenario fails.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { METRICS, METRICS_NAMESPACE } from '../../lib/aws/metrics.ts';
import { evaluateAlarm, PERIOD_MINUTES, readsMetric, statsOf } from '../support/alarm-evaluator.ts';
import type { AlarmDefinition, AlarmState, DataPoint } from '../support/alarm-evaluator.ts';
import { emit } from '../support/emitted-metrics.ts';
import type { Step } from '../support/emitted-metrics.ts';
import { synthesize } from './templates/check.ts';
import type { StackTemplate } from './templates/check.ts';

/**
 * AWS's own metrics, with the one dimension under which an alarm finds them, and the type of resource that it names.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
 * @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
 * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
 */
const AWS_METRICS = {
  'AWS/Lambda': {
    dimension: 'FunctionName',
    type: 'AWS::Lambda::Function',
    names: ['Errors', 'Throttles', 'IteratorAge', 'Invocations'],
  },
  'AWS/SQS': { dimension: 'QueueName', type: 'AWS::SQS::Queue', names: ['ApproximateNumberOfMessagesVisible'] },
  'AWS/ApiGateway': { dimension: 'ApiId', type: 'AWS::ApiGatewayV2::Api', names: ['5xx'] },
} as const;

/** Something that happens within a period: a step of our own functions, or a value of a metric of AWS. */
type Happening = Step | { readonly kind: 'aws'; readonly name: string; readonly value: number; readonly of?: string };

const health = (over: Partial<Extract<Step, { kind: 'health' }>>): Step => ({
  kind: 'health',
  linesWaiting: 0,
  minutesOverdue: 0,
  consecutiveFailures: 0,
  ...over,
});
const login = (password: string): Step => ({ kind: 'login', event: { userName: 'ada', password } });
const aws = (name: string, value: number, of?: string): Happening => ({ kind: 'aws', name, value, ...(of && { of }) });
const times = (count: number, ...happenings: Happening[]): Happening[] =>
  Array.from({ length: count }, () => happenings).flat();

interface Scenario {
  /** A period in trouble. */
  readonly trouble: readonly Happening[];
  /** Periods, one by one, that look like trouble and are none. */
  readonly calm: readonly (readonly Happening[])[];
  /** The period with which the trouble is over at once: a report that says so. Default: half an hour of quiet. */
  readonly end?: readonly Happening[];
  /** Periods of trouble until the alarm fires; 1 by default. */
  readonly after?: number;
}

const WITHOUT_REPORT: readonly Happening[] = [];
const throttled = (of: string): Scenario => ({ trouble: [aws('Throttles', 1, of)], calm: [[aws('Errors', 9, of)]] });

/** By the construct's name and the alarm's. */
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  SyncRunsFail: {
    trouble: [health({ consecutiveFailures: 2 })],
    calm: [[health({ consecutiveFailures: 1 })], [{ kind: 'run', run: { status: 'failed' } }], WITHOUT_REPORT],
    end: [health({})],
  },
  SyncRunOverdue: {
    trouble: [health({ minutesOverdue: 1 })],
    calm: [[health({})], [{ kind: 'run', run: { status: 'partial' } }], WITHOUT_REPORT],
    end: [health({})],
  },
  SyncLinesWaiting: {
    trouble: [health({ linesWaiting: 7 })],
    calm: [[health({})], [{ kind: 'run', run: { status: 'succeeded', dryRun: true } }], WITHOUT_REPORT],
    end: [health({})],
  },
  SyncStartFailed: { trouble: [aws('ApproximateNumberOfMessagesVisible', 1, 'Sync')], calm: [WITHOUT_REPORT] },
  SyncThrottled: throttled('Sync'),
  AuthFaults: {
    trouble: times(3, login('no directory'), aws('Errors', 1, 'Auth')),
    calm: [
      times(2, login('no directory'), aws('Errors', 1, 'Auth')),
      times(50, login('wrong')),
      times(50, login('right')),
      // The login service sends rubbish: errors for Lambda, no trouble of ours.
      times(50, { kind: 'login', event: null }, aws('Errors', 1, 'Auth')),
    ],
  },
  AuthThrottled: throttled('Auth'),
  ApiServerErrors: { trouble: [aws('5xx', 1)], calm: [WITHOUT_REPORT] },
  ApiThrottled: throttled('Api'),
  EventsLate: { trouble: [aws('IteratorAge', 900_000, 'Events')], calm: [[aws('IteratorAge', 899_000, 'Events')]] },
  EventsGivenUp: { trouble: [aws('ApproximateNumberOfMessagesVisible', 1, 'Events')], calm: [WITHOUT_REPORT] },
  EventsThrottled: throttled('Events'),
  WatchFails: {
    trouble: [aws('Errors', 1, 'Watch')],
    calm: [[aws('Errors', 0, 'Watch')], WITHOUT_REPORT, [aws('Errors', 1, 'Watch')], [aws('Errors', 0, 'Watch')]],
    after: 3,
  },
  WatchSilent: {
    trouble: WITHOUT_REPORT,
    calm: [[aws('Invocations', 1, 'Watch')]],
    end: [aws('Invocations', 1, 'Watch')],
    // CloudWatch looks back five periods for a value.
    after: 5,
  },
};

const STACK = synthesize({});

function alarmsOf({ Resources }: StackTemplate): Map<string, AlarmDefinition & { readonly AlarmDescription: string }> {
  const alarms = Object.entries(Resources).filter(([, { Type }]) => Type === 'AWS::CloudWatch::Alarm');
  return new Map(alarms.map(([id, { Properties }]) => [id.replace(/[0-9A-F]{8}$/, ''), Properties as never]));
}

const alarms = alarmsOf(STACK.template);

function pointsOf(happening: Happening, minute: number, stack = STACK): DataPoint[] {
  if (happening.kind !== 'aws') return emittedBy(happening, stack.stackName).map((metric) => ({ ...metric, minute }));
  const { name, value, of = '' } = happening;
  const [namespace, { dimension, type }] = Object.entries(AWS_METRICS).find(([, { names }]) =>
    names.some((each) => each === name),
  )!;
  const [id] = Object.entries(stack.template.Resources).find(([id, { Type }]) => Type === type && id.startsWith(of))!;
  const reference = type === 'AWS::SQS::Queue' ? { 'Fn::GetAtt': [id, 'QueueName'] } : { Ref: id };
  return [{ namespace, name, dimensions: { [dimension]: reference }, value, minute }];
}

const emitted = new Map<string, ReturnType<typeof emit>[number]['metrics']>();

function emittedBy(step: Step, service: string) {
  const key = JSON.stringify([step, service]);
  if (!emitted.has(key)) {
    const lines = emit([step], { POWERTOOLS_SERVICE_NAME: service });
    emitted.set(
      key,
      lines.flatMap(({ metrics }) => metrics),
    );
  }
  return emitted.get(key)!;
}

/** The states of an alarm at the end of each period in which this happens. */
function run(name: string, periods: readonly (readonly Happening[])[], stack = STACK): AlarmState[] {
  const points = periods.flatMap((happenings, index) =>
    happenings.flatMap((happening) => pointsOf(happening, index * PERIOD_MINUTES, stack)),
  );
  return evaluateAlarm(alarms.get(name)!, points, (periods.length - 1) * PERIOD_MINUTES);
}

test('every alarm has a scenario, and every scenario an alarm', () => {
  expect([...alarms.keys()].sort()).toEqual(Object.keys(SCENARIOS).sort());
});

describe.each(Object.entries(SCENARIOS))('%s', (name, { trouble, calm, end, after = 1 }) => {
  test('is silent before anything happens, and at what only looks like trouble', () => {
    // Only silence itself is trouble before anything has happened.
    if (trouble.length > 0) expect(run(name, [[], [], [], [], [], []])).not.toContain('ALARM');
    if (after === 1) for (const period of calm) expect(run(name, [period, period, period])).not.toContain('ALARM');
    expect(run(name, calm)).not.toContain('ALARM');
  });

  test('fires as soon as it should, lasts as long as the trouble, and ends', () => {
    const quiet = end === undefined ? [calm.at(0) ?? [], [], [], [], []] : [end];
    const states = run(name, [...calm, ...Array.from({ length: 6 }, () => trouble), ...quiet]);

    const during = states.slice(calm.length, calm.length + 6);
    expect(during.slice(0, after - 1)).not.toContain('ALARM');
    expect(during.slice(after - 1)).toEqual(during.slice(after - 1).map(() => 'ALARM'));
    expect(states.at(-1)).toBe('OK');
  });

  test('is one alarm, without an all-clear in between, while the trouble comes and goes or nothing is reported', () => {
    const pause = WITHOUT_REPORT;
    const begun = Array.from({ length: after }, () => trouble);
    const states = run(name, [...begun, pause, trouble, ...(after === 1 ? [pause, pause, trouble] : [])]);

    expect(states.slice(after - 1)).toEqual(states.slice(after - 1).map(() => 'ALARM'));
  });
});

const REPORTED = Object.entries(SCENARIOS).filter(([, { trouble }]) => trouble.some(({ kind }) => kind !== 'aws'));

test.each(REPORTED)('%s hears nothing of another stack', (name, { trouble }) => {
  const other = synthesize({ stage: 'other' });
  const points = trouble.filter(({ kind }) => kind !== 'aws').flatMap((happening) => pointsOf(happening, 0, other));

  expect(points).not.toEqual([]);
  expect(evaluateAlarm(alarms.get(name)!, points, 0)).not.toContain('ALARM');
});

test('a crash or a time-out of the auth function counts, although it reports nothing, among malformed events too', () => {
  const malformed: Happening[] = times(5, { kind: 'login', event: {} }, aws('Errors', 1, 'Auth'));

  expect(run('AuthFaults', [times(3, aws('Errors', 1, 'Auth'))])).toEqual(['ALARM']);
  expect(run('AuthFaults', [[...malformed, ...times(3, aws('Errors', 1, 'Auth'))]])).toEqual(['ALARM']);
  expect(run('AuthFaults', [times(3, login('no code'), aws('Errors', 1, 'Auth'))])).toEqual(['ALARM']);
});

test('alarms read metrics that the table names, under this stack’s name, or that AWS documents', () => {
  for (const alarm of alarms.values()) {
    for (const { Metric } of statsOf(alarm)) {
      if (Metric.Namespace === METRICS_NAMESPACE) {
        expect(Object.values(METRICS).map(({ name }) => name)).toContain(Metric.MetricName);
        expect(Metric.Dimensions).toEqual([{ Name: 'service', Value: 'Rollcall' }]);
      } else {
        const { names, dimension } = AWS_METRICS[Metric.Namespace as keyof typeof AWS_METRICS];
        expect(names).toContain(Metric.MetricName);
        expect(Metric.Dimensions?.map(({ Name }) => Name)).toEqual([dimension]);
      }
    }
  }
});

test('the functions emit the metrics of the table alone, with its units and dimensions, and all that alarms read', () => {
  const totals = { created: 1, updated: 1, renamed: 1, linked: 1, disabled: 1, enabled: 1, deleted: 1 };
  const rest = { unchanged: 1, skipped: 1, conflict: 1, withheld: 1 };
  const runs = (['succeeded', 'partial', 'failed'] as const).map((status): Step => ({
    kind: 'run',
    run: { status, totals: { ...totals, ...rest } },
  }));
  const logins = ['right', 'wrong', 'no directory'].map(login);
  const lines = emit([health({}), ...runs, ...logins, { kind: 'login', event: 1 }], {
    POWERTOOLS_SERVICE_NAME: 'Rollcall',
  });
  const metrics = lines.flatMap((line) => line.metrics);

  expect(new Set(metrics.map(({ name }) => name))).toEqual(new Set(Object.values(METRICS).map(({ name }) => name)));
  for (const metric of metrics) {
    const definition = Object.values(METRICS).find(({ name }) => name === metric.name)!;
    const further: readonly string[] = 'dimensions' in definition ? definition.dimensions : [];
    expect(metric).toMatchObject({ namespace: METRICS_NAMESPACE, unit: definition.unit });
    expect(Object.keys(metric.dimensions).sort()).toEqual(['service', ...further].sort());
  }
  for (const alarm of alarms.values()) {
    for (const { Metric } of statsOf(alarm).filter(({ Metric }) => Metric.Namespace === METRICS_NAMESPACE)) {
      expect(metrics.some((metric) => metric.name === Metric.MetricName && readsMetric(alarm, metric))).toBe(true);
    }
  }
});

describe.each(['DEBUG', 'INFO', 'WARN', 'ERROR'])('at the log level %s', (logLevel) => {
  const { template } = synthesize({ logLevel });
  const functions = Object.values(template.Resources).filter(({ Type }) => Type === 'AWS::Lambda::Function');

  test('the functions print metrics, and Lambda passes on every line', () => {
    const steps = [health({}), login('no directory'), login('wrong')];
    const lines = emit(steps, { POWERTOOLS_SERVICE_NAME: 'Rollcall', LOG_LEVEL: logLevel });

    expect(lines.flatMap(({ metrics }) => metrics.map(({ name }) => name))).toEqual(
      expect.arrayContaining(['LinesWaiting', 'LoginFault', 'LoginRejected']),
    );
    const rank = ['DEBUG', 'INFO', 'WARN', 'ERROR'];
    for (const { level } of lines.filter(({ metrics }) => metrics.length === 0)) {
      expect(rank.indexOf(level!)).toBeGreaterThanOrEqual(rank.indexOf(logLevel));
    }
    // Lambda takes a line without a level for INFO.
    for (const { Properties } of functions) {
      const { ApplicationLogLevel } = Properties!.LoggingConfig as { ApplicationLogLevel: string };
      expect(['DEBUG', 'INFO']).toContain(ApplicationLogLevel);
      expect((Properties!.Environment as { Variables: object }).Variables).toMatchObject({ LOG_LEVEL: logLevel });
    }
  });
});

describe('the runbook', () => {
  const articles = new Map(
    readFileSync(new URL('../../docs/runbook.md', import.meta.url), 'utf8')
      .split(/^## /m)
      .slice(1)
      .map((text) => [text.split('\n', 1)[0]!.toLowerCase().replaceAll(' ', '-'), text]),
  );
  const linked = [...alarms].map(([name, { AlarmDescription }]) => [
    name,
    AlarmDescription.replace(/.*runbook[.]md#/, ''),
  ]);

  test.each(linked)('%s leads to the article %s, which describes, investigates and resolves', (_name, article) => {
    expect(articles.get(article)).toMatch(/\*\*Description\.\*\*[^]+\*\*Investigation\.\*\*[^]+\*\*Resolution\.\*\*/);
  });

  test('every article belongs to an alarm, or says that none reports it', () => {
    for (const [name, text] of articles) {
      if (!linked.some(([, article]) => article === name)) expect(text).toContain('No alarm reports this.');
    }
  });
});
