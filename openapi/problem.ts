/** The problem document, and the responses for the faults of a call: one for each status, with its possible codes. */
import { STATUS_CODES } from 'node:http';
import * as z from 'zod';
import type { ZodOpenApiResponseObject } from 'zod-openapi';
import { STATUS } from '../functions/http.ts';
import type { ErrorCode } from '../lib/errors.ts';
import { CODE_MEANINGS, errorCode } from './code.ts';

/** The body of every fault. */
export const problem = z
  .strictObject({
    type: z.literal('about:blank'),
    title: z.string().describe('The status in words.'),
    status: z.int().min(400).max(599),
    detail: z.string().describe('What happened, worded for people.'),
    code: errorCode,
    advice: z.string().exactOptional().describe('What to do about it.'),
    errors: z
      .array(
        z.strictObject({
          path: z
            .string()
            .describe('Path of the field: names and list positions, separated by dots. Empty = the whole document.'),
          message: z.string(),
        }),
      )
      .exactOptional()
      .describe('Every fault of the input, for `invalidRequest`.'),
    runId: z.string().exactOptional().describe('The active run, for `runActive`.'),
    requestId: z.string().exactOptional().describe('Id of the request in the log.'),
  })
  .meta({ id: 'Problem', description: 'A fault, as a problem document (RFC 9457).' });

/** Headers that every response of a status has. */
const HEADERS: Readonly<Record<number, ZodOpenApiResponseObject['headers']>> = {
  401: {
    'WWW-Authenticate': {
      schema: { type: 'string', const: 'Bearer' },
      required: true,
      description: 'The authentication scheme.',
    },
  },
  429: {
    'Retry-After': {
      schema: { type: 'integer', minimum: 1 },
      required: true,
      description: 'Seconds until the next attempt is allowed.',
    },
  },
};

/** The responses of a call with these possible faults, by status. Equal responses share one component. */
export function problemResponses(codes: readonly ErrorCode[]): Record<string, ZodOpenApiResponseObject> {
  const byStatus = Map.groupBy([...new Set(codes)].sort(), (code) => STATUS[code]);
  return Object.fromEntries([...byStatus].map(([status, codes]) => [status, problemResponse(status, codes)]));
}

const responses = new Map<string, ZodOpenApiResponseObject>();

function problemResponse(status: number, codes: readonly ErrorCode[]): ZodOpenApiResponseObject {
  const id = codes.join('-or-');
  const known = responses.get(id);
  if (known) return known;
  const headers = HEADERS[status];
  const response: ZodOpenApiResponseObject = {
    id,
    description: `${codes.map((code) => `\`${code}\`: ${CODE_MEANINGS[code]}`).join('; ')}.`,
    ...(headers && { headers }),
    content: {
      'application/problem+json': {
        schema: {
          // Not next to the reference, because some readers then show only one of the two.
          allOf: [
            { $ref: '#/components/schemas/Problem' },
            { type: 'object', properties: { status: { const: status }, code: { enum: [...codes] } } },
          ],
        },
        examples: Object.fromEntries(codes.map((code) => [code, { value: exampleOf(status, code) }])),
      },
    },
  };
  responses.set(id, response);
  return response;
}

function exampleOf(status: number, code: ErrorCode): z.infer<typeof problem> {
  return {
    type: 'about:blank',
    title: STATUS_CODES[status]!,
    status,
    detail: CODE_MEANINGS[code],
    code,
    ...(code === 'invalidRequest' && { errors: [{ path: 'limit', message: 'must be a whole number' }] }),
    ...(code === 'runActive' && { runId: '20260504T100000000Z-5f3a9c21' }),
    ...(status >= 500 && { requestId: 'JKJaXmPLvHcESHA=' }),
  };
}
