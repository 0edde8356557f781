/**
 * The answers of the administration API, as schemas for its description. TypeScript compares them with the types of
 * lib/, and the tests of the API check every answer against them. Nothing in production validates with them.
 */
import * as z from 'zod';
import type { OfferedPresets, SampleUser, SettingsTest } from '../lib/administration/settings.ts';
import type { AppliedPrivileges } from '../lib/administration/default-privilege.ts';
import type { LoginOutcome } from '../lib/login/login.ts';
import type { PresentedCertificate, TestedServer, TestStage } from '../lib/directory/directory-test.ts';
import type { RejectionReason } from '../lib/directory/directory.ts';
import { PRIVILEGES } from '../lib/user/privilege.ts';
import { CHANGE_KINDS } from '../lib/sync/run.ts';
import type { Change, ChangeKind, Run, RunError, RunStage, RunStatus, RunTrigger } from '../lib/sync/run.ts';
import type { PresentedSettings } from '../lib/administration/settings-presentation.ts';
import { VENDORS } from '../lib/settings/settings.ts';
import type { PublicUser } from '../lib/user/user.ts';
import { errorCode } from './code.ts';
import { oneOf } from './one-of.ts';

const time = () => z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC.' });
const count = () => z.int().min(0);
const dn = () => z.string().describe('Distinguished name, in the spelling of the directory.');

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

const attribute = () => z.string().describe('Attribute name; empty = none.');

/** The settings, as the API shows them. */
export const shownSettings = z
  .strictObject({
    connection: z.strictObject({
      servers: z.array(z.string()),
      encryption: z.enum(['none', 'tls', 'ssl']),
      ignoreCertificateWarnings: z.boolean(),
      caCertificates: z.string(),
      administrativeDn: z.string(),
      vendor: z.enum(['', ...VENDORS]),
      timeouts: z.strictObject({ connectSeconds: count(), operationSeconds: count(), loginSeconds: count() }),
      passwordSet: z.boolean().describe('Whether a password is stored.'),
    }),
    scope: z.strictObject({ baseDn: z.string(), filter: z.string(), depth: z.enum(['subtree', 'oneLevel']) }),
    mapping: z.strictObject({
      userName: attribute(),
      localPartOnly: z.boolean(),
      fullName: attribute(),
      emailAddresses: z.string().describe('Attribute names, separated by commas.'),
      uniqueId: attribute(),
    }),
    options: z.strictObject({
      schedule: z.strictObject({
        enabled: z.boolean(),
        expression: z.string(),
        timeZone: z.string(),
        next: z
          .array(time())
          .nullable()
          .describe(
            'Start times of the next runs, at most five. Empty = no run will start; null = unknown at the moment.',
          ),
      }),
      missingUsers: z.enum(['keep', 'disable', 'delete']),
      gracePeriodDays: count(),
      removalLimit: z.strictObject({ percent: z.number(), atLeast: count() }),
      disabledUsers: z.enum(['disable', 'skip', 'import']),
    }),
    defaultPrivileges: z.array(z.enum(PRIVILEGES)),
    warnings: z.array(z.string()).describe('What is allowed but should be changed.'),
  })
  .meta({
    id: 'ShownSettings',
    description: 'The settings with their defaults, without the password.',
  }) satisfies z.ZodType<PresentedSettings>;

const stage = z.strictObject({
  name: oneOf<TestStage['name']>({
    nameResolution: 'resolves the name of the server',
    connect: 'connects to the server',
    tls: 'negotiates encryption and checks the certificate',
    bind: 'binds with the bind DN and its password',
    rootDse: 'reads what the server says about itself',
    base: 'looks for the base DN',
    attributes: 'checks that the bind DN can read the mapped attributes',
    filter: 'searches with the filter',
  }),
  ok: z.boolean(),
  code: errorCode.exactOptional(),
  detail: z.string().describe('What the stage found, or what failed and what to do about it.'),
  ms: z.number().min(0).describe('Duration in milliseconds.'),
}) satisfies z.ZodType<TestStage>;

const certificate = z.strictObject({
  subject: z.string(),
  issuer: z.string(),
  names: z.array(z.string()).describe('DNS names and IP addresses for which the certificate is valid.'),
  validTo: time(),
  daysLeft: z.int().describe('Days until the certificate expires; negative = expired.'),
}) satisfies z.ZodType<PresentedCertificate>;

const server = z.strictObject({
  name: z.string().describe('The server, as written in the settings.'),
  vendor: z.enum(VENDORS).describe('Vendor whose rules apply.'),
  detectedVendor: z.enum(VENDORS).describe('Vendor according to the root DSE.'),
  product: z.string().describe('Product name and version, as the server reports them if it does.'),
  offers: z.strictObject({ paging: z.boolean(), startTls: z.boolean(), passwordPolicy: z.boolean() }),
  uniqueId: z.string().nullable().describe('Attribute with the unique id that the bind DN could read; null = none.'),
  statusAttributes: z
    .array(
      z.strictObject({
        name: z.string(),
        seen: z.boolean().describe('Whether one of the first entries in scope has the attribute.'),
      }),
    )
    .describe('Attributes that mark disabled accounts.'),
}) satisfies z.ZodType<TestedServer>;

const offeredPresets = z.strictObject({
  scope: z.strictObject({ filter: z.string().exactOptional() }),
  mapping: z.strictObject({
    userName: z.string().exactOptional(),
    fullName: z.string().exactOptional(),
    emailAddresses: z.string().exactOptional(),
  }),
}) satisfies z.ZodType<OfferedPresets>;

const sampleAttributes = () =>
  z.record(z.string(), z.array(z.string())).describe('Values of each mapped attribute in the directory.');

const sampleUser = z.union([
  z.strictObject({
    dn: dn(),
    attributes: sampleAttributes(),
    userName: z.string(),
    fullName: z.string().nullable(),
    emailAddresses: z.array(z.string()),
    directoryId: z.string(),
    disabled: z.boolean(),
  }),
  z.strictObject({
    dn: dn(),
    attributes: sampleAttributes(),
    skipped: z.string().describe('Why a run would skip this entry.'),
  }),
]) satisfies z.ZodType<SampleUser>;

/** The result of a settings test. */
export const settingsTest = z
  .strictObject({
    ok: z.boolean(),
    stages: z.array(stage).describe('The stages in order, up to the first that fails.'),
    certificates: z
      .array(certificate)
      .describe('The certificate chain, starting with the server’s own certificate. Empty without encryption.'),
    server: server.nullable(),
    presets: offeredPresets
      .nullable()
      .describe(
        'A JSON merge patch for the settings: the usual values of this vendor, for fields that are empty. Null = none.',
      ),
    count: count().nullable().describe('Number of people found; null = the test did not get that far.'),
    counted: oneOf<SettingsTest['counted']>({
      all: 'everybody was counted',
      capped: 'counting stopped; there are or may be more',
      none: 'the test did not get that far',
    }),
    sample: z.array(sampleUser).describe('The first entries, as a run would map them.'),
    warnings: z.array(z.string()).describe('What works but is probably not intended.'),
  })
  .meta({ id: 'SettingsTest', description: 'The result of a settings test.' }) satisfies z.ZodType<SettingsTest>;

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
    approves: z.string().nullable().describe('Id of the run whose withheld removals this run applies.'),
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
      linked: 'a user created by hand, now linked to its entry',
      disabled: 'disabled by the run',
      enabled: 'enabled by the run, after an earlier run had disabled it',
      deleted: 'deleted by the run',
      unchanged: 'nothing to change; counted but never listed',
      skipped: 'an entry that cannot become a user; see `reason`',
      conflict: 'left alone because of a contradiction; see `reason`',
      withheld: 'a removal that was not carried out; see `reason`',
    }),
    userId: z.string().nullable(),
    userName: z.string().nullable(),
    previousUserName: z.string().exactOptional(),
    directoryId: z.string().nullable(),
    dn: dn().nullable(),
    fields: z.record(z.string(), z.strictObject({ from: fieldValue, to: fieldValue })).exactOptional(),
    reason: z.string().exactOptional(),
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
    z.strictObject({ outcome: z.literal('accepted'), user }),
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

function page<Item extends z.ZodType>(item: Item, id: string) {
  return z
    .strictObject({
      items: z.array(item),
      next: z.string().nullable().describe('Pass it back as `?next=` for the next page; null = this is the last page.'),
    })
    .meta({ id, description: 'A page of a list.' });
}
