/**
 * The people of the benchmarks. Person number n is the same in the directory and in every store, so that a store can
 * know all of them from the start, some in a former state, or people who are gone.
 */
import { mapEntry } from '../../lib/directory/mapping.ts';
import type { Person } from '../../lib/directory/mapping.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import { NO_LOSS } from '../../lib/sync/step.ts';
import { createUser } from '../../lib/sync/user-step.ts';
import type { User } from '../../lib/user/user.ts';
import { anEntry, aSettings, MAPPING } from '../support/people.ts';

export const SUFFIX = 'dc=example,dc=com';
export const PEOPLE = `ou=people,${SUFFIX}`;
export const READER = { dn: `cn=reader,${SUFFIX}`, password: 'reader' };
export const FILTER = '(objectClass=inetOrgPerson)';
/** The attributes that a run asks OpenLDAP for with these settings. */
export const ASKED = ['uid', 'displayName', 'mail', 'entryUUID', 'pwdAccountLockedTime'];

const GIVEN = [
  'Anna',
  'Jürgen',
  'Sofia',
  'Mateo',
  'Yuki',
  'Fatima',
  'Ole',
  'Chiara',
  'Pavel',
  'Grace',
  'Luís',
  'Hannah',
];
const FAMILY = [
  'Weber',
  'Okafor',
  'Lindqvist',
  'García',
  'Tanaka',
  'Novák',
  'Haddad',
  'Murphy',
  'Rossi',
  'Żurek',
  'Costa',
];
const TOWNS = ['Hamburg', 'Lagos', 'Umeå', 'Sevilla', 'Osaka', 'Brno', 'Amman', 'Cork', 'Torino', 'Łódź', 'Recife'];
const PADDING = 7;

export function uidOf(number: number): string {
  return `user${String(number).padStart(PADDING, '0')}`;
}

export function numberOf(nameKey: string): number {
  return Number(nameKey.slice('user'.length));
}

export function dnOf(number: number): string {
  return `uid=${uidOf(number)},${PEOPLE}`;
}

export function passwordOf(number: number): string {
  return `secret-${number}`;
}

function displayNameOf(number: number): string {
  return `${GIVEN[number % GIVEN.length]} ${FAMILY[number % FAMILY.length]} ${number}`;
}

function addressesOf(number: number): readonly string[] {
  return [`${uidOf(number)}@example.com`, `first.last-${number}@mail.example.com`];
}

function directoryIdOf(number: number): string {
  return `8c1f24c6-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
}

/** The directory as LDIF, entry by entry. Each person has 15 attributes, and those that the server adds. */
export function* ldifOf(count: number): Generator<string> {
  yield `dn: ${SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n`;
  yield `dn: ${PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n`;
  const classes = 'objectClass: organizationalRole\nobjectClass: simpleSecurityObject';
  yield `dn: ${READER.dn}\n${classes}\ncn: reader\nuserPassword: ${READER.password}\n\n`;
  for (let number = 0; number < count; number += 1) {
    const town = TOWNS[number % TOWNS.length]!;
    const lines = [
      `dn: ${dnOf(number)}`,
      'objectClass: inetOrgPerson',
      `entryUUID: ${directoryIdOf(number)}`,
      `uid: ${uidOf(number)}`,
      text('cn', displayNameOf(number)),
      text('sn', FAMILY[number % FAMILY.length]!),
      text('givenName', GIVEN[number % GIVEN.length]!),
      text('displayName', displayNameOf(number)),
      ...addressesOf(number).map((address) => `mail: ${address}`),
      `employeeNumber: ${100_000 + number}`,
      `title: Engineer level ${number % 9}`,
      `departmentNumber: ${number % 400}`,
      `telephoneNumber: +49 40 ${5_550_000 + (number % 100_000)}`,
      `mobile: +49 170 ${1_000_000 + (number % 900_000)}`,
      text('l', town),
      text('postalAddress', `Street ${number % 200}$${town}`),
      `preferredLanguage: en`,
      `userPassword: ${passwordOf(number)}`,
    ];
    yield `${lines.join('\n')}\n\n`;
  }
}

function text(name: string, value: string): string {
  return `${name}:: ${Buffer.from(value).toString('base64')}`;
}

export function settingsOf(ldapPort: number): Settings {
  return aSettings({
    connection: {
      servers: [`127.0.0.1:${ldapPort}`],
      administrativeDn: READER.dn,
      timeouts: { connectSeconds: 10, operationSeconds: 60, loginSeconds: 15 },
    },
    scope: { baseDn: PEOPLE, filter: FILTER },
    mapping: { fullName: 'displayName' },
    options: { missingUsers: 'delete', removalLimit: { percent: 100, atLeast: 0 } },
  });
}

/** The person as a run sees it. */
export function personOf(number: number): Person {
  const attributes = { uid: [uidOf(number)], displayname: [displayNameOf(number)], mail: addressesOf(number) };
  const entry = anEntry(directoryIdOf(number), attributes, { dn: dnOf(number) });
  const mapped = mapEntry(entry, settingsOf(0).mapping, 'disable');
  if (mapped.kind === 'skipped') throw new Error(mapped.skipped.reason);
  return mapped.person;
}

const MADE = {
  now: new Date('2026-05-04T10:00:00.000Z'),
  idAttribute: 'entryuuid',
  missingUsers: 'delete',
  gracePeriodDays: 0,
  defaultPrivileges: ['login'],
  mapping: MAPPING,
  ownsNames: true,
  sameServer: true,
  unfinishedSince: null,
  spared: new Set<string>(),
  losses: NO_LOSS,
} as const;

/** The user that a run makes of that person; `former`: before the latest change in the directory. */
export function userOf(number: number, former = false): User {
  const { write } = createUser(personOf(number), { ...MADE, newId: () => `account-${number}` });
  if (write?.kind !== 'create') throw new Error('createUser did not create a user');
  return former ? { ...write.user, fullName: 'Former Name', fingerprint: 'former' } : write.user;
}

/** What a store knows before a run. The entries of users from number `people` on are gone. */
export interface Known {
  readonly people: number;
  readonly users: number;
  /** One in this many users is in a former state; 0 = none. */
  readonly formerEvery: number;
}

export const WORKLOADS = {
  firstImport: (people: number): Known => ({ people, users: 0, formerEvery: 0 }),
  dryRun: (people: number): Known => ({ people, users: 0, formerEvery: 0 }),
  nothingChanged: (people: number): Known => ({ people, users: people, formerEvery: 0 }),
  onePercentChanged: (people: number): Known => ({ people, users: people, formerEvery: 100 }),
  allChanged: (people: number): Known => ({ people, users: people, formerEvery: 1 }),
  tenPercentGone: (people: number): Known => ({ people, users: Math.round(people * 1.1), formerEvery: 0 }),
};

export type Workload = keyof typeof WORKLOADS;

export function isFormer(number: number, { formerEvery }: Known): boolean {
  return formerEvery > 0 && number % formerEvery === 0;
}
