/** Describes the calls about the system itself. */
import { PRIVILEGE_CATALOGUE } from '../lib/user/privilege.ts';
import * as answer from './answer.ts';
import type { DescribedCalls } from './call.ts';

export const SYSTEM_CALLS: DescribedCalls = {
  'GET /api/privileges': {
    id: 'listPrivileges',
    tag: 'System',
    summary: 'List the privileges there are',
    answers: {
      200: {
        description: 'All of them.',
        schema: answer.privilegePage,
        example: { items: PRIVILEGE_CATALOGUE, next: null },
      },
    },
  },
  'GET /api/health': {
    id: 'checkHealth',
    tag: 'System',
    summary: 'Whether the API works',
    access: 'anybody',
    answers: {
      200: { description: 'It does.', schema: answer.health, example: { status: 'ok' } },
      503: { description: 'It does not reach a store.', schema: answer.health, example: { status: 'degraded' } },
    },
  },
  'GET /api/openapi.json': {
    id: 'describeApi',
    tag: 'System',
    summary: 'This description',
    access: 'open',
    answers: { 200: { description: 'OpenAPI 3.1.', schema: { type: 'object' }, example: { openapi: '3.1.1' } } },
  },
};
