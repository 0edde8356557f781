/** Sessions of administrators in DynamoDB, stored under the hash of their token. Never sees the token. */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { PutCommandInput } from '@aws-sdk/lib-dynamodb';
import { DeleteCommand, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import type { Session, SessionStore } from '../login/session.ts';
import { epochSeconds, wasWritten } from './client.ts';
import { OPERATIONS_PREFIX } from './environment.ts';

/** The table of sessions, and the clock for their expiry. */
export interface SessionStoreOptions {
  readonly client: DynamoDBDocumentClient;
  readonly operationsTable: string;
  readonly clock: Clock;
}

/** The session store on DynamoDB. Errors: `storeUnavailable`. */
export function createSessionStore({ client, operationsTable, clock }: SessionStoreOptions): SessionStore {
  const put = (tokenHash: string, session: Session): PutCommandInput => {
    const expiresAt = epochSeconds(new Date(session.expiresAt));
    return { TableName: operationsTable, Item: { ...keyOf(tokenHash), session, expiresAt } };
  };
  return {
    async create(tokenHash, session) {
      await client.send(new PutCommand(put(tokenHash, session)));
    },
    async renew(tokenHash, session) {
      const stillThere = { ConditionExpression: 'attribute_exists(pk)' };
      await wasWritten(client.send(new PutCommand({ ...put(tokenHash, session), ...stillThere })));
    },
    async get(tokenHash) {
      const { Item } = await client.send(
        new GetCommand({ TableName: operationsTable, Key: keyOf(tokenHash), ConsistentRead: true }),
      );
      const session = Item?.session as Session | undefined;
      // DynamoDB deletes expired items, but hours later.
      return session !== undefined && Date.parse(session.expiresAt) > clock.now().getTime() ? session : null;
    },
    async delete(tokenHash) {
      await client.send(new DeleteCommand({ TableName: operationsTable, Key: keyOf(tokenHash) }));
    },
  };
}

function keyOf(tokenHash: string) {
  return { pk: `${OPERATIONS_PREFIX.session}${tokenHash}`, sk: 'session' };
}
