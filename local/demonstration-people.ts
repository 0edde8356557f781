/**
 * The people of the demonstration company as LDIF: always the same 200, with the cases of real directories: letters
 * beyond ASCII, a comma in a name, two people with the same user name, one without mail, one disabled. Knows no server.
 */
import { createHash } from 'node:crypto';

/** Each password is this prefix followed by the user name. */
export const PASSWORD_PREFIX = 'demo-';

/** The number of people. */
export const PEOPLE_COUNT = 200;

const DEPARTMENTS = ['Accounting', 'Design', 'Development', 'Legal', 'Logistics', 'Marketing', 'Production', 'Sales'];
const GIVEN_NAMES = (
  'Anna Jürgen Zoë François Łukasz Åsa İpek Thảo Željko María Björn Siân Ólafur ' +
  'Chloé Jiří Ewa Günther Hanna Ilse João Katarzyna Léa Mårten Noémie Øyvind'
).split(' ');
const FAMILY_NAMES = (
  'Weber Müller Strauß Đorđević Lefèvre Wiśniewski Sjöberg Yıldız García Čapek Ørsted ' +
  'Þorsteinsdóttir Conceição Kovács Nagy Horáková Brontë Peña Rossi Schäfer Ștefănescu'
).split(' ');
// Letters that Unicode does not decompose into a base letter and a mark.
const SPELLED_OUT: Readonly<Record<string, string>> = {
  ß: 'ss',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  ł: 'l',
  þ: 'th',
  ı: 'i',
  æ: 'ae',
};

/** A person of the demonstration company. */
export interface Person {
  readonly uid: string;
  readonly dn: string;
  readonly displayName: string;
}

/** The content of the demonstration directory, and how to read it. */
export interface DemonstrationDirectory {
  readonly ldif: string;
  readonly baseDn: string;
  readonly bindDn: string;
  readonly bindPassword: string;
  /** A person whose login works. */
  readonly somebody: Person;
}

/** The demonstration company below `suffix`. */
export function describeCompany(suffix: string): DemonstrationDirectory {
  const baseDn = `ou=people,${suffix}`;
  const bindDn = `cn=rollcall,ou=services,${suffix}`;
  const bindPassword = 'reads-and-nothing-else';
  const people = Array.from({ length: PEOPLE_COUNT }, (_, position) => describePerson(position, baseDn));
  const entries: Attributes[] = [
    {
      dn: suffix,
      objectClass: ['dcObject', 'organization'],
      dc: /^dc=([^,]+)/.exec(suffix)?.[1],
      o: 'Example & Söhne',
    },
    { dn: `ou=services,${suffix}`, objectClass: 'organizationalUnit', ou: 'services' },
    {
      dn: bindDn,
      objectClass: ['organizationalRole', 'simpleSecurityObject'],
      cn: 'rollcall',
      userPassword: hashPassword(bindPassword),
    },
    { dn: baseDn, objectClass: 'organizationalUnit', ou: 'people' },
    ...DEPARTMENTS.map((ou) => ({ dn: `ou=${ou},${baseDn}`, objectClass: 'organizationalUnit', ou })),
    ...people.map(({ attributes }) => attributes),
  ];
  return { ldif: entries.map(toLdif).join('\n'), baseDn, bindDn, bindPassword, somebody: people[0]!.person };
}

type Attributes = Readonly<Record<string, string | readonly string[] | undefined>>;

function describePerson(position: number, baseDn: string): { person: Person; attributes: Attributes } {
  const givenName = GIVEN_NAMES[position % GIVEN_NAMES.length]!;
  // The lists advance at different paces, so that no two people share both names.
  const sn = FAMILY_NAMES[(position + Math.floor(position / GIVEN_NAMES.length)) % FAMILY_NAMES.length]!;
  const ou = DEPARTMENTS[position % DEPARTMENTS.length]!;
  const displayName = `${givenName} ${sn}`;
  const own = `${toAscii(givenName)}.${toAscii(sn)}`;

  // The last person has the same user name as the second one, in another department.
  const uid = position === PEOPLE_COUNT - 1 ? describePerson(1, baseDn).person.uid : own;
  const dn = position === 0 ? `cn=${sn}\\, ${givenName},ou=${ou},${baseDn}` : `uid=${uid},ou=${ou},${baseDn}`;
  const mail = `${own}@example.com`;
  return {
    person: { uid, dn, displayName },
    attributes: {
      dn,
      objectClass: 'inetOrgPerson',
      uid,
      cn: position === 0 ? `${sn}, ${givenName}` : displayName,
      sn,
      givenName,
      displayName,
      mail: position === 2 ? [mail, `${toAscii(givenName)}@example.com`] : position === 3 ? undefined : mail,
      employeeNumber: String(1000 + position),
      userPassword: hashPassword(`${PASSWORD_PREFIX}${uid}`),
      // Permanently locked by an administrator: draft-behera-ldap-password-policy-11, section 5.3.3.
      pwdAccountLockedTime: position === 4 ? '000001010000Z' : undefined,
    },
  };
}

function toAscii(name: string): string {
  return name
    .toLowerCase()
    .normalize('NFD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^\p{ASCII}]/gu, (letter) => SPELLED_OUT[letter] ?? '');
}

/**
 * A hash that slapd can verify (RFC 2307 names the scheme for SHA-1). The salt is derived from the password, so that
 * the file never changes.
 */
function hashPassword(password: string): string {
  const salt = createHash('sha256').update(password).digest().subarray(0, 8);
  const digest = createHash('sha1').update(password).update(salt).digest();
  return `{SSHA}${Buffer.concat([digest, salt]).toString('base64')}`;
}

/** An entry as LDIF. RFC 2849 requires base64 for values that are not plain ASCII or begin with a special character. */
function toLdif(entry: Attributes): string {
  const lines = Object.entries(entry).flatMap(([name, values]) =>
    [values ?? []]
      .flat()
      .map((value) =>
        /^[\x21-\x39\x3b\x3d-\x7e][\x20-\x7e]*$/.test(value) && !value.endsWith(' ')
          ? `${name}: ${value}`
          : `${name}:: ${Buffer.from(value).toString('base64')}`,
      ),
  );
  return `${lines.join('\n')}\n`;
}
