/** A time limit for waiting. Knows nothing of the work that it waits for. */

/**
 * The outcome of a promise, or a fault after `limitMs`. The promise itself goes on, and its outcome is ignored: its
 * owner must end the work.
 *
 * @throws the reason of the rejected promise, or `fault()`
 */
export async function within<T>(promise: Promise<T>, limitMs: number, fault: () => Error): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(fault()), Math.max(0, limitMs));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
