/** The commands for users, one at a time and, for default privileges, many. The API decides what a user may be. */
import { type Api, formatEntityTag } from '../client/api.ts';
import {
  type AcceptedLogin,
  type AppliedPrivileges,
  AUTHENTICATIONS,
  type User,
  USER_STATUSES,
} from '../client/document.ts';
import { defineCommand, type OptionValues, readCount } from './command.ts';
import { EXIT, UsageError } from './exit.ts';
import type { Cell, Terminal } from './terminal.ts';

const DEFAULT_USERS = 50;

/** The options of a call about one user. */
function pathOf(userName: string) {
  return { params: { path: { userName } } };
}

const FIELD_OPTIONS = {
  'full-name': { type: 'string', value: 'TEXT', summary: 'full name' },
  email: {
    type: 'string',
    multiple: true,
    value: 'ADDRESS',
    summary: 'e-mail address; repeat it for more, the first is the primary one',
  },
  authentication: { type: 'string', choices: AUTHENTICATIONS, summary: 'where the password is verified' },
  status: { type: 'string', choices: USER_STATUSES, summary: 'whether the user may log in' },
  privileges: { type: 'string', value: 'LIST', summary: 'comma-separated, for example login,changePassword' },
} as const;

/** The fields that the options set. */
function readFields(options: OptionValues<typeof FIELD_OPTIONS>) {
  const { 'full-name': fullName, email, authentication, status, privileges } = options;
  return {
    ...(fullName !== undefined && { fullName: fullName === '' ? null : fullName }),
    ...(email !== undefined && { emailAddresses: email.filter((address) => address !== '') }),
    ...(authentication !== undefined && { authentication }),
    ...(status !== undefined && { status }),
    ...(privileges !== undefined && { privileges: readPrivileges(privileges) }),
  };
}

/** Names that the API may refuse: a deployment newer than this program may have more privileges. */
function readPrivileges(list: string): User['privileges'] {
  return list.split(',').map((name) => name.trim()) as User['privileges'][number][];
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

/** Units of time, in seconds. */
const SPANS = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const;

/** What the directory says of a password that it has accepted, if it says anything. */
function describePassword({ passwordExpiresInSeconds, graceLoginsLeft }: AcceptedLogin): readonly string[] {
  const lines: string[] = [];
  if (passwordExpiresInSeconds !== undefined) {
    // Two of a unit at least: "47 hours" says more than "1 day".
    const [unit, length] = SPANS.find(([, span]) => passwordExpiresInSeconds >= 2 * span) ?? SPANS.at(-1)!;
    const span = new Intl.NumberFormat('en', { style: 'unit', unit, unitDisplay: 'long' });
    lines.push(`The password expires in ${span.format(Math.floor(passwordExpiresInSeconds / length))}.`);
  }
  if (graceLoginsLeft !== undefined) {
    lines.push(`The password has expired; logins left with it: ${graceLoginsLeft}.`);
  }
  return lines;
}

export const usersList = defineCommand({
  name: 'users list',
  parameters: [],
  summary: 'list users by name',
  details: '',
  options: {
    search: { type: 'string', value: 'TEXT', summary: 'start of the user name, or a complete e-mail address' },
    authentication: { ...FIELD_OPTIONS.authentication, summary: 'only users with this authentication' },
    status: { ...FIELD_OPTIONS.status, summary: 'only users with this status' },
    limit: { type: 'string', value: 'N', summary: `number of users to print (default: ${DEFAULT_USERS})` },
  },
  examples: ['users list', 'users list --search an --status disabled', 'users list --limit 100000 --json'],
  async run({ options: { search, authentication, status, limit }, api, terminal }) {
    const count = readCount('limit', limit, DEFAULT_USERS);
    const query = {
      ...(search !== undefined && { search }),
      ...(authentication !== undefined && { authentication }),
      ...(status !== undefined && { status }),
    };
    const page = await (await api()).list('/api/users', count, { params: { query } });
    terminal.result(page, () => {
      if (page.items.length === 0) return terminal.print('No users found.');
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
      if (page.next !== null) terminal.print('There are more users. Show them with --limit N.');
    });
    return EXIT.done;
  },
});

export const usersShow = defineCommand({
  name: 'users show',
  parameters: ['NAME'],
  summary: 'show a user',
  details: '',
  options: {},
  examples: ['users show anna.weber'],
  async run({ parameters: [name = ''], api, terminal }) {
    const user = await (await api()).get('/api/users/{userName}', pathOf(name));
    terminal.result(user, () => showUser(user, terminal));
    return EXIT.done;
  },
});

export const usersCreate = defineCommand({
  name: 'users create',
  parameters: ['NAME'],
  summary: 'create a user',
  details: `
By default the user is active, with integrated authentication and the privilege login. Set a password with
users password before the first login.`,
  options: FIELD_OPTIONS,
  examples: ['users create scanner --full-name "Scanner, 2nd floor" --privileges login,archive'],
  async run({ parameters: [userName = ''], options, api, terminal }) {
    const user = await (await api()).post('/api/users', { body: { userName, ...readFields(options) } });
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
  summary: 'change a user',
  details: `
Changes only the fields that are given; --full-name "" and --email "" clear theirs. A renamed user keeps the account.
Switching to directory authentication drops the password. Switching to integrated authentication drops the link to
the directory, and asks for a password.`,
  options: { 'user-name': { type: 'string', value: 'NAME', summary: 'new user name' }, ...FIELD_OPTIONS },
  examples: ['users set scanner --status disabled', 'users set anna.weber --privileges admin'],
  async run({ parameters: [name = ''], options, api, terminal }) {
    const userName = options['user-name'];
    const body = { ...(userName !== undefined && { userName }), ...readFields(options) };
    if (Object.keys(body).length === 0) throw new UsageError('nothing to change; see rollcall users set --help');
    const server = await api();
    const leaves =
      options.authentication === 'integrated' &&
      (await server.get('/api/users/{userName}', pathOf(name))).authentication === 'directory';
    const password =
      leaves && terminal.isInteractive ? await terminal.askSecret(`Password for ${name}`, true) : undefined;
    const user = await server.patch('/api/users/{userName}', {
      ...pathOf(name),
      body: { ...body, ...(password !== undefined && { password }) },
    });
    terminal.result(user, () => showUser(user, terminal));
    if (leaves && password === undefined) noteMissingPassword(user, terminal);
    return EXIT.done;
  },
});

export const usersDelete = defineCommand({
  name: 'users delete',
  parameters: ['NAME'],
  summary: 'delete a user',
  details: 'Asks for confirmation. If the user is still in the directory, the next run creates it again.',
  options: { yes: { type: 'boolean', summary: 'do not ask for confirmation' } },
  examples: ['users delete scanner', 'users delete scanner --yes'],
  async run({ parameters: [name = ''], options, api, terminal }) {
    const signedIn = await api();
    const { userName } = await signedIn.get('/api/users/{userName}', pathOf(name));
    if (!options.yes && !(await terminal.confirm(`Delete ${userName}?`))) {
      terminal.note('Nothing was changed.');
      return EXIT.refused;
    }
    await signedIn.delete('/api/users/{userName}', pathOf(name));
    terminal.result({ userName, deleted: true }, () => terminal.print(`Deleted ${userName}.`));
    return EXIT.done;
  },
});

export const usersPassword = defineCommand({
  name: 'users password',
  parameters: ['NAME'],
  summary: 'set the password of a user with integrated authentication',
  details: 'Asks for the password twice, hidden, or reads it from standard input if that is not a terminal.',
  options: {},
  examples: ['users password scanner', 'users password scanner < password.txt'],
  async run({ parameters: [name = ''], api, terminal }) {
    const signedIn = await api();
    const { userName } = await signedIn.get('/api/users/{userName}', pathOf(name));
    const password = await terminal.askSecret(`New password for ${userName}`, true);
    await signedIn.put('/api/users/{userName}/password', { ...pathOf(name), body: { password } });
    terminal.result({ userName, passwordSet: true }, () => terminal.print(`The password of ${userName} was set.`));
    return EXIT.done;
  },
});

const SHOWN_CHANGES = 20;
/** As many as one call of the API lists. */
const KEPT_CHANGES = 100;

/** Calls the API until every user was checked, against one version of the settings. Gives the sum as one document. */
async function applyDefaultPrivileges(
  api: Api,
  dryRun: boolean,
  version: string | null,
  { progress }: Terminal,
): Promise<AppliedPrivileges> {
  const header = version === null ? {} : { 'If-Match': formatEntityTag(version) };
  const totals = { changed: 0, unchanged: 0, kept: 0 };
  const items: AppliedPrivileges['items'][number][] = [];
  let next: string | null = null;
  for (;;) {
    const body = { dryRun, ...(next !== null && { next }) };
    const applied: AppliedPrivileges = await api.post('/api/users/apply-default-privileges', {
      body,
      params: { header },
    });
    for (const name of ['changed', 'unchanged', 'kept'] as const) totals[name] += applied.totals[name];
    items.push(...applied.items.slice(0, KEPT_CHANGES - items.length));
    ({ next } = applied);
    progress.clear();
    if (next === null) return { ...applied, totals, items };
    progress.show(`${totals.changed + totals.unchanged + totals.kept} users checked`);
  }
}

/** The first changes, a row each, and the number of the others. */
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
  summary: 'give the default privileges to existing directory users',
  details: `
Runs give the default privileges to new users only; use this after changing them in the settings. Lists the affected
users and asks for confirmation. Leaves administrators and users with integrated authentication alone. If
interrupted, run it again.`,
  options: {
    'dry-run': { type: 'boolean', summary: 'only show whose privileges would change' },
    yes: { type: 'boolean', summary: 'do not ask for confirmation' },
  },
  examples: ['users apply-default-privileges --dry-run', 'users apply-default-privileges'],
  async run({ options, api, terminal }) {
    const signedIn = await api();
    const { version } = await signedIn.readVersioned('/api/settings');
    const dryRun = options['dry-run'] ?? false;
    if (!dryRun && !options.yes) {
      const planned = await applyDefaultPrivileges(signedIn, true, version, terminal);
      const { changed } = planned.totals;
      const { rows, more } = describeChanges(planned);
      for (const row of rows) terminal.note(row.join(': '));
      if (more > 0) terminal.note(`and ${more} more`);
      if (changed > 0 && !(await terminal.confirm(`Change the privileges of ${changed} users?`))) {
        terminal.note('Nothing was changed.');
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

export const auth = defineCommand({
  name: 'auth',
  parameters: ['NAME'],
  summary: 'test the login of a user',
  details: `
Asks for the password, hidden, or reads it from standard input if that is not a terminal. A failed test does not
count as a failed login. Exits with 0 if the login is accepted, and 3 if it is rejected.`,
  options: {},
  examples: ['auth anna.weber'],
  async run({ parameters: [name = ''], api, terminal }) {
    const signedIn = await api();
    const password = await terminal.askSecret(`Password of ${name}`);
    const body = { password };
    const outcome = await signedIn.post('/api/users/{userName}/test-authentication', { ...pathOf(name), body });
    terminal.result(outcome, () => {
      if (outcome.outcome === 'rejected') return terminal.print(`Rejected: ${outcome.reason}`, 'red');
      terminal.print('Accepted', 'green');
      terminal.print(describePassword(outcome));
      showUser(outcome.user, terminal);
    });
    return outcome.outcome === 'accepted' ? EXIT.done : EXIT.notAll;
  },
});
