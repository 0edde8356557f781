/**
 * A TCP proxy in front of a real server. It counts connections and can break them, on demand or after a number of bytes
 * from the server. Knows no protocol.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A running proxy. */
export interface CountingProxy {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Connections that are still open. */
  readonly openSockets: number;
  /** Makes all open connections half-open: they stay open, and nothing gets through any more. */
  muteConnections(): void;
  /** Breaks all open connections. */
  dropConnections(): void;
  stop(): Promise<void>;
}

/**
 * Starts a proxy in front of a port on 127.0.0.1.
 * @param diesAfterBytes after this many bytes from the server, all open connections break and new ones are refused
 * @param at the address to listen on; default: a free port of 127.0.0.1
 */
export async function startCountingProxy(
  targetPort: number,
  diesAfterBytes = Infinity,
  at: { readonly host: string; readonly port: number } = { host: '127.0.0.1', port: 0 },
): Promise<CountingProxy> {
  const sockets = new Set<Socket>();
  const mutes = new Map<Socket, () => void>();
  let connections = 0;
  let received = 0;
  const server = createServer((near) => {
    connections += 1;
    if (received > diesAfterBytes) {
      near.destroy();
      return;
    }
    const far = connect(targetPort, '127.0.0.1');
    near.pipe(far).pipe(near);
    mutes.set(near, () => {
      near.unpipe(far).resume();
      far.unpipe(near).resume();
    });
    far.on('data', (data) => {
      received += data.length;
      if (received > diesAfterBytes) dropConnections();
    });
    sockets.add(near);
    near
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(near);
        mutes.delete(near);
        far.destroy();
      });
    far.on('error', () => {}).on('close', () => near.destroy());
  });
  server.listen(at.port, at.host);
  await once(server, 'listening');
  function dropConnections(): void {
    for (const socket of sockets) socket.destroy();
  }
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    get openSockets() {
      return sockets.size;
    },
    muteConnections() {
      for (const mute of mutes.values()) mute();
    },
    dropConnections,
    async stop() {
      dropConnections();
      await once(server.close(), 'close');
    },
  };
}
