import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const HOUSES = ['lib', 'functions', 'openapi', 'cdk', 'local', 'cli', 'examples', 'test'] as const;

interface Import {
  readonly file: string;
  readonly target: string;
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

/** Static, dynamic, re-exporting and type-only imports; relative ones as paths from the root. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const targets = [...text.matchAll(/(?:from|import\(|^import)\s*['"]([^'"\n]+)['"]/gmu)].map((match) => match[1]!);
  return targets.map((target) => ({
    file,
    target: target.startsWith('.') ? normalize(join(dirname(file), target)) : target,
  }));
}

const files = HOUSES.flatMap(sources);
const imports = files.flatMap(importsOf);

/** Imports made in files that match, to targets that do not match any of the allowed ones. */
function illegal(from: RegExp, allowed: readonly RegExp[]): string[] {
  return imports
    .filter(({ file, target }) => from.test(file) && !allowed.some((pattern) => pattern.test(target)))
    .map(({ file, target }) => `${file} imports ${target}`);
}

// What an IP address looks like is knowledge of text, wherever Node keeps it.
const isNoAddressCheck = (fault: string): boolean => fault !== 'lib/settings-schema.ts imports node:net';

const CORE = /^lib\/[^/]+\.ts$/u;
const BUILT_IN = /^node:/u;

describe('the import rules of docs/architecture.md', () => {
  test('the sources are found at all', () => {
    expect(files.length).toBeGreaterThan(30);
    expect(imports.length).toBeGreaterThan(100);
  });

  test('files directly in lib/ know neither AWS nor LDAP nor the network', () => {
    expect(illegal(CORE, [CORE, /^zod(?:\/mini)?$/u, /^node:crypto$/u]).filter(isNoAddressCheck)).toEqual([]);
  });

  test('lib/ldap/ is the only place that knows ldapts', () => {
    expect(illegal(/^lib\/ldap\//u, [CORE, /^lib\/ldap\//u, /^ldapts$/u, BUILT_IN])).toEqual([]);
    const others = imports.filter(
      ({ file, target }) => target.startsWith('ldapts') && !/^(?:lib\/ldap|test)\//u.test(file),
    );
    expect(others).toEqual([]);
  });

  test('lib/aws/ is the only place in the product that knows the AWS SDK', () => {
    expect(illegal(/^lib\/aws\//u, [CORE, /^lib\/aws\//u, /^@aws-sdk\//u, /^@smithy\//u, BUILT_IN])).toEqual([]);
    const others = imports.filter(
      ({ file, target }) =>
        /^@(?:aws-sdk|smithy)\//u.test(target) && !/^(?:lib\/aws|local|examples|test)\//u.test(file),
    );
    expect(others).toEqual([]);
  });

  test('environment.ts, which the stack shares with the functions, imports nothing', () => {
    expect(importsOf('lib/aws/environment.ts')).toEqual([]);
  });

  test('functions/ joins lib/ with the middleware of Lambda and nothing else', () => {
    const allowed = [/^functions\//u, /^lib\//u, /^@middy\//u, /^@aws-lambda-powertools\//u, /^aws-lambda$/u, BUILT_IN];
    expect(illegal(/^functions\//u, allowed)).toEqual([]);
  });

  test('openapi/ describes what validates, and is no part of what is deployed', () => {
    const allowed = [/^openapi\//u, CORE, /^functions\/http\.ts$/u, /^zod$/u, /^zod-openapi$/u, /^yaml$/u, BUILT_IN];
    expect(illegal(/^openapi\//u, allowed)).toEqual([]);
    const others = imports.filter(({ file }) => !/^(?:openapi|test)\//u.test(file));
    expect(others.filter(({ target }) => /^(?:openapi\/|zod-openapi|yaml)/u.test(target))).toEqual([]);
  });

  test('cdk/ imports nothing of the product but the names it shares with it', () => {
    const allowed = [
      /^cdk\//u,
      /^lib\/aws\/environment\.ts$/u,
      /^aws-cdk-lib/u,
      /^constructs$/u,
      /^cdk-nag$/u,
      /^esbuild$/u,
      BUILT_IN,
    ];
    expect(illegal(/^cdk\//u, allowed)).toEqual([]);
  });

  test('cli/ knows the product by its API alone', () => {
    expect(illegal(/^cli\//u, [/^cli\//u, /^@clack\/prompts$/u, BUILT_IN])).toEqual([]);
    expect(imports.filter(({ file, target }) => target.startsWith('cli/') && !file.startsWith('cli/'))).toEqual([]);
  });

  test('examples/ are what somebody else would write: public libraries, and nothing of ours', () => {
    expect(illegal(/^examples\//u, [/^@aws-sdk\//u, /^aws-lambda$/u, BUILT_IN])).toEqual([]);
    expect(imports.filter(({ file, target }) => target.startsWith('examples/') && !file.startsWith('test/'))).toEqual(
      [],
    );
  });

  test('nothing that is deployed imports local/, cdk/ or test/', () => {
    const deployed = imports.filter(({ file }) => /^(?:lib|functions)\//u.test(file));
    expect(deployed.filter(({ target }) => /^(?:local|cdk|test)\//u.test(target))).toEqual([]);
    expect(imports.filter(({ file, target }) => target.startsWith('test/') && !file.startsWith('test/'))).toEqual([]);
  });

  test('the login and the synchronisation carry no schema library and no router', () => {
    const reached = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      if (!file.startsWith('lib/') && !file.startsWith('functions/')) return;
      const text = readFileSync(join(ROOT, file), 'utf8');
      const typeOnly = new Set([...text.matchAll(/import type [^;]*from '([^']+)'/gu)].map((match) => match[1]!));
      for (const match of text.matchAll(/from '([^']+)'/gu)) {
        if (typeOnly.has(match[1]!) && !new RegExp(`import \\{[^;]*from '${match[1]!}'`, 'u').test(text)) continue;
        visit(match[1]!.startsWith('.') ? normalize(join(dirname(file), match[1]!)) : match[1]!);
      }
    };
    visit('functions/auth.ts');
    visit('functions/sync.ts');
    const carried = [...reached].filter((target) => /^(?:zod|@middy)/u.test(target));
    expect(carried, [...reached].map((file) => relative('.', file)).join('\n')).toEqual([]);
  });

  test('no file has a default export, except configurations that tools read', () => {
    const offenders = files.filter((file) => /^export default/mu.test(readFileSync(join(ROOT, file), 'utf8')));
    expect(offenders).toEqual([]);
  });
});
