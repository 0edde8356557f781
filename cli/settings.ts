/** The commands for the settings. The API decides what is valid; this file only reads and prints the document. */
import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { formatEntityTag } from '../client/api.ts';
import type { Settings, SettingsTest } from '../client/document.ts';
import { defineCommand } from './command.ts';
import { EXIT, UsageError } from './exit.ts';
import type { Cell, Terminal } from './terminal.ts';

const PASSWORD_OPTION = {
  'ask-password': {
    type: 'boolean',
    summary: 'ask for the bind password, to keep it out of the file',
  },
} as const;

const ABOUT_THE_FILE = `
FILE is a settings document as settings get prints it, or - for standard input. If it has no bind password, the stored
one is used.`;

/** The settings in a file, which the API will check. @throws UsageError if it can't be read or is not a JSON object */
async function readDocument(file: string, asksPassword: boolean, terminal: Terminal): Promise<Settings> {
  if (file === '-' && asksPassword) throw new UsageError('--ask-password requires the settings in a file');
  let text: string;
  try {
    text = file === '-' ? await readAll(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
  const document = parseObject(text);
  // The message does not quote the text, which may hold a password.
  if (document === null) throw new UsageError(`${file === '-' ? 'standard input' : file} is not a JSON object`);
  if (!asksPassword) return document;
  return { ...document, connection: { ...document.connection, password: await terminal.askSecret('Bind password') } };
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
    ...PASSWORD_OPTION,
    'if-version': { type: 'string', value: 'VERSION', summary: 'save only if this is still the stored version' },
  },
  examples: ['settings set settings.json', 'settings set settings.json --ask-password'],
  async run({ parameters: [file = ''], options, api, terminal }) {
    const signedIn = await api();
    const body = await readDocument(file, options['ask-password'] ?? false, terminal);
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
  options: PASSWORD_OPTION,
  examples: ['settings test', 'settings test settings.json --ask-password'],
  async run({ parameters: [file], options, api, terminal }) {
    const signedIn = await api();
    const asksPassword = options['ask-password'] ?? false;
    if (file === undefined && asksPassword) throw new UsageError('--ask-password requires FILE');
    const request = file === undefined ? {} : { body: await readDocument(file, asksPassword, terminal) };
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
