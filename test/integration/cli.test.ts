/** The command line as people and scripts use it: a process for each command, against the local program. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeCompany } from '../../local/demonstration-people.ts';
import { PASSWORD, type ServingProgram, START_MS, startLocalProgram } from '../support/local-program.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'cli/main.ts');
const BIND_PASSWORD = describeCompany('dc=example,dc=com').bindPassword;

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

interface Settings {
  readonly connection: Readonly<Record<string, unknown>>;
  readonly scope: Readonly<Record<string, unknown>>;
  readonly options: Readonly<Record<string, unknown>>;
}

interface Run {
  readonly id: string;
  readonly status: string;
  readonly totals: Readonly<Record<string, number>>;
  readonly changes: { readonly items: readonly { readonly kind: string; readonly userId: string }[] };
}

const folder = mkdtempSync(join(tmpdir(), 'rollcall-cli-'));
const credentialsFile = join(folder, 'config/rollcall/credentials.json');
let program: ServingProgram;
let url: string;

/** An environment without the variables around the test, which may ask for colours or know another session. */
const environment = (over: NodeJS.ProcessEnv = {}) => ({
  PATH: process.env['PATH'],
  HOME: folder,
  XDG_CONFIG_HOME: join(folder, 'config'),
  TERM: 'xterm-256color',
  ...over,
});

function start(args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, env: environment() });
  return { child, ended: collect(child) };
}

async function collect(child: ChildProcess): Promise<Ended> {
  const texts = { output: '', errors: '' };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (texts.output += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (texts.errors += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...texts };
}

/** Runs one command with this text in a pipe as its standard input. */
async function rollcall(args: readonly string[], input = ''): Promise<Ended> {
  const { child, ended } = start(args);
  child.stdin!.on('error', () => {}).end(input);
  return await ended;
}

/** Runs one command with --json; gives what it prints. */
async function ask<T>(args: readonly string[], input = ''): Promise<T> {
  const { output, errors } = await rollcall([...args, '--json'], input);
  if (output === '') throw new Error(errors);
  return JSON.parse(output) as T;
}

/** Runs one command on a terminal and types each answer when its question appears. Gives the whole screen. */
async function onTerminal(
  args: readonly string[],
  answers: readonly (readonly [question: string, typed: string])[],
  over: NodeJS.ProcessEnv = {},
): Promise<{ readonly code: number | null; readonly screen: string }> {
  const line = ['stty cols 100 rows 40;', 'exec', process.execPath, MAIN, ...args].join(' ');
  const child = spawn('script', ['-qec', line, '/dev/null'], { cwd: folder, env: environment(over) });
  const waiting = [...answers];
  let screen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    if (waiting[0] === undefined || !screen.includes(waiting[0][0])) return;
    // The command shows the question before it listens for keys.
    setTimeout((typed: string) => child.stdin.write(typed), 200, waiting.shift()![1]);
  });
  // A command that asks another question would wait for ever; the screen shows which one.
  const patience = setTimeout(() => child.kill('SIGKILL'), 20_000);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(patience);
  return { code, screen };
}

async function signIn(): Promise<void> {
  const { code, errors } = await rollcall(['login', '--url', url, '--user', 'admin'], `${PASSWORD}\n`);
  if (code !== 0) throw new Error(errors);
}

function tokenOf(address: string): string | undefined {
  const { sessions } = JSON.parse(readFileSync(credentialsFile, 'utf8')) as {
    sessions: Record<string, { token: string }>;
  };
  return sessions[address]?.token;
}

beforeAll(async () => {
  program = startLocalProgram('--quiet', '--admin-password', PASSWORD, '--data', join(folder, 'data'));
  url = await program.address();
}, START_MS);

afterAll(async () => {
  await program.end();
  rmSync(folder, { recursive: true });
});

describe('signing in', () => {
  test('keeps a token that nobody else can read, and the password nowhere', async () => {
    const { child, ended } = start(['login', '--url', `${url}/`, '--user', 'admin']);
    // It is waiting for the password, so its command line can be read.
    const commandLine = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8');
    child.stdin!.end(`${PASSWORD}\n`);
    const { code, output, errors } = await ended;

    expect({ code, errors }).toEqual({ code: 0, errors: '' });
    expect(output).toContain(`Signed in to ${url} as admin until `);
    expect(statSync(credentialsFile).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'config/rollcall')).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(folder, 'config/rollcall'))).toEqual(['credentials.json']);
    expect(tokenOf(url)).toMatch(/^\S{40,}$/);
    expect(commandLine).toContain('login');
    for (const text of [commandLine, output, readFileSync(credentialsFile, 'utf8')]) {
      expect(text).not.toContain(PASSWORD);
    }
  });

  test('asks on a terminal, and does not show the password', async () => {
    const { code, screen } = await onTerminal(
      ['login', '--url', url],
      [
        ['User name', '\u0015admin\r'],
        ['Password', `${PASSWORD}\r`],
      ],
    );

    expect(screen).toContain('Signed in to');
    expect(screen).not.toContain(PASSWORD);
    expect(code).toBe(0);
  });

  test.each([
    ['Ctrl+C', '\u0003'],
    ['Ctrl+D', '\u0004'],
  ])('ends with 130 when %s answers a question', async (_keys, typed) => {
    const { code, screen } = await onTerminal(['login', '--url', url, '--user', 'admin'], [['Password', typed]]);

    expect(code).toBe(130);
    expect(screen).not.toContain('Warning');
  });

  test('a wrong password ends with 5 and leaves the session there was', async () => {
    const before = tokenOf(url);
    const { code, errors } = await rollcall(['login', '--url', url, '--user', 'admin'], 'guessed');

    expect(code).toBe(5);
    expect(errors).toContain('(notAuthenticated)');
    expect(errors).not.toContain('guessed');
    expect(tokenOf(url)).toBe(before);
  });

  test.each([
    ['without a user name', ['login', '--url', 'http://127.0.0.1:1']],
    ['without a password', ['login', '--url', 'http://127.0.0.1:1', '--user', 'admin']],
    ['over the network without encryption', ['login', '--url', 'http://example.com', '--user', 'admin']],
    ['to what is no address', ['login', '--url', 'example', '--user', 'admin']],
  ])('%s, where nobody can be asked, ends with 2 and one line', async (_name, args) => {
    const { code, output, errors } = await rollcall(args);

    expect(code).toBe(2);
    expect(output).toBe('');
    expect(errors).toMatch(/^rollcall: [^\n]+\n$/);
  });

  test('a deployment that can not be reached ends with 1', async () => {
    const { code, errors } = await rollcall(['login', '--url', 'http://127.0.0.1:1', '--user', 'admin'], PASSWORD);

    expect(code).toBe(1);
    expect(errors).toMatch(/^rollcall: http:\/\/127\.0\.0\.1:1 can't be reached: .+ \(unreachable\)\n$/);
  });

  test('follows no redirection, which would take the password elsewhere', async () => {
    const asked: string[] = [];
    const server = createHttpServer((request, response) => {
      asked.push(request.url ?? '');
      request.resume();
      response.writeHead(307, { location: '/elsewhere' }).end();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { code } = await rollcall(['login', '--url', address, '--user', 'admin'], PASSWORD);
    server.close();

    expect(code).toBe(1);
    expect(asked).toEqual(['/api/session']);
  });

  test('an answer that is not of the API is told as such', async () => {
    const server = createHttpServer((request, response) => {
      request.resume();
      response.end('<html>Welcome</html>');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { code, errors } = await rollcall(['login', '--url', address, '--user', 'admin'], PASSWORD);
    server.close();

    expect(code).toBe(1);
    expect(errors).toContain('(unexpectedAnswer)');
  });
});

describe('signed in', () => {
  let settings: Settings;
  const file = join(folder, 'settings.json');

  beforeAll(async () => {
    await signIn();
    settings = await ask<Settings>(['settings', 'get']);
  });

  /** Saves the settings read before these tests, with these changes, which may lead to another server. */
  async function change({ connection = settings.connection, ...over }: Partial<Settings>): Promise<void> {
    const document = { ...settings, ...over, connection: { ...connection, password: BIND_PASSWORD } };
    const { code, errors } = await rollcall(['settings', 'set', '-'], JSON.stringify(document));
    if (code !== 0) throw new Error(errors);
  }

  test('settings get prints what settings set takes', async () => {
    const shown = await rollcall(['settings', 'get']);
    writeFileSync(file, shown.output);
    const version = /^version (\S+)$/m.exec(shown.errors)![1]!;
    const saved = await rollcall(['settings', 'set', file, '--if-version', version]);
    const document = JSON.parse(shown.output) as typeof settings;
    const other = JSON.stringify({ ...document, options: { ...document.options, gracePeriodDays: 99 } });
    await rollcall(['settings', 'set', '-', '--if-version', version], other);
    const again = await rollcall(['settings', 'set', file, '--if-version', version]);
    await rollcall(['settings', 'set', file]);

    expect(document).toEqual(settings);
    expect(saved).toMatchObject({ code: 0, output: expect.stringContaining('Saved') as string });
    expect(again).toMatchObject({ code: 4, errors: expect.stringContaining('(versionMismatch)') as string });
  });

  test('settings set tells every fault of a document at once', async () => {
    const { code, errors } = await rollcall(['settings', 'set', '-'], '{"connection": {}, "colour": "blue"}');
    const told = await rollcall(['settings', 'set', '-', '--json'], '{"connection": {}, "colour": "blue"}');

    expect(code).toBe(4);
    expect(errors).toContain('\n  connection.servers: is required\n');
    expect(errors).toContain('\n  colour: is unknown; remove it\n');
    expect(told.output).toBe('');
    expect(JSON.parse(told.errors)).toMatchObject({ code: 'invalidRequest' });
  });

  test.each([
    ['a file that is not there', ['settings', 'set', 'nowhere.json']],
    ['what is no JSON', ['settings', 'set', '-']],
  ])('settings set ends with 2 for %s, without quoting it', async (_name, args) => {
    const { code, errors } = await rollcall(args, '{"password": "secret"');

    expect(code).toBe(2);
    expect(errors).toMatch(/^rollcall: [^\n]+\n$/);
    expect(errors).not.toContain('secret');
  });

  test('settings test ends with 0 for what works and with 3 for what does not', async () => {
    writeFileSync(file, JSON.stringify(settings));
    const stored = await rollcall(['settings', 'test']);
    const wrong = await rollcall(['settings', 'test', file, '--ask-password'], 'a wrong bind password');

    expect(stored.code).toBe(0);
    expect(stored.output).toContain('200 people found, including:');
    expect(wrong.code).toBe(3);
    expect(wrong.output).toMatch(/^bind +failed /m);
  });

  describe('the bind password', () => {
    const secret = join(folder, 'bind-password');
    const elsewhere = () => {
      const { servers } = settings.connection as { servers: string[] };
      return { ...settings, connection: { ...settings.connection, servers: [...servers, 'localhost:1'] } };
    };
    const testing = (...args: readonly string[]) => ['settings', 'test', file, ...args];

    test('is needed for what takes it elsewhere, to save and to test', async () => {
      writeFileSync(file, JSON.stringify(elsewhere()));
      const saved = await rollcall(['settings', 'set', file]);
      const tested = await rollcall(testing());

      expect(saved.code).toBe(4);
      expect(saved.errors).toMatch(/^ {2}connection\.password: is required, because localhost, port 1, is new/m);
      expect(tested.code).toBe(3);
      expect(tested.output).toMatch(/^passwordNeeded +failed /m);
      expect(tested.output).not.toMatch(/^bind/m);
    });

    test.each([
      ['a file', 'a wrong password', secret, ''],
      ['a file with a line break', 'a wrong password\n', secret, ''],
      ['a file from Windows', '\uFEFFa wrong password\r\n', secret, ''],
      ['standard input', '', '-', 'a wrong password\n'],
    ])('comes from %s', async (_kind, text, source, input) => {
      writeFileSync(file, JSON.stringify(elsewhere()));
      writeFileSync(secret, text);
      const { code, output, errors } = await rollcall(testing('--password-file', source), input);

      // The bind is tried, and fails with this password.
      expect(code).toBe(3);
      expect(output).toMatch(/^bind +failed /m);
      expect(output + errors).not.toContain('a wrong password');
    });

    test('of the file is saved with the settings, in place of the stored one', async () => {
      writeFileSync(file, JSON.stringify(elsewhere()));
      writeFileSync(secret, `${BIND_PASSWORD}\n`);
      const saved = await rollcall(['settings', 'set', file, '--password-file', secret]);
      const stored = await rollcall(['settings', 'test']);
      await change({});

      expect(saved).toMatchObject({ code: 0, errors: '' });
      expect(stored.output).toMatch(/^bind +ok /m);
    });

    test.each([
      ['a file that is not there', ['--password-file', 'nowhere'], null, /cannot read nowhere: ENOENT/],
      ['an empty file', ['--password-file', secret], '', /bind-password holds no password/],
      ['a line break', ['--password-file', secret], '\n', /holds no password/],
      ['what is not UTF-8', ['--password-file', secret], Buffer.from('geheim\xFF', 'latin1'), /is not UTF-8 text/],
      ['empty standard input', ['--password-file', '-'], null, /no password on standard input/],
      ['a file and a question', ['--password-file', secret, '--ask-password'], 'x', /pass either/],
      ['no value', ['--password-file'], null, /password-file.* argument/],
    ])('%s ends with 2 and one line', async (_case, args, content, message) => {
      writeFileSync(file, JSON.stringify(settings));
      if (content !== null) writeFileSync(secret, content);
      const { code, errors } = await rollcall(testing(...args));

      expect(code).toBe(2);
      expect(errors).toMatch(/^rollcall: [^\n]+\n$/);
      expect(errors).toMatch(message);
      expect(errors).not.toContain('geheim');
    });

    test.each([
      [['settings', 'set', '-', '--password-file', '-']],
      [['settings', 'set', '-', '--ask-password']],
      [['settings', 'test', '--password-file', secret]],
      [['settings', 'test', '--ask-password']],
    ])('%j ends with 2, because there is no document, or no place for it', async (args) => {
      const { code, errors } = await rollcall(args, '{}');

      expect(code).toBe(2);
      expect(errors).toMatch(/^rollcall: (standard input cannot hold both|a password requires FILE)/);
    });
  });

  test('sync shows what a run has done, sync and runs follow it', async () => {
    const dry = await rollcall(['sync', '--dry-run', '--watch']);
    const { runId } = await ask<{ runId: string }>(['sync']);
    const watched = await rollcall(['runs', runId, '--watch']);
    const list = await rollcall(['runs', '--limit', '2']);
    const conflicts = await ask<Run>(['runs', runId, '--kind', 'conflict']);

    expect(dry.code).toBe(0);
    expect(dry.output).toMatch(/ dry run, succeeded after /);
    expect(dry.output).toMatch(/^unchanged 198, conflict 2$/m);
    expect(dry.output).toMatch(/^conflict +jurgen\.muller +another entry /m);
    expect(dry.errors).toBe('');
    expect(watched.code).toBe(0);
    expect(watched.output).toMatch(new RegExp(`^${runId} +succeeded after `));
    expect(list.output.trimEnd().split('\n')).toHaveLength(4);
    expect(list.output).toContain(runId);
    expect(conflicts).toMatchObject({ id: runId, status: 'succeeded' });
    expect(conflicts.changes.items.map(({ kind }) => kind)).toEqual(['conflict', 'conflict']);
  });

  test('withheld removals end with 3 until somebody has approved them', { timeout: 60_000 }, async () => {
    await change({
      scope: { ...settings.scope, filter: '(uid=a*)' },
      options: { ...settings.options, missingUsers: 'disable', gracePeriodDays: 0 },
    });
    const synced = await rollcall(['sync', '--watch']);
    const [run] = (await ask<{ items: Run[] }>(['runs', '--limit', '1'])).items;
    const unsure = await rollcall(['runs', 'approve', run!.id]);
    const refused = await onTerminal(['runs', 'approve', run!.id], [['(181 remove)?', 'n']]);
    const shown = await rollcall(['runs', run!.id, '--kind', 'withheld', '--limit', '1']);
    const { items } = (await ask<Run>(['runs', run!.id, '--kind', 'withheld', '--limit', '3'])).changes;
    const [one, two, three] = items.map(({ userId }) => userId);
    const ofUser = ['--user', one!, '--user', two!, '--user', one!, '--proposes', 'remove'];
    const some = await rollcall(['runs', 'approve', run!.id, ...ofUser, '--yes', '--watch']);
    const wrongKind = await rollcall(['runs', 'approve', run!.id, '--proposes', 'clear', '--yes']);
    const wrongUser = await rollcall(['runs', 'approve', run!.id, '--user', three!, '--user', 'nobody', '--yes']);
    const approved = await rollcall(['runs', 'approve', run!.id, '--yes', '--watch']);
    const twice = await rollcall(['runs', 'approve', run!.id, '--yes']);
    const everyDisabled = ['users', 'list', '--status', 'disabled', '--limit', '1000'];
    const disabled = await ask<{ items: unknown[]; next: unknown }>(everyDisabled);
    await change({});
    const back = await rollcall(['sync', '--watch']);

    expect(synced.code).toBe(3);
    expect(synced.output).toContain('181 removals are withheld');
    expect(run!.totals['withheld']).toBe(181);
    expect(unsure.code).toBe(2);
    expect(refused).toMatchObject({ code: 4, screen: expect.stringContaining('Nothing was changed.') as string });
    expect(refused.screen).toMatch(/\([\w-]{36}\): proposes remove; would be disabled; /);
    expect(refused.screen).toContain('and 161 more');
    expect(shown.output).toMatch(/^withheld +\S+ +proposes remove; /m);
    expect(some).toMatchObject({ code: 3, output: expect.stringMatching(/^disabled 2, .*withheld 179$/m) as string });
    expect(wrongKind).toMatchObject({ code: 4, errors: expect.stringContaining('proposes "clear"') as string });
    expect(wrongUser).toMatchObject({ code: 4, errors: expect.stringContaining('userIds.1') as string });
    expect(approved.code).toBe(0);
    expect(approved.output).toMatch(/^disabled 179, /m);
    expect(twice).toMatchObject({ code: 4, errors: expect.stringContaining('(nothingWithheld)') as string });
    // One of them was disabled in the directory from the start.
    expect(disabled).toMatchObject({ next: null });
    expect(disabled.items.length).toBeGreaterThanOrEqual(181);
    expect(back).toMatchObject({ code: 0, output: expect.stringMatching(/enabled \d+/) as string });
  });

  test('a run that hangs can be left alone, and cancelled', { timeout: 60_000 }, async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket.on('error', () => {})));
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const server = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const timeouts = { connectSeconds: 60, operationSeconds: 60 };
    const connection = { ...settings.connection, servers: [server], encryption: 'none', caCertificates: '', timeouts };
    await change({ connection });

    const { runId } = await ask<{ runId: string }>(['sync']);
    const second = await rollcall(['sync']);
    await expect.poll(() => sockets.size, { timeout: 10_000 }).toBeGreaterThan(0);
    const watching = start(['runs', runId, '--watch']);
    watching.child.stdin!.end();
    setTimeout(() => watching.child.kill('SIGINT'), 1500);
    const left = await watching.ended;
    const { status } = await ask<Run>(['runs', runId]);
    const cancelled = await rollcall(['runs', 'cancel', runId]);
    for (const socket of sockets) socket.destroy();
    silent.close();
    const over = await rollcall(['runs', runId, '--watch', '--json']);
    const late = await rollcall(['runs', 'cancel', runId]);
    await change({});

    expect(second.code).toBe(4);
    expect(second.errors).toContain(`: ${runId} (runActive)`);
    expect(left).toMatchObject({
      code: 130,
      output: '',
      errors: expect.stringContaining('The run continues.') as string,
    });
    expect(status).toBe('running');
    expect(cancelled.code).toBe(0);
    const ended = JSON.parse(over.output) as Run;
    expect(['cancelled', 'failed']).toContain(ended.status);
    expect(over.code).toBe(ended.status === 'cancelled' ? 3 : 1);
    expect(late).toMatchObject({ code: 4, errors: expect.stringContaining('(runNotActive)') as string });
  });

  test.each(['scanner', 'a/b?c%20 ü~', '..'])(
    'a user called %s is created, shown, changed and deleted',
    async (name) => {
      const fields = ['--full-name', 'X', '--email', 'one@example.com', '--email', 'two@example.com'];
      const created = await ask(['users', 'create', name, ...fields, '--privileges', 'login,export']);
      const shown = await rollcall(['users', 'show', name]);
      const listed = await ask<{ items: { userName: string }[] }>(['users', 'list', '--search', name]);
      const changed = await ask(['users', 'set', name, '--status', 'disabled', '--email', '']);
      const unsure = await rollcall(['users', 'delete', name]);
      const deleted = await rollcall(['users', 'delete', name, '--yes']);
      const gone = await rollcall(['users', 'show', name]);

      const emailAddresses = ['one@example.com', 'two@example.com'];
      expect(created).toMatchObject({ userName: name, fullName: 'X', emailAddresses, privileges: ['login', 'export'] });
      expect(shown.output).toMatch(/^e-mail +one@example\.com, two@example\.com$/m);
      expect(listed.items.map(({ userName }) => userName)).toContain(name);
      expect(changed).toMatchObject({ fullName: 'X', emailAddresses: [], status: 'disabled', disabledBy: 'admin' });
      expect(unsure.code).toBe(2);
      expect(deleted).toMatchObject({ code: 0, output: `Deleted ${name}.\n` });
      expect(gone).toMatchObject({ code: 4, errors: expect.stringContaining('(notFound)') as string });
    },
  );

  test.each([
    [{ passwordExpiresInSeconds: 172_800 }, 'The password expires in 2 days.'],
    [{ passwordExpiresInSeconds: 172_799 }, 'The password expires in 47 hours.'],
    [{ passwordExpiresInSeconds: 119 }, 'The password expires in 119 seconds.'],
    [{ passwordExpiresInSeconds: 0 }, 'The password expires in 0 seconds.'],
    [{ graceLoginsLeft: 0 }, 'The password has expired; logins left with it: 0.'],
    [{}, 'user name       anna'],
  ])('auth tells in words what the directory says of a password: %j', async (state, line) => {
    const user = { userName: 'anna', emailAddresses: [], privileges: [], disabledBy: null, directory: null };
    const answers: Readonly<Record<string, object>> = {
      '/api/session': { token: 'a token', expiresAt: '2100-01-01T00:00:00.000Z', user },
      '/api/users/anna/test-authentication': { outcome: 'accepted', user, ...state },
    };
    const server = createHttpServer((request, response) => {
      request.resume();
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answers[request.url!]));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await rollcall(['login', '--url', address, '--user', 'admin'], PASSWORD);
    const { code, output } = await rollcall(['auth', 'anna', '--url', address], 'right');
    server.close();
    await signIn();

    expect(code).toBe(0);
    expect(output.split('\n').slice(0, 2)).toEqual(['Accepted', line]);
  });

  test('a password is piped or typed twice, and auth tells whether it is right', { timeout: 60_000 }, async () => {
    await rollcall(['users', 'create', 'piper']);
    const set = await rollcall(['users', 'password', 'piper'], 'with a line break\n');
    const right = await rollcall(['auth', 'piper'], 'with a line break');
    const typed = await onTerminal(
      ['users', 'password', 'piper'],
      [
        ['New password', 'typed-by-hand\r'],
        ['Repeat the password', 'typed-otherwise\r'],
        ['passwords differ', 'typed-by-hand\r'],
      ],
    );
    const wrong = await rollcall(['auth', 'piper'], 'with a line break');
    const tooShort = await rollcall(['users', 'password', 'piper'], 'short');
    const directory = await rollcall(['auth', 'anna.weber', '--json'], 'demo-anna.weber');
    const unknown = await rollcall(['auth', 'nobody'], 'guessed');
    await rollcall(['users', 'delete', 'piper', '--yes']);

    expect(set).toMatchObject({ code: 0, output: 'The password of piper was set.\n', errors: '' });
    expect(right).toMatchObject({ code: 0, output: expect.stringMatching(/^Accepted\n/) as string });
    expect(typed).toMatchObject({
      code: 0,
      screen: expect.stringContaining('The password of piper was set.') as string,
    });
    expect(typed.screen).not.toContain('typed-');
    expect(wrong).toMatchObject({ code: 3, output: 'Rejected: invalidCredentials\n' });
    expect(tooShort).toMatchObject({
      code: 4,
      errors: expect.stringContaining('  password: must be at least') as string,
    });
    expect(JSON.parse(directory.output)).toMatchObject({ outcome: 'accepted', user: { userName: 'anna.weber' } });
    expect(unknown.code).toBe(4);
  });

  test('leaving the directory asks for a password, or says how to set one', { timeout: 60_000 }, async () => {
    const leave = ['users', 'set', 'leaver', '--authentication', 'integrated'];
    await rollcall(['users', 'create', 'leaver', '--authentication', 'directory']);
    const typed = await onTerminal(leave, [
      ['Password for leaver', 'kept-here-now\r'],
      ['Repeat the password', 'kept-here-now\r'],
    ]);
    const right = await rollcall(['auth', 'leaver'], 'kept-here-now');
    await rollcall(['users', 'set', 'leaver', '--authentication', 'directory']);
    const piped = await rollcall(leave);
    await rollcall(['users', 'delete', 'leaver', '--yes']);

    expect(typed.code).toBe(0);
    expect(right).toMatchObject({ code: 0, output: expect.stringMatching(/^Accepted\n/) as string });
    expect(piped).toMatchObject({ code: 0, errors: 'Set a password with rollcall users password leaver\n' });
  });

  test('the own password is piped or typed, and changed for whoever knows it', { timeout: 60_000 }, async () => {
    await rollcall(['users', 'create', 'owner', '--privileges', 'login,changePassword']);
    await rollcall(['users', 'password', 'owner'], 'given by somebody');
    const own = ['password', '--user', 'owner'];
    const guessed = await rollcall(own, 'guessed\nchosen by the owner\n');
    const refused = await rollcall(own, 'given by somebody\nshort\n');
    const incomplete = await rollcall(own, 'given by somebody\n');
    const piped = await rollcall(own, 'given by somebody\nchosen by the owner\n');
    const right = await rollcall(['auth', 'owner'], 'chosen by the owner');
    await rollcall(['users', 'delete', 'owner', '--yes']);
    const typed = await onTerminal(
      ['password'],
      [
        ['Current password', `${PASSWORD}\r`],
        ['New password', `${PASSWORD}-typed\r`],
        ['Repeat the password', `${PASSWORD}-typed\r`],
      ],
    );
    const back = await ask(['password'], `${PASSWORD}-typed\n${PASSWORD}\n`);

    expect(guessed).toMatchObject({ code: 5, errors: expect.stringContaining('(notAuthenticated)') as string });
    expect(refused).toMatchObject({
      code: 4,
      errors: expect.stringContaining('  newPassword: must be at least') as string,
    });
    expect(incomplete).toMatchObject({
      code: 2,
      errors: expect.stringMatching(/^rollcall: expected two lines [^\n]+\n$/) as string,
    });
    expect(piped).toEqual({ code: 0, output: 'Your password was changed.\n', errors: '' });
    expect(right.code).toBe(0);
    expect(typed).toMatchObject({ code: 0, screen: expect.stringContaining('Your password was changed.') as string });
    expect(typed.screen).not.toContain(PASSWORD);
    expect(back).toEqual({ url, passwordChanged: true });
  });

  test('default privileges are shown, asked about and given', { timeout: 60_000 }, async () => {
    await rollcall(['users', 'set', 'anna.weber', '--privileges', 'login,export']);
    const apply = ['users', 'apply-default-privileges'];
    const dry = await rollcall([...apply, '--dry-run']);
    const unsure = await rollcall(apply);
    const refused = await onTerminal(apply, [['privileges of 1 users?', 'n']]);
    const before = await ask(['users', 'show', 'anna.weber']);
    const given = await ask([...apply, '--yes']);
    const again = await rollcall(apply);
    const after = await ask(['users', 'show', 'anna.weber']);

    expect(dry.code).toBe(0);
    expect(dry.output).toMatch(/^dry run, default privileges: login$/m);
    expect(dry.output).toMatch(/^changed 1, unchanged 197, administrators kept 0$/m);
    expect(dry.output).toMatch(/^anna\.weber +login, export -> login$/m);
    expect(unsure).toMatchObject({ code: 2, output: '' });
    expect(refused).toMatchObject({
      code: 4,
      screen: expect.stringContaining('anna.weber: login, export -> login') as string,
    });
    expect(before).toMatchObject({ privileges: ['login', 'export'] });
    expect(given).toMatchObject({ dryRun: false, totals: { changed: 1, unchanged: 197, kept: 0 }, next: null });
    expect(again).toMatchObject({ code: 0, output: expect.stringMatching(/^changed 0, unchanged 198/m) as string });
    expect(after).toMatchObject({ privileges: ['login'] });
  });

  test('lists go on over pages', async () => {
    const everybody = ['users', 'list', '--authentication', 'directory', '--limit', '1000'];
    const { items } = await ask<{ items: { userName: string }[] }>(everybody);
    const first = await ask<{ items: unknown[]; next: string | null }>(['users', 'list', '--limit', '150']);

    expect(new Set(items.map(({ userName }) => userName)).size).toBe(198);
    expect(first.items).toHaveLength(150);
    expect(first.next).not.toBeNull();
  });

  test('nothing that is stored commands the terminal', async () => {
    const fullName = 'left \u202Ethgir';
    await rollcall(['users', 'create', 'spoof', '--full-name', fullName]);
    const shown = await rollcall(['users', 'show', 'spoof']);
    const exact = await ask(['users', 'show', 'spoof']);
    await rollcall(['users', 'delete', 'spoof', '--yes']);

    expect(shown.output).toMatch(/^full name +left \\u202ethgir$/m);
    expect(exact).toMatchObject({ fullName });
  });

  test('colours are for terminals, and NO_COLOR takes them away', async () => {
    const coloured = await onTerminal(['runs', '--limit', '1'], []);
    const plain = await onTerminal(['runs', '--limit', '1'], [], { NO_COLOR: '1' });
    const piped = await rollcall(['runs', '--limit', '1']);

    expect(coloured.screen).toContain('\u001B[1m');
    expect(plain.screen).not.toContain('\u001B');
    expect(piped.output).not.toContain('\u001B');
  });

  test('whoever reads may stop reading', () => {
    const line = `'${process.execPath}' '${MAIN}' users list --limit 1000 | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const output = execFileSync('bash', ['-c', line], { env: environment(), encoding: 'utf8' });

    expect(output).toMatch(/^user name .*\n0\n$/);
  });

  test('logout ends the session there and here', async () => {
    const token = tokenOf(url)!;
    const { code } = await rollcall(['logout']);
    const answer = await fetch(`${url}/api/session`, { headers: { authorization: `Bearer ${token}` } });
    const after = await rollcall(['runs', '--json']);

    expect(code).toBe(0);
    expect(answer.status).toBe(401);
    expect(tokenOf(url)).toBeUndefined();
    expect(after.code).toBe(5);
    expect(JSON.parse(after.errors)).toMatchObject({ code: 'notSignedIn', advice: 'Sign in with rollcall login.' });
  });

  test('a session that was ended elsewhere ends with 5', async () => {
    await signIn();
    await fetch(`${url}/api/session`, { method: 'DELETE', headers: { authorization: `Bearer ${tokenOf(url)}` } });
    const { code, errors } = await rollcall(['users', 'list']);

    expect(code).toBe(5);
    expect(errors).toContain('(notAuthenticated)');
  });
});

describe('the command line itself', () => {
  // Some faults are found only when somebody is signed in.
  beforeAll(signIn);

  test.each([
    [['dance']],
    [['users']],
    [['users', 'dance']],
    [['users', 'show']],
    [['users', 'list', '--colour', 'blue']],
    [['users', 'list', '--status', 'asleep']],
    [['users', 'list', '--limit', 'many']],
    [['users', 'set', 'anna.weber']],
    [['runs', '--watch']],
    [['completion', 'fish']],
  ])('%j ends with 2 and one line', async (args) => {
    const { code, output, errors } = await rollcall(args);

    expect(code).toBe(2);
    expect(output).toBe('');
    expect(errors).toMatch(/^rollcall: [^\n]+\n$/);
  });

  test.each([
    [['auth', 'anna.weber', 'my-secret']],
    [['auth', 'anna.weber', '--password=my-secret']],
    [['login', '--password', 'my-secret']],
    [['users', 'password', 'anna.weber', 'my-secret']],
    [['password', 'my-secret']],
    [['settings', 'set', 'settings.json', '--password', 'my-secret']],
    [['settings', 'test', 'settings.json', '--ask-password=my-secret']],
    [['settings', 'test', 'settings.json', 'my-secret']],
  ])('a password as an argument is refused, and not repeated: %j', async (args) => {
    const { code, output, errors } = await rollcall(args);

    expect(code).toBe(2);
    expect(output + errors).not.toContain('my-secret');
  });

  test('every command has help, and its use in docs/cli.md', async () => {
    const { code, output } = await rollcall(['--help']);
    const commands = [...output.matchAll(/^ {2}([a-z]+(?: [a-z-]+)?)(?: [[A-Z]\S*| bash\|zsh)? {2,}\S/gm)].map(
      ([, name]) => name!,
    );
    const page = readFileSync(join(ROOT, 'docs/cli.md'), 'utf8');

    expect(code).toBe(0);
    expect(commands.length).toBeGreaterThan(15);
    const helps = await Promise.all(commands.map((name) => rollcall([...name.split(' '), '--help'])));
    for (const [index, name] of commands.entries()) {
      const help = helps[index]!;
      expect(help.code).toBe(0);
      expect(help.output).toContain(`\n  rollcall ${name}`);
      expect(help.output).toContain('--json');
      expect(page).toContain(`rollcall ${name}`);
    }
    // The page shows the general help, too.
    for (const line of output.trimEnd().split('\n')) expect(page).toContain(line);
  });

  test('npx finds it in a checkout, and hands its exit code on', async () => {
    const env = environment({ npm_config_cache: join(folder, 'npm'), npm_config_offline: 'true' });
    const child = spawn('npx', ['rollcall', 'dance'], { cwd: ROOT, env });
    child.stdin.end();
    const { code, errors } = await collect(child);

    expect(errors).toContain('rollcall: unknown command "dance"');
    expect(code).toBe(2);
  });

  test.each([
    ['', ['login', 'users', 'completion', '--help']],
    ['users', ['list', 'show', 'password', '--help']],
    ['users cr', ['create']],
    ['users apply-default-privileges --', ['--dry-run', '--yes', '--json']],
    ['users list --', ['--search', '--status', '--limit', '--url']],
    ['users list --status', ['active', 'disabled']],
    ['users list --status dis', ['disabled']],
    ['settings set some', ['something.json']],
    ['settings test x.json --password-file some', ['something.json']],
    ['completion', ['bash', 'zsh']],
  ])('bash completes "rollcall %s"', (typed, expected) => {
    writeFileSync(join(folder, 'something.json'), '{}');
    // Does what bash does when the tab key is pressed. An empty word follows a finished one.
    const finished = typed === '' || expected.every((word) => !word.startsWith(typed.split(' ').at(-1)!));
    const words = ['rollcall', ...typed.split(' ').filter((word) => word !== ''), ...(finished ? [''] : [])];
    const script = `source <('${process.execPath}' '${MAIN}' completion bash)
      compopt() { :; }
      COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
      _rollcall; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const found = execFileSync('bash', ['-c', script], { cwd: folder, env: environment(), encoding: 'utf8' });

    expect(found.split('\n')).toEqual(expect.arrayContaining([...expected]));
    expect(found).not.toContain('FILES');
  });

  test('the completion for zsh asks the same function', async () => {
    const functionOf = (text: string) => /^_rollcall_candidates\(\) \{$.*?^\}$/ms.exec(text)?.[0];
    const bash = await rollcall(['completion', 'bash']);
    const zsh = await rollcall(['completion', 'zsh']);

    expect(functionOf(zsh.output)).toBe(functionOf(bash.output)!);
    expect(zsh.output).toMatch(/^#compdef rollcall$/m);
  });
});
