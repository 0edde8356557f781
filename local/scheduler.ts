/**
 * A stand-in for EventBridge Scheduler: keeps schedules and fires their targets on time. Speaks the SDKs' REST-JSON and
 * checks no signature: it listens on this machine only. Knows nothing of the targets.
 * @see https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html
 */
import { randomUUID } from 'node:crypto';
import { ServiceError } from '../lib/errors.ts';
import { nextRun } from '../lib/settings/schedule.ts';
import { readBody, type RequestHandler } from './http-api.ts';
import { openState } from './kept-state.ts';
import { checkRequests } from './service-model.ts';
import { LOCAL_ACCOUNT, LOCAL_REGION } from './template.ts';

/** A schedule: the fields of CreateSchedule, as given. */
export interface Schedule {
  readonly Name: string;
  readonly GroupName: string;
  readonly ScheduleExpression: string;
  readonly FlexibleTimeWindow: { readonly Mode: 'OFF' | 'FLEXIBLE'; readonly MaximumWindowInMinutes?: number };
  readonly ScheduleExpressionTimezone?: string;
  readonly State?: 'ENABLED' | 'DISABLED';
  /** Epoch seconds: the first time of a rate. Default: one period after the schedule was set. */
  readonly StartDate?: number;
  readonly Target: {
    readonly Arn: string;
    readonly RoleArn: string;
    readonly Input?: string;
    readonly DeadLetterConfig?: { readonly Arn?: string };
  };
  /** Epoch seconds. */
  readonly CreationDate: number;
  readonly LastModificationDate: number;
}

/** The stand-in. */
export interface Scheduler {
  readonly handle: RequestHandler;
  /** The current schedules. */
  schedules(): readonly Schedule[];
  /** Stops all timers; no schedule fires any more. */
  stop(): Promise<void>;
}

/** What a due schedule starts, as which role, and where a failed start goes. */
export interface DueTarget {
  readonly arn: string;
  readonly roleArn: string;
  readonly input: string;
  readonly deadLetterArn: string | undefined;
}

/** Options of the stand-in. `fire` is called when a schedule is due. */
export interface SchedulerOptions {
  readonly fire: (target: DueTarget) => void;
  /** Where schedules are kept; without it they are in memory. */
  readonly folder?: string;
}

/** The body of CreateSchedule and UpdateSchedule; nothing in it is sure to be there. */
type Wish = Partial<Omit<Schedule, 'Target' | 'FlexibleTimeWindow'>> & {
  readonly Target?: Partial<Schedule['Target']>;
  readonly FlexibleTimeWindow?: Partial<Schedule['FlexibleTimeWindow']>;
  readonly ClientToken?: string;
};

interface State {
  groups: string[];
  schedules: Schedule[];
}

const LARGEST_BODY = 1024 * 1024;
/** Longest timer. Timers can't wait longer than 24 days, and the clock may be set meanwhile. */
const LONGEST_WAIT_MS = 60_000;
/** How far in the past a StartDate may be. */
const STALE_START_MS = 5 * 60_000;
const PATH = /^\/(schedules|schedule-groups)\/([^/]+)$/u;

class Refusal extends Error {
  readonly status: number;
  readonly type: string;

  constructor(status: number, type: string, message: string) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

/** The target as it is started. */
export function toDueTarget({ Arn, RoleArn, Input = '{}', DeadLetterConfig }: Schedule['Target']): DueTarget {
  return { arn: Arn, roleArn: RoleArn, input: Input, deadLetterArn: DeadLetterConfig?.Arn };
}

/** Starts with the kept schedules. Times that passed while nothing ran are not made up for. */
export function createScheduler({ fire, folder }: SchedulerOptions): Scheduler {
  const { document, save } = openState<State>(folder, 'schedules.json', { groups: ['default'], schedules: [] });
  const timers = new Map<string, NodeJS.Timeout>();
  /** What was asked with a ClientToken, and the answer. */
  const answered = new Map<string, { readonly request: string; readonly answer: unknown }>();
  let stopped = false;

  /** `after`: the time that the next one follows, so that a late timer does not delay those after it. */
  function arm(schedule: Schedule, after: Date): void {
    const key = keyOf(schedule);
    clearTimeout(timers.get(key));
    timers.delete(key);
    if (stopped || schedule.State === 'DISABLED') return;
    const { ScheduleExpression, ScheduleExpressionTimezone = 'UTC', StartDate } = schedule;
    const start = StartDate === undefined ? undefined : new Date(StartDate * 1_000);
    const due = nextRun(ScheduleExpression, ScheduleExpressionTimezone, after, start);
    if (due === null) return;
    const wait = (): void => {
      const restMs = due.getTime() - Date.now();
      if (restMs > 0) {
        timers.set(key, setTimeout(wait, Math.min(restMs, LONGEST_WAIT_MS)));
        return;
      }
      fire(toDueTarget(schedule.Target));
      // After the machine has slept, missed times count once.
      arm(schedule, restMs < -LONGEST_WAIT_MS ? new Date() : due);
    };
    wait();
  }

  function indexOf(group: string, name: string): number {
    return document.schedules.findIndex((schedule) => schedule.GroupName === group && schedule.Name === name);
  }

  function found(group: string, name: string): number {
    const index = indexOf(group, name);
    if (index < 0) throw missing(`Schedule ${name}`);
    return index;
  }

  /**
   * Answers a request that was answered before, known by its token, in the same way without doing it again. Unverified:
   * AWS says that the token makes a request idempotent; that another request with it is a conflict, it says of other
   * services.
   * @see https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html (ClientToken)
   * @see https://aws.amazon.com/builders-library/making-retries-safe-with-idempotent-APIs/
   */
  function once(token: string | undefined, request: string, act: () => unknown): unknown {
    const before = token === undefined ? undefined : answered.get(token);
    if (before !== undefined && before.request !== request) {
      throw new Refusal(409, 'ConflictException', 'The client token belongs to another request.');
    }
    const answer = before?.answer ?? act();
    if (token !== undefined) answered.set(token, { request, answer });
    return answer;
  }

  function put(name: string, { ClientToken: _token, ...body }: Wish, exists: boolean): unknown {
    const group = body.GroupName ?? 'default';
    if (!document.groups.includes(group)) throw missing(`Schedule group ${group}`);
    const index = exists ? found(group, name) : indexOf(group, name);
    if (!exists && index >= 0) throw new Refusal(409, 'ConflictException', `Schedule ${name} already exists.`);
    const schedule = { ...body, Name: name, GroupName: group } as Schedule;
    requireTimes(schedule);
    const changed = Date.now() / 1_000;
    const kept = {
      ...schedule,
      State: schedule.State ?? 'ENABLED',
      ScheduleExpressionTimezone: schedule.ScheduleExpressionTimezone ?? 'UTC',
      CreationDate: document.schedules[index]?.CreationDate ?? changed,
      LastModificationDate: changed,
    };
    document.schedules.splice(exists ? index : document.schedules.length, exists ? 1 : 0, kept);
    save();
    arm(kept, new Date());
    return { ScheduleArn: arnOf(kept) };
  }

  function remove(group: string, name: string): unknown {
    const [schedule] = document.schedules.splice(found(group, name), 1) as [Schedule];
    save();
    arm({ ...schedule, State: 'DISABLED' }, new Date());
    return {};
  }

  function putGroup(name: string): unknown {
    if (document.groups.includes(name)) {
      throw new Refusal(409, 'ConflictException', `Schedule group ${name} already exists.`);
    }
    document.groups.push(name);
    save();
    return { ScheduleGroupArn: `arn:aws:scheduler:${LOCAL_REGION}:${LOCAL_ACCOUNT}:schedule-group/${name}` };
  }

  function get(group: string, name: string): unknown {
    const schedule = document.schedules[found(group, name)]!;
    return { ...schedule, Arn: arnOf(schedule) };
  }

  for (const schedule of document.schedules) arm(schedule, new Date());

  return {
    schedules: () => document.schedules,
    async stop() {
      stopped = true;
      for (const timer of timers.values()) clearTimeout(timer);
    },
    handle: checkRequests('scheduler', async (request, response) => {
      const answer = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
        const common = { 'content-type': 'application/json', 'x-amzn-requestid': randomUUID() };
        response.writeHead(status, { ...common, ...headers }).end(JSON.stringify(body));
      };
      try {
        const bytes = await readBody(request, LARGEST_BODY);
        const url = new URL(request.url ?? '/', 'http://localhost');
        const [, kind, encoded] = PATH.exec(url.pathname) ?? [];
        const name = decodeURIComponent(encoded ?? '');
        const text = bytes?.toString('utf8') || '{}';
        const body = JSON.parse(text) as Wish;
        const group = url.searchParams.get('groupName') ?? 'default';
        const asked = `${request.method} ${url.pathname} ${text}`;
        switch (`${request.method} ${kind}`) {
          case 'GET schedules':
            return answer(200, get(group, name));
          case 'POST schedules':
          case 'PUT schedules':
            return answer(
              200,
              once(body.ClientToken, asked, () => put(name, body, request.method === 'PUT')),
            );
          case 'DELETE schedules':
            return answer(200, remove(group, name));
          case 'POST schedule-groups':
            return answer(200, putGroup(name));
        }
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        answer(error.status, { Message: error.message }, { 'x-amzn-errortype': error.type });
      }
    }),
  };
}

/**
 * Refuses times that Scheduler does not take. The words before the colon are AWS's own, as people report them.
 * @see https://github.com/localstack/localstack/issues/9284
 * @see https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html (StartDate)
 */
function requireTimes({
  ScheduleExpression: expression,
  ScheduleExpressionTimezone: zone = 'UTC',
  StartDate,
}: Schedule): void {
  try {
    nextRun(expression, zone, new Date());
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new Refusal(400, 'ValidationException', `Invalid Schedule Expression ${expression}: ${error.message}`);
  }
  if (StartDate !== undefined && StartDate * 1_000 < Date.now() - STALE_START_MS) {
    throw new Refusal(400, 'ValidationException', 'The StartDate you specify cannot be earlier than 5 minutes ago.');
  }
}

function missing(what: string): Refusal {
  return new Refusal(404, 'ResourceNotFoundException', `${what} does not exist.`);
}

function arnOf({ GroupName, Name }: Schedule): string {
  return `arn:aws:scheduler:${LOCAL_REGION}:${LOCAL_ACCOUNT}:schedule/${GroupName}/${Name}`;
}

function keyOf({ GroupName, Name }: Schedule): string {
  return `${GroupName}/${Name}`;
}
