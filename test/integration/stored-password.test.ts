/**
 * The stored bind password on the wire: which changes of the settings send it, and which do not, on scripted servers
 * that keep the passwords they are sent. The truth table is in test/unit/stored-password.test.ts.
 */
import { expect, onTestFinished, test } from 'vitest';
import { saveSettings, testSettings } from '../../lib/administration/settings.ts';
import { createSettingsStore } from '../../lib/aws/settings-store.ts';
import type { OpenDirectory } from '../../lib/directory/directory.ts';
import type { ServiceError } from '../../lib/errors.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { NOW } from '../support/people.ts';
import { startScriptedLdapServer } from '../support/scripted-ldap-server.ts';
import { startSecrets } from '../support/secrets.ts';

const DN = 'cn=reader,dc=example,dc=com';
const PASSWORD = 'the stored password';
const NEEDED = 'passwordNeeded';

/** A server that keeps the passwords it is sent. */
async function startListener() {
  const passwords: string[] = [];
  const server = await startScriptedLdapServer({
    bind(asked, reply) {
      passwords.push(asked.password);
      reply.done();
    },
  });
  onTestFinished(() => server.stop());
  return { name: `127.0.0.1:${server.port}`, port: server.port, passwords, server };
}

/** Settings as an earlier version has stored them: without a window of the removal limit. */
function earlierDocument(server: string) {
  return {
    settings: {
      connection: {
        servers: [server],
        encryption: 'none',
        ignoreCertificateWarnings: false,
        caCertificates: '',
        administrativeDn: 'CN=Reader, DC=Example, DC=com',
        vendor: '',
        timeouts: { connectSeconds: 5, operationSeconds: 10, loginSeconds: 15 },
      },
      scope: { baseDn: '', filter: '', depth: 'subtree' },
      mapping: { userName: 'uid', localPartOnly: false, uniqueId: '' },
      options: {
        schedule: { enabled: false, expression: 'rate(1 hour)', timeZone: 'UTC' },
        missingUsers: 'keep',
        gracePeriodDays: 7,
        removalLimit: { percent: 10, atLeast: 20 },
        disabledUsers: 'disable',
      },
      defaultPrivileges: ['login'],
    },
    password: PASSWORD,
  };
}

/** The settings over HTTP's back: the real code on the stand-in for Secrets Manager, with these settings stored. */
async function configure(stored: object) {
  const secrets = await startSecrets(JSON.stringify(stored));
  onTestFinished(() => secrets.stop());
  const clock = { now: () => NOW };
  const { schedule } = createMemoryStores(clock);
  const settings = createSettingsStore(secrets);
  const ports = {
    settings,
    schedule,
    openDirectory: ((document, password) => openDirectory(document, password, clock.now)) satisfies OpenDirectory,
  };
  const document = (connection: object) => ({
    connection: { administrativeDn: DN, ...connection },
    mapping: { userName: 'uid' },
  });
  return {
    stored: async () => (await settings.read())!,
    save: (connection: object) => saveSettings(ports, document(connection), null),
    try: async (connection?: object) => {
      const { ok, stages } = await testSettings(ports, connection && document(connection));
      return { ok, stages: stages.map(({ name }) => name), last: stages.at(-1)! };
    },
  };
}

const refusal = (message: RegExp) => ({
  code: 'invalidRequest',
  faults: [{ path: 'connection.password', message: expect.stringMatching(message) as string }],
});

test('a test of another server ends before the bind, and the server is sent nothing', async () => {
  const [own, other] = [await startListener(), await startListener()];
  const settings = await configure(earlierDocument(own.name));

  const alone = await settings.try({ servers: [other.name] });
  const behind = await settings.try({ servers: [own.name, other.name] });

  expect(alone.stages).toEqual(['nameResolution', 'connect', 'tls', NEEDED]);
  expect(alone.last).toMatchObject({
    ok: false,
    detail: expect.stringContaining(`because 127.0.0.1, port ${other.port}, is new`) as string,
  });
  expect(behind.last.name).toBe(NEEDED);
  expect([other.server.requests, own.server.requests]).toEqual([[], []]);
});

test('a test of the same place in another spelling binds with the stored password', async () => {
  const own = await startListener();
  const settings = await configure(earlierDocument(own.name));

  const stored = await settings.try();
  const spelled = await settings.try({ servers: [`[::ffff:7f00:1]:${own.port}`] });

  expect(stored.stages).toContain('bind');
  expect(spelled.stages).toContain('bind');
  expect(own.passwords).toEqual([PASSWORD, PASSWORD]);
});

test('a test with a password sends that one, and the stored one stays', async () => {
  const [own, other] = [await startListener(), await startListener()];
  const settings = await configure(earlierDocument(own.name));

  const { stages } = await settings.try({ servers: [other.name], password: 'typed' });

  expect(stages).toContain('bind');
  expect(other.passwords).toEqual(['typed']);
  expect((await settings.stored()).password).toBe(PASSWORD);
});

test('a test that cannot connect says that, not that the password is needed', async () => {
  const own = await startListener();
  const settings = await configure(earlierDocument(own.name));

  expect((await settings.try({ servers: ['127.0.0.1:1'] })).last).toMatchObject({ name: 'connect', ok: false });
});

test.each([
  ['nothing is stored', {}],
  [
    'the stored document has no bind DN',
    {
      ...earlierDocument('127.0.0.1'),
      settings: {
        ...earlierDocument('127.0.0.1').settings,
        connection: { ...earlierDocument('127.0.0.1').settings.connection, administrativeDn: '' },
      },
      password: '',
    },
  ],
])(
  'with a bind DN and no password, where %s, a test ends before the bind and nothing is saved',
  async (_case, stored) => {
    const own = await startListener();
    const settings = await configure(stored);

    expect((await settings.try({ servers: [own.name] })).last.name).toBe(NEEDED);
    expect((await settings.try({ servers: [own.name], password: '' })).last.name).toBe(NEEDED);
    await expect(settings.save({ servers: [own.name] })).rejects.toMatchObject(refusal(/^is required with an admin/));
    expect(own.server.requests).toEqual([]);
  },
);

test('an empty password is none, and the stored one does not stand in for it', async () => {
  const own = await startListener();
  const settings = await configure(earlierDocument(own.name));

  expect((await settings.try({ servers: [own.name], password: '' })).last.name).toBe(NEEDED);
  await expect(settings.save({ servers: [own.name], password: '' })).rejects.toMatchObject(refusal(/^is required/));
  expect(own.passwords).toEqual([]);
});

test('an anonymous test of another server needs no password, and saving so deletes the stored one', async () => {
  const [own, other] = [await startListener(), await startListener()];
  const settings = await configure(earlierDocument(own.name));

  const anonymous = await settings.try({ servers: [other.name], administrativeDn: '' });
  await settings.save({ servers: [other.name], administrativeDn: '' });

  expect(anonymous.stages).toContain('bind');
  expect(other.passwords.join('')).toBe('');
  expect((await settings.stored()).password).toBe('');
  // So the way over a document without a bind DN leads to no password either.
  await expect(settings.save({ servers: [other.name] })).rejects.toMatchObject(refusal(/^is required with/));
});

test('saving is refused for each change that would take the password elsewhere, and stores nothing', async () => {
  const settings = await configure(earlierDocument('ldap.example.com'));
  const { version } = await settings.stored();
  const servers = ['ldap.example.com'];

  for (const change of [
    { servers: ['ldap.example.com', 'evil.example'] },
    { servers: ['ldap.example.com:1389'] },
    { servers, administrativeDn: 'cn=root,dc=example,dc=com' },
    { servers, encryption: 'tls', ignoreCertificateWarnings: true },
  ]) {
    await expect(settings.save(change)).rejects.toMatchObject(refusal(/^is required, because .+ (is|has) /));
  }
  expect((await settings.stored()).version).toBe(version);
});

test('settings of an earlier version can be confirmed, in any spelling, without the password', async () => {
  const settings = await configure(earlierDocument('LDAP.example.com'));
  expect((await settings.stored()).notices).toHaveLength(1);

  await settings.save({ servers: ['ldap.example.com:389'], encryption: 'tls' });

  const stored = await settings.stored();
  expect(stored).toMatchObject({ password: PASSWORD, notices: [] });
  expect(stored.settings.connection).toMatchObject({ administrativeDn: DN, encryption: 'tls' });
  // What was just saved is now the one that counts: back to no encryption is a change for the worse.
  await expect(settings.save({ servers: ['ldap.example.com'] })).rejects.toMatchObject(refusal(/encryption is weaker/));
});

test('a password that is sent replaces the stored one, whatever it is', async () => {
  const settings = await configure(earlierDocument('ldap.example.com'));

  await settings.save({ servers: ['evil.example'], password: 'a guess' });
  expect((await settings.stored()).password).toBe('a guess');
  await settings.save({ servers: ['ldap.example.com'], password: PASSWORD });

  // Neither answer tells whether what was sent is what was stored.
  await expect(settings.save({ servers: ['evil.example'] })).rejects.toSatisfy(
    (error) => !JSON.stringify((error as ServiceError).faults).includes(PASSWORD),
  );
});
