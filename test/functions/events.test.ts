/** The events function with its publisher, against a bus on a real socket that refuses events when a test says so. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { makeHandler } from '../../functions/events-handler.ts';
import { createEventBridgeClient, createPublisher } from '../../lib/aws/event-bus.ts';
import { toUserEvents } from '../../lib/event/event.ts';
import { readBody } from '../../local/http-api.ts';
import { type LocalServer, serve } from '../../local/running.ts';
import { LOCAL_CLIENT } from '../../local/template.ts';
import { aUser } from '../support/people.ts';

interface Entry {
  readonly EventBusName: string;
  readonly Source: string;
  readonly DetailType: string;
  readonly Detail: string;
}

let bus: LocalServer;
let client: ReturnType<typeof createEventBridgeClient>;
let requests: Entry[][] = [];
/** True refuses an entry; a number refuses the whole request with this status. */
let refuse: (entry: Entry, request: number) => boolean | number;

beforeAll(async () => {
  bus = await serve(async (request, response) => {
    const { Entries } = JSON.parse((await readBody(request, 1_000_000))!.toString()) as { Entries: Entry[] };
    requests.push(Entries);
    const answers = Entries.map((entry) => refuse(entry, requests.length));
    const status = answers.find((answer) => typeof answer === 'number') ?? 200;
    const results = answers.map((no) => (no ? { ErrorCode: 'InternalFailure', ErrorMessage: '' } : { EventId: 'x' }));
    const body = status === 200 ? { FailedEntryCount: 0, Entries: results } : { __type: 'InternalException' };
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
  });
  client = createEventBridgeClient({
    ...LOCAL_CLIENT,
    endpoint: bus.url,
    maxAttempts: 1,
  });
});

afterAll(async () => {
  client.destroy();
  await bus.stop();
});

beforeEach(() => {
  requests = [];
  refuse = () => false;
});

/** Hands the function a batch of `count` changes, each of them one event; gives its answer. */
async function handle(count: number, emailAddresses: readonly string[] = []) {
  const handler = makeHandler({
    readEvents: async (records) =>
      records.map((_record, index) => ({
        sequenceNumber: String(index),
        events: toUserEvents({ kind: 'created', user: aUser({ id: `account-${index}`, emailAddresses }) }),
      })),
    publish: createPublisher({ client, busName: 'the-bus' }),
  });
  return await handler({ Records: Array.from({ length: count }, () => ({})) });
}

const idsOf = (entries: readonly Entry[]): string[] =>
  entries.map(({ Detail }) => (JSON.parse(Detail) as { subject: string }).subject);

test('puts every event onto the bus, in order, ten in a request', async () => {
  const answer = await handle(23);

  expect(answer).toEqual({ batchItemFailures: [] });
  expect(requests.map(({ length }) => length)).toEqual([10, 10, 3]);
  expect(idsOf(requests.flat())).toEqual(Array.from({ length: 23 }, (_, index) => `account-${index}`));
  expect(requests[0]![0]).toMatchObject({ EventBusName: 'the-bus', Source: 'rollcall', DetailType: 'user.created' });
});

test('puts as many into a request as its size allows', async () => {
  await handle(6, ['x'.repeat(100_000)]);

  expect(requests.map(({ length }) => length)).toEqual([2, 2, 2]);
});

test('keeps a request below the limit of EventBridge by a byte', async () => {
  const sizeOf = ({ Source, DetailType, Detail }: Entry): number =>
    14 + Buffer.byteLength(Source + DetailType + Detail);
  await handle(1, ['x']);
  const padding = 128 * 1024 - sizeOf(requests[0]![0]!);
  requests = [];

  await handle(2, ['x'.repeat(padding + 1)]);
  await handle(2, ['x'.repeat(padding)]);

  expect(requests.map((entries) => entries.map(sizeOf))).toEqual([[131_072], [131_072], [131_071, 131_071]]);
});

test('asks nothing of the bus when there is nothing to tell', async () => {
  expect(await handle(0)).toEqual({ batchItemFailures: [] });
  expect(requests).toEqual([]);
});

test('begins again with the first change whose event was refused', async () => {
  refuse = ({ Detail }) => ['account-13', 'account-15'].includes((JSON.parse(Detail) as { subject: string }).subject);

  expect(await handle(23)).toEqual({ batchItemFailures: [{ itemIdentifier: '13' }] });
  expect(requests).toHaveLength(2);
});

test('begins again with the first change that a bus in trouble has not answered for', async () => {
  refuse = (_entry, request) => (request === 2 ? 500 : false);

  expect(await handle(23)).toEqual({ batchItemFailures: [{ itemIdentifier: '10' }] });
});

test.each([
  ['refuses', true],
  ['does not answer', 500],
] as const)('fails as a whole when the bus %s from the beginning', async (_how, answer) => {
  refuse = () => answer;

  await expect(handle(3)).rejects.toMatchObject({ code: 'storeUnavailable' });
});

test('refuses an event that is no batch of a stream', async () => {
  const handler = makeHandler({ readEvents: async () => [], publish: async () => 0 });

  for (const event of [null, {}, { Records: 'all' }]) {
    await expect(handler(event)).rejects.toMatchObject({ name: 'InvalidRequest' });
  }
});
