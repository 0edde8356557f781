/** Keeps connections open between logins and decides when to drop them. Knows no LDAP operation. */
import type { ServerAddress } from '../settings/server-address.ts';
import type { Connection } from './connection.ts';
import { isServerFault } from './fault.ts';
import { onFirstServer, type Patience, type Ranking } from './server-ranking.ts';

/** The most connections kept for the next login. */
const MAX_IDLE = 4;

/** Firewalls and gateways silently drop idle connections after about five minutes. */
const MAX_IDLE_MS = 240_000;

/** A connection that was idle for longer is probed before use. */
const CHECK_AFTER_MS = 5_000;

/** The longest wait for the answer to a probe. */
const CHECK_MS = 1_000;

/** Connections that are kept between logins. */
export interface WarmConnections<T> {
  /**
   * Runs the work on a connection of its own; `withinMs` is the time left for all of it.
   * @throws ServiceError with a DirectoryFaultCode, and whatever the work throws
   */
  use<R>(work: (held: T, withinMs: () => number) => Promise<R>): Promise<R>;
  /** Tries the connections that have been idle for long and drops those that do not answer. Never throws. */
  checkIdle(): Promise<void>;
  /** Closes the idle connections, and each busy one when its work is done. */
  close(): Promise<void>;
}

/** The servers to use for logins, and the time limits. */
export interface LoginServers {
  /** All servers but the exceptions, the best first. */
  readonly addresses: (except?: readonly string[]) => ServerAddress[];
  readonly ranking: Ranking;
  readonly connectMs: number;
  /** The time for one login, over all servers. */
  readonly budgetMs: number;
  readonly now: () => Date;
}

/**
 * Keeps connections between logins, to the server that ranks first at the time. If a kept connection turns out to be
 * broken, the work is repeated once on a new one. If its server only failed to answer in time, the work is not repeated
 * there, because the server may still be working on it and would count a wrong password twice; the other servers are
 * tried instead.
 * @param open opens a connection to a server, ready for the work
 */
export function keepWarm<T extends { readonly connection: Connection }>(
  { addresses, ranking, connectMs, budgetMs, now }: LoginServers,
  open: (address: ServerAddress, patience: Patience) => Promise<T>,
): WarmConnections<T> {
  const idle: { readonly held: T; since: number }[] = [];
  let closed = false;

  function take(): T | null {
    for (let kept = idle.pop(); kept !== undefined; kept = idle.pop()) {
      const age = now().getTime() - kept.since;
      const { usable, server } = kept.held.connection;
      if (usable && age <= MAX_IDLE_MS && server === ranking.best()[0]) return kept.held;
      kept.held.connection.destroy();
    }
    return null;
  }

  async function run<R>(held: T, work: (held: T) => Promise<R>): Promise<R> {
    try {
      return await work(held);
    } finally {
      if (!held.connection.usable || closed || idle.length >= MAX_IDLE) await held.connection.close();
      else idle.push({ held, since: now().getTime() });
    }
  }

  return {
    async use(work) {
      const endsAt = performance.now() + budgetMs;
      // Each server that is still to be tried gets an equal share of the time left.
      const shareOf = (serversLeft: number): Patience => {
        const started = performance.now();
        const leftMs = (): number => started + (endsAt - started) / serversLeft - performance.now();
        return { connectMs: () => Math.min(connectMs, leftMs()), operationMs: leftMs };
      };
      let candidates = addresses();
      const kept = take();
      if (kept !== null) {
        const { operationMs } = shareOf(candidates.length);
        try {
          return await run(kept, (held) => work(held, operationMs));
        } catch (error) {
          if (!isServerFault(error)) throw error;
          // An idle connection that was closed says nothing about the health of its server.
          if (error.code !== 'connectionLost') {
            ranking.failed(kept.connection.server);
            candidates = addresses([kept.connection.server]);
            if (candidates.length === 0) throw error;
          }
        }
      }
      return onFirstServer(candidates, ranking, shareOf, async (address, patience) =>
        run(await open(address, patience), (held) => work(held, patience.operationMs)),
      );
    },
    async checkIdle() {
      const stale = idle.filter(({ since }) => now().getTime() - since > CHECK_AFTER_MS);
      await Promise.all(
        stale.map(async (kept) => {
          const answers = await kept.held.connection.probe(CHECK_MS);
          if (answers) kept.since = now().getTime();
        }),
      );
    },
    async close() {
      closed = true;
      await Promise.all(idle.splice(0).map(({ held }) => held.connection.close()));
    },
  };
}
