/**
 * Runs bundles as Lambda does: instances with their own environment, one invocation at a time in each, kept warm while
 * idle, ended when over time. Knows nothing of HTTP or of the template that defines the functions.
 */
import { randomUUID } from 'node:crypto';
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';

/** A function as the host needs it. */
export interface FunctionDefinition {
  readonly name: string;
  readonly arn: string;
  /** The bundle; `exportName` is the name of its handler. */
  readonly modulePath: string;
  readonly exportName: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly memoryMb: number;
}

/** The answer of a failed invocation, as Lambda formats it. */
export interface FaultyAnswer {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace?: readonly string[];
}

/** `payload` is the function's answer as JSON. */
export type InvocationResult = { readonly payload: string } | { readonly fault: FaultyAnswer };

/** Runs functions. */
export interface FunctionHost {
  /**
   * Runs the function once. `event` is JSON. Never rejects: a function that fails or does not exist returns a fault.
   */
  invoke(name: string, event: string, requestId?: string): Promise<InvocationResult>;
  /** Ends all instances at once, even during an invocation. */
  stop(): Promise<void>;
}

/** The data that an instance gets when it starts. */
export interface InstanceData {
  readonly functionName: string;
  readonly functionArn: string;
  readonly modulePath: string;
  readonly exportName: string;
  readonly memoryMb: number;
}

/** One invocation, as an instance gets it. */
export interface WorkerRequest {
  readonly requestId: string;
  readonly event: string;
  /** Milliseconds since 1970. */
  readonly deadline: number;
}

/** The answer of an instance. `reusable`: whether the instance may serve again. */
export type WorkerAnswer = InvocationResult & { readonly reusable: boolean };

// Most instances of one function at a time; further calls wait for an idle one. Lambda would start a thousand.
const MOST_INSTANCES = 8;

/** Options of the host. */
export interface FunctionHostOptions {
  /** Gets one file per function, with all its output. */
  readonly logFolder: string;
  /** What IAM says before an instance starts. Default: nothing is refused. */
  readonly refusal?: (name: string) => StartRefusal;
}

/** Why a function may not run at all, and why it may not write its log; null: it may. */
export interface StartRefusal {
  readonly role: string | null;
  readonly log: string | null;
}

/** Creates the host. */
export function createFunctionHost(
  definitions: readonly FunctionDefinition[],
  { logFolder, refusal = () => ({ role: null, log: null }) }: FunctionHostOptions,
): FunctionHost {
  mkdirSync(logFolder, { recursive: true });
  const pools = new Map(definitions.map((definition) => [definition.name, createPool(definition, logFolder)]));
  return {
    async invoke(name, event, requestId = randomUUID()) {
      const pool = pools.get(name);
      if (pool === undefined)
        return { fault: { errorType: 'ResourceNotFound', errorMessage: `there is no function ${name}` } };
      const { role, log } = refusal(name);
      if (log !== null) console.error(`rollcall: ${name}: on AWS this function has no log: ${log}`);
      if (role !== null) return { fault: { errorType: 'AccessDeniedException', errorMessage: role } };
      return pool.run(event, requestId);
    },
    async stop() {
      await Promise.all([...pools.values()].map((pool) => pool.stop()));
    },
  };
}

interface Job {
  readonly event: string;
  readonly requestId: string;
  readonly settle: (result: InvocationResult) => void;
}

function createPool(definition: FunctionDefinition, logFolder: string) {
  const log = createWriteStream(path.join(logFolder, `${definition.name}.log`), { flags: 'a', mode: 0o600 });
  // Each instance adds a listener.
  log.setMaxListeners(0);
  const all = new Set<Worker>();
  const idle: Worker[] = [];
  const waiting: Job[] = [];
  let stopped = false;

  function next(): void {
    while (waiting.length > 0) {
      const worker = idle.pop() ?? (all.size < MOST_INSTANCES ? start() : undefined);
      if (worker === undefined) return;
      void serve(worker, waiting.shift()!);
    }
  }

  function start(): Worker {
    const worker = startInstance(definition, log);
    all.add(worker);
    // An instance that dies between invocations is replaced by the next one.
    worker.on('error', (error) => log.write(`${error.stack ?? error.message}\n`));
    worker.once('exit', () => {
      all.delete(worker);
      const position = idle.indexOf(worker);
      if (position >= 0) idle.splice(position, 1);
      next();
    });
    return worker;
  }

  async function serve(worker: Worker, { event, requestId, settle }: Job): Promise<void> {
    const result = await ask(worker, { requestId, event, deadline: Date.now() + definition.timeoutMs }, definition);
    if (result.reusable) idle.push(worker);
    else await worker.terminate();
    settle('payload' in result ? { payload: result.payload } : { fault: result.fault });
    next();
  }

  return {
    run(event: string, requestId: string): Promise<InvocationResult> {
      if (stopped) return Promise.resolve({ fault: { errorType: 'ServiceException', errorMessage: 'stopped' } });
      return new Promise((settle) => {
        waiting.push({ event, requestId, settle });
        next();
      });
    },
    async stop(): Promise<void> {
      stopped = true;
      for (const { settle } of waiting.splice(0)) {
        settle({ fault: { errorType: 'ServiceException', errorMessage: 'stopped' } });
      }
      await Promise.all([...all].map((worker) => worker.terminate()));
      await new Promise<void>((resolve) => {
        log.end(resolve);
      });
    },
  };
}

function startInstance(definition: FunctionDefinition, log: WriteStream): Worker {
  const { name, arn, modulePath, exportName, memoryMb } = definition;
  const workerData: InstanceData = { functionName: name, functionArn: arn, modulePath, exportName, memoryMb };
  const worker = new Worker(new URL('function-worker.ts', import.meta.url), {
    workerData,
    // Not this process's environment: a function sees only the variables that the template and Lambda set.
    env: {
      ...definition.environment,
      AWS_LAMBDA_FUNCTION_NAME: name,
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryMb),
      AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
      TZ: 'UTC',
    },
    resourceLimits: { maxOldGenerationSizeMb: memoryMb },
    stdout: true,
    stderr: true,
  });
  worker.stdout.pipe(log, { end: false });
  worker.stderr.pipe(log, { end: false });
  return worker;
}

/** Runs one invocation, until it answers, its time limit is reached or the instance ends. */
function ask(worker: Worker, request: WorkerRequest, { timeoutMs }: FunctionDefinition): Promise<WorkerAnswer> {
  return new Promise((resolve) => {
    let crash: Error | undefined;
    const finish = (answer: WorkerAnswer) => {
      clearTimeout(timer);
      worker.off('message', finish);
      worker.off('error', onError);
      worker.off('exit', onExit);
      resolve(answer);
    };
    const fail = (errorType: string, message: string) =>
      finish({
        fault: { errorType, errorMessage: `RequestId: ${request.requestId} Error: ${message}` },
        reusable: false,
      });
    const onError = (error: Error) => {
      crash = error;
    };
    const onExit = (code: number) =>
      fail('Runtime.ExitError', crash?.message ?? `Runtime exited with error: exit status ${code}`);
    const timer = setTimeout(
      () => fail('Sandbox.Timedout', `Task timed out after ${(timeoutMs / 1000).toFixed(2)} seconds`),
      timeoutMs,
    );
    worker.on('message', finish);
    worker.on('error', onError);
    worker.on('exit', onExit);
    worker.postMessage(request);
  });
}
