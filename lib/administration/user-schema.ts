/**
 * Validates what administrators send about users: creation, JSON merge patch, password. Knows no store: checks against
 * other users are in users.ts.
 */
import * as z from 'zod';
import { EMAIL_ADDRESS, exceedAddressBytes, MAX_ADDRESS_BYTES } from '../user/email-address.ts';
import { passwordFault } from '../user/password.ts';
import type { Privilege } from '../user/privilege.ts';
import { PRIVILEGES, privilegesFault } from '../user/privilege.ts';
import { parseUserName } from '../user/user-name.ts';
import type { Authentication, Profile, UserStatus } from '../user/user.ts';
import { MAX_FULL_NAME_LENGTH } from '../user/user.ts';
import { LIST_EVEN_SO, optionalTextLine, parseInput, refuse, refuseRepetition } from './input.ts';
import type { Parsed } from './input.ts';

const MAX_ADDRESS_LENGTH = 320;
const MAX_ADDRESSES = 200;

/** A user to create, with all defaults. */
export interface NewUser extends Profile {
  readonly authentication: Authentication;
  readonly status: UserStatus;
  readonly privileges: readonly Privilege[];
}

/** The fields to change; absent fields stay unchanged. */
export type UserPatch = { readonly [Field in keyof NewUser]?: NewUser[Field] | undefined } & {
  /** Only together with `authentication: 'integrated'`. */
  readonly password?: string | undefined;
};

const userName = z
  .string()
  .transform((text, context) => {
    const parsed = parseUserName(text);
    if (parsed.kind === 'userName') return parsed.userName;
    context.addIssue({ code: 'custom', message: parsed.reason });
    return z.NEVER;
  })
  .describe('The name with which the user logs in. Unique in any letter case, at most 255 bytes.');

const fullName = optionalTextLine(MAX_FULL_NAME_LENGTH)
  .transform((text) => (text === '' ? null : text))
  .describe('Full name. Empty or null = none.');

// Asked about lists with other faults too, so that all of them are told at once.
function addressesFault(addresses: readonly unknown[]): string | null {
  return exceedAddressBytes(addresses.map(String)) ? `must be at most ${MAX_ADDRESS_BYTES / 1024} KB in total` : null;
}

const address = z.string().trim().max(MAX_ADDRESS_LENGTH).regex(EMAIL_ADDRESS, 'is not an e-mail address');

const emailAddresses = z
  .array(address)
  .max(MAX_ADDRESSES)
  .superRefine(refuseRepetition, LIST_EVEN_SO)
  .superRefine(refuse(addressesFault), LIST_EVEN_SO)
  .nullish()
  .transform((addresses) => addresses ?? [])
  .describe('E-mail addresses; the first one is the primary address. Null = none.');

const authentication = z
  .enum(['integrated', 'directory'])
  .describe('Who verifies the password. `integrated`: this system. `directory`: the directory.');
const status = z.enum(['active', 'disabled']).describe('Disabled users can’t log in.');

const privileges = z
  .array(z.enum(PRIVILEGES))
  .superRefine(refuse(privilegesFault), LIST_EVEN_SO)
  .describe('`none` and `admin` can’t be combined with other privileges.');

/** The body that creates a user. */
export const newUser = z.strictObject({
  userName,
  fullName,
  emailAddresses,
  authentication: authentication.default('integrated'),
  status: status.default('active'),
  privileges: privileges.default(['login']),
});

/** The body that sets a password. */
export const newPassword = z.strictObject({
  password: z
    .string()
    .superRefine(refuse(passwordFault))
    .describe('At least 8 characters and at most 1,024 bytes of UTF-8.'),
});

/** The body that changes a user. */
export const userPatch = z.strictObject({
  userName: userName.optional(),
  fullName: fullName.optional(),
  emailAddresses: emailAddresses.optional(),
  authentication: authentication.optional(),
  status: status.optional(),
  privileges: privileges.optional(),
  password: newPassword.shape.password
    .optional()
    .describe('Password of a user whose `authentication` this patch sets to `integrated`; otherwise not allowed.'),
} satisfies Record<keyof UserPatch, z.ZodType>);

/** Parses a user to create; only the user name is required. */
export function parseNewUser(body: unknown): Parsed<NewUser> {
  return parseInput<NewUser>(newUser, body);
}

/** Parses a JSON merge patch (RFC 7396). Null removes the full name or all e-mail addresses; other fields refuse it. */
export function parseUserPatch(body: unknown): Parsed<UserPatch> {
  const parsed = parseInput(userPatch, body);
  if (parsed.kind === 'invalid') return parsed;
  if (parsed.value.password !== undefined && parsed.value.authentication !== 'integrated') {
    const message = 'needs "authentication": "integrated"; otherwise use PUT /api/users/{userName}/password';
    return { kind: 'invalid', faults: [{ path: 'password', message }] };
  }
  // The schemas turn absent fields into defaults. Absent fields must stay absent, or the patch would change them.
  const named = Object.keys(body as object);
  return {
    kind: 'valid',
    value: Object.fromEntries(Object.entries(parsed.value).filter(([field]) => named.includes(field))),
  };
}

/** Parses `{password}`, as an administrator sets it. */
export function parseNewPassword(body: unknown): Parsed<{ readonly password: string }> {
  return parseInput(newPassword, body);
}
