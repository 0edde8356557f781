/**
 * Faults of DynamoDB at one chosen request of one process: below the retries of the SDK, so that the product meets them
 * as it would on the wire. Knows no table.
 */
import { Readable } from 'node:stream';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { createDynamoDbClient } from '../../lib/aws/client.ts';
import { LOCAL_CLIENT } from '../../local/template.ts';
import { demandValidRequests } from '../support/valid-requests.ts';

const WRITES: ReadonlySet<string> = new Set([
  'PutItem',
  'UpdateItem',
  'DeleteItem',
  'BatchWriteItem',
  'BatchExecuteStatement',
  'TransactWriteItems',
]);
const BATCHES: ReadonlySet<string> = new Set(['BatchGetItem', 'BatchExecuteStatement', 'BatchWriteItem']);
const isWrite = (operation: string): boolean => WRITES.has(operation);
const isAny = (): boolean => true;

/**
 * The kinds of faults, and the operations that each can befall.
 * - `throttled`, `server error`, `access denied`, `conflict`: the request is refused once
 * - `unprocessed`: a part of a batch is left undone, once
 * - `answer lost`: the write is done and its answer lost; the SDK sends it again
 * - `answer lost for good`: as above, and every repetition fails
 * - `outage`: the request and all later ones fail
 * - `outage after the write`: as above, but the request itself is done
 * - `killed`: the process ends before the request is sent
 * - `killed after the write`: the process ends before the answer arrives
 * - `stalled`: the process stands still at the request until another run is over, then goes on
 */
export const STORE_FAULTS = {
  throttled: isAny,
  'server error': isAny,
  'access denied': isAny,
  conflict: (operation) => operation.startsWith('Transact') || (isWrite(operation) && operation !== 'BatchWriteItem'),
  unprocessed: (operation) => BATCHES.has(operation),
  'answer lost': isWrite,
  'answer lost for good': isWrite,
  outage: isAny,
  'outage after the write': isWrite,
  killed: isAny,
  'killed after the write': isWrite,
  stalled: isAny,
} as const satisfies Record<string, (operation: string) => boolean>;

/** The name of a kind of fault. */
export type StoreFault = keyof typeof STORE_FAULTS;

/** A fault at the request with this number, counted from 1 among those that it can befall. */
export interface StorePoint {
  readonly fault: StoreFault;
  readonly at: number;
}

/** The part of a request that is read here. */
interface WireRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

interface WireResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
}

type Handle = (request: WireRequest, options?: object) => Promise<{ readonly response: WireResponse }>;

/** One process's connection to DynamoDB. */
export interface StoreProcess {
  readonly client: DynamoDBDocumentClient;
  /** The operations requested so far, in order, repetitions included. */
  readonly operations: readonly string[];
  /** Whether the fault has come. */
  readonly isHit: () => boolean;
  /** Resolves when the fault has ended the process, or made it stand still; never without such a fault. */
  readonly stopped: Promise<void>;
  /** Lets a process that stands still go on. */
  resume(): void;
  /** Ends what is left of the process: requests that wait fail now, and so do all later ones. */
  bury(): void;
}

/** Opens processes that share their sockets, so that a new one costs little. */
export function openStoreProcesses(endpoint: string): {
  start(point: StorePoint | null): StoreProcess;
  close(): void;
} {
  const shared = new DynamoDBClient({ ...LOCAL_CLIENT, endpoint, requestHandler: { requestTimeout: 25_000 } });
  const send = shared.config.requestHandler as unknown as { handle: Handle };
  return {
    start: (point) => startProcess(endpoint, (request, options) => send.handle(request, options), point),
    close: () => shared.destroy(),
  };
}

function startProcess(endpoint: string, send: Handle, point: StorePoint | null): StoreProcess {
  const operations: string[] = [];
  const stopped = Promise.withResolvers<void>();
  const resumed = Promise.withResolvers<void>();
  const buried = Promise.withResolvers<never>();
  buried.promise.catch(() => {});
  let places = 0;
  let isBuried = false;
  /** What every later request meets: those of one call of the client, or all. */
  let later: { readonly call: string | null; readonly kind: 'fail' | 'dead' | 'still' } | null = null;
  let hit = false;

  const handle: Handle = async (request, options) => {
    const operation = request.headers['x-amz-target']!.split('.').at(-1)!;
    const call = request.headers['amz-sdk-invocation-id']!;
    operations.push(operation);
    if (isBuried) throw lost();
    if (later !== null && (later.call === null || later.call === call)) {
      if (later.kind === 'dead') return buried.promise;
      if (later.kind === 'fail') throw lost();
      await Promise.race([resumed.promise, buried.promise]);
    }
    if (point === null || hit || !STORE_FAULTS[point.fault](operation)) return send(request, options);
    places += 1;
    if (places !== point.at) return send(request, options);
    hit = true;
    switch (point.fault) {
      case 'throttled':
        return refuse(400, 'ProvisionedThroughputExceededException');
      case 'server error':
        return refuse(500, 'InternalServerError');
      case 'access denied':
        return refuse(400, 'AccessDeniedException');
      case 'conflict': {
        if (operation === 'BatchExecuteStatement') return leaveHalf(operation, request, options, 'TransactionConflict');
        if (!operation.startsWith('Transact')) return refuse(400, 'TransactionConflictException');
        const { TransactItems } = JSON.parse(textOf(request)) as { TransactItems: unknown[] };
        const CancellationReasons = TransactItems.map((_, place) => ({
          Code: place === TransactItems.length - 1 ? 'TransactionConflict' : 'None',
        }));
        return refuse(400, 'TransactionCanceledException', { CancellationReasons });
      }
      case 'unprocessed':
        return leaveHalf(operation, request, options, 'ThrottlingError');
      case 'answer lost':
        await sendUnheard(request, options);
        throw lost();
      case 'answer lost for good':
        later = { call, kind: 'fail' };
        await sendUnheard(request, options);
        throw lost();
      case 'outage':
        later = { call: null, kind: 'fail' };
        throw lost();
      case 'outage after the write':
        later = { call: null, kind: 'fail' };
        await sendUnheard(request, options);
        throw lost();
      case 'killed':
        later = { call: null, kind: 'dead' };
        stopped.resolve();
        return buried.promise;
      case 'killed after the write':
        later = { call: null, kind: 'dead' };
        await sendUnheard(request, options);
        stopped.resolve();
        return buried.promise;
      case 'stalled':
        later = { call: null, kind: 'still' };
        stopped.resolve();
        await Promise.race([resumed.promise, buried.promise]);
        break;
    }
    return send(request, options);
  };

  async function sendUnheard(request: WireRequest, options: object | undefined): Promise<void> {
    const { response } = await send(request, options);
    // An answer that nobody reads keeps its socket.
    await readText(response.body);
  }

  /** Carries out the first half of a batch and says of the rest that it was not done. */
  async function leaveHalf(operation: string, request: WireRequest, options: object | undefined, Code: string) {
    const body = JSON.parse(textOf(request)) as { Statements: unknown[]; RequestItems: Record<string, unknown> };
    if (operation !== 'BatchExecuteStatement') {
      const left = operation === 'BatchGetItem' ? 'UnprocessedKeys' : 'UnprocessedItems';
      return answer(200, { Responses: {}, [left]: body.RequestItems });
    }
    const half = Math.floor(body.Statements.length / 2);
    const refused = { Error: { Code, Message: 'not done' } };
    const sent = body.Statements.slice(0, half);
    let done: unknown[] = [];
    if (half > 0) {
      const { response } = await send(withBody(request, { ...body, Statements: sent }), options);
      done = (JSON.parse(await readText(response.body)) as { Responses: unknown[] }).Responses;
    }
    return answer(200, { Responses: [...done, ...body.Statements.slice(half).map(() => refused)] });
  }

  const configuration = {
    ...LOCAL_CLIENT,
    endpoint,
    requestHandler: { handle, destroy() {}, metadata: { handlerProtocol: 'http/1.1' } },
    retryStrategy: QUICK_RETRIES,
  } as unknown as DynamoDBClientConfig;
  return {
    client: demandValidRequests('dynamodb', createDynamoDbClient(configuration)),
    operations,
    isHit: () => hit,
    stopped: stopped.promise,
    resume: () => resumed.resolve(),
    bury() {
      isBuried = true;
      buried.reject(lost());
    },
  };
}

/** The standard retries of the SDK as configured by the product, without their waits. */
const MAX_ATTEMPTS = 6;
interface RetryToken {
  getRetryCount(): number;
  getRetryDelay(): number;
}
const retryToken = (count: number): RetryToken => ({ getRetryCount: () => count, getRetryDelay: () => 0 });
const QUICK_RETRIES = {
  acquireInitialRetryToken: async (): Promise<RetryToken> => retryToken(0),
  async refreshRetryTokenForRetry(token: RetryToken, { errorType }: { errorType: string }): Promise<RetryToken> {
    const count = token.getRetryCount() + 1;
    if (errorType === 'CLIENT_ERROR' || count >= MAX_ATTEMPTS) throw new Error('no more attempts');
    return retryToken(count);
  },
  recordSuccess(): void {},
};

function lost(): Error {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET', name: 'TimeoutError' });
}

function withBody(request: WireRequest, body: object): WireRequest {
  const text = JSON.stringify(body);
  const changed = { body: text, headers: { ...request.headers, 'content-length': String(Buffer.byteLength(text)) } };
  return Object.assign(Object.create(Object.getPrototypeOf(request) as object) as WireRequest, request, changed);
}

function textOf({ body }: WireRequest): string {
  return typeof body === 'string' ? body : new TextDecoder().decode(body);
}

async function readText(body: Readable): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of body) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

function answer(statusCode: number, body: object): { response: WireResponse } {
  const bytes = Buffer.from(JSON.stringify(body));
  return {
    response: {
      statusCode,
      headers: { 'content-type': 'application/x-amz-json-1.0', 'content-length': String(bytes.length) },
      body: Readable.from([bytes]),
    },
  };
}

function refuse(status: number, type: string, more: object = {}): { response: WireResponse } {
  return answer(status, { __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: 'injected', ...more });
}
