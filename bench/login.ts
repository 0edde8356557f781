/**
 * Times logins through the usual LDAP libraries: `node login.ts '{"ldapPort": ...}'` prints the times as one line of
 * JSON.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { authenticate } = require('ldap-authentication');
const LdapAuth = require('ldapauth-fork');
const LdapStrategy = require('passport-ldapauth');
const { ldapPort, base, dn, password, accounts, rounds } = JSON.parse(process.argv[2]);
const url = `ldap://127.0.0.1:${ldapPort}`;
const attributes = ['uid', 'displayName', 'mail'];

const server = {
  url,
  bindDN: dn,
  bindCredentials: password,
  searchBase: base,
  searchFilter: '(uid={{username}})',
  searchAttributes: attributes,
};
const ldapAuth = new LdapAuth(server);
const strategy = new LdapStrategy({ server }, (user, done) => done(null, user));

const peers = {
  'ldap-authentication': ({ userName, userPassword }) =>
    authenticate({
      ldapOpts: { url },
      adminDn: dn,
      adminPassword: password,
      userSearchBase: base,
      usernameAttribute: 'uid',
      username: userName,
      userPassword,
      attributes,
    }),
  'ldapauth-fork': ({ userName, userPassword }) =>
    new Promise((resolve, reject) => {
      ldapAuth.authenticate(userName, userPassword, (error, user) => (error ? reject(error) : resolve(user)));
    }),
  'passport-ldapauth': ({ userName, userPassword }) =>
    new Promise((resolve, reject) => {
      // Like passport, makes a strategy for each request from the configured one.
      const attempt = Object.create(strategy);
      Object.assign(attempt, { success: resolve, fail: reject, error: reject });
      attempt.authenticate({ body: { username: userName, password: userPassword } }, {});
    }),
};

const times = Object.fromEntries(Object.keys(peers).map((name) => [name, []]));
let next = 0;
for (let round = 0; round <= rounds; round += 1) {
  for (const [name, logIn] of Object.entries(peers)) {
    for (let count = 0; count < 50; count += 1) {
      const account = accounts[(next += 1) % accounts.length];
      const began = performance.now();
      await logIn(account);
      if (round > 0) times[name].push(performance.now() - began);
    }
  }
}
console.log(JSON.stringify(times));
process.exit(0);
