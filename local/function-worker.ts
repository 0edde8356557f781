/**
 * One warm instance of a function, on its own thread: loads the bundle once and answers one event at a time. Knows
 * nothing of queues, time limits or callers; function-host.ts does.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Context } from 'aws-lambda';
import type { FaultyAnswer, InstanceData, WorkerAnswer, WorkerRequest } from './function-host.ts';

type Handler = (event: unknown, context: Context) => unknown;

const data = workerData as InstanceData;

/** The fault that Lambda's runtime makes of an exception. */
function describeFault(fault: unknown): FaultyAnswer {
  const error = fault instanceof Error ? fault : new Error(String(fault));
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') };
}

function unsupported(): never {
  throw new Error('Lambda on Node.js 24 takes no callbacks: return a promise');
}

function createContext({ requestId, deadline }: WorkerRequest): Context {
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: data.functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: data.functionArn,
    memoryLimitInMB: String(data.memoryMb),
    awsRequestId: requestId,
    logGroupName: `/aws/lambda/${data.functionName}`,
    logStreamName: 'local',
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
    done: unsupported,
    fail: unsupported,
    succeed: unsupported,
  };
}

const module = import(data.modulePath) as Promise<Record<string, Handler | undefined>>;
// The first caller gets the fault of a bundle that does not load.
module.catch(() => {});

async function answer(request: WorkerRequest): Promise<WorkerAnswer> {
  let handler: Handler;
  try {
    const exported = (await module)[data.exportName];
    if (typeof exported !== 'function') throw new Error(`the bundle exports no function ${data.exportName}`);
    handler = exported;
  } catch (fault) {
    return { fault: describeFault(fault), reusable: false };
  }
  try {
    const result = await handler(JSON.parse(request.event), createContext(request));
    return { payload: JSON.stringify(result ?? null), reusable: true };
  } catch (fault) {
    return { fault: describeFault(fault), reusable: true };
  }
}

parentPort?.on('message', (request: WorkerRequest) => {
  void answer(request).then((result) => parentPort?.postMessage(result));
});
