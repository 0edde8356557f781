import { afterEach, describe, expect, test, vi } from 'vitest';
import { makeHandler, type WatchPorts } from '../../functions/watch-handler.ts';
import { ServiceError } from '../../lib/errors.ts';
import type { WorkingSchedule } from '../../lib/settings/schedule.ts';
import { newRun, newRunId, NO_TOTALS, type Run } from '../../lib/sync/run.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aSettings, NOW } from '../support/people.ts';

const HOURLY = { enabled: true, expression: 'rate(1 hour)', timeZone: 'UTC' };
const request = { dryRun: false, trigger: 'schedule', requestedBy: null, approves: null } as const;

afterEach(() => {
  vi.restoreAllMocks();
});

/** The watch on stores in memory. `reported` has the metrics of each watch. */
async function start({
  schedule = HOURLY,
  over,
}: { schedule?: typeof HOURLY | null; over?: Partial<WatchPorts> } = {}) {
  let now = NOW;
  const clock = { now: () => now };
  const stores = createMemoryStores(clock);
  const reported: Record<string, number>[] = [];
  const keep = (text: unknown): boolean => {
    const line = JSON.parse(String(text)) as Record<string, number>;
    if ('_aws' in line) reported.push(pickMetrics(line));
    return true;
  };
  for (const level of ['log', 'info'] as const) vi.spyOn(console, level).mockImplementation(keep);
  vi.spyOn(process.stdout, 'write').mockImplementation(keep);
  if (schedule !== null) await stores.settings.write(aSettings({ options: { schedule } }), 'password', null);
  return {
    stores,
    reported,
    watch: makeHandler({ ...stores, clock, ...over }),
    passHours: (hours: number) => void (now = new Date(now.getTime() + hours * 3_600_000)),
    run: async (result: Partial<Run>): Promise<void> => {
      const run = newRun(newRunId(now), request, now);
      await stores.runs.record({ ...run, stage: 'finished', finishedAt: now.toISOString(), ...result });
    },
  };
}

function pickMetrics(line: Record<string, number>): Record<string, number> {
  const names = ['LinesWaiting', 'MinutesOverdue', 'ConsecutiveFailures'];
  return Object.fromEntries(names.map((name) => [name, line[name]!]));
}

const gauges = (waiting: number, overdue: number, failures: number) => ({
  LinesWaiting: waiting,
  MinutesOverdue: overdue,
  ConsecutiveFailures: failures,
});

describe('the watch', () => {
  test('does and reports nothing while nothing is configured', async () => {
    const { watch, stores, reported } = await start({ schedule: null });

    expect(await watch()).toBeNull();

    expect(await stores.schedule.read()).toBeNull();
    expect(reported).toEqual([]);
  });

  test('switches the schedule off and ends every alarm once somebody has emptied the settings', async () => {
    const { watch, stores, run, passHours, reported } = await start({ schedule: null });
    await stores.schedule.apply(HOURLY);
    await run({ status: 'failed', totals: { ...NO_TOTALS, withheld: 1 } });
    passHours(5);
    await run({ status: 'failed' });

    await watch();
    await watch();

    expect(await stores.schedule.read()).toMatchObject({ ...HOURLY, enabled: false });
    expect(reported).toEqual([gauges(0, 0, 0), gauges(0, 0, 0)]);
  });

  test('makes the schedule of the settings where there is none, one that is off too', async () => {
    const { watch, stores } = await start({ schedule: { ...HOURLY, enabled: false } });

    await watch();

    expect(await stores.schedule.read()).toMatchObject({ ...HOURLY, enabled: false });
  });

  test('brings back the schedule of the settings, whatever was made of it', async () => {
    const { watch, stores } = await start();
    await watch();
    await stores.schedule.apply({ enabled: false, expression: 'rate(9 days)', timeZone: 'Europe/Berlin' });

    await watch();

    expect(await stores.schedule.read()).toMatchObject(HOURLY);
  });

  test('reports states: they last while the trouble lasts, and end with it', async () => {
    const { watch, run, passHours, reported } = await start();
    await run({ status: 'succeeded', totals: { ...NO_TOTALS, withheld: 3 } });
    await watch();
    passHours(3);
    await run({ status: 'failed' });
    await watch();
    await watch();
    passHours(0.1);
    await run({ status: 'partial' });
    await watch();
    await run({ status: 'succeeded' });
    await watch();

    const trouble = [gauges(3, 0, 0), gauges(3, 45, 1), gauges(3, 45, 1), gauges(3, 51, 0)];
    expect(reported).toEqual([...trouble, gauges(0, 0, 0)]);
  });

  test('sees a run that died as a failed one once its lease is over', async () => {
    const { watch, stores, passHours, reported } = await start();
    await stores.runs.start(newRun(newRunId(NOW), request, NOW));
    await watch();
    passHours(1);
    await watch();

    expect(reported).toEqual([gauges(0, 0, 0), gauges(0, 0, 1)]);
  });

  test('reports all the same when the schedule cannot be set, and then fails with the words of the fault', async () => {
    const apply = async (): Promise<WorkingSchedule> => {
      throw new ServiceError('storeUnavailable', 'EventBridge Scheduler refused the schedule: the role');
    };
    const { watch, run, passHours, reported } = await start({ over: { schedule: { apply, read: async () => null } } });
    await run({ status: 'succeeded', totals: { ...NO_TOTALS, withheld: 1 } });
    passHours(3);

    await expect(watch()).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: 'EventBridge Scheduler refused the schedule: the role',
    });

    expect(reported).toEqual([gauges(1, 45, 0)]);
  });

  test('fails, and reports nothing that it does not know, when settings or runs cannot be read', async () => {
    const away = async () => {
      throw new ServiceError('storeUnavailable', 'DynamoDB request failed');
    };
    for (const over of [{ settings: { read: away } }, { runs: { list: away } }]) {
      const { watch, reported } = await start({ over });

      await expect(watch()).rejects.toMatchObject({ name: 'StoreUnavailable' });

      expect(reported).toEqual([]);
      vi.restoreAllMocks();
    }
  });
});
