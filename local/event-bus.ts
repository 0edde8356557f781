/**
 * A stand-in for EventBridge: accepts events from the AWS SDKs, keeps the latest, and lists them in the form in which
 * the target of a rule receives them. Has no rules and checks no signature: it listens on this machine only.
 * @see https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
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
const MOST_ENTRIES = 10;

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
    const delivered = entries.map((entry) => (isComplete(entry) ? toDelivered(entry) : null));
    keep(delivered.filter((event) => event !== null));
    const results = delivered.map((event) =>
      event === null
        ? { ErrorCode: 'InvalidArgument', ErrorMessage: 'Give Source, DetailType and Detail; Detail must be JSON.' }
        : { EventId: event.id },
    );
    return { FailedEntryCount: delivered.filter((event) => event === null).length, Entries: results };
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
      const target = request.headers['x-amz-target'];
      if (target !== 'AWSEvents.PutEvents' || body === null) {
        return refuse('ValidationException', `this stand-in does not support the operation "${String(target)}"`);
      }
      const { Entries = [] } = JSON.parse(body.toString('utf8') || '{}') as { readonly Entries?: readonly Entry[] };
      if (Entries.length === 0 || Entries.length > MOST_ENTRIES) {
        return refuse('ValidationException', `give 1 to ${MOST_ENTRIES} entries`);
      }
      const unknown = Entries.find(({ EventBusName = '' }) => !names.includes(EventBusName));
      if (unknown) return refuse('ResourceNotFoundException', `Event bus ${unknown.EventBusName} does not exist.`);
      answer(200, put(Entries));
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

function isComplete({ Source, DetailType, Detail }: Entry): boolean {
  if (!Source || !DetailType || Detail === undefined) return false;
  try {
    return typeof JSON.parse(Detail) === 'object';
  } catch {
    return false;
  }
}

function toDelivered({ Source, DetailType, Detail, Time }: Entry): DeliveredEvent {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': DetailType!,
    source: Source!,
    account: LOCAL_ACCOUNT,
    time: (Time === undefined ? new Date() : new Date(Time * 1_000)).toISOString().replace(/\.\d+Z$/u, 'Z'),
    region: LOCAL_REGION,
    resources: [],
    detail: JSON.parse(Detail!),
  };
}
