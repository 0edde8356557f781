/** A client of the product for a local DynamoDB, as it is: what measures a run measures nothing but the run. */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { createDynamoDbClient } from '../../lib/aws/client.ts';
import { LOCAL_CLIENT } from '../../local/template.ts';

export function connectUnchecked(endpoint: string): DynamoDBDocumentClient {
  return createDynamoDbClient({
    ...LOCAL_CLIENT,
    endpoint,
    // Java is slow while it warms up on a busy machine.
    requestHandler: { requestTimeout: 25_000, throwOnRequestTimeout: true },
  });
}
