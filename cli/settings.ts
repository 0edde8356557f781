/** The commands for the settings. The API decides what is valid; this file only reads and prints the document. */
import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { formatEntityTag } from '../client/api.ts';
import type { Settings, SettingsTest } from '../client/document.ts';
import { defineCommand, type OptionValues } from './command.ts';
import { EXIT, UsageError } from './exit.ts';
import type { Cell, Terminal } from './terminal.ts';

const PASSWORD_OPTIONS = {
  'password-file': {
    type: 'string',
    value: 'FILE',
    summary: 'read the bind password from a file, or from standard input (-)',
  },
  'ask-password': { type: 'boolean', summary: 'ask for the bind password; the same as --password-file -' },
} as const;

const ABOUT_THE_FILE = `
FILE is a settings document as settings get prints it, or - for standard input. If it has no bind password, the stored
one is used, but not for a new server or port, weaker encryption, ignored certificate warnings, other CA certificates
or another bind DN: then pass --password-file or --ask-password. The last line break of a password file is not part of
the password; a password is never an argument.`;

/** Where the bind password comes from: a file, `-` for standard input, undefined for nowhere. @throws UsageError */
function passwordSource(options: OptionValues<typeof PASSWORD_OPTIONS>): string | undefined {
  const file = options['password-file'];
  if (!options['ask-password']) return file;
  if (file === undefined || file === '-') return '-';
  throw new UsageError('pass either --password-file or --ask-password');
}

/**
 * The settings in a file, which the API will check, with the bind password from another one.
 * @throws UsageError if one can't be read, or the document is not a JSON object
 */
async function readDocument(file: string, passwordFile: string | undefined, terminal: Terminal): Promise<Settings> {
  if (file === '-' && passwordFile === '-') {
    throw new UsageError('standard input cannot hold both the settings and the password; put one of them into a file');
  }
  const document = parseObject(file === '-' ? await readAll(process.stdin) : await readText(file));
  // The message does not quote the text, which may hold a password.
  if (document === null) throw new UsageError(`${file === '-' ? 'standard input' : file} is not a JSON object`);
  if (passwordFile === undefined) return document;
  const password = passwordFile === '-' ? await terminal.askSecret('Bind password') : await readPassword(passwordFile);
  return { ...document, connection: { ...document.connection, password } };
}

async function readPassword(file: string): Promise<string> {
  const password = (await readText(file)).replace(/\r?\n$/, '');
  if (password === '') throw new UsageError(`${file} holds no password`);
  return password;
}

/** The text of a file, without a byte order mark. */
async function readText(file: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (error) {
    // With replaced characters, a password would be another one.
    if (error instanceof TypeError) throw new UsageError(`${file} is not UTF-8 text`);
    throw new UsageError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function parseObject(text: string): Settings | null {
  try {
    const document: unknown = JSON.parse(text);
    return typeof document === 'object' && document !== null && !Array.isArray(document)
      ? (document as Settings)
      : null;
  } catch {
    return null;
  }
}

function noteWarnings({ warnings }: { readonly warnings: readonly string[] }, terminal: Terminal): void {
  for (const warning of warnings) terminal.note(`warning: ${warning}`);
}

export const settingsGet = defineCommand({
  name: 'settings get',
  parameters: [],
  summary: 'print the settings',
  details: `
Prints the settings as JSON, without the bind password, and their version on standard error. Edit the document and
save it with settings set.`,
  options: {},
  examples: ['settings get > settings.json'],
  async run({ api, terminal }) {
    const { document, version } = await (await api()).readVersioned('/api/settings');
    terminal.result(document, () => terminal.print(JSON.stringify(document, null, 2).split('\n')));
    terminal.note(`version ${version}`);
    return EXIT.done;
  },
});

export const settingsSet = defineCommand({
  name: 'settings set',
  parameters: ['FILE'],
  summary: 'replace the settings and update the schedule',
  details: `${ABOUT_THE_FILE} If the document is invalid, reports every error in it and saves nothing.`,
  options: {
    ...PASSWORD_OPTIONS,
    'if-version': { type: 'string', value: 'VERSION', summary: 'save only if this is still the stored version' },
  },
  examples: ['settings set settings.json', 'settings set settings.json --password-file password.txt'],
  async run({ parameters: [file = ''], options, api, terminal }) {
    const signedIn = await api();
    const body = await readDocument(file, passwordSource(options), terminal);
    const version = options['if-version'];
    const header = version === undefined ? {} : { 'If-Match': formatEntityTag(version) };
    const saved = await signedIn.put('/api/settings', { body, params: { header } });
    terminal.result(saved, () => terminal.print('Saved. Preview the next run with rollcall sync --dry-run --watch.'));
    noteWarnings(saved, terminal);
    return EXIT.done;
  },
});

export const settingsTest = defineCommand({
  name: 'settings test',
  parameters: ['[FILE]'],
  summary: 'test settings step by step',
  details: `
Connects, binds, examines the server and reads the first people. Changes nothing and takes at most 25 seconds. Exits
with 3 if a step fails. Without FILE, tests the stored settings.
${ABOUT_THE_FILE}`,
  options: PASSWORD_OPTIONS,
  examples: ['settings test', 'settings test settings.json --ask-password'],
  async run({ parameters: [file], options, api, terminal }) {
    const signedIn = await api();
    const password = passwordSource(options);
    if (file === undefined && password !== undefined) throw new UsageError('a password requires FILE');
    const request = file === undefined ? {} : { body: await readDocument(file, password, terminal) };
    const test = await signedIn.post('/api/settings/test', request);
    terminal.result(test, () => showTest(test, terminal));
    noteWarnings(test, terminal);
    return test.ok ? EXIT.done : EXIT.notAll;
  },
});

function showTest({ stages, count, counted, sample }: SettingsTest, terminal: Terminal): void {
  terminal.table(
    ['step', 'result', 'ms', 'detail'],
    stages.map(({ name, ok, ms, detail }): Cell[] => [
      name,
      ok ? { text: 'ok', style: 'green' } : { text: 'failed', style: 'red' },
      String(ms),
      detail,
    ]),
  );
  if (count === null) return;
  terminal.print();
  terminal.print(
    `${count}${counted === 'capped' ? ' or more' : ''} people found${sample.length > 0 ? ', including:' : ''}`,
  );
  if (sample.length === 0) return;
  terminal.table(
    ['user name', 'full name', 'e-mail addresses', 'entry'],
    sample.map((entry): Cell[] =>
      'skipped' in entry
        ? [{ text: `skipped: ${entry.skipped}`, style: 'yellow' }, '-', '-', entry.dn]
        : [entry.userName, entry.fullName ?? '-', entry.emailAddresses.join(', ') || '-', entry.dn],
    ),
  );
}
