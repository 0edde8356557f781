/**
 * Prints results and asks questions. Results go to standard output; questions, notes and progress to standard error, so
 * that results can be piped. Control characters, which a directory may contain, are shown as escapes. Knows no command.
 */
import { text as readAll } from 'node:stream/consumers';
import { styleText } from 'node:util';
import { type CANCEL_SYMBOL, confirm, isCancel, password, text } from '@clack/prompts';
import { UsageError } from './exit.ts';

type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red';

export type Cell = string | { readonly text: string; readonly style: Style };

export interface Terminal {
  /** Whether questions can be asked. */
  readonly isInteractive: boolean;
  /** Prints a result: the document with --json, else by `show`. */
  result(document: unknown, show: () => void): void;
  print(lines?: string | readonly string[], style?: Style): void;
  table(header: readonly string[], rows: readonly (readonly Cell[])[]): void;
  /** Prints a line that is not part of the result. Prints nothing with --json. */
  note(line: string): void;
  /** Prints an error: the lines, or the document with --json. */
  complain(document: unknown, lines: readonly string[]): void;
  /** @param option that gives the answer without a question. @throws UsageError without a terminal, Interrupted */
  ask(question: string, option: string, proposal?: string): Promise<string>;
  /**
   * A password: typed hidden; or, if standard input is not a terminal, all of it without its last line break.
   * @param repeat whether it must be typed twice. @throws UsageError, Interrupted
   */
  askSecret(question: string, repeat?: boolean): Promise<string>;
  /**
   * The current password and a new one, which is typed twice; or two lines of standard input if that is not a terminal.
   * @throws UsageError, Interrupted
   */
  askNewSecret(): Promise<{ readonly current: string; readonly replacement: string }>;
  /** @throws UsageError without a terminal, Interrupted */
  confirm(question: string): Promise<boolean>;
  /** A line that is rewritten in place. Prints nothing if standard error is not a terminal. */
  readonly progress: {
    show(line: string): void;
    clear(): void;
  };
}

/** The user pressed Ctrl+C or Ctrl+D. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

const NO_TERMINAL = 'cannot ask without a terminal';

// Control characters, which begin terminal escapes; text direction controls; line separators; unpaired surrogates.
const UNPRINTABLE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}]/gu;
const WIDE = new RegExp(
  String.raw`\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f]` +
    String.raw`|[\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]`,
  'u',
);
const GRAPHEMES = new Intl.Segmenter();

export function createTerminal(json: boolean): Terminal {
  const { stdin, stdout, stderr } = process;
  const common = { input: stdin, output: stderr, withGuide: false };

  function style(content: string, wanted: Style | undefined, stream: NodeJS.WriteStream): string {
    // styleText heeds NO_COLOR, and whether the stream is a terminal.
    return wanted === undefined ? content : styleText(wanted, content, { stream });
  }

  function print(lines: string | readonly string[] = '', wanted?: Style): void {
    for (const line of [lines].flat()) stdout.write(`${style(printable(line), wanted, stdout)}\n`);
  }

  async function answered<T>(asked: Promise<T | typeof CANCEL_SYMBOL>): Promise<T> {
    // Ctrl+D closes the input: no answer will come, and Node runs out of work.
    const { promise: closed, reject } = Promise.withResolvers<never>();
    const giveUp = (): void => reject(new Interrupted());
    process.once('beforeExit', giveUp);
    try {
      const answer = await Promise.race([asked, closed]);
      if (isCancel(answer)) throw new Interrupted();
      return answer;
    } finally {
      process.off('beforeExit', giveUp);
    }
  }

  // Questions are shown on standard error and answered on standard input.
  const isInteractive = stdin.isTTY && stderr.isTTY;
  const showsProgress = stderr.isTTY && !json;

  async function askSecret(question: string, repeat = false): Promise<string> {
    if (!stdin.isTTY) {
      const piped = (await readAll(stdin)).replace(/\r?\n$/, '');
      if (piped === '') throw new UsageError('no password on standard input');
      return piped;
    }
    if (!isInteractive) throw new UsageError(`${NO_TERMINAL}; pass the password on standard input`);
    const validate = (typed: string | undefined) => (typed ? undefined : 'Enter a password.');
    const first = await answered(password({ ...common, message: question, validate }));
    if (!repeat) return first;
    const again = (typed: string | undefined) => (typed === first ? undefined : 'The passwords differ.');
    return await answered(password({ ...common, message: 'Repeat the password', validate: again, clearOnError: true }));
  }

  return {
    isInteractive,
    print,
    result(document, show) {
      if (json) stdout.write(`${toJson(document, 2)}\n`);
      else show();
    },
    table(header, rows) {
      const cells = [header.map((name): Cell => ({ text: name, style: 'bold' })), ...rows].map((row) =>
        row.map((cell) => {
          const { text: content, style: wanted } = typeof cell === 'string' ? { text: cell } : cell;
          const shown = printable(content);
          return { shown, width: widthOf(shown), styled: style(shown, wanted, stdout) };
        }),
      );
      const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]?.width ?? 0)));
      for (const row of cells) {
        const line = row.map(({ styled, width }, column) => styled + ' '.repeat(widths[column]! - width)).join('  ');
        stdout.write(`${line.trimEnd()}\n`);
      }
    },
    note(line) {
      if (!json) stderr.write(`${style(printable(line), 'dim', stderr)}\n`);
    },
    complain(document, [first = '', ...lines]) {
      const shown = `${style('rollcall:', 'red', stderr)} ${[first, ...lines].map(printable).join('\n')}`;
      stderr.write(`${json ? toJson(document) : shown}\n`);
    },
    async ask(question, option, proposal) {
      if (!isInteractive) throw new UsageError(`${NO_TERMINAL}; pass ${option}`);
      const validate = (typed: string | undefined) => (typed?.trim() ? undefined : 'Enter a value.');
      const initial = proposal === undefined ? {} : { initialValue: proposal };
      return (await answered(text({ ...common, message: question, validate, ...initial }))).trim();
    },
    askSecret,
    async askNewSecret() {
      if (stdin.isTTY) {
        const current = await askSecret('Current password');
        return { current, replacement: await askSecret('New password', true) };
      }
      const [current = '', replacement = '', ...more] = (await readAll(stdin)).replace(/\r?\n$/, '').split(/\r?\n/);
      if (current !== '' && replacement !== '' && more.length === 0) return { current, replacement };
      throw new UsageError('expected two lines on standard input: the current password and the new one');
    },
    async confirm(question) {
      if (!isInteractive) throw new UsageError(`${NO_TERMINAL}; pass --yes to confirm`);
      return await answered(confirm({ ...common, message: printable(question), initialValue: false }));
    },
    progress: {
      show(line) {
        // A line that wraps could not be rewritten.
        if (showsProgress) stderr.write(`\r${line.slice(0, (stderr.columns || 80) - 1)}\u001B[K`);
      },
      clear() {
        if (showsProgress) stderr.write('\r\u001B[K');
      },
    },
  };
}

/** Text for a terminal, as one line without control sequences. */
function printable(content: string): string {
  return content.replace(UNPRINTABLE, escapeCharacter);
}

/** JSON does not escape DEL and C1 controls (RFC 8259, section 7), which terminals obey. */
function toJson(document: unknown, indentation = 0): string {
  return JSON.stringify(document, null, indentation).replaceAll(/[\u007F-\u009F]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`;
}

/** The width of a text on a terminal, in columns. */
function widthOf(content: string): number {
  return Array.from(GRAPHEMES.segment(content)).reduce((sum, { segment }) => sum + (WIDE.test(segment) ? 2 : 1), 0);
}
