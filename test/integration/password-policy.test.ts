/**
 * The password policy control: sent only where a server announces it, read as far as it can be read, and what it says
 * of a password that was accepted.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Directory } from '../../lib/directory/directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { aSettings } from '../support/people.ts';
import {
  type BindAsked,
  OFFERS_PAGING,
  OFFERS_POLICY,
  type Reply,
  type Script,
  startScriptedLdapServer,
} from '../support/scripted-ldap-server.ts';

const POLICY_OID = '1.3.6.1.4.1.42.2.27.8.5.1';
const READER = 'cn=reader,dc=example,dc=com';
const ANNA = 'uid=anna,dc=example,dc=com';
const ID = '00000000-0000-0000-0000-000000000001';

/** A server that shows Anna, and the controls of each bind so far. */
async function start(
  script: Script,
): Promise<{ directory: Directory; binds: (readonly [string, readonly string[]])[] }> {
  const binds: (readonly [string, readonly string[]])[] = [];
  const server = await startScriptedLdapServer({
    search(_asked, reply) {
      reply.entry(ANNA, { uid: ['anna'], entryUUID: [ID] });
      reply.done({ cookie: '' });
    },
    ...script,
    bind(asked, reply) {
      binds.push([asked.name, asked.controls]);
      if (script.bind === undefined) reply.done();
      else script.bind(asked, reply);
    },
  });
  onTestFinished(() => server.stop());
  const connection = { servers: [`127.0.0.1:${server.port}`], administrativeDn: READER };
  const directory = openDirectory(aSettings({ connection }), 'secret', () => new Date());
  onTestFinished(() => directory.close());
  return { directory, binds };
}

async function logIn(directory: Directory): Promise<void> {
  expect(await directory.findDn(ID, 'entryuuid')).toBe(ANNA);
  expect(await directory.verifyPassword(ANNA, 'x')).toEqual({ kind: 'accepted' });
  expect(await directory.test(5000)).toMatchObject({ ok: true });
}

describe('the control', () => {
  test.each([
    ['is sent with every bind where the server announces it', OFFERS_POLICY, [POLICY_OID]],
    ['is not sent where the server does not', OFFERS_PAGING, []],
    ['is not sent where the server shows nothing of itself', {}, []],
  ])('%s', async (_what, rootDse, controls) => {
    const { directory, binds } = await start({ rootDse });

    await logIn(directory);

    expect(binds).toEqual([READER, ANNA, READER].map((name) => [name, controls]));
  });

  test('is sent where the server announces it only to those who are bound', async () => {
    let bound = false;
    const { directory, binds } = await start({
      bind(_asked, reply) {
        bound = true;
        reply.done();
      },
      root(_asked, reply) {
        if (bound) reply.entry('', OFFERS_POLICY);
        reply.done(bound ? {} : { code: 48 });
        bound = false;
      },
    });

    await directory.findDn(ID, 'entryuuid');
    expect(await directory.verifyPassword(ANNA, 'x')).toEqual({ kind: 'accepted' });

    expect(binds).toEqual([
      [READER, []],
      [ANNA, [POLICY_OID]],
    ]);
  });

  // kanidm/ldap3#46
  test('does not keep anybody out of a server that hangs up on binds with a control', async () => {
    const picky = ({ controls }: BindAsked, reply: Reply): void => {
      if (controls.length > 0) reply.hangUp();
      else reply.done();
    };
    const { directory, binds } = await start({ bind: picky });

    await logIn(directory);
    expect(binds).toHaveLength(3);
  });
});

describe('the answer', () => {
  test.each([
    ['an error of no length (keycloak#52403)', '30028100', {}],
    ['a warning of no length', '3002a000', {}],
    ['a number of no length', '3004a0028000', {}],
    ['a number that is too long', '300ba0098007ffffffffffffff', {}],
    ['nothing', '', {}],
    ['an empty sequence', '3000', {}],
    ['something else', '0500', {}],
    ['a sequence that is cut short', '3006a00480', {}],
    ['an indefinite length', '3080', {}],
    ['an unknown error', '3003810163', {}],
    ['the time that is left', '3006a00480020e10', { passwordExpiresInSeconds: 3600 }],
    ['the time that is left, before an error of no length', '3008a00480020e108100', { passwordExpiresInSeconds: 3600 }],
    ['a long time that is left', '3008a0068004ffffffff', { passwordExpiresInSeconds: 4_294_967_295 }],
    ['the grace logins that are left', '3005a003810102', { graceLoginsLeft: 2 }],
    ['the last grace login', '3005a003810100', { graceLoginsLeft: 0 }],
    ['a grace login of a password that has expired', '3008a003810102810100', { graceLoginsLeft: 2 }],
  ])('with %s does not stop an accepted bind', async (_what, policy, state) => {
    const { directory } = await start({
      rootDse: OFFERS_POLICY,
      bind: (_asked, reply) => reply.done({ policy: Buffer.from(policy, 'hex') }),
    });

    expect(await directory.verifyPassword(ANNA, 'x')).toEqual({ kind: 'accepted', ...state });
    expect(await directory.findDn(ID, 'entryuuid')).toBe(ANNA);
  });

  test.each([
    ['30028100', 'invalidCredentials'],
    ['', 'invalidCredentials'],
    ['3003810100', 'passwordExpired'],
    ['3003810101', 'accountLocked'],
    ['3005a003810100', 'invalidCredentials'],
    ['3008a00381010081010181', 'accountLocked'],
  ])('%s of a bind that was not accepted means %s', async (policy, reason) => {
    const { directory } = await start({
      rootDse: OFFERS_POLICY,
      bind: (_asked, reply) => reply.done({ code: 49, policy: Buffer.from(policy, 'hex') }),
    });

    expect(await directory.verifyPassword(ANNA, 'x')).toEqual({ kind: 'rejected', reason });
  });
});
