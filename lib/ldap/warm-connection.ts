/** Connections that are kept between logins, and when they are no longer used. Knows nothing of what they carry. */
import type { ServerAddress } from '../settings/server-address.ts';
import type { Connection } from './connection.ts';
import { isServerFault } from './fault.ts';
import { onFirstServer, type Patience, type Ranking } from './server-ranking.ts';

/** Connections that wait for the next login. */
const MAX_IDLE = 4;

/** Firewalls and gateways forget quiet connections after some five minutes without telling anybody. */
const MAX_IDLE_MS = 240_000;

export interface WarmConnections<T> {
  /** Gives a connection to one piece of work at a time, with what is left of the time for all of it. */
  use<R>(work: (held: T, withinMs: () => number) => Promise<R>): Promise<R>;
  close(): Promise<void>;
}

export interface LoginServers {
  readonly addresses: (except?: readonly string[]) => ServerAddress[];
  readonly ranking: Ranking;
  readonly connectMs: number;
  readonly budgetMs: number;
  readonly now: () => Date;
}

/**
 * Keeps connections between logins, to the server that is the best one at the time. One that turns out to be broken is replaced
 * and the work done again, once. One that only failed to answer in time is not: the server may be working on it, and would count
 * a wrong password twice. Another server is asked then, if there is one.
 */
export function keepWarm<T extends { readonly connection: Connection }>(
  { addresses, ranking, connectMs, budgetMs, now }: LoginServers,
  open: (address: ServerAddress, patience: Patience) => Promise<T>,
): WarmConnections<T> {
  const idle: { readonly held: T; readonly since: number }[] = [];
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
      // Servers that are still to be tried keep their share of the time.
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
          // A connection that was closed in the meantime says nothing about its server.
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
    async close() {
      closed = true;
      await Promise.all(idle.splice(0).map(({ held }) => held.connection.close()));
    },
  };
}
