#!/usr/bin/env node
/** The program `rollcall`: finds the command, runs it, and turns errors into messages and exit codes. */
import { Problem } from '../client/problem.ts';
import { asksForHelp, chooseCommand, describeCommand, listCommands, readArguments, type Command } from './command.ts';
import { makeCompletion } from './completion.ts';
import { EXIT, UsageError, type ExitCode } from './exit.ts';
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

const HELP = `Administer a Rollcall deployment or the local program.

${listCommands(COMMANDS)}

All commands take --url URL, --json and --help. For details: rollcall COMMAND --help
Colours are used on terminals only; NO_COLOR=1 turns them off.

Exit codes
    0  success
    1  failure: the deployment did not answer, or a run failed
    2  usage error; nothing was done
    3  done, with a negative or incomplete result: a run was partial, was cancelled or withheld changes; settings
       failed their test; a login was rejected
    4  refused: not found, invalid, in conflict or not confirmed; nothing was changed
    5  not signed in: no session, or a wrong user name or password
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
      name === '' ? 'no command given; see rollcall --help' : `${name} requires one of: ${next.join(', ')}`,
    );
  }
  const { parameters, options } = readArguments(command, rest);
  return await command.run({ parameters, options, terminal, api: () => openApi(options['url']) });
}

/** Prints what went wrong. Gives the exit code for it. */
function explain(error: unknown, terminal: Terminal): ExitCode {
  if (error instanceof Interrupted) return EXIT.interrupted;
  if (error instanceof UsageError) {
    terminal.complain({ code: 'usage', detail: error.message }, [error.message]);
    return EXIT.usage;
  }
  if (error instanceof Problem) {
    const { detail, code, errors = [], advice, runId, requestId, retryAfterSeconds } = error.document;
    const faults = errors.map(({ path, message }) => `  ${path === '' ? 'the document' : path}: ${message}`);
    terminal.complain(error.document, [
      errors.length > 0 ? `invalid input (${code})` : `${detail}${runId === undefined ? '' : `: ${runId}`} (${code})`,
      ...faults,
      ...(advice === undefined ? [] : [advice]),
      ...(retryAfterSeconds === undefined ? [] : [`Try again in ${retryAfterSeconds} seconds.`]),
      ...(requestId === undefined ? [] : [`The log has more about request ${requestId}.`]),
    ]);
    if (error.status === 401) return EXIT.notSignedIn;
    return error.status >= 400 && error.status < 500 ? EXIT.refused : EXIT.fault;
  }
  const { message } = error as Error;
  terminal.complain({ code: 'internal', detail: message }, [message]);
  return EXIT.fault;
}

// A reader such as head may close the pipe early.
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
