/** The Directory port on every server that can be started here. directory-behaviour.ts has the tests. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApacheDs } from '../support/apacheds.ts';
import type { DirectoryServer, DirectoryServerOptions, Product } from '../support/directory-server.ts';
import { startDs389 } from '../support/ds389.ts';
import { startOpenLdap } from '../support/openldap.ts';
import { startSamba } from '../support/samba.ts';
import { BEHAVIOURS, fixtureOf } from './directory-behaviour.ts';

/** The first start on a machine downloads packages and loads people. */
const FIRST_START_MS = 600_000;

type Start = (options: DirectoryServerOptions) => Promise<DirectoryServer>;

const SERVERS: readonly (readonly [string, Product, Start])[] = [
  ['OpenLDAP', 'openldap', startOpenLdap],
  ['389 Directory Server', 'ds389', startDs389],
  ['Samba Active Directory', 'samba', startSamba],
  // Rarely used and slow to load, so only `npm run test:all` includes it.
  ...(process.env.ROLLCALL_TEST_ALL ? [['ApacheDS', 'apacheds', startApacheDs] as const] : []),
];

describe.each(SERVERS)('%s', (_name, product, start) => {
  const options = fixtureOf(product);
  let server: DirectoryServer;

  beforeAll(async () => {
    server = await start(options);
  }, FIRST_START_MS);

  afterAll(() => server?.stop());

  const shown = BEHAVIOURS.filter(({ notApplicable }) => notApplicable?.[product] === undefined);
  test.each(shown)('$name', async ({ show }) => {
    expect.hasAssertions();
    await show(server, (certificates) => start({ ...options, certificates }));
  });
});
