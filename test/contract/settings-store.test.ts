import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import { afterEach, describe, expect, test } from 'vitest';
import {
  createSecretsManagerClient,
  createSettingsStore,
  readAdministratorPassword,
} from '../../lib/aws/settings-store.ts';
import type { SettingsStore } from '../../lib/settings/settings-store.ts';
import { serve } from '../../local/running.ts';
import { createSecretsManager } from '../../local/secrets-manager.ts';
import type { SecretsManagerOptions } from '../../local/secrets-manager.ts';
import { LOCAL_CLIENT } from '../../local/template.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aSettings } from '../support/people.ts';
import { startSecrets } from '../support/secrets.ts';
import type { Secrets } from '../support/secrets.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function openSecrets(value = '{}', options?: SecretsManagerOptions): Promise<Secrets & { store: SettingsStore }> {
  const secrets = await startSecrets(value, options);
  stops.push(() => secrets.stop());
  return { ...secrets, store: createSettingsStore(secrets) };
}

const ADAPTERS: readonly [string, () => Promise<SettingsStore>][] = [
  ['in memory', async () => createMemoryStores({ now: () => new Date() }).settings],
  ['in a secret', async () => (await openSecrets()).store],
];

describe.each(ADAPTERS)('the settings store %s', (_name, open) => {
  test('has nothing until something is written, and then exactly that', async () => {
    const store = await open();
    expect(await store.read()).toBeNull();

    const version = await store.write(aSettings(), 'pässword', null);

    expect(version).toEqual(expect.any(String));
    expect(await store.read()).toEqual({ settings: aSettings(), password: 'pässword', version, notices: [] });
  });

  test('gives another version to every write, also of the same content', async () => {
    const store = await open();
    const first = await store.write(aSettings(), 'p', null);

    const second = await store.write(aSettings(), 'p', first);

    expect(second).not.toBe(first);
    expect((await store.read())?.version).toBe(second);
  });

  test('writes nothing over a version that was not expected', async () => {
    const store = await open();
    const first = await store.write(aSettings(), 'first', null);
    const second = await store.write(aSettings(), 'second', first);

    expect(await store.write(aSettings(), 'late', first)).toBeNull();
    expect(await store.write(aSettings(), 'late', null)).toBeNull();
    expect(await store.write(aSettings(), 'late', 'no version at all')).toBeNull();
    expect(await store.read()).toMatchObject({ password: 'second', version: second });
  });

  test('lets one of many writers win who have read the same version', async () => {
    const store = await open();
    const read = await store.write(aSettings(), 'first', null);

    const versions = await Promise.all(['a', 'b', 'c', 'd'].map((each) => store.write(aSettings(), each, read)));

    const winners = versions.filter((version) => version !== null);
    expect(winners).toHaveLength(1);
    expect(await store.read()).toMatchObject({ version: winners[0], password: 'abcd'[versions.indexOf(winners[0]!)] });
  });
});

describe('settings in a secret', () => {
  test('loses a write whose version was replaced after it was read', async () => {
    const { client, store, secretId } = await openSecrets();
    const read = await store.write(aSettings(), 'first', null);
    // Somebody else writes after the current version was read and before the label moves.
    let between = true;
    client.middlewareStack.add(
      (next, context) => async (args) => {
        if (between && context.commandName === 'UpdateSecretVersionStageCommand') {
          between = false;
          await client.send(new PutSecretValueCommand({ SecretId: secretId, SecretString: '{}' }));
        }
        return await next(args);
      },
      { step: 'build' },
    );

    expect(await store.write(aSettings(), 'late', read)).toBeNull();
    expect(await store.read()).toBeNull();
  });

  test('reads a document that was stored before a field could be mapped: nothing is mapped to it', async () => {
    const { client, store, secretId } = await openSecrets();
    const { fullName: _later, ...mapping } = aSettings().mapping;
    const SecretString = JSON.stringify({ settings: { ...aSettings(), mapping }, password: 'p' });
    await client.send(new PutSecretValueCommand({ SecretId: secretId, SecretString }));

    expect((await store.read())?.settings.mapping).toEqual({ ...mapping, fullName: '' });
  });

  test.each([
    {
      name: 'the former default of the removal limit: it becomes the default, with a notice',
      stored: { percent: 10, atLeast: 20 },
      limit: { percent: 10, atLeast: 3, windowHours: 24 },
      notices: [
        expect.stringMatching(/former default \(10 %, at least 20, .* is now 10 %, at least 3, within 24 hours/),
      ],
    },
    {
      name: 'another removal limit without a window: it gets 24 hours, with a notice',
      stored: { percent: 10, atLeast: 21 },
      limit: { percent: 10, atLeast: 21, windowHours: 24 },
      notices: [expect.stringMatching(/\(10 %, at least 21\) now counts the removals of 24 hours/)],
    },
    {
      name: 'a removal limit with a window: it stays, even with the figures of the former default',
      stored: { percent: 10, atLeast: 20, windowHours: 48 },
      limit: { percent: 10, atLeast: 20, windowHours: 48 },
      notices: [],
    },
  ])('reads $name', async ({ stored, limit, notices }) => {
    const { client, store, secretId } = await openSecrets();
    const settings = aSettings();
    const document = { ...settings, options: { ...settings.options, removalLimit: stored } };
    const SecretString = JSON.stringify({ settings: document, password: 'p' });
    const { VersionId } = await client.send(new PutSecretValueCommand({ SecretId: secretId, SecretString }));

    const read = await store.read();

    expect(read).toEqual({
      settings: { ...settings, options: { ...settings.options, removalLimit: limit } },
      password: 'p',
      version: VersionId,
      notices,
    });
    const { SecretString: now } = await client.send(new GetSecretValueCommand({ SecretId: secretId }));
    expect(now).toBe(SecretString);
    await store.write(read!.settings, 'p', read!.version);
    expect(await store.read()).toMatchObject({ settings: read!.settings, notices: [] });
  });

  test('knows its own write again when the answer to it was lost', async () => {
    const { client, store } = await openSecrets();
    let lost = true;
    client.middlewareStack.add(
      (next, context) => async (args) => {
        const answer = await next(args);
        if (lost && context.commandName === 'UpdateSecretVersionStageCommand') {
          lost = false;
          throw Object.assign(new Error('socket hang up'), { name: 'TimeoutError', code: 'ECONNRESET' });
        }
        return answer;
      },
      { step: 'deserialize', priority: 'high' },
    );

    const version = await store.write(aSettings(), 'p', null);

    expect(lost).toBe(false);
    expect(version).not.toBeNull();
    expect((await store.read())?.version).toBe(version);
  });

  test('leaves no more than three labelled versions behind, however often it writes', async () => {
    const { client, store, secretId } = await openSecrets();
    let version: string | null = null;
    for (let write = 0; write < 25; write += 1) version = await store.write(aSettings(), String(write), version);

    const { VersionIdsToStages = {} } = await client.send(new DescribeSecretCommand({ SecretId: secretId }));

    expect(VersionIdsToStages[version!]).toContain('AWSCURRENT');
    expect(Object.keys(VersionIdsToStages).length).toBeLessThanOrEqual(3);
  });

  test('tells that the certificates are too long before it writes anything', async () => {
    const { store } = await openSecrets();

    const write = store.write(aSettings({ connection: { caCertificates: 'x'.repeat(70_000) } }), 'p', null);

    await expect(write).rejects.toMatchObject({
      code: 'invalidRequest',
      faults: [{ path: 'connection.caCertificates' }],
    });
    expect(await store.read()).toBeNull();
  });

  test.each([
    'not json, but hunter2',
    '["hunter2"]',
    '{"password":"hunter2"}',
    '{"settings":{},"password":null}',
    '{"settings":{"options":{}},"password":"hunter2"}',
    '{"settings":null,"password":"hunter2"}',
  ])('tells that the secret is damaged and not what is in it: %s', async (value) => {
    const { store } = await openSecrets(value);

    const fault = (await store.read().catch((error: unknown) => error)) as Error;

    expect(fault).toMatchObject({ code: 'storeUnavailable', retryable: false });
    expect(`${JSON.stringify(fault)} ${fault.message} ${fault.stack}`).not.toContain('hunter2');
    expect(fault.cause).toBeUndefined();
  });

  test('tells that a secret which is not there is a fault of the deployment', async () => {
    const secrets = await openSecrets();

    const read = createSettingsStore({ ...secrets, secretId: 'another' }).read();

    await expect(read).rejects.toMatchObject({ code: 'storeUnavailable', retryable: false });
  });

  test('tells that nobody answers', async () => {
    const secrets = await openSecrets();
    await stops.pop()!();
    const client = createSecretsManagerClient({
      ...LOCAL_CLIENT,
      endpoint: 'http://127.0.0.1:1',
      maxAttempts: 2,
    });

    const read = createSettingsStore({ ...secrets, client }).read();

    await expect(read).rejects.toMatchObject({ code: 'storeUnavailable', retryable: true });
    client.destroy();
  });

  test('reads the generated password of the first administrator', async () => {
    const { client, secretId } = await openSecrets('{"userName":"admin","password":"generated"}');

    expect(await readAdministratorPassword(client, secretId)).toEqual({ userName: 'admin', password: 'generated' });
    const empty = await openSecrets('{"userName":"admin"}');
    await expect(readAdministratorPassword(empty.client, empty.secretId)).rejects.toMatchObject({
      code: 'storeUnavailable',
    });
  });
});

describe('the stand-in for Secrets Manager', () => {
  test('moves a label only from the version that is named, and AWSPREVIOUS after AWSCURRENT', async () => {
    const { client, secretId: SecretId } = await openSecrets('one');
    const { VersionId: one } = await client.send(new GetSecretValueCommand({ SecretId }));
    const two = 'b'.repeat(32);
    await client.send(
      new PutSecretValueCommand({ SecretId, SecretString: 'two', ClientRequestToken: two, VersionStages: ['MINE'] }),
    );
    const move = (RemoveFromVersionId?: string) =>
      client.send(
        new UpdateSecretVersionStageCommand({
          SecretId,
          VersionStage: 'AWSCURRENT',
          MoveToVersionId: two,
          ...(RemoveFromVersionId !== undefined && { RemoveFromVersionId }),
        }),
      );

    await expect(move()).rejects.toMatchObject({ name: 'InvalidParameterException' });
    await expect(move(two)).rejects.toMatchObject({ name: 'InvalidParameterException' });
    await move(one);

    const current = await client.send(new GetSecretValueCommand({ SecretId }));
    const previous = await client.send(new GetSecretValueCommand({ SecretId, VersionStage: 'AWSPREVIOUS' }));
    const mine = await client.send(new GetSecretValueCommand({ SecretId, VersionId: two, VersionStage: 'MINE' }));
    expect([current.SecretString, previous.SecretString, mine.SecretString]).toEqual(['two', 'one', 'two']);
    expect(current.VersionStages?.toSorted()).toEqual(['AWSCURRENT', 'MINE']);
  });

  test('takes the same token twice for the same value only', async () => {
    const { client, secretId: SecretId } = await openSecrets('one');
    const ClientRequestToken = 'c'.repeat(32);
    const put = (SecretString: string) =>
      client.send(new PutSecretValueCommand({ SecretId, SecretString, ClientRequestToken }));

    expect((await put('two')).VersionId).toBe((await put('two')).VersionId);
    // The product does not expect this answer, so the client makes it a fault.
    await expect(put('three')).rejects.toMatchObject({ cause: { name: 'ResourceExistsException' } });
  });

  test('keeps secrets in a file that only its owner can read', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'rollcall-secrets-'));
    stops.push(() => rm(folder, { recursive: true }));
    const secrets = await openSecrets('{}', { folder });
    const { store } = secrets;
    const version = await store.write(aSettings(), 'kept', null);

    const again = await serve(createSecretsManager({ folder }));
    stops.push(() => again.stop());
    const client = createSecretsManagerClient({
      ...LOCAL_CLIENT,
      endpoint: again.url,
    });
    stops.push(async () => client.destroy());

    expect(await createSettingsStore({ ...secrets, client }).read()).toMatchObject({ password: 'kept', version });
    expect((await stat(path.join(folder, 'secrets.json'))).mode & 0o777).toBe(0o600);
  });
});
