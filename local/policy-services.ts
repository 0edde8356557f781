/**
 * What requests to Secrets Manager, EventBridge, Scheduler and Lambda ask of IAM: actions, resources and condition
 * keys. Knows no policies. The sources, as `list_<service>.html` of
 * https://docs.aws.amazon.com/service-authorization/latest/reference/:
 * - awssecretsmanager: the action is named like the operation; the resource is the secret, by its full ARN even if the
 *   request names it otherwise. AWS ends that ARN with six characters of its own; here they are always SUFFIX.
 * - amazoneventbridge: `events:PutEvents` on the bus of each entry.
 * - amazoneventbridgescheduler: GetSchedule, UpdateSchedule and CreateSchedule on the schedule. Whoever gives a
 *   schedule its role also needs `iam:PassRole` on it, with `iam:PassedToService`:
 *   https://docs.aws.amazon.com/scheduler/latest/UserGuide/security_iam_id-based-policies.html
 * - awslambda: Invoke needs `lambda:InvokeFunction` on the function:
 *   https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
 *
 * Unverified: whether AWS knows schedules as resources. The reference says so, and so do AWS's refusals; a page of the
 * user guide says that a policy can name schedule groups only.
 */
import { findFunction, INVOKE_PATH } from './lambda-endpoint.ts';
import type { Call, RequestContext } from './policy-language.ts';
import { LOCAL_ACCOUNT, LOCAL_REGION, type LocalFunction } from './template.ts';

/** Stands for the six characters at the end of a secret's ARN. */
const SUFFIX = 'AbCdEf';
const SECRET_ARN = /^arn:aws:secretsmanager:[^:]*:\d*:secret:(.+)-.{6}$/u;
const SCHEDULE_PATH = /^\/schedules\/([^/]+)$/u;
const SCHEDULE_ACTIONS: Readonly<Record<string, string>> = {
  GET: 'GetSchedule',
  POST: 'CreateSchedule',
  PUT: 'UpdateSchedule',
};

/** An HTTP request, its body read. */
export interface ServiceRequest {
  readonly method: string;
  readonly url: URL;
  /** The header X-Amz-Target, which names the operation in the protocols that have one. */
  readonly target: string;
  readonly body: Buffer;
}

/** Reads a request; null if its form is unknown here, so that nobody can say what it needs. */
export type ServiceReader = (request: ServiceRequest) => readonly Call[] | null;

/** The ARN of something on this machine; `name` begins with its kind, such as `secret:`. IAM has no regions. */
export function localArn(service: string, name: string): string {
  return `arn:aws:${service}:${service === 'iam' ? '' : LOCAL_REGION}:${LOCAL_ACCOUNT}:${name}`;
}

/** The ARN of a secret, by its name. */
export function secretArn(name: string): string {
  return localArn('secretsmanager', `secret:${name}-${SUFFIX}`);
}

/** Reads requests to Secrets Manager. */
export const readSecretsManager: ServiceReader = ({ target, body }) => {
  const operation = /^secretsmanager\.(\w+)$/u.exec(target)?.[1];
  const { SecretId, Name } = parse(body) as { SecretId?: string; Name?: string };
  const secret = SecretId ?? Name;
  if (operation === undefined || secret === undefined) return null;
  return [call(`secretsmanager:${operation}`, secretArn(SECRET_ARN.exec(secret)?.[1] ?? secret))];
};

/** Reads requests to EventBridge. */
export const readEventBridge: ServiceReader = ({ target, body }) => {
  const { Entries } = parse(body) as { Entries?: { EventBusName?: string }[] };
  if (target !== 'AWSEvents.PutEvents' || Entries === undefined) return null;
  const buses = new Set(Entries.map(({ EventBusName = 'default' }) => EventBusName.split('event-bus/').at(-1)!));
  return [...buses].map((bus) => call('events:PutEvents', localArn('events', `event-bus/${bus}`)));
};

/** Reads requests to Scheduler. */
export const readScheduler: ServiceReader = ({ method, url, body }) => {
  const name = SCHEDULE_PATH.exec(url.pathname)?.[1];
  const action = SCHEDULE_ACTIONS[method];
  if (name === undefined || action === undefined) return null;
  const { GroupName, Target } = parse(body) as { GroupName?: string; Target?: { RoleArn?: string } };
  const group = GroupName ?? url.searchParams.get('groupName') ?? 'default';
  const schedule = localArn('scheduler', `schedule/${group}/${decodeURIComponent(name)}`);
  const passed = Target?.RoleArn;
  return [
    call(`scheduler:${action}`, schedule),
    ...(passed === undefined
      ? []
      : [call('iam:PassRole', passed, { 'iam:PassedToService': ['scheduler.amazonaws.com'] })]),
  ];
};

/** Reads invocations of these functions. */
export function createLambdaReader(functions: readonly Pick<LocalFunction, 'name' | 'alias' | 'arn'>[]): ServiceReader {
  return ({ url }) => {
    const asked = INVOKE_PATH.exec(url.pathname)?.[1];
    if (asked === undefined) return null;
    const found = findFunction(functions, asked);
    return [call('lambda:InvokeFunction', found?.arn ?? localArn('lambda', `function:${asked}`))];
  };
}

/** A call of `action`, with the condition keys of the request. */
export function call(action: string, resource: string, context: RequestContext = {}): Call {
  return { action, resource, context };
}

function parse(body: Buffer): unknown {
  return JSON.parse(body.toString('utf8') || '{}');
}
