/**
 * The reasons why a login is rejected, from real servers: result codes, the password policy control, Active Directory's
 * sub-codes and the messages of vendors, each caused on the server that has it.
 */
import { Attribute, Change } from 'ldapts';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { BindResult } from '../../lib/directory/directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { startApacheDs } from '../support/apacheds.ts';
import {
  asRoot,
  BASE_DN,
  type DirectoryServer,
  dnOf,
  type FixtureEntry,
  HIDDEN,
  type PersonFixture,
} from '../support/directory-server.ts';
import { startDs389 } from '../support/ds389.ts';
import { startOpenLdap } from '../support/openldap.ts';
import { aSettings } from '../support/people.ts';
import { startSamba } from '../support/samba.ts';

/** The first start on a machine downloads packages and loads people. */
const FIRST_START_MS = 600_000;
const WRONG = 'Wrong Pass 1';
const HOUR_S = 3600;
const ACCEPTED: BindResult = { kind: 'accepted' };
const rejected = (reason: Extract<BindResult, { kind: 'rejected' }>['reason']): BindResult => ({
  kind: 'rejected',
  reason,
});

const passwordOf = (userName: string): string => `Pässword 1 of ${userName}`;

function person(userName: string, attributes: PersonFixture['attributes'] = {}): PersonFixture {
  return { cn: userName, userName, below: 'ou=people', password: passwordOf(userName), attributes };
}

/** In so many seconds, as LDAP writes it (RFC 4517 section 3.3.13). */
function time(inSeconds: number): string {
  return `${new Date(Date.now() + inSeconds * 1000).toISOString().replaceAll(/[-:T]|\..*/gu, '')}Z`;
}

/** The people on every server. */
const PLAIN = [person('anna'), person('guessed'), { ...person('disabled'), disabled: true }];

/** The result of a login of this person, by default with the right password. */
async function logIn(server: DirectoryServer, userName: string, password = passwordOf(userName)): Promise<BindResult> {
  const connection = { servers: [`127.0.0.1:${server.ldapPort}`], administrativeDn: server.readerDn };
  const directory = openDirectory(aSettings({ connection }), server.readerPassword, () => new Date());
  onTestFinished(() => directory.close());
  return directory.verifyPassword(dnOf({ cn: userName, below: 'ou=people' }, server.baseDn), password);
}

async function failTimes(server: DirectoryServer, userName: string, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await logIn(server, userName, WRONG);
}

async function replace(server: DirectoryServer, dn: string, values: Readonly<Record<string, string>>): Promise<void> {
  const changes = Object.entries(values).map(
    ([type, value]) => new Change({ operation: 'replace', modification: new Attribute({ type, values: [value] }) }),
  );
  await asRoot(server, (client) => client.modify(dn, changes));
}

/** Logs in with the right password, with a wrong one, and as a person who does not exist. */
async function tryPasswords(server: DirectoryServer, userName: string): Promise<BindResult[]> {
  return [
    await logIn(server, userName),
    await logIn(server, userName, WRONG),
    await logIn(server, 'nobody', passwordOf(userName)),
  ];
}

const INVALID = rejected('invalidCredentials');

describe('OpenLDAP', () => {
  const LONG_AGO = '20200101000000Z';
  let server: DirectoryServer;
  const policy = (name: string, rules: Readonly<Record<string, string>>): FixtureEntry => ({
    dn: `cn=${name},${BASE_DN}`,
    attributes: {
      objectClass: ['device', 'pwdPolicy'],
      pwdAttribute: ['userPassword'],
      ...Object.fromEntries(Object.entries(rules).map(([type, value]) => [type, [value]])),
    },
  });

  beforeAll(async () => {
    server = await startOpenLdap({
      people: [
        ...PLAIN,
        person('expired', { pwdChangedTime: [LONG_AGO] }),
        person('graceful', { pwdChangedTime: [LONG_AGO], pwdPolicySubentry: [`cn=grace,${BASE_DN}`] }),
        person('reset', { pwdReset: ['TRUE'] }),
        person('warned', { pwdPolicySubentry: [`cn=warning,${BASE_DN}`], pwdChangedTime: [time(HOUR_S - 86_400)] }),
      ],
      entries: [
        policy('policy', { pwdLockout: 'TRUE', pwdMaxFailure: '2', pwdMaxAge: '86400', pwdMustChange: 'TRUE' }),
        policy('grace', { pwdMaxAge: '86400', pwdGraceAuthNLimit: '1' }),
        policy('warning', { pwdMaxAge: '86400', pwdExpireWarning: '7200' }),
      ],
    });
  }, FIRST_START_MS);
  afterAll(() => server?.stop());

  test('accepts the right password and rejects a wrong one, and one of nobody, alike', async () => {
    expect(await tryPasswords(server, 'anna')).toEqual([ACCEPTED, INVALID, INVALID]);
  });

  test('tells that an account is locked after too many failures', async () => {
    await failTimes(server, 'guessed', 2);
    expect(await logIn(server, 'guessed')).toEqual(rejected('accountLocked'));
  });

  // Its policy has no code for disabled accounts, only for locked ones.
  test('tells that an administrator has disabled an account', async () => {
    expect(await logIn(server, 'disabled')).toEqual(rejected('accountLocked'));
  });

  test('tells that a password has expired, to those only who know it', async () => {
    expect(await tryPasswords(server, 'expired')).toEqual([rejected('passwordExpired'), INVALID, INVALID]);
  });

  test('lets in by grace as often as the policy grants it, and tells that the password has expired after that', async () => {
    expect(await logIn(server, 'graceful')).toEqual({ ...ACCEPTED, graceLoginsLeft: 0 });
    expect(await logIn(server, 'graceful')).toEqual(rejected('passwordExpired'));
  });

  test('lets in with a password that expires soon, and tells how soon', async () => {
    const result = await logIn(server, 'warned');
    expect(result).toEqual({ kind: 'accepted', passwordExpiresInSeconds: expect.any(Number) as number });
    const seconds = result.kind === 'accepted' ? result.passwordExpiresInSeconds! : 0;
    expect(seconds).toBeGreaterThan(HOUR_S - 300);
    expect(seconds).toBeLessThanOrEqual(HOUR_S);
  });

  // The bind itself succeeds.
  test('tells that a password must be changed', async () => {
    expect(await logIn(server, 'reset')).toEqual(rejected('passwordMustChange'));
  });
});

describe('389 Directory Server', () => {
  const LONG_AGO = '20200101000000Z';
  let server: DirectoryServer;

  beforeAll(async () => {
    server = await startDs389({
      people: [
        ...PLAIN,
        person('expired', { passwordExpirationTime: [LONG_AGO] }),
        person('graceful', { passwordExpirationTime: [LONG_AGO] }),
        person('warned', { passwordExpirationTime: [time(HOUR_S)] }),
        person('reset'),
      ],
    });
    await replace(server, 'cn=config', {
      passwordLockout: 'on',
      passwordMaxFailure: '2',
      passwordExp: 'on',
      passwordMustChange: 'on',
    });
    const reset = dnOf({ cn: 'reset', below: 'ou=people' }, server.baseDn);
    await replace(server, reset, { userPassword: passwordOf('reset') });
  }, FIRST_START_MS);
  afterAll(() => server?.stop());

  test('accepts the right password and rejects a wrong one, and one of nobody, alike', async () => {
    expect(await tryPasswords(server, 'anna')).toEqual([ACCEPTED, INVALID, INVALID]);
  });

  test('tells that an account is locked after too many failures', async () => {
    await failTimes(server, 'guessed', 2);
    expect(await logIn(server, 'guessed')).toEqual(rejected('accountLocked'));
  });

  // Even with a wrong password: it checks the account before the password.
  test('tells that an administrator has disabled an account', async () => {
    expect(await logIn(server, 'disabled')).toEqual(rejected('accountDisabled'));
    expect(await logIn(server, 'disabled', WRONG)).toEqual(rejected('accountDisabled'));
  });

  test('tells that a password has expired, to those only who know it', async () => {
    expect(await tryPasswords(server, 'expired')).toEqual([rejected('passwordExpired'), INVALID, INVALID]);
  });

  test('lets in by grace as often as the policy grants it, and tells that the password has expired after that', async () => {
    await replace(server, 'cn=config', { passwordGraceLimit: '1' });
    onTestFinished(() => replace(server, 'cn=config', { passwordGraceLimit: '0' }));
    expect(await logIn(server, 'graceful')).toEqual({ ...ACCEPTED, graceLoginsLeft: 0 });
    expect(await logIn(server, 'graceful')).toEqual(rejected('passwordExpired'));
  });

  // The first warning gives the person all of passwordWarning, a day by default.
  test('lets in with a password that expires soon, and tells how soon', async () => {
    expect(await logIn(server, 'warned')).toEqual({ ...ACCEPTED, passwordExpiresInSeconds: 86_400 });
  });

  // The bind itself succeeds.
  test('tells that a password must be changed', async () => {
    expect(await logIn(server, 'reset')).toEqual(rejected('passwordMustChange'));
  });
});

describe('Samba Active Directory', () => {
  const LONG_AGO = '130000000000000000'; // 2012 as FILETIME
  let server: DirectoryServer;
  const dn = (cn: string): string => dnOf({ cn, below: 'ou=people' }, server.baseDn);

  beforeAll(async () => {
    server = await startSamba({
      people: [...PLAIN, person('gone'), person('expired', { pwdLastSet: [LONG_AGO] }), person('reset')],
    });
    await replace(server, server.baseDn, { lockoutThreshold: '3' });
    await replace(server, dn('gone'), { accountExpires: LONG_AGO });
    await replace(server, dn('reset'), { pwdLastSet: '0' });
  }, FIRST_START_MS);
  afterAll(() => server?.stop());

  test('accepts the right password and rejects a wrong one, and one of nobody, alike', async () => {
    expect(await tryPasswords(server, 'anna')).toEqual([ACCEPTED, INVALID, INVALID]);
  });

  test('tells that an account is locked after too many failures', async () => {
    await failTimes(server, 'guessed', 3);
    expect(await logIn(server, 'guessed')).toEqual(rejected('accountLocked'));
  });

  test('tells that an administrator has disabled an account', async () => {
    expect(await logIn(server, 'disabled')).toEqual(rejected('accountDisabled'));
    expect(await logIn(server, 'disabled', WRONG)).toEqual(rejected('invalidCredentials'));
  });

  test('tells that an account has expired', async () => {
    expect(await logIn(server, 'gone')).toEqual(rejected('accountExpired'));
  });

  test('tells that a password has expired, to those only who know it', async () => {
    expect(await tryPasswords(server, 'expired')).toEqual([rejected('passwordExpired'), INVALID, INVALID]);
  });

  test('tells that a password must be changed', async () => {
    expect(await logIn(server, 'reset')).toEqual(rejected('passwordMustChange'));
  });
});

// Rarely used and slow to load, so only `npm run test:all` includes it.
describe.each(process.env['ROLLCALL_TEST_ALL'] ? ['ApacheDS'] : [])('%s', () => {
  let server: DirectoryServer;

  beforeAll(async () => {
    server = await startApacheDs({ people: [...PLAIN, { ...person('hidden'), below: HIDDEN }] });
  }, FIRST_START_MS);
  afterAll(() => server?.stop());

  test('accepts the right password and rejects a wrong one, and one of nobody, alike', async () => {
    expect(await tryPasswords(server, 'anna')).toEqual([ACCEPTED, INVALID, INVALID]);
  });

  test('tells that an account is locked after too many failures', async () => {
    await failTimes(server, 'guessed', 6);
    expect(await logIn(server, 'guessed')).toEqual(rejected('accountLocked'));
  });

  test('tells that an administrator has disabled an account', async () => {
    expect(await logIn(server, 'disabled')).toEqual(rejected('accountLocked'));
  });
});
