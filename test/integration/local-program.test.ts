/** `npm start` as people use it: the real program with its directory, database and bundles, from start to end. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LOCAL_CLIENT } from '../../local/template.ts';
import { PASSWORD, type ServingProgram, signIn, START_MS, startLocalProgram } from '../support/local-program.ts';

interface UserPage {
  readonly items: readonly { userName: string; status: string; emailAddresses: string[] }[];
  readonly next: string | null;
}

/** Ids of all processes below this one. */
function descendants(id: number): number[] {
  const parents = new Map<number, number[]>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const parent = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))?.[1]);
      parents.set(parent, [...(parents.get(parent) ?? []), Number(name)]);
    } catch {
      // The process has ended meanwhile.
    }
  }
  const below = (one: number): number[] => (parents.get(one) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(id);
}

/** Ends the program; gives its exit code once every process below it is gone, too. */
async function end(program: ServingProgram, signal: NodeJS.Signals): Promise<number | null> {
  const below = descendants(program.pid);
  const code = await program.end(signal);
  const left = () => below.filter((id) => existsSync(`/proc/${id}`));
  // A process takes a moment to disappear after it was killed.
  await expect.poll(left, { timeout: 5000 }).toEqual([]);
  return code;
}

async function listDirectoryUsers(address: string): Promise<UserPage['items']> {
  const call = await signIn(address);
  return (await call<UserPage>('GET', '/api/users?authentication=directory&limit=200')).items;
}

/** The number of events of each type so far, and the position after them. */
async function countEvents(
  address: string,
): Promise<{ readonly types: Record<string, number>; readonly next: string }> {
  const response = await fetch(`${address}/local/events`);
  const { items, next } = (await response.json()) as { items: { 'detail-type': string }[]; next: string };
  const types = [...Map.groupBy(items, (item) => item['detail-type'])];
  return { types: Object.fromEntries(types.map(([type, all]) => [type, all.length])), next };
}

/** Runs the command printed below a heading; gives its output, which is JSON. */
function paste(output: string, heading: string): unknown {
  const lines = output.split('\n');
  const from = lines.findIndex((line) => line.startsWith(heading)) + 1;
  const script = lines.slice(from, lines.indexOf('', from)).join('\n');
  return JSON.parse(execFileSync('sh', ['-c', script], { encoding: 'utf8' }));
}

describe('the program with its demonstration', () => {
  let folder: string;
  let started: ServingProgram;
  let address: string;
  let client: LambdaClient | undefined;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'rollcall-program-'));
    started = startLocalProgram('--data', folder, '--admin-password', PASSWORD);
    address = await started.address();
    client = new LambdaClient({
      ...LOCAL_CLIENT,
      endpoint: address,
    });
  }, START_MS);

  afterAll(async () => {
    client?.destroy();
    await started.end('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  async function logIn(userName: string, password: string): Promise<unknown> {
    const answer = await client!.send(
      new InvokeCommand({ FunctionName: 'auth', Payload: JSON.stringify({ userName, password }) }),
    );
    return JSON.parse(answer.Payload!.transformToString());
  }

  test('says what the first synchronisation did and how to get in', async () => {
    // The address is printed first, and the rest may come in a piece of its own.
    await expect.poll(() => started.output()).toContain(PASSWORD);
    expect(started.output()).toMatch(
      /First synchronisation succeeded\n\s+read\s+200\n\s+created\s+198\n\s+conflict\s+2\n/,
    );
    expect(started.errors()).toBe('');
  });

  test('has taken 198 of 200 people over, with all their peculiarities', async () => {
    const users = await listDirectoryUsers(address);

    expect(users).toHaveLength(198);
    expect(users.filter(({ status }) => status === 'disabled')).toHaveLength(1);
    expect(users.filter(({ emailAddresses }) => emailAddresses.length === 2)).toHaveLength(1);
    expect(users.filter(({ emailAddresses }) => emailAddresses.length === 0)).toHaveLength(1);
  });

  test('prints commands that do what they say when they are pasted into a shell', () => {
    expect((paste(started.output(), 'List users') as UserPage).items).toHaveLength(3);
    expect(paste(started.output(), 'Log in as')).toMatchObject({
      outcome: 'accepted',
      user: { userName: 'anna.weber' },
    });
  });

  test('lets in who has the right password, and nobody else', async () => {
    const right = await logIn('anna.weber', 'demo-anna.weber');
    const wrong = await logIn('anna.weber', 'guessed');
    const unknown = await logIn('nobody.at.all', 'guessed');

    expect(right).toMatchObject({ outcome: 'accepted', user: { userName: 'anna.weber', fullName: 'Anna Weber' } });
    expect(wrong).toMatchObject({ outcome: 'rejected', reason: 'invalidCredentials' });
    expect(unknown).toMatchObject({ outcome: 'rejected', reason: 'invalidCredentials' });
  });

  test('refuses what AWS would refuse, and the pages of other servers', async () => {
    const url = `${address}/2015-03-31/functions/auth/invocations`;
    const post = (headers: Record<string, string>) => fetch(url, { method: 'POST', headers, body: '{}' });

    const wrong = await post({ 'x-amz-invocation-type': 'event' });
    const foreign = await post({ origin: 'https://evil.example' });

    expect([wrong.status, wrong.headers.get('x-amzn-errortype')]).toEqual([400, 'ValidationException']);
    expect([foreign.status, foreign.headers.get('x-amzn-errortype')]).toEqual([403, null]);
  });

  test('answers a login that is no login with a function error', async () => {
    const answer = await client!.send(new InvokeCommand({ FunctionName: 'auth', Payload: '{}' }));

    expect(answer.FunctionError).toBe('Unhandled');
  });

  test('shows the description of its API as a page, with everything that the page names', async () => {
    const page = await fetch(`${address}/api/docs`);
    const html = await page.text();
    const named = [...html.matchAll(/(?:src|href)="(?!data:)([^"]*)"/g)].map(([, name]) => new URL(name!, page.url));
    const answers = await Promise.all(named.map((url) => fetch(url)));
    const styles = /^text\/css;/;
    const scripts = /^text\/javascript;/;

    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(named.filter(({ origin }) => origin !== address)).toEqual([]);
    expect(answers.map(({ status, headers }) => [status, headers.get('content-type')])).toEqual([
      [200, expect.stringMatching(styles)],
      [200, expect.stringMatching(styles)],
      [200, expect.stringMatching(scripts)],
      [200, expect.stringMatching(scripts)],
      [200, 'application/json'],
    ]);
  });

  test(
    'ends on SIGTERM without a trace, and finds its data and events at the next start',
    { timeout: 2 * START_MS },
    async () => {
      const told = { types: { 'user.created': 199, 'run.finished': 1 }, next: '200' };
      await expect.poll(() => countEvents(address), { timeout: 10_000 }).toEqual(told);
      const first = await end(started, 'SIGTERM');
      started = startLocalProgram('--data', folder, '--admin-password', PASSWORD, '--quiet');
      address = await started.address();
      const users = await listDirectoryUsers(address);
      const toldAgain = await countEvents(address);
      const second = await end(started, 'SIGINT');

      expect(first).toBe(0);
      expect(users).toHaveLength(198);
      expect(toldAgain).toEqual(told);
      expect(started.output()).toBe(`listening on ${address}\n`);
      expect(started.errors()).toBe('');
      expect(second).toBe(0);
    },
  );
});

test('an end in the middle of starting is a clean end, too', { timeout: START_MS }, async () => {
  const started = startLocalProgram('--no-demo', '--quiet');
  // With a process below it, it is synthesizing, which takes seconds.
  await expect.poll(() => descendants(started.pid).length, { timeout: 10_000 }).toBeGreaterThan(0);

  const result = await end(started, 'SIGTERM');

  expect(result).toBe(0);
  expect(started.output()).toBe('');
});

test.each([['--colour'], ['--port', 'high'], ['--port', '65536'], ['--admin-password', 'short'], ['something']])(
  'bad flags end it with one line: %s %s',
  async (...flags) => {
    const started = startLocalProgram(...flags.filter((flag) => flag !== undefined));

    expect(await started.ended).toBe(2);
    expect(started.output()).toBe('');
    expect(started.errors()).toMatch(/^rollcall: [^\n]+\n$/);
  },
);
