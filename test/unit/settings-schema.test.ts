import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { presentSettings } from '../../lib/administration/settings-presentation.ts';
import { parseSettings, parseTriedSettings } from '../../lib/administration/settings-schema.ts';
import type { InputFault } from '../../lib/errors.ts';
import { NOW } from '../support/people.ts';

interface Document {
  connection: Record<string, unknown>;
  mapping: Record<string, unknown>;
  [section: string]: unknown;
}

const MINIMAL: Document = { connection: { servers: ['ldap.example.org'] }, mapping: { userName: 'uid' } };

const FULL: Document = {
  connection: {
    servers: ['ldap1.example.org', 'ldap2.example.org:1389', '192.0.2.7', '[2001:db8::1]:636'],
    encryption: 'ssl',
    ignoreCertificateWarnings: true,
    caCertificates: '',
    administrativeDn: 'cn=reader,dc=example,dc=org',
    password: 'open sesame',
    timeouts: { connectSeconds: 3, operationSeconds: 30, loginSeconds: 9 },
  },
  scope: { baseDn: 'ou=People, dc=example,dc=org', filter: '(&(objectClass=person)(mail=*))', depth: 'oneLevel' },
  mapping: {
    userName: 'uid',
    localPartOnly: true,
    fullName: 'displayName;lang-de',
    emailAddresses: 'mail, proxyAddresses',
    uniqueId: '1.3.6.1.1.16.4',
  },
  options: {
    schedule: { enabled: true, expression: 'cron(15 4 * * ? *)', timeZone: 'Europe/Berlin' },
    missingUsers: 'disable',
    gracePeriodDays: 7,
    removalLimit: { percent: 2.5, atLeast: 0, windowHours: 168 },
    disabledUsers: 'skip',
  },
  defaultPrivileges: ['login', 'changePassword'],
};

function faultsOf(document: unknown): readonly InputFault[] {
  const parsed = parseSettings(document);
  return parsed.kind === 'invalid' ? parsed.faults : [];
}

/** The faults of a valid document after these fields are set in one section. */
function faultsIn(section: string, fields: Record<string, unknown>): readonly InputFault[] {
  const former = (section in MINIMAL ? MINIMAL[section] : {}) as Record<string, unknown>;
  return faultsOf({ ...MINIMAL, [section]: { ...former, ...fields } });
}

function settingsOf(document: unknown) {
  const parsed = parseSettings(document);
  if (parsed.kind === 'invalid') throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
}

test('a server and the attribute of the user name are enough; the rest has its defaults', () => {
  const { settings, password } = settingsOf(MINIMAL);

  expect(password).toBeUndefined();
  expect(settings).toEqual({
    connection: {
      servers: ['ldap.example.org'],
      encryption: 'none',
      ignoreCertificateWarnings: false,
      caCertificates: '',
      administrativeDn: '',
      vendor: '',
      timeouts: { connectSeconds: 5, operationSeconds: 10, loginSeconds: 15 },
    },
    scope: { baseDn: '', filter: '', depth: 'subtree' },
    mapping: { userName: 'uid', localPartOnly: false, fullName: '', emailAddresses: '', uniqueId: '' },
    options: {
      schedule: { enabled: false, expression: 'rate(1 hour)', timeZone: 'UTC' },
      missingUsers: 'keep',
      gracePeriodDays: 7,
      removalLimit: { percent: 10, atLeast: 3, windowHours: 24 },
      disabledUsers: 'disable',
    },
    defaultPrivileges: ['login'],
  });
});

test('what is shown never holds the password and can be sent back as it is', () => {
  const { settings, password } = settingsOf(FULL);

  const shown = presentSettings({ settings, password: password!, version: 'v1', notices: [] }, null, NOW);

  expect(JSON.stringify(shown)).not.toContain('open sesame');
  expect(shown.connection.passwordSet).toBe(true);
  expect(settingsOf(shown)).toEqual({ settings, password: undefined });
});

test('a schedule whose times are all over is shown with a warning', () => {
  const { settings } = settingsOf(FULL);
  const schedule = { enabled: true, expression: 'cron(0 0 * * ? 2020)', timeZone: 'UTC' };
  const over = { ...settings, options: { ...settings.options, schedule } };

  const shown = presentSettings(
    { settings: over, password: '', version: 'v1', notices: [] },
    { ...schedule, start: null, setAt: null },
    NOW,
  );

  expect(shown.options.schedule.next).toEqual([]);
  expect(shown.warnings).toContain('The schedule has no time in the future. Change options.schedule.expression.');
});

test('settings that accept any certificate are shown with a warning', () => {
  const { settings } = settingsOf(FULL);

  const { warnings } = presentSettings({ settings, password: '', version: 'v1', notices: [] }, null, NOW);

  expect(warnings.join()).toMatch(/Any certificate is accepted/);
});

test('what this version has changed is shown before the other warnings', () => {
  const { settings } = settingsOf(FULL);

  const { warnings } = presentSettings({ settings, password: '', version: 'v1', notices: ['Changed.'] }, null, NOW);

  expect(warnings).toEqual(['Changed.', expect.stringMatching(/Any certificate is accepted/)]);
});

test('a removal limit keeps its figures and gets the missing ones by default, the figures of a former default too', () => {
  const limitOf = (removalLimit: object) => settingsOf({ ...MINIMAL, options: { removalLimit } }).settings.options;

  expect(limitOf({ percent: 10, atLeast: 20 }).removalLimit).toEqual({ percent: 10, atLeast: 20, windowHours: 24 });
  expect(limitOf({ windowHours: 720 }).removalLimit).toEqual({ percent: 10, atLeast: 3, windowHours: 720 });
});

test.each([
  [0, 'must be at least 1'],
  [721, 'must be at most 720'],
  [1.5, 'must be a whole number'],
  ['24', 'must be a number'],
  [null, 'must be a number'],
])('a window of %j hours is refused', (windowHours, message) => {
  const faults = faultsIn('options', { removalLimit: { windowHours } });

  expect(faults).toEqual([{ path: 'options.removalLimit.windowHours', message: expect.stringContaining(message) }]);
});

test('null means the same as nothing for optional texts', () => {
  const document = {
    ...MINIMAL,
    connection: { ...MINIMAL.connection, caCertificates: null, administrativeDn: null },
    scope: { baseDn: null, filter: null },
    mapping: { userName: 'uid', fullName: null, emailAddresses: null, uniqueId: null },
  };

  expect(settingsOf(document)).toEqual(settingsOf(MINIMAL));
});

test('e-mail attributes may come as a list', () => {
  const { settings } = settingsOf({
    ...MINIMAL,
    mapping: { userName: 'uid', emailAddresses: ['mail', 'proxyAddresses'] },
  });

  expect(settings.mapping.emailAddresses).toBe('mail, proxyAddresses');
});

test('every fault is told at once, each with its path', () => {
  const paths = faultsOf({
    colour: 'green',
    connection: {
      servers: ['ldap://a', 7],
      encryption: 'starttls',
      caCertificates: 'none',
      timeouts: { bindSeconds: 3 },
    },
    scope: { baseDn: 'example.org', filter: '(uid=*' },
    mapping: { userName: 'user name', localPartOnly: 'yes' },
    options: {
      schedule: { expression: 'hourly', timeZone: 'Berlin' },
      removalLimit: { percent: 101, atLeast: -1, windowHours: 0 },
    },
    defaultPrivileges: ['root', 'none', 'login'],
  }).map(({ path }) => path);

  expect(paths.toSorted()).toEqual([
    'colour',
    'connection.caCertificates',
    'connection.encryption',
    'connection.servers.0',
    'connection.servers.1',
    'connection.timeouts.bindSeconds',
    'defaultPrivileges',
    'defaultPrivileges.0',
    'mapping.localPartOnly',
    'mapping.userName',
    'options.removalLimit.atLeast',
    'options.removalLimit.percent',
    'options.removalLimit.windowHours',
    'options.schedule.expression',
    'options.schedule.timeZone',
    'scope.baseDn',
    'scope.filter',
  ]);
});

test.each([null, undefined, 7, 'text', [], true])('%j is refused as a whole', (document) => {
  expect(faultsOf(document)).toEqual([{ path: '', message: expect.stringMatching(/^is required|^must be an object/) }]);
});

test('a document that names a prototype is refused by that name', () => {
  const document: unknown = JSON.parse(`{"__proto__": {"admin": true}, ${JSON.stringify(MINIMAL).slice(1)}`);

  expect(faultsOf(document).map(({ path }) => path)).toEqual(['__proto__']);
});

test('nothing that JSON can say makes the validation throw', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(FULL)), (value, section) => {
      expect(() => parseSettings(value)).not.toThrow();
      expect(() => parseSettings({ ...FULL, [section]: value })).not.toThrow();
    }),
  );
});

describe('servers', () => {
  test.each(['localhost', 'dc01.ad.example.org.', 'ldap_1.example.org', '10.0.0.1:389', '[::1]', '[2001:db8::1]:3269'])(
    '%s is taken',
    (server) => {
      expect(faultsIn('connection', { servers: [server] })).toEqual([]);
    },
  );

  test.each([
    ['ldap://ldap.example.org', /leave out ldap:\/\//],
    ['LDAPS://ldap.example.org:636', /leave out LDAPS:\/\//],
    ['2001:db8::1', /in brackets/],
    ['[2001:db8::g]', /must have an IPv6 address/],
    ['300.1.2.3', /not an IPv4 address/],
    ['ldap.example.org:0', /port/],
    ['ldap.example.org:65536', /port/],
    ['ldap.example.org:', /port/],
    ['ldap.example.org:ldap', /port/],
    ['ldap example', /not a DNS name/],
    ['ldap.example.org/dc=org', /not a DNS name/],
    ['-ldap.example.org', /not a DNS name/],
    ['bücher.example', /xn--/],
    ['a..b', /not a DNS name/],
    ['', /must not be empty/],
    ['ldap\u0000.example', /control characters/],
  ])('%j is refused with a sentence that helps', (server, message) => {
    expect(faultsIn('connection', { servers: [server] })).toContainEqual({
      path: 'connection.servers.0',
      message: expect.stringMatching(message),
    });
  });

  test('none at all, and one that is named twice, are refused', () => {
    expect(faultsIn('connection', { servers: [] })[0]?.path).toBe('connection.servers');
    expect(faultsIn('connection', { servers: ['a', 'b', 'A'] })).toEqual([
      { path: 'connection.servers.2', message: 'must not be listed twice' },
    ]);
  });
});

describe('names and filters', () => {
  test.each([
    'reader@example.org',
    String.raw`EXAMPLE\reader`,
    'cn=Reader\\, LDAP,dc=example,dc=org',
    'CN=é+UID=1,O=x',
  ])('%s may read the directory', (administrativeDn) => {
    expect(faultsIn('connection', { administrativeDn, password: 'x' })).toEqual([]);
  });

  test.each(['EXTERNAL', 'plain', 'cn=a,,dc=org', 'cn=a\u0007'])('%j may not', (administrativeDn) => {
    expect(faultsIn('connection', { administrativeDn, password: 'x' })[0]?.path).toBe('connection.administrativeDn');
  });

  test('a password without a name is refused', () => {
    expect(faultsIn('connection', { password: 'x' })[0]?.path).toBe('connection.administrativeDn');
  });

  test.each(['example.org', 'dc=example;dc=org', 'dc=a,', '=org', 'ou=R<D'])('%s is no base', (baseDn) => {
    expect(faultsIn('scope', { baseDn })[0]?.message).toMatch(/is not a DN/);
  });

  test('a malformed filter is refused with the position of its fault', () => {
    expect(faultsIn('scope', { filter: '(&(uid=*)(mail=*)' })).toEqual([
      { path: 'scope.filter', message: expect.stringMatching(/at position 17$/) },
    ]);
  });

  test.each(['user name', '1uid', 'uid;', 'mail,uid', 'ü', ''])('"%s" is no attribute of the user name', (userName) => {
    expect(faultsIn('mapping', { userName })[0]?.path).toBe('mapping.userName');
  });
});

describe('settings to try', () => {
  const { connection } = MINIMAL;

  test.each([{ connection }, { connection, mapping: {} }, { connection, mapping: { userName: '' } }])(
    'need no user name yet, which settings to save do: %j',
    (document) => {
      expect(parseTriedSettings(document)).toMatchObject({
        value: { settings: { mapping: { userName: '', uniqueId: '' } } },
      });
      expect(faultsOf(document)).toHaveLength(1);
    },
  );

  test('are as strict as settings to save in everything else', () => {
    expect(parseTriedSettings({ connection, mapping: { userName: '1x' }, colour: 'red' })).toEqual({
      kind: 'invalid',
      faults: [
        { path: 'mapping.userName', message: expect.stringMatching(/not an attribute name/) as string },
        { path: 'colour', message: 'is unknown; remove it' },
      ],
    });
  });
});

test.each(['cn=reader,dc=example,dc=org,', 'cn=reader, ', 'cn=reader+'])('a bind DN %j that ends too early', (name) => {
  expect(faultsIn('connection', { administrativeDn: name, password: 'x' })).toEqual([
    {
      path: 'connection.administrativeDn',
      message: expect.stringMatching(/^must not end with a comma or a plus sign/) as string,
    },
  ]);
});

test.each(['cn=weber\\,', 'cn=a\\+,dc=example', 'EXAMPLE\\reader'])('a bind name %j that may end so', (name) => {
  expect(faultsIn('connection', { administrativeDn: name, password: 'x' })).toEqual([]);
});

test('a vendor is one that is known, or none', () => {
  expect(settingsOf(MINIMAL).settings.connection.vendor).toBe('');
  expect(faultsIn('connection', { vendor: 'eDirectory' })).toEqual([]);
  expect(faultsIn('connection', { vendor: null })).toEqual([]);
  expect(faultsIn('connection', { vendor: 'acme' })).toEqual([
    { path: 'connection.vendor', message: expect.stringMatching(/^must be one of: openLdap, ds389,/) as string },
  ]);
});
