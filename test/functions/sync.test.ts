import { describe, expect, test } from 'vitest';
import { makeHandler } from '../../functions/sync.ts';
import { newRun, newRunId } from '../../lib/run.ts';
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
  });

  test('a scheduled start while another run is at work ends at once and names it', async () => {
    const house = await startHouse();
    const active = await house.start();

    const result = await makeHandler(house.ports)({ trigger: 'schedule' }, context);

    expect(active.started && result).toEqual({ activeRunId: expect.any(String) });
    expect(await house.runs()).toHaveLength(1);
  });
});
