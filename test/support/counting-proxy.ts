/**
 * A TCP proxy in front of a real server, to count the connections that are made and to break the ones that are open, or all of
 * them once the server has said so much.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface CountingProxy {
  readonly port: number;
  readonly connections: number;
  readonly openSockets: number;
  dropConnections(): void;
  stop(): Promise<void>;
}

/** `diesAfterBytes`: what the server may send before every connection breaks, the open ones and those to come. */
export async function startCountingProxy(targetPort: number, diesAfterBytes = Infinity): Promise<CountingProxy> {
  const sockets = new Set<Socket>();
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
    far.on('data', (data) => {
      received += data.length;
      if (received > diesAfterBytes) dropConnections();
    });
    sockets.add(near);
    near
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(near);
        far.destroy();
      });
    far.on('error', () => {}).on('close', () => near.destroy());
  });
  server.listen(0, '127.0.0.1');
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
    dropConnections,
    async stop() {
      dropConnections();
      await once(server.close(), 'close');
    },
  };
}
