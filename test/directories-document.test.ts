/** docs/directories.md says of every server what the tests show: no cell is empty, and no line names a missing test. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VENDOR_FACTS } from '../lib/ldap/vendor.ts';
import { VENDORS } from '../lib/settings/settings.ts';
import { BEHAVIOURS } from './contract/directory-behaviour.ts';

const SERVERS = ['OpenLDAP', '389 Directory Server', 'Samba Active Directory', 'ApacheDS'] as const;
const PRODUCTS = ['openldap', 'ds389', 'samba', 'apacheds'] as const;

const read = (path: string): string => readFileSync(join(import.meta.dirname, path), 'utf8');
const document = read('../docs/directories.md');

/** The rows of the first table below a heading, as cells: the header first, without the rule below it. */
function tableBelow(heading: string): string[][] {
  const text = document.slice(document.indexOf(`\n${heading}\n`));
  const lines = text.slice(text.indexOf('\n|') + 1).split('\n');
  const end = lines.findIndex((line) => !line.startsWith('|'));
  const rows = lines.slice(0, end).map((line) =>
    line
      .slice(1, -1)
      .split(' | ')
      .map((cell) => cell.trim()),
  );
  return rows.filter((_row, index) => index !== 1);
}

/** The names of the tests in each `describe` of a file, by the server it names, or by its `each`. */
function testsOf(path: string): ReadonlyMap<string, readonly string[]> {
  const [, ...blocks] = read(path).split(/\bdescribe\b/);
  return new Map(
    blocks.map((block) => {
      const head = block.slice(0, block.indexOf('=>'));
      const names = [...block.matchAll(/\btest\(\s*'([^']+)'/g)].map(([, name]) => name!);
      return [SERVERS.find((server) => head.includes(`'${server}'`)) ?? head.split('(', 2)[1]!, names];
    }),
  );
}

const isReason = (cell: string): boolean => /^n\/a: \S.{9,}/.test(cell);

describe.each(['## Conformance', '### Vendors', '### Why a login is rejected'])('the table below %s', (heading) => {
  const [header, ...rows] = tableBelow(heading);

  test('has a column for each server and no empty cell', () => {
    expect(header).toEqual(['behaviour', ...SERVERS]);
    expect(rows.length).toBeGreaterThan(2);
    expect(rows.filter((row) => row.length !== header!.length || row.includes(''))).toEqual([]);
    expect(rows.flat().filter((cell) => /^n\/?a\b/i.test(cell) && !isReason(cell))).toEqual([]);
  });
});

test('every behaviour of the contract is a line, with the reason where a server can not show it', () => {
  const [, ...rows] = tableBelow('## Conformance');

  expect(rows).toEqual(
    BEHAVIOURS.map(({ name, notApplicable }) => [
      name,
      ...PRODUCTS.map((product) => {
        const reason = notApplicable?.[product];
        return reason === undefined ? 'yes' : `n/a: ${reason}`;
      }),
    ]),
  );
});

test('every line on vendors is a test that runs on each server', () => {
  const [, ...rows] = tableBelow('### Vendors');

  expect(rows.map(([name]) => name)).toEqual(testsOf('contract/vendor.test.ts').get('SERVERS)'));
  expect(new Set(rows.flatMap(([, ...cells]) => cells))).toEqual(new Set(['yes']));
});

test('every line on logins is a test of the servers that it is not "n/a" for, and every such test is a line', () => {
  const [, ...rows] = tableBelow('### Why a login is rejected');
  const tests = testsOf('integration/login-reasons.test.ts');

  const told = SERVERS.map((_server, index) => rows.filter((row) => !isReason(row[index + 1]!)).map(([name]) => name!));

  expect(told.map((names) => names.toSorted())).toEqual(SERVERS.map((server) => tests.get(server)!.toSorted()));
});

test('the table of vendors has the filters that are offered', () => {
  for (const vendor of VENDORS) {
    const { presets, statusAttributes } = VENDOR_FACTS[vendor];
    const line = document
      .split('\n')
      .find((text) => text.startsWith(`| \`${vendor}\``))!
      .replaceAll('\\|', '|');

    expect(line).toContain(`\`${presets.scope.filter}\``);
    if (vendor !== 'unknown' && vendor !== 'apacheDs') {
      for (const attribute of statusAttributes) expect(line).toContain(attribute);
    }
  }
});
