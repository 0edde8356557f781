/**
 * Runs a server program as a child process: starts it on free ports, waits until it listens, stops it, and never leaves
 * it behind. Knows nothing of what it serves.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Free ports are found first and used later, so another process may take them in between. */
const START_ATTEMPTS = 3;
const LAST_WORDS = 2_000;

/** How to run a server program. */
export interface ServerCommand {
  /** Program and arguments; the program stays in the foreground. */
  readonly command: readonly string[];
  /** Its working folder. Default: that of this process. */
  readonly folder?: string;
  /** Added to the environment of this process. */
  readonly environment?: NodeJS.ProcessEnv;
  /** How long it may take to listen. */
  readonly startMs: number;
  /** How long it may take to end after SIGTERM; 0: it is killed at once. */
  readonly stopMs: number;
}

/** A running server. */
export interface ServerProcess<Ports extends readonly number[]> {
  readonly pid: number;
  readonly ports: Ports;
  /** Ends the server; resolves when its process has ended. May be called again. */
  stop(): Promise<void>;
}

// The shell is replaced by the server, so the server is our child process. A watcher beside it waits for the end of its
// input, which comes when this process ends in any way, and then kills the server. The limit on open files is low
// because servers size their tables by it.
const LAUNCHER = `ulimit -n 2048 2>/dev/null
exec 3<&0
( trap '' TERM INT; read -r _ <&3; kill -KILL $$ ) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-`;

/**
 * Starts a server on free ports of 127.0.0.1. `prepare` gets one port per parameter, before each attempt.
 * @throws Error with the server's last output if it does not start
 */
export async function startServer<Ports extends number[]>(
  prepare: (...ports: Ports) => Promise<ServerCommand>,
): Promise<ServerProcess<Ports>> {
  for (let attempt = 1; ; attempt += 1) {
    const ports = (await freePorts(prepare.length)) as Ports;
    const server = await prepare(...ports);
    const started = await launch(server, ports);
    if (typeof started !== 'string') return started;
    if (attempt === START_ATTEMPTS) throw new Error(`${server.command[0]} did not start: ${started}`);
  }
}

/** Starts the server once; returns its last output if it does not start. */
async function launch<Ports extends readonly number[]>(
  { command, folder, environment, startMs, stopMs }: ServerCommand,
  ports: Ports,
): Promise<ServerProcess<Ports> | string> {
  const server = spawn('sh', ['-c', LAUNCHER, 'sh', ...command], {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdio: 'pipe',
    // Its own process group, so that Ctrl+C does not end it before the processes that still use it.
    detached: true,
  });
  let words = '';
  for (const stream of [server.stdout, server.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      words = (words + part).slice(-LAST_WORDS);
    });
  }
  const gone = (): boolean => server.exitCode !== null || server.signalCode !== null;
  const ended = once(server, 'close');
  server.stdin.on('error', () => {});

  async function stop(): Promise<void> {
    if (!gone() && stopMs > 0) {
      server.kill('SIGTERM');
      await Promise.race([ended, sleep(stopMs, undefined, { ref: false })]);
    }
    if (!gone()) server.kill('SIGKILL');
    await ended;
  }

  const givesUpAt = Date.now() + startMs;
  while (!gone() && Date.now() < givesUpAt) {
    const listening = await Promise.all(ports.map(listens));
    await sleep(20);
    // Another server may listen on the port; then ours has ended by now.
    if (listening.every(Boolean) && !gone()) return { pid: server.pid!, ports, stop };
  }
  await stop();
  return words.trim().split('\n').slice(-3).join('; ') || 'it printed nothing';
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

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = servers.map(async (server) => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as AddressInfo).port;
  });
  const free = await Promise.all(ports);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return free;
}
