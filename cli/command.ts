/**
 * The description of a command, from which its help, the reading of its arguments and its completion are made. Knows no
 * command in particular.
 */
import { parseArgs } from 'node:util';
import type { Api } from '../client/api.ts';
import { type ExitCode, UsageError } from './exit.ts';
import type { Terminal } from './terminal.ts';

export interface OptionSpec {
  readonly type: 'string' | 'boolean';
  /** May be given several times. */
  readonly multiple?: true;
  /** Placeholder of the value in the help. The default is the list of choices. */
  readonly value?: string;
  /** The values that are accepted. The default is any value. */
  readonly choices?: readonly string[];
  readonly summary: string;
}

type Options = Readonly<Record<string, OptionSpec>>;

type Value<Spec extends OptionSpec> = Spec extends { readonly type: 'boolean' }
  ? boolean
  : Spec extends { readonly multiple: true }
    ? readonly string[]
    : Spec extends { readonly choices: readonly (infer Choice)[] }
      ? Choice
      : string;

/** The values that a command line gives to options. */
export type OptionValues<O extends Options> = { readonly [Name in keyof O]?: Value<O[Name]> };

/** Options of every command. */
export const GLOBAL_OPTIONS = {
  url: { type: 'string', value: 'URL', summary: 'deployment to use (default: that of the last login)' },
  json: {
    type: 'boolean',
    summary: 'print results as JSON on standard output, and problems as JSON on standard error',
  },
  help: { type: 'boolean', summary: 'show this help' },
} as const satisfies Options;

type GlobalOptions = typeof GLOBAL_OPTIONS;

/** One use of a command. */
export interface Call<O extends Options = Options> {
  readonly parameters: readonly string[];
  readonly options: OptionValues<O & GlobalOptions>;
  readonly terminal: Terminal;
  /** The deployment, with the user's session there. @throws Problem `notSignedIn` without a session */
  readonly api: () => Promise<Api>;
}

export interface Command {
  /** One word or two, as in `users list`. */
  readonly name: string;
  /** `NAME`, or `[NAME]` if it is optional. Shells complete a `FILE` with file names. */
  readonly parameters: readonly string[];
  readonly summary: string;
  readonly details: string;
  readonly options: Options;
  /** Command lines without the program's name. */
  readonly examples: readonly string[];
  readonly run: (call: Call) => Promise<ExitCode>;
}

/** A command whose `run` sees its options by name and type. */
export function defineCommand<const O extends Options>(
  command: Omit<Command, 'options' | 'run'> & {
    readonly options: O;
    readonly run: (call: Call<O>) => Promise<ExitCode>;
  },
): Command {
  // readArguments reads the values by these very options.
  return command as unknown as Command;
}

/** The command that a command line names. */
export interface Chosen {
  /** Its words; empty when the line has none. */
  readonly name: string;
  /** Null when the words name no command, or a group only, as `users` does. */
  readonly command: Command | null;
  /** The commands whose names begin with these words. */
  readonly group: readonly Command[];
  /** The rest of the line. */
  readonly rest: readonly string[];
}

/** Finds the command with the longest matching name. Global options may precede it. @throws UsageError */
export function chooseCommand(commands: readonly Command[], args: readonly string[]): Chosen {
  const { tokens } = parseArgs({ args: [...args], options: parserOptions({}), strict: false, tokens: true });
  let name = '';
  const used = new Set<number>();
  for (const token of tokens) {
    if (token.kind === 'option' && token.name in GLOBAL_OPTIONS) continue;
    if (token.kind === 'option' && token.rawName === '-h') continue;
    if (token.kind !== 'positional') break;
    const longer = `${name} ${token.value}`.trim();
    if (!commands.some((command) => `${command.name} `.startsWith(`${longer} `))) {
      if (commands.some((command) => command.name === name)) break;
      throw new UsageError(`unknown command "${longer}"; see rollcall ${`${name} --help`.trim()}`);
    }
    name = longer;
    used.add(token.index);
  }
  return {
    name,
    command: commands.find((command) => command.name === name) ?? null,
    group: commands.filter((command) => name === '' || `${command.name} `.startsWith(`${name} `)),
    rest: args.filter((_, index) => !used.has(index)),
  };
}

/** Whether a line asks for help, even if the rest of it is wrong. */
export function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  const before = end === -1 ? args : args.slice(0, end);
  return before.includes('--help') || before.includes('-h');
}

/** Reads the arguments after a command's name. @throws UsageError */
export function readArguments(
  command: Command,
  rest: readonly string[],
): { readonly parameters: readonly string[]; readonly options: Call['options'] } {
  const { values, positionals } = parse(command, rest);
  for (const [name, spec] of Object.entries(command.options)) {
    const value = values[name];
    if (spec.choices && typeof value === 'string' && !spec.choices.includes(value)) {
      throw new UsageError(`--${name} must be one of: ${spec.choices.join(', ')}`);
    }
  }
  const required = command.parameters.filter((parameter) => !parameter.startsWith('['));
  if (positionals.length < required.length) {
    throw new UsageError(
      `${command.name} requires ${required[positionals.length]}; see rollcall ${command.name} --help`,
    );
  }
  if (positionals.length > command.parameters.length) {
    // The message does not quote the argument, which may be a password.
    const accepted = command.parameters.length === 0 ? 'no arguments' : `only ${command.parameters.join(' ')}`;
    throw new UsageError(`${command.name} accepts ${accepted}; see rollcall ${command.name} --help`);
  }
  return { parameters: positionals, options: values as Call['options'] };
}

function parse({ name, options }: Command, rest: readonly string[]) {
  try {
    return parseArgs({ args: [...rest], options: parserOptions(options), allowPositionals: true });
  } catch (error) {
    // The first sentence of Node's message says what is wrong, and names the option without its value.
    const sentence = (error as Error).message.split(/[.\n]\s/, 1)[0]!.replace(/\.$/, '');
    throw new UsageError(`${sentence}; see rollcall ${name} --help`);
  }
}

function parserOptions(options: Options) {
  const all = Object.entries<OptionSpec>({ ...options, ...GLOBAL_OPTIONS });
  return Object.fromEntries(all.map(([name, { type, multiple = false }]) => [name, { type, multiple }]));
}

/** The value of an option that takes a positive whole number, or `fallback` without one. @throws UsageError */
export function readCount(option: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError(`--${option} must be a positive whole number`);
}

/** The help of one command. */
export function describeCommand({ name, parameters, summary, details, options, examples }: Command): string {
  const usage = ['rollcall', name, ...parameters, ...(Object.keys(options).length > 0 ? ['[options]'] : [])].join(' ');
  const sections = [`${capital(summary)}.`, indent([usage]), details.trim()];
  if (Object.keys(options).length > 0) sections.push(`Options\n${indent(describeOptions(options))}`);
  sections.push(`Global options\n${indent(describeOptions(GLOBAL_OPTIONS))}`);
  if (examples.length > 0) sections.push(`Examples\n${indent(examples.map((example) => `rollcall ${example}`))}`);
  return sections.filter((section) => section !== '').join('\n\n');
}

/** A list of commands with their summaries, a line each. */
export function listCommands(commands: readonly Command[]): string {
  const rows = commands.map(({ name, parameters, summary }) => [[name, ...parameters].join(' '), summary] as const);
  return indent(columns(rows));
}

function signature(name: string, { type, multiple, value, choices }: OptionSpec): string {
  if (type === 'boolean') return `--${name}`;
  return `--${name} ${value ?? choices?.join('|') ?? 'VALUE'}${multiple ? ' ...' : ''}`;
}

function describeOptions(options: Options): string[] {
  return columns(Object.entries(options).map(([name, spec]) => [signature(name, spec), spec.summary]));
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([first]) => first.length));
  return rows.map(([first, second]) => `${first.padEnd(width)}  ${second}`);
}

function indent(lines: string | readonly string[]): string {
  return [lines]
    .flat()
    .map((line) => `  ${line}`)
    .join('\n');
}

function capital(sentence: string): string {
  return sentence.slice(0, 1).toUpperCase() + sentence.slice(1);
}
