/**
 * The stories of docs/removals.md, played on real OpenLDAP servers: what an administrator sees, does, and how often.
 * The story of twelve servers behind one name is played in test/unit/trusted-view.test.ts, because it needs twelve
 * addresses.
 */
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { approveRun } from '../../lib/administration/runs.ts';
import { openDirectory } from '../../lib/ldap/directory.ts';
import type { Run } from '../../lib/sync/run.ts';
import { synchronize } from '../../lib/sync/sync.ts';
import {
  type Colleague,
  colleagues,
  type DepartmentSlapd,
  dnOf,
  PEOPLE,
  saveSettings,
  startDepartmentSlapd,
} from '../support/department-slapd.ts';
import { type House, startHouse } from '../support/house.ts';

const DAYS_OF_GRACE = 7;

let house: House;

beforeEach(async () => {
  house = await startHouse({
    configured: false,
    openDirectory: (settings, password) => openDirectory(settings, password, house.ports.clock.now),
  });
});

async function start(people: readonly Colleague[], units?: readonly string[]): Promise<DepartmentSlapd> {
  const server = await startDepartmentSlapd(people, units);
  onTestFinished(() => server.stop());
  return server;
}

const configure = (servers: readonly string[]): Promise<void> =>
  saveSettings(house, { servers, options: { gracePeriodDays: DAYS_OF_GRACE } });

/** The administrator approves everything that a run withheld; returns the run that carries it out. */
async function approve(run: Run): Promise<Run> {
  house.passSeconds(60);
  const ports = { ...house.ports, startSync: async () => {} };
  const { id } = await approveRun(ports, run.id, {}, { trigger: 'api', requestedBy: 'admin' });
  const started = await house.ports.runs.takeUp(id);
  return await synchronize(house.ports, started!, new Date(house.ports.clock.now().getTime() + 600_000));
}

const kindsOf = async (run: Run): Promise<readonly string[]> => (await house.changes(run)).map(({ kind }) => kind);

test('a school whose 2,000 pupils leave in August while one teacher is dismissed', async () => {
  const pupils = colleagues('pupil', 2_000, 'ou=pupils');
  const teachers = colleagues('teacher', 150, 'ou=teachers');
  const server = await start([...pupils, ...teachers]);
  await configure([server.name]);
  expect((await house.run()).totals).toMatchObject({ created: 2_150 });

  await server.remove(...pupils);
  await server.set(dnOf(teachers[0]!), 'shadowExpire', '1');
  const august = await house.run();
  expect(august.totals).toMatchObject({ deleted: 0, updated: 2_000, disabled: 1, withheld: 0 });
  expect(august.notices.join(' ')).toContain('2000 of 2150 users are missing for the first time');
  expect((await house.user('teacher0'))!.disabledBy).toBe('sync');

  house.passDays(DAYS_OF_GRACE);
  const september = await house.run();
  expect(september.totals).toMatchObject({ deleted: 0, withheld: 2_000 });
  const approved = await approve(september);
  expect(approved.totals).toMatchObject({ deleted: 2_000, withheld: 0 });

  // Once: nothing is left to approve, and the pupils of the new year come without a question.
  for (const newcomer of colleagues('first-year', 5, 'ou=pupils')) await server.add(newcomer);
  house.passDays(1);
  expect((await house.run()).totals).toMatchObject({ created: 5, deleted: 0, withheld: 0 });
});

test('a reorganisation that renames every unit', async () => {
  const units = ['ou=north', 'ou=south'];
  const server = await start(units.flatMap((unit) => colleagues(unit.slice(3), 30, unit)));
  await configure([server.name]);
  await house.run();
  const before = (await house.users()).map(({ id, userName }) => [id, userName]);
  for (const unit of units) await server.move(`${unit},${PEOPLE}`, `${unit}-2027,${PEOPLE}`);
  const run = await house.run();
  expect(run.totals).toMatchObject({ renamed: 60, deleted: 0, created: 0, withheld: 0 });
  expect((await house.users()).map(({ id, userName }) => [id, userName])).toEqual(before);
});

test('a unit of contractors that is emptied, and one that is deleted with its entry', async () => {
  const staff = colleagues('staff', 300);
  const contractors = colleagues('contractor', 12, 'ou=contractors');
  const temps = colleagues('temp', 12, 'ou=temps');
  const server = await start([...staff, ...contractors, ...temps]);
  await configure([server.name]);
  await house.run();
  await server.remove(...contractors, ...temps);
  await server.removeUnit('ou=temps');
  await house.run();
  house.passDays(DAYS_OF_GRACE);
  const run = await house.run();
  // The entry ou=contractors says that it is empty. Nothing says so of ou=temps.
  expect(run.totals).toMatchObject({ deleted: 12, withheld: 12 });
  const lines = (await house.changes(run)).filter(({ kind }) => kind === 'withheld');
  expect(lines.every(({ userName }) => userName!.startsWith('temp'))).toBe(true);
  expect((await approve(run)).totals).toMatchObject({ deleted: 12, withheld: 0 });
});

test('a second server that was switched off for good', async () => {
  const people = colleagues('user', 40);
  const [first, second] = await Promise.all([start(people), startDepartmentSlapd(people)]);
  await configure([first.name, second.name]);
  await house.run();
  await second.stop();
  // Nobody is missing, so nobody is asked, and nothing is said.
  expect((await house.run()).notices).toEqual([]);

  await first.remove({ uid: 'user0', unit: '' });
  await house.run();
  house.passDays(DAYS_OF_GRACE);
  for (let run = 1; run <= 3; run += 1) {
    house.passDays(1);
    const notices = (await house.run()).notices.join(' ');
    expect(notices).toContain(`${second.name} could not be asked`);
    expect(notices.includes('remove it from the servers, or approve')).toBe(run === 3);
  }
  await configure([first.name]);
  expect(await kindsOf(await house.run())).toEqual(['deleted']);
});
