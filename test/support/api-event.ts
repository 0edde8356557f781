/** Makes the event that an HTTP API of API Gateway sends (payload version 2.0) from a caller's request. */
import type { APIGatewayProxyEventV2 } from 'aws-lambda';

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
}

export function apiEvent({ method, path, query, headers, cookies, text, base64 }: SentRequest): APIGatewayProxyEventV2 {
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query ?? '',
    headers: { host: 'rollcall.example', 'x-forwarded-proto': 'https', ...headers },
    ...(cookies && { cookies: [...cookies] }),
    requestContext: {
      accountId: '',
      apiId: '',
      domainName: 'rollcall.example',
      domainPrefix: 'rollcall',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'test' },
      requestId: 'request-1',
      routeKey: '$default',
      stage: '$default',
      time: '',
      timeEpoch: 0,
    },
    isBase64Encoded: base64 ?? false,
    ...(text !== undefined && { body: text }),
  };
}
