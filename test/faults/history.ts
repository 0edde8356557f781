import type { Entry } from '../../lib/directory/entry.ts';
import type { ApprovalStore } from '../../lib/sync/approval-store.ts';
/**
 * Histories of a company: what happens to its directory, its servers and its user database, and runs in between. Lives
 * through one with the model and the real product at the same time, and tells where they differ.
 */
import { toApproval } from '../../lib/sync/approval.ts';
import type { ProposalLine } from '../../lib/sync/approval.ts';
import type { RunJournal } from '../../lib/sync/run-journal.ts';
import type { RunStore } from '../../lib/sync/run-store.ts';
import { type Change, newRun, newRunId, type Run } from '../../lib/sync/run.ts';
import { synchronize } from '../../lib/sync/sync.ts';
import type { UserStore, UserWrite, WriteResult } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { MemoryDirectory, unreachable } from '../support/memory-directory.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { anEntry, aSettings, aUser, NOW } from '../support/people.ts';
import { type Account, type Field, Model, type Options, type Person, type Server, type Withheld } from './model.ts';

/** The stores of the product, and a clock. */
export interface HistoryStores {
  readonly users: UserStore;
  readonly runs: RunStore;
  readonly journal: RunJournal;
  readonly approvals: ApprovalStore;
}

export const ACTS = [
  'hire',
  'leave',
  'rename',
  'swap',
  'add name',
  'lose name',
  'move',
  'scope',
  'mark',
  'unmark',
  'say active',
  'full name',
  'no full name',
  'mail',
  'no mail',
  'new id',
  'change case of id',
  'hide',
  'hide branch',
  'show all',
  'fall behind',
  'catch up',
  'go down',
  'come up',
  'break off',
  'hide full names',
  'hide marks',
  'disable by hand',
  'enable by hand',
  'delete by hand',
  'rename by hand',
  'create by hand',
  'create integrated',
  'wait hours',
  'wait days',
  'approve',
  'run',
  'killed run',
] as const;

/** One act. The numbers choose persons, users, names, branches or servers, whichever it needs. */
export type Act = readonly [act: (typeof ACTS)[number], who?: number, whom?: number];

/** The options of a history, in the units of the settings. */
export interface HistoryOptions {
  readonly missingUsers: Options['missingUsers'];
  readonly gracePeriodDays: number;
  readonly percent: number;
  readonly atLeast: number;
}

const NAMES = ['anna', 'bert', 'carl', 'dora', 'emil', 'fritz', 'gerd', 'hanna'];
const BRANCHES = ['ou=a', 'ou=b', 'ou=x,ou=b', 'ou=y,ou=b'];
const FULL_NAMES = ['Full Name', 'Other Name'];
const MAILS = [['one@a.test'], ['two@a.test', 'one@a.test']];
const SERVERS = ['127.0.0.1', 'b.test'];
const WINDOW_HOURS = 24;
const HOUR_MS = 3_600_000;
/** Waits never add up to the length of the window, at which hourly buckets need not be exact. */
const HOURS = 7;
const DAYS = 9;
const STATUS = 'nsaccountlock';
const FIELDS: Readonly<Record<string, Field>> = { fullName: 'fullName', emailAddresses: 'mail' };

type Changing<T> = { -readonly [Key in keyof T]: T[Key] };

/** What one server shows differently from the directory as it really is. */
interface Look {
  isUp: boolean;
  breaksOff: boolean;
  /** The directory as it was when the server stopped following; null while it follows. */
  behind: readonly Person[] | null;
  readonly hiddenIds: Set<string>;
  readonly hiddenBranches: Set<string>;
  hidesFullNames: boolean;
  hidesMarks: boolean;
}

/**
 * Lives through a history.
 * @param open opens the stores of the product
 * @returns the differences after the first run that has any; empty if there are none
 */
export async function live(
  history: readonly Act[],
  { missingUsers, gracePeriodDays, percent, atLeast }: HistoryOptions,
  open: (clock: { now(): Date }) => Promise<HistoryStores>,
): Promise<string[]> {
  let time = NOW.getTime();
  const clock = { now: () => new Date(time) };
  const { settings } = createMemoryStores(clock);
  await settings.write(
    aSettings({
      connection: { servers: SERVERS },
      options: {
        missingUsers,
        gracePeriodDays,
        removalLimit: { percent, atLeast, windowHours: WINDOW_HOURS },
      },
    }),
    'secret',
    null,
  );
  const stores = await open(clock);
  const directory = new MemoryDirectory();
  directory.addServer(SERVERS[1]!);
  const options: Options = {
    missingUsers,
    graceMs: gracePeriodDays * 24 * HOUR_MS,
    percent,
    atLeast,
    windowMs: WINDOW_HOURS * HOUR_MS,
  };
  const model = new Model();
  const people: Changing<Person>[] = [];
  const looks: Look[] = SERVERS.map(() => ({
    isUp: true,
    breaksOff: false,
    behind: null,
    hiddenIds: new Set(),
    hiddenBranches: new Set(),
    hidesFullNames: false,
    hidesMarks: false,
  }));
  /** Real ids by the model's numbers. */
  const idOf = new Map<number, string>();
  let lastRun: Run | null = null;
  let made = 0;
  let accounts = 0;

  // ------------------------------------------------------------------------------------------------------ the world
  function serversNow(): Server[] {
    return looks.map((look, index) => ({
      name: SERVERS[index]!,
      identity: `memory-${index + 1}`,
      isUp: look.isUp,
      breaksOff: look.breaksOff,
      people: (look.behind ?? people)
        .filter(
          ({ id, dn }) => !look.hiddenIds.has(id) && ![...look.hiddenBranches].some((each) => dn.includes(`,${each},`)),
        )
        .map((person) => ({
          ...person,
          fullName: look.hidesFullNames ? null : person.fullName,
          status: look.hidesMarks ? ('silent' as const) : person.status,
        })),
    }));
  }

  function showToProduct(servers: readonly Server[]): void {
    for (const [index, server] of servers.entries()) {
      const real = directory.servers[index]!;
      real.fault = server.isUp ? null : unreachable();
      real.proof = server.breaksOff
        ? { complete: false, reasons: ['the read broke off'] }
        : { complete: true, reasons: [] };
      real.people = server.people.map((person) => ({ entry: toEntry(person), inScope: person.inScope }));
    }
  }

  const portsOf = (journal: RunJournal) => ({
    ...stores,
    journal,
    settings,
    openDirectory: directory.open,
    clock,
    newId: () => `account-${(accounts += 1)}`,
  });

  async function run(journal: RunJournal = stores.journal): Promise<Run> {
    time += 1;
    const request = { dryRun: false, trigger: 'api', requestedBy: null, approves: null } as const;
    const started = await stores.runs.start({
      ...newRun(newRunId(clock.now()), request, clock.now()),
      stage: 'reading',
    });
    if (started.kind === 'active') throw new Error('another run is active');
    return synchronize(portsOf(journal), started, new Date(time + 600_000));
  }

  /** A journal that dies with the group of that number, and whose run then writes nothing more. */
  function dieAt(number: number): RunJournal {
    let groups = 0;
    const die = (): void => {
      groups += 1;
      if (groups > number) throw new Error('killed');
    };
    return {
      ...stores.journal,
      async write(fence, all, ordered) {
        const results: WriteResult[] = [];
        for (const group of all) {
          die();
          results.push(...(await stores.journal.write(fence, [group], ordered)));
        }
        return results;
      },
    };
  }

  async function write(...writes: UserWrite[]): Promise<void> {
    if ((await stores.users.writeTogether(writes)) !== 'written') throw new Error('an edit by hand lost a race');
  }

  async function edit(account: Account, over: Partial<User>): Promise<void> {
    const previous = (await stores.users.get(account.name))!;
    const user = { ...previous, ...over, fingerprint: null, version: previous.version + 1 };
    await write({ kind: user.userName === previous.userName ? 'update' : 'rename', user, previous });
  }

  async function createByHand(name: string, isIntegrated: boolean): Promise<void> {
    if (model.accounts.some((each) => each.name === name)) return;
    const account = model.create({ name, fullName: null, mail: [], isIntegrated, disabledBy: null, link: null });
    const id = `by hand ${account.number}`;
    idOf.set(account.number, id);
    const authentication = isIntegrated ? 'integrated' : 'directory';
    await write({
      kind: 'create',
      user: aUser({ id, userName: name, fullName: null, authentication, directory: null }),
    });
  }

  // ------------------------------------------------------------------------------------------------------ comparing
  async function compareWith(run: Run, lines: readonly Change[], outcome: ReturnType<Model['run']>): Promise<string[]> {
    const users = (await stores.users.list({ limit: 200 })).items;
    for (const account of model.accounts) {
      if (idOf.has(account.number)) continue;
      const own = users.find(({ userName }) => userName === account.name);
      if (own !== undefined) idOf.set(account.number, own.id);
    }
    const expected = model.accounts.map((account) => describeAccount(account, idOf.get(account.number)));
    const found = users.map(describeUser);
    const differences = difference('user', expected, found);
    if (run.status !== outcome.status) {
      differences.push(
        `the run is ${run.status} (${JSON.stringify(run.completeness?.reasons)}, ${JSON.stringify(run.error)}), expected ${outcome.status}`,
      );
    }
    if (
      run.completeness?.complete !== undefined &&
      outcome.status !== 'failed' &&
      !looks.some(({ breaksOff }) => breaksOff)
    ) {
      differences.push(
        ...difference(
          'withheld',
          outcome.withheld.map(({ number, proposes }) => `${idOf.get(number)} ${proposes}`),
          lines.filter(({ kind }) => kind === 'withheld').map(({ userId, proposes }) => `${userId} ${proposes}`),
        ),
        ...difference(
          'refused',
          outcome.refused,
          lines
            .filter(({ kind }) => kind === 'conflict' || kind === 'skipped')
            .map(({ directoryId }) => String(directoryId)),
        ),
      );
    }
    for (const look of looks) look.breaksOff = false;
    return differences;
  }

  const linesOf = async ({ id }: Run): Promise<readonly Change[]> =>
    (await stores.runs.listChanges(id, { limit: 1_000 })).items;

  async function performRun(): Promise<string[]> {
    const servers = serversNow();
    showToProduct(servers);
    const expected = model.run(servers, options, time + 1);
    lastRun = await run();
    return compareWith(lastRun, await linesOf(lastRun), expected);
  }

  /** A run that dies after some groups, and the next one: together they are one run. */
  async function performKilledRun(groups: number): Promise<string[]> {
    const servers = serversNow();
    const read = servers.find(({ isUp }) => isUp);
    // Where one run leaves something for the next, nobody can tell how far a killed one and the next come.
    const copy = model.copy();
    const [once, twice] = [1, 2].map(() => JSON.stringify([copy.run(servers, options, time), copy.accounts]));
    if (once !== twice) return performRun();
    showToProduct(servers);
    const former = await run(dieAt(groups)).catch(() => null);
    if (former !== null) {
      lastRun = former;
      return compareWith(former, await linesOf(former), model.run(servers, options, time));
    }
    if (read !== undefined && !read.breaksOff) model.noteRead(read);
    time += 120_000;
    return performRun();
  }

  // ----------------------------------------------------------------------------------------------------------- acts
  async function act([kind, who = 0, whom = 0]: Act): Promise<string[]> {
    const person = people[who % Math.max(1, people.length)];
    const other = people[whom % Math.max(1, people.length)];
    const name = NAMES[whom % NAMES.length]!;
    const look = looks[who % looks.length]!;
    const shown = look.behind ?? people;
    const account = model.accounts[who % Math.max(1, model.accounts.length)];
    switch (kind) {
      case 'hire':
        made += 1;
        people.push({
          id: `i${made}`,
          dn: `uid=u${made},${BRANCHES[whom % BRANCHES.length]!},dc=example,dc=com`,
          names: [NAMES[who % NAMES.length]!],
          fullName: FULL_NAMES[0]!,
          mail: MAILS[0]!,
          status: 'silent',
          inScope: true,
        });
        break;
      case 'leave':
        if (person) people.splice(people.indexOf(person), 1);
        break;
      case 'rename':
        if (person) person.names = [name];
        break;
      case 'swap':
        if (person && other) [person.names, other.names] = [other.names, person.names];
        break;
      case 'add name':
        if (person && !person.names.includes(name)) person.names = [...person.names, name];
        break;
      case 'lose name':
        if (person) person.names = person.names.slice(1);
        break;
      case 'move':
        if (person) person.dn = `${person.dn.split(',')[0]!},${BRANCHES[whom % BRANCHES.length]!},dc=example,dc=com`;
        break;
      case 'scope':
        if (person) person.inScope = !person.inScope;
        break;
      case 'mark':
        if (person) person.status = 'marked';
        break;
      case 'unmark':
        if (person) person.status = 'silent';
        break;
      case 'say active':
        if (person) person.status = 'active';
        break;
      case 'full name':
        if (person) person.fullName = FULL_NAMES[whom % FULL_NAMES.length]!;
        break;
      case 'no full name':
        if (person) person.fullName = null;
        break;
      case 'mail':
        if (person) person.mail = MAILS[whom % MAILS.length]!;
        break;
      case 'no mail':
        if (person) person.mail = [];
        break;
      case 'new id':
        made += 1;
        if (person) person.id = `i${made}`;
        break;
      case 'change case of id':
        if (person)
          person.id = person.id === person.id.toLowerCase() ? person.id.toUpperCase() : person.id.toLowerCase();
        break;
      case 'hide':
        if (shown.length > 0) look.hiddenIds.add(shown[whom % shown.length]!.id);
        break;
      case 'hide branch':
        look.hiddenBranches.add(BRANCHES[whom % BRANCHES.length]!);
        break;
      case 'show all':
        look.hiddenIds.clear();
        look.hiddenBranches.clear();
        [look.hidesFullNames, look.hidesMarks] = [false, false];
        break;
      case 'fall behind':
        look.behind ??= people.map((each) => ({ ...each }));
        break;
      case 'catch up':
        look.behind = null;
        break;
      case 'go down':
        look.isUp = false;
        break;
      case 'come up':
        look.isUp = true;
        break;
      case 'break off':
        look.breaksOff = true;
        break;
      case 'hide full names':
        look.hidesFullNames = true;
        break;
      case 'hide marks':
        look.hidesMarks = true;
        break;
      case 'disable by hand':
        if (!account) break;
        account.disabledBy = 'admin';
        await edit(account, { disabledBy: 'admin' });
        break;
      case 'enable by hand':
        if (!account) break;
        account.disabledBy = null;
        await edit(account, { disabledBy: null });
        break;
      case 'delete by hand':
        if (!account) break;
        await write({ kind: 'delete', previous: (await stores.users.get(account.name))! });
        model.accounts.splice(model.accounts.indexOf(account), 1);
        break;
      case 'rename by hand':
        if (!account || model.accounts.some((each) => each.name === name)) break;
        await edit(account, { userName: name });
        account.name = name;
        break;
      case 'create by hand':
        await createByHand(name, false);
        break;
      case 'create integrated':
        await createByHand(name, true);
        break;
      case 'wait hours':
        time += HOURS * HOUR_MS;
        break;
      case 'wait days':
        time += DAYS * 24 * HOUR_MS;
        break;
      case 'approve':
        await approve();
        break;
      case 'run':
        return performRun();
      case 'killed run':
        return performKilledRun(who);
    }
    return [];
  }

  /** Approves everything that the last run withheld. */
  async function approve(): Promise<void> {
    if (lastRun === null || lastRun.approvalScope === null) return;
    const { id: runId, approvalScope } = lastRun;
    const lines = (await stores.runs.listChanges(runId, { kind: 'withheld', limit: 1_000 })).items;
    const open = lines.filter(({ proposes }) => proposes !== undefined);
    const given = { runId, approvedBy: 'boss', approvedAt: clock.now().toISOString(), approvalScope };
    await stores.approvals.approve(open.map((line) => toApproval(line as ProposalLine, given)));
    const numberOf = new Map([...idOf].map(([number, id]) => [id, number]));
    model.approve(
      open.map(({ userId, proposes, fields }): Withheld => ({
        number: numberOf.get(userId!)!,
        proposes: proposes!,
        linksTo: proposes === 'link' ? (fields!['directory.id']!.to as string) : null,
        clears: proposes === 'clear' ? Object.keys(fields!).map((field) => FIELDS[field]!) : [],
      })),
      time,
    );
  }

  for (const [index, each] of history.entries()) {
    const differences = await act(each);
    if (differences.length > 0) return [`after act ${index}, ${each.join(' ')}:`, ...differences];
  }
  return [];
}

function toEntry(person: Person): Entry {
  const { id, dn, names, fullName, mail, status } = person;
  return anEntry(
    id,
    {
      ...(names.length > 0 && { uid: names }),
      ...(fullName !== null && { cn: [fullName] }),
      ...(mail.length > 0 && { mail }),
    },
    { dn, disabled: status === 'marked', ...(status === 'active' && { statusSeen: [STATUS] }) },
  );
}

function describeAccount(
  { name, fullName, mail, isIntegrated, disabledBy, link }: Account,
  id: string | undefined,
): string {
  return JSON.stringify([
    id,
    name,
    fullName,
    mail,
    isIntegrated,
    disabledBy,
    link && [link.id.toLowerCase(), link.dn, link.isContested || link.missingSince !== null, link.isContested],
  ]);
}

function describeUser({ id, userName, fullName, emailAddresses, authentication, disabledBy, directory }: User): string {
  const isContested = directory?.contestedBy !== undefined;
  return JSON.stringify([
    id,
    userName,
    fullName,
    emailAddresses,
    authentication === 'integrated',
    disabledBy,
    directory && [
      directory.id.toLowerCase(),
      directory.dn,
      isContested || directory.missingSince !== null,
      isContested,
    ],
  ]);
}

function difference(what: string, expected: readonly string[], found: readonly string[]): string[] {
  return [
    ...expected.filter((each) => !found.includes(each)).map((each) => `${what} expected: ${each}`),
    ...found.filter((each) => !expected.includes(each)).map((each) => `${what} found:    ${each}`),
  ];
}
