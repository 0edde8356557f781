/**
 * Several servers of one directory. The first one refuses, hangs, or dies in mid-read: a read always uses one server
 * from beginning to end, a login continues at once on the next server, and a server that has recovered is used again.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Directory } from '../../lib/directory/directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import type { Run } from '../../lib/sync/run.ts';
import { startCountingProxy } from '../support/counting-proxy.ts';
import { type DirectoryServer, dnOf, type PersonFixture } from '../support/directory-server.ts';
import { type House, startHouse } from '../support/house.ts';
import { startOpenLdap } from '../support/openldap.ts';
import { aSettings } from '../support/people.ts';
import {
  type BindAsked,
  type Reply,
  type Script,
  type ScriptedServer,
  startScriptedLdapServer,
} from '../support/scripted-ldap-server.ts';

/** More people than one page, so that a read can fail in the middle. */
const COUNT = 1200;
const ANNA: PersonFixture = { cn: 'anna', userName: 'anna', below: 'ou=people', password: 'Password of anna 1' };
const CONNECT_SECONDS = 0.3;
const OPERATION_SECONDS = 0.4;
const LOGIN_SECONDS = 2;

let real: DirectoryServer;

beforeAll(async () => {
  const crowd = Array.from({ length: COUNT - 1 }, (_, index) => ({
    cn: `user${index}`,
    userName: `user${index}`,
    below: 'ou=people',
  }));
  real = await startOpenLdap({ people: [ANNA, ...crowd] });
});

afterAll(() => real?.stop());

async function scripted(script: Script): Promise<ScriptedServer> {
  const server = await startScriptedLdapServer(script);
  onTestFinished(() => server.stop());
  return server;
}

/** A server that accepts connections and never answers. */
const silent = (): Promise<ScriptedServer> => scripted({ raw: () => {} });

const addressOf = ({ port }: { readonly port: number }): string => `127.0.0.1:${port}`;
const realAddress = (): string => `127.0.0.1:${real.ldapPort}`;
const NOBODY_LISTENS = '127.0.0.1:1';

function settingsFor(servers: readonly string[]): Parameters<House['configure']>[0] & object {
  return {
    connection: {
      servers,
      administrativeDn: real.readerDn,
      timeouts: {
        connectSeconds: CONNECT_SECONDS,
        operationSeconds: OPERATION_SECONDS,
        loginSeconds: LOGIN_SECONDS,
      },
    },
    scope: { baseDn: `ou=people,${real.baseDn}`, filter: real.peopleFilter },
    options: { missingUsers: 'delete', removalLimit: { percent: 100, atLeast: 10_000 } },
  };
}

describe('a read', () => {
  /** Returns two people whom no other server has on the first page, then does what the test says. */
  function ghosts(afterwards: (reply: Reply) => void): Script {
    const show = (reply: Reply): void => {
      for (const name of ['ghost1', 'ghost2']) {
        const entryUUID = [`00000000-0000-0000-0000-00000000000${name.at(-1)}`];
        reply.entry(dnOf({ cn: name, below: 'ou=people' }), { uid: [name], cn: [name], entryUUID });
      }
    };
    return {
      search(asked, reply) {
        show(reply);
        if (asked.page === null) reply.done();
        else if (asked.page.cookie === '') reply.done({ cookie: 'more' });
        else afterwards(reply);
      },
    };
  }

  async function synchronizeFrom(servers: readonly string[]): Promise<{ house: House; run: Run }> {
    const open: Directory[] = [];
    const house = await startHouse({
      configured: false,
      openDirectory(settings) {
        const directory = openDirectory(settings, real.readerPassword, () => new Date());
        open.push(directory);
        return directory;
      },
    });
    await house.configure(settingsFor(servers));
    const run = await house.run();
    onTestFinished(async () => {
      for (const directory of open) await directory.close();
    });
    return { house, run };
  }

  test.each<[string, () => Promise<string>]>([
    ['nobody listens on the first', async () => NOBODY_LISTENS],
    ['the first accepts and never answers', async () => addressOf(await silent())],
    [
      'the first does not know its way any more',
      async () => addressOf(await scripted({ bind: (_, r) => r.done({ code: 52 }) })),
    ],
  ])('is from the second server where %s', async (_what, first) => {
    const { run } = await synchronizeFrom([await first(), realAddress()]);

    expect(run).toMatchObject({ status: 'succeeded', totals: { created: COUNT }, progress: { read: COUNT } });
  });

  test.each<[string, (reply: Reply) => void]>([
    ['hangs up', (reply) => reply.hangUp()],
    ['answers no more', () => {}],
    ['becomes unavailable', (reply) => reply.done({ code: 52 })],
    ['sends what is no LDAP', (reply) => reply.bytes(Buffer.from('30840000000501020304', 'hex'))],
  ])(
    'begins again on the second server where the first %s in mid-read, and mixes nobody in',
    async (_what, afterwards) => {
      const first = await scripted(ghosts(afterwards));

      const { house, run } = await synchronizeFrom([addressOf(first), realAddress()]);

      expect(run).toMatchObject({
        status: 'succeeded',
        completeness: { complete: true, reasons: [] },
        totals: { created: COUNT },
        progress: { read: COUNT },
        notices: [expect.stringMatching(`read again, from ${realAddress()}`)],
      });
      expect(await house.user('ghost1')).toBeNull();
      expect(await house.user('ghost2')).toBeNull();
      expect(await house.user('anna')).not.toBeNull();
    },
  );

  test('begins again on the second server where the first dies before it has shown anybody', async () => {
    const first = await scripted({
      search(asked, reply) {
        if (asked.page !== null) return reply.hangUp();
        reply.entry(dnOf(ANNA), { entryUUID: ['00000000-0000-0000-0000-000000000001'] });
        reply.done();
      },
    });

    const { run } = await synchronizeFrom([addressOf(first), realAddress()]);

    expect(run).toMatchObject({ status: 'succeeded', totals: { created: COUNT } });
  });

  test('of a real server that dies in mid-read removes nobody, with another server or without', async () => {
    const { house } = await synchronizeFrom([realAddress()]);
    const dying = await startCountingProxy(real.ldapPort, 60_000);
    onTestFinished(() => dying.stop());

    await house.configure(settingsFor([addressOf(dying), realAddress()]));
    const saved = await house.run();
    const alsoDying = await startCountingProxy(real.ldapPort, 60_000);
    onTestFinished(() => alsoDying.stop());
    await house.configure(settingsFor([addressOf(alsoDying)]));
    const alone = await house.run();

    expect(saved).toMatchObject({ status: 'succeeded', totals: { unchanged: COUNT, deleted: 0 } });
    expect(saved.notices).toHaveLength(1);
    expect(alone).toMatchObject({ status: 'partial', totals: { deleted: 0, disabled: 0 } });
    expect(alone.completeness!.reasons.join()).toMatch(/The read broke off after \d+ entries/);
  });

  test('that breaks off on every server is what the last one has shown, without the proof', async () => {
    const servers = [
      await scripted(ghosts((reply) => reply.hangUp())),
      await scripted(ghosts((reply) => reply.hangUp())),
    ];

    const { run } = await synchronizeFrom([...servers.map(addressOf), NOBODY_LISTENS]);

    // Another entry may own a name, so a read that was cut short creates nobody.
    expect(run).toMatchObject({ status: 'partial', totals: { created: 0 }, progress: { read: 2 } });
    expect(run.notices).toEqual([
      expect.stringMatching(`read again, from ${addressOf(servers[1]!)}`),
      expect.stringMatching('No other server could be read: .*nothing listens'),
      expect.stringMatching('the read broke off: 2 people wait'),
    ]);
    expect(servers.map(({ connections }) => connections)).toEqual([1, 1]);
  });
});

describe('a login', () => {
  /** `pass` moves the clock; it stands still otherwise. */
  function openFor(servers: readonly string[]): {
    login: () => Promise<number>;
    loseLogin: () => Promise<void>;
    pass: (ms: number) => void;
  } {
    let time = Date.now();
    const directory = openDirectory(aSettings(settingsFor(servers)), real.readerPassword, () => new Date(time));
    onTestFinished(() => directory.close());
    return {
      /** Expects success; returns the milliseconds it took. */
      async login() {
        const started = performance.now();
        expect(await directory.verifyPassword(dnOf(ANNA), ANNA.password!)).toEqual({ kind: 'accepted' });
        return performance.now() - started;
      },
      /** Expects no answer, nor another server to be asked. */
      async loseLogin() {
        const result = await directory.verifyPassword(dnOf(ANNA), ANNA.password!);
        expect(result).toMatchObject({ kind: 'unanswered', fault: { code: 'operationTimeout' } });
      },
      pass(ms) {
        time += ms;
      },
    };
  }

  /** A server that accepts every bind while `mood.well` is true, and does not answer otherwise. */
  async function moody(): Promise<{ address: string; binds: () => number; mood: { well: boolean } }> {
    const mood = { well: true };
    const bind = (_asked: BindAsked, reply: Reply): void => {
      if (mood.well) reply.done();
    };
    const server = await scripted({ bind });
    return { address: addressOf(server), binds: () => server.requests.filter((name) => name === 'bind').length, mood };
  }

  test('goes on to the second server at once where the first refuses', async () => {
    const { login } = openFor([NOBODY_LISTENS, realAddress()]);

    expect(await login()).toBeLessThan(LOGIN_SECONDS * 1000);
  });

  test('leaves time for the second server where the first hangs, and the next login does not wait for the first', async () => {
    const first = await silent();
    const { login } = openFor([addressOf(first), realAddress()]);

    expect(await login()).toBeLessThan(LOGIN_SECONDS * 1000);
    const asked = first.connections;
    await login();
    expect(first.connections).toBe(asked);
  });

  test('has no answer where the first server takes the password and hangs, and the next one is from the second', async () => {
    const { address, binds, mood } = await moody();
    const { login, loseLogin } = openFor([address, realAddress()]);
    await login();

    mood.well = false;

    await loseLogin();
    expect(await login()).toBeLessThan(LOGIN_SECONDS * 1000);
    expect(binds()).toBe(2);
  });

  test('goes on to the second server at once where the first has died', async () => {
    const proxy = await startCountingProxy(real.ldapPort);
    const { login } = openFor([addressOf(proxy), realAddress()]);
    await login();

    await proxy.stop();

    expect(await login()).toBeLessThan(LOGIN_SECONDS * 1000);
  });

  test('is back on the first server a minute after that has failed, and no earlier', async () => {
    const { address, binds, mood } = await moody();
    const { login, loseLogin, pass } = openFor([address, realAddress()]);
    mood.well = false;
    await loseLogin();
    mood.well = true;

    pass(59_000);
    await login();
    expect(binds()).toBe(1);
    pass(1_000);
    await login();
    await login();

    expect(binds()).toBe(3);
  });
});
