/** The commands around users, one at a time and, for privileges, many. The rules of what a user may be are the API's. */
import { userPath, type Api } from './api.ts';
import { defineCommand, EXIT, readCount, UsageError } from './command.ts';
import type { Cell, Terminal } from './terminal.ts';

interface User {
  readonly id: string;
  readonly userName: string;
  readonly fullName: string | null;
  readonly emailAddresses: readonly string[];
  readonly authentication: string;
  readonly status: string;
  readonly disabledBy: string | null;
  readonly privileges: readonly string[];
  readonly directory: { readonly id: string; readonly dn: string; readonly missingSince: string | null } | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly version: number;
}

const DEFAULT_USERS = 50;

const FIELD_OPTIONS = {
  'full-name': { type: 'string', value: 'TEXT', summary: 'full name' },
  email: {
    type: 'string',
    multiple: true,
    value: 'ADDRESS',
    summary: 'an e-mail address; the first one is the primary',
  },
  authentication: { type: 'string', choices: ['integrated', 'directory'], summary: 'where the password is kept' },
  status: { type: 'string', choices: ['active', 'disabled'], summary: 'whether the user may log in' },
  privileges: { type: 'string', value: 'LIST', summary: 'separated by comma, for example login,changePassword' },
} as const;

interface FieldValues {
  readonly 'full-name'?: string;
  readonly email?: readonly string[];
  readonly authentication?: string;
  readonly status?: string;
  readonly privileges?: string;
}

/** The fields of a body that options name. */
function readFields({ 'full-name': fullName, email, authentication, status, privileges }: FieldValues) {
  return {
    ...(fullName !== undefined && { fullName: fullName === '' ? null : fullName }),
    ...(email !== undefined && { emailAddresses: email.filter((address) => address !== '') }),
    ...(authentication !== undefined && { authentication }),
    ...(status !== undefined && { status }),
    ...(privileges !== undefined && { privileges: privileges.split(',').map((name) => name.trim()) }),
  };
}

function showUser(user: User, terminal: Terminal): void {
  const { directory } = user;
  const rows: (readonly [string, string | null | undefined])[] = [
    ['user name', user.userName],
    ['id', user.id],
    ['full name', user.fullName],
    ['e-mail', user.emailAddresses.join(', ')],
    ['authentication', user.authentication],
    ['status', user.disabledBy === null ? user.status : `${user.status} by ${user.disabledBy}`],
    ['privileges', user.privileges.join(', ')],
    ['entry', directory?.dn],
    ['directory id', directory?.id],
    ['missing since', directory?.missingSince],
    ['created', user.createdAt],
    ['updated', user.updatedAt],
    ['version', String(user.version)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) if (value) terminal.print(`${name.padEnd(width)}  ${value}`);
}

export const usersList = defineCommand({
  name: 'users list',
  parameters: [],
  summary: 'lists users in the order of their names',
  details: '',
  options: {
    search: { type: 'string', value: 'TEXT', summary: 'beginning of the user name, or a whole e-mail address' },
    authentication: FIELD_OPTIONS.authentication,
    status: { ...FIELD_OPTIONS.status, summary: 'only those' },
    limit: { type: 'string', value: 'N', summary: `users to print, ${DEFAULT_USERS} unless told` },
  },
  examples: ['users list', 'users list --search an --status disabled', 'users list --limit 100000 --json'],
  async run({ options: { search, authentication, status, limit }, api, terminal }) {
    const count = readCount('limit', limit, DEFAULT_USERS);
    const page = await (await api()).list<User>('/api/users', count, { search, authentication, status });
    terminal.result(page, () => {
      if (page.items.length === 0) return terminal.print('Nobody.');
      terminal.table(
        ['user name', 'full name', 'e-mail', 'authentication', 'status', 'privileges'],
        page.items.map((user): Cell[] => [
          user.userName,
          user.fullName ?? '-',
          `${user.emailAddresses[0] ?? '-'}${user.emailAddresses.length > 1 ? ', ...' : ''}`,
          user.authentication,
          user.status === 'active' ? user.status : { text: user.status, style: 'yellow' },
          user.privileges.join(', '),
        ]),
      );
      if (page.next !== null) terminal.print('There are more; see them with --limit N.');
    });
    return EXIT.done;
  },
});

export const usersShow = defineCommand({
  name: 'users show',
  parameters: ['NAME'],
  summary: 'shows one user',
  details: '',
  options: {},
  examples: ['users show anna.weber'],
  async run({ parameters: [name = ''], api, terminal }) {
    const user = await (await api()).call<User>('GET', userPath(name));
    terminal.result(user, () => showUser(user, terminal));
    return EXIT.done;
  },
});

export const usersCreate = defineCommand({
  name: 'users create',
  parameters: ['NAME'],
  summary: 'creates a user by hand',
  details: `Without options: an active user with integrated authentication and the privilege login. Such a user can log in when a
password is set (users password).`,
  options: FIELD_OPTIONS,
  examples: ['users create scanner --full-name "Scanner, 2nd floor" --privileges login,archive'],
  async run({ parameters: [userName = ''], options, api, terminal }) {
    const user = await (await api()).call<User>('POST', '/api/users', { body: { userName, ...readFields(options) } });
    terminal.result(user, () => showUser(user, terminal));
    if (user.authentication === 'integrated') noteMissingPassword(user, terminal);
    return EXIT.done;
  },
});

function noteMissingPassword({ userName }: User, terminal: Terminal): void {
  terminal.note(`Set a password with rollcall users password ${userName}`);
}

export const usersSet = defineCommand({
  name: 'users set',
  parameters: ['NAME'],
  summary: 'changes a user',
  details: `What is not named stays. --full-name "" and --email "" take these away. Renaming keeps the account. Another
authentication drops the password, or the link to the directory; for a user who leaves the directory it asks for a password.`,
  options: { 'user-name': { type: 'string', value: 'NAME', summary: 'another user name' }, ...FIELD_OPTIONS },
  examples: ['users set scanner --status disabled', 'users set anna.weber --privileges admin'],
  async run({ parameters: [name = ''], options, api, terminal }) {
    const userName = options['user-name'];
    const body = { ...(userName !== undefined && { userName }), ...readFields(options) };
    if (Object.keys(body).length === 0) throw new UsageError('name what to change; see rollcall users set --help');
    const server = await api();
    const leaves =
      options.authentication === 'integrated' &&
      (await server.call<User>('GET', userPath(name))).authentication === 'directory';
    const password =
      leaves && terminal.isInteractive ? await terminal.askSecret(`Password for ${name}`, true) : undefined;
    const user = await server.call<User>('PATCH', userPath(name), { body: { ...body, ...(password && { password }) } });
    terminal.result(user, () => showUser(user, terminal));
    if (leaves && password === undefined) noteMissingPassword(user, terminal);
    return EXIT.done;
  },
});

export const usersDelete = defineCommand({
  name: 'users delete',
  parameters: ['NAME'],
  summary: 'deletes a user',
  details: 'Asks before. The synchronisation creates a deleted user anew while the directory has it.',
  options: { yes: { type: 'boolean', summary: 'do not ask' } },
  examples: ['users delete scanner', 'users delete scanner --yes'],
  async run({ parameters: [name = ''], options, api, terminal }) {
    const signedIn = await api();
    const { userName } = await signedIn.call<User>('GET', userPath(name));
    if (!options.yes && !(await terminal.confirm(`Delete ${userName}?`))) {
      terminal.note('Nothing was done.');
      return EXIT.refused;
    }
    await signedIn.call('DELETE', userPath(name));
    terminal.result({ userName, deleted: true }, () => terminal.print(`Deleted ${userName}.`));
    return EXIT.done;
  },
});

export const usersPassword = defineCommand({
  name: 'users password',
  parameters: ['NAME'],
  summary: 'sets the password of a user with integrated authentication',
  details: 'Asks for it twice, unseen, or reads it from standard input where that is no terminal.',
  options: {},
  examples: ['users password scanner', 'users password scanner < password.txt'],
  async run({ parameters: [name = ''], api, terminal }) {
    const signedIn = await api();
    const { userName } = await signedIn.call<User>('GET', userPath(name));
    const password = await terminal.askSecret(`New password of ${userName}`, true);
    await signedIn.call('PUT', `${userPath(name)}/password`, { body: { password } });
    terminal.result({ userName, passwordSet: true }, () => terminal.print(`The password of ${userName} is set.`));
    return EXIT.done;
  },
});

interface AppliedPrivileges {
  readonly dryRun: boolean;
  readonly settingsVersion: string;
  readonly privileges: readonly string[];
  readonly totals: { readonly changed: number; readonly unchanged: number; readonly kept: number };
  readonly items: readonly {
    readonly userName: string;
    readonly from: readonly string[];
    readonly to: readonly string[];
  }[];
  readonly next: string | null;
}

const SHOWN_CHANGES = 20;
/** As many as one call tells. */
const KEPT_CHANGES = 100;

/** Calls until everybody was looked at, under one version of the settings. Gives the sum, in the form of one call. */
async function applyDefaultPrivileges(
  api: Api,
  dryRun: boolean,
  version: string | null,
  { progress }: Terminal,
): Promise<AppliedPrivileges> {
  const headers = { 'if-match': `"${version}"` };
  const totals = { changed: 0, unchanged: 0, kept: 0 };
  const items: AppliedPrivileges['items'][number][] = [];
  let next: string | null = null;
  for (;;) {
    const body = { dryRun, ...(next !== null && { next }) };
    const applied: AppliedPrivileges = await api.call('POST', '/api/users/apply-default-privileges', { body, headers });
    for (const name of ['changed', 'unchanged', 'kept'] as const) totals[name] += applied.totals[name];
    items.push(...applied.items.slice(0, KEPT_CHANGES - items.length));
    ({ next } = applied);
    progress.clear();
    if (next === null) return { ...applied, totals, items };
    progress.show(`${totals.changed + totals.unchanged + totals.kept} users looked at`);
  }
}

/** Whom it is about, a line each, and how many more. */
function describeChanges({ totals, items }: AppliedPrivileges): { readonly rows: string[][]; readonly more: number } {
  const shown = items.slice(0, SHOWN_CHANGES);
  return {
    rows: shown.map(({ userName, from, to }) => [userName, `${from.join(', ')} -> ${to.join(', ')}`]),
    more: totals.changed - shown.length,
  };
}

export const usersApplyDefaultPrivileges = defineCommand({
  name: 'users apply-default-privileges',
  parameters: [],
  summary: 'gives the default privileges of the settings to people of the directory',
  details: `For when they were changed: a run gives them to users that it creates, and never again. Shows whom it is about and asks.
Users with integrated authentication and administrators are not touched. What was interrupted can be repeated.`,
  options: {
    'dry-run': { type: 'boolean', summary: 'only tell who would get other privileges' },
    yes: { type: 'boolean', summary: 'do not ask' },
  },
  examples: ['users apply-default-privileges --dry-run', 'users apply-default-privileges'],
  async run({ options, api, terminal }) {
    const signedIn = await api();
    const { version } = await signedIn.read('/api/settings');
    const dryRun = options['dry-run'] ?? false;
    if (!dryRun && !options.yes) {
      const planned = await applyDefaultPrivileges(signedIn, true, version, terminal);
      const { changed } = planned.totals;
      const { rows, more } = describeChanges(planned);
      for (const row of rows) terminal.note(row.join(': '));
      if (more > 0) terminal.note(`and ${more} more`);
      if (changed > 0 && !(await terminal.confirm(`Change the privileges of ${changed} users?`))) {
        terminal.note('Nothing was done.');
        return EXIT.refused;
      }
    }
    const applied = await applyDefaultPrivileges(signedIn, dryRun, version, terminal);
    terminal.result(applied, () => {
      const { privileges, totals } = applied;
      terminal.print(`${dryRun ? 'dry run, ' : ''}default privileges: ${privileges.join(', ')}`);
      terminal.print(`changed ${totals.changed}, unchanged ${totals.unchanged}, administrators kept ${totals.kept}`);
      const { rows, more } = describeChanges(applied);
      if (rows.length > 0) {
        terminal.print();
        terminal.table(['user name', 'privileges'], rows);
      }
      if (more > 0) terminal.print(`and ${more} more`);
    });
    return EXIT.done;
  },
});

type Outcome =
  | { readonly outcome: 'accepted'; readonly user: User }
  | { readonly outcome: 'rejected'; readonly reason: string };

export const auth = defineCommand({
  name: 'auth',
  parameters: ['NAME'],
  summary: 'tells what a login of a user would answer',
  details: `Asks for the password, unseen, or reads it from standard input where that is no terminal. No attempt is counted. Ends
with 0 when the login is accepted, 3 when it is rejected.`,
  options: {},
  examples: ['auth anna.weber'],
  async run({ parameters: [name = ''], api, terminal }) {
    const signedIn = await api();
    const password = await terminal.askSecret(`Password of ${name}`);
    const outcome = await signedIn.call<Outcome>('POST', `${userPath(name)}/test-authentication`, {
      body: { password },
    });
    terminal.result(outcome, () => {
      if (outcome.outcome === 'rejected') return terminal.print(`Rejected: ${outcome.reason}`, 'red');
      terminal.print('Accepted', 'green');
      showUser(outcome.user, terminal);
    });
    return outcome.outcome === 'accepted' ? EXIT.done : EXIT.notAll;
  },
});
