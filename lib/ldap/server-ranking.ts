/**
 * Decides the order in which servers and their addresses are tried, and tries them until one does the work. Knows no
 * LDAP operation.
 */
import type { LookupAddress } from 'node:dns';
import { ServiceError } from '../errors.ts';
import { parseServerAddress, type ServerAddress } from '../settings/server-address.ts';
import type { ConnectionSettings } from '../settings/settings.ts';
import { type Connection, connectServer, type Resolve, secureConnection } from './connection.ts';
import { isServerFault } from './fault.ts';

/** How long a server or an address that failed is tried last. */
export const REST_MS = 60_000;

/** How long a connection and an operation may take on one address, in milliseconds. */
export interface Patience {
  readonly connectMs: () => number;
  readonly operationMs: () => number;
  /** For an operation that no other server will be asked to repeat. */
  readonly lastMs: () => number;
}

/** The order of servers and their addresses: as given, except that those that failed within the last minute rest. */
export interface Ranking {
  /** All servers, as written in the settings; those that rest come last. */
  best(): readonly string[];
  /**
   * Parts the addresses of a server into those that failed within the last minute and the others. They keep the order
   * in which they were first given: a name service may tell them in another one each time, and a bind and the reader's
   * look-up of one login belong on one server, because another one may not have heard yet who has been renamed.
   */
  part(
    server: string,
    addresses: readonly LookupAddress[],
  ): readonly [rested: LookupAddress[], resting: LookupAddress[]];
  rests(connection: Connection): boolean;
  /** @param address that failed; without one, none could be found. A server rests while all its addresses do. */
  failed(server: string, address?: string): void;
  answered(connection: Connection): void;
}

/** Starts with the order of the settings. */
export function rankServers(servers: readonly string[], now: () => Date): Ranking {
  const failedAt = new Map<string, number>();
  const addressesOf = new Map<string, readonly string[]>();
  const place = (server: string, address: string): string => `${server} ${address}`;
  // The clock may have been set back since.
  const rests = (key: string): boolean => Math.abs(now().getTime() - (failedAt.get(key) ?? -Infinity)) < REST_MS;
  return {
    best() {
      return [...servers.filter((server) => !rests(server)), ...servers.filter(rests)];
    },
    part(server, addresses) {
      const isResting = ({ address }: LookupAddress): boolean => rests(place(server, address));
      const former = addressesOf.get(server) ?? [];
      const placeOf = ({ address }: LookupAddress): number =>
        former.includes(address) ? former.indexOf(address) : former.length;
      const ordered = addresses.toSorted((a, b) => placeOf(a) - placeOf(b));
      addressesOf.set(
        server,
        ordered.map(({ address }) => address),
      );
      return [ordered.filter((one) => !isResting(one)), ordered.filter(isResting)];
    },
    rests: ({ server, address }) => rests(place(server, address)),
    failed(server, address) {
      // A name may lead to ever new addresses.
      for (const key of failedAt.keys()) if (!rests(key)) failedAt.delete(key);
      if (address !== undefined) failedAt.set(place(server, address), now().getTime());
      const others = address === undefined ? [] : (addressesOf.get(server) ?? []);
      if (others.every((other) => rests(place(server, other)))) failedAt.set(server, now().getTime());
    },
    answered({ server, address }) {
      failedAt.delete(server);
      failedAt.delete(place(server, address));
    },
  };
}

/** How to connect. */
export interface Ways {
  readonly settings: ConnectionSettings;
  readonly resolve: Resolve;
  readonly ranking: Ranking;
}

/** A connection on which work has failed already. */
export interface Failure {
  readonly connection: Connection;
  readonly fault: ServiceError;
}

/** The addresses of one server that are tried together. */
interface Batch {
  readonly server: ServerAddress;
  /** null until the name is resolved. */
  readonly addresses: readonly LookupAddress[] | null;
}

/**
 * Connects to one address after the other of one server after the other, and does the work there, until it succeeds or
 * fails for a reason that is not the server's. Addresses that rest come last. The connection belongs to the work; it is
 * destroyed if the work fails.
 * @param patienceFor the time for one address, by the number of addresses and servers still to try
 * @param failed its address is not tried again
 * @throws ServiceError with the code and advice of the first fault, if all of them failed
 */
export async function onFirstServer<T>(
  servers: readonly ServerAddress[],
  { settings, resolve, ranking }: Ways,
  patienceFor: (placesLeft: number) => Patience,
  work: (connection: Connection, patience: Patience) => Promise<T>,
  failed: Failure | null = null,
): Promise<T> {
  const faults: ServiceError[] = failed === null ? [] : [failed.fault];
  const isTried = (server: string, address: string): boolean =>
    failed?.connection.server === server && failed.connection.address === address;

  /** Runs one step; null if it failed for a reason of the server, which then rests. */
  async function attempt<R>(step: () => Promise<R>, server: string, addresses?: readonly string[]): Promise<R | null> {
    try {
      return await step();
    } catch (error) {
      if (!isServerFault(error)) throw error;
      for (const address of addresses ?? [undefined]) ranking.failed(server, address);
      faults.push(error);
      return null;
    }
  }

  const queue: Batch[] = servers.map((server) => ({ server, addresses: null }));
  for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
    const { server, addresses } = batch;
    const { name } = server;
    const isUntried = ({ address }: LookupAddress): boolean => !isTried(name, address);
    let untried = addresses ?? [];
    if (addresses === null) {
      const found = (await attempt(() => resolve(server, patienceFor(queue.length + 1).connectMs()), name)) ?? [];
      const [rested, resting] = ranking.part(name, found);
      untried = rested.filter(isUntried);
      const later = resting.filter(isUntried);
      if (later.length > 0) queue.push({ server, addresses: later });
    }
    while (untried.length > 0) {
      const patience = patienceFor(queue.length + untried.length);
      const all = untried.map(({ address }) => address);
      const onFailed = (address: string): void => ranking.failed(name, address);
      const socket = await attempt(() => connectServer(server, untried, patience.connectMs(), onFailed), name, all);
      if (socket === null) break;
      const used = socket.remoteAddress ?? '';
      const done = await attempt(
        async () => {
          const connection = await secureConnection(server, socket, settings, patience.connectMs());
          return { result: await orDestroy(connection, () => work(connection, patience)) };
        },
        name,
        [used],
      );
      if (done !== null) return done.result;
      // Without an address that is spelled like the socket's, the same one would be tried for ever.
      untried = all.includes(used) ? untried.filter(({ address }) => address !== used) : [];
    }
  }
  throw joinFaults(faults);
}

/** Destroys the connection if the work fails. */
export async function orDestroy<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

function joinFaults(faults: readonly ServiceError[]): ServiceError {
  const [first] = faults;
  if (first === undefined) return new ServiceError('hostNotFound', 'the settings contain no server');
  const messages = [...new Set(faults.map(({ message }) => message))];
  if (messages.length === 1) return first;
  return new ServiceError(first.code, `no server answered: ${messages.join('; ')}`, {
    cause: first,
    retryable: faults.some(({ retryable }) => retryable),
    ...(first.advice === undefined ? {} : { advice: first.advice }),
  });
}

/**
 * Host and port of a server, from its name in the settings.
 * @throws ServiceError hostNotFound for an invalid address, which stored settings never contain
 */
export function serverAddress(name: string, encryption: ConnectionSettings['encryption']): ServerAddress {
  const parsed = parseServerAddress(name, encryption);
  if (parsed.kind === 'address') return parsed.address;
  throw new ServiceError('hostNotFound', `${name}: ${parsed.fault}`, {
    advice: 'Enter a host name or an IP address (IPv6 in brackets), with a port if it is not the usual one.',
  });
}
