/**
 * The schedule of the synchronisation: validates the expressions of EventBridge Scheduler before they are saved, and
 * computes their next times. Knows no scheduler; only the calendar and the time zones of Intl.
 *
 * @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
 */
import { ServiceError } from '../errors.ts';

/** The schedule in effect, which may differ from the one in the settings. */
export interface WorkingSchedule {
  readonly enabled: boolean;
  readonly expression: string;
  readonly timeZone: string;
  /** The first time of a rate, from which the others are counted; null for a cron expression, and if unknown. */
  readonly start: Date | null;
  /** When the schedule was last set; null if unknown. */
  readonly setAt: Date | null;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const UNIT_MS: Readonly<Record<string, number>> = { minute: MINUTE_MS, hour: 60 * MINUTE_MS, day: DAY_MS };

const FIRST_YEAR = 1970;
const LAST_YEAR = 2199;
const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Names of the values, starting at `min`. */
  readonly names?: readonly string[];
}

const MINUTES: Field = { name: 'minutes', min: 0, max: 59 };
const HOURS: Field = { name: 'hours', min: 0, max: 23 };
const DAY_OF_MONTH: Field = { name: 'day-of-month', min: 1, max: 31 };
const MONTH: Field = { name: 'month', min: 1, max: 12, names: MONTHS };
const DAY_OF_WEEK: Field = { name: 'day-of-week', min: 1, max: 7, names: WEEKDAYS };
const YEAR: Field = { name: 'year', min: FIRST_YEAR, max: LAST_YEAR };

/** A calendar day; `weekday` counts from 1 (Sunday), `length` is the number of days in its month. */
interface Day {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly length: number;
}

type DayRule = (day: Day) => boolean;

type Schedule =
  | { readonly kind: 'rate'; readonly periodMs: number }
  | {
      readonly kind: 'cron';
      /** Ascending. */
      readonly minutes: readonly number[];
      /** Ascending. */
      readonly hours: readonly number[];
      readonly months: ReadonlySet<number>;
      readonly years: ReadonlySet<number>;
      readonly isDay: DayRule;
    };

class ScheduleFault {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

/**
 * What is wrong with an expression, worded for an administrator; null if EventBridge Scheduler accepts it and it
 * matches at least one time. One-time schedules (`at(...)`) are refused, because the synchronisation would end with
 * them.
 */
export function expressionFault(expression: string): string | null {
  try {
    const schedule = parseExpression(expression);
    if (schedule.kind === 'cron' && days(schedule, Date.UTC(FIRST_YEAR, 0, 1)).next().done) {
      return 'must match a day that exists';
    }
    return null;
  } catch (fault) {
    if (!(fault instanceof ScheduleFault)) throw fault;
    return fault.message;
  }
}

/** What is wrong with the name of a time zone; null if it is an IANA name or `UTC`. */
export function timeZoneFault(timeZone: string): string | null {
  const message = 'is not an IANA time zone; write a name such as Europe/Berlin or UTC';
  // Intl also accepts offsets and any letter case; EventBridge Scheduler does not.
  if (!/^[A-Z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/.test(timeZone)) return message;
  try {
    zoneClock(timeZone);
    return null;
  } catch {
    return message;
  }
}

/** The fault of the expression or, if it has none, of the time zone; null if both are valid. */
export function scheduleFault(expression: string, timeZone: string): string | null {
  const zone = timeZoneFault(timeZone);
  return expressionFault(expression) ?? (zone && `"${timeZone}" ${zone}`);
}

/**
 * The first time of a rate that is set now: one period later, rounded up to a full minute, because schedulers are no
 * more precise. null for anything but a rate: a cron expression contains its times.
 */
export function firstRun(expression: string, now: Date): Date | null {
  const schedule = expressionFault(expression) === null ? parseExpression(expression) : null;
  if (schedule?.kind !== 'rate') return null;
  return new Date(Math.ceil((now.getTime() + schedule.periodMs) / MINUTE_MS) * MINUTE_MS);
}

/**
 * The next times at which a schedule starts a run: at most `count`, none after the last year of cron expressions; empty
 * if the schedule is disabled. null if they are unknown: for a rate without a known start, and for a schedule that
 * scheduleFault refuses.
 */
export function nextRuns(schedule: Omit<WorkingSchedule, 'setAt'>, after: Date, count: number): readonly Date[] | null {
  const { enabled, expression, timeZone, start } = schedule;
  if (!enabled) return [];
  if (scheduleFault(expression, timeZone) !== null) return null;
  if (parseExpression(expression).kind === 'rate' && start === null) return null;
  const runs: Date[] = [];
  while (runs.length < count) {
    const next = nextRun(expression, timeZone, runs.at(-1) ?? after, start ?? undefined);
    if (next === null || next.getUTCFullYear() > LAST_YEAR) break;
    runs.push(next);
  }
  return runs;
}

/**
 * The first time of the expression after `after`; null if there is none. A rate comes at `start` and every period after
 * it; its days have 24 hours. A local time that the clocks skip is skipped; a local time that they repeat counts once,
 * the first time.
 *
 * @throws ServiceError `invalidRequest` for a schedule that scheduleFault refuses
 */
export function nextRun(expression: string, timeZone: string, after: Date, start: Date = after): Date | null {
  const fault = scheduleFault(expression, timeZone);
  if (fault !== null) throw new ServiceError('invalidRequest', `schedule: ${fault}`);
  const schedule = parseExpression(expression);
  if (schedule.kind === 'rate') {
    if (start > after) return start;
    const periods = Math.floor((after.getTime() - start.getTime()) / schedule.periodMs) + 1;
    return new Date(start.getTime() + periods * schedule.periodMs);
  }

  const clock = zoneClock(timeZone);
  const localAfter = clock(after.getTime());
  for (const midnight of days(schedule, localAfter)) {
    for (const hour of schedule.hours) {
      for (const minute of schedule.minutes) {
        const local = midnight + (hour * 60 + minute) * MINUTE_MS;
        // Local times, each taken at its first occurrence, are in the same order as their instants. So a local time
        // that is not later is not a later instant either.
        if (local <= localAfter) continue;
        const instant = firstInstant(clock, local);
        if (instant !== null && instant > after.getTime()) return new Date(instant);
      }
    }
  }
  return null;
}

function parseExpression(expression: string): Schedule {
  const [, kind, body] = /^(rate|cron|at)\((.*)\)$/s.exec(expression.trim()) ?? [];
  if (kind === 'rate') return parseRate(body!);
  if (kind === 'cron') return parseCron(body!);
  if (kind === 'at') throw new ScheduleFault('would run only once; use rate(...) or cron(...)');
  throw new ScheduleFault('must be rate(value unit) or cron(minutes hours day-of-month month day-of-week year)');
}

function parseRate(body: string): Schedule {
  const match = /^\s*(?<value>[1-9]\d{0,5})\s+(?<unit>minute|hour|day)(?<plural>s?)\s*$/.exec(body)?.groups;
  if (!match)
    throw new ScheduleFault(
      'a rate needs a whole number from 1 and a unit (minutes, hours or days), as in rate(2 hours)',
    );
  const value = Number(match['value']);
  if ((value === 1) === (match['plural'] === 's')) {
    throw new ScheduleFault(`write rate(${value} ${match['unit']}${value === 1 ? '' : 's'})`);
  }
  return { kind: 'rate', periodMs: value * UNIT_MS[match['unit']!]! };
}

function parseCron(body: string): Schedule {
  const fields = body.trim().split(/\s+/);
  if (fields.length < 5 || fields.length > 6) {
    throw new ScheduleFault('cron needs six fields: minutes hours day-of-month month day-of-week year');
  }
  const [minutes, hours, dayOfMonth, month, dayOfWeek, year = '*'] = fields as [string, string, string, string, string];
  if ((dayOfMonth === '?') === (dayOfWeek === '?')) {
    throw new ScheduleFault('exactly one of day-of-month and day-of-week must be "?"');
  }
  return {
    kind: 'cron',
    minutes: [...parseList(MINUTES, minutes)].sort((one, other) => one - other),
    hours: [...parseList(HOURS, hours)].sort((one, other) => one - other),
    months: parseList(MONTH, month),
    years: parseList(YEAR, year),
    isDay: dayOfWeek === '?' ? parseDayOfMonth(dayOfMonth) : parseDayOfWeek(dayOfWeek),
  };
}

function parseDayOfMonth(text: string): DayRule {
  if (text === 'L') return ({ day, length }) => day === length;
  const nearest = /^(\d+)W$/.exec(text)?.[1];
  if (nearest !== undefined) {
    const target = parseValue(DAY_OF_MONTH, nearest);
    return (day) => day.day === nearestWorkday(target, day);
  }
  const wanted = parseList(DAY_OF_MONTH, text);
  return ({ day }) => wanted.has(day);
}

/** The day from Monday to Friday nearest to `target` in the month of `day`; undefined if the month is too short. */
function nearestWorkday(target: number, { day, weekday, length }: Day): number | undefined {
  if (target > length) return undefined;
  const targetWeekday = ((((weekday - 1 + target - day) % 7) + 7) % 7) + 1;
  if (targetWeekday === 7) return target === 1 ? 3 : target - 1;
  if (targetWeekday === 1) return target === length ? target - 2 : target + 1;
  return target;
}

function parseDayOfWeek(text: string): DayRule {
  if (text === 'L') return ({ weekday }) => weekday === 7;
  const last = /^(\w+)L$/.exec(text)?.[1];
  if (last !== undefined) {
    const wanted = parseValue(DAY_OF_WEEK, last);
    return ({ weekday, day, length }) => weekday === wanted && day > length - 7;
  }
  const [, instance, count] = /^(\w+)#([1-5])$/.exec(text) ?? [];
  if (instance !== undefined) {
    const wanted = parseValue(DAY_OF_WEEK, instance);
    return ({ weekday, day }) => weekday === wanted && Math.ceil(day / 7) === Number(count);
  }
  const wanted = parseList(DAY_OF_WEEK, text);
  return ({ weekday }) => wanted.has(weekday);
}

/** Parses `*`, values and ranges, separated by commas, each with an optional step after `/`. */
function parseList(field: Field, text: string): Set<number> {
  const values = new Set<number>();
  for (const item of text.split(',')) {
    const match = /^(?:(?<all>\*)|(?<from>\w+)(?:-(?<to>\w+))?)(?:\/(?<step>\d+))?$/.exec(item)?.groups;
    if (!match) throw new ScheduleFault(`the ${field.name} field "${text}" is malformed`);
    const { from, to } = match;
    const first = from === undefined ? field.min : parseValue(field, from);
    const lone = from !== undefined && to === undefined && match['step'] === undefined;
    const last = to === undefined ? (lone ? first : field.max) : parseValue(field, to);
    if (last < first)
      throw new ScheduleFault(`the ${field.name} range "${item}" ends before it begins; write two ranges`);
    const step = Number(match['step'] ?? 1);
    if (step < 1) throw new ScheduleFault(`the step in the ${field.name} field "${item}" must be at least 1`);
    for (let value = first; value <= last; value += step) values.add(value);
  }
  return values;
}

function parseValue({ name, min, max, names }: Field, text: string): number {
  const named = names?.indexOf(text.toUpperCase()) ?? -1;
  const value = named >= 0 ? min + named : /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  const orNames = names ? ` or ${names[0]}-${names.at(-1)}` : '';
  throw new ScheduleFault(`the ${name} value "${text}" must be within ${min}-${max}${orNames}`);
}

/**
 * The days that a cron expression matches, each as its midnight, from the day of `local` on. Local times are
 * represented as if they were UTC.
 */
function* days(schedule: Extract<Schedule, { kind: 'cron' }>, local: number): Generator<number, undefined> {
  const start = new Date(local);
  for (let year = Math.max(start.getUTCFullYear(), FIRST_YEAR); year <= LAST_YEAR; year += 1) {
    if (!schedule.years.has(year)) continue;
    for (const month of [...schedule.months].sort((one, other) => one - other)) {
      const length = new Date(Date.UTC(year, month, 0)).getUTCDate();
      for (let day = 1; day <= length; day += 1) {
        const midnight = Date.UTC(year, month - 1, day);
        if (midnight + DAY_MS <= local) continue;
        const weekday = new Date(midnight).getUTCDay() + 1;
        if (schedule.isDay({ year, month, day, weekday, length })) yield midnight;
      }
    }
  }
  return undefined;
}

/** Converts an instant to the local time of a zone, represented as if it were UTC. */
type ZoneClock = (instant: number) => number;

function zoneClock(timeZone: string): ZoneClock {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return (instant) => {
    const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]));
    const { year, month, day, hour, minute, second } = parts as Record<Intl.DateTimeFormatPartTypes, number>;
    return Date.UTC(year, month - 1, day, hour, minute, second);
  };
}

/** The first instant at which the clocks show `local`; null if they skip it. */
function firstInstant(clock: ZoneClock, local: number): number | null {
  // Only the offsets of the day before and the day after are possible: clocks do not change more often.
  for (const near of [local - DAY_MS, local + DAY_MS]) {
    const instant = local - (clock(near) - near);
    if (clock(instant) === local) return instant;
  }
  return null;
}
