/**
 * A directory in memory behind the Directory port, for tests of the core. A test sets its people, its faults, and
 * whether a read is complete. The LDAP adapter has its own contract test on real servers.
 */
import type { Directory, ReadProof, Whereabouts } from '../../lib/directory/directory.ts';
import type { Entry } from '../../lib/directory/entry.ts';
import { ServiceError } from '../../lib/errors.ts';

export interface MemoryPerson {
  readonly entry: Entry;
  readonly password?: string;
  /** Whether it is within base, depth and filter of the settings. Default true. */
  readonly inScope?: boolean;
}

export class MemoryDirectory {
  people: MemoryPerson[] = [];
  proof: ReadProof = { complete: true, reasons: [] };
  idAttribute = 'entryuuid';
  /** While it is set, every operation fails with it. */
  fault: ServiceError | null = null;
  /** While it is set, the second look fails with it. */
  locateFault: ServiceError | null = null;
  /** While it is set, the search for a DN fails with it. */
  findDnFault: ServiceError | null = null;
  /** Called after the last page, before the proof: does what others do while a run reads. */
  afterRead: () => Promise<void> = async () => {};
  readonly calls = { reads: 0, located: 0, binds: [] as string[], findDn: 0, closed: 0 };
  pageSize = 7;

  readonly open = (): Directory => ({
    openReader: async () => {
      this.answer();
      return {
        server: 'memory',
        identity: { name: 'memory', identity: 'memory' },
        baseDn: 'dc=example,dc=com',
        idAttribute: this.idAttribute,
        requests: 0,
        readPeople: () => this.read(),
        locate: async (ids) => {
          this.answer();
          if (this.locateFault) throw this.locateFault;
          this.calls.located += ids.length;
          return new Map(ids.map((id) => [id, this.whereabouts(id)]));
        },
        judgeBranch: async () => 'populated',
        close: async () => {
          this.calls.closed += 1;
        },
      };
    },
    openOtherViews: async () => [],
    verifyPassword: async (dn, password) => {
      this.answer();
      this.calls.binds.push(dn);
      const found = this.people.find(({ entry }) => entry.dn.toLowerCase() === dn.toLowerCase());
      return found?.password === password && password !== ''
        ? { kind: 'accepted' }
        : { kind: 'rejected', reason: 'invalidCredentials' };
    },
    findDn: async (id) => {
      this.answer();
      this.calls.findDn += 1;
      if (this.findDnFault) throw this.findDnFault;
      const found = this.people.filter(({ entry }) => entry.id === id);
      return found.length === 1 ? found[0]!.entry.dn : null;
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
  });

  private answer(): void {
    if (this.fault) throw this.fault;
  }

  private async *read(): AsyncGenerator<readonly Entry[], ReadProof, void> {
    this.calls.reads += 1;
    const shown = this.people.filter(({ inScope }) => inScope ?? true).map(({ entry }) => entry);
    for (let start = 0; start < shown.length; start += this.pageSize) yield shown.slice(start, start + this.pageSize);
    await this.afterRead();
    return this.proof;
  }

  private whereabouts(id: string): Whereabouts {
    const found = this.people.find(({ entry }) => entry.id === id);
    return found ? { kind: 'present', dn: found.entry.dn, inScope: found.inScope ?? true } : { kind: 'gone' };
  }
}

export const unreachable = (): ServiceError =>
  new ServiceError('connectionTimeout', 'the server did not answer', { retryable: true });
