/**
 * What a run has to do, as the simplest program that does it: plain loops over plain arrays, one server after the
 * other, everything in one piece. A second opinion on lib/sync, of which it must know nothing. It ignores how anything
 * is stored, and every interruption: a killed run and the next one together are one run.
 */

/** An entry as one server shows it. Without names it can't be a user. `silent`: no status attribute at all. */
export interface Person {
  readonly id: string;
  readonly dn: string;
  readonly names: readonly string[];
  readonly fullName: string | null;
  readonly mail: readonly string[];
  readonly status: 'marked' | 'active' | 'silent';
  readonly inScope: boolean;
}

/** A server as the bind DN sees it. `breaksOff`: its read does not come to its end. */
export interface Server {
  readonly name: string;
  readonly identity: string;
  readonly isUp: boolean;
  readonly breaksOff: boolean;
  readonly people: readonly Person[];
}

/** A user. `number` stays the same for the life of the account. Times are in milliseconds. */
export interface Account {
  readonly number: number;
  name: string;
  fullName: string | null;
  mail: readonly string[];
  isIntegrated: boolean;
  disabledBy: 'admin' | 'sync' | null;
  link: {
    id: string;
    dn: string;
    missingSince: number | null;
    /** The branch, without the base, that vanished together with this person and others; null if none did. */
    vanishedWith: string | null;
    isMarked: boolean;
    isContested: boolean;
  } | null;
}

/** The options that decide about removals. */
export interface Options {
  readonly missingUsers: 'keep' | 'disable' | 'delete';
  readonly graceMs: number;
  readonly percent: number;
  readonly atLeast: number;
  readonly windowMs: number;
}

/** What is withheld, as the account's number and what an approval would do. */
export interface Withheld {
  readonly number: number;
  readonly proposes: 'remove' | 'link' | 'clear' | 'enable';
  /** The id of the entry to link; null if the proposal is another one. */
  readonly linksTo: string | null;
  /** The fields to clear; empty if the proposal is another one. */
  readonly clears: readonly Field[];
}

/** A field that may be emptied. */
export type Field = 'fullName' | 'mail';

/** The result of a run. `refused`: ids of entries in a conflict or without a usable name. */
export interface Outcome {
  readonly status: 'succeeded' | 'partial' | 'failed';
  readonly withheld: readonly Withheld[];
  readonly refused: readonly string[];
}

type Counter = 'absence' | 'mark' | 'fullName' | 'mail' | 'enable' | 'approved';
const APPROVAL_MS = 14 * 86_400_000;

const fold = (id: string): string => id.toLowerCase();
/** The DNs between an entry and the base, the highest first. */
const ancestors = (dn: string): string[] => {
  const parts = dn.split(',').slice(1, -2);
  return parts.map((_, index) => parts.slice(parts.length - 1 - index).join(','));
};
const branchOf = (dn: string): string => dn.split(',').slice(1, -2).join(',');
const isBelow = (dn: string, branch: string): boolean => `,${branchOf(dn)}`.endsWith(`,${branch}`);

/** The users, and everything that one run leaves for the next. */
export class Model {
  accounts: Account[] = [];
  private lastIdentity: string | null = null;
  private readonly counted: { readonly at: number; readonly counter: Counter }[] = [];
  private readonly known: { readonly at: number; readonly count: number }[] = [];
  private approvals: (Withheld & { readonly at: number })[] = [];
  private made = 0;

  create(over: Omit<Account, 'number'>): Account {
    const account = { number: (this.made += 1), ...over };
    this.accounts.push(account);
    return account;
  }

  approve(withheld: readonly Withheld[], at: number): void {
    this.approvals = this.approvals.filter((old) => !withheld.some((line) => isSame(line, old)));
    this.approvals.push(...withheld.map((line) => ({ ...line, at })));
  }

  copy(): Model {
    return Object.assign(new Model(), structuredClone(Object.fromEntries(Object.entries(this))));
  }

  /** A run was killed after it had read all of this server. */
  noteRead({ identity }: Server): void {
    this.lastIdentity = identity;
  }

  /** Reads the first server that is up. */
  run(servers: readonly Server[], options: Options, now: number): Outcome {
    const read = servers.find(({ isUp }) => isUp);
    if (read === undefined) return { status: 'failed', withheld: [], refused: [] };
    const others = servers.filter((server) => server !== read);
    const isComplete = !read.breaksOff;
    const seen = read.people.filter(({ inScope }) => inScope);
    const withheld: Withheld[] = [];
    const refused: string[] = [];

    const linked = this.accounts.filter(({ link, isIntegrated }) => link !== null && !isIntegrated);
    const accountOf = new Map<Person, Account>();
    for (const person of seen) {
      const exact = linked.find(({ link }) => link!.id === person.id);
      if (exact !== undefined) accountOf.set(person, exact);
    }
    const matched = new Set(accountOf.values());
    for (const person of seen.filter((each) => !accountOf.has(each))) {
      const accounts = linked.filter((each) => !matched.has(each) && fold(each.link!.id) === fold(person.id));
      const people = seen.filter((each) => !accountOf.has(each) && fold(each.id) === fold(person.id));
      if (accounts.length === 1 && people.length === 1) accountOf.set(person, accounts[0]!);
    }
    const personOf = new Map([...accountOf].map(([person, account]) => [account, person]));

    // ------------------------------------------------------------------------------------------------------- limits
    const within = (at: number): boolean => now - at < options.windowMs;
    const used = (counter: Counter): number =>
      this.counted.filter((one) => one.counter === counter && within(one.at)).length;
    const approvedSince = (time: number): number =>
      this.counted.filter(({ at, counter }) => counter === 'approved' && at >= time).length;
    const isRemoved = (account: Account): boolean =>
      isComplete && account.disabledBy !== null && !personOf.has(account);
    const count = linked.filter((account) => !isRemoved(account)).length;
    const former = this.known.filter(({ at }) => within(at)).map((one) => one.count - approvedSince(one.at));
    const most = Math.max(count, ...former);
    if (isComplete) this.known.push({ at: now, count });
    const limit = Math.max(options.atLeast, (options.percent * most) / 100);
    this.approvals = this.approvals.filter(({ at }) => now - at < APPROVAL_MS);
    const isApproved = (number: number, proposes: Withheld['proposes'], about: string | null = null): boolean =>
      this.approvals.some(
        (one) =>
          isSame(one, { number, proposes }) &&
          (proposes === 'clear' ? one.clears.some((field) => field === about) : one.linksTo === about),
      );
    const asked: Pick<Withheld, 'number' | 'proposes'>[] = [];
    const done: Pick<Withheld, 'number' | 'proposes'>[] = [];
    const endApproval = (number: number, proposes: Withheld['proposes']): void => void done.push({ number, proposes });
    /**
     * Who of these may be treated so. The others are withheld. Those to whom it does not happen in the end, for another
     * reason, count as well.
     */
    const guard = (
      accounts: readonly Account[],
      counter: Counter,
      proposes: Withheld['proposes'],
      open = true,
      happens: (account: Account) => boolean = () => true,
    ): Set<Account> => {
      asked.push(...accounts.map(({ number }) => ({ number, proposes })));
      const about = proposes === 'clear' ? counter : null;
      const approved = accounts.filter(({ number }) => isApproved(number, proposes, about));
      const rest = accounts.filter((account) => !approved.includes(account));
      const passes = open && used(counter) + rest.length <= limit;
      for (const { number } of approved.filter(happens)) {
        endApproval(number, proposes);
        if (counter === 'absence') this.counted.push({ at: now, counter: 'approved' });
      }
      for (const account of rest.filter(happens)) {
        if (passes) this.counted.push({ at: now, counter });
        else withhold(account.number, proposes);
      }
      return new Set(passes ? accounts : approved);
    };
    const withhold = (number: number, proposes: Withheld['proposes'], linksTo: string | null = null): void => {
      if (!withheld.some((one) => isSame(one, { number, proposes })))
        withheld.push({ number, proposes, linksTo, clears: [] });
    };

    // -------------------------------------------------------------------------------------------------------- names
    /** The names of newcomers who have another one of their names in common with a missing user. */
    const shared = new Map<Person, string>();
    const nameOf = (person: Person): string => {
      const own = shared.get(person) ?? accountOf.get(person)?.name;
      return own !== undefined && person.names.includes(own) ? own : person.names.toSorted()[0]!;
    };
    const usable = seen.filter(({ names }) => names.length > 0);
    const twins = new Set(
      usable.filter((person) => usable.some((other) => other !== person && nameOf(other) === nameOf(person))),
    );
    const isTwin = (person: Person): boolean => twins.has(person);
    refused.push(...seen.filter((person) => !usable.includes(person) || isTwin(person)).map(({ id }) => id));
    const named = usable.filter((person) => !isTwin(person));
    const holderOf = (person: Person): Account | undefined => this.accounts.find(({ name }) => name === nameOf(person));
    const find = (id: string, server: Server): Person | undefined =>
      server.people.find((each) => each.id === id) ?? server.people.find((each) => fold(each.id) === fold(id));

    const newcomers = isComplete ? usable.filter((person) => !accountOf.has(person)) : [];
    /** Accounts that may belong to a newcomer of the same name: a contradiction, not a departure and an arrival. */
    const contested = new Set<Account>();
    /** Newcomers who have the name of somebody who is still there, though out of scope. */
    const strangers = new Set<Person>();
    const joined = new Set<Account>();
    /** Whoever may be one of several entries with one name is left alone. */
    const isClaimed = ({ name }: Account): boolean =>
      usable.some((person) => isTwin(person) && nameOf(person) === name);
    const isMissing = (name: string): boolean =>
      linked.some((account) => account.name === name && !personOf.has(account)) &&
      !newcomers.some((person) => !isTwin(person) && nameOf(person) === name);
    for (const person of newcomers) {
      const holder = holderOf(person);
      const isFirst = holder !== undefined && linked.includes(holder) && !personOf.has(holder);
      const name = isTwin(person) || isFirst ? undefined : person.names.toSorted().find(isMissing);
      if (name !== undefined) shared.set(person, name);
    }
    for (const person of newcomers) {
      const holder = holderOf(person);
      if (holder === undefined || holder.isIntegrated || personOf.has(holder)) continue;
      if (holder.link !== null) {
        const { id } = holder.link;
        if (servers.some((server) => server.isUp && find(id, server) !== undefined)) {
          strangers.add(person);
          continue;
        }
        if (isTwin(person)) continue;
        asked.push({ number: holder.number, proposes: 'link' });
        if (!isApproved(holder.number, 'link', person.id)) {
          contested.add(holder);
          withhold(holder.number, 'link', person.id);
          continue;
        }
        endApproval(holder.number, 'link');
      } else if (isTwin(person)) continue;
      accountOf.set(person, holder);
      personOf.set(holder, person);
      joined.add(holder);
      holder.link = {
        id: person.id,
        dn: person.dn,
        missingSince: null,
        vanishedWith: null,
        isMarked: false,
        isContested: false,
      };
    }
    for (const { link } of contested) [link!.isContested, link!.missingSince] = [true, link!.missingSince ?? now];

    // ------------------------------------------------------------------------------------------------------ absence
    const isSameServer = this.lastIdentity === read.identity;
    if (isComplete) this.lastIdentity = read.identity;
    const missing = isComplete
      ? linked.filter((account) => !personOf.has(account) && !contested.has(account) && !isClaimed(account))
      : [];
    // Until now somebody of this name was there: the absence begins when the newcomer is gone.
    const uncontested = missing.filter(({ link }) => link!.isContested);
    for (const { link } of uncontested) [link!.isContested, link!.missingSince] = [false, now];
    const due = missing.filter((account) => {
      const { link, disabledBy } = account;
      const wasMissed = link!.missingSince !== null;
      link!.missingSince ??= now;
      if (uncontested.includes(account)) return false;
      if (options.missingUsers === 'keep' || (options.missingUsers === 'disable' && disabledBy !== null)) return false;
      return (isSameServer || wasMissed) && now - link!.missingSince >= options.graceMs;
    });
    const isDoubted = (account: Account): boolean => {
      const own = find(account.link!.id, read);
      return others.some((server) => {
        const place = server.isUp ? find(account.link!.id, server) : undefined;
        // Who shows nobody at all can't tell that somebody is gone.
        const isBlind = !server.isUp || (server.people.length === 0 && own === undefined);
        return isBlind || (place !== undefined && (place.inScope || own === undefined));
      });
    };
    const outOfSight = due.filter((account) => isDoubted(account) || find(account.link!.id, read) === undefined);
    const hasPeople = (branch: string): boolean => seen.some(({ dn }) => isBelow(dn, branch));
    const together = [...outOfSight, ...uncontested];
    const quiet = missing.filter((account) => !due.includes(account) && !uncontested.includes(account));
    for (const { link } of together) {
      const branch = ancestors(link!.dn).find((each) => !hasPeople(each));
      if (branch === undefined) continue;
      const alike = [...together, ...quiet].filter((other) => other.link!.missingSince === link!.missingSince);
      if (alike.filter((other) => isBelow(other.link!.dn, branch)).length >= 3) link!.vanishedWith = branch;
    }
    // Who has vanished with a branch is doubted as long as nobody is seen there.
    const isVanished = ({ link }: Account): boolean => link!.vanishedWith !== null && !hasPeople(link!.vanishedWith);
    const doubted = due.filter(
      (account) =>
        !isApproved(account.number, 'remove') &&
        (isDoubted(account) || (outOfSight.includes(account) && isVanished(account))),
    );
    for (const { number } of doubted) withhold(number, 'remove');
    const removed = guard(
      due.filter((account) => !doubted.includes(account)),
      'absence',
      'remove',
      seen.length > 0,
    );
    if (options.missingUsers === 'delete') this.accounts = this.accounts.filter((account) => !removed.has(account));
    else for (const account of removed) account.disabledBy = 'sync';

    // A conflict or a skip is about names: whoever is seen is not missing.
    for (const { link } of personOf.keys())
      [link!.missingSince, link!.vanishedWith, link!.isContested] = [null, null, false];

    // -------------------------------------------------------------------------------------------------------- marks
    // Whoever is linked in this run is disabled by the next one.
    const marked = [...personOf].filter(
      ([account, { status }]) => status === 'marked' && account.disabledBy === null && !joined.has(account),
    );
    const disabled = guard(
      marked.map(([account]) => account),
      'mark',
      'remove',
    );
    for (const account of disabled) [account.disabledBy, account.link!.isMarked] = ['sync', true];

    // ------------------------------------------------------------------------------------------------------- people
    const wishes = new Map<Account, string>();
    const waiting: Account[] = [];
    for (const person of named) {
      const account = accountOf.get(person);
      if (account === undefined) continue;
      if (account.name !== nameOf(person)) wishes.set(account, nameOf(person));
    }
    // A name waits for a complete read, and with it everything else of somebody who is disabled meanwhile.
    const keeping = new Set<Account>();
    if (!isComplete) {
      for (const account of wishes.keys()) {
        if (disabled.has(account)) waiting.push(account);
        else keeping.add(account);
      }
      wishes.clear();
    }
    const isFree = (name: string): boolean => this.accounts.every((other) => other.name !== name || wishes.has(other));
    for (let size = -1; size !== wishes.size;) {
      size = wishes.size;
      for (const [account, name] of wishes) {
        if (isFree(name)) continue;
        wishes.delete(account);
        refused.push(personOf.get(account)!.id);
      }
    }
    const isApplied = (person: Person): boolean => {
      const account = accountOf.get(person);
      if (account === undefined || waiting.includes(account)) return false;
      return wishes.has(account) || keeping.has(account) || account.name === nameOf(person);
    };
    const applied = named.filter(isApplied).map((person) => [person, accountOf.get(person)!] as const);
    const happens = (account: Account): boolean => applied.some(([, other]) => other === account);
    const pairs = [...personOf].filter(([account, person]) => named.includes(person) && !waiting.includes(account));
    const losers = (loses: (person: Person, account: Account) => boolean): Account[] =>
      pairs.filter(([account, person]) => loses(person, account)).map(([account]) => account);
    /** What nobody shows any more, the reader has lost the right to see; of a mark, if it was more than a few. */
    const guardLoss = (
      accounts: readonly Account[],
      counter: Counter,
      shows: (person: Person) => boolean,
    ): ReadonlySet<Account> => {
      const proposes = counter === 'enable' ? 'enable' : 'clear';
      const fewest = counter === 'enable' ? 3 : 1;
      return guard(accounts, counter, proposes, accounts.length < fewest || usable.some(shows), happens);
    };
    const clearsName = guardLoss(
      losers((person, account) => isEmpty(person.fullName) && !isEmpty(account.fullName)),
      'fullName',
      ({ fullName }) => !isEmpty(fullName),
    );
    const clearsMail = guardLoss(
      losers((person, account) => isEmpty(person.mail) && !isEmpty(account.mail)),
      'mail',
      ({ mail }) => !isEmpty(mail),
    );
    const enabled = guardLoss(
      losers(({ status }, { disabledBy, link }) => status === 'silent' && disabledBy === 'sync' && link!.isMarked),
      'enable',
      ({ status }) => status !== 'silent',
    );
    for (const [person, account] of applied) {
      if (!isEmpty(person.fullName) || clearsName.has(account)) account.fullName = person.fullName;
      if (!isEmpty(person.mail) || clearsMail.has(account)) {
        const kept = account.mail.filter((each) => person.mail.includes(each));
        account.mail = [...kept, ...person.mail.filter((each) => !kept.includes(each))];
      }
      const link = account.link!;
      [link.id, link.missingSince, link.isContested] = [person.id, null, false];
      link.dn = person.dn;
      if (person.status === 'marked') link.isMarked = account.disabledBy !== null;
      else if (account.disabledBy !== 'sync' || !link.isMarked || person.status === 'active' || enabled.has(account)) {
        if (account.disabledBy === 'sync') account.disabledBy = null;
        link.isMarked = false;
      }
    }
    if (isComplete) for (const [account, name] of wishes) account.name = name;
    for (const person of newcomers) {
      const holder = holderOf(person);
      if (accountOf.has(person) || isTwin(person) || (holder !== undefined && contested.has(holder))) continue;
      if (holder !== undefined || strangers.has(person)) refused.push(person.id);
      else {
        const isMarked = person.status === 'marked';
        const { id, dn, fullName, mail } = person;
        const link = { id, dn, missingSince: null, vanishedWith: null, isMarked, isContested: false };
        this.create({
          name: nameOf(person),
          fullName,
          mail,
          isIntegrated: false,
          disabledBy: isMarked ? 'sync' : null,
          link,
        });
      }
    }
    // An approval ends when nothing is left to approve; that of a removal, when the person is read again.
    const isOver = (one: Withheld): boolean =>
      isComplete &&
      (one.proposes !== 'remove' || [...personOf.keys()].some(({ number }) => number === one.number)) &&
      !asked.some((other) => isSame(one, other));
    this.approvals = this.approvals.filter((one) => !done.some((other) => isSame(one, other)) && !isOver(one));
    return { status: isComplete ? 'succeeded' : 'partial', withheld, refused };
  }
}

const isEmpty = (value: string | readonly unknown[] | null): boolean => value === null || value.length === 0;

function isSame(one: Pick<Withheld, 'number' | 'proposes'>, other: Pick<Withheld, 'number' | 'proposes'>): boolean {
  return one.number === other.number && one.proposes === other.proposes;
}
