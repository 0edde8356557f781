/** How the program ends. Knows no command. */

/** Exit codes, for scripts. `rollcall --help` explains them. */
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

/** A command line that can't be carried out. The message is one line and never quotes what may be a password. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
