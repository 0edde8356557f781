/**
 * The connections of logins: kept ones that are not what they were, servers and addresses in trouble, and how often a
 * password is sent. Scripted servers count what reaches them.
 */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Directory } from '../../lib/directory/directory.ts';
import type { Resolve } from '../../lib/ldap/connection.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { type CountingProxy, startCountingProxy } from '../support/counting-proxy.ts';
import { aSettings } from '../support/people.ts';
import {
  type BindAsked,
  type Reply,
  type Script,
  type ScriptedServer,
  type SearchAsked,
  startScriptedLdapServer,
} from '../support/scripted-ldap-server.ts';

const BASE = 'dc=example,dc=com';
const READER = `cn=reader,${BASE}`;
const ANNA = `uid=anna,${BASE}`;
const ID = '00000000-0000-0000-0000-000000000001';
const ACCEPTED = { kind: 'accepted' };
const MINUTE_MS = 60_000;

/** A notice of disconnection (RFC 4511 section 4.4.1) with the result unavailable. */
const NOTICE = Buffer.concat([
  Buffer.from('3024020100781f0a0134040004008a16', 'hex'),
  Buffer.from('1.3.6.1.4.1.1466.20036'),
]);

/** Shows Anna to every search. */
const showAnna = (_asked: SearchAsked, reply: Reply): void => {
  reply.entry(ANNA, { uid: ['anna'], entryUUID: [ID] });
  reply.done();
};

async function scripted(script: Script, at?: Parameters<typeof startScriptedLdapServer>[1]): Promise<ScriptedServer> {
  const server = await startScriptedLdapServer({ search: showAnna, ...script }, at);
  onTestFinished(() => server.stop());
  return server;
}

async function proxyOf({ port }: { readonly port: number }): Promise<CountingProxy> {
  const proxy = await startCountingProxy(port);
  onTestFinished(() => proxy.stop());
  return proxy;
}

const nameOf = ({ port }: { readonly port: number }): string => `127.0.0.1:${port}`;
const bindsOf = ({ requests }: ScriptedServer): number => requests.filter((name) => name === 'bind').length;

/** `pass` moves the wall clock, also backwards. */
function open(servers: readonly string[], resolve?: Resolve): Directory & { pass: (ms: number) => void } {
  let time = Date.parse('2026-05-04T10:00:00Z');
  const timeouts = { connectSeconds: 2, operationSeconds: 2, loginSeconds: 4 };
  const settings = aSettings({ connection: { servers, administrativeDn: READER, timeouts } });
  const directory = openDirectory(settings, 'secret', () => new Date(time), resolve);
  onTestFinished(() => directory.close());
  return {
    ...directory,
    pass(ms) {
      time += ms;
    },
  };
}

describe('a kept connection of the reader', () => {
  test.each<[string, (reply: Reply) => void]>([
    [
      'Active Directory answers 000004DC',
      (reply) =>
        reply.done({
          code: 1,
          diagnostic:
            '000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind must be ' +
            'completed on the connection., data 0, v4563\0',
        }),
    ],
    ['the server answers insufficientAccessRights', (reply) => reply.done({ code: 50 })],
    ['the server hides the base', (reply) => reply.done({ code: 32 })],
    ['the server shows nobody', (reply) => reply.done()],
    ['the server is unavailable', (reply) => reply.done({ code: 52 })],
    ['the server hangs up', (reply) => reply.hangUp()],
  ])('is dropped when %s, and the look-up is done once more on a new one', async (_what, forget) => {
    let forgetful = false;
    const server = await scripted({
      bind: (_asked, reply) => {
        forgetful = false;
        reply.done();
      },
      search: (asked, reply) => (forgetful ? forget(reply) : showAnna(asked, reply)),
    });
    const directory = open([nameOf(server)]);
    expect(await directory.findDn(ID, 'entryuuid')).toBe(ANNA);
    expect(server.connections).toBe(1);

    forgetful = true;

    expect(await directory.findDn(ID, 'entryuuid')).toBe(ANNA);
    expect([server.connections, bindsOf(server)]).toEqual([2, 2]);
    expect(await directory.findDn(ID, 'entryuuid')).toBe(ANNA);
    expect(server.connections).toBe(2);
  });

  test('looks for somebody unknown in one search, and again so after the entry that it knew is gone', async () => {
    const idOf = (number: number): string => `00000000-0000-0000-0000-00000000000${number}`;
    let people = [1, 2];
    const server = await scripted({
      search: ({ filter }, reply) => {
        const byId = filter.includes('00000000-');
        for (const number of people) {
          if (!byId || filter.includes(idOf(number))) {
            reply.entry(`uid=u${number},${BASE}`, { entryUUID: [idOf(number)] });
          }
        }
        reply.done();
      },
    });
    const directory = open([nameOf(server)]);
    const searchesFor = async (attribute: string | null): Promise<number> => {
      const { length } = server.requests;
      expect(await directory.findDn(idOf(9), attribute)).toBeNull();
      return server.requests.slice(length).filter((name) => name === 'search').length;
    };
    await searchesFor(null);
    expect(await searchesFor(null)).toBe(1);
    expect(await searchesFor('entryuuid')).toBe(1);

    people = [2];
    expect(await searchesFor(null)).toBeGreaterThan(1);
    expect(await searchesFor(null)).toBe(1);
    people = [];
    await expect(directory.findDn(idOf(9), null)).rejects.toMatchObject({ code: 'readRefused' });
  });

  test('is asked once more and no third time when the reader has lost its rights for good', async () => {
    let blind = false;
    const server = await scripted({ search: (asked, reply) => (blind ? reply.done() : showAnna(asked, reply)) });
    const directory = open([nameOf(server)]);
    await directory.findDn(ID, 'entryuuid');

    blind = true;

    await expect(directory.findDn(ID, 'entryuuid')).rejects.toMatchObject({ code: 'readRefused' });
    expect([server.connections, bindsOf(server)]).toEqual([2, 2]);
  });
});

describe('a refused bind of the reader', () => {
  test.each([59_999, -59_999])('is not tried again within a minute (%i ms later)', async (ms) => {
    let refuses = true;
    const server = await scripted({ bind: (_asked, reply) => reply.done(refuses ? { code: 49 } : {}) });
    const directory = open([nameOf(server)]);
    const refused = { code: 'bindRefused' };

    await expect(directory.findDn(ID, 'entryuuid')).rejects.toMatchObject(refused);
    directory.pass(ms);
    await expect(directory.findDn(ID, 'entryuuid')).rejects.toMatchObject(refused);
    await expect(directory.searchByName('anna')).rejects.toMatchObject(refused);
    expect([server.connections, bindsOf(server)]).toEqual([1, 1]);

    refuses = false;
    directory.pass(Math.sign(ms));
    expect(await directory.findDn(ID, 'entryuuid')).toBe(ANNA);
  });
});

describe('a usual login', () => {
  test('takes one search and one bind, on two connections that stay', async () => {
    const server = await scripted({});
    const directory = open([nameOf(server)]);
    const login = (): Promise<unknown> =>
      Promise.all([directory.verifyPassword(ANNA, 'x'), directory.findDn(ID, 'entryuuid'), directory.checkIdle()]);
    await login();
    const { length } = server.requests;

    await login();
    await login();

    expect(server.requests.slice(length).toSorted()).toEqual(['bind', 'bind', 'search', 'search']);
    expect(server.connections).toBe(2);
  });
});

describe('a kept connection', () => {
  test('that is half-open is found out before a password is sent over it', async () => {
    const server = await scripted({});
    const proxy = await proxyOf(server);
    const directory = open([nameOf(proxy)]);
    expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);

    proxy.muteConnections();
    directory.pass(5_001);
    // As a login does, which reads its user at the same time.
    const checked = directory.checkIdle();

    expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);
    expect([proxy.connections, bindsOf(server)]).toEqual([2, 2]);
    await checked;
  });

  test('that is being probed for one login is not used by another one', async () => {
    const bindsDuringProbe: boolean[] = [];
    let isProbing = false;
    const server = await scripted({
      bind: (_asked, reply) => {
        bindsDuringProbe.push(isProbing);
        reply.done();
      },
      root: (_asked, reply) => {
        isProbing = bindsDuringProbe.length > 0;
        setTimeout(() => {
          isProbing = false;
          reply.done();
        }, 50);
      },
    });
    const directory = open([nameOf(server)]);
    expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);

    const first = directory.verifyPassword(ANNA, 'x');
    // The instance was frozen just now.
    directory.pass(6_000);
    const second = directory.checkIdle();

    expect(await first).toEqual(ACCEPTED);
    await second;
    expect(bindsDuringProbe).toEqual([false, false]);
    expect(server.connections).toBe(1);
  });

  test('is probed by the login itself if nobody has done it before', async () => {
    const server = await scripted({});
    const proxy = await proxyOf(server);
    const directory = open([nameOf(proxy)]);
    await Promise.all([directory.verifyPassword(ANNA, 'x'), directory.findDn(ID, 'entryuuid')]);

    proxy.muteConnections();
    directory.pass(5_001);

    expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);
    expect(await directory.findDn(ID, 'entryuuid')).toBe(ANNA);
    expect(proxy.connections).toBe(4);
  });

  test.each<[string, (directory: ReturnType<typeof open>) => void]>([
    ['the wall clock', (directory) => directory.pass(5_001)],
    ['the wall clock, which was set back', (directory) => directory.pass(-5_001)],
    [
      'the steady clock',
      () => {
        const later = performance.now() + 5_001;
        const spy = vi.spyOn(performance, 'now').mockReturnValue(later);
        onTestFinished(() => spy.mockRestore());
      },
    ],
  ])('is probed once after five seconds by %s, whatever the answer, and not before', async (_what, pass) => {
    const server = await scripted({});
    const directory = open([nameOf(server)]);
    await directory.verifyPassword(ANNA, 'x');
    const { length } = server.requests;

    await directory.checkIdle();
    expect(server.requests).toHaveLength(length);
    pass(directory);
    await Promise.all([directory.checkIdle(), directory.checkIdle()]);
    await directory.checkIdle();

    expect(server.requests.slice(length)).toEqual(['search']);
    expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);
    expect(server.connections).toBe(1);
  });

  test.each([1, 53, 80])('stays when the probe is answered with result code %i', async (code) => {
    const server = await scripted({ root: (_asked, reply) => reply.done({ code }) });
    const directory = open([nameOf(server)]);
    await directory.verifyPassword(ANNA, 'x');

    directory.pass(5_001);
    await directory.checkIdle();

    expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);
    expect(server.connections).toBe(1);
  });

  test.each([5, -5])('is replaced when it is five minutes old, however busy it was (%i minutes)', async (minutes) => {
    const server = await scripted({});
    const directory = open([nameOf(server)]);
    const login = async (): Promise<void> => {
      expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);
      expect(await directory.findDn(ID, 'entryuuid')).toBe(ANNA);
    };
    await login();
    for (let step = 0; step < 5; step += 1) {
      directory.pass((minutes / 5) * MINUTE_MS);
      await directory.checkIdle();
      await login();
    }
    expect(server.connections).toBe(2);

    directory.pass(Math.sign(minutes));
    await login();

    expect(server.connections).toBe(4);
    await expect.poll(() => server.openSockets).toBe(2);
  });

  test('takes no place of another one after it broke', async () => {
    const server = await scripted({});
    const directory = open([nameOf(server)]);
    const together = async (): Promise<void> => {
      await Promise.all([1, 2, 3, 4].map(() => directory.verifyPassword(ANNA, 'x')));
    };
    await together();
    server.dropConnections();
    await together();
    const { connections } = server;

    await together();

    expect(connections).toBe(8);
    expect(server.connections).toBe(8);
  });
});

describe('a password', () => {
  const hangUp = (_asked: BindAsked, reply: Reply): void => reply.hangUp();

  test('is sent once, when three servers take it and hang up', async () => {
    const servers = [
      await scripted({ bind: hangUp }),
      await scripted({ bind: hangUp }),
      await scripted({ bind: hangUp }),
    ];
    const directory = open(servers.map(nameOf));

    for (let login = 1; login <= 12; login += 1) {
      expect(await directory.verifyPassword(ANNA, 'x')).toMatchObject({
        kind: 'unanswered',
        fault: { code: 'connectionLost' },
      });
      expect(servers.map(bindsOf).reduce((sum, binds) => sum + binds)).toBe(login);
    }
  });

  test.each<[string, (reply: Reply) => void, string]>([
    ['sends a notice of disconnection', (reply) => reply.bytes(NOTICE), 'connectionLost'],
    ['sends what is no LDAP', (reply) => reply.bytes(Buffer.from('3003010100', 'hex')), 'connectionLost'],
  ])('is sent to no other server when one takes it and %s', async (_what, answer, code) => {
    const first = await scripted({ bind: (_asked, reply) => answer(reply) });
    const second = await scripted({});
    const directory = open([nameOf(first), nameOf(second)]);

    expect(await directory.verifyPassword(ANNA, 'x')).toMatchObject({ kind: 'unanswered', fault: { code } });
    expect([bindsOf(first), bindsOf(second)]).toEqual([1, 0]);
  });

  test.each([49, 50, 48, 32])('that was refused with %i is sent to no other server', async (code) => {
    const first = await scripted({ bind: (_asked, reply) => reply.done({ code }) });
    const second = await scripted({});
    const directory = open([nameOf(first), nameOf(second)]);

    expect(await directory.verifyPassword(ANNA, 'x')).toMatchObject({ kind: 'rejected' });
    expect([bindsOf(first), bindsOf(second)]).toEqual([1, 0]);
  });

  test.each([
    [49, '80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 52f, v4563'],
    [53, ''],
    [13, ''],
  ])('that got %i %j is a fault without a second server', async (code, diagnostic) => {
    const first = await scripted({ bind: (_asked, reply) => reply.done({ code, diagnostic }) });
    const second = await scripted({});
    const directory = open([nameOf(first), nameOf(second)]);

    await expect(directory.verifyPassword(ANNA, 'x')).rejects.toMatchObject({ name: 'ServiceError' });
    expect([bindsOf(first), bindsOf(second)]).toEqual([1, 0]);
  });

  test('that was accepted is sent to no other server, whatever is done after that', async () => {
    const first = await scripted({});
    const second = await scripted({});
    const directory = open([nameOf(first), nameOf(second)]);
    const fails = directory.verifyPassword(ANNA, 'x', async (own) => {
      expect(await own.readId('entryuuid')).toBe(ID);
      first.dropConnections();
      await own.readId('entryuuid');
    });

    await expect(fails).rejects.toMatchObject({ code: 'connectionLost' });
    expect([bindsOf(first), bindsOf(second)]).toEqual([1, 0]);
  });

  test('is sent once to each server of which a kept connection answers that it is in trouble', async () => {
    let well = true;
    const busy = (_asked: BindAsked, reply: Reply): void => reply.done(well ? {} : { code: 51 });
    const servers = [await scripted({ bind: busy }), await scripted({ bind: busy })];
    const directory = open(servers.map(nameOf));
    await directory.verifyPassword(ANNA, 'x');

    well = false;

    await expect(directory.verifyPassword(ANNA, 'x')).rejects.toMatchObject({
      code: 'directoryError',
      retryable: true,
    });
    expect(servers.map(bindsOf)).toEqual([2, 1]);
  });
});

describe('the first server', () => {
  const CODES = [1, 2, 3, 11, 12, 51, 52, 53, 54, 80];
  const OUTAGE = '80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 51f, v4563';

  test.each([...CODES.map((code) => [code, ''] as const), [49, OUTAGE]] as const)(
    "is left for the second one when it answers the reader's bind with %i %j",
    async (code, diagnostic) => {
      const first = await scripted({ bind: (_asked, reply) => reply.done({ code, diagnostic }) });
      const second = await scripted({});
      const directory = open([nameOf(first), nameOf(second)]);

      const reader = await directory.openReader();
      onTestFinished(() => reader.close());
      expect(reader.server).toBe(nameOf(second));
      expect(await directory.findDn(ID, 'entryuuid')).toBe(ANNA);
      expect(bindsOf(first)).toBe(1);
    },
  );

  test.each([...CODES.filter((code) => code !== 53).map((code) => [code, ''] as const), [49, OUTAGE]] as const)(
    "is left for the second one when it answers a person's bind with %i %j",
    async (code, diagnostic) => {
      const first = await scripted({ bind: (_asked, reply) => reply.done({ code, diagnostic }) });
      const second = await scripted({});
      const directory = open([nameOf(first), nameOf(second)]);

      expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);
      expect([bindsOf(first), bindsOf(second)]).toEqual([1, 1]);
    },
  );

  test.each([
    [49, '', 'bindRefused'],
    [53, 'Account inactivated. Contact system administrator.', 'bindRefused'],
    [13, '', 'encryptionRequired'],
    [8, '', 'encryptionRequired'],
  ])("stays the only one when it answers the reader's bind with %i %j", async (code, diagnostic, fault) => {
    const first = await scripted({ bind: (_asked, reply) => reply.done({ code, diagnostic }) });
    const second = await scripted({});
    const directory = open([nameOf(first), nameOf(second)]);

    await expect(directory.openReader()).rejects.toMatchObject({ code: fault });
    expect(second.connections).toBe(0);
  });
});

describe('a name with two addresses', () => {
  const NAME = 'ldap.example.test';

  /** Two servers behind one name, at one port. */
  async function pair(
    first: Script,
    second: Script = {},
  ): Promise<{ directory: ReturnType<typeof open>; both: ScriptedServer[] }> {
    const one = await scripted(first);
    const two = await scripted(second, { host: '127.0.0.2', port: one.port });
    const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
    return { directory: open([`${NAME}:${one.port}`], async () => addresses), both: [one, two] };
  }

  const TROUBLE: readonly (readonly [string, Script])[] = [
    ['hangs', { raw: () => {} }],
    ['hangs up', { raw: (_data, reply) => reply.hangUp() }],
    ['speaks no LDAP', { raw: (_data, reply) => reply.bytes('HTTP/1.1 400 Bad Request\r\n\r\n') }],
    ['is busy', { bind: (_asked, reply) => reply.done({ code: 51 }) }],
  ];

  test.each(TROUBLE)('is used at the second one when the first %s, and goes on so', async (_what, first) => {
    const { directory, both } = await pair(first);

    expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);
    const reader = await directory.openReader();
    onTestFinished(() => reader.close());
    expect(reader.identity.identity).toContain('127.0.0.2');
    expect(await directory.findDn(ID, 'entryuuid')).toBe(ANNA);

    // It rests for a minute, so nobody waits for it again.
    expect(both[0]!.connections).toBe(1);
    directory.pass(6 * MINUTE_MS);
    expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);
    expect(both[0]!.connections).toBe(2);
  });

  test('is used at the first one again a minute after it failed, by a clock that was set back too', async () => {
    const { directory, both } = await pair({ bind: (_asked, reply) => reply.done({ code: 51 }) });
    await directory.verifyPassword(ANNA, 'x');

    directory.pass(-6 * MINUTE_MS);
    await directory.verifyPassword(ANNA, 'x');

    expect(both.map(bindsOf)).toEqual([2, 2]);
  });

  test('is used at the second one after the first took a password and hung up', async () => {
    const { directory, both } = await pair({ bind: (_asked, reply) => reply.hangUp() });

    expect(await directory.verifyPassword(ANNA, 'x')).toMatchObject({ kind: 'unanswered' });
    expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);
    expect(both.map(bindsOf)).toEqual([1, 1]);
  });

  test('sends a refused password of the reader to one address only', async () => {
    const refuse: Script = { bind: (_asked, reply) => reply.done({ code: 49 }) };
    const { directory, both } = await pair(refuse, refuse);

    await expect(directory.openReader()).rejects.toMatchObject({ code: 'bindRefused' });
    expect(both.map(bindsOf)).toEqual([1, 0]);
  });

  test('is used at one of them by bind and reader, in whatever order the name service tells them', async () => {
    // Anna has been renamed. The first server knows; the second has not heard of it yet.
    const renamed = `uid=anna.w,${BASE}`;
    const { both } = await pair({
      bind: ({ name }, reply) => reply.done({ code: name === ANNA ? 49 : 0 }),
      search: (_asked, reply) => {
        reply.entry(renamed, { uid: ['anna.w'], entryUUID: [ID] });
        reply.done();
      },
    });
    const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
    let asked = 0;
    const directory = open([`${NAME}:${both[0]!.port}`], async () => {
      asked += 1;
      return asked % 2 === 1 ? addresses : addresses.toReversed();
    });

    const [bound, found] = await Promise.all([
      directory.verifyPassword(ANNA, 'right'),
      directory.findDn(ID, 'entryuuid'),
    ]);

    // Else the refusal of a DN that nobody has any more would be taken for the person's.
    expect([bound.kind, found]).toEqual(['rejected', renamed]);
    expect(both.map(({ connections }) => connections)).toEqual([2, 0]);
  });

  test('comes before another server, and that one before an address that failed', async () => {
    const { directory: _unused, both } = await pair(
      { raw: (_data, reply) => reply.hangUp() },
      { bind: (_a, r) => r.hangUp() },
    );
    const third = await scripted({});
    const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
    const directory = open([`${NAME}:${both[0]!.port}`, nameOf(third)], async ({ name }) =>
      name === nameOf(third) ? addresses.slice(0, 1) : addresses,
    );

    expect(await directory.verifyPassword(ANNA, 'x')).toMatchObject({ kind: 'unanswered' });
    expect(await directory.verifyPassword(ANNA, 'x')).toEqual(ACCEPTED);
    expect([...both.map(({ connections }) => connections), bindsOf(third)]).toEqual([1, 1, 1]);
  });
});
