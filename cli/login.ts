/** The commands for signing in and out and for one's own password. Knows where sessions are, not what they permit. */
import { createApi, type Api } from '../client/api.ts';
import { Problem } from '../client/problem.ts';
import { defineCommand } from './command.ts';
import { credentialsFile, readCredentials, writeCredentials } from './credentials.ts';
import { EXIT, UsageError } from './exit.ts';
import type { Terminal } from './terminal.ts';

const LOCAL_PROGRAM = 'http://127.0.0.1:8080';
const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/;

/**
 * The API of a deployment, with the session that is stored for it.
 * @param url as the user gave it; undefined for the deployment of the last login
 * @throws UsageError for a malformed address, Problem `notSignedIn` without a session
 */
export async function openApi(url: string | undefined): Promise<Api> {
  const { current, sessions } = await readCredentials();
  const deployment = url === undefined ? current : readUrl(url);
  const session = deployment === null ? undefined : sessions[deployment];
  if (deployment !== null && session !== undefined) return createApi({ url: deployment, token: session.token });
  throw new Problem(401, {
    code: 'notSignedIn',
    detail: deployment === null ? 'you are not signed in' : `you are not signed in to ${deployment}`,
    advice: 'Sign in with rollcall login.',
  });
}

/**
 * The address of a deployment in the form under which its session is stored. Plain HTTP is for this machine only: over
 * a network it would show passwords and session tokens to everybody on the way. @throws UsageError
 */
function readUrl(text: string): string {
  const url = URL.parse(text.trim());
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.test(url.hostname));
  if (url !== null && isSafe && url.username === '' && url.password === '') {
    return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
  }
  throw new UsageError(`--url must be an https:// address, or http:// for this machine, such as ${LOCAL_PROGRAM}`);
}

/** The given address, or that of the last login, or one that the user types. @throws UsageError, Interrupted */
async function chooseUrl(given: string | undefined, terminal: Terminal): Promise<string> {
  const { current } = await readCredentials();
  return readUrl(given ?? current ?? (await terminal.ask('Deployment URL', '--url', LOCAL_PROGRAM)));
}

export const login = defineCommand({
  name: 'login',
  parameters: [],
  summary: 'sign in as an administrator',
  details: `
Asks for what is missing. The password is typed hidden, or read from standard input if that is not a terminal; it is
never an argument and never stored. The session lasts 8 hours. Its token is stored in
${credentialsFile().replace(process.env.HOME ?? '\0', '~')}, which only you can read.`,
  options: { user: { type: 'string', value: 'NAME', summary: 'your user name' } },
  examples: [
    'login',
    'login --url https://abc123.execute-api.eu-central-1.amazonaws.com --user admin',
    'login --url https://abc123.execute-api.eu-central-1.amazonaws.com --user admin < password.txt',
  ],
  async run({ options, terminal }) {
    const { current, sessions } = await readCredentials();
    const url = readUrl(options.url ?? (await terminal.ask('Deployment URL', '--url', current ?? LOCAL_PROGRAM)));
    const userName = options.user ?? (await terminal.ask('User name', '--user', sessions[url]?.userName));
    const password = await terminal.askSecret('Password');
    const api = createApi({ url, token: null });
    const { token, expiresAt, user } = await api.post('/api/session', { body: { userName, password } });
    const session = { userName: user.userName, token, expiresAt };
    await writeCredentials({ current: url, sessions: { ...sessions, [url]: session } });
    terminal.result({ url, userName: user.userName, expiresAt }, () => {
      terminal.print(`Signed in to ${url} as ${user.userName} until ${expiresAt}.`);
    });
    return EXIT.done;
  },
});

export const password = defineCommand({
  name: 'password',
  parameters: [],
  summary: 'change your own password',
  details: `
For users with integrated authentication and the privilege changePassword or admin. Asks for the current password,
and twice for the new one, hidden; or reads both from standard input, one per line, if that is not a terminal. Ends
all your other sessions.`,
  options: { user: { type: 'string', value: 'NAME', summary: 'your user name, if you are not signed in' } },
  examples: ['password', 'password --user scanner --url https://abc123.execute-api.eu-central-1.amazonaws.com'],
  async run({ options, api, terminal }) {
    const userName = options.user;
    const used =
      userName === undefined ? await api() : createApi({ url: await chooseUrl(options.url, terminal), token: null });
    const { current, replacement } = await terminal.askNewSecret();
    const body = { ...(userName !== undefined && { userName }), currentPassword: current, newPassword: replacement };
    await used.put('/api/session/password', { body });
    terminal.result({ url: used.url, passwordChanged: true }, () => terminal.print('Your password was changed.'));
    return EXIT.done;
  },
});

export const logout = defineCommand({
  name: 'logout',
  parameters: [],
  summary: 'sign out',
  details: 'Removes the session from this machine even if the deployment cannot be reached to end it there.',
  options: {},
  examples: ['logout'],
  async run({ options, terminal }) {
    const api = await openApi(options.url);
    const { current, sessions } = await readCredentials();
    const { [api.url]: _ended, ...others } = sessions;
    await writeCredentials({ current: current === api.url ? null : current, sessions: others });
    await api.delete('/api/session');
    terminal.result({ url: api.url }, () => terminal.print(`Signed out of ${api.url}.`));
    return EXIT.done;
  },
});
