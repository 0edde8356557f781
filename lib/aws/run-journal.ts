/**
 * The journal of the active run in DynamoDB. Every transaction holds users together with their lines, the counters of
 * the guard and the approvals that they carry out, and checks a fence of the lease. So what is written is told, and
 * counted, and written by the run that holds the lease: whatever fails or is killed in between.
 *
 * Each transaction runs in a lane, which has a fence, counters and chunks of lines of its own. So no two transactions
 * of a run share an item, and none waits for another.
 */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import type { JournalWrite, RunJournal, RunMemory } from '../sync/run-journal.ts';
import { leaseLost } from '../sync/run.ts';
import type { Fence } from '../user/user-store.ts';
import { createAddressIndex } from './address-index.ts';
import { approvalKey, finishApproval } from './approval-store.ts';
import { chunksOf, epochSeconds, writeItems } from './client.ts';
import type { Item, TransactItem } from './client.ts';
import { LEASE_KEY, MEMORY_KEY } from './environment.ts';
import { storeUnavailable } from './fault.ts';
import { writeGroups } from './group-write.ts';
import type { Company, Group } from './group-write.ts';
import { createGuardCounters } from './guard-counters.ts';
import { checkFence, closeFences, createLanes, heldBy } from './lease.ts';
import { changesKey, readTotals, RUNS_KEPT_MS, toChunks } from './run-lines.ts';
import type { Chunk } from './run-lines.ts';
import { toGroupItems, writeUsers } from './user-write.ts';
import type { UserGroup, UserTables } from './user-write.ts';

/** The tables that the journal writes, and the clock for the hours of the guard. */
export interface RunJournalOptions extends UserTables {
  readonly client: DynamoDBDocumentClient;
  readonly clock: Clock;
}

/** Most chunks in a transaction: at 200 KB each, they stay below DynamoDB's limit of 4 MB. */
const CHUNKS_TOGETHER = 16;

/** The journal on DynamoDB. Keeps lines for 90 days. Errors: those of the port. */
export function createRunJournal({ client, clock, ...tables }: RunJournalOptions): RunJournal {
  const TableName = tables.operationsTable;
  const addresses = createAddressIndex(client, tables.usersTable);
  const guard = createGuardCounters(client, TableName, clock);
  const withLane = createLanes();
  /** Number of chunks so far: with the token of the lease, which no other process has, a key of its own for each. */
  let chunks = 0;
  /** The operations that store what was told, to recognize it when it is told again. */
  const told = new WeakMap<object, readonly TransactItem[]>();

  const source = () => ({ client, operationsTable: TableName, now: clock.now() });

  function toPuts(fence: Fence, parts: readonly Chunk[]): TransactItem[] {
    const expiresAt = epochSeconds(new Date(clock.now().getTime() + RUNS_KEPT_MS));
    return parts.map((part) => {
      const sk = `${String(fence.token).padStart(10, '0')}#${String(chunks).padStart(8, '0')}`;
      chunks += 1;
      const Item = { pk: changesKey(fence.runId), sk, ...part, expiresAt };
      return { Put: { TableName, Item, ConditionExpression: 'attribute_not_exists(pk)' } };
    });
  }

  /** What goes with the groups of a transaction. A chunk that exists proves that an earlier try was carried out. */
  function toCompany(
    fence: Fence,
    lane: number,
    lines: readonly TransactItem[],
    more: readonly TransactItem[],
  ): Company {
    return {
      items: [checkFence(TableName, fence, lane), ...lines, ...more],
      isDone(refused) {
        if (refused.slice(1, 1 + lines.length).includes(true)) return true;
        if (refused[0] === true) throw leaseLost(fence.runId);
        return false;
      },
    };
  }

  /** Sends a transaction that writes no users. */
  async function send(company: Company): Promise<void> {
    const refused = await writeItems(client, company.items);
    if (refused !== null && !company.isDone(refused)) throw storeUnavailable('DynamoDB', 'ConditionalCheckFailed');
  }

  function toUserGroup(group: readonly JournalWrite[]): UserGroup {
    const writes = group.map(({ write }) => write);
    const users = toGroupItems(tables, writes);
    const finishing = group
      .flatMap(({ approvals }) => approvals)
      .map((approval) => ({
        key: Object.values(approvalKey(approval)).join('#'),
        item: finishApproval(TableName, approval),
      }));
    return { writes, items: users && [...users, ...finishing] };
  }

  return {
    async write(fence, groups, ordered, onWritten) {
      const accompany = async (lane: number, pack: readonly Group[]): Promise<Company | null> => {
        const all = pack.flatMap(({ place }) => groups[place]!);
        const parts = await toChunks(all.flatMap(({ change }) => change ?? []));
        if (parts.length > 1 && pack.length > 1) return null;
        const counters = all.flatMap(({ counts }) => counts);
        return toCompany(fence, lane, toPuts(fence, parts), guard.count(counters, lane));
      };
      return await writeUsers(
        addresses,
        groups.map(toUserGroup),
        ordered === 'ordered',
        (pack, settle) =>
          withLane((lane) => writeGroups(client, pack, (together) => accompany(lane, together), settle)),
        onWritten,
      );
    },
    async tell(fence, news) {
      const lines = told.get(news) ?? toPuts(fence, await toChunks(news.lines ?? [], news.totals));
      told.set(news, lines);
      const { known } = news;
      await withLane(async (lane) => {
        const [first = [], ...more] = chunksOf(lines, CHUNKS_TOGETHER);
        const counters = known === undefined ? [] : await guard.raiseKnown(known, lane);
        if (first.length + counters.length > 0) await send(toCompany(fence, lane, first, counters));
        for (const part of more) await send(toCompany(fence, lane, part, []));
      });
    },
    async close(fence) {
      const held = { ConditionCheck: { TableName, Key: LEASE_KEY, ...heldBy(fence) } };
      const refused = await writeItems(client, [held, ...closeFences(TableName, fence)]);
      if (refused !== null) throw leaseLost(fence.runId);
      return await readTotals(source(), fence.runId);
    },
    readTotals(runId) {
      return readTotals(source(), runId);
    },
    async recall() {
      return (await readMemory(client, TableName)).memory;
    },
    async remember(fence, memory) {
      const put = { Put: { TableName, Item: { ...MEMORY_KEY, memory } } };
      await withLane((lane) => send(toCompany(fence, lane, [], [put])));
    },
    readGuard(since) {
      return guard.read(since);
    },
  };
}

/**
 * The memory of former runs, and the lease. A lease that an earlier version stored has the number of entries read; it
 * stands in for the memory.
 * @throws ServiceError `storeUnavailable`
 */
export async function readMemory(
  client: DynamoDBDocumentClient,
  TableName: string,
): Promise<{ readonly memory: RunMemory; readonly lease: Item | undefined }> {
  const [stored, lease] = await Promise.all(
    [MEMORY_KEY, LEASE_KEY].map(async (Key) => {
      const { Item } = await client.send(new GetCommand({ TableName, Key, ConsistentRead: true }));
      return Item;
    }),
  );
  const entries = lease?.lastRead as number | undefined;
  const lastRead = entries === undefined ? null : { entries, server: null };
  return { memory: (stored?.memory as RunMemory | undefined) ?? { lastRead, unreachable: {} }, lease };
}
