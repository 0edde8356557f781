/**
 * Stands before the DynamoDB server: passes on the requests that follow AWS's service model and that the caller's role
 * allows. Reads every request, because policies speak of tables and keys; passes answers on as they come, and keeps its
 * connections. Knows no tables.
 */
import { Agent, request as send, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { readBody } from './http-api.ts';
import type { ReadRequest } from './policy-dynamodb.ts';
import { DYNAMODB_FORM, type Gate, refuse, unreadable } from './policy-gate.ts';
import { type LocalServer, serve } from './running.ts';
import { checkRequests } from './service-model.ts';

/** DynamoDB's limit for a request, in bytes. */
const LARGEST_BODY = 16 * 1024 * 1024;
const TARGET = /^DynamoDB_20120810\.(\w+)$/u;

/** Where the server is, and what its callers may do. */
export interface DynamoDbGateOptions extends Gate {
  readonly endpoint: string;
  readonly read: ReadRequest;
}

/** Serves on a port of its own. */
export async function startDynamoDbGate({ endpoint, read, ...gate }: DynamoDbGateOptions): Promise<LocalServer> {
  const agent = new Agent({ keepAlive: true });
  const server = await serve(
    checkRequests('dynamodb', async (request, response) => {
      const body = await readBody(request, LARGEST_BODY);
      const caller = gate.findCaller(request);
      if (caller !== null) {
        const operation = TARGET.exec(String(request.headers['x-amz-target']))?.[1] ?? '';
        const calls = body === null ? null : read(operation, JSON.parse(body.toString('utf8')));
        const refusal = calls === null ? unreadable(operation) : gate.authority.refusal(caller, calls);
        if (refusal !== null) {
          refuse(response, DYNAMODB_FORM, refusal);
          return;
        }
      }
      await pass(request, body ?? Buffer.alloc(0), response);
    }),
  );

  async function pass(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
    const { method, url, headers } = request;
    const forward = send(new URL(url ?? '/', endpoint), { method, headers, agent });
    // A caller that does not wait for the answer leaves no request behind.
    response.once('close', () => forward.destroy());
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      forward.once('response', resolve).once('error', reject);
    });
    forward.end(body);
    try {
      const arriving = await answer;
      response.writeHead(arriving.statusCode!, arriving.headers);
      await pipeline(arriving, response);
    } catch {
      // The server is away, or the caller: to the other side that is a lost connection.
      response.destroy();
    }
  }

  return {
    url: server.url,
    async stop() {
      await server.stop();
      agent.destroy();
    },
  };
}
