/**
 * Entry point of the events: turns batches of changes, as Lambda reads them from the streams of the tables, into events on the bus.
 * Fails rather than leave one out, and then begins with it when the stream brings it again.
 */
import type { DynamoDBBatchResponse } from 'aws-lambda';
import type { RecordedEvents, StreamRecord } from '../lib/aws/table-stream.ts';
import { ServiceError } from '../lib/errors.ts';
import type { ProductEvent } from '../lib/event/event.ts';
import { functionError } from './function-error.ts';
import { recordEvents } from './telemetry.ts';
import { wireEvents } from './wiring.ts';

export interface EventsPorts {
  readonly readEvents: (records: readonly StreamRecord[]) => Promise<readonly RecordedEvents[]>;
  /** Gives how many, from the first, were taken; throws `storeUnavailable` when that is none. */
  readonly publish: (events: readonly ProductEvent[]) => Promise<number>;
}

/** The answer names the first change whose events were not all taken: Lambda goes on from there, so their order stays. */
export function makeHandler({ readEvents, publish }: EventsPorts) {
  return async (event: unknown): Promise<DynamoDBBatchResponse> => {
    const { Records: records } = (event ?? {}) as { readonly Records?: unknown };
    if (!Array.isArray(records)) {
      throw functionError(new ServiceError('invalidRequest', 'the event is a batch of a DynamoDB stream'));
    }
    const changes = await readEvents(records as StreamRecord[]);
    const told = changes.flatMap(({ sequenceNumber, events }) => events.map((event) => ({ sequenceNumber, event })));
    const taken = await publish(told.map(({ event }) => event));
    recordEvents(changes.length, taken, told.length - taken);
    const refused = told[taken];
    return { batchItemFailures: refused ? [{ itemIdentifier: refused.sequenceNumber }] : [] };
  };
}

export const handler = makeHandler(wireEvents(process.env));
