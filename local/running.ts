/**
 * Tracks started parts, which must be stopped again, and runs HTTP servers on this machine. Knows nothing of what they
 * serve.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RequestHandler } from './http-api.ts';

/** Anything that must be stopped. */
export interface Stoppable {
  stop(): Promise<void>;
}

/** The started parts of a program. */
export interface Running extends Stoppable {
  /** Waits for a start and registers its result to be stopped, even if another start fails meanwhile. */
  add<T extends Stoppable>(starting: Promise<T>): Promise<T>;
}

/** Stops everything in reverse order of starting. Tries each one, and throws the first failure at the end. */
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

/** A running HTTP server. */
export interface LocalServer extends Stoppable {
  readonly url: string;
}

/**
 * Serves on 127.0.0.1; port 0 means any free port.
 * @throws Error with a sentence for the user, if the port is not available
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
