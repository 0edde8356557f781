/** The ways in which a server can cut a read short: the Directory port never reports such a read as complete. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Directory, ReadProof } from '../../lib/directory/directory.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import { aSettings } from '../support/people.ts';
import { type Read, readAll } from '../support/read-all.ts';
import {
  entryMessage,
  OFFERS_PAGING,
  type Reply,
  type Script,
  type ScriptedServer,
  type SearchAsked,
  startScriptedLdapServer,
} from '../support/scripted-ldap-server.ts';

const BASE = 'dc=example,dc=com';
const OPERATION_SECONDS = 0.3;
const LOGIN_SECONDS = 0.6;

async function start(
  script: Script,
  over: Partial<Settings['connection']> = {},
): Promise<{ server: ScriptedServer; directory: Directory }> {
  const server = await startScriptedLdapServer(script);
  const settings = aSettings({
    connection: {
      servers: [`127.0.0.1:${server.port}`],
      administrativeDn: `cn=reader,${BASE}`,
      timeouts: { connectSeconds: 0.5, operationSeconds: OPERATION_SECONDS, loginSeconds: LOGIN_SECONDS },
      ...over,
    },
  });
  const directory = openDirectory(settings, 'secret', () => new Date());
  onTestFinished(async () => {
    await directory.close();
    await expect.poll(() => server.openSockets, { message: 'no connection is left open' }).toBe(0);
    await server.stop();
  });
  return { server, directory };
}

function person(number: number): [dn: string, attributes: Record<string, readonly (string | Uint8Array)[]>] {
  const uid = `user${number}`;
  return [
    `uid=${uid},${BASE}`,
    { uid: [uid], cn: [uid], entryUUID: [`00000000-0000-0000-0000-${String(number).padStart(12, '0')}`] },
  ];
}

/** Answers each page by `answer`, and a search without paging with one person. */
function pages(answer: (page: NonNullable<SearchAsked['page']>, reply: Reply) => void): NonNullable<Script['search']> {
  return (asked, reply) => {
    if (asked.page !== null) return answer(asked.page, reply);
    reply.entry(...person(0));
    reply.done();
  };
}

async function readUids(directory: Directory): Promise<Read & { readonly uids: readonly string[] }> {
  const read = await readAll(directory);
  return { ...read, uids: read.entries.map(({ attributes }) => attributes.uid?.[0] ?? '') };
}

const partial = (reason: RegExp): unknown =>
  expect.objectContaining({ complete: false, reasons: [expect.stringMatching(reason)] });
const COMPLETE: ReadProof = { complete: true, reasons: [] };

describe('a read is complete', () => {
  test('when an empty page with a cookie comes in between', async () => {
    const { directory } = await start({
      search: pages(({ cookie }, reply) => {
        const [number, next] = { '': [1, 'nobody'], nobody: [null, 'last'], last: [2, ''] }[cookie] as [
          number | null,
          string,
        ];
        if (number !== null) reply.entry(...person(number));
        reply.done({ cookie: next });
      }),
    });

    const { uids, proof } = await readUids(directory);

    expect(proof).toEqual(COMPLETE);
    expect(uids).toEqual(['user1', 'user2']);
  });

  test('when the server does not offer paging and sends everybody at once', async () => {
    const { directory } = await start({
      rootDse: { namingContexts: [BASE] },
      search: pages((_page, reply) => {
        for (let number = 0; number < 5; number += 1) reply.entry(...person(number));
        reply.done();
      }),
    });

    const { uids, proof } = await readUids(directory);

    expect(proof).toEqual(COMPLETE);
    expect(uids).toHaveLength(5);
  });

  test('when Active Directory refers to partitions that hold no people', async () => {
    const { directory } = await start({
      rootDse: { ...OFFERS_PAGING, vendorName: ['Samba Team'], supportedCapabilities: ['1.2.840.113556.1.4.800'] },
      search: (asked, reply) => {
        reply.entry(`CN=One,${BASE}`, {
          uid: ['one'],
          objectGUID: [Buffer.from('00112233445566778899aabbccddeeff', 'hex')],
        });
        for (const partition of ['CN=Configuration', 'DC=DomainDnsZones', 'DC=ForestDnsZones']) {
          reply.reference(`ldap://example.com/${partition},DC=example,DC=com`);
        }
        reply.done(asked.page === null ? {} : { cookie: '' });
      },
    });

    const { entries, proof } = await readUids(directory);

    expect(proof).toEqual(COMPLETE);
    expect(entries[0]!.id).toBe('33221100-5544-7766-8899-aabbccddeeff');
  });
});

describe('a read is not complete, and keeps what it got,', () => {
  test('when the server reaches a size limit in the middle', async () => {
    const { directory } = await start({
      search: pages(({ cookie }, reply) => {
        reply.entry(...person(cookie === '' ? 1 : 2));
        reply.done(cookie === '' ? { cookie: 'more' } : { code: 4, cookie: 'even more' });
      }),
    });

    const { uids, proof } = await readUids(directory);

    expect(uids).toEqual(['user1', 'user2']);
    expect(proof).toEqual(partial(/after 2 entries: sizeLimitExceeded \(4\)\. Lift the server's limits/));
  });

  test.each([
    [3, /timeLimitExceeded \(3\)/, undefined],
    [11, /adminLimitExceeded \(11\): too many/, undefined],
    [51, /busy \(51\)/, true],
    [53, /unwillingToPerform \(53\)/, true],
    [80, /other \(80\)/, true],
  ])('when a later page ends with result code %i', async (code, reason, brokeOff) => {
    const { directory } = await start({
      search: pages(({ cookie }, reply) => {
        if (cookie === '') reply.entry(...person(1));
        reply.done(cookie === '' ? { cookie: 'more' } : { code, diagnostic: code === 11 ? 'too many' : '' });
      }),
    });

    const { uids, proof } = await readUids(directory);

    expect(uids).toEqual(['user1']);
    expect(proof).toEqual(partial(reason));
    expect(proof.brokeOff).toBe(brokeOff);
  });

  test('when a limit is reached before the first entry', async () => {
    const { directory } = await start({ search: pages((_page, reply) => reply.done({ code: 11 })) });

    expect((await readUids(directory)).proof).toEqual(partial(/after 0 entries: adminLimitExceeded/));
  });

  test('when the server hangs up in the middle of a message', async () => {
    const { directory } = await start({
      search: pages(({ cookie }, reply) => {
        reply.entry(...person(cookie === '' ? 1 : 2));
        if (cookie === '') return reply.done({ cookie: 'more' });
        const message = entryMessage(5, ...person(3));
        reply.bytes(message.subarray(0, message.length / 2));
        reply.hangUp();
      }),
    });

    const { uids, proof } = await readUids(directory);

    expect(uids).toEqual(['user1', 'user2']);
    expect(proof).toEqual(partial(/broke off after 2 entries: .*the server closed the connection/));
    expect(proof.brokeOff).toBe(true);
  });

  test.each([
    ['a message that is not valid LDAP', Buffer.from('3006020104640178', 'hex')],
    ['an intermediate response', Buffer.from('3005020104790000', 'hex')],
    ['bytes that are no message', Buffer.from('HTTP/1.1 200 OK\r\n\r\n'.repeat(10))],
  ])('when the server sends %s', async (_what, bytes) => {
    const { directory } = await start({
      search: pages((_page, reply) => {
        reply.entry(...person(1));
        reply.bytes(bytes);
        reply.done({ cookie: '' });
      }),
    });

    const { proof } = await readUids(directory);

    expect(proof).toEqual(partial(/broke off after 1 entries: .*not valid LDAP/));
  });

  test('when the connection breaks between two entries of one page, and says so', async () => {
    const { directory } = await start({
      search: pages((_page, reply) => {
        reply.entry(...person(1));
        reply.hangUp();
      }),
    });

    const { uids, proof } = await readUids(directory);

    expect(uids).toEqual(['user1']);
    expect(proof).toEqual({
      complete: false,
      reasons: [expect.stringMatching(/broke off after 1 entries: .*the server closed the connection/)],
      brokeOff: true,
    });
  });

  test('when the server announces the end of the connection', async () => {
    // Notice of disconnection (RFC 4511 section 4.4.1): an extended response with message id 0, here "unavailable".
    const notice = Buffer.from(
      `3024020100781f0a0134040004008a16${Buffer.from('1.3.6.1.4.1.1466.20036').toString('hex')}`,
      'hex',
    );
    const { directory } = await start({
      search: pages((_page, reply) => {
        reply.entry(...person(1));
        reply.bytes(notice);
      }),
    });

    expect((await readUids(directory)).proof).toEqual(partial(/notice of disconnection: unavailable \(52\)/));
  });

  test('when the server offers paging and then ignores it', async () => {
    const { directory } = await start({
      search: pages((_page, reply) => {
        reply.entry(...person(1));
        reply.done();
      }),
    });

    const { uids, proof } = await readUids(directory);

    expect(uids).toEqual(['user1']);
    expect(proof).toEqual(partial(/announces paged searches but ignored the paging control/));
  });

  test('when the server stops paging in the middle', async () => {
    const { directory } = await start({
      rootDse: { namingContexts: [BASE], vendorName: ['OpenLDAP'] },
      search: pages(({ cookie }, reply) => {
        reply.entry(...person(cookie === '' ? 1 : 2));
        reply.done(cookie === '' ? { cookie: 'more' } : {});
      }),
    });

    expect((await readUids(directory)).proof).toEqual(partial(/stopped paging/));
  });

  test('when a part of the scope is on another server', async () => {
    const { directory } = await start({
      search: pages((_page, reply) => {
        reply.entry(...person(1));
        reply.reference('ldap://other.example.com/ou=branch,dc=example,dc=com??sub');
        reply.done({ cookie: '' });
      }),
    });

    expect((await readUids(directory)).proof).toEqual({
      complete: false,
      reasons: [expect.stringMatching(/not read: ldap:\/\/other\.example\.com\/ou=branch/)],
      onlyReferrals: true,
    });
  });

  test('when a part of the scope is on another server and a limit is reached as well', async () => {
    const { directory } = await start({
      search: pages((_page, reply) => {
        reply.entry(...person(1));
        reply.reference('ldap://other.example.com/ou=branch,dc=example,dc=com??sub');
        reply.done({ code: 4, cookie: '' });
      }),
    });

    const { proof } = await readUids(directory);

    expect(proof.reasons).toHaveLength(2);
    expect(proof.onlyReferrals).toBeUndefined();
    expect(proof.brokeOff).toBeUndefined();
  });

  test('when Active Directory refers to a child domain', async () => {
    const { directory } = await start({
      rootDse: { ...OFFERS_PAGING, supportedCapabilities: ['1.2.840.113556.1.4.800'] },
      search: (asked, reply) => {
        reply.entry(`CN=One,${BASE}`, { uid: ['one'], objectGUID: [Buffer.alloc(16, 1)] });
        reply.reference('ldap://child.example.com/DC=child,DC=example,DC=com');
        reply.done(asked.page === null ? {} : { cookie: '' });
      },
    });

    expect((await readUids(directory)).proof).toEqual(partial(/child\.example\.com/));
  });

  test('when empty pages with a cookie never end', async () => {
    const { server, directory } = await start({
      search: pages(({ cookie }, reply) => {
        if (cookie === '') reply.entry(...person(1));
        reply.done({ cookie: 'round and round' });
      }),
    });

    expect((await readUids(directory)).proof).toEqual(partial(/empty pages in a row/));
    expect(server.requests.length).toBeLessThan(120);
  });

  test('when the same page comes twice', async () => {
    const { directory } = await start({
      search: pages((_page, reply) => {
        reply.entry(...person(1));
        reply.done({ cookie: 'round and round' });
      }),
    });

    const { uids, proof } = await readUids(directory);

    expect(uids).toEqual(['user1']);
    expect(proof).toEqual(partial(/same page twice/));
  });

  test('when the server stops answering, within the deadline', async () => {
    const { directory } = await start({
      search: pages(({ cookie }, reply) => {
        reply.entry(...person(cookie === '' ? 1 : 2));
        if (cookie === '') reply.done({ cookie: 'more' });
      }),
    });
    const started = performance.now();

    const { uids, proof } = await readUids(directory);

    expect(uids).toEqual(['user1', 'user2']);
    expect(proof).toEqual(partial(/broke off after 2 entries: .*no answer to a search within 0\.3 s/));
    expect(performance.now() - started).toBeLessThan(OPERATION_SECONDS * 1000 + 5_000);
  });
});

describe('bytes that are no text', () => {
  const ACTIVE = { mark: null, statusSeen: [], statusUnknown: false, unusable: null };

  test('come as text with replacement characters, and do no harm to ids', async () => {
    const rubbish = Buffer.from([0xff, 0x00, 0xc3, 0x28, 0x80]);
    const { directory } = await start({
      search: pages((_page, reply) => {
        reply.entry('uid=rubbish', {
          uid: [rubbish, 'fine'],
          'CN;lang-de': ['Zwei'],
          CN: ['eins'],
          entryUUID: [rubbish],
        });
        reply.entry('uid=two-ids', { uid: ['x'], entryUUID: ['one', 'two'] });
        reply.entry('uid=empty', { uid: [], entryUUID: [''] });
        reply.done({ cookie: '' });
      }),
    });

    const { entries, proof } = await readUids(directory);

    expect(proof).toEqual(COMPLETE);
    expect(entries).toEqual([
      {
        dn: 'uid=rubbish',
        id: 'ff00c32880',
        ...ACTIVE,
        attributes: { uid: ['\uFFFD\0\uFFFD(\uFFFD', 'fine'], cn: ['eins'], 'cn;lang-de': ['Zwei'] },
      },
      { dn: 'uid=two-ids', id: null, ...ACTIVE, attributes: { uid: ['x'] } },
      { dn: 'uid=empty', id: null, ...ACTIVE, attributes: {} },
    ]);
  });
});

describe('an empty scope', () => {
  test('does not keep the attribute with the unique id of an unknown vendor from being found', async () => {
    const { directory } = await start({
      rootDse: { namingContexts: [BASE] },
      search(asked, reply) {
        if (asked.scope === 'base') reply.entry(BASE, { nsUniqueId: ['0-0-0-1'] });
        reply.done();
      },
    });
    const reader = await directory.openReader();
    onTestFinished(() => reader.close());

    expect(reader.idAttribute).toBe('nsuniqueid');
  });

  test('below the root of the tree is looked at with an entry of the tree, not with the root DSE', async () => {
    const { directory } = await start({
      rootDse: { namingContexts: [''], nsUniqueId: ['0-0-0-0'] },
      search(asked, reply) {
        if (asked.baseDn === '') reply.entry(BASE, { nsUniqueId: ['0-0-0-1'] });
        reply.done();
      },
    });
    const reader = await directory.openReader();
    onTestFinished(() => reader.close());

    expect(await reader.locate(['0-0-0-2'])).toEqual(new Map([['0-0-0-2', { kind: 'gone' }]]));
  });
});

describe('ids of bytes', () => {
  test('are never found without case: an answer that was not asked for proves nothing', async () => {
    const { directory } = await start({
      search(asked, reply) {
        reply.entry(...person(0));
        if (asked.filter.includes('AB01')) reply.entry('uid=bytes', { entryUUID: [Buffer.from('ab01', 'hex')] });
        reply.done();
      },
    });
    const reader = await directory.openReader();
    onTestFinished(() => reader.close());

    const places = await reader.locate(['AB01']);

    expect(places.get('AB01')).toMatchObject({
      kind: 'unproven',
      reason: expect.stringMatching(/returned entries with other values/) as string,
    });
  });
});

describe('a read that never began throws', () => {
  test.each([
    ['the bind is never answered', { bind: () => {} }, 'operationTimeout'],
    ['the first search is never answered', { search: () => {} }, 'operationTimeout'],
    [
      'the server hangs up instead of answering',
      { bind: (_asked: unknown, reply: Reply) => reply.hangUp() },
      'connectionLost',
    ],
    [
      'a web server answers',
      { raw: (_data: Buffer, reply: Reply) => reply.bytes('HTTP/1.1 400 Bad Request\r\n\r\n') },
      'notLdap',
    ],
    [
      'something answers in bytes',
      { raw: (_data: Buffer, reply: Reply) => reply.bytes(Buffer.alloc(64, 0x30)) },
      'notLdap',
    ],
    ['the server is busy', { bind: (_asked: unknown, reply: Reply) => reply.done({ code: 51 }) }, 'directoryError'],
    [
      'the bind needs encryption',
      { bind: (_asked: unknown, reply: Reply) => reply.done({ code: 13 }) },
      'encryptionRequired',
    ],
    ['reading is not allowed', { search: (_asked: unknown, reply: Reply) => reply.done({ code: 50 }) }, 'readRefused'],
    [
      'there are several bases to choose from',
      { rootDse: { ...OFFERS_PAGING, namingContexts: ['o=a', 'o=b'] } },
      'baseUnknown',
    ],
  ] satisfies [string, Script, string][])('when %s', async (_what, script, code) => {
    const { server } = await start(script);
    const settings = aSettings({
      connection: {
        servers: [`127.0.0.1:${server.port}`],
        timeouts: { connectSeconds: 0.5, operationSeconds: OPERATION_SECONDS, loginSeconds: 1 },
      },
      scope: { baseDn: '' },
    });

    await expect(openDirectory(settings, 'secret', () => new Date()).openReader()).rejects.toMatchObject({
      name: 'ServiceError',
      code,
    });
  });

  test('when the first page is not answered at all', async () => {
    const { directory } = await start({ search: pages(() => {}) });
    const reader = await directory.openReader();

    await expect(reader.readPeople().next()).rejects.toMatchObject({ code: 'operationTimeout', retryable: true });
    await expect(reader.locate(['00000000-0000-0000-0000-000000000001'])).rejects.toMatchObject({
      code: 'operationTimeout',
    });
  });

  test.each([
    ['refused', 'startTlsRefused', (reply: Reply) => reply.done({ code: 52 })],
    ['followed by silence', 'connectionTimeout', (reply: Reply) => reply.done()],
    ['followed by a hang-up', 'connectionLost', (reply: Reply) => (reply.done(), reply.hangUp())],
    [
      'followed by what is no TLS',
      'notLdap',
      (reply: Reply) => (reply.done(), setTimeout(() => reply.bytes('no handshake at all'), 20).unref()),
    ],
  ])('when StartTLS is %s', async (_what, code, extended) => {
    const { directory } = await start(
      {
        extended: (reply) => {
          extended(reply);
        },
      },
      { encryption: 'tls' },
    );

    await expect(directory.openReader()).rejects.toMatchObject({ code });
  });
});

describe('a search by id', () => {
  test.each([
    ['a limit', 4],
    ['a missing right', 50],
    ['a busy server', 51],
  ])('proves nothing when it ends with %s', async (_what, code) => {
    const { directory } = await start({
      search: (asked, reply) => {
        reply.entry(...person(0));
        reply.done(asked.sizeLimit > 0 ? {} : { code });
      },
    });
    const reader = await directory.openReader();
    onTestFinished(() => reader.close());

    await expect(reader.locate(['00000000-0000-0000-0000-000000000001'])).rejects.toMatchObject({
      name: 'ServiceError',
    });
    await expect(directory.findDn('00000000-0000-0000-0000-000000000001', 'entryuuid')).rejects.toMatchObject({
      name: 'ServiceError',
    });
  });

  test('finds nobody when two entries have the id', async () => {
    const { directory } = await start({
      search: (_asked, reply) => {
        reply.entry(`uid=a,${BASE}`, { entryUUID: ['x'] });
        reply.entry(`uid=b,${BASE}`, { entryUUID: ['x'] });
        reply.done();
      },
    });

    expect(await directory.findDn('x', 'entryuuid')).toBeNull();
  });
});

describe('a bind on a kept connection', () => {
  const DN = `uid=a,${BASE}`;

  test.each([
    ['hangs up', (reply: Reply) => reply.hangUp(), 'connectionLost'],
    ['does not answer in time', () => {}, 'operationTimeout'],
  ])('is not repeated when the server has the password and %s', async (_what, afterwards, code) => {
    let binds = 0;
    const { directory } = await start({
      bind: (_asked, reply) => {
        binds += 1;
        if (binds === 2) afterwards(reply);
        else reply.done();
      },
    });
    await directory.verifyPassword(DN, 'x');

    expect(await directory.verifyPassword(DN, 'x')).toMatchObject({ kind: 'unanswered', fault: { code } });
    expect(binds).toBe(2);
    expect(await directory.verifyPassword(DN, 'x')).toEqual({ kind: 'accepted' });
  });

  test('leaves time for the second server when the first is silent', async () => {
    const silent = await startScriptedLdapServer({ raw: () => {} });
    onTestFinished(() => silent.stop());
    const answering = await startScriptedLdapServer({});
    onTestFinished(() => answering.stop());
    const { directory } = await start({}, { servers: [silent, answering].map(({ port }) => `127.0.0.1:${port}`) });

    expect(await directory.verifyPassword(DN, 'x')).toEqual({ kind: 'accepted' });
  });

  test.each([51, 52, 80, 1])('is a fault and no rejection when it ends with result code %i', async (code) => {
    const { directory } = await start({ bind: (_asked, reply) => reply.done({ code }) });

    await expect(directory.verifyPassword(DN, 'x')).rejects.toMatchObject({ code: 'directoryError' });
  });
});

describe('the staged check ends within its limit', () => {
  test.each([
    ['a server that answers nothing', { raw: () => {} }, 'bind'],
    ['a server that does not answer searches', { search: () => {} }, 'base'],
    ['a server that never ends its answer', { search: pages((_page, reply) => reply.entry(...person(1))) }, 'filter'],
  ] satisfies [string, Script, string][])('on %s', async (_what, script, stage) => {
    const { directory } = await start(script, {
      timeouts: { connectSeconds: 10, operationSeconds: 60, loginSeconds: 60 },
    });
    const started = performance.now();

    const result = await directory.test(600);

    expect(performance.now() - started).toBeLessThan(5_000);
    expect(result.ok).toBe(false);
    expect(result.stages.at(-1)).toMatchObject({
      name: stage,
      ok: false,
      detail: expect.stringMatching(/no answer to/) as string,
    });
  });
});
