/**
 * The settings test as an administrator sees it: every fault has its own code and says what to do, in time whatever
 * answers on the port. If all is well, it shows the server, its certificates and the first people.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type SettingsTest, testSettings } from '../../lib/administration/settings.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { makeCertificates } from '../../local/certificate.ts';
import type { DirectoryServer } from '../support/directory-server.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { startOpenLdap } from '../support/openldap.ts';
import { OFFERS_PAGING, type Script, startScriptedLdapServer } from '../support/scripted-ldap-server.ts';

type Search = NonNullable<Script['search']>;

interface Document {
  readonly connection?: object;
  readonly scope?: object;
  readonly mapping?: object | undefined;
}

const BASE = 'dc=example,dc=com';
const PASSWORD = 'reads-only-1';

/** Tests settings for a server on this port, with time limits of one second. */
async function tryOut(port: number, { connection, ...others }: Document = {}): Promise<SettingsTest> {
  const clock = { now: () => new Date() };
  const document = {
    connection: {
      servers: [`127.0.0.1:${port}`],
      administrativeDn: `cn=reader,${BASE}`,
      password: PASSWORD,
      timeouts: { connectSeconds: 1, operationSeconds: 1 },
      ...connection,
    },
    mapping: { userName: 'uid', fullName: 'cn', emailAddresses: 'mail' },
    ...others,
  };
  const open = (...[settings, password]: Parameters<Parameters<typeof testSettings>[0]['openDirectory']>) =>
    openDirectory(settings, password, clock.now);
  return testSettings({ ...createMemoryStores(clock), openDirectory: open, clock }, document);
}

async function scripted(script: Script): Promise<number> {
  const server = await startScriptedLdapServer(script);
  onTestFinished(() => server.stop());
  return server.port;
}

const sayNothing: Script = { raw: () => {} };

/** Answers every search with entries that have these attributes. */
function people(...entries: readonly Readonly<Record<string, readonly string[]>>[]): Search {
  return (asked, reply) => {
    for (const [place, attributes] of entries.entries()) {
      const id = `00000000-0000-4000-8000-${String(place).padStart(12, '0')}`;
      reply.entry(`cn=${place},${BASE}`, { entryUUID: [id], ...attributes });
    }
    reply.done(asked.page === null ? {} : { cookie: '' });
  };
}

describe('what is wrong with the document is refused before anything is asked of a server', () => {
  test.each([
    ['certificates that are no PEM', { encryption: 'tls', caCertificates: 'MIIB' }, 'connection.caCertificates', /PEM/],
    [
      'PEM that holds no certificate',
      { encryption: 'tls', caCertificates: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----' },
      'connection.caCertificates',
      /can't be read/,
    ],
    [
      'a bind DN with a trailing comma',
      { administrativeDn: `cn=reader,${BASE},` },
      'connection.administrativeDn',
      /must not end with a comma/,
    ],
    ['an unknown vendor', { vendor: 'acme' }, 'connection.vendor', /must be one of: openLdap, .*leave empty to detect/],
  ])('%s', async (_what, connection, path, message) => {
    await expect(tryOut(1, { connection })).rejects.toMatchObject({
      code: 'invalidRequest',
      faults: [{ path, message: expect.stringMatching(message) as string }],
    });
  });
});

describe('the check stops at the stage that fails, tells its code and what to do, and ends in time', () => {
  test.each(['none', 'tls', 'ssl'])('HTTP on the LDAP port, with encryption %s', async (encryption) => {
    const server = createServer((_request, response) => response.end());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void server.close());

    const result = await tryOut((server.address() as AddressInfo).port, { connection: { encryption } });

    expect(result).toMatchObject({ ok: false, count: null, server: null, sample: [] });
    expect(result.stages.at(-1)).toMatchObject({
      name: encryption === 'none' ? 'bind' : 'tls',
      ok: false,
      code: 'notLdap',
      detail: expect.stringMatching(/Check the port: LDAP and StartTLS use 389, LDAPS uses 636/) as string,
    });
  });

  test.each([
    ['a port where nothing listens', 'none', null, 'connect', 'connectionRefused', /Check the port/],
    ['StartTLS that is not supported', 'tls', {}, 'tls', 'startTlsRefused', /certificate .* or choose LDAPS/],
    [
      'a wrong password',
      'none',
      { bind: (_asked, reply) => reply.done({ code: 49 }) },
      'bind',
      'bindRefused',
      /Check the bind DN and its password/,
    ],
    [
      'a bind user that is locked',
      'none',
      {
        bind: (_asked, reply) =>
          reply.done({ code: 49, diagnostic: 'LdapErr: comment: AcceptSecurityContext error, data 775, v1db1' }),
      },
      'bind',
      'bindRefused',
      /is locked\. Unlock it/,
    ],
    [
      'a server that takes no password without encryption',
      'none',
      { bind: (_asked, reply) => reply.done({ code: 13 }) },
      'bind',
      'encryptionRequired',
      /Choose StartTLS or LDAPS/,
    ],
    [
      'a port that accepts and never answers',
      'none',
      sayNothing,
      'bind',
      'operationTimeout',
      /answers too late or not at all/,
    ],
    ['the same with StartTLS', 'tls', sayNothing, 'tls', 'operationTimeout', /answers too late or not at all/],
    ['the same with LDAPS', 'ssl', sayNothing, 'tls', 'connectionTimeout', /does not finish the TLS handshake/],
    [
      'a base that is not there',
      'none',
      { search: (_asked, reply) => reply.done({ code: 32 }) },
      'base',
      'baseNotFound',
      /Check the base DN/,
    ],
    [
      'no single naming context and no base DN',
      'none',
      { rootDse: { ...OFFERS_PAGING, namingContexts: ['o=a', 'o=b'] } },
      'base',
      'baseUnknown',
      /Enter the base DN\. The server offers o=a and o=b/,
    ],
    [
      'a unique id that this bind user can not read',
      'none',
      { search: people({ entryUUID: [], uid: ['anna'] }) },
      'attributes',
      'uniqueIdMissing',
      /Give the bind DN the right to read the attribute/,
    ],
  ] satisfies [string, string, Script | null, string, string, RegExp][])(
    '%s',
    async (_what, encryption, script, name, code, advice) => {
      const port = script === null ? 1 : await scripted(script);
      const started = performance.now();

      const result = await tryOut(port, { connection: { encryption } });

      expect(performance.now() - started).toBeLessThan(7_500);
      expect(result.ok).toBe(false);
      expect(result.stages.slice(0, -1).every(({ ok }) => ok)).toBe(true);
      expect(result.stages.at(-1)).toMatchObject({
        name,
        ok: false,
        code,
        detail: expect.stringMatching(advice) as string,
      });
      expect(JSON.stringify(result)).not.toContain(PASSWORD);
    },
  );
});

describe('what works and is likely not meant that way is warned of', () => {
  test('in numbers of the first people: without mail, with several user names', async () => {
    const mail = ['someone@example.com'];
    const search = people(
      { uid: ['a'], mail },
      { uid: ['b', 'b2'], mail },
      { uid: ['c'] },
      { uid: ['d'] },
      { uid: ['e'] },
    );

    const { warnings, sample } = await tryOut(await scripted({ search }));

    expect(warnings).toContainEqual(expect.stringMatching(/^3 of the first 5 have no e-mail address in mail/));
    expect(warnings).toContainEqual(expect.stringMatching(/^1 of the first 5 have several values of uid/));
    expect(sample[1]).toMatchObject({ userName: 'b', attributes: { uid: ['b', 'b2'], mail } });
  });

  test('a bind user of Active Directory that does not see userAccountControl', async () => {
    const rootDse = { ...OFFERS_PAGING, vendorName: ['Samba Team'] };
    const objectGUID = ['0123456789abcdef'];
    const seen = { objectGUID, uid: ['a'], userAccountControl: ['512'] };

    const blind = await tryOut(await scripted({ rootDse, search: people({ objectGUID, uid: ['a'] }) }));
    const seeing = await tryOut(await scripted({ rootDse, search: people(seen) }));

    expect(blind.warnings).toContainEqual(expect.stringMatching(/does not see userAccountControl/));
    expect(blind.server!.statusAttributes).toContainEqual({ name: 'userAccountControl', seen: false });
    expect(seeing.warnings).not.toContainEqual(expect.stringMatching(/userAccountControl/));
    expect(seeing.server!.statusAttributes).toContainEqual({ name: 'userAccountControl', seen: true });
  });

  test('a vendor in the settings that is not the one the server looks like', async () => {
    const port = await scripted({ search: people({ uid: ['a'] }) });

    const { server, warnings } = await tryOut(port, { connection: { vendor: 'apacheDs' } });

    expect(server).toMatchObject({ vendor: 'apacheDs', detectedVendor: 'openLdap' });
    expect(warnings).toContainEqual(
      expect.stringMatching(/in the settings is apacheDs, but the server looks like OpenLDAP/),
    );
  });
});

describe('a page size above what the server allows', () => {
  test('is halved until the server takes it, before anybody is read', async () => {
    const sizes: number[] = [];
    const search: Search = (asked, reply) => {
      if (asked.page !== null) sizes.push(asked.page.size);
      const tooLarge = asked.page !== null && asked.page.size > 300;
      if (tooLarge) reply.done({ code: 11, diagnostic: 'illegal pagedResults page size' });
      else people({ uid: ['anna'] })(asked, reply);
    };

    const result = await tryOut(await scripted({ search }));

    expect(sizes).toEqual([1000, 500, 250]);
    expect(result).toMatchObject({ ok: true, count: 1, counted: 'all' });
  });

  test('is not what another limit with the same result means', async () => {
    let reads = 0;
    const search: Search = (asked, reply) => {
      if (asked.page === null) return people({ uid: ['anna'] })(asked, reply);
      reads += 1;
      reply.done({ code: 11, diagnostic: 'look-through limit exceeded' });
    };

    const result = await tryOut(await scripted({ search }));

    expect(reads).toBe(1);
    expect(result.ok).toBe(false);
  });
});

describe('on a real server', () => {
  const DAY_MS = 86_400_000;
  const certificates = makeCertificates({ names: ['127.0.0.1'], notAfter: new Date(Date.now() + 10.5 * DAY_MS) });
  let server: DirectoryServer;

  beforeAll(async () => {
    const plain = (userName: string, attributes: object = {}) => ({
      cn: userName,
      userName,
      below: 'ou=people',
      attributes: { ...attributes },
    });
    server = await startOpenLdap({
      people: [plain('anna'), plain('bert', { pwdAccountLockedTime: ['000001010000Z'] })],
      certificates,
    });
  });
  afterAll(() => server?.stop());

  const connection = (over: object = {}) => ({
    administrativeDn: server.readerDn,
    password: server.readerPassword,
    encryption: 'tls',
    caCertificates: server.caPem,
    timeouts: undefined,
    ...over,
  });

  test('shows the server, its certificates with names and days left, and what this bind user can see', async () => {
    const result = await tryOut(server.ldapPort, { connection: connection() });

    expect(result.stages.map(({ name, ok }) => `${name} ${ok}`)).toEqual(
      ['nameResolution', 'connect', 'tls', 'bind', 'rootDse', 'base', 'attributes', 'filter'].map(
        (name) => `${name} true`,
      ),
    );
    expect(result.certificates).toMatchObject([
      { subject: '127.0.0.1', issuer: 'Local Test Authority', names: ['127.0.0.1'], daysLeft: 10 },
      { subject: 'Local Test Authority', issuer: 'Local Test Authority' },
    ]);
    expect(result.server).toEqual({
      name: `127.0.0.1:${server.ldapPort}`,
      identity: `127.0.0.1:${server.ldapPort}`,
      vendor: 'openLdap',
      detectedVendor: 'openLdap',
      product: 'OpenLDAP',
      offers: { paging: true, startTls: true, passwordPolicy: true },
      uniqueId: 'entryUUID',
      statusAttributes: [
        { name: 'pwdAccountLockedTime', seen: true },
        { name: 'shadowExpire', seen: false },
        { name: 'sambaAcctFlags', seen: false },
        { name: 'inetUserStatus', seen: false },
        { name: 'accountStatus', seen: false },
      ],
    });
    expect(result.warnings).toContainEqual(expect.stringMatching(/certificate of 127\.0\.0\.1 expires in 10 days/));
    expect(result).toMatchObject({ ok: true, presets: { scope: {}, mapping: {} } });
  });

  test('shows the certificate that it refuses', async () => {
    const { caPem } = makeCertificates();

    const result = await tryOut(server.ldapPort, { connection: connection({ caCertificates: caPem }) });

    expect(result.certificates[0]).toMatchObject({ subject: '127.0.0.1', daysLeft: 10 });
    expect(result.stages.at(-1)).toMatchObject({
      name: 'tls',
      code: 'certificateRefused',
      detail: expect.stringMatching(
        /not trusted.*sent the certificate of 127\.0\.0\.1.*expires in 10 days.*caCertificates/,
      ) as string,
    });
  });

  test('offers what is usual with its vendor while nothing is mapped, and shows people by it', async () => {
    const result = await tryOut(server.ldapPort, { connection: connection(), mapping: undefined });

    expect(result.presets).toEqual({
      scope: { filter: '(&(|(objectClass=person)(objectClass=posixAccount))(uid=*))' },
      mapping: { userName: 'uid', fullName: 'cn', emailAddresses: 'mail' },
    });
    expect(result).toMatchObject({ ok: true, count: 3 });
    expect(result.sample).toContainEqual(
      expect.objectContaining({
        userName: 'anna',
        fullName: 'anna',
        emailAddresses: ['anna@example.com'],
        disabled: false,
        attributes: { uid: ['anna'], cn: ['anna'], mail: ['anna@example.com'] },
      }),
    );
    expect(result.sample).toContainEqual(expect.objectContaining({ userName: 'bert', disabled: true }));
  });
});
