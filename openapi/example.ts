/** The examples of the description: one imaginary company, in the types of lib/. Knows no call. */
import type { AppliedPrivileges } from '../lib/administration/default-privilege.ts';
import type { PresentedSettings } from '../lib/administration/settings-presentation.ts';
import type { SettingsTest, SettingsValidation } from '../lib/administration/settings.ts';
import type { Change, Run } from '../lib/sync/run.ts';
import { NO_TOTALS } from '../lib/sync/run.ts';
import type { PublicUser } from '../lib/user/user.ts';

const RUN_ID = '20260504T100000000Z-5f3a9c21';

/** An administrator, created by hand. */
export const administrator: PublicUser = {
  id: 'c0a7f9d4-58ba-4a0e-9a4b-5d0f3d9be001',
  userName: 'admin',
  fullName: null,
  emailAddresses: [],
  authentication: 'integrated',
  status: 'active',
  disabledBy: null,
  privileges: ['admin'],
  directory: null,
  createdAt: '2026-05-01T08:00:00.000Z',
  updatedAt: '2026-05-01T08:00:00.000Z',
  version: 1,
};

/** A user from the directory. */
export const person: PublicUser = {
  id: '0b8f6c3e-0d4e-4b55-9f0a-3a4f8f6f7a10',
  userName: 'anna.weber',
  fullName: 'Anna Weber',
  emailAddresses: ['anna.weber@example.com', 'a.weber@example.com'],
  authentication: 'directory',
  status: 'active',
  disabledBy: null,
  privileges: ['login'],
  directory: {
    id: '6f9619ff-8b86-d011-b42d-00c04fc964ff',
    dn: 'uid=anna.weber,ou=people,dc=example,dc=com',
    missingSince: null,
  },
  createdAt: '2026-05-04T10:00:02.000Z',
  updatedAt: '2026-05-04T10:00:02.000Z',
  version: 1,
};

/** The body that creates a user. */
export const newPerson = {
  userName: 'guest.auditor',
  fullName: 'Guest Auditor',
  emailAddresses: ['auditor@example.org'],
  privileges: ['login', 'export'],
};

/** The user that `newPerson` creates. */
export const createdPerson: PublicUser = {
  ...administrator,
  id: 'd2719a4f-1c77-4d0b-8a52-9fd5f3f6b3c2',
  userName: 'guest.auditor',
  fullName: 'Guest Auditor',
  emailAddresses: ['auditor@example.org'],
  privileges: ['login', 'export'],
};

/** The body that changes a password. */
export const passwordChange = {
  userName: 'admin',
  currentPassword: 'correct horse battery staple',
  newPassword: 'correct horses eat no staples',
};

/** The result of applying the default privileges. */
export const appliedPrivileges: AppliedPrivileges = {
  dryRun: true,
  settingsVersion: '7b0e5c51-62ae-4bd1-9f1b-1b8ac1d25a90',
  privileges: ['login', 'export'],
  totals: { changed: 1, unchanged: 195, kept: 2 },
  items: [{ userName: 'anna.weber', from: ['login'], to: ['login', 'export'] }],
  next: null,
};

/** The body that saves settings. */
export const settingsDocument = {
  connection: {
    servers: ['ldap1.example.com', 'ldap2.example.com'],
    encryption: 'tls',
    administrativeDn: 'cn=reader,dc=example,dc=com',
    password: 'password of the reader',
  },
  scope: { baseDn: 'dc=example,dc=com', filter: '(&(objectClass=inetOrgPerson)(mail=*))' },
  mapping: { userName: 'uid', fullName: 'displayName', emailAddresses: 'mail' },
  options: {
    schedule: { enabled: true, expression: 'rate(1 hour)', timeZone: 'Europe/Berlin' },
    missingUsers: 'disable',
    gracePeriodDays: 7,
  },
};

/** The settings that `settingsDocument` becomes. */
export const shownSettings: PresentedSettings = {
  connection: {
    servers: ['ldap1.example.com', 'ldap2.example.com'],
    encryption: 'tls',
    ignoreCertificateWarnings: false,
    caCertificates: '',
    administrativeDn: 'cn=reader,dc=example,dc=com',
    vendor: '',
    timeouts: { connectSeconds: 5, operationSeconds: 10, loginSeconds: 15 },
    passwordSet: true,
  },
  scope: { baseDn: 'dc=example,dc=com', filter: '(&(objectClass=inetOrgPerson)(mail=*))', depth: 'subtree' },
  mapping: { userName: 'uid', localPartOnly: false, fullName: 'displayName', emailAddresses: 'mail', uniqueId: '' },
  options: {
    schedule: {
      enabled: true,
      expression: 'rate(1 hour)',
      timeZone: 'Europe/Berlin',
      next: [
        '2026-05-04T11:04:00.000Z',
        '2026-05-04T12:04:00.000Z',
        '2026-05-04T13:04:00.000Z',
        '2026-05-04T14:04:00.000Z',
        '2026-05-04T15:04:00.000Z',
      ],
    },
    missingUsers: 'disable',
    gracePeriodDays: 7,
    removalLimit: { percent: 10, atLeast: 3, windowHours: 24 },
    disabledUsers: 'disable',
  },
  defaultPrivileges: ['login'],
  warnings: [],
};

/** What saving the settings would say. */
export const settingsValidation: SettingsValidation = {
  faults: [{ path: 'scope.filter', message: 'is not a filter: a closing parenthesis is missing, at position 14' }],
  warnings: [],
  next: ['2026-05-01T01:00:00.000Z', '2026-05-01T02:00:00.000Z'],
};

/** The result of testing the settings. */
export const settingsTest: SettingsTest = {
  ok: true,
  stages: [
    { name: 'nameResolution', ok: true, detail: 'ldap1.example.com is 192.0.2.10', ms: 3 },
    { name: 'connect', ok: true, detail: 'connected to ldap1.example.com, port 389', ms: 12 },
  ],
  certificates: [
    {
      subject: 'CN=ldap1.example.com',
      issuer: 'CN=Example CA',
      names: ['ldap1.example.com'],
      validTo: '2027-01-31T00:00:00.000Z',
      daysLeft: 272,
    },
  ],
  server: {
    name: 'ldap1.example.com',
    identity: 'ldap1.example.com 192.0.2.7:389',
    vendor: 'openLdap',
    detectedVendor: 'openLdap',
    product: 'OpenLDAP',
    offers: { paging: true, startTls: true, passwordPolicy: true },
    uniqueId: 'entryuuid',
    statusAttributes: [{ name: 'pwdaccountlockedtime', seen: false }],
  },
  presets: null,
  count: 198,
  counted: 'all',
  sample: [
    {
      dn: 'uid=anna.weber,ou=people,dc=example,dc=com',
      attributes: { uid: ['anna.weber'], displayname: ['Anna Weber'], mail: ['anna.weber@example.com'] },
      userName: 'anna.weber',
      fullName: 'Anna Weber',
      emailAddresses: ['anna.weber@example.com'],
      directoryId: '6f9619ff-8b86-d011-b42d-00c04fc964ff',
      disabled: false,
    },
  ],
  warnings: [],
};

/** A finished run. */
export const run: Run = {
  id: RUN_ID,
  dryRun: false,
  trigger: 'api',
  requestedBy: 'admin',
  status: 'succeeded',
  stage: 'finished',
  startedAt: '2026-05-04T10:00:00.000Z',
  finishedAt: '2026-05-04T10:00:04.000Z',
  progress: { read: 198, planned: 3, applied: 2 },
  expectedEntries: 197,
  totals: { ...NO_TOTALS, created: 1, updated: 1, unchanged: 195, withheld: 1 },
  completeness: { complete: true, reasons: [] },
  settingsVersion: '7b0e5c51-62ae-4bd1-9f1b-1b8ac1d25a90',
  error: null,
  notices: [],
  approves: null,
  server: { name: 'ldap.example.com', identity: 'ldap.example.com 192.0.2.10:636' },
  approvalScope: 'Yk2w0p4c.Rr8t1WqZ.0dGm5uXe',
};

/** The answer to a started run. */
export const startedRun = { runId: RUN_ID };

/** A line of the run. */
export const change: Change = {
  kind: 'updated',
  userId: person.id,
  userName: person.userName,
  directoryId: '6f9619ff-8b86-d011-b42d-00c04fc964ff',
  dn: 'uid=anna.weber,ou=people,dc=example,dc=com',
  fields: { fullName: { from: 'Anna Huber', to: 'Anna Weber' } },
};
