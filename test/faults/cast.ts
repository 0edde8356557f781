/**
 * The people of the fault bench: a directory as the first run finds it, what happens to it then, and the users that an
 * administrator adds. The run under test finds one of everything that a run can do.
 */
import { Attribute, Change as Modification, type Client } from 'ldapts';
import type { User } from '../../lib/user/user.ts';
import { dnOf, type PersonFixture } from '../support/directory-server.ts';
import { aUser } from '../support/people.ts';

const range = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

function person(name: string, below: string, attributes: PersonFixture['attributes'] = {}): PersonFixture {
  return { cn: name, userName: name, below: `ou=${below},ou=people`, attributes };
}

const MARKED = { pwdAccountLockedTime: ['000001010000Z'] };
const STEADY = range(30, (index) => person(`steady${index}`, 'north'));
const CHANGING = range(24, (index) =>
  person(`changing${index}`, 'south', index % 3 === 0 ? { mail: [`c${index}@a.test`, `c${index}@b.test`] } : {}),
);
const RESTORED = range(2, (index) => person(`restored${index}`, 'south', MARKED));
const MARKED_LATER = range(3, (index) => person(`marked${index}`, 'north'));
const LEAVERS = range(3, (index) => person(`leaver${index}`, 'north'));
const SWAPPED = ['left', 'right'].map((name) => person(name, 'north'));
const CHAINED = ['first', 'second', 'third'].map((name) => person(name, 'north'));
const SUCCESSOR = person('successor', 'south');
const MOVED = range(2, (index) => person(`moved${index}`, 'south'));
const RELOADED = person('reloaded', 'south');

/** The directory at the first run. */
export const FIRST_PEOPLE: readonly PersonFixture[] = [
  ...STEADY,
  ...CHANGING,
  ...RESTORED,
  ...MARKED_LATER,
  ...LEAVERS,
  ...SWAPPED,
  ...CHAINED,
  SUCCESSOR,
  ...MOVED,
  RELOADED,
];

const byHand = (name: string, over: Partial<User>): User =>
  aUser({ id: `by hand: ${name}`, userName: name, directory: null, ...over });

/** The users that an administrator creates after the first run. */
export const HAND_MADE: readonly User[] = [
  byHand('boss', { authentication: 'integrated', privileges: ['admin'], passwordHash: '$argon2id$not a real one' }),
  byHand('guarded', { authentication: 'integrated' }),
  ...range(3, (index) => byHand(`linked${index}`, {})),
];

/** Users of whom no run may take access away; everybody else who loses it is in `REMOVED`. */
export const REMOVED: ReadonlySet<string> = new Set([...LEAVERS, ...MARKED_LATER].map(({ userName }) => userName));

const NEW = [
  ...range(24, (index) =>
    person(`new${index}`, 'west', index % 3 === 0 ? { mail: [`n${index}@a.test`, `n${index}@b.test`] } : {}),
  ),
  ...range(3, (index) => person(`linked${index}`, 'west')),
  person('guarded', 'west'),
  ...['twin1', 'twin2'].map((cn) => ({ ...person(cn, 'west'), userName: 'twin' })),
  { ...person('nameless', 'west'), userName: '\u200b' },
  { ...RELOADED, below: 'ou=west,ou=people' },
];

/** What happens to the directory after the first run, for good. */
export async function changeDirectory(client: Client): Promise<void> {
  const replace = (who: PersonFixture, type: string, ...values: string[]): Promise<void> =>
    client.modify(dnOf(who), new Modification({ operation: 'replace', modification: new Attribute({ type, values }) }));
  for (const who of [...LEAVERS, RELOADED]) await client.del(dnOf(who));
  for (const who of RESTORED) await replace(who, 'pwdAccountLockedTime');
  for (const who of MARKED_LATER) await replace(who, 'pwdAccountLockedTime', ...MARKED.pwdAccountLockedTime);
  for (const [index, who] of CHANGING.entries()) {
    if (index % 3 === 0) await replace(who, 'mail', `c${index}@b.test`, `c${index}@c.test`);
    else await replace(who, 'displayName', `Changed ${index}`);
  }
  await replace(SWAPPED[0]!, 'uid', 'right');
  await replace(SWAPPED[1]!, 'uid', 'left');
  await replace(CHAINED[0]!, 'uid', 'second');
  await replace(CHAINED[1]!, 'uid', 'third');
  await replace(CHAINED[2]!, 'uid', 'fourth');
  await replace(SUCCESSOR, 'uid', LEAVERS[0]!.userName);
  await client.add('ou=west,ou=people,dc=example,dc=com', { objectClass: 'organizationalUnit', ou: 'west' });
  for (const who of MOVED) await client.modifyDN(dnOf(who), dnOf({ ...who, below: 'ou=west,ou=people' }));
  for (const { cn, userName, below, attributes } of NEW) {
    await client.add(dnOf({ cn, below }), {
      objectClass: ['inetOrgPerson'],
      uid: userName,
      sn: cn,
      displayName: cn,
      mail: (attributes?.['mail'] as string[] | undefined) ?? `${cn}@example.com`,
    });
  }
}
