/**
 * Validates the settings document. Only the administration API needs this, and zod with it. Knows no store and no
 * directory: the settings test finds out whether a server answers.
 */
import * as z from 'zod';
import { isDistinguishedName } from '../distinguished-name.ts';
import { attributeList, isAttributeName } from '../settings/attribute-name.ts';
import { bundleFault } from '../settings/ca-certificates.ts';
import { parseFilter } from '../settings/filter.ts';
import { expressionFault, timeZoneFault } from '../settings/schedule.ts';
import { parseServerAddress } from '../settings/server-address.ts';
import { DEFAULT_REMOVAL_LIMIT } from '../settings/settings-upgrade.ts';
import { ROOT_BASE, type ScheduleSettings, type Settings, VENDORS } from '../settings/settings.ts';
import { PRIVILEGES, privilegesFault } from '../user/privilege.ts';
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

// Together, these limits keep the settings within the 64 KiB of a secret.
const MAX_SERVERS = 16;
const MAX_DN_LENGTH = 2_048;
const MAX_FILTER_LENGTH = 4_096;
const MAX_ATTRIBUTE_LENGTH = 128;
const MAX_ATTRIBUTE_LIST_LENGTH = 1_024;
const MAX_CERTIFICATES_LENGTH = 32_768;
const MAX_PASSWORD_LENGTH = 1_024;

/** 30 days: the memory of removals reaches one day further. */
const MAX_WINDOW_HOURS = 720;

const ONLY_SHOWN = 'Shown by `GET`. Ignored in requests, so that you can send back the settings as they were shown.';

/** Like `refuse`, but accepts the empty text. */
function refuseText(fault: (text: string) => string | null) {
  return refuse((text: string) => (text === '' ? null : fault(text)));
}

const seconds = (fallback: number, max: number) => z.int().min(1).max(max).default(fallback);

const server = textLine(300).superRefine(refuse(serverFault));

const timeouts = z
  .strictObject({
    connectSeconds: seconds(5, 60).describe(
      'For connecting to one server: name lookup, TCP connection and TLS handshake together.',
    ),
    operationSeconds: seconds(10, 300).describe('For each request of a read: a bind, a page or a look-up.'),
    loginSeconds: seconds(15, 15).describe(
      'For one whole login, with every server that is tried. The auth function itself stops after 20 seconds.',
    ),
  })
  .describe('Time limits in seconds.');

const connection = z
  .strictObject({
    servers: z
      .array(server)
      .min(1, 'must name at least one server')
      .max(MAX_SERVERS)
      .superRefine(refuseRepetition, LIST_EVEN_SO)
      .describe(
        'DNS names or IP addresses (IPv6 in brackets), tried in this order; add `:port` if it is not the default ' +
          'port. A read takes everything from one server; if that server fails, the read starts over with the next ' +
          'one. Before a missing user is removed, all of them are asked, so remove names that no longer answer. A ' +
          'server that fails during a login is tried last for the next minute.',
      ),
    encryption: z
      .enum(['none', 'tls', 'ssl'])
      .default('none')
      .describe('`none`: LDAP on port 389. `tls`: StartTLS on port 389. `ssl`: LDAPS on port 636.'),
    ignoreCertificateWarnings: z
      .boolean()
      .default(false)
      .describe(
        'Accepts any certificate, so anyone on the network path can read and change everything. Use `caCertificates` ' +
          'instead. Needs encryption.',
      ),
    caCertificates: z
      .string()
      .trim()
      .max(MAX_CERTIFICATES_LENGTH)
      .nullish()
      .transform((text) => text ?? '')
      .superRefine(refuseText(bundleFault))
      .describe(
        'PEM bundle of the certificates to trust instead of the system’s, for a private CA. Leave empty to trust the ' +
          'system’s. Needs encryption.',
      ),
    administrativeDn: optionalTextLine(MAX_DN_LENGTH)
      .superRefine(refuseText(bindNameFault))
      .describe(
        'Bind DN: the user that reads the directory. Other bind names that the server accepts are allowed, such as a ' +
          'user principal name of Active Directory. Leave empty to read anonymously.',
      ),
    password: z
      .string()
      .max(MAX_PASSWORD_LENGTH)
      .optional()
      .describe(
        'Password of `administrativeDn`. Never shown. Leave out to keep the stored password; without ' +
          '`administrativeDn`, it is deleted. The stored password goes nowhere new: send it again if you add a ' +
          'server or a port, weaken `encryption`, set `ignoreCertificateWarnings`, or change `caCertificates` or ' +
          '`administrativeDn`. What you send replaces the stored password and is not compared with it.',
      ),
    passwordSet: z.boolean().optional().describe(ONLY_SHOWN),
    vendor: z
      .enum(['', ...VENDORS], { error: `must be one of: ${VENDORS.join(', ')}; leave empty to detect the vendor` })
      .nullish()
      .transform((vendor) => vendor ?? '')
      .describe(
        'Vendor whose rules apply to the unique id, to disabled accounts and to presets. `ds389` includes FreeIPA, ' +
          '`activeDirectory` includes Samba. Leave empty to detect the vendor from the root DSE.',
      ),
    timeouts: timeouts.prefault({}),
  })
  .superRefine(
    (connection, context) => {
      const fault = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
      if (connection.encryption === 'none') {
        const needless = 'needs encryption; set encryption to "tls" or "ssl", or leave this out';
        if (connection.ignoreCertificateWarnings) fault('ignoreCertificateWarnings', needless);
        if (connection.caCertificates) fault('caCertificates', needless);
      }
      if (connection.administrativeDn === '' && connection.password) {
        fault('administrativeDn', 'is required with a password; name the user that the password belongs to');
      }
    },
    // Reports these faults together with those of the fields.
    OBJECT_EVEN_SO,
  )
  .describe('How to connect to the directory.');

const scope = z
  .strictObject({
    baseDn: optionalTextLine(MAX_DN_LENGTH)
      .superRefine(
        refuseText((dn) =>
          dn === ROOT_BASE || isDistinguishedName(dn) ? null : 'is not a DN; write it as in dc=mycompany,dc=local',
        ),
      )
      .describe(
        'Base of the search. Leave empty to use `defaultNamingContext` of the root DSE or, if the server has none, ' +
          'its only naming context. `""` is the root of the directory.',
      ),
    filter: z
      .string()
      .trim()
      .max(MAX_FILTER_LENGTH)
      .nullish()
      .transform((text) => text ?? '')
      .superRefine(refuseText(filterFault))
      .describe(
        'Search filter (RFC 4515) that selects the people. It may have several lines: white space between its parts ' +
          'is ignored. Leave empty to search `(objectClass=*)`, that is, every entry.',
      ),
    depth: z
      .enum(['subtree', 'oneLevel'])
      .default('subtree')
      .describe(
        'Search scope (RFC 4511). `subtree` (wholeSubtree): the base and everything below it. `oneLevel` ' +
          '(singleLevel): only the immediate children of the base.',
      ),
  })
  .describe(
    'Which entries become users. A run searches them in pages of 1,000 entries and requests the mapped attributes, ' +
      'the unique id, and the attributes by which the vendor marks disabled accounts.',
  );

const optionalAttribute = optionalTextLine(MAX_ATTRIBUTE_LENGTH).superRefine(refuseText(attributeFault));

const mapping = z
  .strictObject({
    userName: textLine(MAX_ATTRIBUTE_LENGTH)
      .superRefine(refuse(attributeFault))
      .describe(
        'Attribute with the name that people log in with, such as `uid` or `sAMAccountName`. LDAP keeps no order ' +
          'among values: if there are several, a user keeps the one that it has; a new user gets the value in the ' +
          'entry’s RDN, else the first one in sort order.',
      ),
    localPartOnly: z
      .boolean()
      .default(false)
      .describe('Cuts the user name at its last `@`: `anna@example.com` becomes `anna`.'),
    fullName: optionalAttribute.describe(
      'Attribute with the full name, such as `displayName` or `displayName;lang-en`. Names longer than 512 ' +
        'characters are cut; tabs and line breaks become spaces; values that are not UTF-8 text are ignored. Leave ' +
        'empty for no full names.',
    ),
    emailAddresses: z
      .union([textLine(MAX_ATTRIBUTE_LIST_LENGTH), z.array(textLine(MAX_ATTRIBUTE_LENGTH)).max(32)], {
        error: 'must be attribute names, separated by commas',
      })
      .nullish()
      .transform((names) => attributeList(typeof names === 'string' ? names : (names ?? []).join(',')).join(', '))
      .superRefine(refuseText((names) => attributeList(names).map(attributeFault).find(Boolean) ?? null))
      .describe(
        'Attributes with e-mail addresses, separated by commas. The primary address is one of the first attribute ' +
          'that has any, unless another has the prefix `SMTP:` (as in `proxyAddresses`); it stays while the entry ' +
          'has it. A value may hold several addresses, display names, and the prefix `smtp:` or `mailto:`. Values ' +
          'with other prefixes, and duplicates, are left out. Leave empty for no e-mail addresses.',
      ),
    uniqueId: optionalAttribute.describe(
      'Attribute that identifies an entry permanently, through renames and moves. Leave empty to use the one of the ' +
        'vendor: entryUUID, objectGUID, nsUniqueId, GUID, ipaUniqueID or ibm-entryUuid. After a change, the next run ' +
        'proposes to link each user to the entry with its user name; nobody can log in with these names until you ' +
        'approve that.',
    ),
  })
  .describe(
    'Which attributes become the fields of a user. User names are trimmed, normalised to NFC, and compared without ' +
      'letter case (by full Unicode case mapping: `straße` and `STRASSE` are the same name). An entry is skipped, ' +
      'and the run says why, if its user name is missing, longer than 255 bytes, or has control or invisible ' +
      'characters.',
  );

// While nothing is mapped, the settings test suggests a mapping that is usual for the vendor.
const triedMapping = mapping.extend({ userName: optionalAttribute });

const schedule = z
  .strictObject({
    enabled: z.boolean().default(false).describe('Whether the schedule starts runs.'),
    expression: textLine(256)
      .superRefine(refuse(expressionFault))
      .default('rate(1 hour)')
      .describe(
        '`rate(...)` or `cron(...)`, as EventBridge Scheduler accepts it. The first run of a rate comes one ' +
          'period after the rate was saved, at the next full minute; saving it unchanged does not restart the ' +
          'period.',
      ),
    timeZone: textLine(64)
      .superRefine(refuse(timeZoneFault))
      .default('UTC')
      .describe('IANA time zone of a `cron(...)` expression.'),
    next: z.unknown().optional().describe(ONLY_SHOWN),
  })
  .prefault({})
  .describe('When runs start by themselves.');

const options = z
  .strictObject({
    schedule,
    missingUsers: z
      .enum(['keep', 'disable', 'delete'])
      .default('keep')
      .describe(
        'What happens to directory users that a complete read did not find, because they are gone or out of scope. ' +
          'At first they only get `directory.missingSince`, and the run lists them as `updated`; with a ' +
          '`gracePeriodDays` of 0, what is set here may apply at once.',
      ),
    gracePeriodDays: z
      .int()
      .min(0)
      .max(3_650)
      .default(7)
      .describe(
        'How many days a user must be missing before `missingUsers` applies. 0: in the run that finds the user ' +
          'missing, if it read the same server as the last complete run, else in the next complete one.',
      ),
    removalLimit: z
      .strictObject({
        percent: z
          .number()
          .min(0)
          .max(100)
          .default(DEFAULT_REMOVAL_LIMIT.percent)
          .describe('Percentage of the directory users: of the most that were known at any time within the window.'),
        atLeast: z
          .int()
          .min(0)
          .max(10_000_000)
          .default(DEFAULT_REMOVAL_LIMIT.atLeast)
          .describe('Number of users that is always allowed.'),
        windowHours: z
          .int()
          .min(1)
          .max(MAX_WINDOW_HOURS)
          .default(DEFAULT_REMOVAL_LIMIT.windowHours)
          .describe('Hours whose runs are counted together.'),
      })
      .prefault({})
      .describe(
        'How many users may be disabled or deleted within a window of time: the greater of `percent` and `atLeast`. ' +
          'Missing users, and users whom the directory marks disabled, are counted apart; removals that an ' +
          'administrator has approved are not counted. Above the limit, a run withholds all removals of that kind ' +
          'until an administrator approves them. The same limit applies to full names that would be emptied, to ' +
          'e-mail addresses that would be emptied, and to users that would be enabled because the directory no ' +
          'longer shows their mark, each by itself.',
      ),
    disabledUsers: z
      .enum(['disable', 'skip', 'import'])
      .default('disable')
      .describe(
        'What happens to entries that the directory marks disabled. `disable`: their users are disabled. `skip`: the ' +
          'entries and their users are left alone. `import`: they are treated like any other entry.',
      ),
  })
  .describe(
    'When runs start, and what they do to users that are missing or disabled. A run never disables or deletes an ' +
      'administrator if nobody could sign in as administrator afterwards; it lists such removals as `withheld`.',
  );

/** The settings document, as a caller sends it to save settings. */
export const settings = z.strictObject({
  connection,
  scope: scope.prefault({}),
  mapping,
  options: options.prefault({}),
  defaultPrivileges: z
    .array(z.enum(PRIVILEGES))
    .superRefine(refuse(privilegesFault), LIST_EVEN_SO)
    .default(['login'])
    .describe(
      'Privileges of users that a run creates. Existing users keep theirs; to change those, use `POST ' +
        '/api/users/apply-default-privileges`. `none` and `admin` can’t be combined with other privileges.',
    ),
  warnings: z.unknown().optional().describe(ONLY_SHOWN),
});

/** The settings document, as a caller sends it to test settings: `mapping` may be missing or incomplete. */
export const triedSettings = settings.extend({ mapping: triedMapping.prefault({}) });

/** The settings with their defaults, and the password (undefined = left out); or every fault at once. */
export type ParsedSettings = Parsed<{ readonly settings: Settings; readonly password: string | undefined }>;

/** Parses settings to save. Ignores `passwordSet`, `next` and `warnings`, so that callers can return what GET shows. */
export function parseSettings(document: unknown): ParsedSettings {
  return parseBy(settings, document);
}

/** Parses settings to test: like `parseSettings`, but the user name need not be mapped yet. */
export function parseTriedSettings(document: unknown): ParsedSettings {
  return parseBy(triedSettings, document);
}

/** The schedule of a settings document, with its defaults, whatever else is wrong with the document; null if faulty. */
export function parseSchedule(document: unknown): ScheduleSettings | null {
  const part = z.looseObject({ options: z.looseObject({ schedule }).prefault({}) });
  const parsed = parseInput(part, document);
  if (parsed.kind === 'invalid') return null;
  const { next: _next, ...kept } = parsed.value.options.schedule;
  return kept;
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
  return isAttributeName(name) ? null : `"${name}" is not an attribute name; write it as in uid or mail`;
}

/** The fault of a bind name: a DN, or another name that a server accepts: `reader@example.org`, `EXAMPLE\reader`. */
function bindNameFault(name: string): string | null {
  // These two bind names make the client library use SASL.
  if (/^(?:external|plain)$/i.test(name)) return 'is the name of a SASL mechanism; write the DN of a user';
  if (/(^|[^\\])[,+]\s*$/.test(name)) return 'must not end with a comma or a plus sign; remove it or complete the DN';
  if (name.includes('=') && !isDistinguishedName(name))
    return 'is not a DN; write it as in cn=reader,dc=mycompany,dc=local';
  return null;
}

function filterFault(text: string): string | null {
  const parsed = parseFilter(text);
  return parsed.kind === 'filter' ? null : `is not a filter: ${parsed.message}, at position ${parsed.position}`;
}
