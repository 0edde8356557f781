/**
 * Runs the product's own functions in a process of their own and reads the lines that they print: the metrics in
 * CloudWatch's embedded format, and the rest. Run as a program, it carries out the steps in its first argument.
 * @see
 *   https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { makeHandler } from '../../functions/auth-handler.ts';
import { recordHealth, recordRun } from '../../functions/telemetry.ts';
import { ServiceError } from '../../lib/errors.ts';
import { newRun } from '../../lib/sync/run.ts';
import type { Run } from '../../lib/sync/run.ts';
import { toPublicUser } from '../../lib/user/user.ts';
import { aUser } from './people.ts';

/** One thing that happens to a function. */
export type Step =
  | {
      readonly kind: 'health';
      readonly linesWaiting: number;
      readonly minutesOverdue: number;
      readonly consecutiveFailures: number;
    }
  | { readonly kind: 'run'; readonly run: Partial<Run> }
  | { readonly kind: 'login'; readonly event: unknown };

/** One metric as printed. */
export interface EmittedMetric {
  readonly namespace: string;
  readonly name: string;
  readonly unit: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A printed line, and the metrics in it. */
export interface EmittedLine {
  /** undefined: the line has none, as lines with metrics. */
  readonly level: string | undefined;
  readonly message: string | undefined;
  readonly metrics: readonly EmittedMetric[];
}

interface EmbeddedLine {
  readonly level?: string;
  readonly message?: string;
  readonly _aws?: {
    readonly CloudWatchMetrics: readonly {
      readonly Namespace: string;
      readonly Dimensions: readonly (readonly string[])[];
      readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[];
    }[];
  };
  readonly [member: string]: unknown;
}

/** What the steps print in an environment such as a function's. */
export function emit(steps: readonly Step[], environment: Readonly<Record<string, string>>): readonly EmittedLine[] {
  const program = fileURLToPath(import.meta.url);
  const output = execFileSync(process.execPath, [program, JSON.stringify(steps)], {
    env: { PATH: process.env.PATH, ...environment },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return output
    .split('\n')
    .filter(Boolean)
    .map((line) => readLine(JSON.parse(line) as EmbeddedLine));
}

function readLine(line: EmbeddedLine): EmittedLine {
  const metrics = (line._aws?.CloudWatchMetrics ?? []).flatMap(({ Namespace, Dimensions, Metrics }) =>
    Dimensions.flatMap((names) =>
      Metrics.flatMap(({ Name, Unit }) =>
        [line[Name]].flat().map((value) => ({
          namespace: Namespace,
          name: Name,
          unit: Unit,
          dimensions: Object.fromEntries(names.map((name) => [name, String(line[name])])),
          value: value as number,
        })),
      ),
    ),
  );
  return { level: line.level, message: line.message, metrics };
}

/** The auth function, except that the password decides what the login comes to. */
const handleLogin = makeHandler({
  takeDirectoryMs: () => 12,
  login: {
    async checkPassword() {
      return { outcome: 'rejected', reason: 'invalidCredentials' };
    },
    async logIn(_userName, password) {
      if (password === 'no directory') throw new ServiceError('directoryUnavailable', 'no server answered');
      if (password === 'no code') throw new TypeError('x is undefined');
      if (password !== 'right') return { outcome: 'rejected', reason: 'invalidCredentials' };
      return { outcome: 'accepted', user: toPublicUser(aUser({})) };
    },
  },
});

async function carryOut(step: Step): Promise<void> {
  if (step.kind === 'health') {
    const { kind: _kind, ...health } = step;
    recordHealth(health);
  } else if (step.kind === 'run') {
    const run = newRun('run-1', { dryRun: false, trigger: 'schedule', requestedBy: null, approves: null }, new Date());
    recordRun({ ...run, ...step.run }, 1_000);
  } else {
    await handleLogin(step.event).catch(() => {});
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const step of JSON.parse(process.argv[2]!) as readonly Step[]) await carryOut(step);
}
