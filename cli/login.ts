/** Signing in to a deployment and out of it, and the own password. */
import { createApi, parseDeploymentUrl, Problem, type Api } from './api.ts';
import { defineCommand, EXIT, UsageError } from './command.ts';
import { credentialsFile, readCredentials, writeCredentials } from './credentials.ts';
import type { Terminal } from './terminal.ts';

const LOCAL_PROGRAM = 'http://127.0.0.1:8080';

/**
 * The API as whoever is signed in.
 * @param url as it was given; undefined = the deployment of the last login
 * @throws UsageError, Problem `notSignedIn`
 */
export async function openApi(url: string | undefined): Promise<Api> {
  const { current, sessions } = await readCredentials();
  const deployment = url === undefined ? current : readUrl(url);
  const session = deployment === null ? undefined : sessions[deployment];
  if (deployment !== null && session !== undefined) return createApi(deployment, session.token);
  throw new Problem(401, {
    code: 'notSignedIn',
    detail: deployment === null ? 'you are not signed in' : `you are not signed in to ${deployment}`,
    advice: 'Sign in with rollcall login.',
  });
}

/** @throws UsageError */
function readUrl(text: string): string {
  const url = parseDeploymentUrl(text);
  if (url !== null) return url;
  throw new UsageError('--url takes an https:// address; http:// only for this machine, as http://127.0.0.1:8080');
}

/** The deployment that is named, else that of the last login, else the one that is typed. @throws UsageError, Interrupted */
async function chooseUrl(named: string | undefined, terminal: Terminal): Promise<string> {
  const { current } = await readCredentials();
  return readUrl(named ?? current ?? (await terminal.ask('Address of the deployment', '--url', LOCAL_PROGRAM)));
}

export const login = defineCommand({
  name: 'login',
  parameters: [],
  summary: 'signs you in as an administrator',
  details: `Asks for what is not given. The password is typed unseen, or read from standard input where that is no
terminal; it is never an argument, and never kept. The session lasts 8 hours. Its token is kept in
${credentialsFile().replace(process.env.HOME ?? '\0', '~')}, which only you can read.`,
  options: { user: { type: 'string', value: 'NAME', summary: 'your user name' } },
  examples: [
    'login',
    'login --url https://abc123.execute-api.eu-central-1.amazonaws.com --user admin',
    'login --url https://abc123.execute-api.eu-central-1.amazonaws.com --user admin < password.txt',
  ],
  async run({ options, terminal }) {
    const { current, sessions } = await readCredentials();
    const url = readUrl(
      options.url ?? (await terminal.ask('Address of the deployment', '--url', current ?? LOCAL_PROGRAM)),
    );
    const userName = options.user ?? (await terminal.ask('User name', '--user', sessions[url]?.userName));
    const password = await terminal.askSecret('Password');
    const { token, expiresAt, user } = await createApi(url, null).call<{
      token: string;
      expiresAt: string;
      user: { userName: string };
    }>('POST', '/api/session', { body: { userName, password } });
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
  summary: 'changes your own password',
  details: `For users with integrated authentication and the privilege changePassword, or admin. Asks for the current password
and twice for the new one, unseen, or reads both from standard input, a line each, where that is no terminal. Ends all your
sessions but this one.`,
  options: { user: { type: 'string', value: 'NAME', summary: 'who you are, where you are not signed in' } },
  examples: ['password', 'password --user scanner --url https://abc123.execute-api.eu-central-1.amazonaws.com'],
  async run({ options, api, terminal }) {
    const userName = options.user;
    const used = userName === undefined ? await api() : createApi(await chooseUrl(options.url, terminal), null);
    const { current, replacement } = await terminal.askNewSecret();
    const body = { ...(userName !== undefined && { userName }), currentPassword: current, newPassword: replacement };
    await used.call('PUT', '/api/session/password', { body });
    terminal.result({ url: used.url, passwordChanged: true }, () => terminal.print('Your password is changed.'));
    return EXIT.done;
  },
});

export const logout = defineCommand({
  name: 'logout',
  parameters: [],
  summary: 'ends your session',
  details: 'Forgets the session on this machine even where the deployment can not be reached to end it there.',
  options: {},
  examples: ['logout'],
  async run({ options, terminal }) {
    const api = await openApi(options.url);
    const { current, sessions } = await readCredentials();
    const { [api.url]: _ended, ...others } = sessions;
    await writeCredentials({ current: current === api.url ? null : current, sessions: others });
    await api.call('DELETE', '/api/session');
    terminal.result({ url: api.url }, () => terminal.print(`Signed out of ${api.url}.`));
    return EXIT.done;
  },
});
