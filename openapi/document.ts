/**
 * The description of the administration API (OpenAPI 3.1), made of the schemas that validate requests, those of answers, and
 * the table from fault to status. Joins the calls of every resource; what calls do is in functions/api.ts.
 */
import { readFileSync } from 'node:fs';
import { createDocument } from 'zod-openapi';
import type { ZodOpenApiOperationObject } from 'zod-openapi';
import { MAX_BODY_BYTES } from '../functions/http.ts';
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
JSON in UTF-8; times in RFC 3339, UTC; ids are opaque. Unknown fields and query parameters are refused.

**Faults** are problem documents (RFC 9457) with a stable \`code\`; a 422 names every fault of the input at once. Any call may
answer with a 500 or 503, and an address that takes other methods with \`methodNotAllowed\`, status 405.

**Lists** are \`{items, next}\`: pass \`next\` back as \`?next=\` for the next page, until it is null.

**Lost updates** are prevented by \`If-Match\` with the \`ETag\` of what was read; without it, the last writer wins.

**Names in paths** are percent-encoded. API Gateway decodes paths before they are looked at, which loses what \`/\`, \`?\` and
\`%\` were: write names with such characters as \`~\` and the base64url of their UTF-8, as \`Location\` of a created user does.

**Bodies** have at most ${MAX_BODY_BYTES / 1024} KB.
`;

/** In the order of the document. */
const CALLS: DescribedCalls = {
  ...SESSION_CALLS,
  ...SETTINGS_CALLS,
  ...RUN_CALLS,
  ...USER_CALLS,
  ...SYSTEM_CALLS,
};

/** The description as a value; it can be written as JSON or YAML as it stands. */
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
    servers: [{ url: '/', description: 'Where this description was found.' }],
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
        bearer: { type: 'http', scheme: 'bearer', description: 'The token of a session.' },
        cookie: {
          type: 'apiKey',
          in: 'cookie',
          name: 'session',
          description: 'The cookie of a session. For anything but GET it counts only in requests of the same site.',
        },
      },
    },
  });
}
