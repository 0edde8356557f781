/**
 * A server of somebody else as a process of ours: started on ports that are free, waited for, stopped, and never left behind.
 * Knows nothing of what it serves.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Ports are found free and then taken, so somebody else may be faster. */
const START_ATTEMPTS = 3;
const LOG = 'server.log';

export interface ServerCommand {
  /** Program and arguments; the program stays in the foreground. */
  readonly command: readonly string[];
  /** Its working folder, which gets its log. */
  readonly folder: string;
  /** Added to the environment of this process. */
  readonly environment?: NodeJS.ProcessEnv;
  /** How long it may take until it listens. */
  readonly startMs: number;
  /** How long it may take to end by itself once it was asked to; 0 = it is ended at once, whatever it has in hand. */
  readonly stopMs: number;
}

export interface ServerProcess {
  readonly pid: number;
  /** For LDAP and for LDAPS. */
  readonly ports: readonly [number, number];
  /** Ends the server; resolves when its process is gone. May be called again. */
  stop(): Promise<void>;
}

// The shell turns into the server, so its process is ours. Beside it waits a watcher for the end of its input, which comes when
// this process ends in whatever way, and takes the server along. Servers size their tables by the number of files they may open.
const LAUNCHER = `ulimit -n 2048 2>/dev/null
exec 3<&0
( trap '' TERM INT; read -r _ <&3; kill -KILL $$ ) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&- >${LOG} 2>&1`;

/**
 * Starts a server on two free ports of 127.0.0.1. `prepare` is told the ports before each attempt.
 * @throws Error with the server's last words where it does not start
 */
export async function startServer(
  prepare: (ldapPort: number, ldapsPort: number) => Promise<ServerCommand>,
): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt += 1) {
    const ports = await freePorts();
    const server = await prepare(...ports);
    const started = await launch(server, ports);
    if (started !== null) return started;
    if (attempt === START_ATTEMPTS) {
      throw new Error(`${server.command[0]} did not start: ${await lastWords(server.folder)}`);
    }
  }
}

async function launch(
  { command, folder, environment, startMs, stopMs }: ServerCommand,
  ports: readonly [number, number],
): Promise<ServerProcess | null> {
  const server = spawn('sh', ['-c', LAUNCHER, 'sh', ...command], {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const gone = (): boolean => server.exitCode !== null || server.signalCode !== null;
  const exited = once(server, 'exit');
  server.stdin.on('error', () => {});

  async function stop(): Promise<void> {
    if (gone()) return;
    if (stopMs > 0) {
      server.kill('SIGTERM');
      await Promise.race([exited, sleep(stopMs, undefined, { ref: false })]);
    }
    if (!gone()) server.kill('SIGKILL');
    await exited;
  }

  const givesUpAt = Date.now() + startMs;
  while (!gone() && Date.now() < givesUpAt) {
    if ((await listens(ports[0])) && (await listens(ports[1]))) return { pid: server.pid!, ports, stop };
    await sleep(20);
  }
  await stop();
  return null;
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  const ports = servers.map(async (server) => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as { port: number }).port;
  });
  const [ldapPort, ldapsPort] = await Promise.all(ports);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return [ldapPort!, ldapsPort!];
}

async function lastWords(folder: string): Promise<string> {
  const log = await readFile(join(folder, LOG), 'utf8').catch(() => '');
  return log.trim().split('\n').slice(-3).join('; ') || 'it left no message';
}
