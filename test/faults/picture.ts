/**
 * What is left of a world as texts that can be compared: without the ids, versions and times that differ from run to
 * run. Knows which of that must be equal whatever happened on the way.
 */
import type { Item } from '../../lib/aws/client.ts';
import { GUARD_PARTITION, LEASE_KEY, OPERATIONS_PREFIX, RUN_PARTITION } from '../../lib/aws/environment.ts';
import { BEYOND_NAMES } from '../../lib/aws/user-item.ts';
import type { ProductEvent } from '../../lib/event/event.ts';
import { GUARD_COUNTERS } from '../../lib/sync/run-journal.ts';
import type { Change, ChangeKind, Totals } from '../../lib/sync/run.ts';
import { CHANGE_KINDS } from '../../lib/sync/run.ts';
import type { Remains } from './world.ts';

/** Lists of texts by what they are about, each in order. */
export type Picture = Readonly<
  Record<'users' | 'operations' | 'written' | 'told' | 'totals' | 'events', readonly string[]>
>;

/** Kinds of lines that stand for a write: each write is told once, by one run. Every run tells the others anew. */
const WRITTEN: ReadonlySet<ChangeKind> = new Set<ChangeKind>([
  'created',
  'updated',
  'renamed',
  'linked',
  'disabled',
  'enabled',
  'deleted',
]);
/** Attributes that say when and by which run something was written, not what. */
const INCIDENTAL: ReadonlySet<string> = new Set([
  'version',
  'updatedAt',
  'createdAt',
  'sessionsValidFrom',
  'expiresAt',
  'token',
  'heldUntil',
  'takenUpBy',
  'stage',
  'progress',
  'totals',
  'chunks',
]);
/** Every world has a proxy of its own. */
const PORT = /127\.0\.0\.1:\d+/gu;
const MISSING = /,"missingSince":(?:null|"[^"]*")/gu;
const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/gu;

/** Describes what is left. `atStart`: ids that existed before the runs; only others may differ from world to world. */
export function describeRemains({ users, operations, runs, events }: Remains, atStart: ReadonlySet<string>): Picture {
  const names = new Map<string, string>();
  const learn = (id: unknown, name: unknown): void => {
    if (typeof id === 'string' && !atStart.has(id)) names.set(id, `new: ${String(name)}`);
  };
  for (const { id, userName } of users) learn(id, userName);
  for (const { lines } of runs) for (const { userId, userName } of lines) learn(userId, userName);
  const describe = (value: unknown): string => {
    let text = stringify(value).replaceAll(TIME, 'TIME').replaceAll(PORT, 'SERVER');
    for (const [id, name] of names) text = text.replaceAll(id, name);
    return text;
  };
  const last = runs.at(-1);
  const lines = runs.flatMap((each) => each.lines);
  return {
    users: usersAndHints(users).map(describe).sort(),
    operations: keptOperations(operations).map(describe).sort(),
    written: lines
      .filter(({ kind }) => WRITTEN.has(kind))
      .map(describe)
      .sort(),
    told: (last?.lines ?? [])
      .filter(({ kind }) => !WRITTEN.has(kind))
      .map((line) => describe(withoutMark(line)))
      .sort(),
    totals: last === undefined ? [] : [`${last.run.status}, ${countPeople(last.run.totals)} people`],
    events: events
      .filter((event) => event.type !== 'run.finished' && !isMark(event))
      .map(({ type, data }) => `${type} ${describe(data).replaceAll(MISSING, '')}`)
      .sort(),
  };
}

/** What contradicts itself, whatever the world without a fault looks like. */
export function findContradictions({ runs, events, operations }: Remains): string[] {
  const found: string[] = [];
  for (const { run, lines } of runs) {
    if (run.status === 'running') found.push(`run ${run.id} still runs`);
    const counted = countKinds(lines);
    for (const kind of CHANGE_KINDS) {
      if (kind !== 'unchanged' && run.totals[kind] !== counted[kind]) {
        found.push(`the ${run.status} run says ${run.totals[kind]} ${kind} and has ${counted[kind]} lines`);
      }
    }
    const ends = events.filter((event) => event.type === 'run.finished' && event.subject === run.id).length;
    if (ends !== 1) found.push(`the end of the ${run.status} run is told ${ends} times`);
  }
  const lease = operations.find(({ pk, sk }) => pk === LEASE_KEY.pk && sk === LEASE_KEY.sk);
  if (lease?.['runId'] !== undefined) found.push('the lease is not free');
  return found;
}

/** The names of the users who have lost access. */
export function findLosses(before: readonly Item[], after: readonly Item[]): string[] {
  const left = new Map(after.flatMap((item) => ('id' in item ? [[item['id'], item] as const] : [])));
  return before.flatMap(({ id, userName, disabledBy }) => {
    if (id === undefined) return [];
    const now = left.get(id);
    return now === undefined || (now['disabledBy'] !== null && disabledBy === null) ? [String(userName)] : [];
  });
}

/** How a picture differs from the expected one, in a few sentences. */
export function compare(expected: Picture, actual: Picture): string[] {
  return (Object.keys(expected) as (keyof Picture)[]).flatMap((about) => {
    const missing = without(expected[about], actual[about]);
    const extra = without(actual[about], expected[about]);
    if (missing.length + extra.length === 0) return [];
    return [
      `${about}: ${missing.length} missing, ${extra.length} extra`,
      ...missing.slice(0, 2).map((text) => `  missing ${text}`),
      ...extra.slice(0, 2).map((text) => `  extra ${text}`),
    ];
  });
}

/** The texts of `all` without those of `others`, as often as they are there. */
function without(all: readonly string[], others: readonly string[]): string[] {
  const rest = new Map<string, number>();
  for (const text of others) rest.set(text, (rest.get(text) ?? 0) + 1);
  return all.filter((text) => {
    const count = rest.get(text) ?? 0;
    rest.set(text, count - 1);
    return count <= 0;
  });
}

/** The lines about people who are in the directory, whatever was left to do for them. */
function countPeople(totals: Totals): number {
  return CHANGE_KINDS.reduce((sum, kind) => (kind === 'deleted' ? sum : sum + totals[kind]), 0);
}

function countKinds(lines: readonly Change[]): Totals {
  const counts = Object.fromEntries(CHANGE_KINDS.map((kind) => [kind, 0])) as Record<ChangeKind, number>;
  for (const { kind } of lines) counts[kind] += 1;
  return counts;
}

/**
 * Users, and the hints by which their further addresses are found. The key of a hint ends in a hash of the user's id. A
 * run that ends early may leave hints to nothing, which searches see through: they do not count.
 */
function usersAndHints(items: readonly Item[]): Item[] {
  const users = items.filter((item) => 'id' in item);
  const needed = new Set(
    users.flatMap(({ nameKey, emailAddresses }) =>
      (emailAddresses as string[]).slice(1).map((address) => `${String(nameKey)} ${address}`),
    ),
  );
  const found = new Set(
    items.map(({ nameKey, addressKey }) => `${String(nameKey).split(BEYOND_NAMES)[0]} ${String(addressKey)}`),
  );
  return [...users, ...[...needed].filter((hint) => found.has(hint)).map((hint) => ({ hint }))];
}

/**
 * Everything but runs and lines, which are compared by themselves. The key of a rename mark ends in a version, and the
 * counters of the guard are spread over lanes. How many users a run knew depends on how far the one before it came.
 */
function keptOperations(items: readonly Item[]): Item[] {
  const guard: Record<string, number> = {};
  const kept: Item[] = [{ guard }];
  for (const item of items) {
    const pk = String(item['pk']);
    if (pk === RUN_PARTITION || pk.startsWith(OPERATIONS_PREFIX.changes)) continue;
    if (pk === GUARD_PARTITION) {
      for (const counter of GUARD_COUNTERS) guard[counter] = (guard[counter] ?? 0) + Number(item[counter] ?? 0);
    } else kept.push(pk.startsWith(OPERATIONS_PREFIX.renamed) ? { ...item, sk: '' } : item);
  }
  return kept;
}

/**
 * Whether the event only tells since when somebody is missing. A run whose second look fails sets that mark before the
 * next one removes the user; a run without a fault removes the user at once.
 */
function isMark({ data }: ProductEvent): boolean {
  const changed = 'fields' in data ? Object.entries(data.fields) : [];
  return (
    changed.length === 1 &&
    changed.every(([field, value]) => {
      const [from, to] = [value.from, value.to].map((each) =>
        JSON.stringify(each).replaceAll(TIME, '').replace(MISSING, ''),
      );
      return field === 'directory' && from === to;
    })
  );
}

/** A withheld line tells of a missing person's mark in the run that sets it. */
function withoutMark(line: Change): Change {
  const { 'directory.missingSince': _mark, ...fields } = line.fields ?? {};
  return { ...line, fields };
}

/** JSON with the keys in order, without what is incidental. */
function stringify(value: unknown): string {
  return JSON.stringify(value, (name, part: unknown) => {
    if (INCIDENTAL.has(name)) return undefined;
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)));
  });
}
