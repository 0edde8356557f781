/**
 * The events function: turns batches of changes, which Lambda reads from the streams of the tables, into events on the
 * bus. Leaves none out: Lambda repeats a failed batch from the first change whose events were not all accepted.
 */
import type { DynamoDBBatchResponse } from 'aws-lambda';
import { ServiceError } from '../lib/errors.ts';
import type { PublishEvents, ReadEvents } from '../lib/event/event-bus.ts';
import { functionError } from './function-error.ts';
import { recordEvents } from './telemetry.ts';

/** The ports that the events function needs. */
export interface EventsPorts {
  readonly readEvents: ReadEvents;
  readonly publish: PublishEvents;
}

/**
 * The answer names the first change whose events were not all accepted: Lambda continues from there, so the order is
 * kept.
 */
export function makeHandler({ readEvents, publish }: EventsPorts) {
  return async (event: unknown): Promise<DynamoDBBatchResponse> => {
    const { Records: records } = (event ?? {}) as { readonly Records?: unknown };
    if (!Array.isArray(records)) {
      throw functionError(new ServiceError('invalidRequest', 'the event must be a batch of a DynamoDB stream'));
    }
    const changes = await readEvents(records as object[]);
    const told = changes.flatMap(({ sequenceNumber, events }) => events.map((event) => ({ sequenceNumber, event })));
    const taken = await publish(told.map(({ event }) => event));
    recordEvents(changes.length, taken, told.length - taken);
    const refused = told[taken];
    return { batchItemFailures: refused ? [{ itemIdentifier: refused.sequenceNumber }] : [] };
  };
}
