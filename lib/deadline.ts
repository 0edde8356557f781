/** An end to waiting. Knows nothing of the work that is waited for. */

/**
 * The outcome of a promise, or a fault when that takes longer than `limitMs`. The promise itself goes on unheard: its owner
 * has to end the work.
 *
 * @throws what the promise rejects with, or `fault()`
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
