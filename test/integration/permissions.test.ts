/**
 * The rare calls: what no other suite makes the whole program do, so that every permission of the stack is used by a
 * test (docs/permissions.md). The program refuses what the policies do not allow, so a call that works is allowed.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  colleagues,
  type DepartmentSlapd,
  dnOf,
  PASSWORD as READER_PASSWORD,
  PEOPLE,
  READER,
  startDepartmentSlapd,
} from '../support/department-slapd.ts';
import {
  type ApiCall,
  PASSWORD,
  type ServingProgram,
  signIn,
  START_MS,
  startLocalProgram,
  synchronize,
} from '../support/local-program.ts';

/** A due schedule comes at the next full minute. */
const SCHEDULE_MS = 90_000;

const folder = mkdtempSync(join(tmpdir(), 'rollcall-permissions-'));
const staff = colleagues('user', 12);
let program: ServingProgram;
let slapd: DepartmentSlapd;
let url: string;
let call: ApiCall;

beforeAll(async () => {
  program = startLocalProgram('--quiet', '--no-demo', '--data', folder, '--admin-password', PASSWORD);
  [slapd, url] = await Promise.all([startDepartmentSlapd(staff, ['ou=moved']), program.address()]);
  call = await signIn(url);
  await call('PUT', '/api/settings', {
    connection: {
      servers: [slapd.name],
      encryption: 'none',
      administrativeDn: READER.everything,
      password: READER_PASSWORD,
    },
    scope: { baseDn: PEOPLE, filter: '(objectClass=inetOrgPerson)' },
    mapping: { userName: 'uid', fullName: 'displayName', emailAddresses: 'mail' },
    options: {
      schedule: { enabled: true, expression: 'cron(* * * * ? *)' },
      missingUsers: 'delete',
      gracePeriodDays: 0,
    },
  });
  await synchronize(call);
}, START_MS);

afterAll(async () => {
  await Promise.all([slapd?.stop(), program.end()]);
  rmSync(folder, { recursive: true });
});

/** Invokes a function as a service outside of the stack does. */
async function invoke(name: string, event: object, type = 'RequestResponse'): Promise<Response> {
  return await fetch(`${url}/2015-03-31/functions/${name}/invocations`, {
    method: 'POST',
    headers: { 'x-amz-invocation-type': type },
    body: JSON.stringify(event),
  });
}

async function logIn(uid: string, password = `password of ${uid}`): Promise<unknown> {
  return await (await invoke('auth', { userName: uid, password })).json();
}

async function move(uid: string): Promise<void> {
  await slapd.move(dnOf({ uid, unit: '' }), dnOf({ uid, unit: 'ou=moved' }));
}

test('a login after a failed one, and one of somebody who has moved stores the new place', async () => {
  await move('user0');

  const outcomes = [await logIn('user0', 'wrong'), await logIn('user0'), await logIn('user0')];

  expect(outcomes).toMatchObject([{ outcome: 'rejected' }, { outcome: 'accepted' }, { outcome: 'accepted' }]);
});

test('a user made by hand is linked by the first login', async () => {
  await call('DELETE', '/api/users/user9');
  await call('POST', '/api/users', { userName: 'user9', authentication: 'directory', privileges: ['login'] });

  expect(await logIn('user9')).toMatchObject({ outcome: 'accepted', user: { directory: { dn: dnOf(staff[9]!) } } });
});

test('an administrator of the directory who has moved signs in', async () => {
  await call('PATCH', '/api/users/user1', { privileges: ['admin'] });
  await move('user1');

  const response = await fetch(`${url}/api/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ userName: 'user1', password: 'password of user1' }),
  });

  expect(response.status).toBe(200);
});

test('a user is found by an e-mail address', async () => {
  const { items } = await call<{ items: { userName: string }[] }>('GET', '/api/users?search=user2@example.com');

  expect(items).toMatchObject([{ userName: 'user2' }]);
});

test('an administrator and a user of the directory are deleted', async () => {
  await call('PATCH', '/api/users/user3', { privileges: ['admin'] });

  await call('DELETE', '/api/users/user3');
  await call('DELETE', '/api/users/user4');

  const { items } = await call<{ items: object[] }>('GET', '/api/users?search=user');
  expect(items).toHaveLength(staff.length - 2);
});

test('a run takes a second address over and away, and deletes an administrator while another one remains', async () => {
  const mail = (...addresses: readonly string[]) => slapd.set(dnOf(staff[5]!), 'mail', ...addresses);
  await call('PATCH', '/api/users/user6', { privileges: ['admin'] });

  await mail('user5@example.com', 'second@example.com');
  await synchronize(call);
  await mail('user5@example.com');
  await slapd.remove(staff[6]!);
  await synchronize(call);

  const { emailAddresses } = await call<{ emailAddresses: string[] }>('GET', '/api/users/user5');
  expect(emailAddresses).toEqual(['user5@example.com']);
  await expect(call('GET', '/api/users/user6')).rejects.toThrow('404');
});

test('the watch looks at a run that is at work', async () => {
  await call('POST', '/api/sync', { dryRun: true });

  const response = await invoke('watch', {});

  expect(await response.json()).toMatchObject({ linesWaiting: 0, minutesOverdue: 0, consecutiveFailures: 0 });
});

test('an event that the sync function cannot process goes to the queue of failures', async () => {
  const { status } = await invoke('sync', { trigger: 'nothing' }, 'Event');

  expect(status).toBe(202);
  await expect
    .poll(() => readFileSync(join(folder, 'queues/SyncFailures.jsonl'), 'utf8'), { timeout: 15_000 })
    .toContain('the event must be {\\"trigger\\": \\"schedule\\"}');
});

test('the schedule starts a run', { timeout: SCHEDULE_MS + 5_000 }, async () => {
  await expect
    .poll(
      async () => (await call<{ items: { trigger: string }[] }>('GET', '/api/runs')).items.map((run) => run.trigger),
      {
        timeout: SCHEDULE_MS,
        interval: 500,
      },
    )
    .toContain('schedule');
});

test('the program has refused nothing', () => {
  expect(program.errors()).not.toMatch(/not authorized|cannot tell what/u);
});
