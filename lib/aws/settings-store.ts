/**
 * Settings and bind password as ONE secret, so that server, filter and password always belong together. The version of
 * the secret is the version of the settings. The deployment stores `{}`, which means that nothing is configured. No
 * error contains anything of the secret.
 *
 * Secrets Manager keeps every version for a day and takes about 100 of them, so no version is made in vain: a writer
 * holds a lock while it makes one, and a writer that is too late sees so before.
 * @see https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
 */
import { randomUUID } from 'node:crypto';
import {
  GetSecretValueCommand,
  InvalidParameterException,
  LimitExceededException,
  PutSecretValueCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import type { SecretsManagerClientConfig } from '@aws-sdk/client-secrets-manager';
import { invalidRequest, ServiceError } from '../errors.ts';
import type { SettingsReader, SettingsStore } from '../settings/settings-store.ts';
import { upgradeSettings } from '../settings/settings-upgrade.ts';
import type { EarlierSettings } from '../settings/settings-upgrade.ts';
import type { StoredSettings } from '../settings/settings.ts';
import { CLIENT_DEFAULTS, endRetries, storeUnavailable, translateFaults } from './fault.ts';
import type { WithSettingsLock } from './settings-lock.ts';

const SERVICE = 'Secrets Manager';
const CURRENT = 'AWSCURRENT';
/** Label of a new version until it becomes the current one. Each new version takes it from the one before. */
const CANDIDATE = 'ROLLCALL_CANDIDATE';
/** When the oldest version is forgotten is unknown; an hour is a good time to try again. */
const RETRY_AFTER_SECONDS = 3_600;
/** Secrets Manager's limit, in bytes. */
const LARGEST_SECRET = 65_536;

/**
 * A client that throws only InvalidParameterException and ServiceError: `storeUnavailable`; `throttled` if the secret
 * has all the versions that Secrets Manager takes.
 */
export function createSecretsManagerClient(config: SecretsManagerClientConfig = {}): SecretsManagerClient {
  const client = new SecretsManagerClient({ ...CLIENT_DEFAULTS, ...config });
  endRetries(client, tooManyVersions);
  return translateFaults(client, SERVICE, ['InvalidParameterException']);
}

/**
 * The fault for a version above the quota. To the SDK, the name of this error is that of a throttled request, which it
 * would repeat for 15 seconds.
 */
function tooManyVersions(cause: unknown): ServiceError | null {
  if (!(cause instanceof LimitExceededException)) return null;
  return new ServiceError('throttled', 'Secrets Manager takes no more versions of the settings for now', {
    cause,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
    advice:
      'Save again later: Secrets Manager takes about 100 versions of a secret within 24 hours. Nothing was saved; ' +
      'the settings as they are stay in effect.',
  });
}

/** The secret that holds the settings. */
export interface SettingsSecret {
  readonly client: SecretsManagerClient;
  /** Name or ARN. */
  readonly secretId: string;
}

/** Reads the settings from Secrets Manager. Errors: `storeUnavailable`, also for a damaged secret. */
export function createSettingsReader(secret: SettingsSecret): SettingsReader {
  return {
    async read() {
      const { version, content } = await readCurrent(secret);
      return content && { ...content, version };
    },
  };
}

/**
 * The settings store on Secrets Manager. Errors: `invalidRequest` when the document is too long; `throttled` after too
 * many versions; `storeUnavailable`, also for a damaged secret.
 */
export function createSettingsStore({
  withLock,
  ...secret
}: SettingsSecret & { readonly withLock: WithSettingsLock }): SettingsStore {
  const { client, secretId: SecretId } = secret;

  /**
   * A compare-and-swap: stores the new version beside the current one, then moves the label AWSCURRENT to it, but only
   * from the version that was read before.
   */
  async function swap(SecretString: string, expectedVersion: string | null): Promise<string | null> {
    const current = await readCurrent(secret);
    if ((current.content && current.version) !== expectedVersion) return null;
    const version = randomUUID();
    await client.send(
      new PutSecretValueCommand({
        SecretId,
        SecretString,
        ClientRequestToken: version,
        VersionStages: [CANDIDATE],
      }),
    );
    try {
      await client.send(
        new UpdateSecretVersionStageCommand({
          SecretId,
          VersionStage: CURRENT,
          MoveToVersionId: version,
          RemoveFromVersionId: current.version,
        }),
      );
      return version;
    } catch (error) {
      if (!(error instanceof InvalidParameterException)) throw error;
      // That error has several reasons; the label shows which one it was.
      const now = await readSecret(client, SecretId);
      // An earlier try succeeded, but its answer was lost.
      if (now.version === version) return version;
      if (now.version !== current.version) return null;
      throw storeUnavailable(SERVICE, error);
    }
  }

  return {
    ...createSettingsReader(secret),
    async write(settings, password, expectedVersion) {
      const SecretString = JSON.stringify({ settings, password });
      if (Buffer.byteLength(SecretString) > LARGEST_SECRET) {
        const message =
          `is too long: all settings together must fit into ${LARGEST_SECRET} bytes; ` +
          'keep only the CA certificates that are needed';
        throw invalidRequest([{ path: 'connection.caCertificates', message }]);
      }
      return await withLock(() => swap(SecretString, expectedVersion));
    },
  };
}

interface CurrentSettings {
  readonly version: string;
  /** null = nothing is configured. */
  readonly content: Omit<StoredSettings, 'version'> | null;
}

async function readCurrent({ client, secretId }: SettingsSecret): Promise<CurrentSettings> {
  const { version, document } = await readSecret(client, secretId);
  if (Object.keys(document).length === 0) return { version, content: null };
  const { settings, password } = document as { settings?: EarlierSettings; password?: string };
  if (typeof settings?.options?.removalLimit !== 'object' || typeof password !== 'string') throw damaged(secretId);
  return { version, content: { ...upgradeSettings(settings), password } };
}

/**
 * The user name and password that the deployment generated for the first administrator.
 * @throws ServiceError `storeUnavailable`, also for a damaged secret
 */
export async function readAdministratorPassword(
  client: SecretsManagerClient,
  secretId: string,
): Promise<{ readonly userName: string; readonly password: string }> {
  const { document } = await readSecret(client, secretId);
  const { userName, password } = document as { userName?: unknown; password?: unknown };
  if (typeof userName !== 'string' || typeof password !== 'string' || password === '') throw damaged(secretId);
  return { userName, password };
}

/**
 * The secret that a proxy in front of API Gateway sends: the whole text of the secret.
 * @throws ServiceError `storeUnavailable`, also for an empty secret
 */
export async function readProxySecret(client: SecretsManagerClient, SecretId: string): Promise<string> {
  const { SecretString = '' } = await client.send(new GetSecretValueCommand({ SecretId, VersionStage: CURRENT }));
  if (SecretString.trim() !== '') return SecretString;
  throw new ServiceError('storeUnavailable', `the secret ${SecretId} is empty`, {
    advice: 'Store the secret that the proxy sends, at least 32 characters, as plain text.',
  });
}

async function readSecret(
  client: SecretsManagerClient,
  SecretId: string,
): Promise<{ version: string; document: object }> {
  const command = new GetSecretValueCommand({ SecretId, VersionStage: CURRENT });
  const { SecretString = '', VersionId } = await client.send(command);
  const document = parseObject(SecretString);
  if (document === null || VersionId === undefined) throw damaged(SecretId);
  return { version: VersionId, document };
}

// The parser's own error would quote the secret.
function parseObject(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

function damaged(secretId: string): ServiceError {
  return new ServiceError('storeUnavailable', `the secret ${secretId} has unexpected content`, {
    advice:
      'Restore the previous version of the secret in Secrets Manager. ' +
      'For the settings secret, you can also store {} and save the settings again.',
  });
}
