/** Builders for tests of the core: settings, an entry, a person, a user, each plain unless a test says otherwise. */
import type { Entry } from '../../lib/directory/entry.ts';
import { mapEntry } from '../../lib/directory/mapping.ts';
import type { Person } from '../../lib/directory/mapping.ts';
import type { MappingSettings, OptionSettings, Settings } from '../../lib/settings/settings.ts';
import type { Approval } from '../../lib/sync/approval-store.ts';
import { NO_LOSS } from '../../lib/sync/step.ts';
import type { PlanContext } from '../../lib/sync/step.ts';
import type { User } from '../../lib/user/user.ts';

export const MAPPING: MappingSettings = {
  userName: 'uid',
  localPartOnly: false,
  fullName: 'cn',
  emailAddresses: 'mail',
  uniqueId: '',
};

/** Settings for a directory on this machine; `over` replaces fields, section by section. */
export function aSettings(
  over: {
    readonly [Section in keyof Omit<Settings, 'defaultPrivileges' | 'options'>]?: Partial<Settings[Section]>;
  } & {
    readonly options?: Partial<Omit<OptionSettings, 'removalLimit'>> & {
      readonly removalLimit?: Partial<OptionSettings['removalLimit']>;
    };
  } = {},
): Settings {
  return {
    connection: {
      servers: ['127.0.0.1'],
      encryption: 'none',
      ignoreCertificateWarnings: false,
      caCertificates: '',
      administrativeDn: 'cn=reader,dc=example,dc=com',
      vendor: '',
      timeouts: { connectSeconds: 5, operationSeconds: 10, loginSeconds: 15 },
      ...over.connection,
    },
    scope: { baseDn: 'dc=example,dc=com', filter: '', depth: 'subtree', ...over.scope },
    mapping: { ...MAPPING, ...over.mapping },
    options: {
      schedule: { enabled: false, expression: 'rate(1 hour)', timeZone: 'UTC' },
      missingUsers: 'keep',
      gracePeriodDays: 0,
      disabledUsers: 'disable',
      ...over.options,
      removalLimit: { percent: 10, atLeast: 3, windowHours: 24, ...over.options?.removalLimit },
    },
    defaultPrivileges: ['login'],
  };
}

/** Changes to a plain entry. `disabled` stands for the mark of some vendor. */
export type EntryOver = Partial<Entry> & { readonly disabled?: boolean };

/** An entry as the adapters give it: attribute names in lower case. */
export function anEntry(
  id: string,
  attributes: Record<string, readonly string[]>,
  { disabled = false, ...over }: EntryOver = {},
): Entry {
  const dn = `uid=${id},ou=people,dc=example,dc=com`;
  const status = { mark: disabled ? 'nsaccountlock' : null, statusSeen: disabled ? ['nsaccountlock'] : [] };
  return { id, dn, ...status, statusUnknown: false, unusable: null, attributes, ...over };
}

/** A person made by the real mapping. */
export function aPerson(id: string, userName: string, over: EntryOver = {}): Person {
  const mapped = mapEntry(anEntry(id, { uid: [userName], cn: [`Person ${id}`] }, over), MAPPING, 'disable');
  if (mapped.kind === 'skipped') throw new Error(mapped.skipped.reason);
  return mapped.person;
}

export const NOW = new Date('2026-05-04T10:00:00.000Z');

/** A directory user. Another account has another directory id, too. */
export function aUser(over: Partial<User> = {}): User {
  const directoryId = over.id === undefined ? 'id-1' : `id-of-${over.id}`;
  return {
    id: 'account-1',
    userName: 'anna',
    fullName: 'Anna Weber',
    emailAddresses: [],
    authentication: 'directory',
    disabledBy: null,
    privileges: ['login'],
    directory: { id: directoryId, idAttribute: 'entryuuid', dn: 'uid=anna,dc=example,dc=com', missingSince: null },
    passwordHash: null,
    fingerprint: null,
    createdAt: NOW.toISOString(),
    updatedAt: NOW.toISOString(),
    version: 1,
    ...over,
  };
}

export function aContext(over: Partial<PlanContext> = {}): PlanContext {
  let ids = 0;
  return {
    now: NOW,
    newId: () => `new-${(ids += 1)}`,
    idAttribute: 'entryuuid',
    missingUsers: 'keep',
    gracePeriodDays: 0,
    defaultPrivileges: ['login'],
    mapping: MAPPING,
    ownsNames: true,
    sameServer: true,
    unfinishedSince: null,
    spared: new Set(),
    losses: NO_LOSS,
    ...over,
  };
}

/** The approval of a removal; `over` replaces fields. */
export function anApproval(over: Partial<Approval> = {}): Approval {
  return {
    userId: 'account-1',
    proposes: 'remove',
    directoryId: null,
    runId: 'run-1',
    approvedBy: 'admin',
    approvedAt: NOW.toISOString(),
    approvalScope: 'scope',
    ...over,
  };
}
