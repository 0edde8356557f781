/** Counts requests, and the request units that DynamoDB says they have consumed. Knows neither tables nor prices. */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';

/** Request units and requests so far. */
export interface Consumed {
  read: number;
  write: number;
  requests: number;
}

const READS = /^(?:Query|Get|BatchGet|TransactGet)/u;

/** Counts the request units of a client from now on. */
export function meter(client: DynamoDBDocumentClient): Consumed {
  const consumed: Consumed = { read: 0, write: 0, requests: 0 };
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const input = { ...args.input, ReturnConsumedCapacity: 'TOTAL' };
      const result = await next({ ...args, input });
      consumed.requests += 1;
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
