import { setTimeout as sleep } from 'node:timers/promises';
import { CreateScheduleCommand, CreateScheduleGroupCommand, GetScheduleCommand } from '@aws-sdk/client-scheduler';
import { afterEach, expect, test } from 'vitest';
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

async function open() {
  const fired: unknown[] = [];
  const scheduler = createScheduler({ fire: (target) => fired.push(target) });
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
  const missing = createScheduleStore({ client, scheduleName: 'another', scheduleGroup: 'rollcall' }).apply({
    enabled: true,
    expression: 'rate(1 day)',
    timeZone: 'UTC',
  });

  await expect(refused).rejects.toMatchObject({
    code: 'invalidRequest',
    faults: [{ path: 'options.schedule.expression' }],
  });
  await expect(missing).rejects.toMatchObject({ code: 'storeUnavailable', retryable: false });
  expect(scheduler.schedules()).toMatchObject([{ ScheduleExpression: 'rate(1 day)' }]);
});

test('the schedule store in memory shows what was applied last', async () => {
  const { schedule } = createMemoryStores({ now: () => new Date() });

  await schedule.apply({ enabled: true, expression: 'rate(1 hour)', timeZone: 'UTC' });

  expect(schedule.current).toEqual({ enabled: true, expression: 'rate(1 hour)', timeZone: 'UTC' });
});

test('the stand-in for Scheduler fires what is due, with its target, and nothing that is disabled', async () => {
  const { store, fired } = await open();
  const [year, month, day, hour, minute, second] = soon();

  await store.apply({
    enabled: true,
    expression: `at(${year}-${month}-${day}T${hour}:${minute}:${second})`,
    timeZone: 'UTC',
  });
  expect(fired).toEqual([]);
  await sleep(3_000);

  expect(fired).toEqual([{ arn: TARGET.Arn, input: TARGET.Input }]);
});

function soon(): string[] {
  return new Date(Date.now() + 2_000).toISOString().slice(0, 19).split(/[-T:]/u);
}
