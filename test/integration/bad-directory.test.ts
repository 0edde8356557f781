/**
 * Whole runs against LDAP servers that fail or mislead, over real TCP: whatever a server does, a run removes only users
 * who are proven gone, and says what happened and what to do.
 */
import { afterEach, expect, describe, test } from 'vitest';
import { openDirectory } from '../../lib/ldap/directory.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import type { Run } from '../../lib/sync/run.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import { OFFERS_PAGING, startScriptedLdapServer } from '../support/scripted-ldap-server.ts';
import type { Attributes, Reply, Script, ScriptedServer, SearchAsked } from '../support/scripted-ldap-server.ts';

const NOBODY_REMOVED = { disabled: 0, deleted: 0 };

let server: ScriptedServer | null = null;
let script: Script = {};

afterEach(async () => {
  await expect.poll(() => server?.openSockets ?? 0).toBe(0);
  await server?.stop();
  server = null;
});

const idOf = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
const person = (number: number, over: Attributes = {}): Attributes => ({
  entryUUID: [idOf(number)],
  uid: [`user${number}`],
  cn: [`Person ${number}`],
  mail: [`user${number}@example.com`],
  ...over,
});
const dnOf = (number: number): string => `uid=user${number},dc=example,dc=com`;

function sendPeople(reply: Reply, from: number, to: number): void {
  for (let number = from; number < to; number += 1) reply.entry(dnOf(number), person(number));
}

/** Answers reads of people by `answer`. A search for ids finds every id, as if everybody were there. */
function people(answer: (asked: SearchAsked, reply: Reply) => void): Script {
  return {
    search(asked, reply) {
      const ids = Array.from({ length: 40 }, (_, number) => number).filter((number) =>
        asked.filter.includes(idOf(number)),
      );
      if (ids.length > 0) {
        for (const number of ids) reply.entry(dnOf(number), { entryUUID: [idOf(number)] });
        reply.done();
      } else if (asked.page === null) {
        reply.entry(dnOf(0), person(0));
        reply.done();
      } else answer(asked, reply);
    },
  };
}

/** A house that has synchronised 40 people from the server, and deletes missing users. */
async function startKnown(): Promise<House> {
  script = people((_asked, reply) => {
    sendPeople(reply, 0, 40);
    reply.done({ cookie: '' });
  });
  server = await startScriptedLdapServer({
    get rootDse() {
      return script.rootDse ?? OFFERS_PAGING;
    },
    bind: (asked, reply) => (script.bind ? script.bind(asked, reply) : reply.done()),
    search: (asked, reply) => script.search!(asked, reply),
  });
  const house = await startHouse({
    configured: false,
    openDirectory: (...args) => openDirectory(...args, () => new Date()),
  });
  await configure(house);
  const run = await house.run();
  expect(run.totals.created).toBe(40);
  return house;
}

async function configure(house: House, connection: Partial<Settings['connection']> = {}): Promise<void> {
  await house.configure({
    connection: {
      servers: [`127.0.0.1:${server!.port}`],
      timeouts: { connectSeconds: 0.4, operationSeconds: 0.4, loginSeconds: 1 },
      ...connection,
    },
    options: { missingUsers: 'delete', removalLimit: { percent: 100, atLeast: 100 } },
  });
}

async function expectNobodyLost(house: House, run: Run): Promise<void> {
  expect(run.totals).toMatchObject(NOBODY_REMOVED);
  expect(await house.users()).toHaveLength(40);
}

describe('a read that is cut short makes the run partial, removes nobody and says why', () => {
  test.each<[string, (asked: SearchAsked, reply: Reply) => void, RegExp]>([
    [
      'the server stops at its size limit',
      (_asked, reply) => {
        sendPeople(reply, 0, 3);
        reply.done({ code: 4 });
      },
      /sizeLimitExceeded.*limits/su,
    ],
    [
      'the server hangs up in mid-message',
      (asked, reply) => {
        if (asked.page!.cookie === '') {
          sendPeople(reply, 0, 3);
          reply.done({ cookie: 'more' });
        } else {
          reply.bytes(Buffer.from('3082', 'hex'));
          reply.hangUp();
        }
      },
      /broke off after 3 entries/u,
    ],
    [
      'the server ignores the paged control it advertises',
      (_asked, reply) => {
        sendPeople(reply, 0, 3);
        reply.done();
      },
      /ignored the paging control/u,
    ],
    [
      'a part of the scope is on another server',
      (_asked, reply) => {
        sendPeople(reply, 0, 3);
        reply.reference('ldap://other.example.com/ou=branch,dc=example,dc=com');
        reply.done({ cookie: '' });
      },
      /another server.*other\.example\.com/u,
    ],
    [
      'the server sends empty pages without end',
      (_asked, reply) => reply.done({ cookie: 'more' }),
      /empty pages in a row/u,
    ],
    [
      'the server stops answering in the middle',
      (asked, reply) => {
        if (asked.page!.cookie !== '') return;
        sendPeople(reply, 0, 3);
        reply.done({ cookie: 'more' });
      },
      /broke off after 3 entries.*no answer/su,
    ],
    [
      'the server is busy after the first page',
      (asked, reply) => {
        if (asked.page!.cookie === '') sendPeople(reply, 0, 3);
        reply.done(asked.page!.cookie === '' ? { cookie: 'more' } : { code: 51 });
      },
      /busy \(51\)/u,
    ],
  ])('%s', async (_, answer, reason) => {
    const house = await startKnown();
    script = people(answer);
    const run = await house.run();
    expect(run).toMatchObject({ status: 'partial', completeness: { complete: false } });
    expect(run.completeness!.reasons.join(' ')).toMatch(reason);
    await expectNobodyLost(house, run);
  });

  test('an empty page with a cookie is not the end: who comes after it is read', async () => {
    const house = await startKnown();
    script = people((asked, reply) => {
      if (asked.page!.cookie === '') {
        sendPeople(reply, 0, 20);
        reply.done({ cookie: 'a' });
      } else if (asked.page!.cookie === 'a') reply.done({ cookie: 'b' });
      else {
        sendPeople(reply, 20, 40);
        reply.done({ cookie: '' });
      }
    });
    const run = await house.run();
    expect(run).toMatchObject({ status: 'succeeded', totals: { unchanged: 40 }, progress: { read: 40 } });
    await expectNobodyLost(house, run);
  });
});

describe('a server that gives no read at all fails the run with a code and advice, and nobody is touched', () => {
  test.each<[string, (house: House) => Promise<void>, string, RegExp]>([
    [
      'nothing listens',
      async (house) => configure(house, { servers: ['127.0.0.1:1'] }),
      'connectionRefused',
      /Check the port/u,
    ],
    [
      'the name does not resolve',
      async (house) => configure(house, { servers: ['no-such-host.invalid'] }),
      'hostNotFound',
      /spelling/u,
    ],
    [
      'the bind password is wrong',
      async () => {
        script = { ...script, bind: (_asked, reply) => reply.done({ code: 49 }) };
      },
      'bindRefused',
      /password/u,
    ],
    [
      'the server wants encryption',
      async () => {
        script = { ...script, bind: (_asked, reply) => reply.done({ code: 13 }) };
      },
      'encryptionRequired',
      /StartTLS or LDAPS/u,
    ],
    [
      'the server accepts and never answers',
      async () => {
        script = { ...script, bind: () => {} };
      },
      'operationTimeout',
      /time-out/u,
    ],
    [
      'the base does not exist',
      async () => {
        script = { search: (_asked, reply) => reply.done({ code: 32 }) };
      },
      'baseNotFound',
      /base DN/u,
    ],
    [
      'the bind user may not read',
      async () => {
        script = { search: (_asked, reply) => reply.done({ code: 50 }) };
      },
      'readRefused',
      /right to read/u,
    ],
    ['StartTLS is not supported', async (house) => configure(house, { encryption: 'tls' }), 'startTlsRefused', /./u],
    [
      'LDAPS meets a port that speaks plain LDAP',
      async (house) => configure(house, { encryption: 'ssl' }),
      'connectionTimeout',
      /./u,
    ],
  ])('%s', async (_, spoil, code, advice) => {
    const house = await startKnown();
    await spoil(house);
    const writes = house.writes();
    const run = await house.run();
    expect(run).toMatchObject({ status: 'failed', completeness: null, error: { code } });
    expect(run.error!.advice).toMatch(advice);
    expect(house.writes()).toBe(writes);
    await expectNobodyLost(house, run);
  });

  test('what answers is HTTP', async () => {
    const house = await startKnown();
    const web = await startScriptedLdapServer({
      raw: (_data, reply) => {
        reply.bytes('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
        reply.hangUp();
      },
    });
    await configure(house, { servers: [`127.0.0.1:${web.port}`] });
    const run = await house.run();
    expect(run).toMatchObject({ status: 'failed', error: { code: 'notLdap', advice: expect.stringMatching(/port/u) } });
    await expectNobodyLost(house, run);
    await web.stop();
  });
});

describe('entries that are no use as they are', () => {
  test('a search that finds nobody withholds every removal and says where to look', async () => {
    const house = await startKnown();
    script = people((_asked, reply) => reply.done({ cookie: '' }));
    const run = await house.run();
    expect(run).toMatchObject({ status: 'succeeded', totals: { withheld: 40 } });
    expect(run.notices.join(' ')).toMatch(/found nobody.*base DN, the filter/u);
    await expectNobodyLost(house, run);
  });

  test('no user name, one user name twice and bytes that are no text: each has its line, the others are taken', async () => {
    const house = await startKnown();
    script = people((_asked, reply) => {
      sendPeople(reply, 0, 40);
      reply.entry('cn=nameless,dc=example,dc=com', { entryUUID: [idOf(50)], cn: ['Nameless'] });
      reply.entry(dnOf(51), person(51, { uid: ['twin'] }));
      reply.entry(dnOf(52), person(52, { uid: ['Twin'] }));
      reply.entry(dnOf(53), person(53, { uid: [Buffer.from([0xff, 0xfe, 0x00])] }));
      reply.entry(dnOf(54), person(54, { cn: [Buffer.from([0xc3, 0x28])], mail: [Buffer.from([0xff, 0x40, 0x61])] }));
      reply.entry('cn=idless,dc=example,dc=com', { uid: ['idless'] });
      reply.done({ cookie: '' });
    });
    const run = await house.run();
    // The entry without an id may be anybody, so nothing is proven about who is missing.
    expect(run).toMatchObject({ status: 'partial', totals: { created: 1, conflict: 2, skipped: 3, unchanged: 40 } });
    expect(run.completeness!.reasons.join()).toMatch(
      /entryuuid the bind DN can't read: 1\..*Let the bind DN read the attribute/u,
    );
    const told = Object.fromEntries(
      (await house.changes(run)).map(({ dn, kind, reason }) => [dn, `${kind}: ${reason}`]),
    );
    expect(told).toEqual({
      'cn=nameless,dc=example,dc=com': expect.stringMatching(/^skipped: the entry has no uid/u),
      [dnOf(51)]: expect.stringMatching(/^conflict: another entry/u),
      [dnOf(52)]: expect.stringMatching(/^conflict: another entry/u),
      [dnOf(53)]: expect.stringMatching(/^skipped: uid:.*not UTF-8/u),
      [dnOf(54)]: expect.stringMatching(
        /^created: cn: .* is not UTF-8 text; mail: .* can't be read as an e-mail address/u,
      ),
      'cn=idless,dc=example,dc=com': expect.stringMatching(/^skipped:.*unique id/u),
    });
    expect(await house.user('user54')).toMatchObject({ fullName: null, emailAddresses: [] });
  });
});
