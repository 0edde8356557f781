/** The ports of the events function: records of a change stream to events, and events to the bus. */
import type { ProductEvent } from './event.ts';

/** A record's position in its stream, and its events, often none. */
export interface RecordedEvents {
  readonly sequenceNumber: string;
  readonly events: readonly ProductEvent[];
}

/** Reads the events of stream records, in their order. @throws ServiceError `storeUnavailable` */
export type ReadEvents = (records: readonly object[]) => Promise<readonly RecordedEvents[]>;

/**
 * Publishes events and returns how many of them, counted from the first, the bus accepted. The bus may have accepted
 * some of the rest as well; send the rest again.
 *
 * @throws ServiceError `storeUnavailable` if the bus accepted none
 */
export type PublishEvents = (events: readonly ProductEvent[]) => Promise<number>;
