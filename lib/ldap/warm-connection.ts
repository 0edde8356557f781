/** Keeps connections open between logins and decides when to probe and when to drop them. Knows no LDAP operation. */
import { setImmediate as turn } from 'node:timers/promises';
import { ServiceError } from '../errors.ts';
import type { ServerAddress } from '../settings/server-address.ts';
import type { Connection } from './connection.ts';
import { type Failure, onFirstServer, orDestroy, type Patience, type Ways } from './server-ranking.ts';

/** The most connections kept for the next login. */
const MAX_IDLE = 4;

/**
 * Firewalls and gateways silently drop connections after about five minutes, and a name may lead to other servers by
 * then.
 */
const MAX_AGE_MS = 300_000;

/** A connection that was idle for longer is probed before use. */
const PROBE_AFTER_MS = 5_000;

/** The longest wait for the answer to a probe. */
const PROBE_MS = 1_000;

/** Connections that are kept between logins. */
export interface WarmConnections<T> {
  /**
   * Runs the work on a connection of its own. A connection on which work has thrown is dropped.
   * @throws ServiceError with a DirectoryFaultCode, and whatever the work throws
   */
  use<R>(work: (held: T, patience: Patience) => Promise<R>): Promise<R>;
  /**
   * Probes the connections that have been idle for more than five seconds, for a second at most, and drops those that
   * do not answer. `use` waits for a probe in progress and starts one if need be. Never throws.
   */
  checkIdle(): Promise<void>;
  /** Closes the idle connections, and each busy one when its work is done. */
  close(): Promise<void>;
}

/** The servers to use for logins, and the time limits. */
export interface LoginServers extends Ways {
  /** All servers, the best first. */
  readonly addresses: () => ServerAddress[];
  readonly connectMs: number;
  /** The time for one login, over all servers. */
  readonly budgetMs: number;
  readonly now: () => Date;
}

/** What the connections of one kind are for. */
export interface Purpose<T> {
  /** Called before a connection is opened; what it throws is the answer. */
  readonly beforeOpen?: () => void;
  /** Makes a new connection ready for the work. */
  readonly introduce: (connection: Connection, patience: Patience) => Promise<T>;
  /**
   * What to do after work failed so on a kept connection: the same work on a new one, the same at another address, or
   * nothing.
   */
  readonly afterFault: (fault: ServiceError) => 'again' | 'elsewhere' | 'stop';
}

interface Kept<T> {
  readonly held: T;
  readonly opened: Moment;
  /** When it last answered. */
  answered: Moment;
}

/** Two clocks: one stands still while Lambda freezes an instance, and the other may be set. */
interface Moment {
  readonly wallMs: number;
  readonly steadyMs: number;
}

/**
 * Keeps connections between logins, to the server that ranks first at the time. A kept connection may have lost what
 * it was opened for: its server may have forgotten the bind, or be gone. So a fault on it is believed only if a new
 * connection confirms it.
 */
export function keepWarm<T extends { readonly connection: Connection }>(
  { addresses, connectMs, budgetMs, now, ...ways }: LoginServers,
  { beforeOpen, introduce, afterFault }: Purpose<T>,
): WarmConnections<T> {
  const { ranking } = ways;
  const idle: Kept<T>[] = [];
  let closed = false;
  let checking: Promise<void> | null = null;

  const moment = (): Moment => ({ wallMs: now().getTime(), steadyMs: performance.now() });

  /** The longer of the two times since then. A clock that was set back counts as far as one that was set ahead. */
  function msSince({ wallMs, steadyMs }: Moment): number {
    return Math.max(Math.abs(now().getTime() - wallMs), performance.now() - steadyMs);
  }

  /** Drops what is not worth keeping, so that it takes nobody's place. */
  function dropOld(): void {
    const kept = idle.splice(0);
    for (const one of kept) {
      if (one.held.connection.usable && msSince(one.opened) <= MAX_AGE_MS) idle.push(one);
      else one.held.connection.destroy();
    }
  }

  function take(): Kept<T> | null {
    dropOld();
    const [best] = ranking.best();
    for (let kept = idle.pop(); kept !== undefined; kept = idle.pop()) {
      const { connection } = kept.held;
      if (connection.server === best && !ranking.rests(connection)) return kept;
      connection.destroy();
    }
    return null;
  }

  async function run<R>(
    kept: Kept<T>,
    patience: Patience,
    work: (held: T, patience: Patience) => Promise<R>,
  ): Promise<R> {
    const { connection } = kept.held;
    const result = await orDestroy(connection, () => work(kept.held, patience));
    kept.answered = moment();
    // Work may end with a value although the connection broke.
    if (connection.usable) ranking.answered(connection);
    else ranking.failed(connection.server, connection.address);
    if (connection.usable && !closed && idle.length < MAX_IDLE) idle.push(kept);
    else await connection.close();
    return result;
  }

  function checkIdle(): Promise<void> {
    if (checking !== null) return checking;
    dropOld();
    const silent = idle.filter(({ answered }) => msSince(answered) > PROBE_AFTER_MS);
    if (silent.length === 0) return Promise.resolve();
    // A connection that does not answer is destroyed by that, and dropped with the old ones.
    const probes = silent.map(async (kept) => {
      if (await kept.held.connection.probe(PROBE_MS)) kept.answered = moment();
    });
    checking = Promise.all(probes).then(() => void (checking = null));
    return checking;
  }

  return {
    checkIdle,
    async use(work) {
      await checkIdle();
      // A server may have hung up while nothing was read, as in a frozen instance. Two turns read what has arrived.
      await turn();
      await turn();
      // Another login may have begun a probe in these turns, and a probe that fails ends its connection.
      if (checking !== null) await checking;
      const endsAt = performance.now() + budgetMs;
      const lastMs = (): number => endsAt - performance.now();
      // Each place that is still to be tried gets an equal share of the time left.
      const shareOf = (placesLeft: number): Patience => {
        const shareEndsAt = performance.now() + lastMs() / placesLeft;
        const leftMs = (): number => shareEndsAt - performance.now();
        return { connectMs: () => Math.min(connectMs, leftMs()), operationMs: leftMs, lastMs };
      };
      const kept = take();
      let failed: Failure | null = null;
      if (kept !== null) {
        const { connection } = kept.held;
        try {
          return await run(kept, shareOf(addresses().length + 1), work);
        } catch (error) {
          const next = error instanceof ServiceError ? afterFault(error) : 'stop';
          if (next === 'stop') throw error;
          if (next === 'elsewhere') {
            failed = { connection, fault: error as ServiceError };
            ranking.failed(connection.server, connection.address);
          }
        }
      }
      beforeOpen?.();
      const open = async (connection: Connection, patience: Patience): ReturnType<typeof work> => {
        const held = await introduce(connection, patience);
        const opened = moment();
        return run({ held, opened, answered: opened }, patience, work);
      };
      return onFirstServer(addresses(), ways, shareOf, open, failed);
    },
    async close() {
      closed = true;
      await Promise.all(idle.splice(0).map(({ held }) => held.connection.close()));
    },
  };
}
