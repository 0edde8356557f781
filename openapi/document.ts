/**
 * The description of the administration API (OpenAPI 3.1): joins the calls of all resources with the schemas that
 * validate requests. What the calls do is in functions/api-handler.ts.
 */
import { readFileSync } from 'node:fs';
import { createDocument } from 'zod-openapi';
import type { ZodOpenApiOperationObject } from 'zod-openapi';
import { MAX_BODY_BYTES, MAX_LIST_BODY_BYTES } from '../functions/http.ts';
import { settings, triedSettings } from '../lib/administration/settings-schema.ts';
import { newUser, userPatch } from '../lib/administration/user-schema.ts';
import { describeCall, TAGS } from './call.ts';
import type { DescribedCalls } from './call.ts';
import { errorCode } from './code.ts';
import { problem } from './problem.ts';
import { RUN_CALLS } from './run.ts';
import { SESSION_CALLS } from './session.ts';
import { SETTINGS_CALLS } from './settings.ts';
import { SYSTEM_CALLS } from './system.ts';
import { USER_CALLS } from './user.ts';

const DESCRIPTION = `
Bodies are JSON in UTF-8, at most ${MAX_BODY_BYTES / 1024} KB long (approvals: ${MAX_LIST_BODY_BYTES / 1024 ** 2} MB).
Times are RFC 3339 in UTC; ids are opaque. Unknown fields and query parameters are refused.

**Faults** are problem documents (RFC 9457) with a stable \`code\`; a 422 lists every fault of the input. Any call may
fail with 500 or 503. A method that an address does not support fails with \`methodNotAllowed\`, status 405.

**Lists** have the form \`{items, next}\`: for the next page, pass \`next\` back as \`?next=\`, until it is null.

**Lost updates** are prevented by \`If-Match\` with the \`ETag\` of what you read; without it, the last write wins.

**User names in paths** are percent-encoded. API Gateway decodes a path before the function sees it, so \`/\`, \`?\` and
\`%\` in a name get lost. If a name has such characters, write \`~\` followed by the base64url of its UTF-8 instead, as
the \`Location\` of a created user does.
`;

/** Every call, in the order of the document. */
const CALLS: DescribedCalls = {
  ...SESSION_CALLS,
  ...SETTINGS_CALLS,
  ...RUN_CALLS,
  ...USER_CALLS,
  ...SYSTEM_CALLS,
};

/** The description as a value that can be written as JSON or YAML. */
export function describeApi() {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const [address, call] of Object.entries(CALLS)) {
    const [method, path] = address.split(' ') as [string, string];
    paths[path] = { ...paths[path], [method.toLowerCase()]: describeCall(path, call) };
  }
  return createDocument({
    openapi: '3.1.1',
    info: {
      title: 'Rollcall administration API',
      version,
      description: DESCRIPTION.trim(),
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The deployment that serves this description.' }],
    tags: [...TAGS],
    security: [{ bearer: [] }, { cookie: [] }],
    paths,
    components: {
      schemas: {
        Settings: settings,
        TriedSettings: triedSettings,
        NewUser: newUser,
        UserPatch: userPatch,
        Problem: problem,
        ErrorCode: errorCode,
      },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'The token of a session, from `POST /api/session`.' },
        cookie: {
          type: 'apiKey',
          in: 'cookie',
          name: 'session',
          description: 'The cookie of a session. Except for GET, it is accepted only in same-origin requests.',
        },
      },
    },
  });
}
