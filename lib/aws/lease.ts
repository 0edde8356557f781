/** The lease of the one active run, an item of the operations table: its key and the condition that it is still held. */
import type { Fence } from '../user/user-store.ts';

export const LEASE_KEY = { pk: 'lease', sk: 'sync' } as const;

/** To merge into a write of the lease, or a check of it. */
export function heldBy({ runId, token }: Fence) {
  return {
    ConditionExpression: '#runId = :runId AND #token = :token',
    ExpressionAttributeNames: { '#runId': 'runId', '#token': 'token' },
    ExpressionAttributeValues: { ':runId': runId, ':token': token },
  };
}
