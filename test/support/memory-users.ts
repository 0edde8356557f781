/**
 * Users in memory. Keeps the promises of the real store: every write is conditional, a group is written as a whole or
 * not at all, and two users can't have one directory id. Knows no runs.
 */
import { decodeCursor, encodeCursor } from '../../lib/cursor.ts';
import { compareNameKeys, userNameKey } from '../../lib/user/user-name.ts';
import type { UserLink, UserQuery, UserStore, UserWrite, WriteResult } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { isActiveAdministrator, isFoundBy, linkKey, userStatus } from '../../lib/user/user.ts';

/** The users by name key, and the owners of directory ids. */
export interface People {
  get(nameKey: string): User | undefined;
  set(nameKey: string, user: User): void;
  entries(): IterableIterator<[string, User]>;
  /** Writes all or none. */
  write(together: readonly UserWrite[]): WriteResult;
  /** Users created, updated, renamed or deleted so far. */
  readonly writes: number;
}

const LINKS_TOGETHER = 1_000;

export function createPeople(): People {
  const users = new Map<string, User>();
  /** The id of the user who has a directory id, by link key. */
  const owners = new Map<string, string>();
  let writes = 0;

  const linkOf = ({ directory }: User): string | null => directory && linkKey(directory);

  function remove(nameKey: string): void {
    const user = users.get(nameKey);
    if (user === undefined) return;
    users.delete(nameKey);
    const link = linkOf(user);
    if (link !== null && owners.get(link) === user.id) owners.delete(link);
  }

  function set(nameKey: string, user: User): void {
    remove(nameKey);
    users.set(nameKey, user);
    const link = linkOf(user);
    if (link !== null) owners.set(link, user.id);
  }

  /** Whether names and directory ids are free once the records that the writes replace have left them. */
  function canWrite(together: readonly UserWrite[]): boolean {
    const freeNames = new Set<string>();
    const leaving = new Set<string>();
    for (const write of together) {
      if (write.kind === 'create') continue;
      const key = keyOf(write.previous);
      if (!stands(write.previous, users.get(key))) return false;
      if (write.kind === 'check') continue;
      freeNames.add(key);
      leaving.add(write.previous.id);
    }
    const takenNames = new Set<string>();
    const takenLinks = new Set<string>();
    for (const write of together) {
      if (write.kind === 'delete' || write.kind === 'check') continue;
      const key = keyOf(write.user);
      if (takenNames.has(key) || (users.has(key) && !freeNames.has(key))) return false;
      takenNames.add(key);
      const link = linkOf(write.user);
      if (link === null) continue;
      const owner = owners.get(link) ?? write.user.id;
      if (takenLinks.has(link) || (owner !== write.user.id && !leaving.has(owner))) return false;
      takenLinks.add(link);
    }
    return true;
  }

  return {
    get: (nameKey) => users.get(nameKey),
    set,
    entries: () => users.entries(),
    write(together) {
      if (!canWrite(together)) return 'lostRace';
      for (const write of together) {
        if (write.kind !== 'create' && write.kind !== 'check') remove(keyOf(write.previous));
      }
      for (const write of together) {
        if (write.kind !== 'delete' && write.kind !== 'check') set(keyOf(write.user), write.user);
      }
      writes += together.filter(({ kind }) => kind !== 'check').length;
      return 'written';
    },
    get writes() {
      return writes;
    },
  };
}

/** The user store on these people. */
export function createUsers(people: People): UserStore & { readonly writes: number } {
  async function findAdministrator(suits: (user: User) => boolean): Promise<User | null> {
    for (const [, user] of people.entries()) if (isActiveAdministrator(user) && suits(user)) return user;
    return null;
  }

  return {
    get writes() {
      return people.writes;
    },
    async *readLinks() {
      const links = [...people.entries()].map(([nameKey, { directory, fingerprint, disabledBy }]): UserLink => {
        const link = { nameKey, linkKey: directory && linkKey(directory), fingerprint };
        return disabledBy === 'sync' ? { ...link, disabledBySync: true } : link;
      });
      for (let start = 0; start < links.length; start += LINKS_TOGETHER) {
        yield links.slice(start, start + LINKS_TOGETHER);
      }
    },
    async get(userName) {
      return people.get(userNameKey(userName)) ?? null;
    },
    async getMany(nameKeys) {
      return new Map(
        nameKeys.flatMap((key): [string, User][] => {
          const user = people.get(key);
          return user === undefined ? [] : [[key, user]];
        }),
      );
    },
    async list(query) {
      const after = query.next === undefined ? null : decodeCursor('users', query.next);
      const found = [...people.entries()]
        .filter(([, user]) => matches(user, query))
        .filter(([key]) => after === null || compareNameKeys(key, after) > 0)
        .sort(([a], [b]) => compareNameKeys(a, b));
      const last = found[query.limit - 1];
      return {
        items: found.slice(0, query.limit).map(([, user]) => user),
        next: last !== undefined && found.length > query.limit ? encodeCursor('users', last[0]) : null,
      };
    },
    findAdministrator,
    findKnownAdministrator: findAdministrator,
    async writeEach(all) {
      return all.map((write) => people.write([write]));
    },
    async writeTogether(all) {
      return people.write(all);
    },
  };
}

function keyOf(user: User): string {
  return userNameKey(user.userName);
}

function stands({ id, version }: User, stored: User | undefined): boolean {
  return stored?.id === id && stored.version === version;
}

function matches(user: User, { search = '', authentication, status }: UserQuery): boolean {
  if (authentication !== undefined && user.authentication !== authentication) return false;
  if (status !== undefined && userStatus(user) !== status) return false;
  return isFoundBy(search, user);
}
