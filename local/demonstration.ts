/**
 * The demonstration: an OpenLDAP server with the people of an imaginary company. Configures the product through its
 * HTTP API, as an administrator would.
 */
import { dnKey } from '../lib/distinguished-name.ts';
import { CHANGE_KINDS } from '../lib/sync/run.ts';
import { describeCompany, PASSWORD_PREFIX, PEOPLE_COUNT, type Person } from './demonstration-people.ts';
import type { Program } from './program.ts';
import { startSlapd, type Slapd } from './slapd.ts';

/** A running demonstration directory. */
export interface Demonstration {
  readonly somebody: Person & { readonly login: { readonly userName: string; readonly password: string } };
  /**
   * Configures the product and runs the first synchronisation. If that was done at an earlier start, only updates the
   * server's address in the settings. Returns a summary for the user.
   */
  introduceTo(program: Program, signal: AbortSignal): Promise<string>;
  stop(): Promise<void>;
}

const SUFFIX = 'dc=example,dc=com';
const POLL_MS = 100;
const JSON_TYPE = { 'content-type': 'application/json' };

/** The fields of the API's documents that are used here. */
interface SettingsDocument {
  readonly connection: {
    readonly servers: readonly string[];
    readonly caCertificates: string;
    readonly administrativeDn: string;
  };
}

interface RunDocument {
  readonly status: string;
  readonly progress: { readonly read: number };
  readonly totals: Readonly<Record<string, number>>;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** @throws Error with a sentence for the user, if OpenLDAP is missing */
export async function startDemonstration(folder: string): Promise<Demonstration> {
  const company = describeCompany(SUFFIX);
  const slapd = await startSlapd({ folder, ldif: company.ldif, suffix: SUFFIX, keepEntries: true });
  const { uid } = company.somebody;
  return {
    somebody: { ...company.somebody, login: { userName: uid, password: `${PASSWORD_PREFIX}${uid}` } },
    introduceTo: (program, signal) => introduce(program, slapd, company, signal),
    stop: () => slapd.stop(),
  };
}

async function introduce(
  { url, administrator }: Program,
  slapd: Slapd,
  company: ReturnType<typeof describeCompany>,
  signal: AbortSignal,
): Promise<string> {
  const directory = `${PEOPLE_COUNT} people in OpenLDAP at ldap://127.0.0.1:${slapd.ldapPort}, base ${company.baseDn}`;
  const connection = { servers: [`127.0.0.1:${slapd.ldapPort}`], caCertificates: slapd.caPem };

  const signIn = await fetch(`${url}/api/session`, {
    method: 'POST',
    headers: JSON_TYPE,
    body: JSON.stringify(administrator),
    signal,
  });
  if (signIn.status === 401) {
    return `${directory}\nThe administrator's password was changed, so the settings stay as they are.\n`;
  }
  const { token } = await read<{ token: string }>(signIn);
  const authorization = `Bearer ${token}`;
  const call = (method: string, path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}) =>
    fetch(`${url}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : JSON_TYPE), ...headers, authorization },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    });

  const stored = await call('GET', '/api/settings');
  if (stored.status !== 404) {
    const settings = await read<SettingsDocument>(stored);
    const { servers, caCertificates, administrativeDn } = settings.connection;
    if (servers.join() !== connection.servers.join() || caCertificates !== connection.caCertificates) {
      const isOurs = dnKey(administrativeDn) === dnKey(company.bindDn);
      if (!isOurs && administrativeDn !== '') {
        return `${directory}\nThe settings have a bind DN of your own, so they stay as they are.\n`;
      }
      // The port is a new one, so the password has to be sent again.
      const password = isOurs ? { password: company.bindPassword } : {};
      const moved = { ...settings, connection: { ...settings.connection, ...connection, ...password } };
      await read(await call('PUT', '/api/settings', moved, { 'if-match': stored.headers.get('etag') ?? '' }));
    }
    return `${directory}\nSynchronized at an earlier start.\n`;
  }

  const settings = {
    connection: {
      ...connection,
      encryption: 'tls',
      administrativeDn: company.bindDn,
      password: company.bindPassword,
    },
    scope: { baseDn: company.baseDn, filter: '(objectClass=inetOrgPerson)' },
    mapping: { userName: 'uid', fullName: 'displayName', emailAddresses: 'mail' },
    options: { schedule: { enabled: true, expression: 'rate(1 hour)', timeZone: 'UTC' }, missingUsers: 'disable' },
  };
  await read(await call('PUT', '/api/settings', settings));
  const { runId } = await read<{ runId: string }>(await call('POST', '/api/sync', {}));
  for (;;) {
    const run = await read<RunDocument>(await call('GET', `/api/runs/${runId}`));
    if (run.status !== 'running') return `${directory}\n${describeRun(run)}`;
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}

function describeRun({ status, progress, totals, error }: RunDocument): string {
  const kinds = CHANGE_KINDS.map((kind): [string, number] => [kind, totals[kind] ?? 0]);
  const counts = [['read', progress.read] as const, ...kinds].filter(([, count]) => count > 0);
  const width = Math.max(...counts.map(([name]) => name.length));
  const lines = counts.map(([name, count]) => `  ${name.padEnd(width)}  ${String(count).padStart(5)}`);
  const reason = error === null ? '' : `: ${error.code}, ${error.message}`;
  return `First synchronisation ${status}${reason}\n${lines.join('\n')}\n`;
}

/** @throws Error with the problem's text, for any status but 2xx */
async function read<T>(response: Response): Promise<T> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
  return (text === '' ? null : JSON.parse(text)) as T;
}
