/**
 * Validation of query strings and of the small bodies of the administration API. Settings and users have schemas of their
 * own.
 */
import * as z from 'zod';
import type { DefaultPrivilegeRequest } from './default-privilege.ts';
import { parseInput } from './input.ts';
import type { Parsed } from './input.ts';
import type { UserQuery } from '../user/user-store.ts';
import { CHANGE_KINDS } from '../sync/run.ts';
import type { ChangeKind } from '../sync/run.ts';
import { newPassword } from './user-schema.ts';

const DEFAULT_USERS = 50;
const MAX_USERS = 200;
const DEFAULT_RUNS = 20;
const MAX_RUNS = 100;
const DEFAULT_CHANGES = 100;
const MAX_CHANGES = 1_000;

/** What is typed into a form for signing in: long enough for everybody, and no more is looked at. */
const MAX_CURSOR_LENGTH = 4_096;
const MAX_TYPED_LENGTH = 1_024;

const pageSize = (fallback: number, max: number) =>
  z
    .string()
    .refine((text) => /^\d{1,5}$/.test(text), 'must be a whole number')
    .optional()
    .transform((text) => (text === undefined ? fallback : Number(text)))
    .pipe(z.int().min(1).max(max))
    // Text on the wire, and a number to whoever writes it.
    .meta({ type: 'integer', minimum: 1, maximum: max, default: fallback, description: 'Items a page.' });

const next = z.string().max(MAX_CURSOR_LENGTH).exactOptional().describe('Of the page before: what its `next` was.');
const dryRun = z.boolean().default(false).describe('Decides and reports everything, and changes nothing.');

export const credentials = z.strictObject({
  userName: z.string().max(MAX_TYPED_LENGTH),
  password: z.string().max(MAX_TYPED_LENGTH),
});

export const typedPassword = z.strictObject({ password: z.string().max(MAX_TYPED_LENGTH) });

export const passwordChange = z.strictObject({
  userName: credentials.shape.userName.exactOptional().describe('Only without a session, or that of the session.'),
  currentPassword: credentials.shape.password,
  newPassword: newPassword.shape.password,
});

export const syncOptions = z.strictObject({ dryRun });

export const defaultPrivilegeRequest = z.strictObject({
  dryRun,
  next: z.string().max(MAX_CURSOR_LENGTH).nullish().describe('Where the call before has stopped: what its `next` was.'),
});

export const runQuery = z.strictObject({ limit: pageSize(DEFAULT_RUNS, MAX_RUNS), next });

export const changeQuery = z.strictObject({
  kind: z.enum(CHANGE_KINDS).exactOptional().describe('Only changes of this kind.'),
  limit: pageSize(DEFAULT_CHANGES, MAX_CHANGES),
  next,
});

export const userQuery = z.strictObject({
  search: z
    .string()
    .max(320)
    .exactOptional()
    .describe('Beginning of the user name, or a whole e-mail address. Upper and lower case are the same.'),
  authentication: z.enum(['integrated', 'directory']).exactOptional().describe('Only users of this authentication.'),
  status: z.enum(['active', 'disabled']).exactOptional().describe('Only users of this status.'),
  limit: pageSize(DEFAULT_USERS, MAX_USERS),
  next,
});

/** `{userName, password}` of a sign-in. Whether they can be any is for the login to say. */
export function parseCredentials(body: unknown): Parsed<{ readonly userName: string; readonly password: string }> {
  return parseInput(credentials, body);
}

/** `{password}` as somebody types it to log in. */
export function parseTypedPassword(body: unknown): Parsed<{ readonly password: string }> {
  return parseInput(typedPassword, body);
}

/** The passwords of whoever changes the own one, and who that is where no session tells. */
export function parsePasswordChange(
  body: unknown,
): Parsed<{ readonly userName?: string; readonly currentPassword: string; readonly newPassword: string }> {
  return parseInput(passwordChange, body);
}

/** `{dryRun?, next?}` */
export function parseDefaultPrivilegeRequest(body: unknown): Parsed<DefaultPrivilegeRequest> {
  return parseInput(defaultPrivilegeRequest, body);
}

/** `{dryRun?}`; no body is a real run. */
export function parseSyncOptions(body: unknown): Parsed<{ readonly dryRun: boolean }> {
  return parseInput(syncOptions, body === undefined ? {} : body);
}

export function parseRunQuery(query: unknown): Parsed<{ readonly limit: number; readonly next?: string }> {
  return parseInput(runQuery, query);
}

export function parseChangeQuery(
  query: unknown,
): Parsed<{ readonly kind?: ChangeKind; readonly limit: number; readonly next?: string }> {
  return parseInput(changeQuery, query);
}

export function parseUserQuery(query: unknown): Parsed<UserQuery> {
  return parseInput(userQuery, query);
}
