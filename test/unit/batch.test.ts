/** Batches hold everything once and in order, and only the last one may be short. */
import { expect, test } from 'vitest';
import { batchesOf } from '../../lib/sync/batch.ts';

test('have another size where a caller asks for one', () => {
  expect([...batchesOf([1, 2, 3, 4, 5], 2)]).toEqual([[1, 2], [3, 4], [5]]);
});

test.each([
  [0, []],
  [1, [1]],
  [499, [499]],
  [500, [500]],
  [501, [500, 1]],
  [1_000, [500, 500]],
  [1_250, [500, 500, 250]],
])('%i items make batches of %j', (count, sizes) => {
  const items = Array.from({ length: count }, (_, number) => number);
  const batches = [...batchesOf(items)];

  expect(batches.map(({ length }) => length)).toEqual(sizes);
  expect(batches.flat()).toEqual(items);
});
