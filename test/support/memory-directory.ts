/**
 * A directory in memory behind the Directory port, for tests of the core: it changes as a test says and answers as it says,
 * incompletely too. The adapter that talks LDAP has its own contract test on a real server.
 */
import { ServiceError } from '../../lib/errors.ts';
import type { Directory, ReadProof, Whereabouts } from '../../lib/directory/directory.ts';
import type { Entry } from '../../lib/directory/entry.ts';

export interface MemoryPerson {
  readonly entry: Entry;
  readonly password?: string;
  /** Whether base, depth and filter of the settings show it. Default true. */
  readonly inScope?: boolean;
}

export class MemoryDirectory {
  people: MemoryPerson[] = [];
  proof: ReadProof = { complete: true, reasons: [] };
  idAttribute = 'entryuuid';
  /** What every operation fails with while it is set. */
  fault: ServiceError | null = null;
  /** What the second look fails with while it is set. */
  locateFault: ServiceError | null = null;
  /** What looking for a DN fails with while it is set. */
  findDnFault: ServiceError | null = null;
  /** Is called after the last page, before the proof: for what others do while a run reads. */
  afterRead: () => Promise<void> = async () => {};
  readonly calls = { reads: 0, located: 0, binds: [] as string[], findDn: 0, closed: 0 };
  pageSize = 7;

  readonly open = (): Directory => ({
    openReader: async () => {
      this.answer();
      return {
        server: 'memory',
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
        close: async () => {
          this.calls.closed += 1;
        },
      };
    },
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
