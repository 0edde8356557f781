/**
 * Which file imports which, as the compiler sees it, and which of Node's modules a bundle carries, as the bundler sees
 * it. Knows no rule about either.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { build } from 'esbuild';

export const ROOT = path.join(import.meta.dirname, '..', '..');

/** One import, type-only ones included. Both paths are relative to the root; a package's target is its name. */
export interface Import {
  readonly file: string;
  readonly target: string;
}

const COMPILER = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
const REASON = /^ {3}Imported via (?<quote>['"])(?<specifier>.+?)\k<quote> from file '(?<file>.+?)'/u;

/**
 * Every import of the projects' own files, static, dynamic and type-only, as `tsc --explainFiles` tells it. Node's own
 * modules are not among them: they have no file.
 */
export function readImports(projects: readonly string[]): readonly Import[] {
  return projects.flatMap((project) => {
    const explained = execFileSync(process.execPath, [COMPILER, '-p', project, '--noEmit', '--explainFiles'], {
      cwd: ROOT,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    return importsIn(explained);
  });
}

function importsIn(explained: string): Import[] {
  const imports: Import[] = [];
  let target = '';
  for (const line of explained.split('\n')) {
    if (line !== '' && !line.startsWith(' ')) target = line;
    const { specifier, file } = REASON.exec(line)?.groups ?? {};
    if (specifier === undefined || file === undefined || file.includes('node_modules')) continue;
    imports.push({ file, target: specifier.startsWith('.') ? target : packageOf(specifier) });
  }
  return imports;
}

function packageOf(specifier: string): string {
  const [first, second] = specifier.split('/');
  return specifier.startsWith('@') ? `${first}/${second}` : first!;
}

/** What each file that the entries reach imports at run time: files by path, packages and Node's modules by name. */
export async function readRunTimeImports(entries: readonly string[]): Promise<readonly Import[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [...entries],
    bundle: true,
    metafile: true,
    write: false,
    outdir: 'unused',
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
  });
  return Object.entries(metafile.inputs).flatMap(([file, { imports }]) =>
    imports.map((one) => ({
      file,
      target: one.external && !one.path.startsWith('node:') ? packageOf(one.path) : one.path,
    })),
  );
}

/** Files that import each other in a circle, one circle for each way back that a walk meets. */
export function findCircles(imports: readonly Import[]): readonly (readonly string[])[] {
  const targets = Map.groupBy(imports, ({ file }) => file);
  const circles: string[][] = [];
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at !== -1) circles.push([...path.slice(at), file]);
    if (at !== -1 || done.has(file)) return;
    for (const { target } of targets.get(file) ?? []) walk(target, [...path, file]);
    done.add(file);
  };
  for (const file of targets.keys()) walk(file, []);
  return circles;
}
