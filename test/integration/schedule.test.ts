/**
 * The schedule in a data folder that an earlier release or somebody else has left: the watch of the local program, the
 * one that is deployed, makes it what the settings say.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Schedule } from '../../local/scheduler.ts';
import {
  type ApiCall,
  PASSWORD,
  type ServingProgram,
  signIn,
  START_MS,
  startLocalProgram,
} from '../support/local-program.ts';

interface Kept {
  readonly groups: readonly string[];
  readonly schedules: readonly Schedule[];
}

const NIGHTLY = { enabled: true, expression: 'cron(0 3 * * ? *)', timeZone: 'Europe/Berlin' };
const folder = mkdtempSync(join(tmpdir(), 'rollcall-schedule-'));
const file = join(folder, 'schedules/schedules.json');
let program: ServingProgram;

/** Starts the program on the folder, and signs in. */
async function start(): Promise<ApiCall> {
  program = startLocalProgram('--quiet', '--no-demo', '--data', folder, '--admin-password', PASSWORD);
  return await signIn(await program.address());
}

const readKept = (): Kept => JSON.parse(readFileSync(file, 'utf8')) as Kept;
const find = (name: string): Schedule | undefined => readKept().schedules.find(({ Name }) => Name === name);

/** Changes what is kept while no program runs. */
function leave(change: (kept: Kept) => Kept): void {
  writeFileSync(file, JSON.stringify(change(readKept())));
}

/** The metrics that the watch has printed so far. */
function readHealth(): readonly object[] {
  const log = join(folder, 'logs/WatchFunction.log');
  const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n') : [];
  return lines.filter((line) => line.includes('"_aws"')).map((line) => JSON.parse(line) as object);
}

let made: Schedule;

beforeAll(async () => {
  const call = await start();
  const before = readKept().schedules.map(({ Name }) => Name);
  await call('PUT', '/api/settings', {
    connection: { servers: ['127.0.0.1:1'], encryption: 'none' },
    mapping: { userName: 'uid' },
    options: { schedule: NIGHTLY },
  });
  made = find('sync')!;
  await program.end();
  expect(before).toEqual(['WatchSchedule']);
}, START_MS);

afterEach(async () => {
  await program.end();
  expect(program.errors()).toBe('');
});

afterAll(() => rmSync(folder, { recursive: true }));

/** The schedule without the times at which it was written. */
function withoutDates({ CreationDate: _created, LastModificationDate: _changed, ...rest }: Schedule): object {
  return rest;
}

test('settings make the schedule, whose role is written as AWS writes it', () => {
  expect(made).toMatchObject({
    GroupName: 'SyncScheduleGroup',
    State: 'ENABLED',
    ScheduleExpression: NIGHTLY.expression,
    ScheduleExpressionTimezone: NIGHTLY.timeZone,
    Target: {
      Arn: 'arn:aws:lambda:my-machine-1:000000000000:function:SyncFunction',
      RoleArn: 'arn:aws:iam::000000000000:role/SyncScheduleRole',
      DeadLetterConfig: { Arn: 'arn:aws:sqs:my-machine-1:000000000000:SyncFailures' },
    },
  });
});

test(
  'an upgrade from a release that had the schedule in its template switches nothing off',
  { timeout: START_MS },
  async () => {
    const former = {
      ...made,
      Name: 'SyncSchedule',
      Target: { ...made.Target, RoleArn: 'arn:aws:iam:local:000000000000:role/SyncScheduleRole' },
    };
    leave((kept) => ({ ...kept, schedules: [former] }));

    const call = await start();

    await expect.poll(() => find('sync'), { timeout: 15_000 }).toBeDefined();
    await expect.poll(() => readHealth().length, { timeout: 15_000 }).toBe(1);
    expect(withoutDates(find('sync')!)).toEqual(withoutDates(made));
    expect(find('SyncSchedule')).toBeUndefined();
    const settings = await call<{ options: { schedule: { next: string[] } }; warnings: string[] }>(
      'GET',
      '/api/settings',
    );
    expect(settings.options.schedule.next).toHaveLength(5);
    expect(settings.warnings.join()).not.toContain('schedule');
  },
);

test(
  'schedules that were disabled and have the role of an earlier deployment are as they should be after a start',
  { timeout: START_MS },
  async () => {
    const spoilt: Schedule = {
      ...made,
      State: 'DISABLED',
      Target: { ...made.Target, RoleArn: 'arn:aws:iam:local:000000000000:role/SyncScheduleRole' },
    };
    const watch = find('WatchSchedule')!;
    leave((kept) => ({
      ...kept,
      schedules: [spoilt, { ...watch, State: 'DISABLED', ScheduleExpression: 'rate(9 hours)' }],
    }));

    await start();

    await expect.poll(() => find('sync')?.State, { timeout: 15_000 }).toBe('ENABLED');
    await expect.poll(() => readHealth().length, { timeout: 15_000 }).toBe(2);
    expect(withoutDates(find('sync')!)).toEqual(withoutDates(made));
    expect(withoutDates(find('WatchSchedule')!)).toEqual(withoutDates(watch));
  },
);

test('the watch has reported the health of the synchronisation', () => {
  const health = readHealth();

  // At each of the two starts with settings.
  expect(health).toHaveLength(2);
  for (const gauges of health) {
    expect(gauges).toMatchObject({ LinesWaiting: 0, MinutesOverdue: 0, ConsecutiveFailures: 0 });
  }
});
