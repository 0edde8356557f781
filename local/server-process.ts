/**
 * A server of somebody else as a process of ours: started on ports that are free, waited for, stopped, and never left behind.
 * Knows nothing of what it serves.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Ports are found free and then taken, so somebody else may be faster. */
const START_ATTEMPTS = 3;
const LAST_WORDS = 2_000;

export interface ServerCommand {
  /** Program and arguments; the program stays in the foreground. */
  readonly command: readonly string[];
  /** Its working folder. Default: that of this process. */
  readonly folder?: string;
  /** Added to the environment of this process. */
  readonly environment?: NodeJS.ProcessEnv;
  /** How long it may take until it listens. */
  readonly startMs: number;
  /** How long it may take to end by itself once it was asked to; 0 = it is ended at once, whatever it has in hand. */
  readonly stopMs: number;
}

export interface ServerProcess<Ports extends readonly number[]> {
  readonly pid: number;
  readonly ports: Ports;
  /** Ends the server; resolves when its process is gone. May be called again. */
  stop(): Promise<void>;
}

// The shell turns into the server, so its process is ours. Beside it waits a watcher for the end of its input, which comes when
// this process ends in whatever way, and takes the server along. Servers size their tables by the number of files they may open.
const LAUNCHER = `ulimit -n 2048 2>/dev/null
exec 3<&0
( trap '' TERM INT; read -r _ <&3; kill -KILL $$ ) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-`;

/**
 * Starts a server on as many free ports of 127.0.0.1 as `prepare` takes, which is told them before each attempt.
 * @throws Error with the server's last words where it does not start
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

/** Gives its last words where it does not start. */
async function launch<Ports extends readonly number[]>(
  { command, folder, environment, startMs, stopMs }: ServerCommand,
  ports: Ports,
): Promise<ServerProcess<Ports> | string> {
  const server = spawn('sh', ['-c', LAUNCHER, 'sh', ...command], {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdio: 'pipe',
    // A process group of its own, so that Ctrl+C does not end it before those that still write to it.
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
    // Somebody else's server may listen on the port; then ours has ended by now.
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
