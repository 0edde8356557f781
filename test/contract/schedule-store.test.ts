import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  CreateScheduleCommand,
  CreateScheduleGroupCommand,
  GetScheduleCommand,
  UpdateScheduleCommand,
} from '@aws-sdk/client-scheduler';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createScheduleStore, createSchedulerClient } from '../../lib/aws/schedule-store.ts';
import { nextRuns } from '../../lib/settings/schedule.ts';
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

const NAMES = { Name: 'synchronize', GroupName: 'rollcall' };
const TARGET = {
  Arn: 'arn:aws:lambda:local:000000000000:function:sync',
  RoleArn: 'arn:aws:iam::000000000000:role/x',
  Input: '{"trigger":"schedule"}',
};

async function open(folder?: string) {
  const fired: unknown[] = [];
  const scheduler = createScheduler({ fire: (target) => fired.push(target), ...(folder !== undefined && { folder }) });
  const server = await serve(scheduler.handle);
  const client = createSchedulerClient({
    ...LOCAL_CLIENT,
    endpoint: server.url,
  });
  stops.push(async () => {
    client.destroy();
    await scheduler.stop();
    await server.stop();
  });
  await client.send(new CreateScheduleGroupCommand({ Name: 'rollcall' }));
  await client.send(
    new CreateScheduleCommand({
      ...NAMES,
      Description: 'as deployed',
      ScheduleExpression: 'rate(1 day)',
      State: 'DISABLED',
      FlexibleTimeWindow: { Mode: 'FLEXIBLE', MaximumWindowInMinutes: 5 },
      Target: TARGET,
    }),
  );
  return {
    client,
    scheduler,
    fired,
    store: createScheduleStore({ client, scheduleName: NAMES.Name, scheduleGroup: NAMES.GroupName, clock }),
  };
}

test('the schedule store moves expression, time zone and state, and keeps the rest as deployed', async () => {
  const { client, store } = await open();

  await store.apply({ enabled: true, expression: 'cron(0 3 * * ? *)', timeZone: 'Europe/Berlin' });

  expect(await client.send(new GetScheduleCommand(NAMES))).toMatchObject({
    Description: 'as deployed',
    ScheduleExpression: 'cron(0 3 * * ? *)',
    ScheduleExpressionTimezone: 'Europe/Berlin',
    State: 'ENABLED',
    FlexibleTimeWindow: { Mode: 'FLEXIBLE', MaximumWindowInMinutes: 5 },
    Target: TARGET,
  });
  await store.apply({ enabled: false, expression: 'rate(2 hours)', timeZone: 'UTC' });
  expect((await client.send(new GetScheduleCommand(NAMES))).State).toBe('DISABLED');
});

test('the schedule store tells an expression that Scheduler refuses from a Scheduler that is not there', async () => {
  const { client, store, scheduler } = await open();

  const refused = store.apply({ enabled: true, expression: 'every full moon', timeZone: 'UTC' });

  await expect(refused).rejects.toMatchObject({
    code: 'invalidRequest',
    faults: [{ path: 'options.schedule.expression' }],
  });
  const missing = createScheduleStore({ client, scheduleName: 'another', scheduleGroup: 'rollcall', clock });
  const applied = missing.apply({ enabled: true, expression: 'rate(1 day)', timeZone: 'UTC' });
  await expect(applied).rejects.toMatchObject({ code: 'storeUnavailable', retryable: false });
  await expect(missing.read()).rejects.toMatchObject({ code: 'storeUnavailable', retryable: false });
  expect(scheduler.schedules()).toMatchObject([{ ScheduleExpression: 'rate(1 day)' }]);
});

describe.each([
  ['in memory', async () => createMemoryStores(clock).schedule],
  ['on Scheduler', async () => (await open()).store],
])('the schedule store %s', (_where, openStore) => {
  const HOURLY = { enabled: true, expression: 'rate(1 hour)', timeZone: 'UTC' };

  test('is off as deployed, and then what was applied: a rate from a full minute on, a period later', async () => {
    setClock('2026-05-04T10:00:20.500Z');
    const store = await openStore();
    const deployed = await store.read();

    const hourly = await store.apply(HOURLY);
    const shown = await store.read();
    const nightly = { enabled: true, expression: 'cron(0 3 * * ? *)', timeZone: 'Europe/Berlin' };
    await store.apply(nightly);

    expect(deployed.enabled).toBe(false);
    expect(hourly).toEqual({ ...HOURLY, start: new Date('2026-05-04T11:01:00Z') });
    expect(shown).toEqual(hourly);
    expect(await store.read()).toEqual({ ...nightly, start: null });
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
  const { Target, FlexibleTimeWindow } = await client.send(new GetScheduleCommand(NAMES));
  const rate = { ScheduleExpression: 'rate(1 hour)', ScheduleExpressionTimezone: 'UTC' };
  await client.send(new UpdateScheduleCommand({ ...NAMES, Target, FlexibleTimeWindow, ...rate, State: 'ENABLED' }));
  const before = await store.read();

  const after = await store.apply({ enabled: true, expression: 'rate(1 hour)', timeZone: 'UTC' });

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
    const { store } = await open(folder);
    await store.apply({ enabled: true, expression, timeZone });
    const now = new Date('2027-03-26T15:30:00Z');
    const next = nextRuns(await store.read(), now, 5)!;
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
  const { client, store, fired } = await open(folder);
  await client.send(
    new CreateScheduleCommand({
      Name: 'disabled',
      GroupName: NAMES.GroupName,
      State: 'DISABLED',
      ScheduleExpression: 'rate(1 minute)',
      FlexibleTimeWindow: { Mode: 'OFF' },
      Target: TARGET,
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
  expect(fired).toEqual([{ arn: TARGET.Arn, roleArn: TARGET.RoleArn, input: TARGET.Input }]);
  await vi.advanceTimersByTimeAsync(20 * 60_000);
  expect(fired).toHaveLength(3);
  await scheduler.stop();
  await vi.advanceTimersByTimeAsync(60 * 60_000);
  expect(fired).toHaveLength(3);
});
