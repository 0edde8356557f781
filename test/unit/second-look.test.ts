/** What all servers together say about people whom a read did not show. */
import { describe, expect, test } from 'vitest';
import type { Whereabouts } from '../../lib/directory/directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import { join, prepareSecondLook } from '../../lib/sync/second-look.ts';
import type { Opinion, Sighting } from '../../lib/sync/second-look.ts';
import type { User } from '../../lib/user/user.ts';
import { MemoryDirectory, unreachable } from '../support/memory-directory.ts';
import type { MemoryPerson } from '../support/memory-directory.ts';
import { anEntry, aSettings, aUser } from '../support/people.ts';

const numbered = (number: number): User =>
  aUser({ id: `account-${number}`, directory: { ...aUser().directory!, id: `id-${number}` } });
const users = (count: number): User[] => Array.from({ length: count }, (_, number) => numbered(number));
const person = (number: number, inScope = true): MemoryPerson => ({ entry: anEntry(`id-${number}`, {}), inScope });

const GONE: Whereabouts = { kind: 'gone' };
const IN: Whereabouts = { kind: 'present', dn: 'uid=in', inScope: true };
const OUT: Whereabouts = { kind: 'present', dn: 'uid=out', inScope: false };
const UNPROVEN: Whereabouts = { kind: 'unproven', reason: 'no readable id' };

describe('the opinions of all servers about one person', () => {
  const two = (place: Whereabouts | null): Opinion => ({ server: 'two', place, reason: 'two could not be asked' });
  const doubted = (reason: RegExp, found: boolean) => ({
    kind: 'doubted',
    reason: expect.stringMatching(reason) as string,
    found,
  });

  test.each<[own: Whereabouts | undefined, other: Whereabouts | null | 'none', sighting: unknown]>([
    [undefined, 'none', { kind: 'unknown', reason: expect.any(String) }],
    [undefined, GONE, { kind: 'unknown', reason: expect.any(String) }],
    [GONE, 'none', { kind: 'gone' }],
    [OUT, 'none', { kind: 'outOfScope' }],
    [IN, 'none', { kind: 'inScope' }],
    [UNPROVEN, 'none', doubted(/no readable id/, false)],
    [GONE, GONE, { kind: 'gone' }],
    [OUT, GONE, { kind: 'outOfScope' }],
    [IN, GONE, { kind: 'inScope' }],
    [UNPROVEN, GONE, doubted(/no readable id/, false)],
    [GONE, OUT, doubted(/^two still has the entry, as uid=out/, true)],
    [OUT, OUT, { kind: 'outOfScope' }],
    [IN, OUT, { kind: 'inScope' }],
    [UNPROVEN, OUT, doubted(/^two /, true)],
    [GONE, IN, doubted(/^two .*in scope, as uid=in/, true)],
    [OUT, IN, doubted(/^two .*in scope, as uid=in/, true)],
    [IN, IN, { kind: 'inScope' }],
    [UNPROVEN, IN, doubted(/^two .*in scope/, true)],
    [GONE, null, doubted(/two could not be asked/, false)],
    [OUT, null, doubted(/two could not be asked/, true)],
    [IN, null, { kind: 'inScope' }],
    [GONE, UNPROVEN, doubted(/no readable id/, false)],
    [OUT, UNPROVEN, { kind: 'outOfScope' }],
  ])('%o and %o: %o', (own, other, sighting) => {
    expect(join(own, other === 'none' ? [] : [two(other)])).toEqual(sighting);
  });

  test('name the server that has the entry before one that could not be asked, in any order', () => {
    const silent: Opinion = { server: 'one', place: null, reason: 'one could not be asked' };
    for (const others of [
      [silent, two(IN)],
      [two(IN), silent],
    ]) {
      expect(join(GONE, others)).toEqual(doubted(/^two/, true));
    }
  });
});

/** A look at the server that was read, and at others of these names. */
async function aLook(
  others: readonly string[],
  prepare: (directory: MemoryDirectory) => void,
  former: Record<string, number> = {},
) {
  const directory = new MemoryDirectory();
  directory.people = [person(9_999)];
  for (const name of others) directory.addServer(name);
  prepare(directory);
  const opened = directory.open(aSettings({ connection: { servers: [directory.name, ...others] } }));
  const reader = await opened.openReader();
  const told: string[] = [];
  const look = prepareSecondLook(opened, reader, former, {
    check: () => void told.push('check'),
    notice: (sentence) => void told.push(`notice: ${sentence}`),
    incomplete: (reason) => void told.push(`incomplete: ${reason}`),
  });
  return { directory, look, told, notices: () => told.filter((each) => each.startsWith('notice')) };
}

const kindsOf = (sightings: ReadonlyMap<string, Sighting>): string[] => [...sightings.values()].map(({ kind }) => kind);

describe('a second look', () => {
  test('opens no other server as long as nobody is looked for, and leaves the memory as it is', async () => {
    const { directory, look, told } = await aLook(['two'], () => {}, { two: 2 });

    expect((await look.find([])).size).toBe(0);
    await look.close();

    expect([directory.calls.otherViews, told, look.unreachable()]).toEqual([0, [], { two: 2 }]);
  });

  test('asks every server in batches, opens each once, looks for nobody twice, and closes it', async () => {
    const { directory, look, told } = await aLook(['two', 'three'], ({ servers }) => {
      servers[1]!.people = [person(1), person(2, false)];
      servers[2]!.people = [person(3)];
    });

    const sightings = await look.find(users(1_001));
    await look.find(users(1));
    await look.close();

    expect(kindsOf(sightings).slice(0, 5)).toEqual(['gone', 'doubted', 'doubted', 'doubted', 'gone']);
    expect(sightings.size).toBe(1_001);
    expect(told).toEqual(['check', 'check', 'check']);
    expect(directory.servers.map(({ asked }) => asked.ids.length)).toEqual([1_001, 1_001, 1_001]);
    expect(directory.calls).toMatchObject({ otherViews: 1, closed: 2 });
    expect(look.unreachable()).toEqual({});
  });

  test('asks an address with another identity behind the name that was read', async () => {
    const { look } = await aLook([], (directory) => {
      directory.addServer(directory.name, 'another identity').people = [person(1)];
      directory.addServer(directory.name, directory.identity).people = [person(2)];
    });

    expect(kindsOf(await look.find(users(3)))).toEqual(['gone', 'doubted', 'gone']);
  });

  test('does not ask a server that does not hold the base', async () => {
    const { look } = await aLook(['two'], ({ servers }) => {
      servers[1]!.people = [person(1)];
      servers[1]!.holdsBase = false;
    });

    expect(kindsOf(await look.find(users(2)))).toEqual(['gone', 'gone']);
  });

  test.each([
    [{}, 1, /asks again/],
    [{ two: 1 }, 2, /asks again/],
    [{ two: 2 }, 3, /3 runs in a row: remove it from the servers, or approve/],
    [{ two: 6, three: 5 }, 7, /7 runs in a row/],
  ])('at a server that is away, after %o: counts %i', async (former, count, notice) => {
    const { look, notices } = await aLook(
      ['two', 'three'],
      ({ servers }) => (servers[1]!.fault = unreachable()),
      former,
    );

    const sightings = await look.find(users(600));

    expect(new Set(kindsOf(sightings))).toEqual(new Set(['doubted']));
    expect(sightings.get('account-0')).toMatchObject({ reason: expect.stringContaining('two'), found: false });
    expect(look.unreachable()).toEqual({ two: count });
    expect(notices()).toEqual([expect.stringMatching(notice)]);
    expect(notices()[0]).toContain('two could not be asked');
  });

  test('at another server that breaks in between counts it as unreachable, names it, and asks it no more', async () => {
    const { directory, look, notices } = await aLook(
      ['two'],
      ({ servers }) => (servers[1]!.locateFault = new ServiceError('connectionLost', 'the connection was lost')),
      { two: 2 },
    );

    const sightings = await look.find(users(600));
    await look.close();

    expect(new Set(kindsOf(sightings))).toEqual(new Set(['doubted']));
    expect(sightings.get('account-599')).toMatchObject({ reason: expect.stringContaining('two'), found: false });
    expect(directory.servers[1]!.asked.ids).toEqual([]);
    expect(look.unreachable()).toEqual({ two: 3 });
    expect(notices()).toEqual([expect.stringMatching(/^notice: two .*connection was lost.*3 runs in a row/)]);
  });

  test('at the server that was read that fails knows nothing of that batch and all that follow', async () => {
    const { directory, look, told } = await aLook([], () => {});
    const ids = directory.asked.ids;
    const first = await look.find(users(500));
    directory.locateFault = new ServiceError('connectionLost', 'the server hung up');
    const second = await look.find(users(1_000));

    expect([new Set(kindsOf(first)), new Set(kindsOf(second).slice(500))]).toEqual([
      new Set(['gone']),
      new Set(['unknown']),
    ]);
    expect(second.get('account-999')).toMatchObject({ reason: expect.stringContaining('the server hung up') });
    expect(ids).toHaveLength(500);
    expect(told.filter((each) => each !== 'check')).toEqual([
      expect.stringMatching(/^incomplete: .*the server hung up/),
    ]);
  });

  test('knows nothing of a user that the answer leaves out', async () => {
    const { directory, look } = await aLook([], () => {});
    directory.locate = () => new Map([['id-1', GONE]]);

    expect(kindsOf(await look.find(users(3)))).toEqual(['unknown', 'gone', 'unknown']);
  });

  test('lets errors through that are no fault of the directory', async () => {
    const broken = new TypeError('x is undefined');
    const { directory, look } = await aLook([], () => {});
    directory.locateFault = broken as never;

    await expect(look.find(users(1))).rejects.toBe(broken);
  });

  test('ends between two batches when the run is to end', async () => {
    const ended = new ServiceError('timeLimit', 'the time is over');
    const { directory } = await aLook([], () => {});
    const opened = directory.open();
    const look = prepareSecondLook(
      opened,
      await opened.openReader(),
      {},
      {
        check: () => {
          throw ended;
        },
        notice: () => {},
        incomplete: () => {},
      },
    );

    await expect(look.find(users(1_000))).rejects.toBe(ended);
    expect(directory.asked.ids).toHaveLength(500);
  });
});
