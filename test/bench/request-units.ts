/** Counts the request units that DynamoDB says it has consumed, and knows their price. Knows no table. */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';

/** us-east-1, dollars, list prices as noted on 2026-11-23. */
export const UNIT_PRICE = { read: 0.125 / 1e6, write: 0.625 / 1e6 } as const;

/** Request units so far. */
export interface Consumed {
  read: number;
  write: number;
}

const READS = /^(?:Query|Get|BatchGet|TransactGet)/u;

/** Counts the request units of a client from now on. */
export function meter(client: DynamoDBDocumentClient): Consumed {
  const consumed: Consumed = { read: 0, write: 0 };
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const input = { ...args.input, ReturnConsumedCapacity: 'TOTAL' };
      const result = await next({ ...args, input });
      const { ConsumedCapacity = [] } = result.output as { ConsumedCapacity?: Capacity | Capacity[] };
      const units = [ConsumedCapacity].flat().reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
      consumed[READS.test(String(context.commandName)) ? 'read' : 'write'] += units;
      return result;
    },
    { step: 'initialize', name: 'meter' },
  );
  return consumed;
}

interface Capacity {
  readonly CapacityUnits?: number;
}
