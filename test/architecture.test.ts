import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { findCircles, type Import, readImports, readRunTimeImports, ROOT } from './support/import-graph.ts';

const imports = readImports(['.', 'cdk', 'client']);

/** The concept folders of lib/ by their place in the order. The empty name is lib/ itself, below all of them. */
const RANK: Readonly<Record<string, number>> = {
  '': 0,
  user: 1,
  settings: 2,
  directory: 3,
  sync: 4,
  login: 4,
  event: 5,
  administration: 6,
};

/** The concept folder that a file is in; null for files elsewhere. */
function conceptOf(file: string): string | null {
  const [house, folder, name] = file.split('/');
  if (house !== 'lib' || folder === undefined) return null;
  if (name === undefined) return '';
  return folder in RANK ? folder : null;
}

const CONCEPTS = Object.keys(RANK).filter((name) => name !== '');
const CORE = new RegExp(String.raw`^lib/(?:(?:${CONCEPTS.join('|')})/)?[^/]+\.ts$`, 'u');
const TYPES = /^@types\/|^aws-lambda$/u;

/** Imports made in files that match, to targets that do not match any of the allowed ones. */
function illegal(from: RegExp, allowed: readonly RegExp[], among: readonly Import[] = imports): string[] {
  return among
    .filter(({ file, target }) => from.test(file) && !allowed.some((pattern) => pattern.test(target)))
    .map(({ file, target }) => `${file} imports ${target}`);
}

/** Imports of a target in files outside the folders that may have it. */
function strays(target: RegExp, homes: RegExp): string[] {
  return imports.filter((one) => target.test(one.target) && !homes.test(one.file)).map((one) => one.file);
}

function sourcesOf(...folders: string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(?:ts|tsx)$/u.test(name) && !name.includes('node_modules'))
      .map((name) => path.join(folder, name)),
  );
}

const readSource = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

/** Names of environment variables, keys, indexes and metrics. */
const SHARED_WITH_STACK = /^lib\/aws\/(?:environment|metrics)\.ts$/u;

describe('the import rules of docs/architecture.md', () => {
  test('the sources are found at all', () => {
    expect(new Set(imports.map(({ file }) => file)).size).toBeGreaterThan(100);
    expect(imports).toContainEqual({ file: 'lib/user/user.ts', target: 'lib/user/privilege.ts' });
  });

  test('the concept folders of lib/ import in one direction', () => {
    const against = imports.filter(({ file, target }) => {
      const [from, to] = [conceptOf(file), conceptOf(target)];
      return from !== null && to !== null && from !== to && RANK[to]! >= RANK[from]!;
    });
    expect(against.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  test('every folder of lib/ is in the picture of the rooms', () => {
    const picture = readSource('docs/house.svg');
    const folders = readdirSync(path.join(ROOT, 'lib'), { withFileTypes: true }).filter((each) => each.isDirectory());
    const names = folders.map(({ name }) => name);
    // A folder that has no place in the order would be outside every rule.
    expect(names.toSorted()).toEqual([...CONCEPTS, 'aws', 'ldap'].toSorted());
    expect(names.filter((name) => !picture.includes(`>${name}/<`))).toEqual([]);
  });

  test('no two files import each other in a circle', () => {
    expect(findCircles(imports).map((circle) => circle.join(' -> '))).toEqual([]);
  });

  test('the concept folders know neither AWS nor LDAP, and zod in administration/ alone', () => {
    expect(illegal(CORE, [CORE, /^zod$/u])).toEqual([]);
    expect(strays(/^zod$/u, /^(?:lib\/administration|openapi|test)\//u)).toEqual([]);
  });

  test('the concept folders do not touch the network, the file system or a process', async () => {
    const core = sourcesOf('lib').filter((file) => CORE.test(file));
    const carried = await readRunTimeImports(core);
    // Whether a text is an IP address is knowledge of text, wherever Node keeps it.
    const isAddressCheck = (one: string): boolean =>
      /^lib\/(?:ip-address|settings\/server-address)\.ts imports node:net$/u.test(one);
    const found = illegal(CORE, [CORE, /^zod$/u, /^node:(?:crypto|util)$/u], carried);
    expect(found.filter((one) => !isAddressCheck(one))).toEqual([]);
  });

  test('lib/ldap/ is the only place that knows ldapts', () => {
    expect(illegal(/^lib\/ldap\//u, [CORE, /^lib\/ldap\//u, /^ldapts$/u])).toEqual([]);
    expect(strays(/^ldapts$/u, /^(?:lib\/ldap|test)\//u)).toEqual([]);
  });

  test('lib/aws/ is the only place in the product that knows the AWS SDK', () => {
    expect(illegal(/^lib\/aws\//u, [CORE, /^lib\/aws\//u, /^@aws-sdk\//u, /^@smithy\//u])).toEqual([]);
    expect(strays(/^@(?:aws-sdk|smithy)\//u, /^(?:lib\/aws|local|examples|test)\//u)).toEqual([]);
  });

  test('the files that the stack shares with the functions import nothing', () => {
    expect(imports.filter(({ file }) => SHARED_WITH_STACK.test(file))).toEqual([]);
  });

  test('functions/ joins lib/ with the middleware of Lambda and nothing else', () => {
    expect(
      illegal(/^functions\//u, [/^functions\//u, /^lib\//u, /^@middy\//u, /^@aws-lambda-powertools\//u, TYPES]),
    ).toEqual([]);
  });

  test('only the entry points of functions/ read the environment', () => {
    const readers = sourcesOf('functions').filter((file) => /process\.env/u.test(readSource(file)));
    expect(readers.toSorted()).toEqual(
      ['api', 'auth', 'events', 'sync', 'watch'].map((name) => `functions/${name}.ts`),
    );
  });

  test('openapi/ describes what validates, and is no part of what is deployed', () => {
    const allowed = [/^openapi\//u, CORE, /^functions\/http\.ts$/u, /^zod$/u, /^zod-openapi$/u, /^yaml$/u];
    expect(illegal(/^openapi\//u, allowed)).toEqual([]);
    expect(strays(/^(?:openapi\/|zod-openapi|yaml)/u, /^(?:openapi|test)\//u)).toEqual([]);
  });

  test('cdk/ imports nothing of the product but the names it shares with it', () => {
    const allowed = [/^cdk\//u, SHARED_WITH_STACK, /^aws-cdk-lib$/u, /^constructs$/u, /^cdk-nag$/u, /^esbuild$/u];
    expect(illegal(/^cdk\//u, allowed)).toEqual([]);
  });

  test('client/ imports nothing of the product, and cli/ nothing but client/', () => {
    expect(illegal(/^client\//u, [/^client\//u, /^openapi-fetch$/u])).toEqual([]);
    expect(illegal(/^cli\//u, [/^cli\//u, /^client\//u, /^@clack\/prompts$/u])).toEqual([]);
    expect(strays(/^cli\//u, /^cli\//u)).toEqual([]);
  });

  test('examples/ are what somebody else would write: public libraries, and nothing of ours', () => {
    expect(illegal(/^examples\//u, [/^@aws-sdk\//u, TYPES])).toEqual([]);
    expect(strays(/^examples\//u, /^test\//u)).toEqual([]);
  });

  test('nothing that is deployed imports local/, cdk/ or test/', () => {
    expect(strays(/^(?:local|cdk)\//u, /^(?:local|cdk|test)\//u)).toEqual([]);
    expect(strays(/^test\//u, /^test\//u)).toEqual([]);
  });

  test('the login and the synchronisation carry no schema library and no router', async () => {
    const carried = await readRunTimeImports(['functions/auth.ts', 'functions/sync.ts']);
    expect(carried.some(({ target }) => target === 'lib/login/login.ts')).toBe(true);
    expect(carried.filter(({ target }) => /^(?:zod|@middy)/u.test(target))).toEqual([]);
  });
});

describe('the style of docs/architecture.md', () => {
  const sources = sourcesOf('lib', 'functions', 'openapi', 'cdk', 'local', 'client', 'cli', 'examples', 'test');
  const isGenerated = (file: string): boolean => file.startsWith('client/schema');

  test('every file opens with its header, which a sorted import may have left behind', () => {
    const opened = sources.filter((file) => !file.startsWith('test/') && !isGenerated(file));
    expect(opened.filter((file) => !/^(?:#![^\n]*\n)?\/\*\*/u.test(readSource(file)))).toEqual([]);
  });

  test('no file has a default export, except configurations that tools read', () => {
    expect(sources.filter((file) => /^export default/mu.test(readSource(file)))).toEqual([]);
  });

  test('lines end at 120 columns, comments too', () => {
    // The name of a test is one string, and cannot be broken.
    const isName = (line: string): boolean =>
      /^\s*(?:(?:test|describe)\b.*\(|name: )?(?:'[^']*'|`[^`]*`),? ?/u.test(line);
    const isLong = (file: string, line: string): boolean =>
      Array.from(line).length > 120 && !(file.startsWith('test/') && isName(line));
    const long = sources
      .filter((file) => !isGenerated(file))
      .flatMap((file) =>
        readSource(file)
          .split('\n')
          .flatMap((line, index) => (isLong(file, line) ? [`${file}:${index + 1}`] : [])),
      );
    expect(long).toEqual([]);
  });

  test('no source file has more than 400 lines', () => {
    const long = sources
      .filter((file) => !file.startsWith('test/') && !isGenerated(file))
      .filter((file) => readSource(file).split('\n').length > 401);
    expect(long).toEqual([]);
  });
});
