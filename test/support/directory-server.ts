/**
 * What the real directory servers for tests have in common: the same people, a reader account that may not see
 * everybody, and an administrator who may change everything. The file of each product has what is special about it.
 */
import { createHash, hash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'ldapts';
import type { Certificates } from '../../local/certificate.ts';

/** A product that is tested. `Vendor` in lib/settings/settings.ts is the family it belongs to. */
export type Product = 'openldap' | 'ds389' | 'samba' | 'apacheds';

/** A running server. */
export interface DirectoryServer {
  readonly product: Product;
  /** For people to read. */
  readonly name: string;
  /** On 127.0.0.1. */
  readonly ldapPort: number;
  readonly ldapsPort: number;
  readonly baseDn: string;
  /**
   * The reader: sees everything except below ou=hidden. Its paged searches have no size limit, if the server can do
   * that.
   */
  readonly readerDn: string;
  readonly readerPassword: string;
  /** The administrator: may do everything. */
  readonly rootDn: string;
  readonly rootPassword: string;
  /** The certificate of the authority to trust. */
  readonly caPem: string;
  /** The attribute with the user name. */
  readonly userNameAttribute: 'uid' | 'sAMAccountName';
  /** Matches all people and nothing else. */
  readonly peopleFilter: string;
  readonly idAttribute: 'entryUUID' | 'nsUniqueId' | 'objectGUID';
  /** Stops the server and removes its folder. May be called more than once. */
  stop(): Promise<void>;
}

/** What a server is started with. */
export interface DirectoryServerOptions {
  readonly people: readonly PersonFixture[];
  /** Other entries. Not for Active Directory, which has other object classes. */
  readonly entries?: readonly FixtureEntry[];
  /** Default: a new authority, and a server certificate for 127.0.0.1 only. */
  readonly certificates?: Certificates;
}

/** A person that every vendor can store. */
export interface PersonFixture {
  /** The value of the RDN. */
  readonly cn: string;
  /** At most 20 ASCII characters (Active Directory). */
  readonly userName: string;
  /** The RDNs between the entry and the base, for example `ou=sales,ou=people`. */
  readonly below: string;
  /** Must satisfy the password rules of every server. Without a password, the person can't log in. */
  readonly password?: string;
  /** Whether an administrator has disabled the account, in the server's usual way. Default false. */
  readonly disabled?: boolean;
  /** More attributes, or other values for the default ones (sn, displayName, mail). */
  readonly attributes?: Readonly<Record<string, readonly (string | Buffer)[]>>;
}

/** The base of all servers but Active Directory. */
export const BASE_DN = 'dc=example,dc=com';
/** The unit that the reader must not see into. */
export const HIDDEN = 'ou=hidden';
/** The reader's own entry. */
export const READER: PersonFixture = {
  cn: 'reader',
  userName: 'reader',
  below: 'ou=services',
  password: 'Reader Päss 1',
};
/** The most entries that a search without paging returns to the reader, on servers that have such a limit. */
export const SIZE_LIMIT = 500;

/** The DN of a person. */
export const dnOf = ({ cn, below }: Pick<PersonFixture, 'cn' | 'below'>, baseDn = BASE_DN): string =>
  `cn=${escapeRdn(cn)},${below},${baseDn}`;

/** What all servers but Active Directory have in common. */
export const USUAL = {
  baseDn: BASE_DN,
  readerDn: dnOf(READER),
  readerPassword: READER.password!,
  userNameAttribute: 'uid',
  peopleFilter: '(objectClass=inetOrgPerson)',
} as const satisfies Partial<DirectoryServer>;

/** The units of these people, parents first. */
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

/** Values by attribute name. */
export type Attributes = Readonly<Record<string, readonly (string | Buffer)[]>>;

/** An entry to load. */
export interface FixtureEntry {
  readonly dn: string;
  readonly attributes: Attributes;
}

/** Entries as LDIF (RFC 2849), with all values in base64, so that any value is allowed. */
export function toLdif(entries: readonly FixtureEntry[]): string {
  const line = (name: string, value: string | Buffer): string => `${name}:: ${Buffer.from(value).toString('base64')}`;
  return entries
    .map(({ dn, attributes }) => {
      const lines = Object.entries(attributes).flatMap(([name, values]) => values.map((value) => line(name, value)));
      return [line('dn', dn), ...lines].join('\n');
    })
    .join('\n\n');
}

/**
 * Base, units and people, for servers with the object classes of RFC 4519 and RFC 2798.
 * @param disabledMark the attributes of disabled accounts
 * @param more further attributes of the base ('') and of units, by their DN without the base
 */
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

/** The attributes of a person that are the same for every vendor. */
export function plainAttributes({ userName, attributes }: PersonFixture): Attributes {
  return { sn: [userName], displayName: [userName], mail: [`${userName}@example.com`], ...attributes };
}

/** The salt depends only on the name, so that the same people give the same LDIF. */
function saltedHash({ userName, password }: PersonFixture): string {
  const salt = hash('sha256', userName, 'buffer').subarray(0, 8);
  const digest = createHash('sha1').update(password!).update(salt).digest();
  return `{SSHA}${Buffer.concat([digest, salt]).toString('base64')}`;
}

/** A new folder for one server. */
export async function makeServerFolder(product: Product): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `rollcall-${product}-`));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Runs `change` on a connection that is bound as the administrator. */
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
