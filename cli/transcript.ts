/**
 * Writes docs/cli.md: a session with the local program and its demonstration, as it happened. `npm run docs:cli` runs it.
 * Knows the programs from outside only.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '..');
const PASSWORD = 'correct horse battery';

/** Text, with bars for backticks, and indented by four what is typed. */
const SESSION = String.raw`# Command line

    npx rollcall

in a checkout (after |npm ci|) administers any deployment, or the local program. It talks HTTP to the administration API and
needs no AWS credentials. This page is a session with |npm start|, written by |npm run docs:cli|; here |npx rollcall| is shortened
by an alias:

    alias rollcall='npx rollcall'
    rollcall --help

## Signing in
Without |--url|, |--user| and a piped password, |login| asks for them. A password is never an argument: it is typed unseen or read
from standard input. The session's token is kept in the configuration folder of the user, with mode 600; several deployments
may be signed in to at once, and |--url| chooses one.

    rollcall login --url http://127.0.0.1:8080 --user admin < password.txt

## Settings
|settings get| prints the document without the password of the directory, |settings set| replaces it, |settings test| tries it out.

    rollcall settings get > settings.json
    jq '.options.missingUsers = "disable" | .options.gracePeriodDays = 7' settings.json > new.json
    rollcall settings test new.json
    rollcall settings set new.json
    jq '.scope.filter = "(mail=*" | .mapping.username = "uid"' settings.json | rollcall settings set -

A bind password goes into the document with |--ask-password|, so that no file needs to hold it.

## Synchronising
On a terminal |--watch| shows the progress. Ctrl+C ends the watching, not the run.

    rollcall sync --dry-run --watch
    rollcall sync
    rollcall runs --limit 3

|runs ID| shows one of them; |runs cancel ID| stops it; |runs approve ID| applies the removals that it has withheld:

    jq '.scope.filter = "(uid=a*)" | .options.missingUsers = "disable"' settings.json | rollcall settings set -
    rollcall sync --watch | head -n 8
    rollcall runs approve $(rollcall runs --limit 1 --json | jq -r '.items[0].id') --yes --watch | head -n 8
    rollcall settings set settings.json && rollcall sync --watch | head -n 3
    rollcall runs cancel $(rollcall runs --limit 1 --json | jq -r '.items[0].id')

## Users
    rollcall users list --search an --limit 4
    rollcall users show anna.weber
    rollcall users create scanner --full-name 'Scanner, 2nd floor' --email scanner@example.com --privileges login,archive
    echo 'a password for the scanner' | rollcall users password scanner
    rollcall users set scanner --user-name scanner-2 --status disabled
    rollcall users delete scanner-2 --yes

Runs give the default privileges to new users only. Others get them so; without |--yes| it asks before:

    rollcall users set anna.weber --privileges login,export | grep privileges
    rollcall users apply-default-privileges --dry-run
    rollcall users apply-default-privileges --yes

What a login would answer, without counting an attempt:

    echo demo-anna.weber | rollcall auth anna.weber | head -n 1
    echo wrong | rollcall auth anna.weber

## Your own password
|password| asks for the current one and twice for the new one, or reads both from standard input. With |--user| it needs no session, which
only administrators get.

    (cat password.txt; echo; echo 'a new password') | rollcall password

## Scripts
Results go to standard output; notes, questions, progress and problems to standard error. With |--json| both are JSON, in the
form of the administration API ([api.md](api.md)). The exit codes are those of |rollcall --help|.

    rollcall users list --authentication integrated --json | jq -c '.items[] | {userName, privileges}'
    rollcall users show nobody --json

## Completion
    echo 'source <(rollcall completion bash)' >> ~/.bashrc

zsh likewise, with |~/.zshrc|.

## Signing out
    rollcall logout
`;

const home = await mkdtemp(join(tmpdir(), 'rollcall-transcript-'));
const flags = ['--port', '0', '--quiet', '--admin-password', PASSWORD, '--data', join(home, 'data')];
const program = spawn(process.execPath, [join(ROOT, 'local/main.ts'), ...flags], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  const url = await readAddress();
  const rollcall = join(home, 'rollcall');
  await writeFile(rollcall, `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'cli/main.ts')}' "$@"\n`);
  await chmod(rollcall, 0o755);
  await writeFile(join(home, 'password.txt'), PASSWORD);
  await writeFile(join(ROOT, 'docs/cli.md'), await writeDown(url));
} finally {
  program.kill('SIGTERM');
  if (program.exitCode === null) await once(program, 'exit');
  await rm(home, { recursive: true });
}

async function readAddress(): Promise<string> {
  for await (const line of createInterface(program.stdout)) {
    const [, url] = /^listening on (\S+)$/.exec(line) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error('the local program has not started');
}

async function writeDown(url: string): Promise<string> {
  const lines: string[] = [];
  let isTyped = false;
  for (const line of SESSION.trimEnd().split('\n')) {
    const typed = line.startsWith('    ');
    if (typed !== isTyped) lines.push(...(typed && lines.at(-1) === '' ? ['```'] : [typed ? '\n```' : '```']));
    isTyped = typed;
    lines.push(...(typed ? await type(line.trim(), url) : [line.replaceAll('|', '`')]));
  }
  return `${lines.join('\n')}${isTyped ? '\n```' : ''}\n`;
}

/** Runs a line as a shell does in a fresh home; some need jq. Gives what would be on the screen, the address as it is by default. */
async function type(line: string, url: string): Promise<string[]> {
  const shown = `$ ${line}`;
  // These are about the reader's own shell.
  if (/^(?:alias|npx|echo 'source)/.test(line)) return [shown];
  const { XDG_CONFIG_HOME: _theirs, ...environment } = process.env;
  const env = { ...environment, HOME: home, PATH: `${home}:${process.env['PATH']}`, NO_COLOR: '1' };
  const script = `exec 2>&1\n${line.replaceAll('http://127.0.0.1:8080', url)}`;
  const output = await new Promise<string>((resolve) => {
    execFile('bash', ['-c', script], { cwd: home, env }, (error, stdout) => {
      resolve(error ? `${stdout}(ends with ${error.code})` : stdout);
    });
  });
  const screen = output.replaceAll(url, 'http://127.0.0.1:8080').trimEnd();
  return [shown, ...(screen === '' ? [] : screen.split('\n'))];
}
