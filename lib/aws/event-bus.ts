/** Puts events onto a bus of EventBridge, in their order as far as EventBridge has one. Knows nothing of what they tell. */
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import type { EventBridgeClientConfig, PutEventsRequestEntry } from '@aws-sdk/client-eventbridge';
import type { PublishEvents } from '../event/event-bus.ts';
import type { ProductEvent } from '../event/event.ts';
import { CLIENT_DEFAULTS, storeUnavailable, translateFaults } from './fault.ts';

const SERVICE = 'EventBridge';
const ENTRIES_TOGETHER = 10;
/** Of all entries of a request; the largest event, all addresses of a user changed, has less (MAX_ADDRESS_BYTES). */
const BYTES_TOGETHER = 256 * 1024;
/** What EventBridge counts for an entry's time. */
const TIME_BYTES = 14;

export interface EventBusOptions {
  readonly client: EventBridgeClient;
  readonly busName: string;
}

/** A client whose calls throw nothing but ServiceError `storeUnavailable`. */
export function createEventBridgeClient(config: EventBridgeClientConfig = {}): EventBridgeClient {
  return translateFaults(new EventBridgeClient({ ...CLIENT_DEFAULTS, ...config }), SERVICE, []);
}

/**
 * Gives what publishes events. It resolves to how many of them, from the first, the bus has taken; what follows may have
 * been taken in part and is to be sent again.
 *
 * Errors: `storeUnavailable` when it took none.
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
      // What is taken need not be sent again. The rest fails once more if it must, and then at its beginning.
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
  // A record that somebody has edited by hand may hold anything, and must not hold up those behind it.
  const when = Number.isNaN(Time.getTime()) ? {} : { Time };
  return { EventBusName, Source, DetailType, ...when, Detail: JSON.stringify(event) };
}

function requestsOf(entries: readonly PutEventsRequestEntry[]): PutEventsRequestEntry[][] {
  const requests: PutEventsRequestEntry[][] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = TIME_BYTES + Buffer.byteLength(`${entry.Source}${entry.DetailType}${entry.Detail}`);
    const current = requests.at(-1);
    if (current === undefined || current.length === ENTRIES_TOGETHER || bytes + size > BYTES_TOGETHER) {
      requests.push([entry]);
      bytes = size;
    } else {
      current.push(entry);
      bytes += size;
    }
  }
  return requests;
}
