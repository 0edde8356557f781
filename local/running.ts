/**
 * Tracks started parts, which must be stopped again, and runs HTTP servers for this machine alone. Knows nothing of
 * what they serve.
 */
import { createServer, type IncomingMessage } from 'node:http';
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

/** The names by which this machine reaches itself. */
const OWN_HOSTS = ['127.0.0.1', 'localhost', '[::1]'];

/**
 * Why a request is not meant for this server, as a sentence; null: it is. A page of another site reaches this machine
 * through the browser: under a name that leads here (DNS rebinding), or with an Origin of its own (request forgery).
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-7.2 (Host)
 * @see https://www.rfc-editor.org/rfc/rfc6454#section-7 (Origin)
 */
function refuseForeigner({ headers: { host, origin }, socket: { localPort } }: IncomingMessage): string | null {
  const own = OWN_HOSTS.flatMap((name) => [`${name}:${localPort}`, ...(localPort === 80 ? [name] : [])]);
  if (host === undefined || !own.includes(host.toLowerCase())) {
    return `This server answers to its own addresses only; use http://localhost:${localPort}.`;
  }
  if (origin === undefined || origin === `http://${host}`) return null;
  return 'This server takes no requests from the pages of other servers.';
}

/**
 * Serves on 127.0.0.1, for requests that name this machine and come from no page of another server; others get 403.
 * Port 0 means any free port.
 * @throws Error with a sentence for the user, if the port is not available
 */
export function serve(handler: RequestHandler, port = 0): Promise<LocalServer> {
  const server = createServer((request, response) => {
    const refusal = refuseForeigner(request);
    if (refusal !== null) {
      response.writeHead(403, { 'content-type': 'application/json' }).end(JSON.stringify({ message: refusal }));
      return;
    }
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
