/**
 * What a run has to do, as the simplest program that does it: plain loops over plain arrays, one server after the other,
 * everything in one piece. A second opinion on lib/sync, of which it must know nothing. It ignores how anything is
 * stored, and every interruption: a killed run and the next one together are one run.
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
  link: { id: string; dn: string; missingSince: number | null; isMarked: boolean; isContested: boolean } | null;
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
}

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

  /** Reads the first server that is up. */
  run(servers: readonly Server[], options: Options, now: number): Outcome {
    const read = servers.find(({ isUp }) => isUp);
    if (read === undefined) return { status: 'failed', withheld: [], refused: [] };
    const others = servers.filter((server) => server !== read);
    const isComplete = !read.breaksOff;
    const seen = read.people.filter(({ inScope }) => inScope);
    const withheld: Withheld[] = [];
    const refused: string[] = [];
    let isPartial = !isComplete;

    const linked = this.accounts.filter(({ link, isIntegrated }) => link !== null && !isIntegrated);
    this.known.push({ at: now, count: linked.length });
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
    const most = Math.max(...this.known.filter(({ at }) => within(at)).map(({ count }) => count)) - used('approved');
    const limit = Math.max(options.atLeast, (options.percent * most) / 100);
    this.approvals = this.approvals.filter(({ at }) => now - at < APPROVAL_MS);
    const isApproved = (number: number, proposes: Withheld['proposes']): boolean =>
      this.approvals.some((one) => isSame(one, { number, proposes }));
    const endApproval = (number: number, proposes: Withheld['proposes']): void => {
      this.approvals = this.approvals.filter((one) => !isSame(one, { number, proposes }));
    };
    /** Who of these may be treated so. The others are withheld. */
    const guard = (
      accounts: readonly Account[],
      counter: Counter,
      proposes: Withheld['proposes'],
      open = true,
    ): Set<Account> => {
      const approved = accounts.filter(({ number }) => isApproved(number, proposes));
      const rest = accounts.filter((account) => !approved.includes(account));
      const passes = open && used(counter) + rest.length <= limit;
      for (const { number } of approved) {
        endApproval(number, proposes);
        if (counter === 'absence') this.counted.push({ at: now, counter: 'approved' });
      }
      if (passes) for (const _ of rest) this.counted.push({ at: now, counter });
      else for (const { number } of rest) withhold(number, proposes);
      return new Set(passes ? accounts : approved);
    };
    const withhold = (number: number, proposes: Withheld['proposes']): void => {
      if (!withheld.some((one) => isSame(one, { number, proposes }))) withheld.push({ number, proposes });
    };

    // -------------------------------------------------------------------------------------------------------- names
    const nameOf = (person: Person): string => {
      const own = accountOf.get(person)?.name;
      return own !== undefined && person.names.includes(own) ? own : person.names.toSorted()[0]!;
    };
    const usable = seen.filter(({ names }) => names.length > 0);
    const isTwin = (person: Person): boolean =>
      usable.some((other) => other !== person && nameOf(other) === nameOf(person));
    refused.push(...seen.filter((person) => !usable.includes(person) || isTwin(person)).map(({ id }) => id));
    const named = usable.filter((person) => !isTwin(person));
    const holderOf = (person: Person): Account | undefined => this.accounts.find(({ name }) => name === nameOf(person));
    const find = (id: string, server: Server): Person | undefined =>
      server.people.find((each) => each.id === id) ?? server.people.find((each) => fold(each.id) === fold(id));

    const newcomers = isComplete ? named.filter((person) => !accountOf.has(person)) : [];
    for (const person of newcomers) {
      const holder = holderOf(person);
      if (holder === undefined || holder.isIntegrated || personOf.has(holder)) continue;
      const isFound =
        holder.link !== null &&
        [read, ...others.filter(({ isUp }) => isUp)].some((server) => find(holder.link!.id, server));
      if (holder.link === null) accountOf.set(person, holder);
      else if (!isFound) {
        // A contradiction: the account may be this person's, under another id.
        if (isApproved(holder.number, 'link')) {
          endApproval(holder.number, 'link');
          accountOf.set(person, holder);
          holder.link.isContested = false;
        } else {
          withhold(holder.number, 'link');
          holder.link.isContested = true;
          continue;
        }
      } else continue;
      personOf.set(holder, person);
      holder.link = { id: person.id, dn: person.dn, missingSince: null, isMarked: false, isContested: false };
    }
    const isContested = (account: Account): boolean =>
      withheld.some((one) => isSame(one, { number: account.number, proposes: 'link' }));
    if (isComplete) for (const account of linked) account.link!.isContested = isContested(account);

    // ------------------------------------------------------------------------------------------------------ absence
    const isSameServer = this.lastIdentity === read.identity;
    if (isComplete) this.lastIdentity = read.identity;
    const missing = isComplete ? linked.filter((account) => !personOf.has(account) && !isContested(account)) : [];
    const due = missing.filter(({ link, disabledBy }) => {
      const wasMissed = link!.missingSince !== null;
      link!.missingSince ??= now;
      if (options.missingUsers === 'keep' || (options.missingUsers === 'disable' && disabledBy !== null)) return false;
      return (isSameServer || wasMissed) && now - link!.missingSince >= options.graceMs;
    });
    const gone = due.filter(({ link }) => find(link!.id, read) === undefined);
    const isVanished = ({ link }: Account): boolean => {
      const branch = ancestors(link!.dn).find((each) => !seen.some(({ dn }) => isBelow(dn, each)));
      const alike = gone.filter((other) => other.link!.missingSince === link!.missingSince);
      return branch !== undefined && alike.filter((other) => isBelow(other.link!.dn, branch)).length >= 3;
    };
    const doubted = gone.filter((account) => {
      if (isApproved(account.number, 'remove')) return false;
      const isElsewhere = others.some((server) => server.isUp && find(account.link!.id, server) !== undefined);
      const isUnsure = others.some((server) => !server.isUp);
      if (isUnsure && !isElsewhere) isPartial = true;
      return isElsewhere || isUnsure || isVanished(account);
    });
    for (const { number } of doubted) withhold(number, 'remove');
    const removed = guard(
      due.filter((account) => !doubted.includes(account)),
      'absence',
      'remove',
      seen.length > 0,
    );
    if (options.missingUsers === 'delete') this.accounts = this.accounts.filter((account) => !removed.has(account));
    else for (const account of removed) account.disabledBy = 'sync';

    // -------------------------------------------------------------------------------------------------------- marks
    const marked = [...personOf].filter(([account, { status }]) => status === 'marked' && account.disabledBy === null);
    const disabled = guard(
      marked.map(([account]) => account),
      'mark',
      'remove',
    );
    for (const account of disabled) [account.disabledBy, account.link!.isMarked] = ['sync', true];

    // ------------------------------------------------------------------------------------------------------- people
    const wishes = new Map<Account, string>();
    for (const person of named) {
      const account = accountOf.get(person);
      if (isComplete && account !== undefined && account.name !== nameOf(person)) wishes.set(account, nameOf(person));
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
      return account !== undefined && (!isComplete || wishes.has(account) || account.name === nameOf(person));
    };
    const applied = named.filter(isApplied).map((person) => [person, accountOf.get(person)!] as const);
    const emptied = <T>(field: (one: Person | Account) => readonly T[] | string | null): Account[] =>
      applied
        .filter(([person, account]) => isEmpty(field(person)) && !isEmpty(field(account)))
        .map(([, account]) => account);
    const clearsName = guardFields(
      'fullName',
      emptied((one) => one.fullName),
    );
    const clearsMail = guardFields(
      'mail',
      emptied((one) => one.mail),
    );
    function guardFields(counter: Counter, accounts: readonly Account[]): Set<Account> {
      return guard(accounts, counter, 'clear');
    }
    const released = applied.filter(
      ([{ status }, { disabledBy, link }]) => status === 'silent' && disabledBy === 'sync' && link!.isMarked,
    );
    const enabled = guard(
      released.map(([, account]) => account),
      'enable',
      'enable',
    );
    for (const [person, account] of applied) {
      if (!isEmpty(person.fullName) || clearsName.has(account)) account.fullName = person.fullName;
      if (!isEmpty(person.mail) || clearsMail.has(account)) account.mail = person.mail;
      const link = account.link!;
      [link.id, link.missingSince] = [person.id, null];
      if (isComplete) link.dn = person.dn;
      if (person.status === 'marked') link.isMarked = account.disabledBy !== null;
      else if (account.disabledBy !== 'sync' || !link.isMarked || person.status === 'active' || enabled.has(account)) {
        if (account.disabledBy === 'sync') account.disabledBy = null;
        link.isMarked = false;
      }
    }
    for (const [account, name] of wishes) account.name = name;
    for (const person of newcomers) {
      if (accountOf.has(person) || isContestedBy(person)) continue;
      if (holderOf(person) !== undefined) refused.push(person.id);
      else {
        const isMarked = person.status === 'marked';
        const { id, dn, fullName, mail } = person;
        const link = { id, dn, missingSince: null, isMarked, isContested: false };
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
    function isContestedBy(person: Person): boolean {
      const holder = holderOf(person);
      return holder !== undefined && isContested(holder);
    }
    return { status: isPartial ? 'partial' : 'succeeded', withheld, refused };
  }
}

const isEmpty = (value: string | readonly unknown[] | null): boolean => value === null || value.length === 0;

function isSame(one: Withheld, other: Withheld): boolean {
  return one.number === other.number && one.proposes === other.proposes;
}
