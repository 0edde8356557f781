/**
 * The lease of the active run, and the fences that repeat who holds it. A transaction that checked the lease itself
 * would collide with every other one of its run, and with each heartbeat; so there are several fences, each for one
 * transaction at a time. Sends nothing.
 */
import type { Fence } from '../user/user-store.ts';
import type { TransactItem } from './client.ts';
import { OPERATIONS_PREFIX } from './environment.ts';

/** Fences, and so transactions that a run has in flight. */
const FENCES = 8;
const LANES: readonly number[] = Array.from({ length: FENCES }, (_, lane) => lane);

/** The condition that a run holds the lease, to be merged into a write of the lease or a check of it. */
export function heldBy({ runId, token }: Fence) {
  return {
    ConditionExpression: '#runId = :runId AND #token = :token',
    ExpressionAttributeNames: { '#runId': 'runId', '#token': 'token' },
    ExpressionAttributeValues: { ':runId': runId, ':token': token },
  };
}

/** Gives all fences to the holder of the lease. Send them in the transaction that takes the lease. */
export function openFences(TableName: string, { runId, token }: Fence): TransactItem[] {
  return LANES.map((lane) => ({ Put: { TableName, Item: { ...fenceKey(lane), runId, token } } }));
}

/** Removes all fences, so that no run writes. Fails if another run than `owner` has them; null: whoever has them. */
export function closeFences(TableName: string, owner: Fence | null): TransactItem[] {
  const held = owner && heldBy(owner);
  const condition = held && {
    ...held,
    ConditionExpression: `attribute_not_exists(pk) OR (${held.ConditionExpression})`,
  };
  return LANES.map((lane) => ({ Delete: { TableName, Key: fenceKey(lane), ...condition } }));
}

/** Checks that the run may write. Only one transaction at a time may check a lane. */
export function checkFence(TableName: string, fence: Fence, lane: number): TransactItem {
  return { ConditionCheck: { TableName, Key: fenceKey(lane), ...heldBy(fence) } };
}

function fenceKey(lane: number) {
  return { pk: `${OPERATIONS_PREFIX.fence}${lane}`, sk: 'sync' };
}

/** Runs work in a free lane. Each lane has a fence of its own. */
export type WithLane = <T>(work: (lane: number) => Promise<T>) => Promise<T>;

/** The lanes of one journal. Work waits until a lane is free. */
export function createLanes(): WithLane {
  const free = [...LANES];
  const waiting: ((lane: number) => void)[] = [];
  return async (work) => {
    const lane = free.pop() ?? (await new Promise<number>((resolve) => void waiting.push(resolve)));
    try {
      return await work(lane);
    } finally {
      const next = waiting.shift();
      if (next === undefined) free.push(lane);
      else next(lane);
    }
  };
}
