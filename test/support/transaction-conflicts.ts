/**
 * Makes a client of a local DynamoDB behave like the real one where requests meet: while a transaction is in flight,
 * another write of one of its items is refused. Local DynamoDBs write one request after the other and never refuse.
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { TransactionCanceledException, TransactionConflictException } from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { OPERATIONS_TABLE, USERS_TABLE } from '../../lib/aws/environment.ts';

/** What the requests of one client met. */
export interface Traffic {
  /** Transactions so far. */
  transactions: number;
  /** The most transactions that were in flight at one time. */
  mostInFlight: number;
  /** The keys that requests collided at. */
  readonly conflicts: string[];
}

type Key = Record<string, { readonly S?: string }>;

interface Operation {
  readonly TableName: string;
  readonly Key?: Key;
  readonly Item?: Key;
}

interface Body extends Operation {
  readonly TransactItems?: readonly Readonly<Record<string, Operation>>[];
}

const KEYS = [USERS_TABLE.partitionKey, OPERATIONS_TABLE.partitionKey, OPERATIONS_TABLE.sortKey];

/** @param takesMs how much longer a transaction is in flight than the local DynamoDB needs */
export function modelConflicts(client: DynamoDBDocumentClient, takesMs = 5): Traffic {
  const traffic: Traffic = { transactions: 0, mostInFlight: 0, conflicts: [] };
  /** Keys of the transactions in flight, with the token of each. */
  const locked = new Map<string, string>();
  let inFlight = 0;
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const request = args.request as { readonly headers: Record<string, string>; readonly body: string };
      if (!/^(?:TransactWrite|Put|Update|Delete)/u.test(String(context.commandName))) return await next(args);
      const body = JSON.parse(request.body) as Body & { readonly ClientRequestToken?: string };
      const token = body.ClientRequestToken ?? '';
      const operations = body.TransactItems?.flatMap((item) => Object.values(item)) ?? [body];
      const keys = operations.map(keyOf);
      const met = keys.filter((key) => locked.has(key) && locked.get(key) !== token);
      traffic.conflicts.push(...met);
      const answer = { message: 'Transaction is ongoing for the item', $metadata: { httpStatusCode: 400 } };
      if (body.TransactItems === undefined) {
        if (met.length > 0) throw new TransactionConflictException(answer);
        return await next(args);
      }
      if (met.length > 0) {
        const CancellationReasons = keys.map((key) => ({ Code: met.includes(key) ? 'TransactionConflict' : 'None' }));
        throw new TransactionCanceledException({ ...answer, CancellationReasons });
      }
      for (const key of keys) locked.set(key, token);
      traffic.transactions += 1;
      traffic.mostInFlight = Math.max(traffic.mostInFlight, (inFlight += 1));
      try {
        await sleep(takesMs);
        return await next(args);
      } finally {
        inFlight -= 1;
        for (const key of keys) locked.delete(key);
      }
    },
    { step: 'finalizeRequest', priority: 'low', name: 'modelConflicts' },
  );
  return traffic;
}

function keyOf({ TableName, Key, Item }: Operation): string {
  const values = Key ?? Item ?? {};
  return [TableName, ...KEYS.map((name) => values[name]?.S ?? '')].join(' ');
}
