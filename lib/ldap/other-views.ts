/**
 * Opens readers on the servers that were not read: on the other names in the settings, and on another server behind the
 * name that was read. One server alone can hide people, by a rule or because it is out of date. Looks nobody up.
 */
import type { LookupAddress } from 'node:dns';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DirectoryReader, OtherView, ServerIdentity } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import type { ServerAddress } from '../settings/server-address.ts';
import { formatEndpoint, type Resolve } from './connection.ts';
import { isServerFault } from './fault.ts';
import { identityAt } from './root-dse.ts';

/** How long one address of a name is tried before the next one is tried beside it. */
const PATIENCE_MS = 1000;

/**
 * Opens a reader on one address of a server; null if the server does not hold the base.
 * @param leftMs the time for everything up to the reader
 * @throws ServiceError with a DirectoryFaultCode
 */
export type OpenView = (
  server: ServerAddress,
  address: LookupAddress,
  leftMs: () => number,
) => Promise<DirectoryReader | null>;

/** How to get to a server. */
export interface Ways {
  readonly resolve: Resolve;
  readonly open: OpenView;
}

/**
 * The other views, in the order of the servers. All names are tried at the same time; none takes longer than `limitMs`.
 * @param servers all servers of the settings
 */
export async function openOtherViews(
  servers: readonly ServerAddress[],
  read: ServerIdentity,
  ways: Ways,
  limitMs: number,
): Promise<readonly OtherView[]> {
  const views = servers.map((server) => {
    const endsAt = performance.now() + limitMs;
    const leftMs = (): number => endsAt - performance.now();
    return server.name === read.name ? openSibling(server, read, ways, leftMs) : openNamed(server, ways, leftMs);
  });
  return (await Promise.all(views)).filter((view) => view !== null);
}

/** A server under another name, on whichever address answers; null if it does not hold the base. */
async function openNamed(
  server: ServerAddress,
  { resolve, open }: Ways,
  leftMs: () => number,
): Promise<OtherView | null> {
  let isElsewhere = false;
  const faults: ServiceError[] = [];
  try {
    const addresses = await resolve(server, leftMs());
    const reader = await firstReader(addresses, leftMs, async (address) => {
      try {
        const opened = await open(server, address, leftMs);
        isElsewhere ||= opened === null;
        return opened ?? 'next';
      } catch (error) {
        faults.push(asFault(error));
        // Trying a wrong password on every address would lock the account.
        return isServerFault(error) ? 'next' : 'stop';
      }
    });
    if (reader !== null) return { kind: 'open', reader };
  } catch (error) {
    faults.push(asFault(error));
  }
  const [fault] = faults;
  if (isElsewhere || fault === undefined) return null;
  return { kind: 'unreachable', server: server.name, reason: fault.message };
}

/** Another server behind the name that was read; null if none can be reached. */
async function openSibling(
  server: ServerAddress,
  read: ServerIdentity,
  { resolve, open }: Ways,
  leftMs: () => number,
): Promise<OtherView | null> {
  const isRead = ({ address }: LookupAddress): boolean =>
    read.identity === identityAt(server.name, formatEndpoint(address, server.port));
  try {
    const addresses = await resolve(server, leftMs());
    // A name with one address leads to the server that was read.
    if (addresses.length < 2) return null;
    const others = addresses.filter((address) => !isRead(address));
    const reader = await firstReader(others, leftMs, async (address) => {
      try {
        const opened = await open(server, address, leftMs);
        if (opened !== null && opened.identity.identity !== read.identity) return opened;
        await opened?.close();
        return 'next';
      } catch (error) {
        asFault(error);
        return 'next';
      }
    });
    return reader === null ? null : { kind: 'open', reader };
  } catch (error) {
    asFault(error);
    return null;
  }
}

/**
 * The first reader that an attempt yields; null if none does. Goes on to the next address when an attempt has failed or
 * takes long; closes readers that come too late.
 */
async function firstReader(
  addresses: readonly LookupAddress[],
  leftMs: () => number,
  attempt: (address: LookupAddress) => Promise<DirectoryReader | 'next' | 'stop'>,
): Promise<DirectoryReader | null> {
  const { promise: won, resolve: win } = Promise.withResolvers<DirectoryReader>();
  let over = false;
  const attempts: Promise<void>[] = [];

  async function tryOut(address: LookupAddress): Promise<void> {
    const result = await attempt(address);
    if (result === 'next') return;
    const late = over;
    over = true;
    if (result === 'stop') return;
    if (late) await result.close();
    else win(result);
  }

  for (const [index, address] of addresses.entries()) {
    const tried = tryOut(address);
    attempts.push(tried);
    const share = leftMs() / (addresses.length - index);
    await Promise.race([tried, sleep(Math.min(PATIENCE_MS, share), undefined, { ref: false })]);
    if (over) break;
  }
  const all = Promise.all(attempts).then(() => null);
  all.catch(() => {});
  return Promise.race([won, all]);
}

/** @throws the error itself, unless it is a fault of the directory */
function asFault(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  throw error;
}
