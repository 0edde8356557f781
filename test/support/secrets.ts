/** Starts the stand-in for Secrets Manager on a port of its own, with one secret and a real client of the SDK. */
import { CreateSecretCommand } from '@aws-sdk/client-secrets-manager';
import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { WithSettingsLock } from '../../lib/aws/settings-lock.ts';
import { createSecretsManagerClient } from '../../lib/aws/settings-store.ts';
import { serve } from '../../local/running.ts';
import { createSecretsManager } from '../../local/secrets-manager.ts';
import type { SecretsManagerOptions } from '../../local/secrets-manager.ts';
import { LOCAL_CLIENT } from '../../local/template.ts';

/** The options of a settings store, without a lock: whether it is needed is up to the test. */
export interface Secrets {
  readonly client: SecretsManagerClient;
  readonly secretId: string;
  readonly withLock: WithSettingsLock;
  stop(): Promise<void>;
}

let made = 0;

export async function startSecrets(value: string, options: SecretsManagerOptions = {}): Promise<Secrets> {
  const server = await serve(createSecretsManager(options));
  const client = createSecretsManagerClient({
    ...LOCAL_CLIENT,
    endpoint: server.url,
  });
  made += 1;
  const secretId = `secret-${made}`;
  await client.send(new CreateSecretCommand({ Name: secretId, SecretString: value }));
  return {
    client,
    secretId,
    withLock: (work) => work(),
    async stop() {
      client.destroy();
      await server.stop();
    },
  };
}
