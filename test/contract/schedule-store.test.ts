import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateScheduleCommand, CreateScheduleGroupCommand, GetScheduleCommand } from '@aws-sdk/client-scheduler';
import { afterEach, expect, test, vi } from 'vitest';
import { createScheduleStore, createSchedulerClient } from '../../lib/aws/schedule-store.ts';
import { createMemoryStores } from '../../lib/memory.ts';
import { serve } from '../../local/running.ts';
import { createScheduler } from '../../local/scheduler.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

const NAMES = { Name: 'synchronize', GroupName: 'rollcall' };
const TARGET = {
  Arn: 'arn:aws:lambda:local:0:function:sync',
  RoleArn: 'arn:aws:iam::0:role/x',
  Input: '{"trigger":"schedule"}',
};

async function open(folder?: string) {
  const fired: unknown[] = [];
  const scheduler = createScheduler({ fire: (target) => fired.push(target), ...(folder !== undefined && { folder }) });
  const server = await serve(scheduler.handle);
  const client = createSchedulerClient({
    endpoint: server.url,
    region: 'local',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
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
    store: createScheduleStore({ client, scheduleName: NAMES.Name, scheduleGroup: NAMES.GroupName }),
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
  const missing = createScheduleStore({ client, scheduleName: 'another', scheduleGroup: 'rollcall' }).apply({
    enabled: true,
    expression: 'rate(1 day)',
    timeZone: 'UTC',
  });
  await expect(missing).rejects.toMatchObject({ code: 'storeUnavailable', retryable: false });
  expect(scheduler.schedules()).toMatchObject([{ ScheduleExpression: 'rate(1 day)' }]);
});

test('the schedule store in memory shows what was applied last', async () => {
  const { schedule } = createMemoryStores({ now: () => new Date() });

  await schedule.apply({ enabled: true, expression: 'rate(1 hour)', timeZone: 'UTC' });

  expect(schedule.current).toEqual({ enabled: true, expression: 'rate(1 hour)', timeZone: 'UTC' });
});

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
  expect(fired).toEqual([{ arn: TARGET.Arn, input: TARGET.Input }]);
  await vi.advanceTimersByTimeAsync(20 * 60_000);
  expect(fired).toHaveLength(3);
  await scheduler.stop();
  await vi.advanceTimersByTimeAsync(60 * 60_000);
  expect(fired).toHaveLength(3);
});
