/**
 * Asks the sync function to carry out a queued run, and does not wait for it. Knows nothing of the run but its request.
 */
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import type { StartSync } from '../sync/sync-starter.ts';
import { CLIENT_DEFAULTS, translateFaults } from './fault.ts';

/**
 * Creates the function that starts queued runs. Errors: `storeUnavailable`.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (InvocationType `Event`)
 */
export function createSyncStarter(functionName: string): StartSync {
  const client = translateFaults(new LambdaClient({ ...CLIENT_DEFAULTS }), 'Lambda', []);
  return async (request) => {
    const Payload = JSON.stringify(request);
    await client.send(new InvokeCommand({ FunctionName: functionName, InvocationType: 'Event', Payload }));
  };
}
