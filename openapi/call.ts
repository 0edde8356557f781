/**
 * How a call of the API is described: the parts in which calls differ, and the OpenAPI operation made of them. Knows no
 * particular call.
 */
import * as z from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiParameterObject, ZodOpenApiResponseObject } from 'zod-openapi';
import type { ErrorCode } from '../lib/errors.ts';
import * as example from './example.ts';
import { problemResponses } from './problem.ts';

/** The groups of calls. */
export const TAGS = [
  { name: 'Session', description: 'Signing in and out, and the caller’s own password.' },
  { name: 'Settings', description: 'The directory, which of its entries become users, and when.' },
  { name: 'Runs', description: 'Runs of the synchronisation and their changes.' },
  { name: 'Users', description: 'The user database.' },
  { name: 'System', description: 'The system itself.' },
] as const;

/** A call: the parts in which calls differ. */
export interface DescribedCall {
  readonly id: string;
  readonly tag: (typeof TAGS)[number]['name'];
  readonly summary: string;
  readonly description?: string;
  /** Who may call. Default: administrators. `open`: everybody. `anybody`: everybody; a session changes the answer. */
  readonly access?: 'open' | 'anybody';
  readonly query?: z.ZodObject;
  readonly ifMatch?: true;
  readonly body?: {
    readonly schema: z.ZodType;
    readonly example: unknown;
    readonly optional?: true;
    readonly mergePatch?: true;
  };
  readonly answers: Readonly<Record<number, DescribedAnswer>>;
  /** Possible faults, in addition to those that follow from the other parts. */
  readonly faults?: readonly ErrorCode[];
}

/** An answer of a call, other than a fault. */
export interface DescribedAnswer {
  readonly description: string;
  readonly schema?: z.ZodType | { readonly type: 'object' };
  readonly example?: unknown;
  readonly headers?: ZodOpenApiResponseObject['headers'];
}

/** Calls by method and path, such as `GET /api/runs/{id}`. */
export type DescribedCalls = Readonly<Record<string, DescribedCall>>;

/** The header with the entity tag of what is answered. */
export const ETAG = { ETag: header('For `If-Match`.') };
/** The header that sets or deletes the session cookie. */
export const SIGNED_IN_COOKIE = { 'Set-Cookie': header('The cookie `session`: HttpOnly, SameSite=Strict.') };
/** The header with the address of a new resource. */
export const LOCATION = (of: string) => ({ Location: header(`Address of the ${of}.`) });

const IF_MATCH: ZodOpenApiParameterObject = {
  name: 'If-Match',
  in: 'header',
  description: 'Entity tag of what you read. If it has changed since, the call fails with `versionMismatch`.',
  schema: { type: 'string' },
};

const PATH_PARAMETERS: Readonly<Record<string, ZodOpenApiParameterObject>> = {
  userName: {
    name: 'userName',
    in: 'path',
    required: true,
    description: 'User name in any letter case, or `~` and the base64url of its UTF-8.',
    schema: { type: 'string' },
    example: 'anna.weber',
  },
  id: {
    name: 'id',
    in: 'path',
    required: true,
    description: 'Id of a run.',
    schema: { type: 'string' },
    example: example.run.id,
  },
};

/** The OpenAPI operation of a call. Its faults include those that follow from its parts, such as a body. */
export function describeCall(path: string, call: DescribedCall): ZodOpenApiOperationObject {
  const { id, tag, summary, description, access, query, ifMatch, body, answers, faults = [] } = call;
  const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
  const codes: ErrorCode[] = [...faults, 'internal', 'timeLimit'];
  if (id !== 'describeApi') codes.push('storeUnavailable');
  if (access === undefined) codes.push('notAuthenticated');
  if (names.length > 0) codes.push('malformedPath');
  if (query) codes.push('invalidRequest');
  if (body) codes.push('malformedJson', 'unsupportedMediaType', 'payloadTooLarge');
  if (body && !(body.schema instanceof z.ZodUnknown)) codes.push('invalidRequest');

  const responses: Record<string, ZodOpenApiResponseObject> = problemResponses(codes);
  for (const [status, answer] of Object.entries(answers)) {
    const { content } = responses[status] ?? {};
    responses[status] = {
      ...describeAnswer(answer),
      ...(content && { content: { ...contentOf(answer), ...content } }),
    };
  }
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(access === 'open' && { security: [] }),
    ...(access === 'anybody' && { security: [{}, { bearer: [] }, { cookie: [] }] }),
    parameters: [...names.map((name) => PATH_PARAMETERS[name]!), ...(ifMatch ? [IF_MATCH] : [])],
    ...(query && { requestParams: { query } }),
    ...(body && { requestBody: describeBody(body) }),
    responses,
  };
}

function describeBody({ schema, example, optional, mergePatch }: NonNullable<DescribedCall['body']>) {
  const content = { schema, example };
  return {
    required: optional !== true,
    content: {
      'application/json': content,
      ...(mergePatch && { 'application/merge-patch+json': content }),
    },
  };
}

function describeAnswer(answer: DescribedAnswer): ZodOpenApiResponseObject {
  const { description, schema, headers } = answer;
  return { description, ...(headers && { headers }), ...(schema && { content: contentOf(answer) }) };
}

function contentOf({ schema, example }: DescribedAnswer): NonNullable<ZodOpenApiResponseObject['content']> {
  return schema === undefined ? {} : { 'application/json': { schema, example } };
}

function header(description: string) {
  return { schema: { type: 'string' as const }, required: true, description };
}
