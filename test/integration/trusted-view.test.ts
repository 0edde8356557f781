/**
 * Removal from a trusted view only, on real OpenLDAP servers: bind users that lose sight of a department, replicas that
 * are stale or switched off, ids that change, attributes that are hidden. Each test is a case in which an earlier
 * version removed, emptied or enabled somebody.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { openDirectory } from '../../lib/ldap/directory.ts';
import type { Run, Totals } from '../../lib/sync/run.ts';
import {
  type Choice,
  type Colleague,
  colleagues,
  type DepartmentSlapd,
  dnOf,
  PEOPLE,
  READER,
  saveSettings,
  startDepartmentSlapd,
} from '../support/department-slapd.ts';
import { type House, startHouse } from '../support/house.ts';

const STAFF = [...colleagues('sales', 15, 'ou=sales'), ...colleagues('staff', 25)];

async function start(people: readonly Colleague[], units?: readonly string[]): Promise<DepartmentSlapd> {
  const server = await startDepartmentSlapd(people, units);
  onTestFinished(() => server.stop());
  return server;
}

let house: House;

beforeEach(async () => {
  house = await startHouse({
    configured: false,
    openDirectory: (settings, password) => openDirectory(settings, password, house.ports.clock.now),
  });
});

const configure = (choice: Choice): Promise<void> => saveSettings(house, choice);

const count = async (): Promise<number> => (await house.users()).length;

async function withheld(run: Run): Promise<readonly { proposes?: string; reason?: string }[]> {
  return (await house.changes(run)).filter(({ kind }) => kind === 'withheld');
}

const nobodyLost: Partial<Totals> = { deleted: 0, disabled: 0, created: 0 };

describe('a bind user that loses sight of a department', () => {
  let server: DepartmentSlapd;
  beforeAll(async () => {
    server = await startDepartmentSlapd(STAFF);
  });
  afterAll(() => server?.stop());

  test.each([
    ['with its entry', READER.notSales],
    ['but sees its entry', READER.notBelowSales],
  ])('%s removes nobody', async (_title, reader) => {
    await configure({
      servers: [server.name],
      options: { removalLimit: { percent: 100, atLeast: 3, windowHours: 24 } },
    });
    await house.run();
    await configure({
      servers: [server.name],
      reader,
      options: { removalLimit: { percent: 100, atLeast: 3, windowHours: 24 } },
    });
    for (let again = 0; again < 3; again += 1) {
      const run = await house.run();
      expect(run.totals).toMatchObject({ ...nobodyLost, withheld: 15 });
      expect(run.notices.join()).toContain(`nobody is left below ou=sales,${PEOPLE}`);
      for (const line of await withheld(run)) expect(line).toMatchObject({ proposes: 'remove' });
      house.passSeconds(3_600);
    }
    expect(await count()).toBe(40);
  });

  test('of two fields empties nobody', async () => {
    await configure({ servers: [server.name] });
    await house.run();
    await configure({ servers: [server.name], reader: READER.notFields });
    const run = await house.run();
    expect(run.totals).toMatchObject({ updated: 0, withheld: 40 });
    expect((await withheld(run))[0]).toMatchObject({ proposes: 'clear' });
    expect(run.notices.join(' ')).toContain('may have lost the right');
    for (const user of await house.users()) {
      expect(user).toMatchObject({ fullName: expect.anything(), emailAddresses: [expect.anything()] });
    }
  });
});

test('an attribute that marks accounts as disabled is hidden: nobody is enabled', async () => {
  const people = [
    ...colleagues('out', 3).map((each) => ({ ...each, attributes: { shadowExpire: '1' } })),
    ...colleagues('in', 20),
  ];
  const server = await start(people);
  await configure({ servers: [server.name] });
  await house.run();
  expect((await house.users()).filter(({ disabledBy }) => disabledBy === 'sync')).toHaveLength(3);
  await configure({ servers: [server.name], reader: READER.notStatus });
  const run = await house.run();
  expect(run.totals).toMatchObject({ enabled: 0, withheld: 3 });
  expect((await withheld(run))[0]).toMatchObject({ proposes: 'enable' });
  expect(run.notices.join(' ')).toContain('keep their status');
  expect((await house.users()).filter(({ disabledBy }) => disabledBy === 'sync')).toHaveLength(3);
});

describe('two servers', () => {
  const people = [...colleagues('old', 85), ...colleagues('new', 15)];

  test('of which the second is stale, and the first is down: it is named, and nobody is removed', async () => {
    const [first, stale] = await Promise.all([startDepartmentSlapd(people), start(people.slice(0, 85))]);
    await configure({
      servers: [first.name, stale.name],
      options: { removalLimit: { percent: 100, atLeast: 3, windowHours: 24 } },
    });
    await house.run();
    await first.stop();
    const marked = await house.run();
    expect(marked.server!.name).toBe(stale.name);
    expect(marked.totals).toMatchObject({ ...nobodyLost, updated: 15 });
    for (let run = 1; run <= 3; run += 1) {
      house.passSeconds(3_600);
      const later = await house.run();
      expect(later.totals).toMatchObject({ ...nobodyLost, withheld: 15 });
      expect(later.notices.join(' ')).toContain(first.name);
      expect(later.notices.join(' ').includes('remove it from the servers')).toBe(run === 3);
    }
    expect(await count()).toBe(100);
  });

  test('of which the first is stale: what the second has is not gone', async () => {
    const [stale, full] = await Promise.all([start(people.slice(0, 85)), start(people)]);
    const options = { removalLimit: { percent: 100, atLeast: 3, windowHours: 24 } };
    await configure({ servers: [full.name, stale.name], options });
    await house.run();
    await configure({ servers: [stale.name, full.name], options });
    await house.run();
    house.passSeconds(3_600);
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...nobodyLost, withheld: 15 });
    expect((await withheld(run))[0]!.reason).toContain(`${full.name} still has the entry in scope`);
    expect(await count()).toBe(100);
  });
});

test('a filter that loses twenty people in each run removes as many as the limit allows within a day', async () => {
  const server = await start(colleagues('user', 100));
  await configure({ servers: [server.name] });
  await house.run();
  for (let hour = 1; hour <= 5; hour += 1) {
    house.passSeconds(3_600);
    const kept = Array.from({ length: 100 - 20 * hour }, (_, number) => `(uid=user${number})`).join('');
    await configure({ servers: [server.name], filter: `(|${kept}(uid=nobody))` });
    await house.run();
  }
  expect(await count()).toBeGreaterThanOrEqual(90);
});

test('a filter with a mistake removes none of 21 people', async () => {
  const server = await start(colleagues('user', 21));
  await configure({ servers: [server.name] });
  await house.run();
  await configure({ servers: [server.name], filter: '(uid=user0)' });
  const run = await house.run();
  expect(run.totals).toMatchObject({ ...nobodyLost, withheld: 20 });
});

describe('ids', () => {
  const numbered = (uid: string, employeeNumber: string): Colleague => ({
    uid,
    unit: '',
    attributes: { employeeNumber },
  });
  const mapping = { uniqueId: 'employeeNumber' };

  test('that change only their letter case keep the account', async () => {
    const server = await start([numbered('anna', 'ab1'), numbered('bert', 'cd2')]);
    await configure({ servers: [server.name], mapping });
    await house.run();
    const before = await house.user('anna');
    await server.set(dnOf({ uid: 'anna', unit: '' }), 'employeeNumber', 'AB1');
    const run = await house.run();
    expect(run.totals).toMatchObject({ deleted: 0, created: 0, unchanged: 1, updated: 1 });
    expect((await house.user('anna'))!.id).toBe(before!.id);
    expect((await house.run()).totals).toMatchObject({ unchanged: 2 });
  });

  test('that are corrected or handed on are contradictions: nobody is removed', async () => {
    const server = await start([numbered('anna', '1'), numbered('bert', '2'), numbered('carl', '3')]);
    await configure({ servers: [server.name], mapping });
    await house.run();
    const before = await house.users();
    await server.set(dnOf({ uid: 'bert', unit: '' }), 'employeeNumber', '22');
    await server.set(dnOf({ uid: 'carl', unit: '' }), 'employeeNumber', '1');
    for (let again = 0; again < 2; again += 1) {
      const run = await house.run();
      expect(run.totals).toMatchObject({ ...nobodyLost, withheld: 1 });
      expect(await withheld(run)).toMatchObject([{ proposes: 'link', userName: 'bert' }]);
    }
    expect((await house.users()).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  });

  test('that are all new after a reload: everybody is proposed for linking, and nobody is in conflict', async () => {
    const people = colleagues('user', 60);
    const server = await start(people);
    await configure({ servers: [server.name] });
    await house.run();
    const reloaded = await start(people.map((each) => ({ ...each, entryUuid: crypto.randomUUID() })));
    await configure({ servers: [reloaded.name] });
    const run = await house.run();
    expect(run.totals).toMatchObject({ ...nobodyLost, conflict: 0, withheld: 60 });
    const lines = await withheld(run);
    expect(lines.every(({ proposes }) => proposes === 'link')).toBe(true);
  });
});

describe('a person whom the directory disables', () => {
  test('is disabled although another entry claims the name', async () => {
    const server = await start([...colleagues('user', 10), { uid: 'alice', unit: '' }], ['ou=other']);
    await configure({ servers: [server.name] });
    await house.run();
    await server.set(dnOf({ uid: 'alice', unit: '' }), 'shadowExpire', '1');
    await server.add({ uid: 'ALICE', unit: 'ou=other' });
    expect((await house.run()).totals).toMatchObject({ disabled: 1, conflict: 2 });
    expect((await house.user('alice'))!.disabledBy).toBe('sync');
  });

  test('is disabled although the name has become unusable', async () => {
    const server = await start([...colleagues('user', 10), { uid: 'alice', unit: '' }]);
    await configure({ servers: [server.name], mapping: { userName: 'sn' } });
    await house.run();
    await server.set(dnOf({ uid: 'alice', unit: '' }), 'sn', 'al\u200Bice');
    await server.set(dnOf({ uid: 'alice', unit: '' }), 'shadowExpire', '1');
    const run = await house.run();
    expect(run.totals).toMatchObject({ disabled: 1, skipped: 1 });
    expect((await house.user('alice'))!.disabledBy).toBe('sync');
  });
});
