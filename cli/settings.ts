/** The commands around the settings document. What is in it is for the API to judge. */
import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { defineCommand, EXIT, UsageError } from './command.ts';
import type { Cell, Terminal } from './terminal.ts';

interface SettingsDocument {
  readonly connection?: object;
  readonly warnings?: readonly string[];
}

interface SettingsTest {
  readonly ok: boolean;
  readonly stages: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
    readonly ms: number;
  }[];
  readonly count: number | null;
  readonly counted: 'all' | 'capped' | 'none';
  readonly sample: readonly {
    readonly dn: string;
    readonly userName?: string;
    readonly fullName?: string | null;
    readonly emailAddresses?: readonly string[];
    readonly skipped?: string;
  }[];
  readonly warnings: readonly string[];
}

const PASSWORD_OPTION = {
  'ask-password': {
    type: 'boolean',
    summary: "ask for the directory's bind password, so that the file need not hold it",
  },
} as const;

const ABOUT_THE_FILE = `FILE is a settings document as settings get prints it, - for standard input. A password that is left out
stays as it is stored.`;

/** @throws UsageError for a file that can't be read or is no JSON object */
async function readDocument(file: string, asksPassword: boolean, terminal: Terminal): Promise<SettingsDocument> {
  if (file === '-' && asksPassword) throw new UsageError('--ask-password needs the settings in a file');
  let text: string;
  try {
    text = file === '-' ? await readAll(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(`${file} can't be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  const document = parseObject(text);
  // Without a word about the text: it may hold a password.
  if (document === null) throw new UsageError(`${file === '-' ? 'standard input' : file} is no JSON object`);
  if (!asksPassword) return document;
  return { ...document, connection: { ...document.connection, password: await terminal.askSecret('Bind password') } };
}

function parseObject(text: string): SettingsDocument | null {
  try {
    const document: unknown = JSON.parse(text);
    return typeof document === 'object' && document !== null && !Array.isArray(document) ? document : null;
  } catch {
    return null;
  }
}

function noteWarnings({ warnings = [] }: { readonly warnings?: readonly string[] }, terminal: Terminal): void {
  for (const warning of warnings) terminal.note(`warning: ${warning}`);
}

export const settingsGet = defineCommand({
  name: 'settings get',
  parameters: [],
  summary: 'prints the settings',
  details: `Prints the document as JSON, without the password, and its version on standard error. Edit it and hand it back to
settings set.`,
  options: {},
  examples: ['settings get > settings.json'],
  async run({ api, terminal }) {
    const { document, version } = await (await api()).read<SettingsDocument>('/api/settings');
    terminal.result(document, () => terminal.print(JSON.stringify(document, null, 2).split('\n')));
    terminal.note(`version ${version}`);
    return EXIT.done;
  },
});

export const settingsSet = defineCommand({
  name: 'settings set',
  parameters: ['FILE'],
  summary: 'replaces the settings and moves the schedule',
  details: `${ABOUT_THE_FILE} Everything that is wrong with the document is told at once, and nothing is saved then.`,
  options: {
    ...PASSWORD_OPTION,
    'if-version': { type: 'string', value: 'VERSION', summary: 'only while this version is the stored one' },
  },
  examples: ['settings set settings.json', 'settings set settings.json --ask-password'],
  async run({ parameters: [file = ''], options, api, terminal }) {
    const signedIn = await api();
    const body = await readDocument(file, options['ask-password'] ?? false, terminal);
    const version = options['if-version'];
    const headers = version === undefined ? {} : { 'if-match': `"${version}"` };
    const saved = await signedIn.call<SettingsDocument>('PUT', '/api/settings', { body, headers });
    terminal.result(saved, () => terminal.print('Saved. See whom they find with rollcall sync --dry-run --watch.'));
    noteWarnings(saved, terminal);
    return EXIT.done;
  },
});

export const settingsTest = defineCommand({
  name: 'settings test',
  parameters: ['[FILE]'],
  summary: 'tries settings out, step by step',
  details: `Connects, binds, looks at the server and reads the first people. Changes nothing, and ends within 25 seconds. Without a
file the stored settings are tried. ${ABOUT_THE_FILE} Ends with 3 when a step fails.`,
  options: PASSWORD_OPTION,
  examples: ['settings test', 'settings test settings.json --ask-password'],
  async run({ parameters: [file], options, api, terminal }) {
    const signedIn = await api();
    const asksPassword = options['ask-password'] ?? false;
    if (file === undefined && asksPassword) throw new UsageError('--ask-password needs a FILE with settings');
    const request = file === undefined ? {} : { body: await readDocument(file, asksPassword, terminal) };
    const test = await signedIn.call<SettingsTest>('POST', '/api/settings/test', request);
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
    `${count}${counted === 'capped' ? ' or more' : ''} people found${sample.length > 0 ? ', the first:' : ''}`,
  );
  if (sample.length === 0) return;
  terminal.table(
    ['user name', 'full name', 'e-mail addresses', 'entry'],
    sample.map(({ dn, userName, fullName, emailAddresses = [], skipped }) => [
      userName ?? { text: `skipped: ${skipped}`, style: 'yellow' },
      fullName ?? '-',
      emailAddresses.join(', ') || '-',
      dn,
    ]),
  );
}
