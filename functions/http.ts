/**
 * HTTP for the administration API: the only router, the only reader of bodies, the only table from fault to status, and
 * the only format of answers. Knows API Gateway's HTTP API events (payload 2.0), and no particular call.
 */
import { STATUS_CODES } from 'node:http';
import createStack from '@middy/core';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import type { ErrorCode } from '../lib/errors.ts';
import { ServiceError } from '../lib/errors.ts';

/** The handler of a function behind API Gateway. */
export type HttpHandler = (
  event: APIGatewayProxyEventV2,
  context: Context,
) => Promise<APIGatewayProxyStructuredResultV2>;

/** The log. Fields never contain any part of a request but its route. */
export interface Logger {
  info(message: string, fields: Record<string, unknown>): void;
  error(message: string, fields: Record<string, unknown>): void;
}

/** One call, as a route handler gets it. */
export interface Call {
  /** The path parameters of the route, percent-decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** The entity tag of `If-Match` without its quotes; null if there is none, or `*`. */
  readonly ifMatch: string | null;
  /** The token of `Authorization: Bearer`; null if there is none. */
  readonly bearerToken: string | null;
  /** Whether it is certain that no browser sent this call on behalf of another site. */
  readonly sameOrigin: boolean;
  readonly https: boolean;
  /** The address that API Gateway was called from: that of the client, or of a proxy. A port may follow it. */
  readonly peerAddress: string;
  /** Whether the caller accepts gzip, as all browsers do. */
  readonly acceptsGzip: boolean;
  /** Whether the caller already has the content with this entity tag, by `If-None-Match` (RFC 9110 section 13.1.2). */
  hasCopy(entityTag: string): boolean;
  cookie(name: string): string | null;
  /** The value of a header, whose name is in lower case; null if there is none. Several are joined with commas. */
  header(name: string): string | null;
  /** The JSON body. @throws ServiceError `unsupportedMediaType`, `payloadTooLarge`, `malformedJson` */
  json(): unknown;
  /** Like `json`; undefined if there is no body. `maxBytes`: MAX_BODY_BYTES by default, at most MAX_LIST_BODY_BYTES. */
  optionalJson(maxBytes?: number): unknown;
}

/** The answer of a route: `body` or `bytes`, or neither. */
export interface Answer {
  readonly status: number;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Replaces `body`: sent unchanged, with the content type in `headers`. */
  readonly bytes?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** Values of Set-Cookie. */
  readonly cookies?: readonly string[];
}

/** One method of one address, and its handler. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Literal parts, and `{name}` for a parameter. */
  readonly path: string;
  readonly handle: (call: Call) => Promise<Answer>;
  /** The gateway limits this route by itself: a call that came by another of its routes is refused. */
  readonly isLimited?: true;
}

/** Longest body, in bytes. */
export const MAX_BODY_BYTES = 256 * 1024;

/**
 * Longest body that is a list, in bytes. Leaves room for the quotes that Lambda escapes: an event has at most 6 MB.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
 */
export const MAX_LIST_BODY_BYTES = 4 * 1024 * 1024;

/** Time reserved before the function's own time-out, to answer with a fault instead. */
const CLOSING_MS = 1_000;

/** The HTTP status of every fault. */
export const STATUS: Readonly<Record<ErrorCode, number>> = {
  malformedPath: 400,
  malformedJson: 400,
  notAuthenticated: 401,
  notFound: 404,
  methodNotAllowed: 405,
  conflict: 409,
  notConfigured: 409,
  userNameTaken: 409,
  lastAdministrator: 409,
  runActive: 409,
  runNotActive: 409,
  nothingWithheld: 409,
  versionMismatch: 412,
  payloadTooLarge: 413,
  unsupportedMediaType: 415,
  invalidRequest: 422,
  throttled: 429,
  internal: 500,
  leaseLost: 500,
  interrupted: 500,
  hostNotFound: 502,
  connectionRefused: 502,
  connectionTimeout: 502,
  connectionLost: 502,
  notLdap: 502,
  startTlsRefused: 502,
  certificateRefused: 502,
  encryptionRequired: 502,
  bindRefused: 502,
  operationTimeout: 502,
  baseNotFound: 502,
  baseUnknown: 502,
  readRefused: 502,
  uniqueIdMissing: 502,
  directoryError: 502,
  directoryUnavailable: 503,
  storeUnavailable: 503,
  timeLimit: 503,
};

const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/**
 * Combines routes into one handler, which answers every fault with a problem document (RFC 9457) and throws nothing.
 */
export function serveRoutes(routes: readonly Route[], logger: Logger): HttpHandler {
  const patterns = routes.map((route) => ({ route, parts: route.path.split('/') }));

  async function answer(event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> {
    const parts = event.rawPath.split('/').map(decodePart);
    const matching = patterns.filter((pattern) => matches(pattern.parts, parts));
    if (matching.length === 0) throw new ServiceError('notFound', 'there is nothing at this address');
    const pattern = matching.find(({ route }) => route.method === event.requestContext.http.method);
    if (pattern === undefined) {
      const allow = matching.map(({ route }) => route.method).join(', ');
      return problem(new ServiceError('methodNotAllowed', `this address accepts only ${allow}`), event, { allow });
    }
    const { method, path, isLimited } = pattern.route;
    if (isLimited && event.routeKey !== `${method} ${path}`) {
      throw new ServiceError('notFound', `there is nothing at this address; write it as ${path}`);
    }
    const { status, body, bytes, headers, cookies } = await pattern.route.handle(readCall(event, pattern.parts, parts));
    const result = {
      statusCode: status,
      headers: { ...SECURITY_HEADERS, ...headers },
      ...(cookies && { cookies: [...cookies] }),
    };
    if (bytes !== undefined) return { ...result, body: bytes.toString('base64'), isBase64Encoded: true };
    if (body === undefined) return result;
    return {
      ...result,
      headers: { ...result.headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    };
  }

  return createStack<APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2>(answer, {
    timeoutEarlyInMillis: CLOSING_MS,
    timeoutEarlyResponse: () => {
      throw new ServiceError('timeLimit', 'the request took too long; check whether it was carried out', {
        retryable: true,
      });
    },
  }).onError(({ error, event }) => {
    const fault =
      error instanceof ServiceError ? error : new ServiceError('internal', 'an unexpected error', { cause: error });
    if (STATUS[fault.code] >= 500) {
      const { http, requestId } = event.requestContext;
      logger.error('request failed', { method: http.method, requestId, code: fault.code, ...describeError(error) });
    }
    return problem(fault, event, {});
  });
}

/**
 * The problem document of a fault. For an unexpected error, it contains only the request id, which finds the log line.
 */
function problem(
  fault: ServiceError,
  { requestContext }: APIGatewayProxyEventV2,
  headers: Record<string, string>,
): APIGatewayProxyStructuredResultV2 {
  const { code, message, advice, faults, runId, retryAfterSeconds } = fault;
  const status = STATUS[code];
  const document = {
    type: 'about:blank',
    title: STATUS_CODES[status],
    status,
    detail: message,
    code,
    ...(advice !== undefined && { advice }),
    ...(faults.length > 0 && { errors: faults }),
    ...(runId !== undefined && { runId }),
    ...(status >= 500 && { requestId: requestContext.requestId }),
  };
  return {
    statusCode: status,
    headers: {
      ...SECURITY_HEADERS,
      'content-type': 'application/problem+json',
      ...(status === 401 && { 'www-authenticate': 'Bearer' }),
      ...(retryAfterSeconds !== undefined && { 'retry-after': String(retryAfterSeconds) }),
      ...headers,
    },
    body: JSON.stringify(document),
  };
}

/**
 * Type and stack of an error and its causes. Includes the messages of our own errors only: others may quote the
 * request, as JSON.parse quotes invalid text.
 */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { errorType: typeof error };
  const own = error instanceof ServiceError;
  return {
    errorType: error.name,
    ...(own && { code: error.code, detail: error.message }),
    stack: (error.stack ?? '').split('\n').filter((frame) => /^\s+at /.test(frame)),
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
  };
}

/**
 * Decodes one part of the path. API Gateway's HTTP APIs decode it already; other sources do not. Decoding twice changes
 * nothing unless a decoded path still contains a `%`, which callers avoid (see `userPath`).
 */
function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw new ServiceError('malformedPath', 'the path has a malformed percent escape', { cause });
  }
}

function matches(pattern: readonly string[], parts: readonly string[]): boolean {
  if (pattern.length !== parts.length) return false;
  return pattern.every((part, position) => (part.startsWith('{') ? parts[position] !== '' : part === parts[position]));
}

function readCall(event: APIGatewayProxyEventV2, pattern: readonly string[], parts: readonly string[]): Call {
  const { headers } = event;
  const params = pattern.flatMap((part, position) =>
    part.startsWith('{') ? [[part.slice(1, -1), parts[position]!]] : [],
  );
  const cookies = (event.cookies ?? headers['cookie']?.split(';') ?? []).map((pair) => pair.trim());
  const call: Call = {
    params: Object.fromEntries(params),
    query: Object.fromEntries(new URLSearchParams(event.rawQueryString)),
    ifMatch: readEntityTag(headers['if-match']),
    bearerToken: /^Bearer +(\S+)$/i.exec(headers['authorization'] ?? '')?.[1] ?? null,
    sameOrigin: isSameOrigin(headers),
    https: headers['x-forwarded-proto'] === 'https',
    peerAddress: event.requestContext.http.sourceIp,
    acceptsGzip: readList(headers['accept-encoding']).some((coding) => /^gzip *(;(?! *q=0(\.0*)?$)|$)/i.test(coding)),
    hasCopy: (entityTag) => readList(headers['if-none-match']).some((tag) => tag === entityTag || tag === '*'),
    cookie: (name) => cookies.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1) ?? null,
    header: (name) => headers[name] ?? null,
    json: () => readJson(event, MAX_BODY_BYTES),
    optionalJson: (maxBytes = MAX_BODY_BYTES) =>
      event.body === undefined || event.body === '' ? undefined : readJson(event, maxBytes),
  };
  return call;
}

/** The entity tag without quotes. A weak or unquoted tag was never issued: returned as it is, it matches nothing. */
function readEntityTag(header: string | undefined): string | null {
  if (header === undefined || header.trim() === '*') return null;
  return /^\s*"([^"]*)"\s*$/.exec(header)?.[1] ?? header;
}

/** The elements of a header that is a list, if none of them contains a comma. */
function readList(header: string | undefined): string[] {
  return (header ?? '').split(',').map((element) => element.trim());
}

/**
 * Whether a browser sent the call for its own site. Without Sec-Fetch-Site, Origin and Host must match.
 * @see https://www.w3.org/TR/fetch-metadata/
 */
function isSameOrigin(headers: APIGatewayProxyEventV2['headers']): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin' || site === 'none';
  const { origin, host } = headers;
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}

function readJson(event: APIGatewayProxyEventV2, maxBytes: number): unknown {
  const type = event.headers['content-type']?.split(';', 1)[0]!.trim().toLowerCase();
  const isPatch = event.requestContext.http.method === 'PATCH' && type === 'application/merge-patch+json';
  if (type !== 'application/json' && !isPatch) {
    throw new ServiceError('unsupportedMediaType', 'the body must be JSON, with the content type application/json');
  }
  const bytes = Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8');
  if (bytes.length > maxBytes) {
    throw new ServiceError('payloadTooLarge', `the body must be at most ${maxBytes / 1024} KB`);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    // Without the cause, because it quotes the body.
    throw new ServiceError('malformedJson', 'the body must be valid JSON in UTF-8');
  }
}
