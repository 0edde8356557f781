/** An end to waiting, on a clock that the test moves: no time passes here. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { within } from '../../lib/deadline.ts';

const LATE = new Error('too late');
const fault = vi.fn<() => Error>(() => LATE);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  fault.mockClear();
});
afterEach(() => {
  vi.useRealTimers();
});

/** The outcome so far. */
function watch<T>(promise: Promise<T>) {
  const seen: { outcome?: unknown } = {};
  promise.then(
    (value) => (seen.outcome = value),
    (error: unknown) => (seen.outcome = error),
  );
  return seen;
}

test('a result in time is handed on, and neither a fault nor a timer is left behind', async () => {
  expect(await within(Promise.resolve('result'), 1_000, fault)).toBe('result');

  expect(fault).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});

test('a rejection in time is handed on as it is', async () => {
  const broken = new TypeError('broken');

  await expect(within(Promise.reject(broken), 1_000, fault)).rejects.toBe(broken);
  expect(fault).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});

test('a result just before the limit still counts', async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const seen = watch(within(promise, 1_000, fault));

  await vi.advanceTimersByTimeAsync(999);
  expect(seen).toEqual({});
  resolve('just in time');
  await vi.advanceTimersByTimeAsync(1_000);

  expect(seen).toEqual({ outcome: 'just in time' });
  expect(fault).not.toHaveBeenCalled();
});

test('at the limit the fault is thrown, and a result that comes later changes nothing', async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const seen = watch(within(promise, 1_000, fault));

  await vi.advanceTimersByTimeAsync(1_000);
  expect(seen).toEqual({ outcome: LATE });
  resolve('too late');
  await vi.advanceTimersByTimeAsync(1_000);

  expect(seen).toEqual({ outcome: LATE });
  expect(fault).toHaveBeenCalledOnce();
});

test.each([0, -1, -Infinity])('a limit of %d ms gives a promise that is settled its outcome', async (limitMs) => {
  const pending = watch(within(new Promise<never>(() => {}), limitMs, fault));
  const settled = watch(within(Promise.resolve('result'), limitMs, fault));

  await vi.advanceTimersByTimeAsync(0);
  expect(settled).toEqual({ outcome: 'result' });
  await vi.advanceTimersByTimeAsync(1);
  expect(pending).toEqual({ outcome: LATE });
});

test('a rejection after the limit is no unhandled one', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): number => unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    const { promise, reject } = Promise.withResolvers<never>();
    const seen = watch(within(promise, 10, fault));
    await vi.advanceTimersByTimeAsync(10);
    reject(new Error('the connection was closed'));
    // Node reports unhandled rejections before it goes on to the next turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));

    expect(seen).toEqual({ outcome: LATE });
    expect(unhandled).toEqual([]);
  } finally {
    process.off('unhandledRejection', note);
  }
});
