/**
 * The answers of the administration API, except those about settings, as schemas for its description. TypeScript
 * compares them with the types of lib/, and the tests of the API check every answer against them. Nothing in production
 * validates with them.
 */
import * as z from 'zod';
import type { AppliedPrivileges } from '../lib/administration/default-privilege.ts';
import type { RejectionReason } from '../lib/directory/directory.ts';
import type { LoginOutcome } from '../lib/login/login.ts';
import { CHANGE_KINDS } from '../lib/sync/run.ts';
import type { Change, ChangeKind, Proposal, Run, RunError, RunStage, RunStatus, RunTrigger } from '../lib/sync/run.ts';
import { PRIVILEGES } from '../lib/user/privilege.ts';
import type { PublicUser } from '../lib/user/user.ts';
import { count, dn, page, time } from './answer-part.ts';
import { errorCode } from './code.ts';
import { oneOf } from './one-of.ts';

/** A user, as the API shows it. */
export const user = z
  .strictObject({
    id: z.string().describe('Id of the account. Never changes, so use it as the key of related data.'),
    userName: z.string().describe('The name with which the user logs in.'),
    fullName: z.string().nullable(),
    emailAddresses: z.array(z.string()).describe('The first one is the primary address.'),
    authentication: z.enum(['integrated', 'directory']),
    status: z.enum(['active', 'disabled']),
    disabledBy: z
      .enum(['admin', 'sync'])
      .nullable()
      .describe('Who disabled the user. A run enables only users that a run (`sync`) disabled.'),
    privileges: z.array(z.enum(PRIVILEGES)),
    directory: z
      .strictObject({
        id: z.string().describe('Unique id of the entry in the directory.'),
        dn: dn(),
        missingSince: time()
          .nullable()
          .describe('Since when complete reads have not found the entry; null = it is not missing.'),
      })
      .nullable()
      .describe('The directory entry that the user is linked to; null = none.'),
    createdAt: time(),
    updatedAt: time(),
    version: z.int().min(1).describe('Increases with every write. Also the entity tag.'),
  })
  .meta({ id: 'User', description: 'A user.' }) satisfies z.ZodType<PublicUser>;

/** A page of users. */
export const userPage = page(user, 'UserPage');

const privileges = () => z.array(z.enum(PRIVILEGES));

/** The result of applying the default privileges. */
export const appliedPrivileges = z
  .strictObject({
    dryRun: z.boolean(),
    settingsVersion: z.string().describe('Entity tag of the settings with these default privileges.'),
    privileges: privileges().describe('The default privileges.'),
    totals: z
      .strictObject({
        changed: count().describe('Had other privileges.'),
        unchanged: count().describe('Already had these privileges.'),
        kept: count().describe('Administrators, whose privileges are never changed by this call.'),
      })
      .describe('Directory users that this call has processed.'),
    items: z
      .array(z.strictObject({ userName: z.string(), from: privileges(), to: privileges() }))
      .describe('The first 100 changes of this call, in the order of user names.'),
    next: z.string().nullable().describe('Where the next call continues; null = all users are processed.'),
  })
  .meta({
    id: 'AppliedPrivileges',
    description: 'The result of applying the default privileges.',
  }) satisfies z.ZodType<AppliedPrivileges>;

/** A new session. */
export const session = z
  .strictObject({
    token: z.string().describe('Token for `Authorization: Bearer`.'),
    expiresAt: time(),
    user,
  })
  .meta({ id: 'Session', description: 'A new session.' });

/** The session of the caller. */
export const currentSession = z
  .strictObject({ user, expiresAt: time() })
  .meta({ id: 'CurrentSession', description: 'The signed-in user, and when the session ends.' });

const totals = z
  .strictObject(Object.fromEntries(CHANGE_KINDS.map((kind) => [kind, count()])) as Record<ChangeKind, z.ZodInt>)
  .describe('Number of users for each kind of change.');

const runError = z.strictObject({
  code: errorCode,
  message: z.string(),
  advice: z.string().nullable().describe('What to do about it.'),
}) satisfies z.ZodType<RunError>;

/** A run, as the API shows it. */
export const run = z
  .strictObject({
    id: z.string(),
    dryRun: z.boolean(),
    trigger: oneOf<RunTrigger>({
      schedule: 'the schedule',
      api: 'a call of the API',
      console: 'a call from the console',
    }),
    requestedBy: z
      .string()
      .nullable()
      .describe('User name of the administrator who started the run; null = the schedule started it.'),
    status: oneOf<RunStatus>({
      running: 'is queued or in progress',
      succeeded: 'did everything',
      partial: 'could not read or verify everybody, so some or all removals were not carried out',
      failed: 'stopped because of an error; see `error`',
      cancelled: 'an administrator stopped it, or another run was active; see `error`',
    }),
    stage: oneOf<RunStage>({
      queued: 'waits to start',
      reading: 'reads the directory',
      planning: 'decides what to change',
      verifying: 'looks again for missing users',
      applying: 'writes the changes',
      finished: 'has ended',
    }),
    startedAt: time(),
    finishedAt: time().nullable(),
    progress: z.strictObject({
      read: count().describe('Entries read so far.'),
      planned: count().describe('Changes decided so far.'),
      applied: count().describe('Changes written so far.'),
    }),
    expectedEntries: count()
      .nullable()
      .describe(
        'Number of entries in the last complete read, to compare `progress.read` with. Null = no complete read yet.',
      ),
    totals,
    completeness: z
      .strictObject({ complete: z.boolean(), reasons: z.array(z.string()).describe('Why the read is not complete.') })
      .nullable()
      .describe('Whether everybody in scope was read; null = the read has not ended.'),
    settingsVersion: z.string().nullable(),
    error: runError.nullable(),
    notices: z.array(z.string()).describe('What an administrator should know, although nothing failed.'),
    approves: z.string().nullable().describe('Id of the run whose withheld lines this run carries out.'),
    server: z
      .strictObject({
        name: z.string().describe('As written in the settings.'),
        identity: z.string().describe("The server's own name, else the name in the settings and the address in use."),
      })
      .nullable()
      .describe('The server that was read; null = no server yet.'),
    approvalScope: z
      .string()
      .nullable()
      .describe(
        'Opaque. Changes with scope, unique id and treatment of missing users; an approval holds for one value.',
      ),
  })
  .meta({ id: 'Run', description: 'A run of the synchronisation.' }) satisfies z.ZodType<Run>;

/** A page of runs. */
export const runPage = page(run, 'RunPage');

/** The id of a run that a call started or cancels. */
export const startedRun = z
  .strictObject({ runId: z.string() })
  .meta({ id: 'StartedRun', description: 'The id of the run.' });

const fieldValue = z.union([z.string(), z.boolean(), z.array(z.string())]).nullable();

/** A line of a run. */
export const change = z
  .strictObject({
    kind: oneOf<ChangeKind>({
      created: 'a new user',
      updated: '`fields` has the old and new values',
      renamed: 'has another user name or another DN',
      linked: 'now linked to an entry: a user created by hand, or one whose new entry was approved',
      disabled: 'disabled by the run',
      enabled: 'enabled by the run, after an earlier run had disabled it',
      deleted: 'deleted by the run',
      unchanged: 'nothing to change; counted but never listed',
      skipped: 'an entry that cannot become a user; see `reason`',
      conflict: 'left alone because of a contradiction; see `reason`',
      withheld: 'a change that was not carried out; see `reason` and, if it can be approved, `proposes`',
    }),
    userId: z.string().nullable(),
    userName: z.string().nullable(),
    previousUserName: z.string().exactOptional(),
    directoryId: z.string().nullable(),
    dn: dn().nullable(),
    fields: z.record(z.string(), z.strictObject({ from: fieldValue, to: fieldValue })).exactOptional(),
    reason: z.string().exactOptional(),
    proposes: oneOf<Proposal>({
      remove: 'an approval disables or deletes the user',
      link: 'an approval links the user to another entry of the directory; `fields` compares both',
      clear: 'an approval empties the fields that the directory no longer shows',
      enable: 'an approval enables the user, whose mark the directory no longer shows',
    }).exactOptional(),
  })
  .meta({
    id: 'Change',
    description: 'A line of a run: what it did to one user or entry.',
  }) satisfies z.ZodType<Change>;

/** A page of the lines of a run. */
export const changePage = page(change, 'ChangePage');

const rejectionReason = oneOf<RejectionReason>({
  invalidCredentials: 'wrong user name or password',
  passwordExpired: 'the password has expired in the directory',
  passwordMustChange: 'the directory requires a new password',
  accountLocked: 'the account is locked in the directory',
  accountDisabled: 'the account is disabled, here or in the directory',
  accountExpired: 'the account has expired in the directory',
  notPermitted:
    'the user lacks the privilege to log in, or the directory does not permit it at this time or from this place',
  throttled: 'too many failed attempts',
});

/** The outcome of a login. */
export const loginOutcome = z
  .discriminatedUnion('outcome', [
    z.strictObject({
      outcome: z.literal('accepted'),
      user,
      passwordExpiresInSeconds: z
        .int()
        .min(0)
        .exactOptional()
        .describe('Seconds until the password expires, if the directory says so.'),
      graceLoginsLeft: z
        .int()
        .min(0)
        .exactOptional()
        .describe('Further logins that the directory allows with the expired password, if it says so.'),
    }),
    z.strictObject({
      outcome: z.literal('rejected'),
      reason: rejectionReason,
      retryAfterSeconds: z.int().min(1).exactOptional().describe('For `throttled`.'),
    }),
  ])
  .meta({ id: 'LoginOutcome', description: 'The outcome of a login.' }) satisfies z.ZodType<LoginOutcome>;

/** A page of privileges. */
export const privilegePage = page(
  z.strictObject({
    name: z.enum(PRIVILEGES),
    description: z.string(),
    exclusive: z.boolean().describe('Whether the privilege can’t be combined with others.'),
  }),
  'PrivilegePage',
);

/** Whether the API works. */
export const health = z
  .strictObject({
    status: z.enum(['ok', 'degraded']),
    checks: z
      .array(
        z.strictObject({
          name: z.enum(['users', 'settings']),
          ok: z.boolean(),
          code: errorCode.exactOptional(),
        }),
      )
      .exactOptional()
      .describe('Shown to administrators only.'),
  })
  .meta({ id: 'Health', description: 'Whether the API can reach its stores.' });
