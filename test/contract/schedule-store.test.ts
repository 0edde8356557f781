import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  CreateScheduleCommand,
  CreateScheduleGroupCommand,
  DeleteScheduleCommand,
  GetScheduleCommand,
  UpdateScheduleCommand,
} from '@aws-sdk/client-scheduler';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createScheduleStore, createSchedulerClient } from '../../lib/aws/schedule-store.ts';
import { nextRuns } from '../../lib/settings/schedule.ts';
import type { RequestHandler } from '../../local/http-api.ts';
import { serve } from '../../local/running.ts';
import { createScheduler } from '../../local/scheduler.ts';
import { LOCAL_CLIENT } from '../../local/template.ts';
import { createMemoryStores } from '../support/memory-stores.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

const clock = { now: () => new Date() };

/** Stops the clock at this time. Timers and sockets go on. */
function setClock(time: string): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(time) });
  stops.push(async () => void vi.useRealTimers());
}

const NAMES = { Name: 'sync', GroupName: 'rollcall' };
const ARNS = {
  syncFunction: 'arn:aws:lambda:my-machine-1:000000000000:function:sync',
  role: 'arn:aws:iam::000000000000:role/schedule',
  failures: 'arn:aws:sqs:my-machine-1:000000000000:failures',
};
const TARGET = {
  Arn: ARNS.syncFunction,
  RoleArn: ARNS.role,
  Input: '{"trigger":"schedule"}',
  RetryPolicy: { MaximumRetryAttempts: 2, MaximumEventAgeInSeconds: 3600 },
  DeadLetterConfig: { Arn: ARNS.failures },
};
const HOURLY = { enabled: true, expression: 'rate(1 hour)', timeZone: 'UTC' };
const NIGHTLY = { enabled: true, expression: 'cron(0 3 * * ? *)', timeZone: 'Europe/Berlin' };
/** A valid schedule, to spoil. */
const VALID = {
  ...NAMES,
  ScheduleExpression: 'rate(1 day)',
  FlexibleTimeWindow: { Mode: 'OFF' as const },
  Target: { Arn: ARNS.syncFunction, RoleArn: ARNS.role },
};

/** What the server may do instead of the stand-in: answers true if it has. */
type Intercept = (method: string, response: Parameters<RequestHandler>[1]) => boolean;

/** A stand-in with the group of the deployment, and the store on it. `requests` has the methods that it was asked. */
async function open({ folder, intercept }: { folder?: string; intercept?: Intercept } = {}) {
  const fired: unknown[] = [];
  const requests: string[] = [];
  const scheduler = createScheduler({ fire: (target) => fired.push(target), ...(folder !== undefined && { folder }) });
  const server = await serve(async (request, response) => {
    const method = request.method ?? '';
    const isOfSchedule = request.url?.startsWith('/schedules/') === true;
    if (isOfSchedule) requests.push(method);
    if (isOfSchedule && intercept?.(method, response) === true) return;
    await scheduler.handle(request, response);
  });
  const client = createSchedulerClient({ ...LOCAL_CLIENT, endpoint: server.url });
  stops.push(async () => {
    client.destroy();
    await scheduler.stop();
    await server.stop();
  });
  await client.send(new CreateScheduleGroupCommand({ Name: NAMES.GroupName }));
  const storeOf = (over: Partial<typeof ARNS> = {}) =>
    createScheduleStore({ client, group: NAMES.GroupName, ...ARNS, ...over, clock });
  return { client, scheduler, server, fired, requests, store: storeOf(), storeOf };
}

/** Answers with an error of Scheduler. */
function answerError(response: Parameters<RequestHandler>[1], status: number, type: string, Message: string): true {
  response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': type });
  response.end(JSON.stringify({ Message }));
  return true;
}

describe('the schedule store', () => {
  test('creates the whole schedule, switched on or off as the settings say', async () => {
    const { client, store, requests } = await open();

    await store.apply(NIGHTLY);

    expect(requests).toEqual(['GET', 'POST']);
    expect(await client.send(new GetScheduleCommand(NAMES))).toMatchObject({
      ScheduleExpression: NIGHTLY.expression,
      ScheduleExpressionTimezone: NIGHTLY.timeZone,
      State: 'ENABLED',
      FlexibleTimeWindow: { Mode: 'OFF' },
      Target: TARGET,
    });
    await client.send(new DeleteScheduleCommand(NAMES));
    await store.apply({ ...HOURLY, enabled: false });
    expect((await client.send(new GetScheduleCommand(NAMES))).State).toBe('DISABLED');
  });

  test('asks once and writes nothing where the schedule is as wanted', async () => {
    const { store, requests } = await open();
    for (const wanted of [HOURLY, NIGHTLY]) {
      await store.apply(wanted);
      requests.length = 0;

      await store.apply(wanted);

      expect(requests).toEqual(['GET']);
    }
  });

  const { Input: _input, ...withoutInput } = TARGET;
  const { DeadLetterConfig: _queue, ...withoutQueue } = TARGET;
  test.each([
    ['is disabled', { State: 'DISABLED' as const }],
    ['has another expression', { ScheduleExpression: 'cron(0 4 * * ? *)' }],
    ['has another time zone', { ScheduleExpressionTimezone: 'UTC' }],
    ['has the role of an earlier deployment', { Target: { ...TARGET, RoleArn: `${ARNS.role}-old` } }],
    ['starts another function', { Target: { ...TARGET, Arn: `${ARNS.syncFunction}-old` } }],
    ['says something else to the function', { Target: withoutInput }],
    ['loses failed starts', { Target: withoutQueue }],
    ['retries for a day', { Target: { ...TARGET, RetryPolicy: { MaximumEventAgeInSeconds: 86_400 } } }],
    ['may be late', { FlexibleTimeWindow: { Mode: 'FLEXIBLE' as const, MaximumWindowInMinutes: 5 } }],
    ['ends', { EndDate: new Date('2100-01-01') }],
  ])('corrects a schedule that %s', async (_what, over) => {
    const { client, store, requests } = await open();
    await store.apply(NIGHTLY);
    const before = await client.send(new GetScheduleCommand(NAMES));
    const { ScheduleExpression, ScheduleExpressionTimezone, State, FlexibleTimeWindow, Target } = before;
    const all = { ...NAMES, ScheduleExpression, ScheduleExpressionTimezone, State, FlexibleTimeWindow, Target };
    await client.send(new UpdateScheduleCommand({ ...all, ...over }));
    requests.length = 0;

    const working = await store.apply(NIGHTLY);

    expect(requests).toEqual(['GET', 'PUT']);
    const strip = ({ $metadata: _m, LastModificationDate: _l, ...rest }: typeof before) => rest;
    expect(strip(await client.send(new GetScheduleCommand(NAMES)))).toEqual(strip(before));
    expect(working).toMatchObject(NIGHTLY);
  });

  test('lets a rate count on when only its target changes, so deployments do not put off a rare run', async () => {
    setClock('2026-05-04T10:00:00Z');
    const { store, storeOf } = await open();
    const weekly = { enabled: true, expression: 'rate(7 days)', timeZone: 'UTC' };
    await store.apply(weekly);
    vi.setSystemTime(Date.parse('2026-05-20T12:00:00Z'));

    const deployed = await storeOf({ role: `${ARNS.role}-new` }).apply(weekly);

    expect(deployed.start).toEqual(new Date('2026-05-25T10:00:00Z'));
    expect(deployed.setAt).toEqual(new Date('2026-05-20T12:00:00Z'));
  });

  test('knows no schedule before one is made', async () => {
    expect(await (await open()).store.read()).toBeNull();
  });

  test('tells when the schedule was set', async () => {
    setClock('2026-05-04T10:00:00Z');
    const { store } = await open();
    const made = await store.apply(NIGHTLY);
    vi.setSystemTime(Date.parse('2026-05-05T10:00:00Z'));

    const [again, shown] = [await store.apply(NIGHTLY), await store.read()];

    for (const { setAt } of [made, again, shown!]) expect(setAt).toEqual(new Date('2026-05-04T10:00:00Z'));
  });

  test('tells a missing group as a fault of the deployment', async () => {
    const { client } = await open();
    const elsewhere = createScheduleStore({ client, group: 'missing', ...ARNS, clock });

    const applied = elsewhere.apply(NIGHTLY);

    await expect(applied).rejects.toMatchObject({
      code: 'storeUnavailable',
      retryable: false,
      advice: expect.stringContaining('Deploy the stack again'),
    });
  });
});

describe('a refusal by Scheduler', () => {
  /** What the store throws when Scheduler refuses a write in these words. */
  async function refusal(message: string) {
    const intercept: Intercept = (method, response) =>
      method === 'POST' && answerError(response, 400, 'ValidationException', message);
    const { store } = await open({ intercept });
    return await store.apply(NIGHTLY).catch((error: unknown) => error);
  }

  test('is told at the expression where it is about the times, in the words of AWS', async () => {
    const { store } = await open();
    const refused = store.apply({ ...NIGHTLY, expression: 'every full moon' });

    await expect(refused).rejects.toMatchObject({
      code: 'invalidRequest',
      faults: [
        {
          path: 'options.schedule.expression',
          message: expect.stringContaining('(Invalid Schedule Expression every full moon:'),
        },
      ],
    });
  });

  test.each([
    'Invalid Schedule Expression cron(0 3 * * * *).',
    "1 validation error detected: Value '' at 'scheduleExpressionTimezone' failed to satisfy constraint: Member must " +
      'have length greater than or equal to 1',
    'The time zone Mars/Olympus is not valid.',
    'The StartDate you specify cannot be earlier than 5 minutes ago.',
  ])('is about the times: %s', async (message) => {
    expect(await refusal(message)).toMatchObject({
      code: 'invalidRequest',
      faults: [{ path: 'options.schedule.expression', message: expect.stringContaining(message) }],
    });
  });

  test.each([
    // https://github.com/aws/aws-sdk-js-v3/issues/6494
    'The execution role you provide must allow AWS EventBridge Scheduler to assume the role.',
    "1 validation error detected: Value 'x' at 'target.roleArn' failed to satisfy constraint: Member must satisfy " +
      'regular expression pattern: ^arn:aws',
  ])('keeps its words where it is about something else: %s', async (message) => {
    expect(await refusal(message)).toMatchObject({
      code: 'storeUnavailable',
      faults: [],
      message: `EventBridge Scheduler refused the schedule: ${message}`,
      advice: expect.stringContaining('role, function or queue'),
    });
  });
});

describe('a conflict at Scheduler', () => {
  test('is tried again with what is there by then', async () => {
    let conflicts = 2;
    const intercept: Intercept = (method, response) =>
      method === 'PUT' && conflicts-- > 0 && answerError(response, 409, 'ConflictException', 'busy');
    const { store, requests } = await open({ intercept });
    await store.apply(HOURLY);
    requests.length = 0;

    await store.apply(NIGHTLY);

    expect(requests).toEqual(['GET', 'PUT', 'GET', 'PUT', 'GET', 'PUT']);
    expect(await store.read()).toMatchObject(NIGHTLY);
  });

  test('is given up after five tries, and told as one that passes', async () => {
    const intercept: Intercept = (method, response) =>
      method === 'POST' && answerError(response, 409, 'ConflictException', 'busy');
    const { store, requests } = await open({ intercept });

    await expect(store.apply(NIGHTLY)).rejects.toMatchObject({ code: 'storeUnavailable', retryable: true });

    expect(requests.filter((method) => method === 'POST')).toHaveLength(5);
  });

  test('of two who create the schedule at once leaves one schedule, as both want it', async () => {
    const { store, storeOf, scheduler } = await open();

    await Promise.all([store.apply(NIGHTLY), storeOf().apply(NIGHTLY), storeOf().apply(NIGHTLY)]);

    expect(scheduler.schedules()).toMatchObject([{ ...NAMES, State: 'ENABLED' }]);
  });
});

describe.each([
  ['in memory', async () => createMemoryStores(clock).schedule],
  ['on Scheduler', async () => (await open()).store],
])('the schedule store %s', (_where, openStore) => {
  test('is none as deployed, and then what was applied: a rate from a full minute on, a period later', async () => {
    setClock('2026-05-04T10:00:20.500Z');
    const store = await openStore();
    const deployed = await store.read();

    const hourly = await store.apply(HOURLY);
    const shown = await store.read();
    await store.apply(NIGHTLY);

    expect(deployed).toBeNull();
    expect(hourly).toEqual({ ...HOURLY, start: new Date('2026-05-04T11:01:00Z'), setAt: clock.now() });
    expect(shown).toEqual(hourly);
    expect(await store.read()).toEqual({ ...NIGHTLY, start: null, setAt: clock.now() });
  });

  test('lets a rate go on as it was when the same is applied again, and counts anew after a change', async () => {
    setClock('2026-05-04T10:00:00Z');
    const store = await openStore();
    const first = await store.apply(HOURLY);

    vi.setSystemTime(Date.parse('2026-05-06T10:20:00Z'));
    const again = await store.apply(HOURLY);
    const off = await store.apply({ ...HOURLY, enabled: false });
    const on = await store.apply(HOURLY);

    expect(again).toEqual(first);
    expect(off.enabled).toBe(false);
    expect(on.start).toEqual(new Date('2026-05-06T11:20:00Z'));
    expect(await store.read()).toEqual(on);
  });
});

test('the schedule store gives a rate a start that has none, for nobody could tell its next run', async () => {
  const { client, store } = await open();
  await store.apply(HOURLY);
  const rate = { ScheduleExpression: HOURLY.expression, ScheduleExpressionTimezone: 'UTC', State: 'ENABLED' as const };
  await client.send(new UpdateScheduleCommand({ ...VALID, Target: TARGET, ...rate }));
  const before = (await store.read())!;

  const after = await store.apply(HOURLY);

  expect(nextRuns(before, clock.now(), 5)).toBeNull();
  expect(nextRuns(after, clock.now(), 5)).toHaveLength(5);
});

test.each([
  ['rate(90 minutes)', 'UTC'],
  ['rate(1 day)', 'Europe/Berlin'],
  // On 28 March the clocks skip 02:30.
  ['cron(30 2 * * ? *)', 'Europe/Berlin'],
])(
  'the stand-in for Scheduler fires when %s in %s is said to run, and at no other time',
  async (expression, timeZone) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'rollcall-schedules-'));
    stops.push(() => rm(folder, { recursive: true }));
    setClock('2027-03-26T12:00:20Z');
    const { store } = await open({ folder });
    await store.apply({ enabled: true, expression, timeZone });
    const now = new Date('2027-03-26T15:30:00Z');
    const next = nextRuns((await store.read())!, now, 5)!;
    for (const stop of stops.splice(1).toReversed()) await stop();

    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now });
    stops.push(async () => void vi.useRealTimers());
    const fired: Date[] = [];
    const scheduler = createScheduler({ fire: () => fired.push(new Date()), folder });
    await vi.advanceTimersByTimeAsync(next.at(-1)!.getTime() - now.getTime());
    await scheduler.stop();

    expect(fired).toEqual(next);
    expect(fired).toHaveLength(5);
  },
);

test('the stand-in for Scheduler fires what it has kept, on time and once each time, and nothing that is disabled', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'rollcall-schedules-'));
  stops.push(() => rm(folder, { recursive: true }));
  const { client, store, fired } = await open({ folder });
  await client.send(
    new CreateScheduleCommand({
      ...VALID,
      Name: 'disabled',
      State: 'DISABLED',
      ScheduleExpression: 'rate(1 minute)',
    }),
  );
  await store.apply({ enabled: true, expression: 'cron(0/10 * * * ? *)', timeZone: 'UTC' });
  for (const stop of stops.splice(1)) await stop();

  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: Date.parse('2026-05-04T10:05:00.000Z') });
  stops.push(async () => void vi.useRealTimers());
  const scheduler = createScheduler({ fire: (target) => fired.push(target), folder });
  await vi.advanceTimersByTimeAsync(5 * 60_000 - 1);
  expect(fired).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(fired).toEqual([
    { arn: TARGET.Arn, roleArn: TARGET.RoleArn, input: TARGET.Input, deadLetterArn: ARNS.failures },
  ]);
  await vi.advanceTimersByTimeAsync(20 * 60_000);
  expect(fired).toHaveLength(3);
  await scheduler.stop();
  await vi.advanceTimersByTimeAsync(60 * 60_000);
  expect(fired).toHaveLength(3);
});

describe('the stand-in for Scheduler is no kinder than AWS', () => {
  async function createRaw(body: object): Promise<{ status: number; type: string | null; message: string }> {
    const { server } = await open();
    const response = await fetch(`${server.url}/schedules/sync`, { method: 'POST', body: JSON.stringify(body) });
    const { message = '' } = (await response.json()) as { message?: string };
    return { status: response.status, type: response.headers.get('x-amzn-errortype'), message };
  }
  const { Name: _name, ...BODY } = VALID;

  test('to a schedule that has everything it needs, and to no other', async () => {
    expect(await createRaw(BODY)).toMatchObject({ status: 200 });
  });

  test.each([
    ['scheduleExpression', { ScheduleExpression: undefined }],
    ['flexibleTimeWindow', { FlexibleTimeWindow: undefined }],
    ['flexibleTimeWindow.mode', { FlexibleTimeWindow: {} }],
    ['flexibleTimeWindow.mode', { FlexibleTimeWindow: { Mode: 'NONE' } }],
    ['target', { Target: undefined }],
    ['target.arn', { Target: { RoleArn: ARNS.role } }],
    ['target.roleArn', { Target: { Arn: ARNS.syncFunction } }],
    ['state', { State: 'PAUSED' }],
  ])('without a proper %s it is refused', async (place, over) => {
    const answer = await createRaw({ ...BODY, ...over });

    expect(answer).toMatchObject({ status: 400, type: 'ValidationException' });
    expect(answer.message).toContain(`at '${place}'`);
  });

  test.each(['POST', 'PUT'])('a %s without a body is refused', async (method) => {
    const { server } = await open();

    const response = await fetch(`${server.url}/schedules/sync`, { method });

    expect([response.status, response.headers.get('x-amzn-errortype')]).toEqual([400, 'ValidationException']);
  });

  test.each(['{', 'null', '7'])('the body %s is refused', async (body) => {
    const { server } = await open();

    const response = await fetch(`${server.url}/schedules/sync`, { method: 'POST', body });

    expect([response.status, response.headers.get('x-amzn-errortype')]).toEqual([400, 'SerializationException']);
  });

  test('a group and a schedule must be there, and a new one must not', async () => {
    const { client } = await open();
    const named = (error: unknown) => (error as Error).name;
    const elsewhere = { ...VALID, GroupName: 'missing' };

    expect(await client.send(new CreateScheduleCommand(elsewhere)).catch(named)).toBe('ResourceNotFoundException');
    expect(await client.send(new UpdateScheduleCommand(VALID)).catch(named)).toBe('ResourceNotFoundException');
    expect(await client.send(new DeleteScheduleCommand(NAMES)).catch(named)).toBe('ResourceNotFoundException');
    await client.send(new CreateScheduleCommand(VALID));
    expect(await client.send(new CreateScheduleCommand(VALID)).catch(named)).toBe('ConflictException');
    await client.send(new DeleteScheduleCommand(NAMES));
    expect(await client.send(new GetScheduleCommand(NAMES)).catch(named)).toBe('ResourceNotFoundException');
  });

  test('a token stands for one request: the same again gets the same answer, another one a conflict', async () => {
    const { client, scheduler } = await open();
    const once = { ...VALID, ClientToken: 'token' };
    const first = await client.send(new CreateScheduleCommand(once));

    const again = await client.send(new CreateScheduleCommand(once));
    const other = client.send(new CreateScheduleCommand({ ...once, ScheduleExpression: 'rate(2 days)' }));

    await expect(other).rejects.toMatchObject({ name: 'ConflictException' });
    expect(again.ScheduleArn).toBe(first.ScheduleArn);
    expect(scheduler.schedules()).toHaveLength(1);
    expect(scheduler.schedules()[0]).not.toHaveProperty('ClientToken');
  });

  test('a creation whose answer was lost is one creation', async () => {
    let lost = false;
    const intercept: Intercept = (method, response) => {
      if (method !== 'POST' || lost) return false;
      lost = true;
      // The stand-in carries the request out, and the connection breaks before its answer.
      response.writeHead = () => response.destroy();
      return false;
    };
    const { store, requests, scheduler } = await open({ intercept });

    await store.apply(NIGHTLY);

    expect(requests).toEqual(['GET', 'POST', 'POST']);
    expect(scheduler.schedules()).toHaveLength(1);
  });
});
