/** The documents hold together: links within the repository resolve, and the index of the decisions is complete. */
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');
const DECISIONS = 'docs/decisions';
const SECTIONS = ['Context', 'Decision', 'Alternatives', 'Consequences', 'What would change it'];

const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

const documents = ['', '.github/'].flatMap((folder) =>
  globSync(`${folder}**/*.md`, {
    cwd: ROOT,
    exclude: (name) => /(?:^|\/)(?:node_modules|cdk\.out|coverage|sandbox)(?:\/|$)/u.test(name),
  }),
);

/** The text without blocks of code, whose lines may look like headings or links. */
function withoutCode(text: string): string {
  return text.replaceAll(/^( *)(```|~~~)[^]*?^\1\2$/gmu, '');
}

/** The anchors that GitHub gives the headings of a document. */
function anchorsOf(text: string): string[] {
  const taken = new Map<string, number>();
  return [...withoutCode(text).matchAll(/^#{1,6} +(.+?) *#*$/gmu)].map(([, heading]) => {
    const plain = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/gu, '$1');
    const slug = plain
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
      .replaceAll(' ', '-');
    const earlier = taken.get(slug) ?? 0;
    taken.set(slug, earlier + 1);
    return earlier === 0 ? slug : `${slug}-${earlier}`;
  });
}

/** Links and images of a document, inline and as references, that name no other host. */
function linksOf(text: string): string[] {
  const prose = withoutCode(text).replaceAll(/(`+)[^`][^]*?\1/gu, '');
  const inline = [...prose.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/gu)];
  const references = [...prose.matchAll(/^\[[^\]]+\]: +<?([^\s>]+)/gmu)];
  return [...inline, ...references].map(([, target]) => target!).filter((target) => !/^[a-z][a-z+.-]*:/iu.test(target));
}

/** The links of a document, as if it were at this place, to files or headings that do not exist. */
function brokenLinks(file: string, text: string): string[] {
  return linksOf(text).filter((link) => {
    const [target, anchor] = link.split('#', 2) as [string, string?];
    const linked = target === '' ? file : path.join(path.dirname(file), decodeURIComponent(target));
    if (linked === file) return anchor !== undefined && !anchorsOf(text).includes(anchor);
    if (linked.startsWith('..') || !existsSync(path.join(ROOT, linked))) return true;
    if (anchor === undefined) return false;
    return statSync(path.join(ROOT, linked)).isDirectory() || !anchorsOf(read(linked)).includes(anchor);
  });
}

describe('links', () => {
  test('the documents are found at all', () => {
    expect(documents).toEqual(
      expect.arrayContaining(['README.md', 'docs/decisions/README.md', '.github/pull_request_template.md']),
    );
  });

  test.each(documents)('of %s lead to files and headings that exist', (file) => {
    expect(brokenLinks(file, read(file))).toEqual([]);
  });

  test('that are broken are found, in every form', () => {
    const text = `
# A heading, with *marks* & \`code\`
## Twice
## Twice
[a](api.md) [b](api.md#no-such-heading) [c](#a-heading-with-marks--code) [d](#twice-1) [e](#twice-2) [f](nowhere.md)
![g](nowhere.svg "title") [h](../../outside.md) [i](decisions/) [j](https://example.com/nowhere) \`[k](code.md)\`
[l](../lib#folder)

\`\`\`
[m](block.md)
## Block
\`\`\`
[n](#block) [o][reference]

[reference]: no-reference.md
`;
    expect(brokenLinks('docs/invented.md', text)).toEqual([
      'api.md#no-such-heading',
      '#twice-2',
      'nowhere.md',
      'nowhere.svg',
      '../../outside.md',
      '../lib#folder',
      '#block',
      'no-reference.md',
    ]);
  });
});

describe('decisions', () => {
  const decisions = globSync(`${DECISIONS}/[0-9]*.md`, { cwd: ROOT }).toSorted();

  test('are numbered without a gap', () => {
    const numbers = decisions.map((file) => Number(/\/(\d{4})-[a-z0-9-]+\.md$/u.exec(file)?.[1]));
    expect(numbers.length).toBeGreaterThan(9);
    expect(numbers).toEqual(numbers.map((_number, index) => index + 1));
  });

  test('are in the index, with title and status', () => {
    const rows = decisions.map((file) => {
      const [, title] = /^# (.+)$/mu.exec(read(file))!;
      const [, status] = /^Status: (.+), \d{4}-\d{2}-\d{2}$/mu.exec(read(file)) ?? [];
      return `| [${title}](${path.basename(file)}) | ${status} |`;
    });
    const index = read(`${DECISIONS}/README.md`).split('\n');
    expect(index.filter((line) => line.startsWith('| ['))).toEqual(rows);
  });

  test.each([...decisions, `${DECISIONS}/template.md`])('%s has the sections of the template', (file) => {
    const text = read(file);
    expect(text).toMatch(/^# (?:\d+|N)\. .+\n\nStatus: (?:proposed|accepted|replaced by decision \d+), \S+\n/u);
    const sections = [...text.matchAll(/^## (.+)$/gmu)].map(([, heading]) => heading!);
    expect(sections).toEqual(
      SECTIONS.filter((section) => section !== 'Alternatives' || sections.includes('Alternatives')),
    );
  });
});

test('the files that the mutation tests change exist', () => {
  const { mutate } = JSON.parse(read('mutation/stryker.config.json')) as { readonly mutate: readonly string[] };
  expect(mutate.filter((pattern) => globSync(pattern, { cwd: ROOT }).length === 0)).toEqual([]);
});
