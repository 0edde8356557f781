/**
 * A stand-in for EventBridge: accepts events from the AWS SDKs, keeps the latest, and lists them in the form in which
 * the target of a rule receives them. Has no rules and checks no signature: it listens on this machine only.
 * @see https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
 * @see https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html (codes of entries)
 */
import { randomUUID } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readBody, type RequestHandler } from './http-api.ts';
import { checkRequests } from './service-model.ts';
import { LOCAL_ACCOUNT, LOCAL_REGION } from './template.ts';

/** @see https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html */
export interface DeliveredEvent {
  readonly version: '0';
  /** The id of this delivery; the event's own id is in `detail`. */
  readonly id: string;
  readonly 'detail-type': string;
  readonly source: string;
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: unknown;
}

interface Entry {
  readonly EventBusName?: string;
  readonly Source?: string;
  readonly DetailType?: string;
  readonly Detail?: string;
  readonly Resources?: readonly string[];
  /** Epoch seconds. */
  readonly Time?: number;
}

/** The handlers of the stand-in. */
export interface EventBus {
  /** PutEvents. */
  readonly handle: RequestHandler;
  /**
   * `GET ?after=`: up to 1,000 events, oldest first, as `{items, next}`. `next` is always present: passed as `after`,
   * it returns the events that came since.
   */
  readonly list: RequestHandler;
}

interface KeptEvent {
  /** 1, 2, 3, ... counted since the data folder was created. */
  readonly number: number;
  readonly event: DeliveredEvent;
}

const KEPT = 5_000;
const EVENTS_A_PAGE = 1_000;
const LARGEST_BODY = 2 * 1024 * 1024;
/**
 * The limit for all entries of a request, in bytes. AWS has announced 1 MB since, while its service model and its user
 * guide still say 256 KB: what fits here fits there.
 * @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html
 */
const LARGEST_REQUEST = 256 * 1024;
/** The size that a given time counts for. */
const TIME_BYTES = 14;
const LONGEST_DETAIL_TYPE = 128;

/** `folder`: where events are kept; without it they are in memory. `names`: the names of the buses. */
export function createEventBus(names: readonly string[], { folder }: { readonly folder?: string } = {}): EventBus {
  const file = folder === undefined ? null : path.join(folder, 'events.jsonl');
  if (folder !== undefined) mkdirSync(folder, { recursive: true, mode: 0o700 });
  let kept = file === null ? [] : readEvents(file);
  let lines = kept.length;

  function keep(events: readonly DeliveredEvent[]): void {
    const first = (kept.at(-1)?.number ?? 0) + 1;
    const added = events.map((event, index) => ({ number: first + index, event }));
    kept = [...kept, ...added].slice(-KEPT);
    lines += added.length;
    if (file === null) return;
    if (lines <= 2 * KEPT) {
      appendFileSync(file, added.map(toLine).join(''), { mode: 0o600 });
      return;
    }
    writeFileSync(`${file}.new`, kept.map(toLine).join(''), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    lines = kept.length;
  }

  function put(entries: readonly Entry[]) {
    const results = entries.map((entry) => refusalOf(entry) ?? toDelivered(entry));
    const delivered = results.filter((result) => 'id' in result);
    keep(delivered);
    return {
      FailedEntryCount: entries.length - delivered.length,
      Entries: results.map((result) => ('id' in result ? { EventId: result.id } : result)),
    };
  }

  return {
    handle: checkRequests('events', async (request, response) => {
      const answer = (status: number, body: object, headers: Record<string, string> = {}): void => {
        const common = { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': randomUUID() };
        response.writeHead(status, { ...common, ...headers }).end(JSON.stringify(body));
      };
      const refuse = (type: string, message: string): void =>
        answer(400, { __type: type, message }, { 'x-amzn-errortype': type });
      const body = await readBody(request, LARGEST_BODY);
      const { Entries: entries } = JSON.parse(body?.toString('utf8') ?? '{}') as { Entries?: readonly Entry[] };
      // Without a body, because it is too long to be read.
      if (entries === undefined || entries.reduce((sum, entry) => sum + sizeOf(entry), 0) >= LARGEST_REQUEST) {
        return refuse('ValidationException', 'Total size of the entries in the request is over the limit.');
      }
      if (entries.every((entry) => missingField(entry) !== undefined)) {
        return refuse('ValidationException', 'No entry has Source, DetailType and Detail.');
      }
      const unknown = entries.find(({ EventBusName = '' }) => !names.includes(EventBusName));
      if (unknown) return refuse('ResourceNotFoundException', `Event bus ${unknown.EventBusName} does not exist.`);
      answer(200, put(entries));
    }),

    async list(request, response) {
      const after = new URL(request.url ?? '/', 'http://localhost').searchParams.get('after') ?? '0';
      if (request.method !== 'GET' || !/^\d{1,15}$/u.test(after)) {
        response
          .writeHead(400, { 'content-type': 'application/json' })
          .end('{"message":"use GET, with the \\"next\\" of an earlier answer as \\"after\\""}');
        return;
      }
      const page = kept.filter(({ number }) => number > Number(after)).slice(0, EVENTS_A_PAGE);
      const next = String(page.at(-1)?.number ?? after);
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ items: page.map(({ event }) => event), next }));
    },
  };
}

/** Drops an incomplete last line, left by a crash: its writer sends it again. */
function readEvents(file: string): KeptEvent[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole !== text) writeFileSync(file, whole, { mode: 0o600 });
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as KeptEvent)
    .slice(-KEPT);
}

function toLine(kept: KeptEvent): string {
  return `${JSON.stringify(kept)}\n`;
}

interface EntryRefusal {
  readonly ErrorCode: string;
  readonly ErrorMessage: string;
}

/** Why EventBridge does not take this entry; null: it does. */
function refusalOf(entry: Entry): EntryRefusal | null {
  const missing = missingField(entry);
  const invalid = (name: string, reason: string): EntryRefusal => ({
    ErrorCode: 'InvalidArgument',
    ErrorMessage: `Parameter ${name} is not valid. Reason: ${reason}.`,
  });
  if (missing !== undefined) return invalid(missing, `${missing} is a required argument`);
  const { Source, DetailType, Detail } = entry as Required<Entry>;
  // Names that begin so are for AWS's own services.
  if (Source.startsWith('aws.')) {
    return { ErrorCode: 'NotAuthorizedForSourceException', ErrorMessage: 'Not authorized for the source.' };
  }
  if (DetailType.length > LONGEST_DETAIL_TYPE) {
    return invalid('DetailType', `it has more than ${LONGEST_DETAIL_TYPE} characters`);
  }
  return isJsonObject(Detail) ? null : { ErrorCode: 'MalformedDetail', ErrorMessage: 'Detail is malformed.' };
}

function missingField(entry: Entry): string | undefined {
  return (['Source', 'DetailType', 'Detail'] as const).find((name) => !entry[name]);
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** The size that EventBridge counts for an entry, in bytes. */
function sizeOf({ Source = '', DetailType = '', Detail = '', Resources = [], Time }: Entry): number {
  const texts = [Source, DetailType, Detail, ...Resources];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), Time === undefined ? 0 : TIME_BYTES);
}

function toDelivered({ Source, DetailType, Detail, Resources = [], Time }: Entry): DeliveredEvent {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': DetailType!,
    source: Source!,
    account: LOCAL_ACCOUNT,
    time: (Time === undefined ? new Date() : new Date(Time * 1_000)).toISOString().replace(/\.\d+Z$/u, 'Z'),
    region: LOCAL_REGION,
    resources: Resources,
    detail: JSON.parse(Detail!),
  };
}
