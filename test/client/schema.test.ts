import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { copyGenerator } from '../support/client-generator.ts';

const ROOT = path.join(import.meta.dirname, '../..');

test('client/schema.ts is what docs/openapi.yaml says; if not, run: npm run client', { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'rollcall-client-'));
  try {
    await copyGenerator(path.join(folder, 'client'));
    await cp(path.join(ROOT, 'docs/openapi.yaml'), path.join(folder, 'docs/openapi.yaml'));
    await promisify(execFile)('npm', ['run', 'generate'], { cwd: path.join(folder, 'client') });

    const generated = await readFile(path.join(folder, 'client/schema.ts'), 'utf8');
    const committed = await readFile(path.join(ROOT, 'client/schema.ts'), 'utf8');
    // Not the texts themselves: a failure would print thousands of lines.
    expect(committed === generated).toBe(true);
  } finally {
    await rm(folder, { recursive: true });
  }
});
