/**
 * Writes docs/cli.md: a recorded session with the local program and its demonstration directory. Run it with
 * `npm run docs:cli`. Knows the programs by their input and output only.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '..');
const PASSWORD = 'correct horse battery';

/** The page, with bars for backticks; lines indented by four are run. */
const SESSION = String.raw`# Command line
In a checkout, after |npm ci|, |npx rollcall| administers any deployment or the local program. It uses the
administration API over HTTP and needs no AWS credentials. This page is a session with |npm start|, recorded by
|npm run docs:cli|. An alias shortens |npx rollcall|:

    alias rollcall='npx rollcall'
    rollcall --help

## Signing in
Without |--url|, |--user| and a piped password, |login| asks for them. A password is never an argument: it is typed
hidden or read from standard input. The session's token is stored in the user's configuration folder, with mode 600.
You can be signed in to several deployments at once; |--url| chooses one.

    rollcall login --url http://127.0.0.1:8080 --user admin < password.txt

## Settings
|settings get| prints the settings without the bind password, |settings set| replaces them, |settings test| tests them.

    rollcall settings get > settings.json
    jq '.options.missingUsers = "disable" | .options.gracePeriodDays = 14' settings.json > new.json
    rollcall settings test new.json
    rollcall settings set new.json
    jq '.scope.filter = "(mail=*" | .mapping.username = "uid"' settings.json | rollcall settings set -

The stored bind password goes nowhere new: whoever adds a server, or changes what protects the connection, has to send
it again. |--password-file| reads it from a file, or with |-| from standard input; |--ask-password| asks for it.

    jq '.connection.servers += ["localhost:1389"]' settings.json > second.json
    rollcall settings set second.json
    rollcall settings test second.json
    echo 'a wrong password' | rollcall settings test second.json --password-file - | tail -n 1

## Synchronising
On a terminal |--watch| shows the progress. Ctrl+C stops the watching, not the run.

    rollcall sync --dry-run --watch
    rollcall sync
    rollcall runs --limit 3

|runs ID| shows a run, |runs cancel ID| stops it, |runs approve ID| approves what it withheld: all, the lines of some
users (|--user|), or the lines that propose one thing (|--proposes|):

    jq '.scope.filter = "(uid=a*)" | .options += {missingUsers: "disable", gracePeriodDays: 0}' settings.json > new.json
    rollcall settings set new.json
    rollcall sync --watch | head -n 8
    rollcall runs approve $(rollcall runs --limit 1 --json | jq -r '.items[0].id') --yes --watch | head -n 8
    rollcall settings set settings.json && rollcall sync --watch | head -n 3
    rollcall runs cancel $(rollcall runs --limit 1 --json | jq -r '.items[0].id')

## Users
    rollcall users list --search an --limit 4
    rollcall users show anna.weber
    rollcall users create scanner --full-name 'Scanner, 2nd floor' --email scan@example.com --privileges login,archive
    echo 'a password for the scanner' | rollcall users password scanner
    rollcall users set scanner --user-name scanner-2 --status disabled
    rollcall users delete scanner-2 --yes

Runs give the default privileges to new users only. |users apply-default-privileges| gives them to existing users;
without |--yes| it asks for confirmation:

    rollcall users set anna.weber --privileges login,export | grep privileges
    rollcall users apply-default-privileges --dry-run
    rollcall users apply-default-privileges --yes

|auth| tests a login without counting a failed attempt, and tells when the password
expires or how many logins are left after that, if the directory says so:

    echo demo-anna.weber | rollcall auth anna.weber | head -n 1
    echo wrong | rollcall auth anna.weber

## Your own password
|password| asks for the current password and twice for the new one, or reads both from standard input. With |--user| it
works without a session, for users who are not administrators.

    (cat password.txt; echo; echo 'a new password') | rollcall password

## Scripts
Results go to standard output; notes, questions, progress and problems to standard error. With |--json| results and
problems are JSON, in the form of the administration API ([api.md](api.md)). |rollcall --help| lists the exit codes.

    rollcall users list --authentication integrated --json | jq -c '.items[] | {userName, privileges}'
    rollcall users show nobody --json

## Completion
    echo 'source <(rollcall completion bash)' >> ~/.bashrc

For zsh, use |completion zsh| and |~/.zshrc|.

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
  throw new Error('the local program did not start');
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

/** Runs a line in a shell with an empty home folder; some need jq. Gives the screen, with the default address. */
async function type(line: string, url: string): Promise<string[]> {
  const shown = `$ ${line}`;
  // These lines are for the reader's own shell.
  if (/^(?:alias|echo 'source)/.test(line)) return [shown];
  const { XDG_CONFIG_HOME: _theirs, ...environment } = process.env;
  const env = { ...environment, HOME: home, PATH: `${home}:${process.env['PATH']}`, NO_COLOR: '1' };
  const script = `exec 2>&1\n${line.replaceAll('http://127.0.0.1:8080', url)}`;
  const output = await new Promise<string>((resolve) => {
    execFile('bash', ['-c', script], { cwd: home, env }, (error, stdout) => {
      resolve(error ? `${stdout}(exit code ${error.code})` : stdout);
    });
  });
  const screen = output.replaceAll(url, 'http://127.0.0.1:8080').trimEnd();
  return [shown, ...(screen === '' ? [] : screen.split('\n'))];
}
