/**
 * OpenLDAP's own client, as the upper limit of reading speed: it reads the same attributes of the same people page by
 * page and discards them. Uses the installed program, or else unpacks the system's package.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unpackPackages } from '../../local/debian-package.ts';
import { ASKED, FILTER, PEOPLE, READER } from './people.ts';

const run = promisify(execFile);

export interface LdapSearch {
  /** For example `2.5.13`. */
  readonly version: string;
  /** Reads everybody; gives the milliseconds from the start of the program to its end. */
  drain(ldapPort: number): Promise<number>;
}

export async function findLdapSearch(): Promise<LdapSearch> {
  const { program, environment } = await find();
  const options = { env: { ...process.env, ...environment } };
  const { stderr } = await run(program, ['-VV'], options);
  return {
    version: /ldapsearch ([\d.]+)/.exec(stderr)?.[1] ?? 'unknown',
    async drain(ldapPort) {
      const connection = ['-x', '-H', `ldap://127.0.0.1:${ldapPort}`, '-D', READER.dn, '-w', READER.password];
      const search = ['-LLL', '-E', 'pr=1000/noprompt', '-b', PEOPLE, FILTER, ...ASKED];
      const began = performance.now();
      // Its output is discarded: reading it from a pipe would cost this process time.
      await run('/bin/sh', ['-c', 'exec "$@" >/dev/null', 'sh', program, ...connection, ...search], options);
      return performance.now() - began;
    },
  };
}

async function find(): Promise<{ program: string; environment: NodeJS.ProcessEnv }> {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/bin', '/opt/homebrew/opt/openldap/bin'];
  const installed = folders.map((folder) => join(folder, 'ldapsearch')).find((path) => existsSync(path));
  if (installed !== undefined) return { program: installed, environment: {} };
  const root = await unpackPackages({
    name: 'ldap-utils',
    wanted: ['ldap-utils'],
    needs: (name) => name.startsWith('lib'),
  });
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const libraries = [`${root}/usr/lib/${triplet}`, `${root}/lib/${triplet}`].join(':');
  return { program: `${root}/usr/bin/ldapsearch`, environment: { LD_LIBRARY_PATH: libraries } };
}
