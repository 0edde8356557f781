/** The product in memory, for tests of the core: every port has its memory adapter, and tests move the clock. */
import type { OpenDirectory } from '../../lib/directory/directory.ts';
import { toApproval } from '../../lib/sync/approval.ts';
import type { ProposalLine } from '../../lib/sync/approval.ts';
import type { RunJournal } from '../../lib/sync/run-journal.ts';
import type { StartResult } from '../../lib/sync/run-store.ts';
import { newRun, newRunId } from '../../lib/sync/run.ts';
import type { Change, Run, RunRequest } from '../../lib/sync/run.ts';
import { synchronize } from '../../lib/sync/sync.ts';
import type { User } from '../../lib/user/user.ts';
import { MemoryDirectory } from './memory-directory.ts';
import { createMemoryStores } from './memory-stores.ts';
import { aSettings, NOW } from './people.ts';

export type House = Awaited<ReturnType<typeof startHouse>>;

export async function startHouse({
  configured = true,
  openDirectory,
}: { readonly configured?: boolean; readonly openDirectory?: OpenDirectory } = {}) {
  let time = NOW.getTime();
  const clock = { now: () => new Date(time) };
  const stores = createMemoryStores(clock);
  const directory = new MemoryDirectory();
  let ids = 0;
  let hook: (() => Promise<void>) | null = null;

  const journal: RunJournal = {
    ...stores.journal,
    async write(...args) {
      const once = hook;
      hook = null;
      await once?.();
      return stores.journal.write(...args);
    },
  };

  const ports = {
    ...stores,
    journal,
    openDirectory: openDirectory ?? directory.open,
    clock,
    newId: () => `account-${(ids += 1)}`,
  };

  function aRun(over: Partial<RunRequest> = {}): Run {
    time += 1;
    const request = { dryRun: false, trigger: 'api', requestedBy: 'admin', approves: null, ...over } as const;
    return { ...newRun(newRunId(clock.now()), request, clock.now()), stage: 'reading' };
  }

  async function configure(over: Parameters<typeof aSettings>[0] = {}): Promise<void> {
    const stored = await stores.settings.read();
    const version = await stores.settings.write(aSettings(over), 'secret', stored?.version ?? null);
    if (version === null) throw new Error('the settings were not stored');
  }

  const house = {
    ports,
    directory,
    configure,
    async run(over: Partial<RunRequest> = {}): Promise<Run> {
      const started = await stores.runs.start(aRun(over));
      if (started.kind === 'active') throw new Error(`run ${started.activeRunId} is still active`);
      return synchronize(ports, started, new Date(time + 10 * 60_000));
    },
    start: (): Promise<StartResult> => stores.runs.start(aRun()),
    async takeLeaseAway(): Promise<void> {
      time += 5 * 60_000;
      const result = await stores.runs.start(aRun());
      if (result.kind === 'active') throw new Error('another run still holds the lease');
    },
    async cancelActiveRun(): Promise<void> {
      const { items } = await stores.runs.list({ limit: 1 });
      await stores.runs.requestCancel(items[0]!.id);
    },
    runs: async (): Promise<readonly Run[]> => (await stores.runs.list({ limit: 100 })).items,
    changes: async (run: Run): Promise<readonly Change[]> =>
      (await stores.runs.listChanges(run.id, { limit: 10_000 })).items,
    /** Approves the withheld lines of a run that propose something, or only those that `which` selects. */
    async approve(run: Run, which: (line: Change) => boolean = () => true): Promise<void> {
      time += 1;
      const lines = (await house.changes(run)).filter((line) => line.proposes !== undefined && which(line));
      const given = { runId: run.id, approvedBy: 'admin', approvedAt: clock.now().toISOString() };
      const approvals = lines.map((line) =>
        toApproval(line as ProposalLine, { ...given, approvalScope: run.approvalScope! }),
      );
      await stores.approvals.approve(approvals);
    },
    user: (userName: string): Promise<User | null> => stores.users.get(userName),
    users: async (): Promise<readonly User[]> => (await stores.users.list({ limit: 200 })).items,
    writes: (): number => stores.users.writes,
    async create(user: User): Promise<void> {
      const [result] = await stores.users.writeEach([{ kind: 'create', user }]);
      if (result !== 'written') throw new Error(`the user ${user.userName} already exists`);
    },
    /** Changes a user as an administrator would. */
    async edit(userName: string, over: Partial<User>): Promise<void> {
      const previous = (await stores.users.get(userName))!;
      const user = { ...previous, ...over, version: previous.version + 1 };
      await stores.users.writeEach([{ kind: 'update', user, previous }]);
    },
    /** Calls `action` once, before the next write of a run. */
    beforeWrite(action: () => Promise<void>): void {
      hook = action;
    },
    passSeconds(seconds: number): void {
      time += seconds * 1_000;
    },
    passDays(days: number): void {
      time += days * 86_400_000;
    },
  };
  if (configured) await configure();
  return house;
}
