/** Makes the event that an HTTP API of API Gateway sends (payload version 2.0) from a caller's request. */
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { PASSWORD_ROUTES } from '../../lib/aws/environment.ts';

export interface SentRequest {
  readonly method: string;
  readonly path: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cookies?: readonly string[];
  /** The body as it is sent. */
  readonly text?: string | undefined;
  /** Whether `text` is the base64 of the body. */
  readonly base64?: boolean;
  /** The route that the gateway chose. The default is the one it would choose. */
  readonly routeKey?: string;
  /** The address that the gateway was called from. */
  readonly sourceIp?: string;
}

function isPasswordRoute(route: string): boolean {
  return PASSWORD_ROUTES.some((one) => one === route);
}

export function apiEvent(request: SentRequest): APIGatewayProxyEventV2 {
  const { method, path, query, headers, cookies, text, base64, routeKey: routed, sourceIp } = request;
  const own = `${method} ${path}`;
  const routeKey = routed ?? (isPasswordRoute(own) ? own : 'ANY /api/{proxy+}');
  return {
    version: '2.0',
    routeKey,
    rawPath: path,
    rawQueryString: query ?? '',
    headers: { host: 'rollcall.example', 'x-forwarded-proto': 'https', ...headers },
    ...(cookies && { cookies: [...cookies] }),
    requestContext: {
      accountId: '',
      apiId: '',
      domainName: 'rollcall.example',
      domainPrefix: 'rollcall',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: sourceIp ?? '127.0.0.1', userAgent: 'test' },
      requestId: 'request-1',
      routeKey,
      stage: '$default',
      time: '',
      timeEpoch: 0,
    },
    isBase64Encoded: base64 ?? false,
    ...(text !== undefined && { body: text }),
  };
}
