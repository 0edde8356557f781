/**
 * `npm start`: reads flags, starts the program and the demonstration, prints how to use them, and stops both on a
 * signal.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { passwordFault } from '../lib/user/password.ts';
import { startDemonstration, type Demonstration } from './demonstration.ts';
import { startProgram, type Program } from './program.ts';
import { createRunning } from './running.ts';

interface Options {
  readonly port: number;
  /** undefined: a temporary folder, removed at the end. */
  readonly dataFolder: string | undefined;
  readonly demonstration: boolean;
  /** undefined: generated. */
  readonly administratorPassword: string | undefined;
  readonly quiet: boolean;
  /** For the tests: gets the shapes of the calls that are made (docs/permissions.md). */
  readonly callShapesFolder: string | undefined;
}

/** Reads the options; flags override environment variables. @throws Error with one line, if an option is invalid */
function readOptions(args: readonly string[], environment: NodeJS.ProcessEnv): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: { type: 'string' },
      data: { type: 'string' },
      'no-demo': { type: 'boolean' },
      'admin-password': { type: 'string' },
      quiet: { type: 'boolean' },
    },
  });
  const isSet = (name: string) => !['', '0', 'false', undefined].includes(environment[name]);
  const port = values.port ?? environment.ROLLCALL_PORT ?? '8080';
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535)
    throw new Error(`--port ${port}: must be a number from 0 to 65535`);
  const administratorPassword = values['admin-password'] ?? environment.ROLLCALL_ADMIN_PASSWORD;
  const fault = administratorPassword === undefined ? null : passwordFault(administratorPassword);
  if (fault !== null) throw new Error(`--admin-password: ${fault}`);
  const data = values.data ?? environment.ROLLCALL_DATA;
  if (data === '') throw new Error('--data: must name a folder');
  return {
    port: Number(port),
    dataFolder: data === undefined ? undefined : path.resolve(data),
    demonstration: !(values['no-demo'] ?? isSet('ROLLCALL_NO_DEMO')),
    administratorPassword,
    quiet: values.quiet ?? isSet('ROLLCALL_QUIET'),
    callShapesFolder: environment.ROLLCALL_CALL_SHAPES,
  };
}

/** The text quoted for a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function describe({ url, administrator }: Program, demonstration: Demonstration | null, logFolder: string): string {
  const json = `-H 'Content-Type: application/json'`;
  const lines = [
    '',
    `administrator   ${administrator.userName}`,
    `first password  ${administrator.password}`,
    `logs            ${logFolder}`,
    `events          ${url}/local/events`,
    `API reference   ${url}/api/docs`,
    '',
    'List users:',
    `  TOKEN=$(curl -s ${url}/api/session ${json} -d ${quote(JSON.stringify(administrator))} |`,
    String.raw`    sed 's/.*"token" *: *"\([^"]*\)".*/\1/')`,
    `  curl -s '${url}/api/users?limit=3' -H "Authorization: Bearer $TOKEN"`,
    '',
  ];
  if (demonstration !== null) {
    const { displayName, login } = demonstration.somebody;
    lines.push(
      `Log in as ${displayName} (every password is demo- followed by the user name):`,
      `  curl -s ${url}/2015-03-31/functions/auth/invocations -d ${quote(JSON.stringify(login))}`,
      '',
    );
  }
  return [...lines, 'Stop with Ctrl+C.', ''].join('\n');
}

async function main(options: Options, signal: AbortSignal): Promise<void> {
  const running = createRunning();
  try {
    const dataFolder = options.dataFolder ?? (await mkdtemp(path.join(tmpdir(), 'rollcall-')));
    if (options.dataFolder === undefined) {
      await running.add(Promise.resolve({ stop: () => rm(dataFolder, { recursive: true, force: true }) }));
    }
    const tell = options.quiet ? () => {} : console.log;
    const program = running.add(startProgram({ ...options, dataFolder, signal }));
    const demonstration = options.demonstration
      ? running.add(startDemonstration(path.join(dataFolder, 'slapd')))
      : null;
    const [ready, directory] = await Promise.all([program, demonstration]);
    signal.throwIfAborted();
    if (directory !== null) tell(await directory.introduceTo(ready, signal));
    console.log(`listening on ${ready.url}`);
    tell(describe(ready, directory, path.join(dataFolder, 'logs')));
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve);
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await running.stop();
  }
}

let options: Options;
try {
  options = readOptions(process.argv.slice(2), process.env);
} catch (error) {
  console.error(`rollcall: ${(error as Error).message.split('\n', 1)[0]}`);
  process.exit(2);
}
const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());
try {
  await main(options, interruption.signal);
  process.exit(0);
} catch (error) {
  console.error(`rollcall: ${(error as Error).message}`);
  process.exit(1);
}
