/** Batches of people and users: between two batches, a run checks the clock and the lease. */

const BATCH = 500;

/** Yields the items in batches of at most `size`. */
export function* batchesOf<T>(items: readonly T[], size: number = BATCH): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
