/**
 * Events as another system receives them, from the local program with an OpenLDAP directory, which is killed and
 * started again: what administrators and runs do to users; and the example of a receiver, fed with all these events.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { ScanCommand } from '@aws-sdk/lib-dynamodb';
import formats from 'ajv-formats';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Attribute, Change, Client } from 'ldapts';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import schema from '../../docs/events.schema.json' with { type: 'json' };
import description from '../../functions/openapi.json' with { type: 'json' };
import type { ProductEvent } from '../../lib/event/event.ts';
import type { PublicUser } from '../../lib/user/user.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import type { DeliveredEvent } from '../../local/event-bus.ts';
import { BASE_DN, type DirectoryServer, dnOf } from '../support/directory-server.ts';
import {
  type ApiCall,
  PASSWORD,
  type ServingProgram,
  signIn,
  START_MS,
  startLocalProgram,
  synchronize,
} from '../support/local-program.ts';
import { startOpenLdap } from '../support/openldap.ts';
import { connect } from '../support/tables.ts';

const PEOPLE = ['carl', 'dora', 'emil'].map((userName) => ({ cn: userName, userName, below: 'ou=people' }));

type Received = DeliveredEvent & { readonly detail: ProductEvent };

const folder = mkdtempSync(join(tmpdir(), 'rollcall-events-'));
let program: ServingProgram;
let directory: DirectoryServer;
let call: ApiCall;

async function startProgram(): Promise<void> {
  program = startLocalProgram('--quiet', '--no-demo', '--data', folder, '--admin-password', PASSWORD);
  call = await signIn(await program.address());
}

let seen = '0';

/** Waits until at least `count` events have come since the last call; gives them. */
async function receive(count: number): Promise<readonly Received[]> {
  const received: Received[] = [];
  await expect
    .poll(
      async () => {
        const page = await call<{ items: Received[]; next: string }>('GET', `/local/events?after=${seen}`);
        received.push(...page.items);
        seen = page.next;
        return received.length;
      },
      { timeout: 15_000, interval: 200 },
    )
    .toBeGreaterThanOrEqual(count);
  all.push(...received);
  return received;
}

const all: Received[] = [];

function tell(received: readonly Received[]): string[] {
  return received.map(({ 'detail-type': type, detail }) =>
    'user' in detail.data ? `${type} ${detail.data.user.userName}` : type,
  );
}

beforeAll(async () => {
  [directory] = await Promise.all([startOpenLdap({ people: PEOPLE }), startProgram()]);
}, START_MS);

afterAll(async () => {
  vi.unstubAllEnvs();
  await Promise.all([directory?.stop(), program.end()]);
  rmSync(folder, { recursive: true });
});

test('what administrators do to users is told, in the form that is documented', async () => {
  await call('POST', '/api/users', { userName: 'anna', emailAddresses: ['anna@example.com', 'a@example.com'] });
  await call('PATCH', '/api/users/anna', { fullName: 'Anna Weber' });
  await call('PUT', '/api/users/anna/password', { password: 'a password of the test' });
  await call('PATCH', '/api/users/anna', { userName: 'anna.schmidt', fullName: 'Anna Schmidt' });
  await call('PATCH', '/api/users/anna.schmidt', { status: 'disabled' });
  await call('PATCH', '/api/users/anna.schmidt', { status: 'active' });
  await call('POST', '/api/users', { userName: 'ben', emailAddresses: ['ben@example.com'] });
  await call('DELETE', '/api/users/ben');

  const received = await receive(10);

  expect(tell(received).sort()).toEqual([
    'user.created admin',
    'user.created anna',
    'user.created ben',
    'user.deleted ben',
    'user.disabled anna.schmidt',
    'user.enabled anna.schmidt',
    'user.renamed anna.schmidt',
    'user.updated anna',
    'user.updated anna',
    'user.updated anna.schmidt',
  ]);
  expect(received[0]).toMatchObject({ version: '0', source: 'rollcall', 'detail-type': 'user.created', resources: [] });
});

test('what a run does to users is told, and that it is over', async () => {
  const { caPem, ldapPort, readerDn, readerPassword } = directory;
  await call('PUT', '/api/settings', {
    connection: {
      servers: [`127.0.0.1:${ldapPort}`],
      encryption: 'tls',
      caCertificates: caPem,
      administrativeDn: readerDn,
      password: readerPassword,
    },
    scope: { baseDn: BASE_DN, filter: '(&(objectClass=inetOrgPerson)(!(uid=reader)))' },
    mapping: { userName: 'uid', fullName: 'cn', emailAddresses: 'mail' },
    options: { missingUsers: 'delete', gracePeriodDays: 0 },
  });
  await synchronize(call);
  const first = await receive(4);
  const client = new Client({ url: `ldap://127.0.0.1:${ldapPort}` });
  await client.bind(directory.rootDn, directory.rootPassword);
  const uid = (value: string) =>
    new Change({ operation: 'replace', modification: new Attribute({ type: 'uid', values: [value] }) });
  await client.modify(dnOf(PEOPLE[0]!), uid('carla'));
  await client.modify(dnOf(PEOPLE[1]!), uid('carl'));
  await client.del(dnOf(PEOPLE[2]!));
  await client.unbind();
  await synchronize(call);
  const second = await receive(4);

  expect(tell(first).sort()).toEqual(['run.finished', 'user.created carl', 'user.created dora', 'user.created emil']);
  expect(tell(second).sort()).toEqual(['run.finished', 'user.deleted emil', 'user.renamed carl', 'user.renamed carla']);
});

test('a crash right after a write loses no event', { timeout: START_MS }, async () => {
  await call('POST', '/api/users', { userName: 'frida' });
  const before = program;
  await program.end('SIGKILL');
  await startProgram();

  const received = await receive(1);

  expect([...new Set(tell(received))]).toEqual(['user.created frida']);
  expect(before.errors() + program.errors()).toBe('');
});

test('every event that was told fits the schema, and so does every example of the document', () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  formats.default(ajv);
  ajv.addSchema(description, 'openapi.yaml');
  const validate = ajv.compile(schema);

  const document = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8');
  const examples = [...document.matchAll(/```json\n([^]+?)```/gu)].map(([, text]) => JSON.parse(text!) as ProductEvent);

  expect(all.length).toBeGreaterThan(15);
  expect(examples.map(({ type }) => type)).toEqual([...document.matchAll(/^### (\S+)$/gmu)].map(([, type]) => type));
  for (const detail of [...all.map((event) => event.detail), ...examples])
    expect([validate(detail), validate.errors]).toEqual([true, null]);
  expect(JSON.stringify(all)).not.toContain('argon2');
});

test('the example keeps its members in step, with events that come twice and in the wrong order', async () => {
  const dynamoDb = await startDynamoDb();
  const client = connect(dynamoDb.endpoint);
  await client.send(
    new CreateTableCommand({
      TableName: 'members',
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    }),
  );
  // As Lambda sets them for the example's own function.
  vi.stubEnv('AWS_REGION', 'eu-central-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'local');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'local');
  vi.stubEnv('AWS_ENDPOINT_URL_DYNAMODB', dynamoDb.endpoint);
  vi.stubEnv('MEMBERS_TABLE', 'members');
  const { handler } = await import('../../examples/user-events.ts');
  const ofUsers = all.filter(({ 'detail-type': type }) => type.startsWith('user.')) as {
    detail: ProductEvent<'user.created'>;
  }[];

  for (const event of [...ofUsers.toReversed(), ...ofUsers]) await handler(event);

  const { Items = [] } = await client.send(new ScanCommand({ TableName: 'members' }));
  client.destroy();
  await dynamoDb.stop();
  const { items: users } = await call<{ items: PublicUser[] }>('GET', '/api/users?limit=200');
  const members = new Map(Items.filter(({ address }) => address !== null).map(({ id, address }) => [id, address]));
  expect(users.length).toBeGreaterThan(4);
  expect(members).toEqual(
    new Map(users.flatMap(({ id, emailAddresses: [address] }) => (address === undefined ? [] : [[id, address]]))),
  );
});
