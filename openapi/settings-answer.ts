/** The answers of the administration API about settings, as schemas for its description, like answer.ts. */
import * as z from 'zod';
import type { PresentedSettings } from '../lib/administration/settings-presentation.ts';
import type { OfferedPresets, SampleUser, SettingsTest, SettingsValidation } from '../lib/administration/settings.ts';
import type { PresentedCertificate, TestedServer, TestStage } from '../lib/directory/directory-test.ts';
import { VENDORS } from '../lib/settings/settings.ts';
import { PRIVILEGES } from '../lib/user/privilege.ts';
import { count, dn, time } from './answer-part.ts';
import { errorCode } from './code.ts';
import { oneOf } from './one-of.ts';

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
      removalLimit: z.strictObject({ percent: z.number(), atLeast: count(), windowHours: count() }),
      disabledUsers: z.enum(['disable', 'skip', 'import']),
    }),
    defaultPrivileges: z.array(z.enum(PRIVILEGES)),
    warnings: z.array(z.string()).describe('What is allowed but should be changed.'),
  })
  .meta({
    id: 'ShownSettings',
    description: 'The settings with their defaults, without the password.',
  }) satisfies z.ZodType<PresentedSettings>;

/** What saving a document would say. */
export const settingsValidation = z
  .strictObject({
    faults: z
      .array(z.strictObject({ path: z.string(), message: z.string() }))
      .describe('Every fault, as saving would report it. Empty = the document can be saved.'),
    warnings: z.array(z.string()).describe('What is allowed but should be changed. Empty if a field is faulty.'),
    next: z
      .array(time())
      .nullable()
      .describe(
        'Start times of the next runs if the document is saved, at most five. Empty = no run would start; null = the ' +
          'schedule is faulty.',
      ),
  })
  .meta({
    id: 'SettingsValidation',
    description: 'What saving a document would say.',
  }) satisfies z.ZodType<SettingsValidation>;

const stage = z.strictObject({
  name: oneOf<TestStage['name']>({
    nameResolution: 'resolves the name of the server',
    connect: 'connects to the server',
    tls: 'negotiates encryption and checks the certificate',
    passwordNeeded:
      'in place of the bind, always failed: the password has to be sent, because the stored one does not count for ' +
      'these settings',
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
  identity: z.string().describe('Its own name in the root DSE, else its name in the settings and the address in use.'),
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
