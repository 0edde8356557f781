/**
 * Puts events onto an EventBridge bus, in their order as far as EventBridge keeps one. Knows nothing of what they say.
 */
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import type { EventBridgeClientConfig, PutEventsRequestEntry } from '@aws-sdk/client-eventbridge';
import type { PublishEvents } from '../event/event-bus.ts';
import type { ProductEvent } from '../event/event.ts';
import { CLIENT_DEFAULTS, storeUnavailable, translateFaults } from './fault.ts';

const SERVICE = 'EventBridge';
const ENTRIES_TOGETHER = 10;
/**
 * All entries of a request must be smaller than this together. The largest event, in which all of a user's addresses
 * change, is smaller (MAX_ADDRESS_BYTES).
 */
const BYTES_TOGETHER = 256 * 1024;
/** Size that EventBridge counts for an entry's time. */
const TIME_BYTES = 14;

/** The bus, and the client that reaches it. */
export interface EventBusOptions {
  readonly client: EventBridgeClient;
  readonly busName: string;
}

/** A client that throws only ServiceError `storeUnavailable`. */
export function createEventBridgeClient(config: EventBridgeClientConfig = {}): EventBridgeClient {
  return translateFaults(new EventBridgeClient({ ...CLIENT_DEFAULTS, ...config }), SERVICE, []);
}

/**
 * Creates the function that publishes events. It resolves to the number of events, counted from the first, that the bus
 * has taken. Some of the events after these may have been taken too; send all of them again.
 *
 * Errors: `storeUnavailable` when the bus took none.
 *
 * @see https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
 * @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html (limits, entries that fail)
 */
export function createPublisher({ client, busName }: EventBusOptions): PublishEvents {
  async function put(Entries: PutEventsRequestEntry[]): Promise<number> {
    const { Entries: results = [] } = await client.send(new PutEventsCommand({ Entries }));
    const refused = results.findIndex(({ ErrorCode }) => ErrorCode !== undefined);
    if (refused === 0) throw storeUnavailable(SERVICE, results[0]!.ErrorCode);
    return refused < 0 ? Entries.length : refused;
  }

  return async (events) => {
    let taken = 0;
    for (const entries of requestsOf(events.map((event) => toEntry(event, busName)))) {
      // After a partial success, report what was taken: the caller sends the rest again, and a lasting fault throws
      // then.
      const added = await put(entries).catch((error: unknown) => {
        if (taken === 0) throw error;
        return 0;
      });
      taken += added;
      if (added < entries.length) break;
    }
    return taken;
  };
}

function toEntry(event: ProductEvent, EventBusName: string): PutEventsRequestEntry {
  const { source: Source, type: DetailType, time } = event;
  const Time = new Date(time);
  // A record edited by hand may hold anything, and must not block the records behind it.
  const when = Number.isNaN(Time.getTime()) ? {} : { Time };
  return { EventBusName, Source, DetailType, ...when, Detail: JSON.stringify(event) };
}

function requestsOf(entries: readonly PutEventsRequestEntry[]): PutEventsRequestEntry[][] {
  const requests: PutEventsRequestEntry[][] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = TIME_BYTES + Buffer.byteLength(`${entry.Source}${entry.DetailType}${entry.Detail}`);
    const current = requests.at(-1);
    if (current === undefined || current.length === ENTRIES_TOGETHER || bytes + size >= BYTES_TOGETHER) {
      requests.push([entry]);
      bytes = size;
    } else {
      current.push(entry);
      bytes += size;
    }
  }
  return requests;
}
