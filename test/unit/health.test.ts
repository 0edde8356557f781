import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeHealth, readNewestRuns } from '../../lib/administration/health.ts';
import { nextRun, type WorkingSchedule } from '../../lib/settings/schedule.ts';
import type { RunQuery } from '../../lib/sync/run-store.ts';
import { interruptRun, newRun, NO_TOTALS, refuseRun, type Run, type RunStatus } from '../../lib/sync/run.ts';

const MINUTE_MS = 60_000;
const NOW = new Date('2026-05-20T10:00:00Z');

const later = (from: Date, minutes: number): Date => new Date(from.getTime() + minutes * MINUTE_MS);

/** A run that ended this many minutes before NOW, two minutes after its start. */
function aRun(minutesAgo: number, over: Partial<Run> = {}): Run {
  const start = later(NOW, -minutesAgo - 2);
  const request = { dryRun: false, trigger: 'schedule', requestedBy: null, approves: null } as const;
  return {
    ...newRun(start.toISOString(), request, start),
    status: 'succeeded',
    stage: 'finished',
    finishedAt: later(NOW, -minutesAgo).toISOString(),
    ...over,
  };
}

const withheld = (count: number) => ({ totals: { ...NO_TOTALS, withheld: count } });

const LONG_AGO = new Date('2026-01-01T00:00:00Z');
const NIGHTLY = aSchedule({ expression: 'cron(0 3 * * ? *)' });

function aSchedule(over: Partial<WorkingSchedule> = {}): WorkingSchedule {
  return { enabled: true, expression: 'rate(1 hour)', timeZone: 'UTC', start: LONG_AGO, setAt: LONG_AGO, ...over };
}

const judge = (runs: readonly Run[], schedule = aSchedule(), now = NOW) =>
  judgeHealth(schedule, { items: runs, next: null }, now);

describe('lines that wait', () => {
  test('are those that the last complete run withheld, or a partial one since, however often runs fail', () => {
    expect(judge([aRun(10, withheld(3))]).linesWaiting).toBe(3);
    expect(judge([aRun(10, { status: 'partial', ...withheld(2) }), aRun(70, withheld(9))]).linesWaiting).toBe(9);
    expect(judge([aRun(10, { status: 'failed', ...withheld(7) }), aRun(70, withheld(3))]).linesWaiting).toBe(3);
  });

  test('are none once a run has withheld nothing, and before any run', () => {
    expect(judge([aRun(10), aRun(70, withheld(3))]).linesWaiting).toBe(0);
    expect(judge([]).linesWaiting).toBe(0);
  });

  test('are not those of a dry run, of a cancelled one or of one at work', () => {
    const others = [
      aRun(1, { status: 'running', stage: 'applying', finishedAt: null, ...withheld(4) }),
      aRun(5, { dryRun: true, ...withheld(5) }),
      aRun(8, { status: 'cancelled', ...withheld(6) }),
    ];
    expect(judge([...others, aRun(10, withheld(1))]).linesWaiting).toBe(1);
  });
});

const FAILED = { status: 'failed' } as const;

describe('failures in a row', () => {
  test('are counted back to the last success, complete or partial', () => {
    expect(judge([aRun(1, FAILED), aRun(2, FAILED), aRun(3), aRun(4, FAILED)]).consecutiveFailures).toBe(2);
    expect(judge([aRun(1, FAILED), aRun(2, { status: 'partial' })]).consecutiveFailures).toBe(1);
    expect(judge([aRun(1), aRun(2, FAILED)]).consecutiveFailures).toBe(0);
    expect(judge([aRun(1, FAILED), aRun(2, FAILED)]).consecutiveFailures).toBe(2);
  });

  test('include runs that were interrupted, and pass over runs that say nothing', () => {
    const runs = [
      aRun(1, { status: 'running', stage: 'reading', finishedAt: null }),
      refuseRun(aRun(2), 'another'),
      aRun(3, { ...FAILED, dryRun: true }),
      interruptRun(aRun(4), NOW),
      aRun(5, { dryRun: true }),
      aRun(6, { status: 'cancelled' }),
      aRun(7, FAILED),
      aRun(8),
    ];
    expect(judge(runs).consecutiveFailures).toBe(2);
  });
});

describe('an overdue success', () => {
  test('is one that did not come by the second time of the schedule and a quarter of an hour', () => {
    // The last success ended at 07:30; the schedule's times are 08:00 and 09:00.
    const runs = [aRun(150)];
    const at = (time: string) => judge(runs, aSchedule(), new Date(`2026-05-20T${time}:00Z`)).minutesOverdue;

    expect([at('08:30'), at('09:15'), at('09:16'), at('10:00')]).toEqual([0, 0, 1, 45]);
  });

  test('of a rare schedule comes an hour and a quarter after its time, and never between its times', () => {
    const lastNight = aRun(7 * 60 - 5);
    const tomorrow = new Date('2026-05-21T00:00:00Z');
    const at = (minutes: number) => judge([lastNight], NIGHTLY, later(tomorrow, minutes)).minutesOverdue;

    expect(judge([lastNight], NIGHTLY).minutesOverdue).toBe(0);
    expect([at(3 * 60), at(4 * 60 + 15), at(4 * 60 + 16), at(12 * 60)]).toEqual([0, 0, 1, 7 * 60 + 45]);
  });

  test('counts from the end of the last success: a run by hand makes up for a time that it was at work', () => {
    const byHand = aRun(7 * 60 - 20, { startedAt: '2026-05-20T02:59:00.000Z', trigger: 'api' });

    expect(judge([refuseRun(aRun(7 * 60), byHand.id), byHand], NIGHTLY).minutesOverdue).toBe(0);
  });

  test('is none for a schedule that is off, over, refused or just set, whatever lies behind', () => {
    const longAgo = [aRun(100 * 24 * 60)];
    const quiet = [
      aSchedule({ enabled: false }),
      aSchedule({ expression: 'cron(0 0 * * ? 2020)', start: null }),
      aSchedule({ expression: 'every full moon', start: null }),
      aSchedule({ setAt: later(NOW, -60), start: NOW }),
    ];

    expect(judge(longAgo).minutesOverdue).toBeGreaterThan(0);
    for (const schedule of quiet) expect(judge(longAgo, schedule).minutesOverdue).toBe(0);
  });

  test('before any success counts from when the schedule was set, and without that is not known', () => {
    const failed = [aRun(5, { status: 'failed' })];
    const hourly = (setMinutesAgo: number) =>
      aSchedule({ setAt: later(NOW, -setMinutesAgo), start: later(NOW, 60 - setMinutesAgo) });

    expect(judge(failed, hourly(130)).minutesOverdue).toBe(0);
    expect(judge(failed, hourly(140)).minutesOverdue).toBe(5);
    expect(judge([], hourly(140)).minutesOverdue).toBe(5);
    expect(judge(failed, aSchedule({ setAt: null })).minutesOverdue).toBe(0);
  });

  test('counts from the oldest run that was read, if the last success is an older one', () => {
    const dry = [aRun(1, { dryRun: true }), aRun(30, { dryRun: true })];

    expect(judgeHealth(aSchedule(), { items: dry, next: 'older' }, NOW).minutesOverdue).toBe(0);
    expect(judgeHealth(aSchedule(), { items: dry, next: null }, NOW).minutesOverdue).toBeGreaterThan(0);
  });

  const EXPRESSIONS = ['rate(1 minute)', 'rate(45 minutes)', 'rate(5 hours)', 'rate(3 days)'].map((expression) => ({
    expression,
    timeZone: 'UTC',
  }));
  const CRONS = ['cron(0/10 * * * ? *)', 'cron(30 2 * * ? *)', 'cron(0 6 ? * MON-FRI *)', 'cron(0 0 1 * ? *)'].flatMap(
    (expression) => ['UTC', 'Europe/Berlin'].map((timeZone) => ({ expression, timeZone })),
  );
  const schedules = fc.record({
    kind: fc.constantFrom(...EXPRESSIONS, ...CRONS),
    success: fc.date({ min: new Date('2026-03-01'), max: new Date('2026-11-30'), noInvalidDate: true }),
  });
  const toSchedule = ({ expression, timeZone }: { expression: string; timeZone: string }) =>
    aSchedule({ expression, timeZone, start: expression.startsWith('rate') ? LONG_AGO : null });
  const endedAt = (success: Date) => [
    aRun(0, { startedAt: later(success, -2).toISOString(), finishedAt: success.toISOString() }),
  ];

  test('never comes while every run of the schedule succeeds within its time limit', () => {
    fc.assert(
      fc.property(schedules, fc.integer({ min: 0, max: 15 }), ({ kind, success }, tookMinutes) => {
        const schedule = toSchedule(kind);
        const next = nextRun(kind.expression, kind.timeZone, success, schedule.start ?? undefined)!;
        // Until the end of the next run, the last success is the one before.
        expect(judge(endedAt(success), schedule, later(next, tookMinutes)).minutesOverdue).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('comes at the latest 76 minutes after a time that brought no success, and then grows with the clock', () => {
    fc.assert(
      fc.property(schedules, fc.integer({ min: 0, max: 10_000 }), ({ kind, success }, more) => {
        const schedule = toSchedule(kind);
        const next = nextRun(kind.expression, kind.timeZone, success, schedule.start ?? undefined)!;
        const at = (minutes: number) => judge(endedAt(success), schedule, later(next, minutes)).minutesOverdue;
        expect(at(76)).toBeGreaterThanOrEqual(1);
        expect(at(76 + more)).toBe(at(76) + more);
      }),
      { numRuns: 300 },
    );
  });

  test('does not depend on runs that say nothing', () => {
    const noise = fc.array(
      fc.record({
        minutesAgo: fc.integer({ min: 0, max: 200 }),
        dryRun: fc.boolean(),
        status: fc.constantFrom<RunStatus>('succeeded', 'partial', 'failed', 'cancelled', 'running'),
      }),
    );
    fc.assert(
      fc.property(noise, fc.integer({ min: 0, max: 500 }), (drawn, successAgo) => {
        const silent = drawn
          .filter(({ dryRun, status }) => dryRun || status === 'cancelled' || status === 'running')
          .map(({ minutesAgo, ...over }) => aRun(minutesAgo, over));
        expect(judge([...silent, aRun(successAgo, withheld(1))])).toEqual(judge([aRun(successAgo, withheld(1))]));
      }),
    );
  });
});

describe('runs that say nothing', () => {
  const readFrom = async (runs: readonly Run[]) => {
    const list = async ({ limit, next = '0' }: RunQuery) => {
      const end = Number(next) + limit;
      return { items: runs.slice(Number(next), end), next: end < runs.length ? String(end) : null };
    };
    return await readNewestRuns({ list });
  };
  const times = (count: number, from: number, step: number, over: Partial<Run>): Run[] =>
    Array.from({ length: count }, (_, index) => aRun(from + index * step, over));

  test.each([0, 14, 24, 60])('do not end an overdue: after %i dry runs it is as it was', async (count) => {
    const day = 24 * 60;
    const partial = times(9, day, day, { status: 'partial' });
    const complete = aRun(10 * day);
    const older = times(300, 11 * day, day, {});
    const without = judgeHealth(NIGHTLY, await readFrom([...partial, complete, ...older]), NOW);

    const dry = times(count, 1, 1, { dryRun: true });
    const judged = judgeHealth(NIGHTLY, await readFrom([...dry, ...partial, complete, ...older]), NOW);

    expect(judged).toEqual(without);
    expect(judged.minutesOverdue).toBeGreaterThan(8 * day);
  });

  test('take back no line: a partial run waits with the complete one before, and unknown lines stay unknown', async () => {
    const complete = aRun(300, withheld(500));

    expect(judge([aRun(60, { status: 'partial' }), complete]).linesWaiting).toBe(500);
    expect(judge([aRun(60, { status: 'partial', ...withheld(3) }), aRun(120)]).linesWaiting).toBe(3);
    expect(judge([aRun(60), complete]).linesWaiting).toBe(0);
    const failed = await readFrom([...times(200, 5, 5, FAILED), complete]);
    expect(judgeHealth(aSchedule(), failed, NOW).linesWaiting).toBeNull();
  });
});

describe('the newest runs', () => {
  function pagesOf(runs: readonly Run[]) {
    let pages = 0;
    return {
      pages: () => pages,
      async list({ limit, next = '0' }: RunQuery) {
        pages += 1;
        const end = Number(next) + limit;
        return { items: runs.slice(Number(next), end), next: end < runs.length ? String(end) : null };
      },
    };
  }
  const dry = (count: number) => Array.from({ length: count }, (_, place) => aRun(place, { dryRun: true }));

  test('are read back to the last success and no further', async () => {
    const store = pagesOf([...dry(30), aRun(30), ...dry(100)]);

    const { items, next } = await readNewestRuns(store);

    expect(items).toHaveLength(50);
    expect(next).not.toBeNull();
    expect(store.pages()).toBe(2);
  });

  test('are at most two hundred, and it is told whether there are more', async () => {
    const many = pagesOf(dry(1_000));
    const few = pagesOf(dry(200));

    expect(await readNewestRuns(many)).toMatchObject({ items: { length: 200 }, next: '200' });
    expect(many.pages()).toBe(8);
    expect(await readNewestRuns(few)).toMatchObject({ items: { length: 200 }, next: null });
    expect(await readNewestRuns(pagesOf([]))).toEqual({ items: [], next: null });
  });
});
