/** Completion scripts for shells, made from the descriptions of the commands. Knows no command in particular. */
import { defineCommand, GLOBAL_OPTIONS, type Command, type OptionSpec } from './command.ts';
import { EXIT, UsageError } from './exit.ts';

/**
 * The function that both shells call. Its arguments are the words before the current one; it prints the words that may
 * follow, and FILES where any file may.
 */
function describeCandidates(commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name);
  const prefixes = new Set(
    names.flatMap((name) => name.split(' ').map((_, end, words) => words.slice(0, end + 1).join(' '))),
  );
  const entered = [...prefixes].map((prefix) => `'${prefix.includes(' ') ? prefix : ` ${prefix}`}'`).join('|');
  return `_rollcall_candidates() {
  local name= before= word
  for word in "$@"; do
    before=$word
    case "$name $word" in (${entered}) name="\${name:+$name }$word" ;; esac
  done
  case "$name $before" in
${commands.flatMap(describeValues).join('\n')}
  esac
  case "$name" in
${['', ...prefixes].map((name) => `    ('${name}') echo '${followers(commands, name).join(' ')}' ;;`).join('\n')}
  esac
}`;
}

/** A case for each option with a value: the values that may follow it. */
function describeValues({ name, options }: Command): string[] {
  const all = Object.entries<OptionSpec>({ ...options, ...GLOBAL_OPTIONS });
  return all
    .filter(([, { type }]) => type === 'string')
    .map(([option, { value, choices = value === 'FILE' ? ['FILES'] : [] }]) => {
      return `    ('${name} --${option}') echo '${choices.join(' ')}'; return ;;`;
    });
}

function followers(commands: readonly Command[], name: string): string[] {
  const longer = commands.map((command) => command.name).filter((other) => name === '' || other.startsWith(`${name} `));
  const next = longer.map((other) => other.slice(name === '' ? 0 : name.length + 1).split(' ')[0]!);
  const command = commands.find((candidate) => candidate.name === name);
  const options = Object.keys({ ...command?.options, ...GLOBAL_OPTIONS }).map((option) => `--${option}`);
  const values = (command?.parameters ?? []).flatMap((parameter) => {
    if (parameter.includes('FILE')) return ['FILES'];
    return parameter.includes('|') ? parameter.split('|') : [];
  });
  return [...new Set(next), ...values, ...options];
}

const SCRIPTS = {
  bash: (candidates: string) => `# Completion of rollcall for bash. Load it with: source <(rollcall completion bash)
${candidates}
_rollcall() {
  local current=\${COMP_WORDS[COMP_CWORD]} found
  found=$(_rollcall_candidates "\${COMP_WORDS[@]:1:COMP_CWORD-1}")
  COMPREPLY=($(compgen -W "\${found/FILES/}" -- "$current"))
  case "$found" in (*FILES*) compopt -o filenames; COMPREPLY+=($(compgen -f -- "$current")) ;; esac
}
complete -F _rollcall rollcall
`,
  zsh: (candidates: string) => `#compdef rollcall
# Completion of rollcall for zsh. Load it with: source <(rollcall completion zsh), after compinit
${candidates}
_rollcall() {
  local found=$(_rollcall_candidates "\${(@)words[2,CURRENT-1]}")
  compadd -- \${=found/FILES/}
  case "$found" in (*FILES*) _files ;; esac
}
compdef _rollcall rollcall
`,
};

/** @param commands gives all commands when this one runs, for it is one of them itself */
export function makeCompletion(commands: () => readonly Command[]): Command {
  return defineCommand({
    name: 'completion',
    parameters: ['bash|zsh'],
    summary: 'print the completion script for a shell',
    details: `
To load it once: source <(rollcall completion bash). To load it in every shell, add that line to ~/.bashrc or
~/.zshrc. If you start the program with npx, add: alias rollcall='npx rollcall'.`,
    options: {},
    examples: ['completion bash'],
    async run({ parameters: [shell = ''], terminal }) {
      if (shell !== 'bash' && shell !== 'zsh') throw new UsageError('the shell must be bash or zsh');
      const script = SCRIPTS[shell](describeCandidates(commands()));
      terminal.result({ shell, script }, () => terminal.print(script.trimEnd().split('\n')));
      return EXIT.done;
    },
  });
}
