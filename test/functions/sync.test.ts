import { describe, expect, test, vi } from 'vitest';
import { makeHandler } from '../../functions/sync-handler.ts';
import { newRun, newRunId, NO_TOTALS } from '../../lib/sync/run.ts';
import { startHouse } from '../support/house.ts';
import { NOW } from '../support/people.ts';

const context = { getRemainingTimeInMillis: () => 900_000 };

describe('the sync function', () => {
  test.each([
    null,
    'x',
    [],
    {},
    { trigger: 'bogus' },
    { trigger: 'schedule', dryRun: 'yes' },
    { trigger: 'api', runId: 7 },
  ])('refuses the event %j instead of starting a run', async (event) => {
    const house = await startHouse();
    await expect(makeHandler(house.ports)(event, context)).rejects.toMatchObject({ name: 'InvalidRequest' });
    expect(await house.runs()).toEqual([]);
  });

  test('takes up a run that waits, once: a second delivery of the event finds it taken', async () => {
    const house = await startHouse();
    const request = { dryRun: true, trigger: 'api', requestedBy: 'admin', approves: null } as const;
    const run = newRun(newRunId(NOW), request, NOW);
    await house.ports.runs.start(run);
    const event = { runId: run.id, dryRun: true, trigger: 'api', requestedBy: 'admin' };

    const first = await makeHandler(house.ports)(event, context);
    const second = await makeHandler(house.ports)(event, context);

    expect(first).toMatchObject({ id: run.id, dryRun: true, status: 'succeeded' });
    expect(second).toEqual({ activeRunId: run.id });
    expect(await house.runs()).toHaveLength(1);
  });

  test('a scheduled start while another run is at work ends at once, names it and is listed', async () => {
    const house = await startHouse();
    await house.start();
    const [active] = await house.runs();
    house.passSeconds(30);

    const result = await makeHandler(house.ports)({ trigger: 'schedule' }, context);

    expect(result).toEqual({ activeRunId: active!.id });
    const [refused, ...others] = await house.runs();
    expect(others).toEqual([active]);
    expect(refused).toMatchObject({
      trigger: 'schedule',
      status: 'cancelled',
      stage: 'finished',
      finishedAt: refused!.startedAt,
      totals: NO_TOTALS,
      error: { code: 'runActive', message: `already running: run ${active!.id} was active` },
    });
  });

  test('a start beside another run counts nowhere: it writes one line and no metric', async () => {
    const house = await startHouse();
    await house.start();
    const written: string[] = [];
    const keep = (text: unknown): boolean => {
      written.push(String(text));
      return true;
    };
    vi.spyOn(console, 'log').mockImplementation(keep);
    vi.spyOn(process.stdout, 'write').mockImplementation(keep);

    await makeHandler(house.ports)({ trigger: 'schedule' }, context).finally(() => vi.restoreAllMocks());

    expect(written.map((line) => JSON.parse(line))).toEqual([expect.objectContaining({ message: 'run not started' })]);
  });
});
