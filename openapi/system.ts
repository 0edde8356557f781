/** Describes the calls about the system itself. */
import { PRIVILEGE_CATALOGUE } from '../lib/user/privilege.ts';
import * as answer from './answer.ts';
import type { DescribedCalls } from './call.ts';

/** The calls under `/api/privileges`, `/api/health` and `/api/openapi.json`. */
export const SYSTEM_CALLS: DescribedCalls = {
  'GET /api/privileges': {
    id: 'listPrivileges',
    tag: 'System',
    summary: 'List all privileges',
    answers: {
      200: {
        description: 'All privileges.',
        schema: answer.privilegePage,
        example: { items: PRIVILEGE_CATALOGUE, next: null },
      },
    },
  },
  'GET /api/health': {
    id: 'checkHealth',
    tag: 'System',
    summary: 'Show whether the API works',
    access: 'anybody',
    answers: {
      200: { description: 'The API works.', schema: answer.health, example: { status: 'ok' } },
      503: { description: 'The API cannot reach a store.', schema: answer.health, example: { status: 'degraded' } },
    },
  },
  'GET /api/openapi.json': {
    id: 'describeApi',
    tag: 'System',
    summary: 'Show this description',
    access: 'open',
    answers: {
      200: { description: 'The description, OpenAPI 3.1.', schema: { type: 'object' }, example: { openapi: '3.1.1' } },
    },
  },
};
