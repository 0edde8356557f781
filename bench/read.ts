/**
 * Times reading everybody with @backstage/plugin-catalog-backend-module-ldap: `node read.ts '{"ldapPort": ...}'` prints
 * one line of JSON.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { LdapClient, readLdapOrg } = require('@backstage/plugin-catalog-backend-module-ldap');
const { ldapPort, base, filter, attributes, dn, password } = JSON.parse(process.argv[2]);

const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
const cpu = process.cpuUsage();
const began = performance.now();
const client = await LdapClient.create(quiet, `ldap://127.0.0.1:${ldapPort}`, { dn, secret: password });
const options = { scope: 'sub', filter, attributes, paged: { pageSize: 1000 } };
const map = { rdn: 'uid', name: 'uid', displayName: 'displayName', email: 'mail', memberOf: 'memberOf' };
const { users } = await readLdapOrg(client, [{ dn: base, options, map }], [], undefined, {});
const wallMs = performance.now() - began;
const { user, system } = process.cpuUsage(cpu);
const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
console.log(JSON.stringify({ wallMs, cpuMs: (user + system) / 1000, peakMb: peak / 1024, users: users.length }));
process.exit(0);
