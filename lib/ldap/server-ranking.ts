/** Decides the order in which the servers of a directory are tried. Opens no connection itself. */
import { ServiceError } from '../errors.ts';
import { parseServerAddress, type ServerAddress } from '../settings/server-address.ts';
import type { ConnectionSettings } from '../settings/settings.ts';
import { isServerFault } from './fault.ts';

/** How long a server that failed is tried last. */
export const REST_MS = 60_000;

/** How long a connection and an operation may take on one server, in milliseconds. */
export interface Patience {
  readonly connectMs: () => number;
  readonly operationMs: () => number;
}

/** The order of the servers: as in the settings, except that those that failed within the last minute come last. */
export interface Ranking {
  /** All servers, as written in the settings, the best first. */
  best(): readonly string[];
  failed(server: string): void;
  answered(server: string): void;
}

/** Starts with the order of the settings. */
export function rankServers(servers: readonly string[], now: () => Date): Ranking {
  const failedAt = new Map<string, number>();
  return {
    best() {
      const restedSince = now().getTime() - REST_MS;
      const rests = (server: string): boolean => (failedAt.get(server) ?? -Infinity) > restedSince;
      return [...servers.filter((server) => !rests(server)), ...servers.filter(rests)];
    },
    failed(server) {
      failedAt.set(server, now().getTime());
    },
    answered(server) {
      failedAt.delete(server);
    },
  };
}

/**
 * Runs the attempt on one server after the other, until one succeeds or fails for a reason that is not the server's.
 * @param patienceFor the time for one server, by the number of servers still to try
 * @throws ServiceError with the code and advice of the first server, if all of them failed
 */
export async function onFirstServer<T>(
  addresses: readonly ServerAddress[],
  ranking: Ranking,
  patienceFor: (serversLeft: number) => Patience,
  attempt: (address: ServerAddress, patience: Patience) => Promise<T>,
): Promise<T> {
  const faults: ServiceError[] = [];
  for (const [index, address] of addresses.entries()) {
    try {
      const result = await attempt(address, patienceFor(addresses.length - index));
      ranking.answered(address.name);
      return result;
    } catch (error) {
      if (!isServerFault(error)) throw error;
      ranking.failed(address.name);
      faults.push(error);
    }
  }
  const [first] = faults;
  if (first === undefined) throw new ServiceError('hostNotFound', 'the settings contain no server');
  if (faults.length === 1) throw first;
  throw new ServiceError(first.code, `no server answered: ${faults.map(({ message }) => message).join('; ')}`, {
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
