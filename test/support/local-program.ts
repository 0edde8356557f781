/**
 * Runs `npm start` and the serving examples as people do, each in a process of its own, and calls the API as an
 * administrator who has signed in.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Password of the first administrator, unless a test chooses another one. */
export const PASSWORD = 'first-password-of-the-test';
export const START_MS = 90_000;

const ROOT = join(import.meta.dirname, '../..');
const LISTENING = /^listening on (http:\/\/127\.0\.0\.1:\d+)$/m;

export interface ServingProgram {
  readonly pid: number;
  readonly output: () => string;
  readonly errors: () => string;
  /**
   * Waits until it listens; gives its address.
   *
   * @throws Error with all its output, when it ends before
   */
  readonly address: () => Promise<string>;
  /** Sends the signal, if it still runs, and waits for its end. Gives the exit code; null after SIGKILL. */
  readonly end: (signal?: NodeJS.Signals) => Promise<number | null>;
  /** Waits until it ends by itself. Gives the exit code. */
  readonly ended: Promise<number | null>;
}

/** Starts a program; `file` is relative to the root of the project. */
export function startProgram(
  file: string,
  flags: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ServingProgram {
  const child = spawn(process.execPath, [join(ROOT, file), ...flags], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { output: '', errors: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.errors += text));
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return {
    pid: child.pid!,
    output: () => texts.output,
    errors: () => texts.errors,
    ended,
    async address() {
      for (; !LISTENING.test(texts.output); await sleep(20)) {
        if (isOver()) throw new Error(`${file} ended before it listened:\n${texts.output}${texts.errors}`);
      }
      return LISTENING.exec(texts.output)![1]!;
    },
    async end(signal = 'SIGTERM') {
      if (!isOver()) child.kill(signal);
      return await ended;
    },
  };
}

/** `npm start` on any free port. */
export function startLocalProgram(...flags: readonly string[]): ServingProgram {
  return startProgram('local/main.ts', ['--port', '0', ...flags]);
}

/**
 * Calls the API; gives the body of its answer, undefined where it has none.
 *
 * @throws Error when the API refuses
 */
export type ApiCall = <T>(method: string, path: string, body?: unknown) => Promise<T>;

/** Signs in as the first administrator. */
export async function signIn(url: string, password = PASSWORD): Promise<ApiCall> {
  let token = '';
  const call: ApiCall = async <T>(method: string, path: string, body?: unknown) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  };
  ({ token } = await call<{ token: string }>('POST', '/api/session', { userName: 'admin', password }));
  return call;
}

/** Starts a run and waits until it has succeeded. */
export async function synchronize(call: ApiCall): Promise<void> {
  const { runId } = await call<{ runId: string }>('POST', '/api/sync', {});
  for (;;) {
    const { status } = await call<{ status: string }>('GET', `/api/runs/${runId}`);
    if (status === 'succeeded') return;
    if (status !== 'running') throw new Error(`run ${runId} ended as ${status}`);
    await sleep(100);
  }
}
