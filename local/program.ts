/**
 * The deployed system on this machine: provides everything in the template behind one address. The functions find the
 * stand-ins through environment variables of the AWS SDK, so their code does not know that it is not on AWS.
 */
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { createShapeRecorder } from './call-shapes.ts';
import { startDynamoDbGate } from './dynamodb-gate.ts';
import { startDynamoDb } from './dynamodb.ts';
import { createEventBus } from './event-bus.ts';
import { followStreams } from './event-source-mapping.ts';
import { createFailureQueues } from './failure-queue.ts';
import { lockFolder } from './folder-lock.ts';
import { createFunctionHost, type FunctionHost, type InvocationResult } from './function-host.ts';
import { createHttpApi, type RequestHandler } from './http-api.ts';
import { createLambdaEndpoint, INVOKE_PATH } from './lambda-endpoint.ts';
import { createAuthority } from './policy-authority.ts';
import { createDynamoDbReader } from './policy-dynamodb.ts';
import { createCallerFinder, guard, JSON_FORM, REST_FORM } from './policy-gate.ts';
import { createServiceCalls } from './policy-service-calls.ts';
import { createLambdaReader, readEventBridge, readScheduler, readSecretsManager } from './policy-services.ts';
import { readPolicies } from './policy-template.ts';
import { provision, type Administrator } from './provision.ts';
import { createRunning, serve, type Running } from './running.ts';
import { createScheduler, type DueTarget, type Schedule, toDueTarget } from './scheduler.ts';
import { createSecretsManager } from './secrets-manager.ts';
import { LOCAL_CREDENTIALS, LOCAL_REGION, synthesizeStack } from './template.ts';

/** Options of the program. */
export interface ProgramOptions {
  /** 0: any free port. */
  readonly port: number;
  /** Tables and secrets are kept here and found again at the next start. */
  readonly dataFolder: string;
  /** undefined: generated at the first start. */
  readonly administratorPassword: string | undefined;
  /** Gets the shapes of all calls that the stack makes; undefined: they are not recorded. */
  readonly callShapesFolder?: string | undefined;
  readonly signal: AbortSignal;
}

/** The running program. */
export interface Program {
  readonly url: string;
  /** The first administrator, with the password from the administrator secret. */
  readonly administrator: Administrator;
  stop(): Promise<void>;
}

/** Where events can be read: on AWS, a rule on the bus would receive them. */
const EVENTS_PATH = '/local/events';

const notReady: RequestHandler = async (_request, response) => {
  response.writeHead(503, { 'content-type': 'application/json' }).end('{"message":"Service Unavailable"}');
};

/** Starts the program. @throws Error with a sentence for the user; everything started before is stopped again */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const running = createRunning();
  try {
    return await start(options, running);
  } catch (error) {
    await running.stop();
    throw error;
  }
}

async function start(
  { port, dataFolder, administratorPassword, callShapesFolder, signal }: ProgramOptions,
  running: Running,
): Promise<Program> {
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  await running.add(lockFolder(dataFolder));
  let answer = notReady;
  // The port comes first: if it is in use, the start fails at once.
  const server = await running.add(serve((request, response) => answer(request, response), port));

  const assembly = path.join(dataFolder, 'cdk.out');
  await rm(assembly, { recursive: true, force: true });
  const [stack, dynamoDb] = await Promise.all([
    synthesizeStack(assembly, signal),
    running.add(startDynamoDb({ folder: path.join(dataFolder, 'dynamodb') })),
  ]);
  const gate = {
    findCaller: createCallerFinder(stack.functions),
    authority: createAuthority(
      readPolicies(stack.resources),
      callShapesFolder === undefined ? undefined : createShapeRecorder(callShapesFolder),
    ),
  };
  const dynamoDbGate = await running.add(
    startDynamoDbGate({ ...gate, endpoint: dynamoDb.endpoint, read: createDynamoDbReader(stack.tables) }),
  );
  const serviceCalls = createServiceCalls(gate.authority, stack.functions);
  const sendFailure = createFailureQueues(path.join(dataFolder, 'queues'));
  const secretsManager = await running.add(
    serve(
      guard(createSecretsManager({ folder: path.join(dataFolder, 'secrets') }), {
        ...gate,
        read: readSecretsManager,
        form: JSON_FORM,
      }),
    ),
  );
  // Nobody waits for the answer of an asynchronous invocation, so its fault is printed here, unless the program is
  // stopping.
  const reportFault = (name: string, result: InvocationResult): void => {
    if (signal.aborted || !('fault' in result)) return;
    console.error(`rollcall: ${name}: ${result.fault.errorType}: ${result.fault.errorMessage}`);
    const queue = stack.functions.find((definition) => definition.name === name)?.failureQueue;
    if (queue !== undefined) putAway(serviceCalls.failedEvent(name, queue), queue, { name, ...result.fault });
  };
  function putAway(refusal: string | null, queueArn: string, message: object): void {
    if (refusal === null) sendFailure(queueArn, message);
    else console.error(`rollcall: the failure is lost: ${refusal}`);
  }
  // A schedule kept from an earlier start may be due before the functions exist; then it waits for its next time.
  let host: FunctionHost | undefined;
  function fire(due: DueTarget): void {
    const name = stack.functions.find(({ arn }) => arn === due.arn)?.name;
    const refusal = name === undefined ? `there is no function ${due.arn}` : serviceCalls.schedule(due);
    if (name !== undefined && refusal === null) {
      void host?.invoke(name, due.input).then((result) => reportFault(name, result));
      return;
    }
    console.error(`rollcall: the schedule cannot start its target: ${refusal}`);
    if (due.deadLetterArn !== undefined) {
      putAway(serviceCalls.failedStart(due), due.deadLetterArn, { target: due.arn, fault: refusal });
    }
  }
  const scheduler = createScheduler({ folder: path.join(dataFolder, 'schedules'), fire });
  await running.add(Promise.resolve(scheduler));
  const schedulerServer = await running.add(
    serve(guard(scheduler.handle, { ...gate, read: readScheduler, form: REST_FORM })),
  );
  const eventBus = createEventBus(stack.eventBuses, { folder: path.join(dataFolder, 'events') });
  const eventBusServer = await running.add(
    serve(guard(eventBus.handle, { ...gate, read: readEventBridge, form: JSON_FORM })),
  );
  signal.throwIfAborted();

  const environment = {
    AWS_ENDPOINT_URL_DYNAMODB: dynamoDbGate.url,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secretsManager.url,
    AWS_ENDPOINT_URL_SCHEDULER: schedulerServer.url,
    AWS_ENDPOINT_URL_EVENTBRIDGE: eventBusServer.url,
    AWS_ENDPOINT_URL_LAMBDA: server.url,
    AWS_REGION: LOCAL_REGION,
    AWS_SECRET_ACCESS_KEY: LOCAL_CREDENTIALS.secretAccessKey,
  };
  const administrator = await provision(
    stack,
    { dynamoDb: dynamoDbGate.url, secretsManager: secretsManager.url, scheduler: schedulerServer.url },
    administratorPassword,
  );

  host = createFunctionHost(
    stack.functions.map((definition) => ({
      ...definition,
      // The access key says whose calls these are.
      environment: { ...definition.environment, ...environment, AWS_ACCESS_KEY_ID: definition.name },
    })),
    { logFolder: path.join(dataFolder, 'logs'), refusal: (name) => serviceCalls.run(name) },
  );
  await running.add(Promise.resolve(host));
  const following = followStreams(stack.eventSources, {
    endpoint: dynamoDb.endpoint,
    host,
    refusal: (name, tableName) => serviceCalls.stream(name, tableName),
    folder: path.join(dataFolder, 'events'),
    onFault(name, fault) {
      console.error(`rollcall: ${name}: ${fault}; the function is retried with the same changes`);
    },
  });
  await running.add(Promise.resolve(following));
  const invoke = guard(createLambdaEndpoint(stack.functions, host, reportFault), {
    ...gate,
    read: createLambdaReader(stack.functions),
    form: REST_FORM,
  });
  const api = createHttpApi(stack.routes, host, (route) => {
    const refusal = serviceCalls.route(route);
    if (refusal !== null) console.error(`rollcall: ${route.routeKey}: ${refusal}`);
    return refusal === null;
  });
  answer = (request, response) => {
    const asked = (request.url ?? '').split('?', 1)[0]!;
    if (asked === EVENTS_PATH) return eventBus.list(request, response);
    return INVOKE_PATH.test(asked) ? invoke(request, response) : api(request, response);
  };
  // AWS fires a rate without a start at once, so the watch runs now and mends what an earlier release has left.
  for (const { Target } of stack.schedules) fire(toDueTarget(Target as Schedule['Target']));
  return { url: server.url, administrator, stop: () => running.stop() };
}
