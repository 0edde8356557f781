/**
 * An HTTP proxy in front of a local DynamoDB. It fails in the ways that the real one sometimes does. Knows no table.
 */
import { createServer, request as forward } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/**
 * What happens to one request:
 * - `throttle`: refused because of throttling
 * - `fail`: refused with a server error
 * - `deny`: refused because the role may not do it
 * - `drop`: carried out, but the answer is lost
 * - `inProgress`: carried out, but the answer says that the transaction is still in progress
 * - `conflict`: the transaction is cancelled because of a conflict
 * - `collide`: a single write is refused because of a transaction
 * - a list: the statements of a batch at these positions are refused, the others carried out
 * - a promise: the request waits until it resolves
 */
export type Mishap =
  | 'none'
  | 'throttle'
  | 'fail'
  | 'deny'
  | 'drop'
  | 'inProgress'
  | 'conflict'
  | 'collide'
  | readonly number[]
  | Promise<void>;

/** A running proxy. */
export interface FaultyProxy {
  /** Where clients connect instead of DynamoDB. */
  readonly url: string;
  /** The number of requests so far, by operation. */
  readonly seen: Map<string, number>;
  /** Called for each request; the first one of an operation has number 1. */
  decide: (operation: string, number: number) => Mishap;
  stop(): Promise<void>;
}

const JSON_TYPE = { 'content-type': 'application/x-amz-json-1.0' };

/** Starts a proxy in front of `target`, a URL. Until a test sets `decide`, it passes on every request. */
export async function startFaultyProxy(target: string): Promise<FaultyProxy> {
  const seen = new Map<string, number>();
  const server = createServer((incoming, outgoing) => {
    const operation = String(incoming.headers['x-amz-target']).split('.').at(-1)!;
    const number = (seen.get(operation) ?? 0) + 1;
    seen.set(operation, number);
    handle(target, incoming, outgoing, proxy.decide(operation, number)).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: FaultyProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    decide: () => 'none',
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return proxy;
}

async function handle(
  target: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  mishap: Mishap,
): Promise<void> {
  const body = await buffer(incoming);
  if (mishap instanceof Promise) await mishap;
  if (mishap === 'throttle') return refuse(outgoing, 400, 'ProvisionedThroughputExceededException');
  if (mishap === 'collide') return refuse(outgoing, 400, 'TransactionConflictException');
  if (mishap === 'deny') return refuse(outgoing, 400, 'AccessDeniedException');
  if (mishap === 'fail') return refuse(outgoing, 500, 'InternalServerError');
  if (mishap === 'conflict') {
    const CancellationReasons = [{ Code: 'None' }, { Code: 'TransactionConflict' }];
    return refuse(outgoing, 400, 'TransactionCanceledException', { CancellationReasons });
  }
  if (typeof mishap === 'object' && !(mishap instanceof Promise)) {
    const { Statements } = JSON.parse(body.toString()) as { Statements: unknown[] };
    const passed = Statements.filter((_, place) => !mishap.includes(place));
    const answer = passed.length === 0 ? null : await send(target, incoming, { Statements: passed });
    const { Responses: rest } = JSON.parse(answer?.body.toString() ?? '{"Responses":[]}') as { Responses: unknown[] };
    const Responses = Statements.map((_, place) =>
      mishap.includes(place) ? { Error: { Code: 'ThrottlingError', Message: 'too fast' } } : rest.shift(),
    );
    outgoing.writeHead(200, JSON_TYPE).end(JSON.stringify({ Responses }));
    return;
  }
  const answer = await send(target, incoming, body);
  if (mishap === 'inProgress') return refuse(outgoing, 400, 'TransactionInProgressException');
  if (mishap === 'drop') outgoing.destroy();
  else outgoing.writeHead(answer.status, answer.headers).end(answer.body);
}

async function send(target: string, { headers }: IncomingMessage, body: Buffer | object) {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    forward(target, { method: 'POST', headers: { ...headers, 'content-length': String(bytes.length) } }, resolve)
      .on('error', reject)
      .end(bytes);
  });
  return { status: response.statusCode ?? 500, headers: response.headers, body: await buffer(response) };
}

function refuse(outgoing: ServerResponse, status: number, type: string, more: object = {}): void {
  const body = { __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: 'too fast', ...more };
  outgoing.writeHead(status, JSON_TYPE).end(JSON.stringify(body));
}
