/**
 * What AWS's services ask of IAM when they act for the stack: to run a function, to follow a route, a schedule or a
 * stream, to put away what failed. Each method returns AWS's refusal, or null. Knows no protocols.
 */
import type { StartRefusal } from './function-host.ts';
import type { Authority, Caller } from './policy-authority.ts';
import { tableArn } from './policy-dynamodb.ts';
import { toCaller } from './policy-gate.ts';
import { call, localArn } from './policy-services.ts';
import type { DueTarget } from './scheduler.ts';
import { LOCAL_ACCOUNT, type LocalFunction, type RouteDefinition, STREAM_LABEL } from './template.ts';

/** The calls that services make for a stack. */
export interface ServiceCalls {
  /**
   * Lambda takes the function's role and writes its log. AWS runs a function that may not write its log, and drops the
   * log.
   * @see https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
   */
  run(name: string): StartRefusal;
  /**
   * API Gateway invokes the function of a route.
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
   */
  route(route: RouteDefinition): string | null;
  /**
   * Scheduler takes the schedule's role and invokes the target with it.
   * @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html#setting-up-execution-role
   */
  schedule(target: DueTarget): string | null;
  /**
   * Scheduler puts a failed start into the queue, with the schedule's role.
   * @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
   */
  failedStart(target: DueTarget): string | null;
  /**
   * Lambda puts an event that its function could not process into the queue, with the function's role.
   * @see https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
   */
  failedEvent(name: string, queueArn: string): string | null;
  /**
   * Lambda reads a table's stream for the function, with its role. It also demands ListStreams "on your stream" when
   * the mapping is created; the reference knows no resource for that action (unverified).
   * @see https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-eventsourcemapping.html
   */
  stream(name: string, tableName: string): string | null;
}

const LAMBDA: Caller = { kind: 'service', service: 'lambda.amazonaws.com' };
const API_GATEWAY: Caller = { kind: 'service', service: 'apigateway.amazonaws.com' };
const SCHEDULER: Caller = { kind: 'service', service: 'scheduler.amazonaws.com' };
const STREAM_ACTIONS = ['DescribeStream', 'GetRecords', 'GetShardIterator', 'ListStreams'];

/** The calls for these functions. */
export function createServiceCalls(authority: Authority, functions: readonly LocalFunction[]): ServiceCalls {
  const find = (name: string): LocalFunction => functions.find((each) => each.name === name)!;
  // Services speak TLS, although nothing here does.
  const send = (caller: Caller, queueArn: string): string | null =>
    authority.refusal(caller, [call('sqs:SendMessage', queueArn, { 'aws:SecureTransport': ['true'] })]);
  const schedulerRole = ({ roleArn }: DueTarget): Caller => ({
    kind: 'role',
    role: roleArn.split('/').at(-1)!,
    session: 'schedule',
  });

  return {
    run(name) {
      const { role, logGroup } = find(name);
      const stream = localArn('logs', `log-group:${logGroup}:log-stream:local`);
      return {
        role: authority.refusal(LAMBDA, [call('sts:AssumeRole', localArn('iam', `role/${role}`))]),
        log: authority.refusal(
          toCaller({ name, role }),
          ['logs:CreateLogStream', 'logs:PutLogEvents'].map((action) => call(action, stream)),
        ),
      };
    },
    route({ functionName, sourceArn }) {
      const context = { 'aws:SourceArn': [sourceArn] };
      return authority.refusal(API_GATEWAY, [call('lambda:InvokeFunction', find(functionName).arn, context)]);
    },
    schedule(target) {
      const assume = call('sts:AssumeRole', target.roleArn, { 'aws:SourceAccount': [LOCAL_ACCOUNT] });
      return (
        authority.refusal(SCHEDULER, [assume]) ??
        authority.refusal(schedulerRole(target), [call('lambda:InvokeFunction', target.arn)])
      );
    },
    failedStart(target) {
      return target.deadLetterArn === undefined ? null : send(schedulerRole(target), target.deadLetterArn);
    },
    failedEvent(name, queueArn) {
      return send(toCaller(find(name)), queueArn);
    },
    stream(name, tableName) {
      const stream = `${tableArn(tableName)}/stream/${STREAM_LABEL}`;
      return authority.refusal(
        toCaller(find(name)),
        STREAM_ACTIONS.map((action) => call(`dynamodb:${action}`, stream)),
      );
    },
  };
}
