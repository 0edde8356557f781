/** What has been started and must be stopped again, and HTTP servers of this machine. Knows nothing of what they serve. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RequestHandler } from './http-api.ts';

export interface Stoppable {
  stop(): Promise<void>;
}

export interface Running extends Stoppable {
  /** Waits for a start and remembers what has to be stopped, also when somebody else's start fails meanwhile. */
  add<T extends Stoppable>(starting: Promise<T>): Promise<T>;
}

/** Stops in the opposite order of starting; each one is tried, and the first failure is thrown at the end. */
export function createRunning(): Running {
  const started: Promise<Stoppable>[] = [];
  return {
    add(starting) {
      started.push(starting);
      return starting;
    },
    async stop() {
      const faults: unknown[] = [];
      for (const starting of started.splice(0).toReversed()) {
        const stoppable = await starting.catch(() => null);
        await stoppable?.stop().catch((fault: unknown) => faults.push(fault));
      }
      if (faults.length > 0) throw faults[0];
    },
  };
}

export interface LocalServer extends Stoppable {
  readonly url: string;
}

/**
 * Serves on 127.0.0.1, on any free port for port 0.
 * @throws Error with a sentence for the user, when the port can't be had
 */
export function serve(handler: RequestHandler, port = 0): Promise<LocalServer> {
  const server = createServer((request, response) => {
    handler(request, response).catch((error: unknown) => {
      if (request.destroyed && !request.complete) return;
      console.error('rollcall:', error);
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { 'content-type': 'application/json' }).end('{"message":"Internal Server Error"}');
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'it is in use; choose another port with --port' : error.message;
      reject(new Error(`cannot listen on port ${port}: ${reason}`));
    });
    server.listen(port, '127.0.0.1', () =>
      resolve({
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        stop: () =>
          new Promise((stopped) => {
            server.close(() => stopped());
            server.closeAllConnections();
          }),
      }),
    );
  });
}
