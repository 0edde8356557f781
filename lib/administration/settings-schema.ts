/**
 * Validation of the settings document, and the form in which it is shown. Only the administration API needs it, and zod
 * with it. Knows no store and no directory: whether a server answers is for the test of the settings to say.
 */
import { X509Certificate } from 'node:crypto';
import * as z from 'zod';
import type { InputFault } from '../errors.ts';
import { parseFilter } from '../settings/filter.ts';
import { LIST_EVEN_SO, OBJECT_EVEN_SO, line, optionalLine, parseInput, refuse, refuseRepetition } from './input.ts';
import { attributeList, isAttributeName } from '../settings/attribute-name.ts';
import { parseServerAddress } from '../settings/server-address.ts';
import { parseDistinguishedName } from '../distinguished-name.ts';
import type { WorkingSchedule } from '../settings/schedule.ts';
import { PRIVILEGES, privilegesFault } from '../user/privilege.ts';
import { expressionFault, nextRuns, timeZoneFault } from '../settings/schedule.ts';
import { type OptionSettings, type Settings, type StoredSettings, VENDORS } from '../settings/settings.ts';

// All together stay below the 64 KiB that a secret may have.
const MAX_SERVERS = 16;
const MAX_DN_LENGTH = 2_048;
const MAX_FILTER_LENGTH = 4_096;
const MAX_ATTRIBUTE_LENGTH = 128;
const MAX_ATTRIBUTE_LIST_LENGTH = 1_024;
const MAX_CERTIFICATES_LENGTH = 32_768;
const MAX_PASSWORD_LENGTH = 1_024;

const RUNS_SHOWN = 5;

/**
 * Settings as an administrator sees them: no password, only whether there is one; when the next runs start (RFC 3339 UTC;
 * null = nobody can tell now); and what is to be warned of.
 */
export type PresentedSettings = Omit<Settings, 'connection' | 'options'> & {
  readonly connection: Settings['connection'] & { readonly passwordSet: boolean };
  readonly options: OptionSettings & {
    readonly schedule: OptionSettings['schedule'] & { readonly next: readonly string[] | null };
  };
  readonly warnings: readonly string[];
};

/** Like `refuse`, for texts that may be empty. */
function refuseText(fault: (text: string) => string | null) {
  return refuse((text: string) => (text === '' ? null : fault(text)));
}

const seconds = (fallback: number, max: number) => z.int().min(1).max(max).default(fallback);

const server = line(300).superRefine(refuse(serverFault));

const timeouts = z.strictObject({
  connectSeconds: seconds(5, 60).describe('For connecting to one server, with encryption.'),
  operationSeconds: seconds(10, 300).describe('For one answer, such as a page of people.'),
  loginSeconds: seconds(15, 15).describe('For one login, whatever it takes; the auth function itself has 20 seconds.'),
});

const connection = z
  .strictObject({
    servers: z
      .array(server)
      .min(1, 'name at least one server')
      .max(MAX_SERVERS)
      .superRefine(refuseRepetition, LIST_EVEN_SO)
      .describe(
        'DNS names or IP addresses (IPv6 in brackets), with `:port` where it is not the usual one. Tried in this order.',
      ),
    encryption: z
      .enum(['none', 'tls', 'ssl'])
      .default('none')
      .describe('`none`: LDAP on 389. `tls`: StartTLS on 389. `ssl`: LDAPS on 636.'),
    ignoreCertificateWarnings: z
      .boolean()
      .default(false)
      .describe('Accepts any certificate, which protects from nobody: prefer `caCertificates`.'),
    caCertificates: z
      .string()
      .trim()
      .max(MAX_CERTIFICATES_LENGTH)
      .nullish()
      .transform((text) => text ?? '')
      .superRefine(refuseText(certificatesFault))
      .describe('PEM bundle to trust in place of the system’s. Empty = the system’s.'),
    administrativeDn: optionalLine(MAX_DN_LENGTH)
      .superRefine(refuseText(bindNameFault))
      .describe(
        'DN, or what else the server takes for a bind, of the user that reads the directory. Empty = anonymous.',
      ),
    password: z
      .string()
      .max(MAX_PASSWORD_LENGTH)
      .optional()
      .describe('Of `administrativeDn`. Never shown. Left out = the stored one.'),
    passwordSet: z.boolean().optional().describe('Ignored, so that what was shown can be sent back.'),
    vendor: z
      .enum(['', ...VENDORS], { error: `must be one of: ${VENDORS.join(', ')}; empty = detected` })
      .nullish()
      .transform((vendor) => vendor ?? '')
      .describe('Whose rules hold. Empty = as the server tells.'),
    timeouts: timeouts.prefault({}),
  })
  .superRefine(
    (connection, context) => {
      const fault = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
      if (connection.encryption === 'none') {
        const needless = 'means nothing without encryption; set encryption to "tls" or "ssl", or leave this out';
        if (connection.ignoreCertificateWarnings) fault('ignoreCertificateWarnings', needless);
        if (connection.caCertificates) fault('caCertificates', needless);
      }
      if (connection.administrativeDn === '' && connection.password) {
        fault('administrativeDn', 'is required: name the user that the password belongs to');
      }
    },
    // All faults at once: these are told beside those of the fields themselves.
    OBJECT_EVEN_SO,
  );

const scope = z.strictObject({
  baseDn: optionalLine(MAX_DN_LENGTH)
    .superRefine(
      refuseText((dn) => (parseDistinguishedName(dn) ? null : 'is no DN; write it like dc=mycompany,dc=local')),
    )
    .describe('Where to search. Empty = the directory’s default naming context, or its only one.'),
  filter: z
    .string()
    .trim()
    .max(MAX_FILTER_LENGTH)
    .nullish()
    .transform((text) => text ?? '')
    .superRefine(refuseText(filterFault))
    .describe('Who is a user: a filter of RFC 4515. Empty = every entry.'),
  depth: z
    .enum(['subtree', 'oneLevel'])
    .default('subtree')
    .describe('Everything below the base, or its own children only.'),
});

const optionalAttribute = optionalLine(MAX_ATTRIBUTE_LENGTH).superRefine(refuseText(attributeFault));

const mapping = z.strictObject({
  userName: line(MAX_ATTRIBUTE_LENGTH)
    .superRefine(refuse(attributeFault))
    .describe('Attribute with the name that people log in with, such as `uid`.'),
  localPartOnly: z.boolean().default(false).describe('Cuts user names of address form at the `@`.'),
  fullName: optionalAttribute.describe('Attribute with the full name. Empty = none is taken.'),
  emailAddresses: z
    .union([line(MAX_ATTRIBUTE_LIST_LENGTH), z.array(line(MAX_ATTRIBUTE_LENGTH)).max(32)], {
      error: 'must be attribute names separated by comma',
    })
    .nullish()
    .transform((names) => attributeList(typeof names === 'string' ? names : (names ?? []).join(',')).join(', '))
    .superRefine(refuseText((names) => attributeList(names).map(attributeFault).find(Boolean) ?? null))
    .describe('Attributes with e-mail addresses, separated by comma. The first address found is the primary one.'),
  uniqueId: optionalAttribute.describe(
    'Attribute that tells people apart for ever. Empty = chosen from what the server offers.',
  ),
});

// Before anything is mapped, the test of settings shows what is usual in a directory like this.
const triedMapping = mapping.extend({ userName: optionalAttribute });

const options = z.strictObject({
  schedule: z
    .strictObject({
      enabled: z.boolean().default(false).describe('Whether runs start by themselves.'),
      expression: line(256)
        .superRefine(refuse(expressionFault))
        .default('rate(1 hour)')
        .describe('`rate(...)` or `cron(...)` as EventBridge Scheduler takes it.'),
      timeZone: line(64)
        .superRefine(refuse(timeZoneFault))
        .default('UTC')
        .describe('IANA time zone that `cron(...)` is meant in.'),
      next: z.unknown().optional().describe('Ignored, so that what was shown can be sent back.'),
    })
    .prefault({}),
  missingUsers: z
    .enum(['keep', 'disable', 'delete'])
    .default('keep')
    .describe('What happens to directory users that are gone or out of scope.'),
  gracePeriodDays: z
    .int()
    .min(0)
    .max(3_650)
    .default(0)
    .describe('How long somebody has to be missing before. 0 = not at all.'),
  removalLimit: z
    .strictObject({
      percent: z.number().min(0).max(100).default(10).describe('Of the directory users known.'),
      atLeast: z.int().min(0).max(10_000_000).default(20).describe('So many are always allowed.'),
    })
    .prefault({})
    .describe('How many users one run may remove. With more, it removes nobody until an administrator approves.'),
  disabledUsers: z
    .enum(['disable', 'skip', 'import'])
    .default('disable')
    .describe('What happens to entries that the directory marks disabled.'),
});

/** The document as it is sent. */
export const settings = z.strictObject({
  connection,
  scope: scope.prefault({}),
  mapping,
  options: options.prefault({}),
  defaultPrivileges: z
    .array(z.enum(PRIVILEGES))
    .superRefine(refuse(privilegesFault), LIST_EVEN_SO)
    .default(['login'])
    .describe('Given to users when a run creates them, and never again.'),
  warnings: z.unknown().optional().describe('Ignored, so that what was shown can be sent back.'),
});

/** The document as it is tried. */
export const triedSettings = settings.extend({ mapping: triedMapping.prefault({}) });

/** The settings with their defaults and the password, undefined where it was left out; or every fault at once. */
export type ParsedSettings =
  | { readonly settings: Settings; readonly password: string | undefined }
  | { readonly faults: readonly InputFault[] };

/** Reads a settings document. What GET has shown may be sent back: `passwordSet`, `next` and `warnings` are ignored. */
export function parseSettings(document: unknown): ParsedSettings {
  return readSettings(settings, document);
}

/** As `parseSettings`, where no user name needs to be mapped yet: settings to try, not to save. */
export function parseTriedSettings(document: unknown): ParsedSettings {
  return readSettings(triedSettings, document);
}

function readSettings(schema: typeof settings | typeof triedSettings, document: unknown): ParsedSettings {
  const parsed = parseInput<z.infer<typeof settings>>(schema, document);
  if ('faults' in parsed) return parsed;
  const { connection, scope, mapping, options, defaultPrivileges } = parsed.value;
  const { password, passwordSet: _set, ...kept } = connection;
  const { next: _next, ...schedule } = options.schedule;
  return {
    settings: { connection: kept, scope, mapping, options: { ...options, schedule }, defaultPrivileges },
    password,
  };
}

/**
 * The document as GET shows it. The next runs are those of the schedule that is at work, which is not the settings' own
 * where somebody else has moved it.
 *
 * @param working null where it can't be asked
 */
export function presentSettings(
  { settings, password }: StoredSettings,
  working: WorkingSchedule | null,
  now: Date,
): PresentedSettings {
  const { schedule } = settings.options;
  const next = working && nextRuns(working, now, RUNS_SHOWN);
  const warnings = [...settingsWarnings(settings)];
  if (working !== null && !isAtWork(schedule, working)) {
    warnings.push(
      'The schedule is not what these settings say, as after a deployment that changes it: save the settings again.',
    );
  }
  if (schedule.enabled && next?.length === 0) warnings.push('The schedule names no time that is still to come.');
  return {
    ...settings,
    connection: { ...settings.connection, passwordSet: password !== '' },
    options: { ...settings.options, schedule: { ...schedule, next: next && next.map((run) => run.toISOString()) } },
    warnings,
  };
}

/** What a disabled schedule would do does not matter. */
function isAtWork(wanted: OptionSettings['schedule'], working: WorkingSchedule): boolean {
  if (!wanted.enabled || !working.enabled) return wanted.enabled === working.enabled;
  return wanted.expression === working.expression && wanted.timeZone === working.timeZone;
}

/** What is allowed and still should not stay as it is, one sentence each. */
export function settingsWarnings({ connection, defaultPrivileges }: Settings): readonly string[] {
  const warnings: string[] = [];
  if (connection.ignoreCertificateWarnings) {
    warnings.push(
      'Any certificate is accepted, so anyone on the way can read and change everything, passwords included. Put the certificate of your CA into caCertificates instead.',
    );
  }
  if (connection.encryption === 'none') {
    warnings.push('The connection is not encrypted: every password that is verified crosses the network as it is.');
  }
  if (defaultPrivileges.includes('admin')) {
    warnings.push('Every user that the synchronisation creates becomes an administrator.');
  }
  return warnings;
}

function serverFault(text: string): string | null {
  const parsed = parseServerAddress(text, 'none');
  return parsed.kind === 'fault' ? parsed.fault : null;
}

function attributeFault(name: string): string | null {
  return isAttributeName(name) ? null : `"${name}" is no attribute name; write it like uid or mail`;
}

/** A DN, or whatever else a server takes as the name of a bind: `reader@example.org`, `EXAMPLE\reader`. */
function bindNameFault(name: string): string | null {
  // As a bind name these two switch the client library to SASL.
  if (/^(?:external|plain)$/i.test(name)) return 'is the name of a SASL mechanism; write the DN of the user that reads';
  if (/(^|[^\\])[,+]\s*$/.test(name))
    return 'ends with a comma or plus sign; remove it, or add what is missing behind it';
  if (name.includes('=') && parseDistinguishedName(name) === null)
    return 'is no DN; write it like cn=reader,dc=mycompany,dc=local';
  return null;
}

function filterFault(text: string): string | null {
  const parsed = parseFilter(text);
  return parsed.ok ? null : `is no filter: ${parsed.message}, at position ${parsed.position}`;
}

function certificatesFault(text: string): string | null {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return 'holds a private key; leave only the certificates';
  const certificates = text.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  if (certificates.length === 0) return 'holds no PEM certificate (-----BEGIN CERTIFICATE-----)';
  const broken = certificates.findIndex((certificate) => !isCertificate(certificate));
  return broken === -1 ? null : `the certificate at place ${broken + 1} can't be read`;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}
