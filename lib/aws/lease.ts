/** The condition that a run still holds the lease. Knows no request that it becomes part of. */
import type { Fence } from '../user/user-store.ts';

/** The condition, to be merged into a write of the lease or a check of it. */
export function heldBy({ runId, token }: Fence) {
  return {
    ConditionExpression: '#runId = :runId AND #token = :token',
    ExpressionAttributeNames: { '#runId': 'runId', '#token': 'token' },
    ExpressionAttributeValues: { ':runId': runId, ':token': token },
  };
}
