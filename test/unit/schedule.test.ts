import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  expressionFault,
  firstRun,
  nextRun,
  nextRuns,
  scheduleFault,
  timeZoneFault,
} from '../../lib/settings/schedule.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Zones with clock changes of an hour, of half an hour, at midnight, and without any. */
const ZONES = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Cairo', 'Asia/Kathmandu', 'UTC'];

/** What the wall clock shows, to the minute, computed independently of the product. */
const CLOCKS = new Map(
  ZONES.map((timeZone) => [
    timeZone,
    new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' }),
  ]),
);
function wallClock(instant: number, timeZone: string): string {
  return CLOCKS.get(timeZone)!.format(instant);
}

/** Finds the next run by trying every minute. */
function nextByTrial(minutes: number[], hours: number[], timeZone: string, after: number): number | null {
  const first = Math.floor(after / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
  for (let instant = first; instant < first + 3 * DAY_MS; instant += MINUTE_MS) {
    const local = wallClock(instant, timeZone);
    if (!hours.includes(Number(local.slice(11, 13))) || !minutes.includes(Number(local.slice(14, 16)))) continue;
    const isRepeated = [30, 60].some((back) => wallClock(instant - back * MINUTE_MS, timeZone) === local);
    if (!isRepeated) return instant;
  }
  return null;
}

function throws(call: () => unknown): boolean {
  try {
    call();
    return false;
  } catch {
    return true;
  }
}

const someOf = (max: number, maxLength: number) =>
  fc.uniqueArray(fc.integer({ min: 0, max }), { minLength: 1, maxLength });

describe('a rate', () => {
  test('comes again after its period, however the clocks change', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 500 }),
        fc.constantFrom(['minutes', 1] as const, ['hours', 60] as const, ['days', 24 * 60] as const),
        fc.constantFrom(...ZONES),
        fc.date({ min: new Date('1990-01-01'), max: new Date('2090-01-01'), noInvalidDate: true }),
        (value, [unit, minutes], zone, after) => {
          const next = nextRun(`rate(${value} ${unit})`, zone, after);

          expect(next!.getTime() - after.getTime()).toBe(value * minutes * MINUTE_MS);
        },
      ),
    );
  });

  test.each(['rate(1 minute)', 'rate(1 hour)', 'rate(1 day)', 'rate(15 minutes)', 'rate( 2  days )'])(
    '%s is taken',
    (expression) => {
      expect(expressionFault(expression)).toBeNull();
    },
  );

  test.each([
    ['rate(0 minutes)', /whole number/],
    ['rate(-1 hours)', /whole number/],
    ['rate(1.5 hours)', /whole number/],
    ['rate(1 hours)', /write rate\(1 hour\)/],
    ['rate(2 hour)', /write rate\(2 hours\)/],
    ['rate(2 weeks)', /minutes, hours or days/],
    ['rate 2 hours', /must be rate/],
    ['at(2030-01-01T00:00:00)', /only once/],
    ['', /must be rate/],
  ])('%s is refused with a sentence that helps', (expression, message) => {
    expect(expressionFault(expression)).toMatch(message);
  });
});

describe('a cron expression', () => {
  test('comes at the first minute that shows one of its times for the first time', () => {
    const around = fc.constantFrom(
      '2026-03-28',
      '2026-10-24',
      '2026-11-01',
      '2026-03-07',
      '2026-04-04',
      '2026-10-03',
      '2026-04-23',
      '2026-10-29',
    );
    fc.assert(
      fc.property(
        someOf(59, 3),
        someOf(23, 4),
        fc.constantFrom(...ZONES),
        around,
        fc.integer({ min: 0, max: 2 * DAY_MS }),
        (minutes, hours, zone, day, offset) => {
          const after = Date.parse(`${day}T00:00:00Z`) + offset;

          const next = nextRun(`cron(${minutes.join()} ${hours.join()} * * ? *)`, zone, new Date(after));

          expect(next?.getTime() ?? null).toBe(nextByTrial(minutes, hours, zone, after));
        },
      ),
      { numRuns: 100 },
    );
  });

  test('skips a time that the clocks skip', () => {
    const next = nextRun('cron(30 2 * * ? *)', 'America/Los_Angeles', new Date('2026-03-07T20:00:00Z'));

    expect(next).toEqual(new Date('2026-03-09T09:30:00Z'));
  });

  test('comes once at a time that the clocks repeat', () => {
    const first = nextRun('cron(30 1 * * ? *)', 'America/Los_Angeles', new Date('2026-11-01T00:00:00Z'));
    const second = nextRun('cron(30 1 * * ? *)', 'America/Los_Angeles', first!);

    expect(first).toEqual(new Date('2026-11-01T08:30:00Z'));
    expect(second).toEqual(new Date('2026-11-02T09:30:00Z'));
  });

  test.each([
    ['the last day of the month', 'cron(0 6 L * ? *)', '2026-02-01', '2026-02-28T06:00Z'],
    ['the last day of a leap February', 'cron(0 6 L FEB ? *)', '2027-03-01', '2028-02-29T06:00Z'],
    ['the last Friday', 'cron(15 10 ? * 6L *)', '2026-11-01', '2026-11-27T10:15Z'],
    ['the second Tuesday', 'cron(0 8 ? * 3#2 *)', '2026-11-01', '2026-11-10T08:00Z'],
    ['a fifth Monday, which most months lack', 'cron(0 0 ? * MON#5 *)', '2026-12-01', '2027-03-29T00:00Z'],
    ['the workday before a Saturday', 'cron(0 0 15W * ? *)', '2026-08-01', '2026-08-14T00:00Z'],
    ['the workday after a Sunday', 'cron(0 0 15W * ? *)', '2026-11-01', '2026-11-16T00:00Z'],
    ['the Monday after a first that is a Saturday', 'cron(0 0 1W * ? *)', '2026-07-15', '2026-08-03T00:00Z'],
    ['the Friday before a last that is a Sunday', 'cron(0 0 31W * ? *)', '2026-05-01', '2026-05-29T00:00Z'],
    ['no 31st workday where there is no 31st', 'cron(0 0 31W * ? *)', '2026-06-01', '2026-07-31T00:00Z'],
    ['the last day of the week', 'cron(0 0 ? * L *)', '2026-11-23', '2026-11-28T00:00Z'],
    ['workdays by name', 'cron(0 9 ? * MON-FRI *)', '2026-11-27T12:00', '2026-11-30T09:00Z'],
    ['every tenth minute from the first', 'cron(1/10 * * * ? *)', '2026-11-23T00:12', '2026-11-23T00:21Z'],
    ['a step within a range', 'cron(0 8-18/5 * * ? *)', '2026-11-23T14:00', '2026-11-23T18:00Z'],
    ['a year still to come', 'cron(0 0 1 1 ? 2030-2031)', '2026-11-23', '2030-01-01T00:00Z'],
    ['without a year', 'cron(0 0 1 1 ?)', '2026-11-23', '2027-01-01T00:00Z'],
  ])('finds %s', (_what, expression, after, expected) => {
    expect(nextRun(expression, 'UTC', new Date(`${after.padEnd(16, 'T00:00')}Z`))).toEqual(new Date(expected));
  });

  test('has no next time when its years are over', () => {
    expect(nextRun('cron(0 0 * * ? 2020)', 'UTC', new Date('2026-01-01'))).toBeNull();
  });

  test.each([
    ['cron(0 0 * * * *)', /exactly one/],
    ['cron(0 0 ? * ? *)', /exactly one/],
    ['cron(60 0 * * ? *)', /minutes value "60" must be within 0-59/],
    ['cron(0 24 * * ? *)', /hours value "24"/],
    ['cron(0 0 0 * ? *)', /day-of-month value "0"/],
    ['cron(0 0 * 13 ? *)', /month value "13" must be within 1-12 or JAN-DEC/],
    ['cron(0 0 ? * 8 *)', /day-of-week value "8"/],
    ['cron(0 0 ? * MON#6 *)', /day-of-week/],
    ['cron(0 0 ? * 3#1,6#3 *)', /day-of-week/],
    ['cron(0 0 L,15 * ? *)', /day-of-month/],
    ['cron(0 0 * * ? 2200)', /year value "2200"/],
    ['cron(0/0 0 * * ? *)', /step/],
    ['cron(0 22-2 * * ? *)', /ends before it begins/],
    ['cron(0 0 * *)', /six fields/],
    ['cron(, 0 * * ? *)', /minutes field "," is malformed/],
    ['cron(0 0 30 FEB ? *)', /must match a day that exists/],
  ])('%s is refused with a sentence that helps', (expression, message) => {
    expect(expressionFault(expression)).toMatch(message);
  });

  test('is never read without end, whatever it says', () => {
    const field = fc.constantFrom('*', '?', 'L', '31W', '29', 'FEB', '2-4', '*/7', '5#5', '6L', '2199', '0', 'x', ',');
    fc.assert(
      fc.property(fc.array(field, { minLength: 4, maxLength: 7 }), fc.constantFrom(...ZONES), (fields, zone) => {
        const expression = `cron(${fields.join(' ')})`;
        const after = new Date('2026-11-23T04:15:00Z');

        const isRefused = scheduleFault(expression, zone) !== null;
        const next = isRefused ? null : nextRun(expression, zone, after);

        expect(next === null || next > after).toBe(true);
        expect(throws(() => nextRun(expression, zone, after))).toBe(isRefused);
      }),
    );
  });
});

describe('the next runs', () => {
  const AFTER = new Date('2026-10-24T00:00:00Z');

  test('of a cron expression are at its time of day, also beyond a change of the clocks', () => {
    const berlin = { enabled: true, expression: 'cron(0 3 * * ? *)', timeZone: 'Europe/Berlin', start: null };
    const newYork = { ...berlin, timeZone: 'America/New_York' };

    const times = (schedule: typeof berlin) => nextRuns(schedule, AFTER, 3)!.map((run) => run.toISOString());

    expect(times(berlin)).toEqual(['2026-10-24T01:00:00.000Z', '2026-10-25T02:00:00.000Z', '2026-10-26T02:00:00.000Z']);
    expect(times(newYork)).toEqual([
      '2026-10-24T07:00:00.000Z',
      '2026-10-25T07:00:00.000Z',
      '2026-10-26T07:00:00.000Z',
    ]);
  });

  test('of a rate are its start and the multiples of its period after it, whenever they are asked for', () => {
    const start = firstRun('rate(7 hours)', new Date('2026-10-20T09:59:59.999Z'))!;
    const rate = { enabled: true, expression: 'rate(7 hours)', timeZone: 'Europe/Berlin', start };

    const all = nextRuns(rate, new Date(0), 200)!.map((run) => run.getTime());

    expect(start).toEqual(new Date('2026-10-20T17:00:00Z'));
    expect(all).toEqual(Array.from({ length: 200 }, (_, index) => start.getTime() + index * 7 * 60 * MINUTE_MS));
    fc.assert(
      fc.property(fc.integer({ min: all[0]!, max: all.at(-6)! }), (after) => {
        const next = nextRuns(rate, new Date(after), 5)!.map((run) => run.getTime());

        expect(next).toEqual(all.filter((run) => run > after).slice(0, 5));
      }),
    );
  });

  test.each([
    ['none of a schedule that is disabled', { enabled: false }, []],
    ['none of one whose years are over', { expression: 'cron(0 0 * * ? 2020)' }, []],
    ['those that are left of one whose years end', { expression: 'cron(0 0 31 12 ? 2026)' }, [new Date('2026-12-31')]],
    [
      'none that no calendar goes to',
      { expression: 'rate(999999 days)', start: new Date('2026-10-25') },
      [new Date('2026-10-25')],
    ],
    ['unknown of a rate without a start', { expression: 'rate(1 hour)' }, null],
    ['unknown of what only the scheduler understands', { expression: 'at(2026-12-01T00:00:00)' }, null],
  ])('are %s', (_what, over, expected) => {
    const schedule = { enabled: true, expression: 'cron(0 0 * * ? *)', timeZone: 'UTC', start: null, ...over };

    expect(nextRuns(schedule, AFTER, 5)).toEqual(expected);
  });

  test('of what is no rate have no start', () => {
    expect(firstRun('cron(0 3 * * ? *)', AFTER)).toBeNull();
    expect(firstRun('every full moon', AFTER)).toBeNull();
  });
});

describe('a time zone', () => {
  test.each([...ZONES, 'Etc/GMT+5', 'America/Argentina/Buenos_Aires'])('%s is known', (zone) => {
    expect(timeZoneFault(zone)).toBeNull();
  });

  test.each(['', 'Berlin', '+02:00', 'europe/berlin', 'Mars/Olympus_Mons', 'UTC '])('"%s" is refused', (zone) => {
    expect(timeZoneFault(zone)).toMatch(/Europe\/Berlin/);
  });
});
