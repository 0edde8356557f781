/**
 * Times writing and reading users on a local DynamoDB, through the real adapters and the SDK:
 * `node test/bench/user-writes.ts [users] [dynoxide|dynamodb-local]`. Prints a table; "own CPU" is the CPU time of this
 * process per user.
 */
import { BatchWriteCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import { chunksOf, inFlight } from '../../lib/aws/client.ts';
import { createRunJournal } from '../../lib/aws/run-journal.ts';
import { createRunStore } from '../../lib/aws/run-store.ts';
import { toUserItem } from '../../lib/aws/user-item.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import type { JournalWrite } from '../../lib/sync/run-journal.ts';
import { newRun } from '../../lib/sync/run.ts';
import type { ChangeKind } from '../../lib/sync/run.ts';
import { userNameKey } from '../../lib/user/user-name.ts';
import type { UserWrite } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { connectUnchecked } from '../support/dynamodb-connection.ts';
import { createTables } from '../support/tables.ts';

const [count = '5000', kind = 'dynoxide'] = process.argv.slice(2);
const server = await startDynamoDb({ kind: kind === 'dynoxide' ? 'dynoxide' : 'dynamodb-local' });
const client = connectUnchecked(server.endpoint);

function people(from: string, ...further: readonly string[]): User[] {
  return Array.from({ length: Number(count) }, (_, index) => ({
    id: `${from}-account-${index}`,
    userName: `${from}.user.${index}`,
    fullName: `Person Number ${index}`,
    emailAddresses: [from, ...further].map((name) => `${name}.user.${index}@example.com`),
    authentication: 'directory',
    disabledBy: null,
    privileges: ['login'],
    directory: {
      id: `${from}-0000-4000-8000-${String(index).padStart(12, '0')}`,
      idAttribute: 'entryuuid',
      dn: `uid=${from}.user.${index},ou=people,dc=example,dc=com`,
      missingSince: null,
    },
    passwordHash: null,
    fingerprint: 'WmFhhHWYbTZpXb3YJ0X5Pw',
    createdAt: '2026-05-04T10:00:00.000Z',
    updatedAt: '2026-05-04T10:00:00.000Z',
    version: 1,
  }));
}

const clock = { now: () => new Date() };
const rows: Record<string, { 'users/s': number; 'own CPU, µs': number; conditional: string }> = {};

async function measure(name: string, conditional: string, work: () => Promise<unknown>): Promise<void> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  rows[name] = {
    'users/s': Math.round(Number(count) / seconds),
    'own CPU, µs': Math.round((user + system) / Number(count)),
    conditional,
  };
}

function toGroup(kind: ChangeKind, write: UserWrite): JournalWrite[] {
  const { id, userName, directory } = write.kind === 'create' ? write.user : write.previous;
  const change = { kind, userId: id, userName, directoryId: directory!.id, dn: directory!.dn };
  return [{ write, change, counts: [], approvals: [] }];
}

function mustBeWritten(results: readonly string[]): void {
  if (results.some((result) => result !== 'written')) throw new Error('not every write succeeded');
}

try {
  const { usersTable, operationsTable } = await createTables(client);
  const store = createUserStore({ client, usersTable, operationsTable });
  const run = newRun('run', { dryRun: false, trigger: 'api', requestedBy: null, approves: null }, clock.now());
  const started = await createRunStore({ client, operationsTable, clock }).start(run);
  if (started.kind === 'active') throw new Error('another run is active');
  const { fence } = started;
  const each = people('each');
  const next = each.map((user) => ({ ...user, fullName: 'Another Name', fingerprint: null, version: 2 }));

  await store.writeEach(
    people('warm')
      .slice(0, 500)
      .map((user) => ({ kind: 'create', user })),
  );
  await measure('writeEach, create: 48 users a transaction', 'yes', async () =>
    mustBeWritten(await store.writeEach(each.map((user) => ({ kind: 'create', user })))),
  );
  await measure('writeEach, create: users of three addresses', 'yes', async () =>
    mustBeWritten(await store.writeEach(people('many', 'a', 'b').map((user) => ({ kind: 'create', user })))),
  );
  await measure('writeEach, update: 97 users a transaction', 'yes', async () =>
    mustBeWritten(await store.writeEach(next.map((user, index) => ({ kind: 'update', user, previous: each[index]! })))),
  );
  const journal = createRunJournal({ client, usersTable, operationsTable, clock });
  const told = people('told');
  const toldNext = told.map((user) => ({ ...user, fullName: 'Another Name', fingerprint: null, version: 2 }));
  await measure('journal, create: with lines, 48 users a transaction', 'yes', async () =>
    mustBeWritten(
      await journal.write(
        fence,
        told.map((user) => toGroup('created', { kind: 'create', user })),
      ),
    ),
  );
  await measure('journal, update: with lines, 97 users a transaction', 'yes', async () =>
    mustBeWritten(
      await journal.write(
        fence,
        toldNext.map((user, index) => toGroup('updated', { kind: 'update', user, previous: told[index]! })),
      ),
    ),
  );
  await measure('BatchWriteItem, 25 puts a request', 'no', () =>
    inFlight(chunksOf(people('batch'), 25), async (users) => {
      const puts = users.map((user) => ({ PutRequest: { Item: toUserItem(user) } }));
      const { UnprocessedItems } = await client.send(new BatchWriteCommand({ RequestItems: { [usersTable]: puts } }));
      if (Object.keys(UnprocessedItems ?? {}).length > 0) throw new Error('DynamoDB left users unprocessed');
    }),
  );
  await measure('PutItem, one each', 'yes', () =>
    inFlight(people('single'), async (user) => {
      const ConditionExpression = 'attribute_not_exists(nameKey)';
      await client.send(new PutCommand({ TableName: usersTable, Item: toUserItem(user), ConditionExpression }));
    }),
  );
  await measure('getMany: BatchGetItem of 100', '', async () =>
    store.getMany(each.map(({ userName }) => userNameKey(userName))),
  );
  let links = 0;
  const began = performance.now();
  for await (const batch of store.readLinks()) links += batch.length;
  const seconds = (performance.now() - began) / 1_000;

  console.log(`${kind} in memory, ${count} users a row, Node ${process.versions.node}`);
  console.table(rows);
  console.log(
    `readLinks: ${links} links in ${Math.round(seconds * 1_000)} ms, ${Math.round(links / seconds)} a second`,
  );
} finally {
  client.destroy();
  await server.stop();
}
