/** Which attempts are admitted, what they write, and what is left of them. On the stores in memory. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { RejectionReason } from '../../lib/directory/directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import type { LoginStore } from '../../lib/login/login-store.ts';
import { countsAsFailure, createThrottle, sourceHash } from '../../lib/login/throttle.ts';
import type { Admission, Verdict } from '../../lib/login/throttle.ts';
import type { User } from '../../lib/user/user.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { aUser, NOW } from '../support/people.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const ANNA = aUser();

let time: number;
let stored: LoginStore;
let logins: LoginStore;
/** Requests to the store, by method. */
let asked: Record<string, number>;

beforeEach(() => {
  time = NOW.getTime();
  stored = createMemoryStores({ now: () => new Date(time) }).logins;
  asked = {};
  logins = counting(stored);
});

function counting(store: LoginStore): LoginStore {
  return new Proxy(store, {
    get(target, name: keyof LoginStore) {
      return (...args: never[]) => {
        asked[name] = (asked[name] ?? 0) + 1;
        return (target[name] as (...all: never[]) => unknown)(...args);
      };
    },
  });
}

interface Asking {
  readonly userName?: string;
  readonly user?: User | null;
  readonly source?: string | null;
  readonly store?: LoginStore;
}

let ids = 0;

async function ask({ userName = 'anna', user = ANNA, source = 'stranger', store = logins }: Asking = {}) {
  const throttle = createThrottle({
    logins: store,
    clock: { now: () => new Date(time) },
    newId: () => `id-${(ids += 1)}`,
  });
  const { attempts } = await store.find(userName, source);
  return await throttle.admit({ userName, user, source, found: attempts });
}

async function attempt(verdict: Verdict, asking: Asking = {}): Promise<Admission['kind']> {
  const admission = await ask(asking);
  if (admission.kind === 'admitted') await admission.settle(verdict);
  return admission.kind;
}

async function attempts(count: number, verdict: Verdict, asking: Asking = {}): Promise<Admission['kind'][]> {
  const kinds: Admission['kind'][] = [];
  for (let each = 0; each < count; each += 1) kinds.push(await attempt(verdict, asking));
  return kinds;
}

const admitted = (count: number) => Array.from({ length: count }, () => 'admitted');
const recordOf = async (userName = 'anna') => (await stored.find(userName, null)).attempts.name;

/** Logs in from these sources, and forgets what that cost. */
async function knowing(...sources: readonly string[]): Promise<void> {
  for (const source of sources) expect(await attempt('accepted', { source })).toBe('admitted');
  asked = {};
}

const NOTHING = { revision: expect.any(String), attempts: [], known: {}, userId: null, expiresAt: expect.any(Number) };

describe('unknown sources', () => {
  test('have five attempts in 15 minutes together, and then wait until the first of them is that old', async () => {
    for (const source of ['a', 'b', null, 'c', 'd']) {
      expect(await attempt('refused', { source })).toBe('admitted');
      time += MINUTE_MS;
    }

    expect(await ask({ source: 'e' })).toEqual({ kind: 'throttled', waitMs: 10 * MINUTE_MS });
    time -= MINUTE_MS;
    expect(await ask({ source: 'e' })).toEqual({ kind: 'throttled', waitMs: 11 * MINUTE_MS });
    time += MINUTE_MS;
    expect(await ask({ source: null })).toEqual({ kind: 'throttled', waitMs: 10 * MINUTE_MS });
    time += 10 * MINUTE_MS - 1;
    expect(await attempt('refused')).toBe('throttled');
    time += 1;
    expect(await attempts(2, 'refused')).toEqual(['admitted', 'throttled']);
  });

  test('get five of 500 parallel attempts at a fresh name', async () => {
    const admissions = await Promise.all(
      Array.from({ length: 500 }, (_, each) => ask({ user: null, source: `source-${each}` })),
    );

    expect(admissions.filter(({ kind }) => kind === 'admitted')).toHaveLength(5);
    expect(new Set(admissions.map(({ kind }) => kind))).toEqual(new Set(['admitted', 'throttled']));
  });

  test('get no more than five at any moment while 10,000 of them guess, and the record stays small', async () => {
    const times: number[] = [];
    for (let guess = 0; guess < 10_000; guess += 1) {
      if ((await attempt('refused', { source: `source-${guess}` })) === 'admitted') times.push(time);
      time += 500;
    }

    for (const start of times) {
      expect(times.filter((at) => at >= start && at < start + 15 * MINUTE_MS).length).toBeLessThanOrEqual(5);
    }
    expect(times).toHaveLength(30);
    expect(JSON.stringify(await recordOf()).length).toBeLessThan(1_000);
  });

  test('that are in flight ask for patience of a second, not of 15 minutes', async () => {
    const admissions = await Promise.all(Array.from({ length: 6 }, () => ask({ source: null })));

    expect(admissions.filter(({ kind }) => kind === 'throttled')).toEqual([{ kind: 'throttled', waitMs: 1_000 }]);
    for (const each of admissions) if (each.kind === 'admitted') await each.settle('accepted');
    expect(await attempt('accepted', { source: null })).toBe('admitted');

    // A crash has ended these: after half a minute they count as refusals.
    for (let each = 0; each < 5; each += 1) await ask();
    expect(await ask()).toEqual({ kind: 'throttled', waitMs: 1_000 });
    time += 30_000;
    expect(await ask()).toEqual({ kind: 'throttled', waitMs: 15 * MINUTE_MS - 30_000 });
  });

  test('get nothing back by a login that succeeds', async () => {
    await attempts(4, 'refused');
    expect(await attempt('accepted', { source: 'new device' })).toBe('admitted');
    expect(await attempts(2, 'refused')).toEqual(['admitted', 'throttled']);
  });

  test('pay for no attempt that was not counted, and are not known after it', async () => {
    expect(await attempts(20, 'notCounted')).toEqual(admitted(20));
    expect(await recordOf()).toEqual(NOTHING);
  });

  test('are never known without a source or without a user', async () => {
    expect(await attempts(20, 'accepted', { source: null })).toEqual(admitted(20));
    await attempt('accepted', { user: null });
    expect(await recordOf()).toEqual(NOTHING);
  });
});

describe('a source from which the user has logged in', () => {
  test('is stored only as a hash that no other name shares', async () => {
    await knowing('192.0.2.1');
    await attempt('accepted', { userName: 'ben', source: '192.0.2.1', user: aUser({ id: 'ben' }) });

    const [anna, ben] = [await recordOf(), await recordOf('ben')].map((record) => Object.keys(record!.known));
    expect(anna).toEqual([sourceHash('ANNA', '192.0.2.1')]);
    expect(ben).not.toEqual(anna);
    expect(JSON.stringify(await recordOf())).not.toContain('192.0.2.1');
  });

  test('is not held up while others use up their budget', async () => {
    await knowing('own');
    await attempts(6, 'refused');
    expect(await attempts(50, 'accepted', { source: 'own' })).toEqual(admitted(50));
  });

  test('costs one read and no write, and one write a day', async () => {
    await attempt('accepted', { source: 'own' });
    expect(asked).toEqual({ find: 1, writeAttempts: 2 });
    for (const [days, writes] of [
      [0.99, 0],
      [1, 1],
      [1.5, 0],
      [2, 1],
    ] as const) {
      time = NOW.getTime() + days * DAY_MS;
      asked = {};
      await attempts(10, 'accepted', { source: 'own' });
      expect(asked).toEqual({ find: 10, ...(writes > 0 && { writeAttempts: writes }) });
    }
  });

  test('may fail four times in 15 minutes, and no longer has the budget of others', async () => {
    await knowing('own', 'second');
    expect(await attempts(6, 'refused', { source: 'own' })).toEqual([...admitted(4), 'throttled', 'throttled']);
    time += 10 * MINUTE_MS;
    expect(await ask({ source: 'own' })).toEqual({ kind: 'throttled', waitMs: 5 * MINUTE_MS });
    expect(await attempt('accepted', { source: 'second' })).toBe('admitted');
    expect(await attempts(6, 'refused')).toEqual([...admitted(5), 'throttled']);
    time += 5 * MINUTE_MS;
    expect(await attempt('accepted', { source: 'own' })).toBe('admitted');
  });

  test('gets in after three typing errors, again and again', async () => {
    await knowing('own');
    await attempts(3, 'refused', { source: 'own' });
    expect(await attempts(5, 'accepted', { source: 'own' })).toEqual(admitted(5));
    expect(await attempts(2, 'refused', { source: 'own' })).toEqual(['admitted', 'throttled']);
  });

  test('is counted at most four times after a burst, however many attempts were in it', async () => {
    await knowing('own');
    const burst = await Promise.all(Array.from({ length: 60 }, () => ask({ source: 'own' })));
    await Promise.all(burst.map(async (each) => each.kind === 'admitted' && (await each.settle('refused'))));

    expect(burst.every(({ kind }) => kind === 'admitted')).toBe(true);
    expect((await recordOf())!.attempts).toHaveLength(4);
    expect(await attempt('refused', { source: 'own' })).toBe('throttled');
  });

  test('is forgotten after 30 days without a login, and the longest unseen of 17 first', async () => {
    await knowing('own');
    time += 29 * DAY_MS;
    await attempts(6, 'refused');
    expect(await attempt('accepted', { source: 'own' })).toBe('admitted');
    time += 30 * DAY_MS;
    await attempts(6, 'refused');
    expect(await attempt('accepted', { source: 'own' })).toBe('throttled');

    time += 15 * MINUTE_MS;
    for (let each = 0; each < 17; each += 1, time += 1) await attempt('accepted', { source: `device-${each}` });
    const { known } = (await recordOf())!;
    expect(Object.keys(known)).toHaveLength(16);
    expect(known).not.toHaveProperty(sourceHash('anna', 'device-0'));
    expect(known).toHaveProperty(sourceHash('anna', 'device-16'));
  });

  test('leaves no attempts behind when it is no longer known, so that the record stays small', async () => {
    for (let each = 0; each < 1_000; each += 1, time += 100) {
      await attempt('accepted', { source: `device-${each}` });
      await attempts(4, 'refused', { source: `device-${each}` });
    }
    await attempts(5, 'refused');

    const { known, attempts: counted } = (await recordOf())!;
    expect(Object.keys(known)).toHaveLength(16);
    expect(counted).toHaveLength(16 * 4 + 5);
    expect(JSON.stringify(await recordOf()).length).toBeLessThan(10_000);
  });

  test('is nobody’s to whoever was given the name anew, whose login makes the name forget it', async () => {
    await knowing('leaver');
    await attempts(5, 'refused');
    const newcomer = aUser({ id: 'newcomer' });
    expect(await attempt('accepted', { source: 'leaver', user: newcomer })).toBe('throttled');
    expect(await attempt('accepted', { source: 'leaver', user: null })).toBe('throttled');
    time += 15 * MINUTE_MS;
    await attempt('accepted', { source: 'of the newcomer', user: newcomer });
    expect(await recordOf()).toMatchObject({
      userId: 'newcomer',
      known: { [sourceHash('anna', 'of the newcomer')]: time },
    });
    expect(Object.keys((await recordOf())!.known)).toHaveLength(1);
  });

  test('is not known if everything was forgotten while its login was on the way', async () => {
    const [late, free] = [await ask({ source: 'late' }), await ask({ source: 'x' })];
    await stored.forgetAttempts(ANNA);
    if (late.kind === 'admitted') await late.settle('accepted');
    if (free.kind === 'admitted') await free.settle('unanswered');
    expect(await recordOf()).toBeNull();
    const early = await ask({ source: 'early' });
    await stored.forgetAttempts(ANNA);
    await attempt('refused');
    if (early.kind === 'admitted') await early.settle('accepted');
    const { attempts: left, known: sources } = (await recordOf())!;
    expect([left.length, sources]).toEqual([1, {}]);

    await knowing('own');
    const known = await ask({ source: 'own' });
    await stored.forgetAttempts(ANNA);
    if (known.kind === 'admitted') await known.settle('refused');
    expect(await recordOf()).toBeNull();
  });
});

describe('binds without an answer', () => {
  test.each([
    ['an unknown source', []],
    ['a known source', ['stranger']],
  ] as const)('are five in 15 minutes from %s; then the directory counts as unavailable', async (_, known) => {
    await knowing(...known);
    expect(await attempts(12, 'unanswered')).toEqual([...admitted(5), ...Array<string>(7).fill('unavailable')]);
    time += 15 * MINUTE_MS;
    expect(await attempt('accepted')).toBe('admitted');
  });

  test.each([
    ['an unknown source', [], 4],
    ['a known source', ['stranger'], 3],
  ] as const)('use up the budget of %s together with refusals, which is an outage too', async (_, known, refused) => {
    await knowing(...known);
    await attempts(refused, 'refused');
    await attempts(5 - refused, 'unanswered');
    expect(await attempt('refused')).toBe('unavailable');
  });

  test('hold up no known source other than their own', async () => {
    await knowing('own', 'second');
    await attempts(5, 'unanswered', { source: 'second' });
    await attempts(5, 'unanswered');
    expect(await attempt('accepted', { source: 'own' })).toBe('admitted');
  });
});

describe('one source at many names', () => {
  const nameless = (each: number): Asking => ({ userName: `user-${each}`, user: null, source: 'scanner' });

  test('is slowed after 30 refusals in 15 minutes, until they are that old', async () => {
    time += 4 * MINUTE_MS;
    for (let each = 0; each < 30; each += 1) expect(await attempt('refused', nameless(each))).toBe('admitted');
    const throttled = await ask(nameless(30));

    expect(throttled).toMatchObject({ kind: 'throttled' });
    const { waitMs } = throttled as { waitMs: number };
    expect(waitMs).toBeGreaterThanOrEqual(15 * MINUTE_MS);
    expect(waitMs).toBeLessThanOrEqual(20 * MINUTE_MS);
    expect(await attempt('refused', { ...nameless(31), source: 'another' })).toBe('admitted');
    expect(await attempt('refused', { ...nameless(31), source: null })).toBe('admitted');
    time += waitMs - 1;
    expect(await attempt('refused', nameless(30))).toBe('throttled');
    time += 1;
    expect(await attempt('refused', nameless(30))).toBe('admitted');
  });

  test('never gets 30 into any 15 minutes by spreading them', async () => {
    const times: number[] = [];
    for (let each = 0; each < 3_000; each += 1, time += 3_000) {
      if ((await attempt('refused', nameless(each))) === 'admitted') times.push(time);
    }
    for (const start of times) {
      expect(times.filter((at) => at >= start && at < start + 15 * MINUTE_MS).length).toBeLessThanOrEqual(30);
    }
    const { source } = (await stored.find('nobody', 'scanner')).attempts;
    expect(Object.keys(source).length).toBeLessThanOrEqual(5);
  });

  test('still serves the names that know it, and their failures are not its own', async () => {
    await knowing('scanner');
    await attempts(4, 'refused', { source: 'scanner' });
    expect((await stored.find('anna', 'scanner')).attempts.source).toEqual({});
    time += 15 * MINUTE_MS;
    for (let each = 0; each < 31; each += 1) await attempt('refused', nameless(each));
    expect(await attempt('accepted', { source: 'scanner' })).toBe('admitted');
  });

  test('is not counted for what was accepted, not counted or unanswered', async () => {
    for (const verdict of ['accepted', 'notCounted', 'unanswered'] as const) await attempt(verdict);
    expect((await stored.find('anna', 'stranger')).attempts.source).toEqual({});
  });
});

describe('a clock that jumps', () => {
  test('back by any time holds nobody up for more than 30 minutes', async () => {
    for (const backMs of [MINUTE_MS, 14 * MINUTE_MS, 60 * MINUTE_MS, 400 * DAY_MS]) {
      await stored.forgetAttempts(ANNA);
      await attempts(6, 'refused', { source: `source ${backMs}` });
      time -= backMs;
      for (const end = time + 30 * MINUTE_MS; time < end; time += MINUTE_MS) await attempt('notCounted');
      expect(await attempt('refused')).toBe('admitted');
    }
  });

  test('back a year holds no source up either', async () => {
    for (let each = 0; each < 30; each += 1) await attempt('refused', { userName: `user-${each}`, user: null });
    time -= 400 * DAY_MS;
    expect(await attempt('refused', { userName: 'another', user: null })).toBe('admitted');
  });

  test('back a little gives nobody a new budget', async () => {
    await attempts(6, 'refused');
    time -= 10 * MINUTE_MS;
    expect(await ask()).toEqual({ kind: 'throttled', waitMs: 25 * MINUTE_MS });
  });

  test('ahead leaves known sources known, and back again too', async () => {
    await knowing('own');
    time += 20 * DAY_MS;
    await attempts(6, 'refused');
    await attempt('accepted', { source: 'own' });
    time -= 20 * DAY_MS;
    await attempts(6, 'refused');
    expect(await attempt('accepted', { source: 'own' })).toBe('admitted');
  });
});

describe('a store', () => {
  /** Writes the first `lost` times, and says that it did not. Perhaps another login writes in between. */
  function losing(lost: number, between: () => Promise<unknown> = async () => {}): LoginStore {
    let left = lost;
    return {
      ...stored,
      async writeAttempts(...args) {
        const written = await stored.writeAttempts(...args);
        if (left <= 0) return written;
        left -= 1;
        await between();
        return false;
      },
    };
  }

  test('whose answer to a claim is lost has stored one claim, and the attempt is admitted', async () => {
    const others = async () => void (await attempt('refused', { source: 'others' }));
    expect(await attempt('refused', { store: losing(1, others) })).toBe('admitted');
    expect((await recordOf())!.attempts).toHaveLength(2);

    expect(await attempt('accepted', { store: losing(1, others) })).toBe('admitted');
    const { attempts: left, known } = (await recordOf())!;
    expect(left).toHaveLength(3);
    expect(Object.keys(known)).toEqual([sourceHash('anna', 'stranger')]);
  });

  test('whose answer to a refusal of a known source is lost has stored one attempt', async () => {
    await knowing('own');
    await attempt('refused', { source: 'own', store: losing(1) });
    expect((await recordOf())!.attempts).toHaveLength(1);
  });

  test('that never lets anybody win asks for a second of patience, after a bounded number of tries', async () => {
    const store = counting({ ...stored, writeAttempts: async () => false });
    expect(await ask({ store })).toEqual({ kind: 'throttled', waitMs: 1_000 });
    expect(asked.find).toBeLessThan(12);
  });

  const fault = new ServiceError('storeUnavailable', 'DynamoDB gave no answer', { retryable: true });
  const away = (): LoginStore => {
    let writes = 0;
    return {
      ...stored,
      writeAttempts: async (...args) => {
        writes += 1;
        if (writes > 1) throw fault;
        return await stored.writeAttempts(...args);
      },
      countRefusal: async () => Promise.reject(fault),
    };
  };

  test('that is away after a right password takes nothing from it', async () => {
    expect(await attempt('accepted', { store: away() })).toBe('admitted');
    expect(await attempt('notCounted', { store: away() })).toBe('admitted');
  });

  test('that is away before the verdict of a refusal without a source has the claim, which counts as well', async () => {
    expect(await attempt('refused', { store: away(), source: null })).toBe('admitted');
    expect((await recordOf())!.attempts).toHaveLength(1);
  });

  test.each(['refused', 'unanswered'] as const)('that is away when an attempt was %s is a fault', async (verdict) => {
    await expect(attempt(verdict, { store: away() })).rejects.toBe(fault);
    await knowing('own');
    const known = { ...stored, writeAttempts: async () => Promise.reject(fault) };
    await expect(attempt(verdict, { source: 'own', store: known })).rejects.toBe(fault);
  });

  test('is read once, and written twice or thrice for an unknown source; not written when it is throttled', async () => {
    await attempt('accepted');
    expect(asked).toEqual({ find: 1, writeAttempts: 2 });
    asked = {};
    await attempt('refused', { source: 'b' });
    expect(asked).toEqual({ find: 1, writeAttempts: 2, countRefusal: 1 });
    await attempts(5, 'refused', { source: 'b' });
    asked = {};
    await attempt('refused', { source: 'b' });
    expect(asked).toEqual({ find: 1 });
  });

  test('may drop a record when nothing in it counts any more, and not before', async () => {
    await attempt('refused');
    expect((await recordOf())!.expiresAt).toBe(time + 15 * MINUTE_MS);
    await attempt('accepted');
    expect((await recordOf())!.expiresAt).toBe(time + 30 * DAY_MS);
  });
});

const COUNTS: Readonly<Record<Exclude<RejectionReason, 'throttled'>, boolean>> = {
  invalidCredentials: true,
  accountLocked: true,
  accountDisabled: true,
  notPermitted: true,
  passwordExpired: false,
  passwordMustChange: false,
  accountExpired: true,
};

test.each(Object.entries(COUNTS))('a rejection with %s counts as a failure: %s', (reason, counts) => {
  expect(countsAsFailure(reason as RejectionReason)).toBe(counts);
});
