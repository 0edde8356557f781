/**
 * Lambda's Invoke call on this machine, for the AWS SDKs. Knows nothing of how functions run.
 * @see https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
 */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { FunctionHost, InvocationResult } from './function-host.ts';
import { readBody, type RequestHandler } from './http-api.ts';
import { checkRequests } from './service-model.ts';

/**
 * Lambda's limits, in bytes.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
 */
const LARGEST_PAYLOAD = 6 * 1024 * 1024;
const LARGEST_EVENT = 1024 * 1024;

/** The path of Invoke calls. */
export const INVOKE_PATH = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/;

interface InvokableFunction {
  readonly name: string;
  readonly alias: string;
}

/**
 * Answers `POST /2015-03-31/functions/{name}/invocations`; the name is a function's alias, name or ARN. `onEventResult`
 * is called at the end of every asynchronous invocation.
 */
export function createLambdaEndpoint(
  functions: readonly InvokableFunction[],
  host: Pick<FunctionHost, 'invoke'>,
  onEventResult: (name: string, result: InvocationResult) => void,
): RequestHandler {
  return checkRequests('lambda', async (request, response) => {
    const requestId = randomUUID();
    response.setHeader('x-amzn-requestid', requestId);
    const body = await readBody(request, LARGEST_PAYLOAD);
    if (body === null) {
      return refuse(response, 413, 'RequestTooLargeException', `the payload is longer than ${LARGEST_PAYLOAD} bytes`);
    }
    const asked = INVOKE_PATH.exec(new URL(request.url ?? '/', 'http://localhost').pathname)?.[1] ?? '';
    const target = findFunction(functions, asked);
    if (target === undefined) return refuse(response, 404, 'ResourceNotFoundException', `Function not found: ${asked}`);
    const event = body.length === 0 ? '{}' : body.toString('utf8');
    if (!isJson(event)) {
      return refuse(response, 400, 'InvalidRequestContentException', 'Could not parse request body into json');
    }

    switch (request.headers['x-amz-invocation-type'] ?? 'RequestResponse') {
      case 'DryRun':
        response.writeHead(204).end();
        return;
      case 'Event':
        if (body.length > LARGEST_EVENT) {
          const message = `the payload of an asynchronous invocation is longer than ${LARGEST_EVENT} bytes`;
          return refuse(response, 413, 'RequestTooLargeException', message);
        }
        response.writeHead(202).end();
        onEventResult(target.name, await host.invoke(target.name, event, requestId));
        return;
      default:
        return send(response, await host.invoke(target.name, event, requestId));
    }
  });
}

/** The function with this alias, name or ARN, URI-encoded. */
export function findFunction<F extends InvokableFunction>(functions: readonly F[], asked: string): F | undefined {
  let text: string;
  try {
    text = decodeURIComponent(asked);
  } catch {
    return undefined;
  }
  const name = text.replace(/^(arn:aws:lambda:[^:]*:)?(\d{12}:)?(function:)?/, '').replace(/:\$LATEST$/, '');
  return functions.find((candidate) => candidate.name === name || candidate.alias === name);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function send(response: ServerResponse, result: InvocationResult): void {
  const failed = 'fault' in result;
  response
    .writeHead(200, {
      'content-type': 'application/json',
      'x-amz-executed-version': '$LATEST',
      ...(failed ? { 'x-amz-function-error': 'Unhandled' } : {}),
    })
    .end(failed ? JSON.stringify(result.fault) : result.payload);
}

function refuse(response: ServerResponse, status: number, type: string, message: string): void {
  response
    .writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': type })
    .end(JSON.stringify({ Type: 'User', Message: message }));
}
