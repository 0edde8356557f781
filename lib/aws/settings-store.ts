/**
 * Settings and bind password as ONE secret, so that server, filter and password always belong together. The secret's
 * version is theirs; `{}` is what the deployment puts there and means: nothing is configured. No content of the secret
 * reaches an error.
 */
import { randomUUID } from 'node:crypto';
import {
  GetSecretValueCommand,
  InvalidParameterException,
  PutSecretValueCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import type { SecretsManagerClientConfig } from '@aws-sdk/client-secrets-manager';
import { invalidRequest, ServiceError } from '../errors.ts';
import type { SettingsStore } from '../settings/settings-store.ts';
import type { Settings, StoredSettings } from '../settings/settings.ts';
import { CLIENT_DEFAULTS, storeUnavailable, translateFaults } from './fault.ts';

const SERVICE = 'Secrets Manager';
const CURRENT = 'AWSCURRENT';
/** Where a new version waits until it becomes the current one; each one takes the label from the one before. */
const CANDIDATE = 'ROLLCALL_CANDIDATE';
/** Secrets Manager's limit, in bytes. */
const LARGEST_SECRET = 65_536;

/** A client whose calls throw nothing but ServiceError `storeUnavailable` and refused parameters. */
export function createSecretsManagerClient(config: SecretsManagerClientConfig = {}): SecretsManagerClient {
  const client = new SecretsManagerClient({ ...CLIENT_DEFAULTS, ...config });
  return translateFaults(client, SERVICE, ['InvalidParameterException']);
}

export interface SettingsStoreOptions {
  readonly client: SecretsManagerClient;
  /** Name or ARN. */
  readonly secretId: string;
}

/** Errors besides the port's: `invalidRequest` when the document is too long, `storeUnavailable` for a damaged secret. */
export function createSettingsStore({ client, secretId: SecretId }: SettingsStoreOptions): SettingsStore {
  async function readCurrent(): Promise<{ version: string; content: Omit<StoredSettings, 'version'> | null }> {
    const { version, document } = await readSecret(client, SecretId);
    if (Object.keys(document).length === 0) return { version, content: null };
    const { settings, password } = document as { settings?: Settings; password?: string };
    if (typeof settings !== 'object' || settings === null || typeof password !== 'string') throw damaged(SecretId);
    return { version, content: { settings, password } };
  }

  return {
    async read() {
      const { version, content } = await readCurrent();
      return content && { ...content, version };
    },
    /**
     * A compare-and-swap: the new version is put beside the current one, and takes its label only if the label still is
     * where it was read.
     */
    async write(settings, password, expectedVersion) {
      const SecretString = JSON.stringify({ settings, password });
      if (Buffer.byteLength(SecretString) > LARGEST_SECRET) {
        const message =
          `is too long: all settings together must fit into ${LARGEST_SECRET} bytes; ` +
          'keep only the CA certificates that are needed';
        throw invalidRequest([{ path: 'connection.caCertificates', message }]);
      }
      const current = await readCurrent();
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
        // Which of the reasons for that error it is, the label itself tells.
        const now = await readSecret(client, SecretId);
        // A retry whose first try was done.
        if (now.version === version) return version;
        if (now.version !== current.version) return null;
        throw storeUnavailable(SERVICE, error);
      }
    },
  };
}

/** What the deployment has generated for the first administrator. */
export async function readAdministratorPassword(
  client: SecretsManagerClient,
  secretId: string,
): Promise<{ readonly userName: string; readonly password: string }> {
  const { document } = await readSecret(client, secretId);
  const { userName, password } = document as { userName?: unknown; password?: unknown };
  if (typeof userName !== 'string' || typeof password !== 'string' || password === '') throw damaged(secretId);
  return { userName, password };
}

async function readSecret(
  client: SecretsManagerClient,
  SecretId: string,
): Promise<{ version: string; document: object }> {
  const { SecretString = '', VersionId } = await client.send(new GetSecretValueCommand({ SecretId }));
  const document = parseObject(SecretString);
  if (document === null || VersionId === undefined) throw damaged(SecretId);
  return { version: VersionId, document };
}

// The parser's own error would quote what it could not parse.
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
