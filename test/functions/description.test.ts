import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Context } from 'aws-lambda';
import { expect, test } from 'vitest';
import { makeHandler } from '../../functions/api-handler.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { createLogin } from '../../lib/login/login.ts';
import { describeApi } from '../../openapi/document.ts';
import { DESCRIPTION_FILES } from '../../openapi/file.ts';
import { apiEvent } from '../support/api-event.ts';
import { faultsOf, OPERATIONS } from '../support/described.ts';
import { startHouse } from '../support/house.ts';

const ROOT = path.join(import.meta.dirname, '../..');

test.each(DESCRIPTION_FILES)('$name is what the schemas say; if not, run: npm run openapi', ({ name, render }) => {
  // A boolean, because a failure would print thousands of lines.
  expect(readFileSync(path.join(ROOT, name), 'utf8') === render(describeApi())).toBe(true);
});

test('every route of the API is described, and nothing else is', () => {
  const source = readFileSync(path.join(ROOT, 'functions/api-handler.ts'), 'utf8');
  const routes = [...source.matchAll(/'([A-Z]+)',\s*(?:path: )?'(\/api\/[^']*)'/g)].map(
    ([, method, at]) => `${method} ${at}`,
  );

  expect(OPERATIONS.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(routes.sort());
});

test('the description lints without a warning', { timeout: 60_000 }, async () => {
  const redocly = path.join(ROOT, 'node_modules/@redocly/cli/bin/cli.js');
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1' };

  const linted = await promisify(execFile)(process.execPath, [redocly, 'lint', 'docs/openapi.yaml'], { cwd: ROOT, env })
    .then(({ stderr }) => ({ code: 0, stderr }))
    .catch(({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }));

  expect(linted).toEqual({ code: 0, stderr: expect.stringContaining('description is valid') });
});

test('the description is served to everybody', async () => {
  const { ports } = await startHouse();
  const { logins, settings, openDirectory, clock } = ports;
  const handler = makeHandler({
    ...ports,
    login: createLogin({
      logins,
      directory: keepDirectory(settings, openDirectory, clock),
      clock,
      pause: async () => {},
    }),
    startSync: async () => {},
    readGeneratedPassword: async () => 'generated password',
    proxy: null,
    logger: { info() {}, error() {} },
  });

  const { statusCode, headers, body } = await handler(
    apiEvent({ method: 'GET', path: '/api/openapi.json' }),
    {} as Context,
  );

  expect({ statusCode, type: headers?.['content-type'] }).toEqual({ statusCode: 200, type: 'application/json' });
  expect(JSON.parse(body!)).toEqual(describeApi());
});

test('what the description holds answers against refuses a property too many and one too few', () => {
  const { properties, ...problem } = {
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    detail: 'no',
    properties: 1,
  };

  expect(faultsOf('#/components/schemas/Problem', { ...problem, code: 'notFound' })).toEqual([]);
  expect(faultsOf('#/components/schemas/Problem', { ...problem, code: 'notFound', properties })).toHaveLength(1);
  expect(faultsOf('#/components/schemas/Problem', problem)).toHaveLength(1);
  expect(
    faultsOf('#/components/responses/notFound/content/application~1problem+json/schema', {
      ...problem,
      code: 'conflict',
    }),
  ).toHaveLength(1);
});
