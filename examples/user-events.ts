/**
 * Keeps a table of mailing-list members in step with Rollcall: the target of an EventBridge rule for its user events.
 *
 * Events arrive at least once and in any order. Each carries the whole record, so this writes a version only over an
 * older one; an event that arrives twice then changes nothing.
 */
import { ConditionalCheckFailedException, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb';

interface UserEvent {
  readonly type: string;
  readonly data: {
    readonly user: {
      readonly id: string;
      readonly status: 'active' | 'disabled';
      readonly emailAddresses: readonly string[];
      readonly version: number;
    };
  };
}

const members = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export async function handler({ detail }: { readonly detail: UserEvent }): Promise<void> {
  const { id, status, emailAddresses, version } = detail.data.user;
  const deleted = detail.type === 'user.deleted';
  const address = deleted || status === 'disabled' ? null : (emailAddresses[0] ?? null);
  // The row of a deleted user stays, without the address, so that a late event can't bring the user back. Ids are never
  // reused.
  const newest = deleted ? Number.MAX_SAFE_INTEGER : version;
  const command = new PutCommand({
    TableName: process.env['MEMBERS_TABLE'],
    Item: { id, address, newest },
    ConditionExpression: 'attribute_not_exists(id) OR newest < :newest',
    ExpressionAttributeValues: { ':newest': newest },
  });
  await members.send(command).catch((error: unknown) => {
    if (!(error instanceof ConditionalCheckFailedException)) throw error;
  });
}
