import { expect, test } from 'vitest';
import type { RunQuery } from '../../lib/sync/run-store.ts';
import type { Change, Run } from '../../lib/sync/run.ts';
import { LEASE_MS, newRun, NO_TOTALS, refuseRun, runIdPrefix } from '../../lib/sync/run.ts';
import type { Fence } from '../../lib/user/user-store.ts';
import { describeOnEveryStore } from '../support/stores.ts';
import type { Stores } from '../support/stores.ts';

function aRun({ now }: Stores, id: string): Run {
  return newRun(id, { dryRun: false, trigger: 'console', requestedBy: 'admin', approves: null }, now());
}

async function start(stores: Stores, run: Run): Promise<Fence> {
  const result = await stores.runs.start(run);
  if (result.kind === 'active') throw new Error(`${result.activeRunId} holds the lease`);
  return result.fence;
}

function ended(run: Run, stores: Stores): Run {
  return {
    ...run,
    status: 'succeeded',
    stage: 'finished',
    finishedAt: stores.now().toISOString(),
    progress: { read: 3, planned: 2, applied: 2 },
    totals: { ...NO_TOTALS, created: 2, unchanged: 1 },
    completeness: { complete: true, reasons: [] },
    settingsVersion: 'v1',
    notices: ['a notice'],
  };
}

const aLine: Change = { kind: 'created', userId: 'id', userName: 'üser', directoryId: null, dn: null };

const STATE = {
  stage: 'applying',
  progress: { read: 10, planned: 4, applied: 1 },
  totals: { ...NO_TOTALS, created: 1 },
} as const;
const READING = { ...STATE, stage: 'reading' } as const;

describeOnEveryStore('the run store', (open) => {
  test('lets one of many concurrent starters in, and tells the others who it is', async () => {
    const stores = await open();
    const runs = Array.from({ length: 6 }, (_, index) => aRun(stores, `run-${index}`));

    const results = await Promise.all(runs.map((run) => stores.runs.start(run)));

    const [winner, ...more] = results.filter((result) => result.kind === 'started');
    expect(more).toEqual([]);
    expect(new Set(results.flatMap((each) => (each.kind === 'started' ? [] : [each.activeRunId])))).toEqual(
      new Set([winner!.fence.runId]),
    );
    expect((await stores.runs.list({ limit: 10 })).items.map(({ id }) => id)).toEqual([winner!.fence.runId]);
  });

  test('shows a run as it is asked for, as it works, and as it ended', async () => {
    const stores = await open();
    const run = aRun(stores, 'run-1');
    await start(stores, run);
    expect(await stores.runs.get('run-1')).toEqual(run);

    const taken = (await stores.runs.takeUp('run-1'))!;
    await stores.runs.heartbeat(taken.fence, STATE);
    expect(taken.run).toMatchObject({ id: 'run-1', status: 'running' });
    const working = { ...run, ...STATE };
    expect(await stores.runs.get('run-1')).toEqual(working);
    expect((await stores.runs.list({ limit: 5 })).items).toEqual([working]);

    const end = ended(run, stores);
    await stores.runs.finish(taken.fence, end);
    expect(await stores.runs.get('run-1')).toEqual(end);
    expect((await stores.runs.list({ limit: 5 })).items).toEqual([end]);
    expect(await stores.runs.get('run-2')).toBeNull();
    expect(await stores.runs.get('')).toBeNull();
  });

  test('expects as many entries as the runs before remember', async () => {
    const stores = await open();
    const runOnce = async (id: string, entries: number | null): Promise<number | null> => {
      const result = await stores.runs.start(aRun(stores, id));
      if (result.kind === 'active') throw new Error('the lease is taken');
      expect(await stores.runs.get(id)).toEqual(result.run);
      if (entries !== null) {
        await stores.journal.remember(result.fence, { lastRead: { entries, server: null }, unreachable: {} });
      }
      await stores.runs.finish(result.fence, ended(result.run, stores));
      return result.run.expectedEntries;
    };

    expect(await runOnce('run-1', null)).toBeNull();
    expect(await runOnce('run-2', 40)).toBeNull();
    expect(await runOnce('run-3', null)).toBe(40);
    expect(await runOnce('run-4', 41)).toBe(40);
    expect((await stores.runs.start(aRun(stores, 'run-5'))).kind).toBe('started');
    expect(await stores.runs.get('run-5')).toMatchObject({ expectedEntries: 41 });
  });

  test('gives a queued run to one of many that take it up', async () => {
    const stores = await open();
    const asked = await start(stores, aRun(stores, 'run-1'));

    const results = await Promise.all(Array.from({ length: 5 }, () => stores.runs.takeUp('run-1')));

    const taken = results.filter((result) => result !== null);
    expect(taken).toHaveLength(1);
    expect(await stores.runs.takeUp('run-1')).toBeNull();
    expect(await stores.runs.takeUp('run-2')).toBeNull();
    // The process that only asked for the run can't end it any more.
    await expect(stores.runs.finish(asked, ended(aRun(stores, 'run-1'), stores))).rejects.toMatchObject({
      code: 'leaseLost',
    });
    await stores.runs.heartbeat(taken[0]!.fence, READING);
  });

  test('does not take up a run that is at work without having waited', async () => {
    const stores = await open();
    await start(stores, { ...aRun(stores, 'run-1'), stage: 'reading' });

    expect(await stores.runs.takeUp('run-1')).toBeNull();
  });

  test('gives the lease on when a run has ended', async () => {
    const stores = await open();
    const first = await start(stores, aRun(stores, 'run-1'));
    await stores.runs.finish(first, ended(aRun(stores, 'run-1'), stores));

    const second = await start(stores, aRun(stores, 'run-2'));

    expect(second.token).toBeGreaterThan(first.token);
    await expect(stores.runs.heartbeat(first, READING)).rejects.toMatchObject({ code: 'leaseLost' });
    await expect(stores.runs.finish(first, aRun(stores, 'run-1'))).rejects.toMatchObject({ code: 'leaseLost' });
    expect((await stores.runs.get('run-1'))?.status).toBe('succeeded');
  });

  test('takes the lease of a silent run over and marks that run interrupted', async () => {
    const stores = await open();
    const dead = await start(stores, { ...aRun(stores, 'run-1'), stage: 'reading' });
    await stores.runs.heartbeat(dead, STATE);
    await stores.journal.tell(dead, { lines: [aLine] });
    const until = new Date(stores.now().getTime() + LEASE_MS);
    stores.passMs(LEASE_MS - 1);
    expect(await stores.runs.start(aRun(stores, 'run-2'))).toEqual({ kind: 'active', activeRunId: 'run-1' });
    expect((await stores.runs.get('run-1'))?.status).toBe('running');

    stores.passMs(1);
    const silent = await stores.runs.get('run-1');
    await start(stores, aRun(stores, 'run-2'));

    expect(silent).toMatchObject({
      ...STATE,
      status: 'failed',
      stage: 'finished',
      finishedAt: until.toISOString(),
      error: { code: 'interrupted' },
    });
    expect(await stores.runs.get('run-1')).toEqual(silent);
    expect((await stores.runs.list({ limit: 5 })).items.map(({ id, status }) => [id, status])).toEqual([
      ['run-2', 'running'],
      ['run-1', 'failed'],
    ]);
    await expect(stores.runs.heartbeat(dead, STATE)).rejects.toMatchObject({ code: 'leaseLost' });
    await expect(stores.runs.finish(dead, ended(aRun(stores, 'run-1'), stores))).rejects.toMatchObject({
      code: 'leaseLost',
    });
    expect((await stores.runs.get('run-2'))?.status).toBe('running');
  });

  test('lets one of many take over', async () => {
    const stores = await open();
    await start(stores, aRun(stores, 'run-0'));
    stores.passMs(LEASE_MS);

    const results = await Promise.all([1, 2, 3, 4].map((each) => stores.runs.start(aRun(stores, `run-${each}`))));

    expect(results.filter(({ kind }) => kind === 'started')).toHaveLength(1);
    expect((await stores.runs.list({ limit: 10 })).items).toHaveLength(2);
  });

  test('lets a silent run go on that nobody has taken over from', async () => {
    const stores = await open();
    const fence = await start(stores, { ...aRun(stores, 'run-1'), stage: 'reading' });
    stores.passMs(10 * LEASE_MS);

    await stores.runs.heartbeat(fence, READING);

    expect((await stores.runs.get('run-1'))?.status).toBe('running');
    expect(await stores.runs.start(aRun(stores, 'run-2'))).toEqual({ kind: 'active', activeRunId: 'run-1' });
  });

  test('tells the active run that it is to stop, and no other one', async () => {
    const stores = await open();
    expect(await stores.runs.requestCancel('run-1')).toBe(false);
    const fence = await start(stores, aRun(stores, 'run-1'));
    expect(await stores.runs.heartbeat(fence, READING)).toEqual({ cancelRequested: false });

    expect(await stores.runs.requestCancel('run-2')).toBe(false);
    expect(await stores.runs.requestCancel('run-1')).toBe(true);
    expect(await stores.runs.heartbeat(fence, READING)).toEqual({ cancelRequested: true });

    await stores.runs.finish(fence, ended(aRun(stores, 'run-1'), stores));
    expect(await stores.runs.requestCancel('run-1')).toBe(false);
    const second = await start(stores, aRun(stores, 'run-2'));
    expect(await stores.runs.heartbeat(second, READING)).toEqual({ cancelRequested: false });
  });

  test('keeps a run that found another one at work, and leaves the lease to that one', async () => {
    const stores = await open();
    const fence = await start(stores, { ...aRun(stores, 'run-1'), stage: 'reading' });
    const refused = refuseRun(aRun(stores, 'run-2'), 'run-1');

    await stores.runs.record(refused);

    expect(await stores.runs.get('run-2')).toEqual(refused);
    expect((await stores.runs.list({ limit: 5 })).items.map(({ id, status }) => [id, status])).toEqual([
      ['run-2', 'cancelled'],
      ['run-1', 'running'],
    ]);
    expect(await stores.runs.requestCancel('run-2')).toBe(false);
    expect(await stores.runs.takeUp('run-2')).toBeNull();
    await stores.runs.heartbeat(fence, STATE);
    await stores.runs.finish(fence, ended(aRun(stores, 'run-1'), stores));
  });

  test('lists runs from the newest on', async () => {
    const stores = await open();
    for (let index = 1; index <= 5; index += 1) {
      const run = aRun(stores, `run-${index}`);
      await stores.runs.finish(await start(stores, run), ended(run, stores));
    }

    const first = await stores.runs.list({ limit: 2 });
    const second = await stores.runs.list({ limit: 2, next: first.next! });
    const third = await stores.runs.list({ limit: 2, next: second.next! });

    expect([first, second, third].map(({ items }) => items.map(({ id }) => id))).toEqual([
      ['run-5', 'run-4'],
      ['run-3', 'run-2'],
      ['run-1'],
    ]);
    expect(third.next).toBeNull();
    await expect(stores.runs.list({ limit: 2, next: 'x' })).rejects.toMatchObject({ code: 'invalidRequest' });
  });

  test('lists the runs of a time, and those with a status', async () => {
    const stores = await open();
    const statuses = ['succeeded', 'failed', 'succeeded', 'partial', 'failed'] as const;
    const ids: string[] = [];
    for (const [hour, status] of statuses.entries()) {
      const run = aRun(stores, `${runIdPrefix(new Date(Date.UTC(2026, 4, 4, hour)))}-${hour}`);
      ids.push(run.id);
      await stores.runs.finish(await start(stores, run), { ...ended(run, stores), status });
    }
    const list = async (query: Partial<RunQuery>): Promise<number[]> =>
      (await stores.runs.list({ limit: 10, ...query })).items.map(({ id }) => ids.indexOf(id));
    const at = (hour: number) => new Date(Date.UTC(2026, 4, 4, hour));

    expect(await list({ from: at(1), to: at(4) })).toEqual([3, 2, 1]);
    expect(await list({ from: at(3) })).toEqual([4, 3]);
    expect(await list({ to: at(1) })).toEqual([0]);
    expect(await list({ from: at(9) })).toEqual([]);
    expect(await list({ from: at(4), to: at(1) })).toEqual([]);
    expect(await list({ status: 'failed' })).toEqual([4, 1]);
    expect(await list({ status: 'failed', to: at(4) })).toEqual([1]);
    expect(await list({ status: 'cancelled' })).toEqual([]);
    const first = await stores.runs.list({ limit: 1, status: 'succeeded', from: at(0) });
    const second = await stores.runs.list({ limit: 1, status: 'succeeded', from: at(0), next: first.next! });
    expect([...first.items, ...second.items].map(({ id }) => ids.indexOf(id))).toEqual([2, 0]);
    expect(second.next).toBeNull();
  });

  test('lists a run that has ended without a word as failed, not as running', async () => {
    const stores = await open();
    await start(stores, aRun(stores, 'run-1'));
    expect((await stores.runs.list({ limit: 5, status: 'running' })).items).toHaveLength(1);

    stores.passMs(LEASE_MS);

    expect((await stores.runs.list({ limit: 5, status: 'running' })).items).toEqual([]);
    expect((await stores.runs.list({ limit: 5, status: 'failed' })).items.map(({ id }) => id)).toEqual(['run-1']);
  });

  test('ends a page early rather than read all runs at once, and finds the rest on the next pages', async () => {
    const stores = await open();
    const notices = ['x'.repeat(300_000)];
    for (let index = 100; index < 140; index += 1) {
      const run = { ...ended(aRun(stores, `run-${index}`), stores), notices };
      await stores.runs.record(index === 100 ? { ...run, status: 'cancelled' } : run);
    }

    const found: string[] = [];
    let next: string | null = '';
    while (next !== null) {
      const query: RunQuery = { limit: 5, status: 'cancelled', ...(next !== '' && { next }) };
      const page = await stores.runs.list(query);
      found.push(...page.items.map(({ id }) => id));
      ({ next } = page);
    }

    expect(found).toEqual(['run-100']);
  });
});
