#!/usr/bin/env node
/** `rollcall`: finds the command, lets it do its work and says how that has ended. */
import { Problem } from './api.ts';
import {
  asksForHelp,
  chooseCommand,
  describeCommand,
  EXIT,
  listCommands,
  readArguments,
  UsageError,
  type Command,
  type ExitCode,
} from './command.ts';
import { makeCompletion } from './completion.ts';
import { login, logout, openApi, password } from './login.ts';
import { runs, runsApprove, runsCancel, sync } from './runs.ts';
import { settingsGet, settingsSet, settingsTest } from './settings.ts';
import { createTerminal, Interrupted, type Terminal } from './terminal.ts';
import {
  auth,
  usersApplyDefaultPrivileges,
  usersCreate,
  usersDelete,
  usersList,
  usersPassword,
  usersSet,
  usersShow,
} from './users.ts';

const COMMANDS: readonly Command[] = [
  login,
  logout,
  password,
  settingsGet,
  settingsSet,
  settingsTest,
  sync,
  runs,
  runsCancel,
  runsApprove,
  usersList,
  usersShow,
  usersCreate,
  usersSet,
  usersDelete,
  usersPassword,
  usersApplyDefaultPrivileges,
  auth,
  makeCompletion(() => COMMANDS),
];

const HELP = `Administers a Rollcall deployment, or the local program.

${listCommands(COMMANDS)}

Every command takes --url URL, --json and --help; rollcall COMMAND --help explains it.
NO_COLOR=1 turns colours off, which are only used on a terminal anyway.

Ends with
    0  done
    1  a fault: not reachable, not answered, a run has failed
    2  the command line can't be meant, and nothing was done
    3  done, and the answer is no or not all: a run partial, cancelled or with withheld removals, settings that fail
       their test, a login rejected
    4  refused: not found, not valid, in conflict with something, not confirmed; nothing was changed
    5  not signed in, or no longer
  130  interrupted by Ctrl+C`;

async function main(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const { name, command, group, rest } = chooseCommand(COMMANDS, args);
  if (asksForHelp(args) || args.length === 0) {
    if (command !== null) terminal.print(describeCommand(command).split('\n'));
    else terminal.print((name === '' ? HELP : listCommands(group)).split('\n'));
    return EXIT.done;
  }
  if (command === null) {
    const next = group.map((one) => one.name.slice(name.length).trim());
    throw new UsageError(
      name === '' ? 'name a command; see rollcall --help' : `${name} needs one of: ${next.join(', ')}`,
    );
  }
  const { parameters, options } = readArguments(command, rest);
  return await command.run({ parameters, options, terminal, api: () => openApi(options['url']) });
}

/** Says what was in the way; gives how the program ends. */
function explain(error: unknown, terminal: Terminal): ExitCode {
  if (error instanceof Interrupted) return EXIT.interrupted;
  if (error instanceof UsageError) {
    terminal.complain({ code: 'usage', detail: error.message }, [error.message]);
    return EXIT.usage;
  }
  if (error instanceof Problem) {
    const { detail, code, errors = [], advice, runId } = error.document;
    const faults = errors.map(({ path, message }) => `  ${path === '' ? 'the document' : path}: ${message}`);
    terminal.complain(error.document, [
      errors.length > 0 ? `not accepted (${code})` : `${detail}${runId === undefined ? '' : `: ${runId}`} (${code})`,
      ...faults,
      ...(advice === undefined ? [] : [advice]),
    ]);
    if (error.status === 401) return EXIT.notSignedIn;
    return error.status >= 400 && error.status < 500 ? EXIT.refused : EXIT.fault;
  }
  const { message } = error as Error;
  terminal.complain({ code: 'internal', detail: message }, [message]);
  return EXIT.fault;
}

// Whoever reads has seen enough, as head has.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.fault),
);

const args = process.argv.slice(2);
const terminal = createTerminal(args.includes('--json'));
try {
  process.exitCode = await main(args, terminal);
} catch (error) {
  process.exitCode = explain(error, terminal);
}
