/**
 * What a login costs in DynamoDB, by its source and its end: `node test/bench/login-cost.ts`. Units are those that the
 * real store consumes on a DynamoDB emulator; the directory is in memory.
 */
import { PRICE } from '../../cdk/price.ts';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { createLogin } from '../../lib/login/login.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { startHouse } from '../support/house.ts';
import { anEntry } from '../support/people.ts';
import { connect, createTables } from '../support/tables.ts';
import { meter } from './request-units.ts';

const DAY_MS = 86_400_000;

const dynamoDb = await startDynamoDb({ kind: 'dynoxide' });
const client = connect(dynamoDb.endpoint);
try {
  const house = await startHouse();
  house.directory.people = [{ entry: anEntry('1', { uid: ['anna'] }), password: 'right' }];
  await house.run();
  let time = house.ports.clock.now().getTime();
  const clock = { now: () => new Date(time) };
  const options = { client, clock, ...(await createTables(client)) };
  await createUserStore(options).writeEach([{ kind: 'create', user: (await house.user('anna'))! }]);
  const directory = keepDirectory(house.ports.settings, house.directory.open, clock);
  const login = createLogin({ logins: createLoginStore(options), directory, clock, pause: async () => {} });
  const consumed = meter(client);

  console.log('| login | read units | write units | dollars a million |\n|---|---:|---:|---:|');
  const row = async (name: string, password: string, source: string | null, ends: string): Promise<void> => {
    const before = { ...consumed };
    const outcome = await login.logIn('anna', password, source);
    const told = outcome.outcome === 'accepted' ? outcome.outcome : outcome.reason;
    if (told !== ends) throw new Error(`${name}: ${told}`);
    const [read, write] = [consumed.read - before.read, consumed.write - before.write];
    const dollars = 1e6 * (read * PRICE.readUnit + write * PRICE.writeUnit);
    console.log(`| ${name} | ${read} | ${write} | ${dollars.toFixed(2)} |`);
  };
  await row('accepted, from a new source', 'right', 'desk', 'accepted');
  await row('accepted, from a known source', 'right', 'desk', 'accepted');
  time += DAY_MS;
  await row('the same, the first one of a day', 'right', 'desk', 'accepted');
  await row('accepted, without a source', 'right', null, 'accepted');
  await row('refused, from a known source', 'wrong', 'desk', 'invalidCredentials');
  await row('accepted, from a known source with refusals', 'right', 'desk', 'accepted');
  await row('refused, from a new source', 'wrong', 'stranger', 'invalidCredentials');
  await row('refused, without a source', 'wrong', null, 'invalidCredentials');
  for (let guess = 0; guess < 3; guess += 1) await login.logIn('anna', 'wrong', 'stranger');
  await row('throttled', 'wrong', 'stranger', 'throttled');
} finally {
  client.destroy();
  await dynamoDb.stop();
}
