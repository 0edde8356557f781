/**
 * Validates query strings and the small bodies of the administration API. Knows neither settings nor users, which have
 * schemas of their own.
 */
import * as z from 'zod';
import type { RunQuery } from '../sync/run-store.ts';
import { CHANGE_KINDS, PROPOSALS, RUN_STATUSES } from '../sync/run.ts';
import type { ChangeKind } from '../sync/run.ts';
import type { UserQuery } from '../user/user-store.ts';
import type { DefaultPrivilegeRequest } from './default-privilege.ts';
import { LIST_EVEN_SO, parseInput } from './input.ts';
import type { Parsed } from './input.ts';
import type { ApprovalRequest } from './runs.ts';
import { newPassword } from './user-schema.ts';

const DEFAULT_USERS = 50;
const MAX_USERS = 200;
const DEFAULT_RUNS = 20;
const MAX_RUNS = 100;
const DEFAULT_CHANGES = 100;
const MAX_CHANGES = 1_000;

/** Most users that one approval names. */
const MAX_APPROVED_USERS = 50_000;
const MAX_ID_LENGTH = 64;

const MAX_CURSOR_LENGTH = 4_096;
/** Longest user name or password that a sign-in looks at, in characters. */
const MAX_TYPED_LENGTH = 1_024;

const pageSize = (fallback: number, max: number) =>
  z
    .string()
    .refine((text) => /^\d{1,5}$/.test(text), 'must be a whole number')
    .optional()
    .transform((text) => (text === undefined ? fallback : Number(text)))
    .pipe(z.int().min(1).max(max))
    // A query parameter is text; the API description calls it an integer.
    .meta({
      type: 'integer',
      minimum: 1,
      maximum: max,
      default: fallback,
      description: 'Maximum number of items on a page.',
    });

const time = z
  .string()
  .refine((text) => z.iso.datetime({ offset: true }).safeParse(text).success, 'must be as in 2026-05-04T10:00:00Z')
  .transform((text) => new Date(text))
  .meta({ type: 'string', format: 'date-time' });

const next = z.string().max(MAX_CURSOR_LENGTH).exactOptional().describe('`next` of the previous page.');
const dryRun = z.boolean().default(false).describe('Decides and reports everything, but changes nothing.');

/** The body of a sign-in. */
export const credentials = z.strictObject({
  userName: z.string().max(MAX_TYPED_LENGTH),
  password: z.string().max(MAX_TYPED_LENGTH),
});

/** The body with a password to test. */
export const typedPassword = z.strictObject({ password: z.string().max(MAX_TYPED_LENGTH) });

/** The body that changes the caller's own password. */
export const passwordChange = z.strictObject({
  userName: credentials.shape.userName
    .exactOptional()
    .describe('Required without a session. With a session, leave it out.'),
  currentPassword: credentials.shape.password,
  newPassword: newPassword.shape.password,
});

/** The body that starts a run. */
export const syncOptions = z.strictObject({ dryRun });

/** The body that approves withheld lines of a run. */
export const approvalRequest = z.strictObject({
  proposes: z.enum(PROPOSALS).exactOptional().describe('Only lines that propose this. Leave out to approve all kinds.'),
  userIds: z
    .array(z.string().min(1).max(MAX_ID_LENGTH))
    .min(1, 'must name at least one user; leave it out to approve all lines')
    .max(MAX_APPROVED_USERS)
    .superRefine(refuseSameText, LIST_EVEN_SO)
    .exactOptional()
    .meta({ uniqueItems: true })
    .describe(
      'Only lines of these users, by `userId`. Leave out to approve the lines of all users, except those that ' +
        'propose `link` for somebody with another full name and other e-mail addresses.',
    ),
});

/** The body that applies the default privileges. */
export const defaultPrivilegeRequest = z.strictObject({
  dryRun,
  next: z
    .string()
    .max(MAX_CURSOR_LENGTH)
    .nullish()
    .describe('`next` of the previous call. Leave out to start from the beginning.'),
});

/** The query of a list of runs. */
export const runQuery = z
  .strictObject({
    status: z.enum(RUN_STATUSES).exactOptional().describe('Only runs with this status.'),
    from: time.exactOptional().describe('Only runs that started at this time or later.'),
    to: time.exactOptional().describe('Only runs that started before this time.'),
    limit: pageSize(DEFAULT_RUNS, MAX_RUNS),
    next,
  })
  .refine(({ from, to }) => from === undefined || to === undefined || from < to, {
    path: ['to'],
    message: 'must be later than "from"',
  });

/** The query of the lines of a run. */
export const changeQuery = z.strictObject({
  kind: z.enum(CHANGE_KINDS).exactOptional().describe('Only changes of this kind.'),
  limit: pageSize(DEFAULT_CHANGES, MAX_CHANGES),
  next,
});

/** The query of a list of users. */
export const userQuery = z.strictObject({
  search: z
    .string()
    .max(320)
    .exactOptional()
    .describe('Beginning of a user name, or a whole e-mail address, in any letter case.'),
  authentication: z.enum(['integrated', 'directory']).exactOptional().describe('Only users with this authentication.'),
  status: z.enum(['active', 'disabled']).exactOptional().describe('Only users with this status.'),
  limit: pageSize(DEFAULT_USERS, MAX_USERS),
  next,
});

/** Parses `{userName, password}` of a sign-in. The login decides whether they are valid. */
export function parseCredentials(body: unknown): Parsed<{ readonly userName: string; readonly password: string }> {
  return parseInput(credentials, body);
}

/** Parses `{password}` to test, as a user would type it to log in. */
export function parseTypedPassword(body: unknown): Parsed<{ readonly password: string }> {
  return parseInput(typedPassword, body);
}

/** Parses `{currentPassword, newPassword, userName?}`; `userName` identifies a caller without a session. */
export function parsePasswordChange(
  body: unknown,
): Parsed<{ readonly userName?: string; readonly currentPassword: string; readonly newPassword: string }> {
  return parseInput(passwordChange, body);
}

/** Parses `{dryRun?, next?}`. */
export function parseDefaultPrivilegeRequest(body: unknown): Parsed<DefaultPrivilegeRequest> {
  return parseInput(defaultPrivilegeRequest, body);
}

/** Parses `{dryRun?}`; no body means a real run. */
export function parseSyncOptions(body: unknown): Parsed<{ readonly dryRun: boolean }> {
  return parseInput(syncOptions, body === undefined ? {} : body);
}

/** Parses `{proposes?, userIds?}`; no body approves all lines. */
export function parseApprovalRequest(body: unknown): Parsed<ApprovalRequest> {
  return parseInput(approvalRequest, body === undefined ? {} : body);
}

/** Parses filters, `limit` and `next` of a list of runs; `limit` is 20 by default, at most 100. */
export function parseRunQuery(query: unknown): Parsed<RunQuery> {
  return parseInput(runQuery, query);
}

/** Parses `kind`, `limit` and `next` of the lines of a run; `limit` is 100 by default, at most 1,000. */
export function parseChangeQuery(
  query: unknown,
): Parsed<{ readonly kind?: ChangeKind; readonly limit: number; readonly next?: string }> {
  return parseInput(changeQuery, query);
}

/** Parses filters, `limit` and `next` of a list of users; `limit` is 50 by default, at most 200. */
export function parseUserQuery(query: unknown): Parsed<UserQuery> {
  return parseInput(userQuery, query);
}

/** Adds a fault for each text that repeats an earlier one exactly. */
function refuseSameText(texts: readonly unknown[], context: z.core.$RefinementCtx): void {
  const seen = new Set<unknown>();
  for (const [position, text] of texts.entries()) {
    if (seen.has(text)) context.addIssue({ code: 'custom', path: [position], message: 'must not be listed twice' });
    seen.add(text);
  }
}
