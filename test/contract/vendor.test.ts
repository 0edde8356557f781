/** The rules of each vendor, on a server of that vendor: detection, disabled accounts, usual filter and mapping. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { mapEntry } from '../../lib/directory/mapping.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { type Settings, type Vendor, withPresets } from '../../lib/settings/settings.ts';
import { startApacheDs } from '../support/apacheds.ts';
import {
  asRoot,
  type DirectoryServer,
  type DirectoryServerOptions,
  HIDDEN,
  type PersonFixture,
} from '../support/directory-server.ts';
import { startDs389 } from '../support/ds389.ts';
import { startOpenLdap } from '../support/openldap.ts';
import { aSettings } from '../support/people.ts';
import { readAll } from '../support/read-all.ts';
import { startSamba } from '../support/samba.ts';

/** The first start on a machine downloads packages and loads people. */
const FIRST_START_MS = 600_000;

type Start = (options: DirectoryServerOptions) => Promise<DirectoryServer>;

const SERVERS: readonly (readonly [string, Vendor, Start, readonly string[]])[] = [
  ['OpenLDAP', 'openLdap', startOpenLdap, ['pwdAccountLockedTime']],
  ['389 Directory Server', 'ds389', startDs389, ['nsAccountLock']],
  ['Samba Active Directory', 'activeDirectory', startSamba, ['userAccountControl', 'accountExpires']],
  // Rarely used and slow to load, so only `npm run test:all` includes it.
  ...(process.env['ROLLCALL_TEST_ALL']
    ? [['ApacheDS', 'apacheDs', startApacheDs, ['pwdAccountLockedTime']] as const]
    : []),
];

const person = (userName: string, over: Partial<PersonFixture> = {}): PersonFixture => ({
  cn: userName,
  userName,
  below: 'ou=people',
  password: `Pässword 1 of ${userName}`,
  ...over,
});

function settingsFor(server: DirectoryServer, administrativeDn = server.readerDn): Settings {
  return aSettings({
    connection: { servers: [`127.0.0.1:${server.ldapPort}`], administrativeDn },
    scope: { baseDn: `ou=people,${server.baseDn}`, filter: '' },
    mapping: { userName: '', fullName: '', emailAddresses: '' },
  });
}

function open(settings: Settings, password: string): ReturnType<typeof openDirectory> {
  const directory = openDirectory(settings, password, () => new Date());
  onTestFinished(() => directory.close());
  return directory;
}

describe.each(SERVERS)('%s', (_name, vendor, start, statusAttributes) => {
  let server: DirectoryServer;

  beforeAll(async () => {
    server = await start({
      people: [person('anna'), person('disabled', { disabled: true }), person('hidden', { below: HIDDEN })],
    });
  }, FIRST_START_MS);
  afterAll(() => server?.stop());

  test('is detected by its root DSE, and its unique id and status attributes are found readable', async () => {
    const result = await open(settingsFor(server), server.readerPassword).test(20_000);

    expect(result.server).toMatchObject({ vendor, detectedVendor: vendor, uniqueId: server.idAttribute });
    const seen = result.server!.statusAttributes.filter((status) => status.seen).map(({ name }) => name);
    expect(seen).toEqual(statusAttributes);
    expect(result.warnings).toEqual([]);
  });

  test('has presets by which its people are found and mapped, the disabled ones with their mark', async () => {
    const settings = settingsFor(server);
    const { ok, count, stages, sample, presets } = await open(settings, server.readerPassword).test(20_000);
    const { mapping } = withPresets(settings, presets!);

    const mapped = sample.map((entry) => mapEntry(entry, mapping, 'disable'));

    expect({ ok, count, end: stages.at(-1)!.detail }).toEqual({ ok: true, count: 2, end: 'found 2' });
    expect(mapped.map((one) => (one.kind === 'person' ? one.person : one)).toSorted(byUserName)).toMatchObject([
      { userName: 'anna', fullName: 'anna', emailAddresses: ['anna@example.com'], disabled: false },
      { userName: 'disabled', fullName: 'disabled', emailAddresses: ['disabled@example.com'], disabled: true },
    ]);
  });

  test('reads by the rules of another vendor where the settings say so', async () => {
    const settings = settingsFor(server);
    const asUnknown = {
      ...settings,
      connection: { ...settings.connection, vendor: 'unknown' as const },
      scope: { ...settings.scope, filter: server.peopleFilter },
      mapping: { ...settings.mapping, userName: server.userNameAttribute },
    };

    const result = await open(asUnknown, server.readerPassword).test(20_000);

    expect(result).toMatchObject({ ok: true, server: { vendor: 'unknown', detectedVendor: vendor } });
    expect(result.sample.map(({ mark }) => mark !== null)).toContain(true);
  });
});

describe('Active Directory on Samba', () => {
  let server: DirectoryServer;

  beforeAll(async () => {
    const proxyAddresses = ['smtp:alias@example.com', 'SMTP:primary@example.com', 'x500:/o=example/cn=anna'];
    server = await startSamba({ people: [person('anna', { attributes: { proxyAddresses } })] });
  }, FIRST_START_MS);
  afterAll(() => server?.stop());

  test.each(['reader@example.com', 'EXAMPLE\\reader'])('takes %s as the name that reads', async (name) => {
    const result = await open(settingsFor(server, name), server.readerPassword).test(20_000);

    expect(result).toMatchObject({ ok: true, count: 1 });
  });

  test('gives proxyAddresses of which SMTP: is the primary one and other types are none', async () => {
    const settings = settingsFor(server);
    const { sample, presets } = await open(settings, server.readerPassword).test(20_000);

    const mapped = mapEntry(sample[0]!, withPresets(settings, presets!).mapping);

    expect(mapped).toMatchObject({
      person: { emailAddresses: ['primary@example.com', 'alias@example.com', 'anna@example.com'] },
    });
  });

  test('shows userAccountControl on every user and on no contact, whose status is known all the same', async () => {
    const contact = `CN=kontakt,OU=people,${server.baseDn}`;
    await asRoot(server, (client) => client.add(contact, { objectClass: 'contact', mail: 'kontakt@example.com' }));
    onTestFinished(() => asRoot(server, (client) => client.del(contact)));
    const settings = settingsFor(server);

    const { entries } = await readAll(
      open({ ...settings, scope: { ...settings.scope, filter: '(objectCategory=person)' } }, server.readerPassword),
    );

    const byName = entries.map(({ dn, statusSeen, statusUnknown }) => [dn.slice(3, 10), { statusSeen, statusUnknown }]);
    expect(Object.fromEntries(byName)).toEqual({
      'anna,OU': { statusSeen: ['useraccountcontrol', 'accountexpires'], statusUnknown: false },
      kontakt: { statusSeen: [], statusUnknown: false },
    });
  });

  test('gives objectGUID in the form its own tools show, by which an entry is found again', async () => {
    const directory = open(settingsFor(server), server.readerPassword);
    const { sample } = await directory.test(20_000);
    const { dn, id } = sample[0]!;
    const byGuid = aSettings({
      connection: { servers: [`127.0.0.1:${server.ldapPort}`], administrativeDn: server.readerDn },
      scope: { baseDn: `<GUID=${id}>`, filter: '(objectClass=*)' },
    });

    const reader = await open(byGuid, server.readerPassword).openReader();
    onTestFinished(() => reader.close());
    const first = await reader.readPeople().next();

    expect(await directory.findDn(id!, 'objectguid')).toBe(dn);
    expect(first.value).toMatchObject([{ dn, id }]);
  });
});

function byUserName(one: object, other: object): number {
  const nameOf = (mapped: object): string => ('userName' in mapped ? String(mapped.userName) : '');
  return nameOf(one).localeCompare(nameOf(other));
}
