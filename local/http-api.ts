/**
 * The HTTP API of the template on this machine: finds the route, creates the event in payload format 2.0, and turns the
 * function's answer into a response. Knows nothing of the functions' work.
 * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import type { FunctionHost } from './function-host.ts';
import { LOCAL_ACCOUNT, type RouteDefinition } from './template.ts';

/** API Gateway's limit, in bytes. */
const LARGEST_BODY = 10 * 1024 * 1024;
// Other types are passed as base64, as API Gateway does.
const TEXT_TYPES = /^(text\/|application\/(json|javascript|xml)(;|$))/i;

/** Answers one HTTP request. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

interface Route extends RouteDefinition {
  readonly method: string;
  readonly pattern: RegExp;
}

/**
 * Creates the handler of the API; `host` runs the functions of its routes, if the function's policy allows the route.
 */
export function createHttpApi(
  routes: readonly RouteDefinition[],
  host: Pick<FunctionHost, 'invoke'>,
  mayInvoke: (route: RouteDefinition) => boolean,
): RequestHandler {
  const parsed = routes.map(parseRoute).sort(bySpecificity);
  return async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    let path: string;
    try {
      // HTTP APIs pass the path decoded, unlike REST APIs and function URLs.
      path = decodeURIComponent(url.pathname);
    } catch {
      return refuse(response, 400, 'Bad Request');
    }
    const found = parsed
      .filter(({ method }) => method === 'ANY' || method === request.method)
      .map((route) => ({ route, match: route.pattern.exec(path) }))
      .find(({ match }) => match !== null);
    if (!found?.match) return refuse(response, 404, 'Not Found');

    const body = await readBody(request, LARGEST_BODY);
    if (body === null) return refuse(response, 413, 'Request Too Long');
    if (!mayInvoke(found.route)) return refuse(response, 500, 'Internal Server Error');
    const event = createEvent(request, found.route.routeKey, path, url.search.slice(1), found.match.groups, body);
    const result = await host.invoke(found.route.functionName, JSON.stringify(event), event.requestContext.requestId);
    if ('fault' in result) return refuse(response, 500, 'Internal Server Error');
    return send(response, result.payload);
  };
}

const bodies = new WeakMap<IncomingMessage, Promise<Buffer | null>>();

/** The whole body; null if it is longer than `limit` bytes. May be called again, with a limit that is no higher. */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer | null> {
  let reading = bodies.get(request);
  if (reading === undefined) {
    reading = readOnce(request, limit);
    bodies.set(request, reading);
  }
  const body = await reading;
  return body === null || body.length > limit ? null : body;
}

async function readOnce(request: IncomingMessage, limit: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    // A body that is too long is read to its end but not kept: otherwise the answer would be lost with the connection.
    if (length <= limit) chunks.push(chunk);
  }
  return length <= limit ? Buffer.concat(chunks) : null;
}

function parseRoute(definition: RouteDefinition): Route {
  const { routeKey } = definition;
  if (routeKey === '$default') return { ...definition, method: 'ANY', pattern: /^/ };
  const [method, path] = routeKey.split(' ') as [string, string];
  const pattern = path
    .split(/(\{[^}]+\})/)
    .map((part) => {
      const variable = /^\{(\w+)(\+?)\}$/.exec(part);
      if (variable === null) return part.replaceAll(/[^\w/]/g, '\\$&');
      return variable[2] === '+' ? `(?<${variable[1]}>.+)` : `(?<${variable[1]}>[^/]+)`;
    })
    .join('');
  return { ...definition, method, pattern: new RegExp(`^${pattern}$`, 's') };
}

/** Sorts routes: the longest fixed prefix first, a named method before ANY, `$default` last. */
function bySpecificity(one: Route, other: Route): number {
  const rank = ({ routeKey, method }: Route) =>
    routeKey === '$default' ? -1 : 2 * routeKey.split(' ')[1]!.split('{', 1)[0]!.length + (method === 'ANY' ? 0 : 1);
  return rank(other) - rank(one);
}

function createEvent(
  request: IncomingMessage,
  routeKey: string,
  path: string,
  rawQueryString: string,
  parameters: Record<string, string> | undefined,
  body: Buffer,
): APIGatewayProxyEventV2 {
  const { cookie, ...others } = request.headers;
  const sourceIp = request.socket.remoteAddress ?? '';
  const headers: Record<string, string> = {
    ...Object.fromEntries(Object.entries(others).map(([name, value]) => [name, [value ?? []].flat().join(',')])),
    'x-forwarded-for': [others['x-forwarded-for'] ?? [], sourceIp].flat().join(', '),
    'x-forwarded-port': String(request.socket.localPort),
    'x-forwarded-proto': 'http',
  };
  const query = new URLSearchParams(rawQueryString);
  const isBase64Encoded = !TEXT_TYPES.test(headers['content-type'] ?? '');
  const now = new Date();
  return {
    version: '2.0',
    routeKey,
    rawPath: path,
    rawQueryString,
    ...(cookie === undefined ? {} : { cookies: cookie.split(/; */) }),
    headers,
    ...(query.size === 0
      ? {}
      : {
          queryStringParameters: Object.fromEntries(
            [...new Set(query.keys())].map((name) => [name, query.getAll(name).join(',')]),
          ),
        }),
    ...(parameters === undefined ? {} : { pathParameters: { ...parameters } }),
    requestContext: {
      accountId: LOCAL_ACCOUNT,
      apiId: 'local',
      domainName: headers.host ?? 'localhost',
      domainPrefix: 'local',
      http: {
        method: request.method ?? 'GET',
        path,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp,
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: randomUUID(),
      routeKey,
      stage: '$default',
      time: now.toISOString(),
      timeEpoch: now.getTime(),
    },
    ...(body.length === 0 ? {} : { body: body.toString(isBase64Encoded ? 'base64' : 'utf8') }),
    isBase64Encoded: body.length > 0 && isBase64Encoded,
  };
}

/**
 * Sends the function's answer. An answer without a status is a body, which API Gateway sends as JSON with status 200.
 */
function send(response: ServerResponse, payload: string): void {
  const answer = JSON.parse(payload) as APIGatewayProxyStructuredResultV2 | string | null;
  if (typeof answer !== 'object' || answer === null || answer.statusCode === undefined) {
    response.writeHead(200, { 'content-type': 'application/json' }).end(payload);
    return;
  }
  response.statusCode = answer.statusCode;
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, String(value));
  if (answer.cookies !== undefined) response.setHeader('set-cookie', answer.cookies);
  if (!response.hasHeader('content-type') && answer.body)
    response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(Buffer.from(answer.body ?? '', answer.isBase64Encoded ? 'base64' : 'utf8'));
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ message }));
}
