/**
 * Validates the settings document. Only the administration API needs this, and zod with it. Knows no store and no
 * directory: the settings test finds out whether a server answers.
 */
import { X509Certificate } from 'node:crypto';
import * as z from 'zod';
import { parseFilter } from '../settings/filter.ts';
import type { Parsed } from './input.ts';
import {
  LIST_EVEN_SO,
  OBJECT_EVEN_SO,
  textLine,
  optionalTextLine,
  parseInput,
  refuse,
  refuseRepetition,
} from './input.ts';
import { attributeList, isAttributeName } from '../settings/attribute-name.ts';
import { parseServerAddress } from '../settings/server-address.ts';
import { parseDistinguishedName } from '../distinguished-name.ts';
import { PRIVILEGES, privilegesFault } from '../user/privilege.ts';
import { expressionFault, timeZoneFault } from '../settings/schedule.ts';
import { type Settings, VENDORS } from '../settings/settings.ts';

// All together stay below the 64 KiB that a secret may have.
const MAX_SERVERS = 16;
const MAX_DN_LENGTH = 2_048;
const MAX_FILTER_LENGTH = 4_096;
const MAX_ATTRIBUTE_LENGTH = 128;
const MAX_ATTRIBUTE_LIST_LENGTH = 1_024;
const MAX_CERTIFICATES_LENGTH = 32_768;
const MAX_PASSWORD_LENGTH = 1_024;

/** Like `refuse`, for texts that may be empty. */
function refuseText(fault: (text: string) => string | null) {
  return refuse((text: string) => (text === '' ? null : fault(text)));
}

const seconds = (fallback: number, max: number) => z.int().min(1).max(max).default(fallback);

const server = textLine(300).superRefine(refuse(serverFault));

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
    administrativeDn: optionalTextLine(MAX_DN_LENGTH)
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
  baseDn: optionalTextLine(MAX_DN_LENGTH)
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

const optionalAttribute = optionalTextLine(MAX_ATTRIBUTE_LENGTH).superRefine(refuseText(attributeFault));

const mapping = z.strictObject({
  userName: textLine(MAX_ATTRIBUTE_LENGTH)
    .superRefine(refuse(attributeFault))
    .describe('Attribute with the name that people log in with, such as `uid`.'),
  localPartOnly: z.boolean().default(false).describe('Cuts user names of address form at the `@`.'),
  fullName: optionalAttribute.describe('Attribute with the full name. Empty = none is taken.'),
  emailAddresses: z
    .union([textLine(MAX_ATTRIBUTE_LIST_LENGTH), z.array(textLine(MAX_ATTRIBUTE_LENGTH)).max(32)], {
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
      expression: textLine(256)
        .superRefine(refuse(expressionFault))
        .default('rate(1 hour)')
        .describe('`rate(...)` or `cron(...)` as EventBridge Scheduler takes it.'),
      timeZone: textLine(64)
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
export type ParsedSettings = Parsed<{ readonly settings: Settings; readonly password: string | undefined }>;

/** Reads a settings document. What GET has shown may be sent back: `passwordSet`, `next` and `warnings` are ignored. */
export function parseSettings(document: unknown): ParsedSettings {
  return parseBy(settings, document);
}

/** As `parseSettings`, where no user name needs to be mapped yet: settings to try, not to save. */
export function parseTriedSettings(document: unknown): ParsedSettings {
  return parseBy(triedSettings, document);
}

function parseBy(schema: typeof settings | typeof triedSettings, document: unknown): ParsedSettings {
  const parsed = parseInput<z.infer<typeof settings>>(schema, document);
  if (parsed.kind === 'invalid') return parsed;
  const { connection, scope, mapping, options, defaultPrivileges } = parsed.value;
  const { password, passwordSet: _set, ...kept } = connection;
  const { next: _next, ...schedule } = options.schedule;
  const complete = { connection: kept, scope, mapping, options: { ...options, schedule }, defaultPrivileges };
  return { kind: 'valid', value: { settings: complete, password } };
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
  return parsed.kind === 'filter' ? null : `is no filter: ${parsed.message}, at position ${parsed.position}`;
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
