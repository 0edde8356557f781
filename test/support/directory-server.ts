/**
 * Real directory servers for tests, all alike: the same people on each, a bind user that may read but not everybody, and an
 * administrator to change things with. What is special about a vendor is in the file of its name.
 */
import { createHash, hash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'ldapts';

import type { Certificates } from '../../local/certificate.ts';

/** A product that is tested. lib/settings.ts has the families that products belong to. */
export type Product = 'openldap' | 'ds389' | 'samba' | 'apacheds';

export interface DirectoryServer {
  readonly product: Product;
  /** As people call it. */
  readonly name: string;
  /** On 127.0.0.1. */
  readonly ldapPort: number;
  readonly ldapsPort: number;
  readonly baseDn: string;
  /** Reads everything but what is below ou=hidden, and past the size limits where the server can make such a difference. */
  readonly readerDn: string;
  readonly readerPassword: string;
  /** May do everything. */
  readonly rootDn: string;
  readonly rootPassword: string;
  /** The authority to trust. */
  readonly caPem: string;
  /** Where the user name of a person is. */
  readonly userNameAttribute: 'uid' | 'sAMAccountName';
  /** Tells people from everything else. */
  readonly peopleFilter: string;
  readonly idAttribute: 'entryUUID' | 'nsUniqueId' | 'objectGUID';
  /** Ends the server and removes its folder. May be called again. */
  stop(): Promise<void>;
}

export interface DirectoryServerOptions {
  readonly people: readonly PersonFixture[];
  /** Whole entries besides. Not on Active Directory, whose classes are others. */
  readonly entries?: readonly FixtureEntry[];
  /** Default: an authority of its own, and a server certificate for 127.0.0.1 and no other name. */
  readonly certificates?: Certificates;
}

/** One person, as every vendor can have it. */
export interface PersonFixture {
  /** Names the entry: the value of its RDN. */
  readonly cn: string;
  /** At most 20 ASCII characters (Active Directory). */
  readonly userName: string;
  /** Where the entry is: RDNs up to the base, for example `ou=sales,ou=people`. */
  readonly below: string;
  /** Long and mixed enough for every server's rules. Without one the person can't log in. */
  readonly password?: string;
  /** Whether an administrator has locked the account, the way that is usual on the server. Default false. */
  readonly disabled?: boolean;
  /** More of them, or others instead of the plain ones (sn, displayName, mail). */
  readonly attributes?: Readonly<Record<string, readonly (string | Buffer)[]>>;
}

export const BASE_DN = 'dc=example,dc=com';
/** Below it is what the reader must not see. */
export const HIDDEN = 'ou=hidden';
export const READER: PersonFixture = {
  cn: 'reader',
  userName: 'reader',
  below: 'ou=services',
  password: 'Reader Päss 1',
};
/** Entries that a search without paging returns to the reader, where a server has such a limit. */
export const SIZE_LIMIT = 500;

export const dnOf = ({ cn, below }: Pick<PersonFixture, 'cn' | 'below'>, baseDn = BASE_DN): string =>
  `cn=${escapeRdn(cn)},${below},${baseDn}`;

/** What is alike on all servers but Active Directory, as these fixtures set them up. */
export const USUAL = {
  baseDn: BASE_DN,
  readerDn: dnOf(READER),
  readerPassword: READER.password!,
  userNameAttribute: 'uid',
  peopleFilter: '(objectClass=inetOrgPerson)',
} as const satisfies Partial<DirectoryServer>;

/** The units that people are in, those above before those below. */
export function unitsOf(people: readonly PersonFixture[]): string[] {
  const units = new Set<string>();
  for (const { below } of people) {
    const parts = below.split(',');
    for (let from = parts.length - 1; from >= 0; from -= 1) units.add(parts.slice(from).join(','));
  }
  return [...units];
}

/** RFC 4514 section 2.4. */
function escapeRdn(value: string): string {
  return value
    .replaceAll(/[\\",+;<>=]/g, (character) => `\\${character}`)
    .replace(/^[ #]/, (character) => `\\${character}`)
    .replace(/ $/, '\\ ');
}

export type Attributes = Readonly<Record<string, readonly (string | Buffer)[]>>;

export interface FixtureEntry {
  readonly dn: string;
  readonly attributes: Attributes;
}

/** Entries as LDIF (RFC 2849). Everything in base64, so that any value will do. */
export function toLdif(entries: readonly FixtureEntry[]): string {
  const line = (name: string, value: string | Buffer): string => `${name}:: ${Buffer.from(value).toString('base64')}`;
  return entries
    .map(({ dn, attributes }) => {
      const lines = Object.entries(attributes).flatMap(([name, values]) => values.map((value) => line(name, value)));
      return [line('dn', dn), ...lines].join('\n');
    })
    .join('\n\n');
}

/** Base, units and people for servers with the classes of RFC 4519 and RFC 2798. `more`: attributes by
 * relative DN. */
export function standardEntries(
  people: readonly PersonFixture[],
  disabledMark: Attributes,
  more: Readonly<Record<string, Attributes>> = {},
): FixtureEntry[] {
  const unitName = (unit: string): string => /^ou=([^,]+)/.exec(unit)![1]!;
  return [
    { dn: BASE_DN, attributes: { objectClass: ['top', 'domain'], dc: ['example'], ...more[''] } },
    ...unitsOf(people).map((unit) => ({
      dn: `${unit},${BASE_DN}`,
      attributes: { objectClass: ['top', 'organizationalUnit'], ou: [unitName(unit)], ...more[unit] },
    })),
    ...people.map((person) => ({
      dn: dnOf(person),
      attributes: {
        objectClass: ['top', 'person', 'organizationalPerson', 'inetOrgPerson'],
        uid: [person.userName],
        cn: [person.cn],
        ...plainAttributes(person),
        ...(person.disabled === true ? disabledMark : {}),
        ...(person.password === undefined ? {} : { userPassword: [saltedHash(person)] }),
      },
    })),
  ];
}

/** What a person has whatever the vendor. */
export function plainAttributes({ userName, attributes }: PersonFixture): Attributes {
  return { sn: [userName], displayName: [userName], mail: [`${userName}@example.com`], ...attributes };
}

/** The salt follows from the name, so that the same people make the same file. */
function saltedHash({ userName, password }: PersonFixture): string {
  const salt = hash('sha256', userName, 'buffer').subarray(0, 8);
  const digest = createHash('sha1').update(password!).update(salt).digest();
  return `{SSHA}${Buffer.concat([digest, salt]).toString('base64')}`;
}

/** A folder of its own for one server. */
export async function makeServerFolder(product: Product): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `rollcall-${product}-`));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Changes the directory as its administrator. */
export async function asRoot<T>(
  server: Pick<DirectoryServer, 'ldapPort' | 'rootDn' | 'rootPassword'>,
  change: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({ url: `ldap://127.0.0.1:${server.ldapPort}`, timeout: 20_000, connectTimeout: 5000 });
  try {
    await client.bind(server.rootDn, server.rootPassword);
    return await change(client);
  } finally {
    await client.unbind();
  }
}
