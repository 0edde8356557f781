/** Draws the results of a benchmark as bars, in SVG for the docs: `node test/bench/chart.ts docs RESULTS.json ...`. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Results, SyncRow } from './benchmark.ts';

interface Bar {
  readonly label: string;
  readonly value: number;
  /** Drawn in another colour: the other bars are compared with this one. */
  readonly isBase?: boolean;
}

const WIDTH = 720;
const LABEL_WIDTH = 250;
const BAR_HEIGHT = 22;
const GAP = 10;
const TOP = 46;
const INK = '#1f2937';
const OURS = '#2563eb';
const BASE = '#9ca3af';

function draw(title: string, unit: string, bars: readonly Bar[]): string {
  const height = TOP + bars.length * (BAR_HEIGHT + GAP) + 8;
  const most = Math.max(...bars.map(({ value }) => value));
  const scale = (WIDTH - LABEL_WIDTH - 110) / most;
  const rows = bars.map(({ label, value, isBase }, index) => {
    const y = TOP + index * (BAR_HEIGHT + GAP);
    const middle = y + BAR_HEIGHT / 2 + 5;
    const width = Math.max(1, value * scale).toFixed(1);
    const shown = value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(2);
    return `<text x="${LABEL_WIDTH - 10}" y="${middle}" text-anchor="end">${label}</text>
<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" fill="${isBase ? BASE : OURS}"/>
<text x="${LABEL_WIDTH + Number(width) + 8}" y="${middle}">${shown} ${unit}</text>`;
  });
  const text = `font-family="system-ui, sans-serif" font-size="14" fill="${INK}"`;
  const frame = `viewBox="0 0 ${WIDTH} ${height}" ${text} role="img" aria-label="${title}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${frame}>
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
<text x="12" y="27" font-size="16" font-weight="600">${title}</text>
${rows.join('\n')}
</svg>
`;
}

const [folder, ...files] = process.argv.slice(2);
if (folder === undefined || files.length === 0) {
  console.error('usage: node test/bench/chart.ts FOLDER RESULTS.json ...');
  process.exit(2);
}
const results = await Promise.all(files.map(async (file) => JSON.parse(await readFile(file, 'utf8')) as Results));
const sync = results.flatMap(({ sync }) => sync);
const logins = results.flatMap(({ logins }) => logins);

const people = Math.max(...sync.map((row) => row.people));
const reading = sync.filter((row) => row.people === people && /^(?:nothingChanged|readLdapOrg)$/u.test(row.workload));
const nameOf = ({ workload, store }: SyncRow): string =>
  workload === 'readLdapOrg' ? 'Backstage readLdapOrg' : `nothing changed, ${store} store`;
const drains = reading.map(({ baseMs }) => baseMs);
const count = people.toLocaleString('en-US');
await writeFile(
  join(folder, 'benchmarks-reading.svg'),
  draw(`Time to read ${count} people`, 'ms', [
    { label: 'ldapsearch', value: drains.reduce((sum, ms) => sum + ms, 0) / drains.length, isBase: true },
    ...reading.map((row) => ({ label: nameOf(row), value: row.wallMs, isBase: row.store === 'none' })),
  ]),
);
await writeFile(
  join(folder, 'benchmarks-memory.svg'),
  draw(
    `Peak memory when reading ${count} people`,
    'MB',
    reading.map((row) => ({ label: nameOf(row), value: row.peakMb, isBase: row.store === 'none' })),
  ),
);
const LOGINS: Readonly<Record<string, string>> = {
  raw: 'bare bind + one GetItem',
  directory: 'directory user, known source',
  newSource: 'directory user, new source',
  'ldap-authentication': 'ldap-authentication (no database)',
  'ldapauth-fork': 'ldapauth-fork (no database)',
  'passport-ldapauth': 'passport-ldapauth (no database)',
};
const OWN_LOGINS = new Set(['directory', 'newSource']);
await writeFile(
  join(folder, 'benchmarks-login.svg'),
  draw(
    'Median time of a login, warm connections',
    'ms',
    logins
      .filter(({ login }) => login in LOGINS)
      .map(({ login, p50Ms }) => ({ label: LOGINS[login]!, value: p50Ms, isBase: !OWN_LOGINS.has(login) })),
  ),
);
