/**
 * One run of the product on given tables and a given server: all that the fault bench knows of the product's ports.
 * Started as a program with its options as JSON, it performs one run in a process that can be killed.
 */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { createApprovalStore } from '../../lib/aws/approval-store.ts';
import { createRunJournal } from '../../lib/aws/run-journal.ts';
import { createRunStore } from '../../lib/aws/run-store.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import type { Clock } from '../../lib/clock.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import { newRun, newRunId, type Run } from '../../lib/sync/run.ts';
import { type SyncPorts, synchronize } from '../../lib/sync/sync.ts';
import { connect } from '../support/tables.ts';

/** The world that a run finds. */
export interface ProductOptions {
  readonly usersTable: string;
  readonly operationsTable: string;
  readonly settings: Settings;
  readonly password: string;
}

/** What a run has of its own. */
export interface ProductProcess {
  readonly client: DynamoDBDocumentClient;
  readonly clock: Clock;
  readonly newId: () => string;
}

/** The options of the program. Its accounts get numbers after `lastId`. */
export interface ProgramOptions extends ProductOptions {
  readonly endpoint: string;
  readonly nowMs: number;
  readonly lastId: number;
}

const RUN_MS = 600_000;

export function createPorts(
  { settings, password, ...tables }: ProductOptions,
  { client, clock, newId }: ProductProcess,
): SyncPorts {
  const options = { client, clock, ...tables };
  const stored = { settings, password, version: 'one', notices: [] };
  return {
    users: createUserStore(options),
    runs: createRunStore(options),
    journal: createRunJournal(options),
    approvals: createApprovalStore(options),
    settings: { read: async () => stored },
    openDirectory: (document, secret) => openDirectory(document, secret, () => clock.now()),
    clock,
    newId,
  };
}

/** Performs a run, as the schedule starts it; null if another one is active. */
export async function performRun(ports: SyncPorts): Promise<Run | null> {
  const now = ports.clock.now();
  const request = { dryRun: false, trigger: 'schedule', requestedBy: null, approves: null } as const;
  const started = await ports.runs.start({ ...newRun(newRunId(now), request, now), stage: 'reading' });
  return started.kind === 'active' ? null : synchronize(ports, started, new Date(now.getTime() + RUN_MS));
}

if (import.meta.main) {
  const { endpoint, nowMs, lastId, ...options } = JSON.parse(process.argv[2]!) as ProgramOptions;
  let [time, ids] = [nowMs, lastId];
  const clock = { now: () => new Date((time += 1)) };
  await performRun(createPorts(options, { client: connect(endpoint), clock, newId: () => `account ${(ids += 1)}` }));
  process.exit();
}
