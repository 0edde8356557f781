/** The size in which a run works on people and users: between two batches it looks at the clock and the lease. */

const BATCH = 500;

export function* batchesOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += BATCH) yield items.slice(start, start + BATCH);
}
