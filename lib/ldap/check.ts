/**
 * The staged check of settings: each step as an administrator would take it by hand, with what it found and how long it took,
 * up to the first that fails. Changes nothing and keeps no connection.
 */
import { ServiceError } from '../errors.ts';
import type { DirectoryTest, Entry, ReadProof, TestStage } from '../ports.ts';
import type { Settings } from '../settings.ts';
import { bindAdministrator } from './bind.ts';
import {
  type Connection,
  connectServer,
  parseServerAddress,
  resolveServer,
  secureConnection,
  type ServerAddress,
} from './connection.ts';
import { makeEntryReading } from './entry.ts';
import { isServerFault } from './fault.ts';
import { readScope } from './reading.ts';
import { readRootDse, type RootDse } from './root-dse.ts';
import { chooseScope, findIdSource } from './scope.ts';

/** People counted at most. */
const COUNT_CAP = 1000;
const SAMPLE_SIZE = 5;
const DAY_MS = 86_400_000;
/** Kept back of the limit for saying goodbye and for handing over the result. */
const RESERVE_MS = 100;

/** Ends within `limitMs` whatever the servers do. */
export async function checkDirectory(
  settings: Settings,
  password: string,
  now: () => Date,
  limitMs: number,
): Promise<DirectoryTest> {
  const endsAt = performance.now() + limitMs - RESERVE_MS;
  const { timeouts, administrativeDn, encryption } = settings.connection;
  let stages: TestStage[] = [];
  let connection: Connection | null = null;

  const leftMs = (serversLeft = 1): number => (endsAt - performance.now()) / serversLeft;
  const operationMs = (): number => Math.min(timeouts.operationSeconds * 1000, leftMs());

  /** Runs one step and keeps its record; `tell` puts what it found into words, `passes` says whether that will do. */
  async function stage<T>(
    name: TestStage['name'],
    work: () => Promise<T>,
    tell: (found: T) => string,
    passes: (found: T) => boolean = () => true,
  ): Promise<T> {
    const started = performance.now();
    const ms = (): number => Math.round(performance.now() - started);
    try {
      const found = await work();
      stages.push({ name, ok: passes(found), detail: tell(found), ms: ms() });
      return found;
    } catch (error) {
      if (error instanceof ServiceError) {
        const detail = error.advice === undefined ? error.message : `${error.message}. ${error.advice}`;
        stages.push({ name, ok: false, detail, ms: ms() });
      }
      throw error;
    }
  }

  async function connect(address: ServerAddress, serversLeft: number, skipped: string): Promise<Connection> {
    const connectMs = (): number => Math.min(timeouts.connectSeconds * 1000, leftMs(serversLeft));
    const addresses = await stage(
      'nameResolution',
      () => resolveServer(address, connectMs()),
      (found) => `${skipped}${address.host} is ${found.map((one) => one.address).join(', ')}`,
    );
    const socket = await stage(
      'connect',
      () => connectServer(address, addresses, connectMs()),
      (found) => `connected to ${found.remoteAddress ?? address.host} port ${address.port}`,
    );
    return stage(
      'tls',
      () => secureConnection(address, socket, settings.connection, connectMs()),
      (found) => describeEncryption(found, encryption, now()),
    );
  }

  async function run(): Promise<Pick<DirectoryTest, 'count' | 'counted' | 'sample'>> {
    const servers = settings.connection.servers;
    let skipped = '';
    for (const [index, name] of servers.entries()) {
      const serversLeft = servers.length - index;
      try {
        connection = await connect(parseServerAddress(name, encryption), serversLeft, skipped);
        break;
      } catch (error) {
        if (serversLeft === 1 || !isServerFault(error)) throw error;
        // The record starts again with the next server and begins with why the one before was left.
        skipped += `${error.message}; next server: `;
        stages = [];
      }
    }
    const open = connection;
    if (open === null) throw new ServiceError('hostNotFound', 'the settings name no server');

    await stage(
      'bind',
      () => bindAdministrator(open, administrativeDn, password, operationMs()),
      () => (administrativeDn === '' ? 'bound anonymously' : `bound as ${administrativeDn}`),
    );
    const rootDse = await stage('rootDse', () => readRootDse(open, operationMs()), describeRootDse);
    const { scope, idSource } = await stage(
      'base',
      async () => {
        const scope = chooseScope(settings, rootDse, open.server);
        return { scope, idSource: await findIdSource(open, scope, settings.mapping.uniqueId, rootDse, operationMs) };
      },
      (found) => `${found.scope.baseDn} is there; the unique id is ${found.idSource.attribute}`,
    );
    return stage(
      'filter',
      async () => {
        const reading = makeEntryReading(settings.mapping, idSource.attribute, now());
        return countPeople(readScope(open, scope, rootDse, reading, operationMs));
      },
      describeCount,
      ({ reasons }) => reasons.length === 0,
    );
  }

  try {
    const people = await run();
    return {
      ok: stages.every(({ ok }) => ok),
      stages,
      count: people.count,
      counted: people.counted,
      sample: people.sample,
    };
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return { ok: false, stages, count: null, counted: 'none', sample: [] };
  } finally {
    (connection as Connection | null)?.destroy();
  }
}

function describeEncryption({ certificate }: Connection, encryption: string, now: Date): string {
  if (certificate === null) return 'not used: passwords cross the network in clear text';
  const days = Math.floor((certificate.validTo.getTime() - now.getTime()) / DAY_MS);
  const how = encryption === 'tls' ? 'StartTLS' : 'LDAPS';
  const trust =
    certificate.warning === null ? '' : `; NOT trusted, but accepted as the settings ask: ${certificate.warning}`;
  return `${how} with ${certificate.subject}, issued by ${certificate.issuer}, valid for ${days} more days${trust}`;
}

function describeRootDse(rootDse: RootDse): string {
  const paging = rootDse.paging ? 'offers paged reading' : 'does not offer paged reading';
  const contexts = rootDse.namingContexts.join(' and ') || 'none shown';
  const id = rootDse.idAttribute === null ? '' : `; its unique id is ${rootDse.idAttribute}`;
  return `${rootDse.vendor}; ${paging}${id}; naming contexts: ${contexts}`;
}

interface Count extends Pick<DirectoryTest, 'count' | 'counted' | 'sample'> {
  readonly reasons: readonly string[];
}

async function countPeople(people: AsyncGenerator<readonly Entry[], ReadProof, void>): Promise<Count> {
  const sample: Entry[] = [];
  let count = 0;
  while (count <= COUNT_CAP) {
    const step = await people.next();
    if (step.done)
      return { count, counted: step.value.complete ? 'all' : 'capped', sample, reasons: step.value.reasons };
    count += step.value.length;
    sample.push(...step.value.slice(0, SAMPLE_SIZE - sample.length));
  }
  return { count: COUNT_CAP, counted: 'capped', sample, reasons: [] };
}

function describeCount({ count, counted, reasons }: Count): string {
  if (reasons.length > 0) return `found ${count}, but not everybody can be read: ${reasons.join(' ')}`;
  if (count === 0) return 'nobody is in scope: check base, depth and filter';
  return `found ${counted === 'capped' ? 'more than ' : ''}${count}`;
}
