/**
 * Approvals in DynamoDB, one item for each user and proposal. Decides nothing: the core knows when an approval ends.
 */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DeleteCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import { APPROVAL_KEPT_MS } from '../sync/approval-store.ts';
import type { Approval, ApprovalStore, StoredApproval } from '../sync/approval-store.ts';
import { epochSeconds, inFlight, putItems, queryPages, wasWritten } from './client.ts';
import type { Item, TransactItem } from './client.ts';
import { APPROVAL_PARTITION } from './environment.ts';

/** The table of approvals, and the clock for their expiry. */
export interface ApprovalStoreOptions {
  readonly client: DynamoDBDocumentClient;
  readonly operationsTable: string;
  readonly clock: Clock;
}

/** The approval store on DynamoDB. Errors: those of the port. */
export function createApprovalStore({ client, operationsTable, clock }: ApprovalStoreOptions): ApprovalStore {
  return {
    async approve(approvals) {
      const items = approvals.map((approval) => ({
        ...approvalKey(approval),
        ...approval,
        done: false,
        expiresAt: epochSeconds(new Date(Date.parse(approval.approvedAt) + APPROVAL_KEPT_MS)),
      }));
      // A batch must not name an item twice; the last one counts.
      await putItems(client, operationsTable, [...new Map(items.map((item) => [item.sk, item])).values()]);
    },
    async list() {
      const pages = queryPages(client, {
        TableName: operationsTable,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': APPROVAL_PARTITION },
      });
      const found: Item[] = [];
      for await (const items of pages) found.push(...items);
      const now = epochSeconds(clock.now());
      return found.filter(({ expiresAt }) => (expiresAt as number) > now).map(fromItem);
    },
    async end(approvals) {
      await inFlight(approvals, async (approval) => {
        const Key = approvalKey(approval);
        await wasWritten(client.send(new DeleteCommand({ TableName: operationsTable, Key, ...asGiven(approval) })));
      });
    },
  };
}

/** Marks an approval as carried out; refused if it has ended or been given anew. */
export function finishApproval(TableName: string, approval: Approval): TransactItem {
  const { ConditionExpression, ExpressionAttributeValues } = asGiven(approval);
  return {
    Update: {
      TableName,
      Key: approvalKey(approval),
      UpdateExpression: 'SET done = :true',
      ConditionExpression,
      ExpressionAttributeValues: { ...ExpressionAttributeValues, ':true': true },
    },
  };
}

/** The key of an approval. */
export function approvalKey({ userId, proposes }: Approval) {
  return { pk: APPROVAL_PARTITION, sk: `${userId}#${proposes}` };
}

function asGiven({ approvedAt }: Approval) {
  return { ConditionExpression: 'approvedAt = :approvedAt', ExpressionAttributeValues: { ':approvedAt': approvedAt } };
}

function fromItem(item: Item): StoredApproval {
  const { pk: _pk, sk: _sk, expiresAt: _expiresAt, ...approval } = item;
  return approval as unknown as StoredApproval;
}
