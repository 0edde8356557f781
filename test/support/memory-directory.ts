/**
 * A directory in memory behind the Directory port, for tests of the core: one server, or several with names of their
 * own. Each server has its own people, faults and access rules. The LDAP adapter has its own contract test on real
 * servers.
 */
import type {
  BranchState,
  Directory,
  DirectoryReader,
  OtherView,
  PasswordState,
  ReadProof,
  Whereabouts,
} from '../../lib/directory/directory.ts';
import type { Entry } from '../../lib/directory/entry.ts';
import { dnKey, isAtOrBelow } from '../../lib/distinguished-name.ts';
import { ServiceError } from '../../lib/errors.ts';
import type { Settings } from '../../lib/settings/settings.ts';

const BASE = 'dc=example,dc=com';

export interface MemoryPerson {
  readonly entry: Entry;
  readonly password?: string;
  readonly passwordState?: PasswordState;
  /** Whether it is within base, depth and filter of the settings. Default true. */
  readonly inScope?: boolean;
}

/** One server. It shows its people as far as `hiddenIds`, `hiddenBranches` and `hiddenAttributes` let it. */
export class MemoryServer {
  /** As a test writes it into the settings. Several servers with one name are the addresses behind that name. */
  readonly name: string;
  /** The server's own name in its root DSE. */
  identity: string;
  proof: ReadProof = { complete: true, reasons: [] };
  idAttribute = 'entryuuid';
  /** Whether it holds the base. A server that does not is no other view. */
  holdsBase = true;
  /** Unique ids of the people whom the bind DN can't see here. */
  readonly hiddenIds = new Set<string>();
  /** DNs: nobody at or below one of them can be seen here. */
  readonly hiddenBranches = new Set<string>();
  /**
   * Attributes that the bind DN can't read here, in lower case. With the id attribute among them, ids can't be looked
   * up.
   */
  readonly hiddenAttributes = new Set<string>();
  /** DNs of the containers that can be read and say that they have no children. */
  readonly emptyBranches = new Set<string>();
  /** While it is set, every operation on this server fails with it. */
  fault: ServiceError | null = null;
  /** While it is set, every look for people fails with it, as on a server that breaks after it was reached. */
  locateFault: ServiceError | null = null;
  /** While it is set, the reader's searches for a login fail with it. */
  findDnFault: ServiceError | null = null;
  /** While it is set, every bind of a person stays without an answer, and this is the fault. */
  silent: ServiceError | null = null;
  /** Whether people may not read their own unique id. */
  hidesOwnEntries = false;
  /** Called after the last page, before the proof: does what others do while a run reads. */
  afterRead: () => Promise<void> = async () => {};
  pageSize = 7;
  /** What this server was asked for: ids looked up, and branches. */
  readonly asked = { reads: 0, ids: [] as string[], branches: [] as string[] };

  private own: MemoryPerson[] | null;
  private readonly original: MemoryServer | null;

  /** @param original the server whose people this one shows until it is given its own */
  constructor(name: string, identity: string, original: MemoryServer | null = null) {
    this.name = name;
    this.identity = identity;
    this.original = original;
    this.own = original === null ? [] : null;
  }

  get people(): MemoryPerson[] {
    return this.own ?? this.original!.people;
  }

  set people(people: MemoryPerson[]) {
    this.own = people;
  }

  /** The people whom the bind DN can see, as it sees them. */
  get visible(): readonly MemoryPerson[] {
    return this.people.filter(({ entry }) => this.shows(entry)).map((person) => this.reduce(person));
  }

  /** @throws the fault that is set, if there is one */
  answer(): void {
    if (this.fault) throw this.fault;
  }

  async *read(): AsyncGenerator<readonly Entry[], ReadProof, void> {
    this.asked.reads += 1;
    const shown = this.visible.filter(({ inScope }) => inScope ?? true).map(({ entry }) => entry);
    for (let start = 0; start < shown.length; start += this.pageSize) yield shown.slice(start, start + this.pageSize);
    await this.afterRead();
    return this.proof;
  }

  locate(ids: readonly string[]): ReadonlyMap<string, Whereabouts> {
    this.answer();
    if (this.locateFault) throw this.locateFault;
    this.asked.ids.push(...ids);
    const seen = this.visible;
    if (!seen.some(({ entry }) => entry.id !== null)) {
      return new Map(ids.map((id) => [id, unproven('no entry of the directory has a readable unique id')]));
    }
    return new Map(ids.map((id) => [id, findPerson(seen, id, ids)]));
  }

  judgeBranch(dn: string): BranchState {
    this.answer();
    if (this.locateFault) throw this.locateFault;
    this.asked.branches.push(dn);
    const inScope = this.visible.filter((person) => person.inScope ?? true);
    const own = dnKey(dn);
    if (inScope.some(({ entry }) => isAtOrBelow(entry.dn, dn) && dnKey(entry.dn) !== own)) return 'populated';
    return [...this.emptyBranches].some((empty) => dnKey(empty) === own) ? 'empty' : 'vanished';
  }

  private shows({ id, dn }: Entry): boolean {
    if (id !== null && this.hiddenIds.has(id)) return false;
    return ![...this.hiddenBranches].some((branch) => isAtOrBelow(dn, branch));
  }

  private reduce(person: MemoryPerson): MemoryPerson {
    if (this.hiddenAttributes.size === 0) return person;
    const { entry } = person;
    const shown = Object.entries(entry.attributes).filter(([name]) => !this.hiddenAttributes.has(name));
    const id = this.hiddenAttributes.has(this.idAttribute) ? null : entry.id;
    return { ...person, entry: { ...entry, id, attributes: Object.fromEntries(shown) } };
  }
}

/** A directory of one server, which it is itself, and of those that a test adds. */
export class MemoryDirectory extends MemoryServer {
  readonly servers: MemoryServer[] = [this];
  readonly calls = {
    reads: 0,
    located: 0,
    binds: [] as string[],
    ownIds: 0,
    findDn: 0,
    searches: 0,
    checks: 0,
    otherViews: 0,
    closed: 0,
  };

  constructor() {
    super('127.0.0.1', 'memory-1');
  }

  /**
   * Adds a server. It shows the people of the first one until it is given its own.
   * @param name the name of an existing server adds an address behind that name
   */
  addServer(name: string, identity = `memory-${this.servers.length + 1}`): MemoryServer {
    const server = new MemoryServer(name, identity, this);
    this.servers.push(server);
    return server;
  }

  /** Without settings, or with settings that name none of the servers, all of them are used in order. */
  readonly open = (settings?: Settings): Directory => {
    const own = [...new Set(this.servers.map(({ name }) => name))];
    const wanted = settings?.connection.servers ?? [];
    const names = wanted.some((name) => own.includes(name)) ? wanted : own;
    return {
      openReader: async (except = []) => {
        const left = names.filter((name) => !except.includes(name));
        return this.readerOf(this.firstOf(left));
      },
      openOtherViews: async (read) => this.openOtherViews(names, read),
      verifyPassword: async (dn, password, whenAccepted) => {
        const server = this.firstOf(names);
        this.calls.binds.push(dn);
        if (server.silent !== null) return { kind: 'unanswered', fault: server.silent };
        const found = server.people.find(({ entry }) => dnKey(entry.dn) === dnKey(dn));
        if (found === undefined || found.password !== password || password === '') {
          return { kind: 'rejected', reason: 'invalidCredentials' };
        }
        await whenAccepted?.({
          readId: async () => {
            this.calls.ownIds += 1;
            return server.hidesOwnEntries ? null : found.entry.id;
          },
        });
        return { kind: 'accepted', ...found.passwordState };
      },
      findDn: async (id, _idAttribute, storedDn) => {
        const server = this.firstOf(names);
        this.calls.findDn += 1;
        if (server.findDnFault) throw server.findDnFault;
        const seen = server.visible.filter(({ entry }) => entry.id !== null);
        if (seen.length === 0) throw new ServiceError('readRefused', `${server.name}: the bind DN sees nobody`);
        const found = seen.filter(({ entry }) => entry.id === id);
        const ours = found.length > 1 ? found.filter(({ entry }) => dnKey(entry.dn) === dnKey(storedDn ?? '')) : found;
        return ours[0]?.entry.dn ?? null;
      },
      searchByName: async () => {
        const server = this.firstOf(names);
        this.calls.searches += 1;
        if (server.findDnFault) throw server.findDnFault;
        // More than the name asked for, as a server may send: the mapping decides.
        const entries = server.visible.filter(({ inScope }) => inScope ?? true).map(({ entry }) => entry);
        return { idAttribute: server.idAttribute, entries };
      },
      checkIdle: async () => {
        this.calls.checks += 1;
      },
      test: async () => ({
        ok: true,
        stages: [],
        certificates: [],
        server: null,
        presets: null,
        warnings: [],
        count: null,
        counted: 'none',
        sample: [],
      }),
      close: async () => {},
    };
  };

  /** The first server that answers. Throws the fault of the first name if none does. */
  private firstOf(names: readonly string[]): MemoryServer {
    const faults: ServiceError[] = [];
    for (const name of names) {
      const addresses = this.servers.filter((server) => server.name === name);
      const server = addresses.find(({ fault }) => fault === null);
      if (server !== undefined) return server;
      faults.push(addresses[0]?.fault ?? unknownHost(name));
    }
    throw faults[0] ?? new ServiceError('hostNotFound', 'the settings contain no server');
  }

  private openOtherViews(names: readonly string[], read: DirectoryReader): readonly OtherView[] {
    this.calls.otherViews += 1;
    const views: OtherView[] = [];
    for (const name of names) {
      if (name === read.server) {
        const others = this.servers.filter((server) => server.name === name);
        const other = others.find(({ fault, identity }) => fault === null && identity !== read.identity.identity);
        if (other?.holdsBase === true) views.push({ kind: 'open', reader: this.readerOf(other) });
        continue;
      }
      try {
        const other = this.firstOf([name]);
        if (other.holdsBase) views.push({ kind: 'open', reader: this.readerOf(other) });
      } catch (error) {
        views.push({ kind: 'unreachable', server: name, reason: (error as ServiceError).message });
      }
    }
    return views;
  }

  private readerOf(server: MemoryServer): DirectoryReader {
    const { calls } = this;
    return {
      server: server.name,
      identity: { name: server.name, identity: server.identity },
      baseDn: BASE,
      idAttribute: server.idAttribute,
      requests: 0,
      readPeople() {
        calls.reads += 1;
        return server.read();
      },
      locate: async (ids) => {
        const found = server.locate(ids);
        calls.located += ids.length;
        return found;
      },
      judgeBranch: async (dn) => server.judgeBranch(dn),
      close: async () => {
        calls.closed += 1;
      },
    };
  }
}

const unproven = (reason: string): Whereabouts => ({ kind: 'unproven', reason });

/** Ids match exactly; failing that, without case, where there is exactly one on each side. */
function findPerson(people: readonly MemoryPerson[], id: string, asked: readonly string[]): Whereabouts {
  const isAlike = (other: string | null): boolean => other?.toLowerCase() === id.toLowerCase();
  const alike = people.filter(({ entry }) => isAlike(entry.id));
  const exact = alike.find(({ entry }) => entry.id === id);
  const free = alike.filter(({ entry }) => !asked.includes(entry.id!));
  const found = exact ?? free[0];
  if (found === undefined) return { kind: 'gone' };
  if (exact === undefined && (free.length > 1 || asked.filter(isAlike).length > 1)) {
    return unproven(`several unique ids are ${id} in another letter case`);
  }
  return { kind: 'present', dn: found.entry.dn, inScope: found.inScope ?? true };
}

function unknownHost(name: string): ServiceError {
  return new ServiceError('hostNotFound', `${name}: the host name does not resolve (ENOTFOUND)`);
}

export const unreachable = (): ServiceError =>
  new ServiceError('connectionTimeout', 'the server did not answer', { retryable: true });
