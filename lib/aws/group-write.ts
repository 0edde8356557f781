/**
 * Writes groups of items, each all or nothing: many groups share a transaction, and a group whose condition failed
 * costs no other group anything but a second try. Knows neither users nor runs.
 */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { WriteResult } from '../user/user-store.ts';
import { type TransactItem, writeItems } from './client.ts';
import { storeUnavailable } from './fault.ts';

/** One operation of a group. */
export interface GroupItem {
  /** Identifies the item: two operations on one item can't be in one transaction. */
  readonly key: string;
  readonly item: TransactItem;
  /** If its condition fails, it is left out, and the group is written without it. */
  readonly isOptional?: boolean;
}

/** A group, and its place among those of the caller. */
export interface Group {
  readonly place: number;
  readonly items: readonly GroupItem[];
}

/** Is called with the result of a group, as soon as it is known. */
export type Settle = (group: Group, result: WriteResult) => void;

/** Operations that go into a transaction besides the groups. */
export interface Company {
  readonly items: readonly TransactItem[];
  /**
   * Called when the transaction was refused, with the refusals of these items. Throws if the caller may not write;
   * true if the transaction has been carried out by an earlier try.
   */
  isDone(refused: readonly boolean[]): boolean;
}

/** Items of groups in a transaction. DynamoDB takes 100; the others are for the company. */
const ITEMS_TOGETHER = 97;
/** DynamoDB takes 4 MB in a transaction. */
const BYTES_TOGETHER = 3_000_000;
/** For names, numbers and the like of an item, whose values alone are counted. */
const ITEM_OVERHEAD_BYTES = 1_000;

/**
 * Packs groups into transactions, in rounds: the packs of one round share no item and can be in flight together. With
 * `ordered`, the groups stay in their order, and every round is one pack.
 *
 * @throws TypeError for a group that is too large for a transaction
 */
export function packGroups(groups: readonly Group[], ordered: boolean): readonly (readonly Group[])[][] {
  if (ordered) return fillPacks(groups).map((pack) => [pack]);
  const rounds: Group[][] = [];
  const next = new Map<string, number>();
  for (const group of groups) {
    const round = group.items.reduce((latest, { key }) => Math.max(latest, next.get(key) ?? 0), 0);
    for (const { key } of group.items) next.set(key, round + 1);
    (rounds[round] ??= []).push(group);
  }
  return rounds.map(fillPacks);
}

/** Packs without a common item, in the order of the groups. */
function fillPacks(groups: readonly Group[]): Group[][] {
  const packs: Group[][] = [];
  let keys = new Set<string>();
  let bytes = 0;
  for (const group of groups) {
    const more = group.items.reduce((sum, { item }) => sum + ITEM_OVERHEAD_BYTES + sizeOf(item.Put?.Item), 0);
    const size = group.items.length;
    if (size > ITEMS_TOGETHER) throw new TypeError(`a group of ${size} items is too large for a transaction`);
    const isFull = keys.size + size > ITEMS_TOGETHER || bytes + more > BYTES_TOGETHER;
    if (packs.length === 0 || isFull || group.items.some(({ key }) => keys.has(key))) {
      packs.push([]);
      keys = new Set();
      bytes = 0;
    }
    packs.at(-1)!.push(group);
    for (const { key } of group.items) keys.add(key);
    bytes += more;
  }
  return packs;
}

/** An upper bound of the bytes of an item's values. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return 3 * value.length;
  if (typeof value !== 'object' || value === null) return 8;
  return Object.values(value).reduce((sum: number, each) => sum + 4 + sizeOf(each), 0);
}

/**
 * Writes the groups of one pack in a transaction; those that lost a race are left out, and the others are sent again.
 *
 * @param accompany gives the company of a transaction of these groups; null to have them sent in two halves, but never
 *   for a single group
 * @throws ServiceError `storeUnavailable`
 */
export async function writeGroups(
  client: DynamoDBDocumentClient,
  groups: readonly Group[],
  accompany: (groups: readonly Group[]) => Promise<Company | null>,
  settle: Settle,
): Promise<void> {
  let pending = groups;
  while (pending.length > 0) {
    const company = await accompany(pending);
    if (company === null) {
      const half = Math.ceil(pending.length / 2);
      await writeGroups(client, pending.slice(0, half), accompany, settle);
      pending = pending.slice(half);
      continue;
    }
    const items = pending.flatMap((group) => group.items);
    const refused = await writeItems(client, [...items.map(({ item }) => item), ...company.items]);
    if (refused === null || company.isDone(refused.slice(items.length))) {
      for (const group of pending) settle(group, 'written');
      return;
    }
    if (!refused.slice(0, items.length).includes(true)) {
      throw storeUnavailable('DynamoDB', 'ConditionalCheckFailedException');
    }
    pending = withoutRefused(pending, refused, settle);
  }
}

function withoutRefused(groups: readonly Group[], refused: readonly boolean[], settle: Settle): Group[] {
  let first = 0;
  return groups.flatMap((group) => {
    const start = first;
    first += group.items.length;
    if (group.items.some(({ isOptional }, index) => refused[start + index] === true && isOptional !== true)) {
      settle(group, 'lostRace');
      return [];
    }
    return [{ ...group, items: group.items.filter((_, index) => refused[start + index] !== true) }];
  });
}
