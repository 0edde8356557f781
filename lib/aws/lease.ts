/** The condition that the lease of the one active run is still held. */
import type { Fence } from '../user/user-store.ts';

/** To merge into a write of the lease, or a check of it. */
export function heldBy({ runId, token }: Fence) {
  return {
    ConditionExpression: '#runId = :runId AND #token = :token',
    ExpressionAttributeNames: { '#runId': 'runId', '#token': 'token' },
    ExpressionAttributeValues: { ':runId': runId, ':token': token },
  };
}
