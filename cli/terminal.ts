/**
 * What people see and type. Results go to standard output; questions, notes and progress to standard error, so that results can
 * be piped. What comes from a directory is shown without its control characters. Knows no command.
 */
import { text as readAll } from 'node:stream/consumers';
import { styleText } from 'node:util';
import { type CANCEL_SYMBOL, confirm, isCancel, password, text } from '@clack/prompts';
import { UsageError } from './command.ts';

type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red';

export type Cell = string | { readonly text: string; readonly style: Style };

export interface Terminal {
  /** Whether somebody is there to be asked. */
  readonly isInteractive: boolean;
  /** Prints a result: the document with --json, else what `show` prints. */
  result(document: unknown, show: () => void): void;
  print(lines?: string | readonly string[], style?: Style): void;
  table(header: readonly string[], rows: readonly (readonly Cell[])[]): void;
  /** Says something that is no result. Not with --json. */
  note(line: string): void;
  /** Says what went wrong: the lines, or the document with --json. */
  complain(document: unknown, lines: readonly string[]): void;
  /** @param missing the option to give where nobody can be asked. @throws UsageError, Interrupted */
  ask(question: string, missing: string, proposal?: string): Promise<string>;
  /**
   * A password: typed unseen, or all of standard input without its last line break where that is no terminal.
   * @param repeat whether whoever types has to do it twice. @throws UsageError, Interrupted
   */
  askSecret(question: string, repeat?: boolean): Promise<string>;
  /**
   * A password and the one to replace it, which is typed twice; two lines of standard input where that is no terminal.
   * @throws UsageError, Interrupted
   */
  askNewSecret(): Promise<{ readonly current: string; readonly replacement: string }>;
  /** @throws UsageError where nobody can be asked, Interrupted */
  confirm(question: string): Promise<boolean>;
  /** A line that is rewritten in place, on a terminal; nothing elsewhere. */
  readonly progress: {
    show(line: string): void;
    clear(): void;
  };
}

/** Whoever was asked has pressed Ctrl+C or Ctrl+D. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

const NOBODY_TO_ASK = 'nobody can be asked here';

// Controls (terminal escapes begin with one), controls of text direction, line separators and halves of characters.
const UNPRINTABLE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}]/gu;
const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]/u;
const GRAPHEMES = new Intl.Segmenter();

export function createTerminal(json: boolean): Terminal {
  const { stdin, stdout, stderr } = process;
  const common = { input: stdin, output: stderr, withGuide: false };

  function style(content: string, wanted: Style | undefined, stream: NodeJS.WriteStream): string {
    // Looks at NO_COLOR, and whether the stream is a terminal.
    return wanted === undefined ? content : styleText(wanted, content, { stream });
  }

  function print(lines: string | readonly string[] = '', wanted?: Style): void {
    for (const line of [lines].flat()) stdout.write(`${style(printable(line), wanted, stdout)}\n`);
  }

  async function answered<T>(asked: Promise<T | typeof CANCEL_SYMBOL>): Promise<T> {
    // Ctrl+D closes the input. Then nobody answers any more, and nothing is left to wait for.
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

  /** Questions need both: without standard error nobody sees them, without standard input nobody answers. */
  const isInteractive = stdin.isTTY && stderr.isTTY;
  const showsProgress = stderr.isTTY && !json;

  async function askSecret(question: string, repeat = false): Promise<string> {
    if (!stdin.isTTY) {
      const piped = (await readAll(stdin)).replace(/\r?\n$/, '');
      if (piped === '') throw new UsageError('a password is expected on standard input');
      return piped;
    }
    if (!isInteractive) throw new UsageError(`${NOBODY_TO_ASK}; pass the password on standard input`);
    const validate = (typed: string | undefined) => (typed ? undefined : 'Please type a password.');
    const first = await answered(password({ ...common, message: question, validate }));
    if (!repeat) return first;
    const again = (typed: string | undefined) => (typed === first ? undefined : 'This is another one.');
    return await answered(password({ ...common, message: 'Once more', validate: again, clearOnError: true }));
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
    async ask(question, missing, proposal) {
      if (!isInteractive) throw new UsageError(`${NOBODY_TO_ASK}; give ${missing}`);
      const validate = (typed: string | undefined) => (typed?.trim() ? undefined : 'Please type something.');
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
      throw new UsageError('two lines are expected on standard input: the current password and the new one');
    },
    async confirm(question) {
      if (!isInteractive) throw new UsageError(`${NOBODY_TO_ASK}; give --yes if you are sure`);
      return await answered(confirm({ ...common, message: printable(question), initialValue: false }));
    },
    progress: {
      show(line) {
        // At most one line: the next one has to find its beginning.
        if (showsProgress) stderr.write(`\r${line.slice(0, (stderr.columns || 80) - 1)}\u001B[K`);
      },
      clear() {
        if (showsProgress) stderr.write('\r\u001B[K');
      },
    },
  };
}

/** Text for a terminal: one line, nothing in it that commands the terminal. */
function printable(content: string): string {
  return content.replace(UNPRINTABLE, escapeCharacter);
}

/** JSON leaves some controls as they are (DEL and C1), which terminals obey. */
function toJson(document: unknown, indentation = 0): string {
  return JSON.stringify(document, null, indentation).replaceAll(/[\u007F-\u009F]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`;
}

/** Columns that a terminal needs for a text. */
function widthOf(content: string): number {
  return Array.from(GRAPHEMES.segment(content)).reduce((sum, { segment }) => sum + (WIDE.test(segment) ? 2 : 1), 0);
}
