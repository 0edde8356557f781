/**
 * An OpenLDAP server with departments, for stories about people who disappear. Several servers may be loaded with the
 * same unique ids, as replicas are. Each bind DN is blind to something, so that a test takes rights away by changing
 * the bind DN.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Attribute, Change, Client } from 'ldapts';
import type { Settings } from '../../lib/settings/settings.ts';
import { startSlapd } from '../../local/slapd.ts';
import type { House } from './house.ts';
import { aSettings } from './people.ts';

export const SUFFIX = 'dc=example,dc=com';
export const PEOPLE = `ou=people,${SUFFIX}`;
export const PASSWORD = 'secret';

/** The bind DNs: the first sees everything. */
export const READER = {
  everything: `cn=reader,${SUFFIX}`,
  /** Sees nothing of or below ou=sales. */
  notSales: `cn=not-sales,${SUFFIX}`,
  /** Sees the entry ou=sales and nothing below it. */
  notBelowSales: `cn=not-below-sales,${SUFFIX}`,
  /** Sees neither mail nor displayName. */
  notFields: `cn=not-fields,${SUFFIX}`,
  /** Sees no shadowExpire. */
  notStatus: `cn=not-status,${SUFFIX}`,
} as const;

export interface Colleague {
  readonly uid: string;
  /** RDNs between the entry and ou=people; empty: directly below it. */
  readonly unit: string;
  readonly attributes?: Readonly<Record<string, string>>;
  /** Default: made from the uid, so that servers loaded with the same people have the same ids. */
  readonly entryUuid?: string;
}

export type DepartmentSlapd = Awaited<ReturnType<typeof startDepartmentSlapd>>;

/** `count` people of one unit, named `prefix` and a number. */
export function colleagues(prefix: string, count: number, unit = ''): Colleague[] {
  return Array.from({ length: count }, (_, number) => ({ uid: `${prefix}${number}`, unit }));
}

export const dnOf = ({ uid, unit }: Pick<Colleague, 'uid' | 'unit'>): string =>
  `uid=${uid},${unit === '' ? '' : `${unit},`}${PEOPLE}`;

export async function startDepartmentSlapd(people: readonly Colleague[], units: readonly string[] = []) {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-departments-'));
  const all = new Set([...units, ...people.map(({ unit }) => unit).filter((unit) => unit !== '')]);
  const slapd = await startSlapd({
    folder,
    ldif: [suffixLdif(), ...[...all].map(unitLdif), ...people.map(toLdif)].join('\n\n'),
    sizeLimit: -1,
    access: [
      `to dn.subtree="ou=sales,${PEOPLE}" by dn.exact="${READER.notSales}" none by * break`,
      `to dn.children="ou=sales,${PEOPLE}" by dn.exact="${READER.notBelowSales}" none by * break`,
      `to attrs=mail,displayName by dn.exact="${READER.notFields}" none by * break`,
      `to attrs=shadowExpire by dn.exact="${READER.notStatus}" none by * break`,
    ],
  }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });

  async function asRoot(work: (client: Client) => Promise<unknown>): Promise<void> {
    const client = new Client({ url: `ldap://127.0.0.1:${slapd.ldapPort}` });
    try {
      await client.bind(slapd.rootDn, slapd.rootPassword);
      await work(client);
    } finally {
      await client.unbind();
    }
  }

  return {
    name: `127.0.0.1:${slapd.ldapPort}`,
    add: (person: Colleague) => asRoot((client) => client.add(dnOf(person), attributesOf(person))),
    remove: (...gone: readonly Pick<Colleague, 'uid' | 'unit'>[]) =>
      asRoot(async (client) => {
        for (const person of gone) await client.del(dnOf(person));
      }),
    removeUnit: (unit: string) => asRoot((client) => client.del(`${unit},${PEOPLE}`)),
    move: (from: string, to: string) => asRoot((client) => client.modifyDN(from, to)),
    set: (dn: string, type: string, ...values: readonly string[]) =>
      asRoot((client) =>
        client.modify(
          dn,
          new Change({ operation: 'replace', modification: new Attribute({ type, values: [...values] }) }),
        ),
      ),
    async stop() {
      await slapd.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Settings for such servers; what is left out is the product's default, but without a grace period. */
export interface Choice {
  readonly servers: readonly string[];
  readonly reader?: string;
  readonly options?: Partial<Settings['options']>;
  readonly mapping?: Partial<Settings['mapping']>;
  readonly baseDn?: string;
  readonly filter?: string;
}

/** Saves the settings as an administrator would. */
export async function saveSettings(house: House, choice: Choice): Promise<void> {
  const { servers, reader = READER.everything, options, mapping, baseDn = PEOPLE } = choice;
  const document = aSettings({
    connection: {
      servers,
      administrativeDn: reader,
      timeouts: { connectSeconds: 1, operationSeconds: 5, loginSeconds: 10 },
    },
    scope: { baseDn, filter: choice.filter ?? '(objectClass=inetOrgPerson)' },
    mapping: { fullName: 'displayName', ...mapping },
    options: {
      missingUsers: 'delete',
      removalLimit: { percent: 10, atLeast: 3, windowHours: 24 },
      ...options,
    },
  });
  const stored = await house.ports.settings.read();
  if ((await house.ports.settings.write(document, PASSWORD, stored?.version ?? null)) === null) {
    throw new Error('the settings were not stored');
  }
}

function suffixLdif(): string {
  return [
    `dn: ${SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example`,
    `dn: ${PEOPLE}\nobjectClass: organizationalUnit\nou: people`,
    ...Object.values(READER).map(
      (dn) =>
        `dn: ${dn}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n` +
        `cn: ${/^cn=([^,]+)/.exec(dn)![1]}\nuserPassword: ${PASSWORD}`,
    ),
  ].join('\n\n');
}

function unitLdif(unit: string): string {
  return `dn: ${unit},${PEOPLE}\nobjectClass: organizationalUnit\nou: ${/^ou=([^,]+)/.exec(unit)![1]}`;
}

function attributesOf({ uid, attributes = {} }: Colleague): Record<string, string | string[]> {
  return {
    objectClass: ['inetOrgPerson', 'posixAccount', 'shadowAccount'],
    uid,
    cn: uid,
    sn: uid,
    displayName: `Full name of ${uid}`,
    mail: `${uid}@example.com`,
    uidNumber: '1000',
    gidNumber: '1000',
    homeDirectory: `/home/${uid}`,
    userPassword: `password of ${uid}`,
    ...attributes,
  };
}

function toLdif(person: Colleague): string {
  const lines = Object.entries(attributesOf(person)).flatMap(([type, values]) =>
    [values].flat().map((value) => `${type}: ${value}`),
  );
  return [`dn: ${dnOf(person)}`, ...lines, `entryUUID: ${person.entryUuid ?? uuidOf(person.uid)}`].join('\n');
}

function uuidOf(uid: string): string {
  const hex = Buffer.from(uid).toString('hex').padStart(32, '0').slice(-32);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
