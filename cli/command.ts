/**
 * What a command of the command line is: how it is written, read, explained and ended. Knows no command in particular; help,
 * reading and completion are made from one description each.
 */
import { parseArgs } from 'node:util';
import type { Api } from './api.ts';
import type { Terminal } from './terminal.ts';

/** How the program ends, for scripts. `rollcall --help` explains them. */
export const EXIT = {
  done: 0,
  fault: 1,
  usage: 2,
  notAll: 3,
  refused: 4,
  notSignedIn: 5,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export interface OptionSpec {
  readonly type: 'string' | 'boolean';
  /** May be given several times. */
  readonly multiple?: true;
  /** What stands for the value in the help; the choices, where there is nothing shorter. */
  readonly value?: string;
  /** The only values that are taken. */
  readonly choices?: readonly string[];
  readonly summary: string;
}

type Options = Readonly<Record<string, OptionSpec>>;

type Value<Spec extends OptionSpec> = Spec extends { readonly type: 'boolean' }
  ? boolean
  : Spec extends { readonly multiple: true }
    ? readonly string[]
    : string;

type Values<O extends Options> = { readonly [Name in keyof O]?: Value<O[Name]> };

/** Options that every command takes. */
export const GLOBAL_OPTIONS = {
  url: { type: 'string', value: 'URL', summary: 'the deployment to talk to; without it the one of the last login' },
  json: { type: 'boolean', summary: 'print JSON on standard output, and problems as JSON on standard error' },
  help: { type: 'boolean', summary: 'explain the command' },
} as const satisfies Options;

type GlobalOptions = typeof GLOBAL_OPTIONS;

/** One use of a command. */
export interface Call<O extends Options = Options> {
  readonly parameters: readonly string[];
  readonly options: Values<O & GlobalOptions>;
  readonly terminal: Terminal;
  /** The deployment, as whoever is signed in there. @throws Problem when nobody is */
  readonly api: () => Promise<Api>;
}

export interface Command {
  /** Its words, as in `users list`. */
  readonly name: string;
  /** `NAME`, or `[NAME]` where it may be left out. A `FILE` is completed as one. */
  readonly parameters: readonly string[];
  readonly summary: string;
  readonly details: string;
  readonly options: Options;
  /** Without the program's name. */
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
  // What readArguments gives to a command has been read by that command's own options.
  return command as unknown as Command;
}

/** A command line that can't be meant. The message is one line; it never quotes a value that may be a password. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What was asked for, as far as words tell: a command, or the group of those that begin alike; null for neither. */
export interface Chosen {
  readonly name: string;
  readonly command: Command | null;
  readonly group: readonly Command[];
  /** What is left of the line without the words of the name. */
  readonly rest: readonly string[];
}

/** Finds the command with the most words. Global options may stand before it. @throws UsageError */
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

/** Whether a line asks for help, however wrong the rest of it is. */
export function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  const before = end === -1 ? args : args.slice(0, end);
  return before.includes('--help') || before.includes('-h');
}

/** Reads what stands behind a command's name. @throws UsageError */
export function readArguments(
  command: Command,
  rest: readonly string[],
): { readonly parameters: readonly string[]; readonly options: Call['options'] } {
  const { values, positionals } = parse(command, rest);
  for (const [name, spec] of Object.entries(command.options)) {
    const value = values[name];
    if (spec.choices && typeof value === 'string' && !spec.choices.includes(value)) {
      throw new UsageError(`--${name} takes one of: ${spec.choices.join(', ')}`);
    }
  }
  const required = command.parameters.filter((parameter) => !parameter.startsWith('['));
  if (positionals.length < required.length) {
    throw new UsageError(`${command.name} needs ${required[positionals.length]}; see rollcall ${command.name} --help`);
  }
  if (positionals.length > command.parameters.length) {
    // Without quoting it: it may be a password that somebody hoped to pass this way.
    const taken = command.parameters.length === 0 ? 'takes no arguments' : `takes ${command.parameters.join(' ')} only`;
    throw new UsageError(`${command.name} ${taken}; see rollcall ${command.name} --help`);
  }
  return { parameters: positionals, options: values as Call['options'] };
}

function parse({ name, options }: Command, rest: readonly string[]) {
  try {
    return parseArgs({ args: [...rest], options: parserOptions(options), allowPositionals: true });
  } catch (error) {
    // Its first sentence says what is wrong, and names the option without its value.
    const sentence = (error as Error).message.split(/[.\n]\s/, 1)[0]!.replace(/\.$/, '');
    throw new UsageError(`${sentence}; see rollcall ${name} --help`);
  }
}

function parserOptions(options: Options) {
  const all = Object.entries<OptionSpec>({ ...options, ...GLOBAL_OPTIONS });
  return Object.fromEntries(all.map(([name, { type, multiple = false }]) => [name, { type, multiple }]));
}

/** A positive whole number, from an option. @throws UsageError */
export function readCount(option: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError(`--${option} takes a whole number above 0`);
}

/** The help of one command. */
export function describeCommand({ name, parameters, summary, details, options, examples }: Command): string {
  const usage = ['rollcall', name, ...parameters, ...(Object.keys(options).length > 0 ? ['[options]'] : [])].join(' ');
  const sections = [`${capital(summary)}.`, indent([usage]), details.trim()];
  if (Object.keys(options).length > 0) sections.push(`Options\n${indent(describeOptions(options))}`);
  sections.push(`Everywhere\n${indent(describeOptions(GLOBAL_OPTIONS))}`);
  if (examples.length > 0) sections.push(`Examples\n${indent(examples.map((example) => `rollcall ${example}`))}`);
  return sections.filter((section) => section !== '').join('\n\n');
}

/** A line for each command. */
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
