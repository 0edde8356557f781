/** Keeps session tokens in the user's configuration folder, readable by that user only. Never sees a password. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';

export interface Session {
  readonly userName: string;
  readonly token: string;
  /** RFC 3339 UTC. */
  readonly expiresAt: string;
}

export interface Credentials {
  /** Address of the deployment of the last login; null without one. */
  readonly current: string | null;
  /** Sessions by the address of their deployment: a token is only sent to the deployment that issued it. */
  readonly sessions: Readonly<Record<string, Session>>;
}

/** `rollcall/credentials.json` below XDG_CONFIG_HOME, else ~/.config (XDG Base Directory Specification 0.8). */
export function credentialsFile(): string {
  const configured = process.env.XDG_CONFIG_HOME ?? '';
  return join(isAbsolute(configured) ? configured : join(homedir(), '.config'), 'rollcall', 'credentials.json');
}

/** The stored credentials; none if there is no file. @throws Error with one line if the file can't be read */
export async function readCredentials(): Promise<Credentials> {
  const file = credentialsFile();
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { current: null, sessions: {} };
    throw error;
  }
  try {
    const { current, sessions } = JSON.parse(text) as Credentials;
    return { current, sessions: { ...sessions } };
  } catch (cause) {
    throw new Error(`${file} is damaged; delete it and sign in again`, { cause });
  }
}

/** Replaces the file in one step, with mode 600, so that others can't read a token at any moment. */
export async function writeCredentials(credentials: Credentials): Promise<void> {
  const file = credentialsFile();
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomUUID()}`;
  try {
    await writeFile(draft, `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
