/** The ports of the events function: from the records of a change stream to events, and from events to the bus. */
import type { ProductEvent } from './event.ts';

/** A record's place in its stream, and the events it stands for: often none. */
export interface RecordedEvents {
  readonly sequenceNumber: string;
  readonly events: readonly ProductEvent[];
}

/** The events of stream records, in their order. @throws ServiceError `storeUnavailable` */
export type ReadEvents = (records: readonly object[]) => Promise<readonly RecordedEvents[]>;

/**
 * Publishes events and gives how many of them, counted from the first, the bus has taken. The rest may have been taken in part
 * and has to be sent again.
 *
 * @throws ServiceError `storeUnavailable` when the bus took none
 */
export type PublishEvents = (events: readonly ProductEvent[]) => Promise<number>;
