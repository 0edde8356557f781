/**
 * eDirectory can't be started here, so a scripted server returns the entries of test/fixtures/edirectory.ldif and the
 * results described in its documentation.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { BindResult } from '../../lib/directory/directory.ts';
import type { Entry } from '../../lib/directory/entry.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { aSettings } from '../support/people.ts';
import { type Attributes, type Script, startScriptedLdapServer } from '../support/scripted-ldap-server.ts';

interface Recorded {
  readonly dn: string;
  readonly attributes: Attributes;
}

const SUFFIX = 'ou=people,o=example';
let rootDse: Recorded;
let people: readonly Recorded[];

/** Reads the LDIF of the fixture (RFC 2849): comments, one value per line, base64 after two colons. */
function parseLdif(text: string): Recorded[] {
  const blocks = text
    .replaceAll(/^#.*\n/gm, '')
    .trim()
    .split(/\n{2,}/);
  return blocks.map((block) => {
    const attributes: Record<string, (string | Buffer)[]> = {};
    for (const line of block.split('\n')) {
      const [, name, encoded, value] = /^([^:]+):(:?) ?(.*)$/.exec(line)!;
      (attributes[name!] ??= []).push(encoded === ':' ? Buffer.from(value!, 'base64') : value!);
    }
    const { dn, ...others } = attributes;
    return { dn: String(dn![0]), attributes: others };
  });
}

beforeAll(async () => {
  const ldif = await readFile(join(import.meta.dirname, '../fixtures/edirectory.ldif'), 'utf8');
  const [first, ...others] = parseLdif(ldif);
  rootDse = first!;
  people = others;
});

async function open(script: Script = {}) {
  const server = await startScriptedLdapServer({
    rootDse: rootDse.attributes,
    search(asked, reply) {
      for (const { dn, attributes } of people) reply.entry(dn, attributes);
      reply.done(asked.page === null ? {} : { cookie: '' });
    },
    ...script,
  });
  const settings = aSettings({
    connection: { servers: [`127.0.0.1:${server.port}`] },
    scope: { baseDn: SUFFIX },
    mapping: { userName: '', fullName: '', emailAddresses: '' },
  });
  const directory = openDirectory(settings, 'secret', () => new Date());
  onTestFinished(async () => {
    await directory.close();
    await server.stop();
  });
  return directory;
}

describe('eDirectory', () => {
  test('is known by its root DSE, with its unique id, its status attributes and its presets', async () => {
    const directory = await open();

    const { ok, server, presets } = await directory.test(5000);

    expect(ok).toBe(true);
    expect(server).toMatchObject({
      vendor: 'eDirectory',
      product: 'NetIQ Corporation LDAP Agent for NetIQ eDirectory 9.2.4 (40205.00)',
      offers: { paging: true, startTls: true, passwordPolicy: false },
      uniqueId: 'GUID',
      statusAttributes: [
        { name: 'loginDisabled', seen: true },
        { name: 'loginExpirationTime', seen: true },
      ],
    });
    expect(presets).toEqual({
      scope: { filter: '(&(objectClass=inetOrgPerson)(cn=*))' },
      mapping: { userName: 'cn', fullName: 'fullName', emailAddresses: 'mail' },
    });
  });

  test('marks people disabled by loginDisabled and by a loginExpirationTime that is past', async () => {
    const { sample } = await (await open()).test(5000);

    expect(sample.map(({ dn, mark }: Entry) => `${dn.split(',', 1)[0]} ${mark}`)).toEqual([
      'cn=active null',
      'cn=plain null',
      'cn=disabled logindisabled',
      'cn=expired loginexpirationtime',
    ]);
  });

  test('tells people apart by GUID, sixteen bytes written as a UUID in their own order', async () => {
    const { sample } = await (await open()).test(5000);

    expect(sample[0]!.id).toBe('00112233-4455-6677-8899-aabbccddeeff');
    expect(new Set(sample.map(({ id }) => id)).size).toBe(people.length);
  });

  test.each<[number, string, BindResult]>([
    [0, '', { kind: 'accepted' }],
    [49, 'NDS error: failed authentication (-669)', { kind: 'rejected', reason: 'invalidCredentials' }],
    [49, 'NDS error: bad password (-222)', { kind: 'rejected', reason: 'passwordExpired' }],
    [53, 'NDS error: login lockout (-197)', { kind: 'rejected', reason: 'accountLocked' }],
    [53, 'NDS error: log account expired (-220)', { kind: 'rejected', reason: 'accountDisabled' }],
    [53, 'NDS error: bad login time (-218)', { kind: 'rejected', reason: 'notPermitted' }],
  ])('answers a bind with %i %j', async (code, diagnostic, result) => {
    const directory = await open({ bind: (_asked, reply) => reply.done({ code, diagnostic }) });

    expect(await directory.verifyPassword(people[0]!.dn, 'x')).toEqual(result);
  });
});
