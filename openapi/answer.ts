/**
 * What the administration API answers, as schemas for its description. They follow the types of lib/ in both directions, as
 * far as TypeScript can tell; the tests of the API hold every answer against them. Nothing that runs validates with them.
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
const dn = () => z.string().describe('Distinguished name, as the directory spells it.');

export const user = z
  .strictObject({
    id: z.string().describe('The account. Stays for ever: key other data on it.'),
    userName: z.string().describe('What the user logs in with.'),
    fullName: z.string().nullable(),
    emailAddresses: z.array(z.string()).describe('The first is the primary one.'),
    authentication: z.enum(['integrated', 'directory']),
    status: z.enum(['active', 'disabled']),
    disabledBy: z.enum(['admin', 'sync']).nullable().describe('What `sync` has disabled, it enables again.'),
    privileges: z.array(z.enum(PRIVILEGES)),
    directory: z
      .strictObject({
        id: z.string().describe('The directory’s own unique id.'),
        dn: dn(),
        missingSince: time().nullable().describe('Since when no complete read has shown this person.'),
      })
      .nullable()
      .describe('The entry that the user is tied to; null = to none.'),
    createdAt: time(),
    updatedAt: time(),
    version: z.int().min(1).describe('One more with every write; also the entity tag.'),
  })
  .meta({ id: 'User', description: 'A user.' }) satisfies z.ZodType<PublicUser>;

export const userPage = page(user, 'UserPage');

const privileges = () => z.array(z.enum(PRIVILEGES));

export const appliedPrivileges = z
  .strictObject({
    dryRun: z.boolean(),
    settingsVersion: z.string().describe('Entity tag of the settings that they are from.'),
    privileges: privileges().describe('The default privileges.'),
    totals: z
      .strictObject({
        changed: count().describe('Had others.'),
        unchanged: count().describe('Had these already.'),
        kept: count().describe('Administrators, who are left as they are.'),
      })
      .describe('Directory users that this call has looked at.'),
    items: z
      .array(z.strictObject({ userName: z.string(), from: privileges(), to: privileges() }))
      .describe('The first 100 changes of this call, by name.'),
    next: z.string().nullable().describe('Where the next call goes on; null = everybody was looked at.'),
  })
  .meta({
    id: 'AppliedPrivileges',
    description: 'Who has got the default privileges.',
  }) satisfies z.ZodType<AppliedPrivileges>;

export const session = z
  .strictObject({
    token: z.string().describe('For `Authorization: Bearer`.'),
    expiresAt: time(),
    user,
  })
  .meta({ id: 'Session', description: 'A session that has just been opened.' });

export const currentSession = z
  .strictObject({ user, expiresAt: time() })
  .meta({ id: 'CurrentSession', description: 'Who calls, and until when.' });

const attribute = () => z.string().describe('Name of an attribute; empty = none.');

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
      emailAddresses: z.string().describe('Names of attributes, separated by comma.'),
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
          .describe('When the next runs start, five at most. Empty = none will; null = nobody can tell now.'),
      }),
      missingUsers: z.enum(['keep', 'disable', 'delete']),
      gracePeriodDays: count(),
      removalLimit: z.strictObject({ percent: z.number(), atLeast: count() }),
      disabledUsers: z.enum(['disable', 'skip', 'import']),
    }),
    defaultPrivileges: z.array(z.enum(PRIVILEGES)),
    warnings: z.array(z.string()).describe('What is allowed and still should not stay as it is.'),
  })
  .meta({
    id: 'ShownSettings',
    description: 'The settings with their defaults, without the password.',
  }) satisfies z.ZodType<PresentedSettings>;

const stage = z.strictObject({
  name: oneOf<TestStage['name']>({
    nameResolution: 'the server has an address',
    connect: 'it takes connections',
    tls: 'encryption and certificate',
    bind: 'administrative DN and password',
    rootDse: 'what the server says of itself',
    base: 'the base DN exists',
    attributes: 'what is mapped can be read',
    filter: 'it finds people',
  }),
  ok: z.boolean(),
  code: errorCode.exactOptional(),
  detail: z.string().describe('What was found, or what failed and what to do about it.'),
  ms: z.number().min(0).describe('Milliseconds it took.'),
}) satisfies z.ZodType<TestStage>;

const certificate = z.strictObject({
  subject: z.string(),
  issuer: z.string(),
  names: z.array(z.string()).describe('DNS names and IP addresses it is made for.'),
  validTo: time(),
  daysLeft: z.int().describe('Negative when it has expired.'),
}) satisfies z.ZodType<PresentedCertificate>;

const server = z.strictObject({
  name: z.string().describe('As in the settings.'),
  vendor: z.enum(VENDORS).describe('Whose rules hold.'),
  detectedVendor: z.enum(VENDORS),
  product: z.string().describe('Name and version, in the server’s own words where it has any.'),
  offers: z.strictObject({ paging: z.boolean(), startTls: z.boolean(), passwordPolicy: z.boolean() }),
  uniqueId: z.string().nullable().describe('The attribute that people are told apart by.'),
  statusAttributes: z
    .array(z.strictObject({ name: z.string(), seen: z.boolean().describe('On one of the first entries in scope.') }))
    .describe('Attributes that tell whether an account is disabled.'),
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
  z.record(z.string(), z.array(z.string())).describe('What the directory has in each mapped attribute.');

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
    skipped: z.string().describe('Why this entry is no user.'),
  }),
]) satisfies z.ZodType<SampleUser>;

export const settingsTest = z
  .strictObject({
    ok: z.boolean(),
    stages: z.array(stage).describe('In order; ends with the first that fails.'),
    certificates: z.array(certificate).describe('The server’s own first. Empty without encryption.'),
    server: server.nullable(),
    presets: offeredPresets
      .nullable()
      .describe(
        'What is usual in directories like this, for the fields that are empty: a merge patch for the settings.',
      ),
    count: count().nullable().describe('People found; null = it did not get that far.'),
    counted: oneOf<SettingsTest['counted']>({
      all: 'everybody',
      capped: 'there are more',
      none: 'nobody, for it did not get that far',
    }),
    sample: z.array(sampleUser).describe('The first entries, as a run would take them.'),
    warnings: z.array(z.string()).describe('What works and is likely not meant that way.'),
  })
  .meta({ id: 'SettingsTest', description: 'What a test of settings has found.' }) satisfies z.ZodType<SettingsTest>;

const totals = z
  .strictObject(Object.fromEntries(CHANGE_KINDS.map((kind) => [kind, count()])) as Record<ChangeKind, z.ZodInt>)
  .describe('Users per kind of change.');

const runError = z.strictObject({
  code: errorCode,
  message: z.string(),
  advice: z.string().nullable().describe('What to do about it.'),
}) satisfies z.ZodType<RunError>;

export const run = z
  .strictObject({
    id: z.string(),
    dryRun: z.boolean(),
    trigger: oneOf<RunTrigger>({ schedule: 'the schedule', api: 'a call', console: 'a call of the console' }),
    requestedBy: z.string().nullable().describe('User name of the administrator; null = the schedule.'),
    status: oneOf<RunStatus>({
      running: 'waits or works',
      succeeded: 'everything was done',
      partial: 'not everybody could be read, so nobody was removed',
      failed: '`error` says why',
      cancelled: 'an administrator has stopped it, or it found another run at work: `error` says so',
    }),
    stage: oneOf<RunStage>({
      queued: 'waits to be taken up',
      reading: 'reads the directory',
      planning: 'decides',
      verifying: 'looks again for users that are missing',
      applying: 'writes',
      finished: 'is over',
    }),
    startedAt: time(),
    finishedAt: time().nullable(),
    progress: z.strictObject({
      read: count().describe('Entries read.'),
      planned: count().describe('Changes decided.'),
      applied: count().describe('Changes written.'),
    }),
    expectedEntries: count()
      .nullable()
      .describe(
        'Entries that the last complete read has shown: what `progress.read` may be measured by. null = none yet.',
      ),
    totals,
    completeness: z
      .strictObject({ complete: z.boolean(), reasons: z.array(z.string()).describe('Why it is not complete.') })
      .nullable()
      .describe('Whether everybody in scope was read; null = the read is not over.'),
    settingsVersion: z.string().nullable(),
    error: runError.nullable(),
    notices: z.array(z.string()).describe('What an administrator should know although nothing failed.'),
    approves: z.string().nullable().describe('The run whose withheld removals this one applies.'),
  })
  .meta({ id: 'Run', description: 'A run of the synchronisation.' }) satisfies z.ZodType<Run>;

export const runPage = page(run, 'RunPage');

export const startedRun = z
  .strictObject({ runId: z.string() })
  .meta({ id: 'StartedRun', description: 'The run that was asked for.' });

const fieldValue = z.union([z.string(), z.boolean(), z.array(z.string())]).nullable();

export const change = z
  .strictObject({
    kind: oneOf<ChangeKind>({
      created: 'a new user',
      updated: '`fields` tells what',
      renamed: 'another user name or another DN',
      linked: 'a user made by hand, tied to its entry',
      disabled: 'by the synchronisation',
      enabled: 'by the synchronisation, which had disabled it',
      deleted: 'by the synchronisation',
      unchanged: 'only counted, never listed',
      skipped: 'an entry that can’t be a user',
      conflict: 'left alone because of a contradiction',
      withheld: 'a removal that was not done',
    }),
    userId: z.string().nullable(),
    userName: z.string().nullable(),
    previousUserName: z.string().exactOptional(),
    directoryId: z.string().nullable(),
    dn: dn().nullable(),
    fields: z.record(z.string(), z.strictObject({ from: fieldValue, to: fieldValue })).exactOptional(),
    reason: z.string().exactOptional(),
  })
  .meta({ id: 'Change', description: 'What a run did to one user.' }) satisfies z.ZodType<Change>;

export const changePage = page(change, 'ChangePage');

const rejectionReason = oneOf<RejectionReason>({
  invalidCredentials: 'no such user, or not this password',
  passwordExpired: 'the directory says so',
  passwordMustChange: 'the directory says so',
  accountLocked: 'the directory says so',
  accountDisabled: 'disabled here or in the directory',
  accountExpired: 'the directory says so',
  notPermitted: 'without the privilege to log in, or not now or from here',
  throttled: 'too many attempts have failed',
});

export const loginOutcome = z
  .discriminatedUnion('outcome', [
    z.strictObject({ outcome: z.literal('accepted'), user }),
    z.strictObject({
      outcome: z.literal('rejected'),
      reason: rejectionReason,
      retryAfterSeconds: z.int().min(1).exactOptional(),
    }),
  ])
  .meta({ id: 'LoginOutcome', description: 'What a login comes to.' }) satisfies z.ZodType<LoginOutcome>;

export const privilegePage = page(
  z.strictObject({
    name: z.enum(PRIVILEGES),
    description: z.string(),
    exclusive: z.boolean().describe('Whether it stands alone.'),
  }),
  'PrivilegePage',
);

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
      .describe('Only for administrators.'),
  })
  .meta({ id: 'Health', description: 'Whether the API reaches what it needs.' });

function page<Item extends z.ZodType>(item: Item, id: string) {
  return z
    .strictObject({ items: z.array(item), next: z.string().nullable().describe('For the next page; null = the last.') })
    .meta({ id, description: 'A page of a list.' });
}
